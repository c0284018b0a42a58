"""Data structures of a proxy's log: connections being read, complete sessions, and ranges of unread lines."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from voicerace.captures.audio_chunks import AudioChunks
from voicerace.captures.disk_list import DiskBackedList
from voicerace.captures.log_scanner import Unread
from voicerace.captures.node_inspect import Value
from voicerace.trace.recording import Event, Recording

__all__ = ["Connections", "LoggedConnection", "LoggedSession", "UnreadRanges"]

#: Maximum number of events in memory, over all connections; about 15 MB.
_IN_MEMORY: Final = 30_000
#: Memory of a connection without events, as a number of events that need as much memory.
_OVERHEAD: Final = 10


@dataclass(frozen=True)
class LoggedSession:
    """One connection of a complete log.

    Attributes:
        connection: name of the connection in the log, an untrusted text.
        recording: the messages; the provenance contains the absolute start and the line numbers.
        begun: whether the log has the record of the connection's opening. If False, the first messages may be missing.
        errors_only: whether no INFO record was logged, so that messages are missing.
        updates_logged: whether the release logs session.update.
        elided: number of payloads that were cut in the log.
        hidden: seqs of the refusals that the proxy did not forward to the host.
        unread: number of unread records that may belong to this connection.
        event_lines: (first, last) line number of each event, indexed by seq.
        marks: key of a fingerprint -> number of the first line with the fingerprint.
        doubts: failed integrity checks, one sentence each.
        audio: the API's audio, as far as the log names its bytes.
    """

    connection: str
    recording: Recording
    begun: bool
    errors_only: bool
    updates_logged: bool
    elided: int
    hidden: frozenset[int]
    unread: int
    event_lines: tuple[tuple[int, int], ...] = ()
    marks: Mapping[str, int] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    audio: AudioChunks = field(default_factory=AudioChunks)


@dataclass
class LoggedConnection:
    """A connection during reading.

    Attributes that are not in `LoggedSession`:
        open_detail: index of the event that the next record may complete, or None.
        info: whether an INFO record was read.
        audio_sent: whether audio of the host was logged.
        waiting_texts: number of user texts that the proxy queues until session.updated.
        doubts: failed integrity check -> number of the first line that fails the check.
        trace: trace id, which all records of a connection share.
        previous: time in µs, body and attributes of the previous record.
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
    audio_sent: bool = False
    audio: AudioChunks = field(default_factory=AudioChunks)
    updates_logged: bool = False
    configured: bool = False
    waiting_texts: int = 0
    elided: int = 0
    hidden: set[int] = field(default_factory=set)
    event_lines: list[tuple[int, int]] = field(default_factory=list)
    marks: dict[str, int] = field(default_factory=dict)
    doubts: dict[str, int] = field(default_factory=dict)
    trace: Value = None
    previous: tuple[int, str, Mapping[str, Value]] | None = None


class Connections:
    """All connections of a log, identified by number. The least recently used connections are stored on disk.

    A caller may change a connection only between `use` (or `add`) and the next `evict`.
    """

    def __init__(self) -> None:
        self._in_memory: OrderedDict[int, LoggedConnection] = OrderedDict()
        self._on_disk: DiskBackedList[LoggedConnection] = DiskBackedList()
        self._disk_numbers: dict[int, int] = {}
        self._sizes: dict[int, int] = {}
        self._used: set[int] = set()
        self._events_held = 0
        self._number = 0

    def __len__(self) -> int:
        return self._number

    def add(self, connection: LoggedConnection) -> int:
        """Add a connection and return its number."""
        self._number += 1
        return self._load(self._number - 1, connection)

    def use(self, number: int) -> LoggedConnection:
        """Load a connection into memory and return it."""
        if (loaded := self._in_memory.get(number)) is not None:
            self._load(number, loaded)
            return loaded
        found = self._on_disk[self._disk_numbers[number]]
        self._load(number, found)
        return found

    def evict(self) -> None:
        """Move the least recently used connections to disk until at most `_IN_MEMORY` events are in memory."""
        for number in self._used:
            size = len(self._in_memory[number].events) + _OVERHEAD
            self._events_held += size - self._sizes.get(number, 0)
            self._sizes[number] = size
        self._used.clear()
        while self._events_held > _IN_MEMORY and len(self._in_memory) > 1:
            number, connection = self._in_memory.popitem(last=False)
            self._events_held -= self._sizes.pop(number)
            self._disk_numbers[number] = self._on_disk.append(connection)

    def __iter__(self) -> Iterator[LoggedConnection]:
        """Yield all connections in order. The caller must not change the connections."""
        for number in range(self._number):
            yield self._in_memory[number] if number in self._in_memory else self._on_disk[self._disk_numbers[number]]

    def _load(self, number: int, connection: LoggedConnection) -> int:
        self._in_memory[number] = connection
        self._in_memory.move_to_end(number)
        self._used.add(number)
        return number


class UnreadRanges:
    """Unread ranges of lines. They are sorted, so that the unread records in a range are counted in logarithmic time."""

    def __init__(self, ranges: list[Unread]) -> None:
        self.by_last = sorted(ranges, key=lambda each: each.line_last)
        by_first = sorted(ranges, key=lambda each: each.line_first)
        self.lasts = [each.line_last for each in self.by_last]
        self.firsts = [each.line_first for each in by_first]
        self.ended = [0, *accumulate(each.records for each in self.by_last)]
        self.begun = [0, *accumulate(each.records for each in by_first)]

    def records(self, first: int, last: int) -> int:
        """Return the number of unread records that overlap the lines from `first` to `last`."""
        return self.begun[bisect_right(self.firsts, last)] - self.ended[bisect_left(self.lasts, first)]

    def first(self, number: int, first: int, last: int) -> list[Unread]:
        """Return up to `number` unread ranges that overlap the lines from `first` to `last`, sorted by their last lines."""
        start = bisect_left(self.lasts, first)
        return [each for each in self.by_last[start : start + number] if each.line_first <= last]
