"""Reads a file in pieces, and decompresses it if it starts with the gzip signature.

A truncated or damaged compressed file is read up to the damage. A small compressed file can decompress to more data than fits
into memory. Therefore a caller that keeps the content sets a limit.
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

#: Maximum decompressed size in bytes for callers that keep the content.
UNPACKED_LIMIT: Final = 512 << 20
#: A callback that gets the number of bytes read and the size of the file in bytes.
Progress: TypeAlias = Callable[[int, int], object]
_PIECE: Final = 1 << 16
#: Number of compressed bytes per call of the decompressor. The content of a call that contains damage is lost.
_FED: Final = 1 << 9
_GZIP: Final = b"\x1f\x8b"
_WBITS: Final = 31  # zlib's value for gzip with header and checksum


class Unpacked(io.RawIOBase):
    """A stream of a file's content, decompressed if the file is gzip.

    Args:
        path: path of the file.
        progress: called with the number of bytes read before decompression, and the size of the file.
        limit: maximum decompressed size of a compressed file in bytes. None disables the limit. The attribute of this name
            can be changed while reading.

    Attributes:
        cut: whether a compressed file was truncated or damaged before its checksum.

    Raises:
        InputError: while reading, if the size exceeds the limit or nothing can be decompressed.
        OSError: the file cannot be opened or read.
    """

    def __init__(self, path: Path, progress: Progress | None = None, limit: int | None = None) -> None:
        super().__init__()
        self._opened = ExitStack()  # Set first, because `close` is also called if the file cannot be opened.
        self.cut = False
        self.limit = limit
        self._path, self._progress = path, progress
        self._file = self._opened.enter_context(path.open("rb"))
        self._pieces = self._unpacked()
        self._rest = memoryview(b"")

    def pieces(self) -> Iterator[bytes]:
        """Return an iterator over the remaining content in pieces."""
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
        for number, raw in enumerate(self._read()):
            compressed = compressed or (number == 0 and raw.startswith(_GZIP))
            if not compressed:
                yield raw
                continue
            begin, data = 0, b""
            while data or begin < len(raw):
                if not data:
                    data, begin = raw[begin : begin + _FED], begin + _FED
                if packed is None:
                    # A gzip member starts here. `cat a.gz b.gz` makes several members, and zeros can pad them to blocks.
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
