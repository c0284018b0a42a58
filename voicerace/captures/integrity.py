"""Check readable log records for signs that records are damaged, repeated or missing.

A failed check yields a doubt: a sentence that describes it. A connection with a doubt has no certain counts. When the
connection is complete, `missing` checks for missing records, and `clear_doubts` removes doubts about equal records of different
messages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from voicerace.captures import known_fields
from voicerace.captures.log_records import RecordKind, record_of
from voicerace.captures.logged import LoggedConnection
from voicerace.captures.node_inspect import Value
from voicerace.model.protocol import realtime
from voicerace.trace.recording import COMPONENT_TO_PROXY, UPSTREAM_TO_PROXY, Event

__all__ = ["clear_doubts", "doubts_of", "missing"]

_TWICE_SENT: Final = "two records in a row are the same host message, and the API confirmed fewer"
_TWICE_ITEM: Final = "two records in a row are the same event of an item, and not as many items end as begin"
#: Type of the event that adds an item -> type of the event that completes the item. Two events of one of these types within 1
#: ms have equal records.
_ENDS: Final = {realtime.ITEM_ADDED: realtime.ITEM_DONE, "response.output_item.added": "response.output_item.done"}
_BALANCED: Final = frozenset({*_ENDS, *_ENDS.values()})
#: Type of an end event -> types of its start events. A complete log has at least as many start events as end events.
_BEGINS: Final = {
    realtime.RESPONSE_DONE: (realtime.RESPONSE_CREATED,),
    "response.output_item.done": ("response.output_item.added",),
    "response.content_part.done": ("response.content_part.added",),
    realtime.ITEM_DONE: (realtime.ITEM_ADDED, realtime.ITEM_CREATED),
}
_KNOWN: Final = frozenset({*known_fields.SERVER_TYPES, "(no type)"})
_NOT_OF_THE_HOST: Final = frozenset(
    {realtime.ERROR, realtime.SESSION_UPDATED, realtime.SESSION_CREATED, realtime.RESPONSE_DONE}
)


def clear_doubts(of: LoggedConnection) -> None:
    """Remove doubts about repeated records that the events of a complete connection disprove."""
    if _TWICE_SENT in of.doubts and _all_confirmed(of.events):
        del of.doubts[_TWICE_SENT]
    if _TWICE_ITEM in of.doubts and _all_ended(of.events):
        del of.doubts[_TWICE_ITEM]


def missing(of: LoggedConnection) -> Iterator[tuple[str, int]]:
    """Yield (doubt, line number) for each kind of missing record, with the first line that shows the loss."""
    counts: Counter[str] = Counter()
    reported: set[str] = set()
    for event, (line, _) in zip(of.events, of.event_lines, strict=True):
        if event.link != UPSTREAM_TO_PROXY or event.kind != "message":
            continue
        counts[event.type] += 1
        begins = _BEGINS.get(event.type)
        what = None
        if event.type == realtime.ERROR and isinstance(event.payload, Mapping) and "error" not in event.payload:
            # Every release logs an error's text in a second record. An error without its text can be a refusal.
            what = "an error whose text is not in the next record"
        elif of.begun and begins is not None and counts[event.type] > sum(counts[each] for each in begins):
            what = f"a {event.type} without its beginning"
        if what is not None and what not in reported:
            reported.add(what)
            yield what, line


def doubts_of(
    of: LoggedConnection, time_us: int, body: str, attributes: Mapping[str, Value], events: Sequence[Event]
) -> Iterator[str]:
    """Yield the doubts about one readable record that contains `events`. The first record sets `of.trace`."""
    trace = attributes.get("trace_id")
    if of.trace is None:
        of.trace = trace
    if trace is not None and trace != of.trace:
        yield "a record whose trace id differs from its connection's"
    row = record_of(body)
    if row is not None and row.kind is RecordKind.MESSAGE and attributes.get("direction") != row.direction:
        yield "a record whose text and direction disagree"
    for event in events:
        if event.kind == "message" and event.link == UPSTREAM_TO_PROXY and event.type not in _KNOWN:
            yield "an event of a type unknown to the Realtime API"
        if event.link == COMPONENT_TO_PROXY and event.kind == "message" and event.type in _NOT_OF_THE_HOST:
            yield "a host message of a type that only the API sends"
    message, code = attributes.get("error.message"), attributes.get("error.code")
    active = isinstance(message, str) and "already has an active response" in message
    if isinstance(message, str) and active != (code == realtime.ACTIVE_RESPONSE) and code != realtime.RENAMED_ACTIVE_RESPONSE:
        yield "an error whose code and text disagree"
    yield from of.audio.take(body, events)
    deltas = str(attributes.get("message_type")).endswith((".delta", ".append"))
    if not deltas and of.previous == (time_us, body, attributes):
        if row is not None and row.direction == "client→upstream":
            yield _TWICE_SENT
        else:
            yield _TWICE_ITEM if attributes.get("message_type") in _BALANCED else "two records in a row are the same"


def _all_confirmed(events: list[Event]) -> bool:
    """Return whether the API added at least as many items as the host and the responses sent, so that no record is repeated."""
    sent = sum(e.link == COMPONENT_TO_PROXY and e.type in ("FunctionCallResponse", "InjectUserMessage") for e in events)
    own = sum(e.type == "response.output_item.added" for e in events)
    return sum(e.type in (realtime.ITEM_ADDED, realtime.ITEM_CREATED) for e in events) >= sent + own


def _all_ended(events: list[Event]) -> bool:
    """Return whether the numbers of completed and added items are equal, so that no record is repeated."""
    types = Counter(event.type for event in events if event.link == UPSTREAM_TO_PROXY)
    return all(types[begin] == types[end] for begin, end in _ENDS.items())
