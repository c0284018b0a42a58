"""Provide a sequence that stores its items on disk to limit the memory that a large capture uses.

Up to `_IN_MEMORY` bytes stay in memory. A larger sequence uses an unnamed temporary file. No other process can open the file,
and it is deleted when the process ends. Each access returns a new object that equals the stored one.
"""

from __future__ import annotations

import pickle
import tempfile
import weakref
from array import array
from collections.abc import Iterable, Sequence
from typing import Final, Generic, TypeVar, overload

from voicerace.errors import InputError

__all__ = ["DiskBackedList"]

_Item = TypeVar("_Item")
_IN_MEMORY: Final = 8 << 20


class DiskBackedList(Sequence[_Item], Generic[_Item]):
    """An append-only sequence of picklable items."""

    def __init__(self, items: Iterable[_Item] = ()) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed with the sequence
        weakref.finalize(self, self._file.close)
        self._offsets = array("Q", [0])
        for item in items:
            self.append(item)

    def append(self, item: _Item) -> int:
        """Append an item and return its index.

        Raises:
            InputError: the temporary file cannot be written.
        """
        data = pickle.dumps(item, pickle.HIGHEST_PROTOCOL)
        try:
            self._file.seek(self._offsets[-1])
            self._file.write(data)
        except OSError as error:
            allowed = "free disk space for a large capture; TMPDIR selects another folder"
            raise InputError(tempfile.gettempdir(), error.strerror or "cannot be written", allowed) from None
        self._offsets.append(self._offsets[-1] + len(data))
        return len(self._offsets) - 2

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, index: int) -> _Item: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[_Item, ...]: ...
    def __getitem__(self, index: int | slice) -> _Item | tuple[_Item, ...]:
        if isinstance(index, slice):
            return tuple(self[each] for each in range(*index.indices(len(self))))
        number = range(len(self))[index]
        start, end = self._offsets[number], self._offsets[number + 1]
        self._file.seek(start)
        item: _Item = pickle.loads(self._file.read(end - start))  # noqa: S301 - written by `append`
        return item

    def __eq__(self, other: object) -> bool:
        """Return whether another sequence has equal items in the same order."""
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]
