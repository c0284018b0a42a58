"""Output of the verbs: printed lines, progress, and checks of the files to write."""

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

__all__ = ["Steps", "known_outcomes", "new_file", "plain", "print_json", "print_lines", "print_refused", "writable", "writing"]


class Steps:
    """Progress on standard error: a bar on a terminal, otherwise one line per step.

    Args:
        total: number of steps.
        unit: name of a step.
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
        """Show the name of the next step."""
        self._begun += 1
        self._bar.set_description(name)
        if self._bar.disable:
            print(f"{self.unit} {self._begun} of {self.total}: {name}", file=sys.stderr, flush=True)

    def done(self) -> None:
        """Count a finished step."""
        self._bar.update()


def print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def print_json(value: Mapping[str, Any]) -> None:
    print(json.dumps(value, indent=2))


def print_refused(reason: str) -> None:
    """Print the reason for a refused handshake on standard error. A browser does not pass the reason to its page."""
    with contextlib.suppress(OSError):  # an error while printing must not affect the handshake
        print(f"voicerace: a connection was refused: {reason}", file=sys.stderr, flush=True)


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row with sets replaced by sorted lists, so that equal rows have equal JSON."""
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in row.items()}


def writing(path: Path, write: Any) -> Any:
    """Call `write`, which writes the file `path`, and return its result.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        return write()
    except OSError as error:
        raise InputError(str(path), error.strerror or "cannot be written") from None


def new_file(path: Path | None, *, force: bool = False) -> None:
    """Check that `path` can be written without losing data. Devices and pipes are allowed.

    Raises:
        InputError: the file exists and is not empty, and `force` is False.
    """
    if path is not None and not force and path.is_file() and takes_a_file(path) and path.stat().st_size > 0:
        raise InputError("out", f"{path} exists and is not empty", "a new file, or add --force")


def writable(*paths: Path | None) -> None:
    """Check before a long computation that files can be written. Paths that are None are skipped.

    Raises:
        InputError: a file cannot be written.
    """
    for path in paths:
        if path is not None:
            writing(path, lambda: try_to_write(path))  # noqa: B023  # called in this iteration


def known_outcomes(names: Iterable[str] | None) -> None:
    """Check that the outcomes of ``--fail-on`` exist."""
    for name in names or ():
        one_of("fail_on", name, OUTCOMES)
