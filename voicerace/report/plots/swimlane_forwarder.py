"""Add a forwarder's lane to a swimlane: passed and held messages cross it, dropped messages end at it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from voicerace.analysis.trace_index import TraceIndex
from voicerace.report.plots.swimlane_rows import FIRST, Labels, Lanes, MessageRow
from voicerace.trace.recording import (
    COMPONENT_TO_FORWARDER,
    COMPONENT_TO_PROXY,
    FORWARDER_LINKS,
    FORWARDER_TO_COMPONENT,
    PROXY_TO_COMPONENT,
    Event,
    Recording,
)

__all__ = ["FORWARDER", "with_forwarder"]

FORWARDER: Final = "forwarder"
#: Minimum time in ns in the forwarder from which a message is drawn as held.
_HELD_NS: Final = 5_000_000
_DROPPED: Final = "dropped: not yet connected to the proxy"


def with_forwarder(lanes: Lanes, recording: Recording) -> Lanes:
    """Return the lanes of a recording with those messages that the forwarder holds or drops, and with its opening.

    Lanes of a recording without a forwarder, or without a message, are returned unchanged.
    """
    if not set(recording.observed).intersection(FORWARDER_LINKS) or not lanes.rows:
        return lanes
    by_seq = {event.seq: event for event in recording.events}
    hops = dict(_hops(recording))
    first = by_seq[lanes.rows[0].seq]
    origin_ns = _time(first) - lanes.rows[0].sent_ns
    rows = [_crossing(row, hops.get(row.seq), by_seq, origin_ns) for row in lanes.rows]
    begun_ns = None if lanes.turn is None else min(row.sent_ns for row in rows)
    further = [row for row in _own(recording, hops, origin_ns) if begun_ns is None or row.sent_ns >= begun_ns]
    ordered = sorted([*rows, *further], key=lambda row: (row.sent_ns, row.seq))
    # Without a function call, time 0 is the first message.
    early_ns = min(0, ordered[0].sent_ns) if lanes.origin == FIRST else 0
    ordered = [replace(row, sent_ns=row.sent_ns - early_ns, received_ns=row.received_ns - early_ns) for row in ordered]
    names = f"{lanes.names}, forwarder {recording.provenance.get('forwarder', '')}".rstrip()
    return replace(lanes, rows=tuple(ordered), names=names, forwarder=True)


def _hops(recording: Recording) -> Iterator[tuple[int, Event]]:
    """Yield (seq of a message between forwarder and proxy, the same message between component and forwarder)."""
    for near, far, first in (
        (COMPONENT_TO_FORWARDER, COMPONENT_TO_PROXY, True),
        (FORWARDER_TO_COMPONENT, PROXY_TO_COMPONENT, False),
    ):
        before, after = (near, far) if first else (far, near)
        waiting: deque[Event] = deque()
        for event in recording.events:
            if event.link == before and event.kind == "message":
                waiting.append(event)
            elif event.link == after and event.kind == "message":
                # The relay keeps the order, so earlier messages that differ were dropped.
                while waiting and waiting[0].payload != event.payload:
                    waiting.popleft()
                if waiting:
                    other = waiting.popleft()
                    yield (event.seq, other) if first else (other.seq, event)


def _crossing(row: MessageRow, other: Event | None, by_seq: dict[int, Event], origin_ns: int) -> MessageRow:
    """Return the row of a message between host and proxy with its times at the host's end of the forwarder."""
    if other is None or "host" not in (row.sender, row.receiver):
        return row
    if row.sender == "host":
        arrived_ns = other.received_ns
        held = arrived_ns is not None and _time(by_seq[row.seq]) - arrived_ns >= _HELD_NS
        return replace(row, sent_ns=_time(other) - origin_ns, held=held)
    received_ns = other.received_ns if other.received_ns is not None else _time(other)
    return replace(row, received_ns=received_ns - origin_ns, arrived=other.arrived)


def _own(recording: Recording, hops: dict[int, Event], origin_ns: int) -> Iterator[MessageRow]:
    """Yield the rows of the forwarder's first opening and of the messages that it dropped."""
    labels = Labels(TraceIndex(recording).ledger)
    passed = {other.seq for other in hops.values()}
    opened = False
    for event in recording.events:
        at_ns = (event.received_ns if event.received_ns is not None else _time(event)) - origin_ns
        if event.kind == "open" and event.link == COMPONENT_TO_PROXY and not opened:
            opened = True
            yield MessageRow(event.seq, FORWARDER, "proxy", at_ns, at_ns, "connected")
        if event.kind == "message" and event.link == COMPONENT_TO_FORWARDER and event.arrived and event.seq not in passed:
            found = labels.of(replace(event, link=COMPONENT_TO_PROXY))
            if found is not None:
                yield MessageRow(
                    event.seq, "host", FORWARDER, _time(event) - origin_ns, at_ns, found[0], found[1], note=_DROPPED
                )


def _time(event: Event) -> int:
    """Return when a message was sent, in ns; if that is unknown, when it arrived."""
    return event.sent_ns if event.sent_ns is not None else event.received_ns or 0
