"""A sequence whose items wait on disk, so that a file of any size is read in the memory of a few sessions.

What is small stays in memory; from `_IN_MEMORY` bytes on, all of it lies in a temporary file without a name, which nobody
else can open and which is gone with the process. Every access makes a new object, equal to the one that was put in.
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
    """Items in the order in which they were put in."""

    def __init__(self, items: Iterable[_Item] = ()) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed with the sequence
        weakref.finalize(self, self._file.close)
        self._begins = array("Q", [0])
        for each in items:
            self.append(each)

    def append(self, item: _Item) -> int:
        """Put an item in; gives its place.

        Raises:
            InputError: the disk does not take it.
        """
        data = pickle.dumps(item, pickle.HIGHEST_PROTOCOL)
        try:
            self._file.seek(self._begins[-1])
            self._file.write(data)
        except OSError as error:
            allowed = "room for what a large capture holds; TMPDIR names another folder"
            raise InputError(tempfile.gettempdir(), error.strerror or "cannot be written", allowed) from None
        self._begins.append(self._begins[-1] + len(data))
        return len(self._begins) - 2

    def __len__(self) -> int:
        return len(self._begins) - 1

    @overload
    def __getitem__(self, at: int) -> _Item: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[_Item, ...]: ...
    def __getitem__(self, at: int | slice) -> _Item | tuple[_Item, ...]:
        if isinstance(at, slice):
            return tuple(self[each] for each in range(*at.indices(len(self))))
        place = range(len(self))[at]
        self._file.seek(self._begins[place])
        found: _Item = pickle.loads(self._file.read(self._begins[place + 1] - self._begins[place]))  # noqa: S301 - our own
        return found

    def __eq__(self, other: object) -> bool:
        """As two tuples are equal."""
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]
