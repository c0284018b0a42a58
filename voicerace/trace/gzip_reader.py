"""Read a file in pieces and decompress it if it is gzip, which its first bytes decide, not its name.

A compressed file that is cut or damaged is read up to the damage. A few compressed bytes can fill the memory, so a reader
that keeps what it reads sets a limit.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, TypeAlias

from voicerace.errors import InputError

__all__ = ["UNPACKED_LIMIT", "Progress", "Unpacked"]

#: Limit in bytes for readers that keep what they read.
UNPACKED_LIMIT: Final = 512 << 20
#: Called with the number of bytes read and the size of the file.
Progress: TypeAlias = Callable[[int, int], object]
_PIECE: Final = 1 << 16
#: Compressed bytes per step: damage loses the step that contains it.
_FED: Final = 1 << 9
_GZIP: Final = b"\x1f\x8b"
_WBITS: Final = 31  # gzip with header and checksum


class Unpacked(io.RawIOBase):
    """A file that is read from its beginning.

    Args:
        path: the file.
        progress: called with the number of bytes read, before decompression.
        limit: maximum decompressed size of a compressed file in bytes; None for no limit.
            It is also an attribute, which can be set while reading.

    Attributes:
        cut: the compressed file is cut or damaged.

    Raises:
        InputError: while reading: the size exceeds the limit, or nothing can be decompressed.
        OSError: it cannot be opened or read.
    """

    def __init__(self, path: Path, progress: Progress | None = None, limit: int | None = None) -> None:
        super().__init__()
        self._opened = ExitStack()  # first, because a file that cannot be opened is closed as well
        self.cut = False
        self.limit = limit
        self._path, self._progress = path, progress
        self._file = self._opened.enter_context(path.open("rb"))
        self._pieces = self._unpacked()
        self._rest = memoryview(b"")

    def pieces(self) -> Iterator[bytes]:
        """The rest of the file, in pieces."""
        return self._pieces

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def close(self) -> None:
        self._opened.close()
        super().close()

    def _read(self) -> Iterator[bytes]:
        size, read = self._path.stat().st_size, 0
        while data := self._file.read(_PIECE):
            read += len(data)
            if self._progress is not None:
                self._progress(read, size)
            yield data

    def _unpacked(self) -> Iterator[bytes]:
        made = 0
        compressed, packed = False, None
        for number, whole in enumerate(self._read()):
            compressed = compressed or (number == 0 and whole.startswith(_GZIP))
            if not compressed:
                yield whole
                continue
            begin, data = 0, b""
            while data or begin < len(whole):
                if not data:
                    data, begin = whole[begin : begin + _FED], begin + _FED
                if packed is None:
                    # The first gzip member or the next, as in `cat a.gz b.gz`; zeros may fill a block between them.
                    data = data.lstrip(b"\0") if made else data
                    if not data:
                        continue
                    packed = zlib.decompressobj(_WBITS)
                try:
                    piece = packed.decompress(data, _PIECE)
                except zlib.error:
                    if not made:
                        raise InputError(str(self._path), "a compressed file that cannot be unpacked") from None
                    self.cut = True
                    return
                made += len(piece)
                if self.limit is not None and made > self.limit:
                    most = f"{self.limit >> 20} MB"
                    allowed = f"a compressed file of at most {most}, or one that is not compressed"
                    raise InputError(str(self._path), f"more than {most} when it is unpacked", allowed)
                yield piece
                data = packed.unconsumed_tail
                if packed.eof:
                    data, packed = packed.unused_data, None
        if packed is not None:
            self.cut = True
            yield packed.flush()
