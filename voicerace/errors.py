"""Errors for invalid input and for sweeps that end early.

`InputError` names the parameter, its value and the allowed values. The command line prints it as one line. Errors of a sweep
that ends early also name the number of kept trials and their folder.
"""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path
from typing import Any

__all__ = ["InputError", "SweepInterrupted", "SweepStoppedError", "first_of", "one_of", "stopped", "unknown"]


class InputError(ValueError):
    """Raised for invalid input: a parameter, a file or a line of a file.

    Attributes:
        where: invalid parameter, or file and line.
        found: the value found.
        allowed: description of the allowed values, possibly empty.
    """

    def __init__(self, where: str, found: str, allowed: str = "") -> None:
        self.where = where
        self.found = found
        self.allowed = allowed
        super().__init__(f"{where}: {found}" + (f"; {allowed}" if allowed else ""))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the fields. The default would pickle only the message."""
        return (type(self), (self.where, self.found, self.allowed))


def one_of(name: str, value: object, allowed: Collection[str]) -> str:
    """Return `value` if it is in `allowed`.

    Raises:
        InputError: `value` is not in `allowed`. The error names the parameter `name`.
    """
    if not isinstance(value, str) or value not in allowed:
        raise unknown(name, value, allowed)
    return value


def unknown(name: str, value: object, allowed: Collection[str], more: str = "") -> InputError:
    """Return the error for a value that is not an allowed name. It suggests the most similar allowed name.

    Args:
        name: the parameter.
        value: the given value.
        allowed: the allowed names.
        more: text appended to the list of allowed names.
    """
    near = get_close_matches(str(value)[:60], allowed, 1)
    names = f"allowed are {', '.join(allowed)}{more}"
    return InputError(name, f"{value!r:.60} is unknown", f"did you mean {near[0]}? ({names})" if near else names)


def first_of(error: Any, whole: str, fields: Collection[str]) -> InputError:
    """Convert the first error of a pydantic ValidationError to an InputError.

    Args:
        error: the ValidationError.
        whole: name of the validated object, for an error outside its fields.
        fields: allowed field names.
    """
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return cause
    where = ".".join(str(part) for part in first["loc"] if part != "__key__") or whole
    if first["type"] == "extra_forbidden":
        return InputError(where, f"is no parameter of {whole}", f"allowed are {', '.join(fields)}")
    return InputError(where, f"{first['input']!r}", first["msg"][0].lower() + first["msg"][1:])


class SweepInterrupted(KeyboardInterrupt):
    """Raised when a user interrupted a sweep.

    Attributes:
        kept: sentence with the number of kept trials and their folder.
        folder: folder of the sweep.
    """

    def __init__(self, kept: str, folder: Path) -> None:
        self.kept, self.folder = kept, folder
        super().__init__(f"{kept}; {_GOES_ON} {folder}")


class SweepStoppedError(InputError):
    """Raised when an error ended a sweep. It has the attributes of `InputError` and `SweepInterrupted`."""

    def __init__(self, where: str, found: str, kept: str, folder: Path) -> None:
        self.kept, self.folder = kept, folder
        super().__init__(where, found, f"{kept}; {_GOES_ON} {folder}")

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.where, self.found, self.kept, self.folder))


_GOES_ON = "the same command goes on with --resume --out"


def stopped(error: BaseException, folder: Path, done: int, planned: int) -> SweepInterrupted | SweepStoppedError:
    """Convert the error that ended a sweep to an error that names the kept trials (`done` of `planned`) and their `folder`."""
    kept = f"{done} of {planned} trials are kept in {folder}"
    if isinstance(error, KeyboardInterrupt):
        return SweepInterrupted(kept, folder)
    if isinstance(error, InputError):
        return SweepStoppedError(error.where, error.found, kept, folder)
    where, found = (error.filename, error.strerror) if isinstance(error, OSError) else (None, None)
    return SweepStoppedError(str(where or folder), str(found or error), kept, folder)
