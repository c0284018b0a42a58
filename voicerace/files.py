"""Find files of the project, and write files atomically: a failed write leaves the old file unchanged."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from voicerace.errors import InputError

__all__ = ["path_of", "shipped", "takes_a_file", "try_to_write", "write_bytes", "write_pieces", "write_text"]

#: Folder of the package. The project's files are next to it in a checkout, and inside it in an installed wheel.
_PACKAGE: Final = Path(__file__).parent
#: Folders in which the system lists the open files of a process.
_DESCRIPTORS: Final = (Path("/dev/fd"), Path("/proc/self/fd"))


def path_of(where: str, given: object) -> Path:
    """Convert text or a path-like object to a `Path`.

    Raises:
        InputError: `given` has another type or contains a null byte. The error names the parameter `where`.
    """
    if not isinstance(given, (str, os.PathLike)) or isinstance(given, bytes) or "\0" in str(given):
        raise InputError(where, f"{given!r:.60} is no path", "a path, as text or pathlib.Path")
    return Path(given)


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8 atomically, without converting line ends.

    Raises:
        OSError: the file cannot be written. An existing file is unchanged.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes atomically; see `write_text`."""
    write_pieces(path, (content,))


def write_pieces(path: Path, pieces: Iterable[bytes]) -> None:
    """Write the pieces of a file atomically; see `write_text`. If the iterator raises, an existing file is unchanged."""
    if (descriptor := _own_descriptor(path)) is not None:
        sys.stdout.flush()  # Earlier output must precede the pieces.
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.writelines(pieces)
        return
    if path.exists() and not path.is_file():
        with path.open("wb") as file:  # A device or a pipe must not be replaced by a file.
            file.writelines(pieces)
        return
    path = _target(path)
    temporary = _beside(path)
    try:
        with temporary.open("wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def try_to_write(path: Path) -> None:
    """Check, before a long computation, that a file can be written. Leave no new file.

    Raises:
        OSError: the file cannot be written.
    """
    if path.is_dir():
        path.write_bytes(b"")  # Raises the system's error for a directory.
    if takes_a_file(path):
        temporary = _beside(_target(path))
        temporary.touch()
        temporary.unlink()


def takes_a_file(path: Path) -> bool:
    """Return whether a path names or would name a regular file: not a device, a pipe or an open output of this process."""
    return _own_descriptor(path) is None and (not path.exists() or path.is_file())


def _own_descriptor(path: Path) -> int | None:
    """Return the descriptor of this process that a path names, for example 1 for `/dev/stdout`; None for another path.

    If standard output is redirected to a file, the path refers to that file. Replacing the file would lose later output.
    """
    try:
        there = path.stat()
        if path.parent in _DESCRIPTORS and path.name.isdecimal():
            return int(path.name)
        return next((each for each in (1, 2) if os.path.samestat(there, os.fstat(each))), None)
    except (OSError, ValueError):
        return None


def _target(path: Path) -> Path:
    """Resolve the symbolic links of a path.

    Raises:
        OSError: the links form a circle.
    """
    try:
        return path.resolve()
    except RuntimeError:  # pathlib before Python 3.13
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None


def _beside(path: Path) -> Path:
    # Truncated, because prefix and suffix must not make the name longer than the file system allows.
    return path.with_name(f".{path.name[-200:]}.part")


def shipped(name: str) -> Path:
    """Return the path of the project's file or folder `name`, for example ``notebooks/2-delay-sweep.ipynb``.

    Raises:
        InputError: this installation does not contain it.
    """
    for root in (_PACKAGE / "_shipped", _PACKAGE.parent):
        if (root / name).exists():
            return root / name
    raise InputError(name, "is not part of this installation", "a checkout, or a wheel built from one")
