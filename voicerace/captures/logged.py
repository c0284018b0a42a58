"""A connection of a proxy's log: while it is read, and when it is done; and where the unread places are."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from voicerace.captures.console import Unread
from voicerace.captures.literal import Value
from voicerace.recording import Event, Recording

__all__ = ["Connection", "LoggedSession", "Places"]


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
class Connection:
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


class Places:
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
