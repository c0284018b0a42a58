"""A connection of a proxy's log: while it is read, and when it is done; many of them; and where the unread places are."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from voicerace.captures.disk_list import DiskBackedList
from voicerace.captures.log_scanner import Unread
from voicerace.captures.node_inspect import Value
from voicerace.trace.recording import Event, Recording

__all__ = ["Connections", "LoggedConnection", "LoggedSession", "UnreadPlaces"]

#: Events that are kept in memory, of all connections together: some 15 MB.
_IN_MEMORY: Final = 30_000
#: What a connection takes beside its events, in events.
_OWN: Final = 10


@dataclass(frozen=True)
class LoggedSession:
    """One connection of a log.

    Attributes:
        connection: its name in the log. Untrusted text.
        recording: what passed; its provenance has the absolute start and the lines.
        begun: the log has the connection's beginning; without it the first messages may be missing.
        quiet: no INFO record was seen: the log was kept at a higher level and shows errors only.
        updates_logged: the release is one that logs session.update.
        elided: item events whose payload was cut.
        hidden: seqs of the refusals that the log says were kept from the host.
        unread: unread records that are, or may be, this connection's.
        places: (first, last) line of each event, by seq.
        marks: what gives the release away -> the first line that shows it.
        doubts: what makes records that were read doubtful, in sentences.
    """

    connection: str
    recording: Recording
    begun: bool
    quiet: bool
    updates_logged: bool
    elided: int
    hidden: frozenset[int]
    unread: int
    places: tuple[tuple[int, int], ...] = ()
    marks: Mapping[str, int] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()


@dataclass
class LoggedConnection:
    """A connection while it is read.

    Attributes (those that do not speak for themselves):
        open_detail: the position of the event that the next record may say more about, or None.
        doubts: what is odd about a record that was read -> the first line of one.
        trace: the trace id, which no record of a connection changes.
        before: time, body and attributes of the last record.
    """

    name: str
    first_line: int
    first_us: int
    last_line: int = 0
    last_us: int = 0
    events: list[Event] = field(default_factory=list)
    open_detail: int | None = None
    begun: bool = False
    closed: bool = False
    info: bool = False
    audio: bool = False
    updates_logged: bool = False
    configured: bool = False
    waiting_texts: int = 0
    elided: int = 0
    hidden: set[int] = field(default_factory=set)
    places: list[tuple[int, int]] = field(default_factory=list)
    marks: dict[str, int] = field(default_factory=dict)
    doubts: dict[str, int] = field(default_factory=dict)
    trace: Value = None
    before: tuple[int, str, Mapping[str, Value]] | None = None


class Connections:
    """Every connection of a log, by number; those that were not used for the longest time wait on disk.

    A connection is changed only between `use` (or `add`) and the next `put_away`.
    """

    def __init__(self) -> None:
        self._near: OrderedDict[int, LoggedConnection] = OrderedDict()
        self._far: DiskBackedList[LoggedConnection] = DiskBackedList()
        self._places: dict[int, int] = {}
        self._sizes: dict[int, int] = {}
        self._used: set[int] = set()
        self._held = 0
        self._number = 0

    def __len__(self) -> int:
        return self._number

    def add(self, connection: LoggedConnection) -> int:
        """One more; gives its number."""
        self._number += 1
        return self._bring(self._number - 1, connection)

    def use(self, number: int) -> LoggedConnection:
        """The connection of a number."""
        if (near := self._near.get(number)) is not None:
            self._bring(number, near)
            return near
        found = self._far[self._places[number]]
        self._bring(number, found)
        return found

    def put_away(self) -> None:
        """Make room, where there are too many."""
        for number in self._used:
            size = len(self._near[number].events) + _OWN
            self._held += size - self._sizes.get(number, 0)
            self._sizes[number] = size
        self._used.clear()
        while self._held > _IN_MEMORY and len(self._near) > 1:
            number, connection = self._near.popitem(last=False)
            self._held -= self._sizes.pop(number)
            self._places[number] = self._far.append(connection)

    def __iter__(self) -> Iterator[LoggedConnection]:
        """All of them in the order of their numbers, to be read only."""
        for number in range(self._number):
            yield self._near[number] if number in self._near else self._far[self._places[number]]

    def _bring(self, number: int, connection: LoggedConnection) -> int:
        self._near[number] = connection
        self._near.move_to_end(number)
        self._used.add(number)
        return number


class UnreadPlaces:
    """Unread places by their lines: a damaged log can have as many of them as it has connections."""

    def __init__(self, places: list[Unread]) -> None:
        self.by_last = sorted(places, key=lambda each: each.line_last)
        by_first = sorted(places, key=lambda each: each.line_first)
        self.lasts = [each.line_last for each in self.by_last]
        self.firsts = [each.line_first for each in by_first]
        self.ended = [0, *accumulate(each.records for each in self.by_last)]
        self.begun = [0, *accumulate(each.records for each in by_first)]

    def records(self, first: int, last: int) -> int:
        """How many unread records have a line among these: those begun by the last, less those ended before the first."""
        return self.begun[bisect_right(self.firsts, last)] - self.ended[bisect_left(self.lasts, first)]

    def first(self, number: int, first: int, last: int) -> list[Unread]:
        """Some of them, in the order of their ends."""
        start = bisect_left(self.lasts, first)
        return [each for each in self.by_last[start : start + number] if each.line_first <= last]
