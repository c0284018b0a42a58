"""The verbs that read what others recorded."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from voicerace.captures import Capture, inspect_json, inspect_lines, read_capture
from voicerace.cli import options
from voicerace.cli.printing import print_json, print_lines

__all__ = ["inspect", "reading"]

File = Annotated[Path, typer.Argument(metavar="FILE", help="A proxy's console log, a HAR file, or a recording of ours.")]
GivenRelease = Annotated[str | None, typer.Option("--release", metavar="TAG", help="The proxy's. [from the capture]")]


@contextmanager
def _bar() -> Iterator[tqdm]:  # type: ignore[type-arg]
    with tqdm(file=sys.stderr, unit="B", unit_scale=True, disable=None, leave=False) as bar:
        yield bar


def reading(file: Path, release: str | None = None) -> Capture:
    """Read a capture, with a bar on standard error when that is a terminal."""
    with _bar() as bar:

        def progress(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        return read_capture(file, release, progress)


def inspect(file: File, release: GivenRelease = None, as_json: options.Json = False) -> int:
    """Say what a capture shows, session by session, with the lines it rests on, and what it cannot say."""
    capture = reading(file, release)
    if as_json:
        print_json(inspect_json(capture))
    else:
        print_lines(inspect_lines(capture))
    return 0
