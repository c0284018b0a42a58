"""How verbs print, and how they write what the user named."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from voicerace.analysis.outcomes import OUTCOMES
from voicerace.errors import InputError, one_of
from voicerace.files import takes_a_file, try_to_write

__all__ = ["Steps", "known_outcomes", "new_file", "plain", "print_json", "print_lines", "tell_refused", "writable", "writing"]


class Steps:
    """Progress of a command on standard error: a bar on a terminal, else one line per step.

    Args:
        total: steps.
        unit: what a step is.
    """

    def __init__(self, total: int, unit: str) -> None:
        from tqdm import tqdm

        self.total, self.unit = total, unit
        self._begun = 0
        self._bar = tqdm(total=total, unit=unit, file=sys.stderr, disable=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def begin(self, name: str) -> None:
        """The next step begins."""
        self._begun += 1
        self._bar.set_description(name)
        if self._bar.disable:
            print(f"{self.unit} {self._begun} of {self.total}: {name}", file=sys.stderr, flush=True)

    def done(self) -> None:
        """The step that began last is done."""
        self._bar.update()


def print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def print_json(value: Mapping[str, Any]) -> None:
    print(json.dumps(value, indent=2))


def tell_refused(reason: str) -> None:
    """Say on standard error that a server refused a handshake: a browser tells its page nothing of the answer."""
    with contextlib.suppress(OSError):  # a reader that has gone is no reason to fail the handshake in another way
        print(f"voicerace: a connection was refused: {reason}", file=sys.stderr, flush=True)


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Sets as sorted lists, so that the same table is the same text."""
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in row.items()}


def writing(path: Path, write: Any) -> Any:
    """Write a file the user named.

    Raises:
        InputError: it cannot be written.
    """
    try:
        return write()
    except OSError as error:
        raise InputError(str(path), error.strerror or "cannot be written") from None


def new_file(path: Path | None, *, force: bool = False) -> None:
    """Refuse to write a recording, or a copy of one, over a file. A stream and an empty file hold nothing.

    Raises:
        InputError: the file holds something, and `force` is not given.
    """
    if path is not None and not force and path.is_file() and takes_a_file(path) and path.stat().st_size > 0:
        raise InputError("out", f"{path} holds something already", "a new file, or --force beside it")


def writable(*paths: Path | None) -> None:
    """Find out whether files the user named can be written, before what takes long is done for them.

    Raises:
        InputError: one cannot.
    """
    for path in paths:
        if path is not None:
            writing(path, lambda: try_to_write(path))  # noqa: B023  # called at once


def known_outcomes(names: Iterable[str] | None) -> None:
    for name in names or ():
        one_of("fail_on", name, OUTCOMES)
