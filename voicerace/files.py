"""Files: where those of the project are, and writing that leaves the whole new file or the old one, never half of it."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from voicerace.errors import InputError

__all__ = ["path_of", "shipped", "takes_a_file", "try_to_write", "write_bytes", "write_pieces", "write_text"]

#: In a checkout the project's files are beside the package, in an installed wheel inside it.
_PACKAGE: Final = Path(__file__).parent
#: Folders in which the system shows a process its own open files.
_DESCRIPTORS: Final = (Path("/dev/fd"), Path("/proc/self/fd"))


def path_of(where: str, given: object) -> Path:
    """A path from a text or a path.

    Raises:
        InputError: it is neither, or no file system takes it.
    """
    if not isinstance(given, (str, os.PathLike)) or isinstance(given, bytes) or "\0" in str(given):
        raise InputError(where, f"{given!r:.60} is no path", "a path, as text or pathlib.Path")
    return Path(given)


def write_text(path: Path, text: str) -> None:
    """Write a file, UTF-8 with the text's own line ends, in full or not at all.

    Raises:
        OSError: it cannot be written; what was there before is untouched.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """As `write_text`."""
    write_pieces(path, (content,))


def write_pieces(path: Path, pieces: Iterable[bytes]) -> None:
    """As `write_text`, of what is made piece by piece; what making them raises leaves no file either."""
    if (descriptor := _own_descriptor(path)) is not None:
        sys.stdout.flush()  # what was printed before stands before it
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.writelines(pieces)
        return
    if path.exists() and not path.is_file():
        with path.open("wb") as file:  # a device or a pipe takes what it gets, and must not be replaced by a file
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
    """Find out whether a file can be written, before what takes long is done for it; leaves nothing behind.

    Raises:
        OSError: it cannot.
    """
    if path.is_dir():
        path.write_bytes(b"")  # says so, in the system's words
    if takes_a_file(path):
        temporary = _beside(_target(path))
        temporary.touch()
        temporary.unlink()


def takes_a_file(path: Path) -> bool:
    """Whether a file is there, or a new one would be: not a device, a pipe, or an open output of this process."""
    return _own_descriptor(path) is None and (not path.exists() or path.is_file())


def _own_descriptor(path: Path) -> int | None:
    """Which open output of this process a path names, as `/dev/stdout` does; None for any other path.

    Where the output is sent to a file, the path leads to that file: replacing it would lose what is printed after.
    """
    try:
        there = path.stat()
        if path.parent in _DESCRIPTORS and path.name.isdecimal():
            return int(path.name)
        return next((each for each in (1, 2) if os.path.samestat(there, os.fstat(each))), None)
    except (OSError, ValueError):
        return None


def _target(path: Path) -> Path:
    """The file that a path leads to, through links.

    Raises:
        OSError: links lead in a circle.
    """
    try:
        return path.resolve()
    except RuntimeError:  # how pathlib says it before Python 3.13
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None


def _beside(path: Path) -> Path:
    # A name may be as long as the file system allows: what stands before it must not make it longer than that.
    return path.with_name(f".{path.name[-200:]}.part")


def shipped(name: str) -> Path:
    """The file or folder called `name` (as ``notebooks/2-delay-sweep.ipynb``).

    Raises:
        InputError: it is in neither place.
    """
    for root in (_PACKAGE / "_shipped", _PACKAGE.parent):
        if (root / name).exists():
            return root / name
    raise InputError(name, "is not part of this installation", "a checkout, or a wheel built from one")
