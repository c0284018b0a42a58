"""What makes records doubtful that can be read: damage that leaves them readable shows itself so.

Each doubt is a sentence, and no count of its connection is certain. Two of them can be wrong, which only the whole
connection shows: then they are dispelled. Others show only in the whole connection: a record that is missing behind, or
before, another one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from voicerace.captures import known_fields
from voicerace.captures.log_records import Says, record_of
from voicerace.captures.logged import LoggedConnection
from voicerace.captures.node_inspect import Value
from voicerace.model.protocol import realtime
from voicerace.trace.recording import COMPONENT_TO_PROXY, UPSTREAM_TO_PROXY, Event

__all__ = ["clear_doubts", "doubts_of", "missing"]

_TWICE_SENT: Final = "two records in a row are the same host message, and the API did not confirm as many"
_TWICE_ITEM: Final = "two records in a row are the same news of an item, and not as many items end as begin"
#: News of an item's beginning -> of its end: two items of one millisecond leave two records that are the same.
_ENDS: Final = {realtime.ITEM_ADDED: realtime.ITEM_DONE, "response.output_item.added": "response.output_item.done"}
_BALANCED: Final = frozenset({*_ENDS, *_ENDS.values()})
#: What ends -> what it began with, at most as often.
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
    """Take away the doubts of a whole connection that its books answer."""
    if _TWICE_SENT in of.doubts and _all_confirmed(of.events):
        del of.doubts[_TWICE_SENT]
    if _TWICE_ITEM in of.doubts and _all_ended(of.events):
        del of.doubts[_TWICE_ITEM]


def missing(of: LoggedConnection) -> Iterator[tuple[str, int]]:
    """What a connection lacks that no proxy leaves out, with the first line that shows it."""
    seen: Counter[str] = Counter()
    said: set[str] = set()
    for event, (line, _) in zip(of.events, of.places, strict=True):
        if event.link != UPSTREAM_TO_PROXY or event.kind != "message":
            continue
        seen[event.type] += 1
        begins = _BEGINS.get(event.type)
        what = None
        if event.type == realtime.ERROR and isinstance(event.payload, Mapping) and "error" not in event.payload:
            # Every release writes both, and the text says which error it was: a refusal may be lost here.
            what = "an error whose text is not in the record behind it"
        elif of.begun and begins is not None and seen[event.type] > sum(seen[each] for each in begins):
            what = f"a {event.type} more than there are beginnings of one"
        if what is not None and what not in said:
            said.add(what)
            yield what, line


def doubts_of(
    of: LoggedConnection, time_us: int, body: str, attributes: Mapping[str, Value], events: Sequence[Event]
) -> Iterator[str]:
    """What no proxy writes, in a record that can be read: damage that leaves it readable shows itself so."""
    trace = attributes.get("trace_id")
    if of.trace is None:
        of.trace = trace
    if trace is not None and trace != of.trace:
        yield "a record with another trace id than its connection's"
    row = record_of(body)
    if row is not None and row.says is Says.MESSAGE and attributes.get("direction") != row.direction:
        yield "a record whose text and direction do not agree"
    for event in events:
        if event.kind == "message" and event.link == UPSTREAM_TO_PROXY and event.type not in _KNOWN:
            yield "an event of a type that the Realtime API does not have"
        if event.link == COMPONENT_TO_PROXY and event.kind == "message" and event.type in _NOT_OF_THE_HOST:
            yield "a host message of a type that only the other side sends"
    message, code = attributes.get("error.message"), attributes.get("error.code")
    if isinstance(message, str) and ("already has an active response" in message) != (code == realtime.ACTIVE_RESPONSE):
        yield "an error whose code and text do not agree"
    deltas = str(attributes.get("message_type")).endswith((".delta", ".append"))
    if not deltas and of.before == (time_us, body, attributes):
        if row is not None and row.direction == "client→upstream":
            yield _TWICE_SENT
        else:
            yield _TWICE_ITEM if attributes.get("message_type") in _BALANCED else "two records in a row are the same"


def _all_confirmed(events: list[Event]) -> bool:
    """Whether the API announced an item for every one of the host's: then none of them is a record that came twice."""
    sent = sum(e.link == COMPONENT_TO_PROXY and e.type in ("FunctionCallResponse", "InjectUserMessage") for e in events)
    own = sum(e.type == "response.output_item.added" for e in events)
    return sum(e.type in (realtime.ITEM_ADDED, realtime.ITEM_CREATED) for e in events) >= sent + own


def _all_ended(events: list[Event]) -> bool:
    """Whether every item that begins ends, once: then no news of one is a record that came twice."""
    types = Counter(event.type for event in events if event.link == UPSTREAM_TO_PROXY)
    return all(types[begin] == types[end] for begin, end in _ENDS.items())
