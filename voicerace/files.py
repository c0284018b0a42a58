"""Files that are there in full or not at all: a full disk or a kill leaves the one before, or none, and never half of one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["try_to_write", "write_bytes", "write_pieces", "write_text"]


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
    if path.exists() and not path.is_file():
        with path.open("wb") as file:  # a device or a pipe takes what it gets, and must not be replaced by a file
            file.writelines(pieces)
        return
    path = path.resolve()  # behind a link, the file it points to
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
    if not path.exists() or path.is_file():
        temporary = _beside(path.resolve())
        temporary.touch()
        temporary.unlink()


def _beside(path: Path) -> Path:
    # A name may be as long as the file system allows: what stands before it must not make it longer than that.
    return path.with_name(f".{path.name[-200:]}.part")
