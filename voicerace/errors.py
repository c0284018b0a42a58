"""The one error for bad input: what was named, what was found, what is allowed. The command line prints it as one line.

A sweep that ends before its last trial has errors of its own, which say what was kept and where.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

__all__ = ["InputError", "SweepInterrupted", "SweepStoppedError", "one_of", "stopped"]


class InputError(ValueError):
    """Input that cannot be used: a parameter, a file or a line of one.

    Attributes:
        where: the parameter, or the file and line, that is wrong.
        found: what was there.
        allowed: what could be there instead; empty when nothing can be said.
    """

    def __init__(self, where: str, found: str, allowed: str = "") -> None:
        self.where = where
        self.found = found
        self.allowed = allowed
        super().__init__(f"{where}: {found}" + (f"; {allowed}" if allowed else ""))

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors cross process borders: rebuild from the fields, not from the sentence."""
        return (type(self), (self.where, self.found, self.allowed))


def one_of(where: str, value: object, allowed: Collection[str]) -> None:
    """Check that a name is an allowed one.

    Raises:
        InputError: it is not; `where` is the parameter.
    """
    if not isinstance(value, str) or value not in allowed:
        raise InputError(where, f"{value!r:.60} is unknown", f"allowed are {', '.join(allowed)}")


class SweepInterrupted(KeyboardInterrupt):
    """A sweep was interrupted.

    Attributes:
        kept: how many trials are kept, and where.
        folder: of the run.
    """

    def __init__(self, kept: str, folder: Path) -> None:
        self.kept, self.folder = kept, folder
        super().__init__(f"{kept}; {_GOES_ON} {folder}")


class SweepStoppedError(InputError):
    """A sweep could not go on; attributes as of `InputError` and `SweepInterrupted`."""

    def __init__(self, where: str, found: str, kept: str, folder: Path) -> None:
        self.kept, self.folder = kept, folder
        super().__init__(where, found, f"{kept}; {_GOES_ON} {folder}")

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.where, self.found, self.kept, self.folder))


_GOES_ON = "the same command goes on with --resume --out"


def stopped(error: BaseException, folder: Path, done: int, planned: int) -> SweepInterrupted | SweepStoppedError:
    """What a sweep in `folder` raises instead of the error that ended it after `done` of `planned` trials."""
    kept = f"{done} of {planned} trials are kept in {folder}"
    if isinstance(error, KeyboardInterrupt):
        return SweepInterrupted(kept, folder)
    if isinstance(error, InputError):
        return SweepStoppedError(error.where, error.found, kept, folder)
    where, found = (error.filename, error.strerror) if isinstance(error, OSError) else (None, None)
    return SweepStoppedError(str(where or folder), str(found or error), kept, folder)
