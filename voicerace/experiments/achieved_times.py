"""Measures the times of `model.catalog.profiles.TIMES` in a recording.

Times of the server are measured at the upstream, times of the tool at the app. In a recording of the virtual engine, the
measured times equal the configured times to the nanosecond. In a live recording, they also contain delays of the machine and
the network.

If a link was observed at another end, a time also contains delays between the two ends:

- ``tool_ms``, ``repeat_ms``: without the app's links they are measured on the host link at the component. If the host link
  was observed only at the proxy, ``tool_ms`` contains the round trip to the host. Without the host link, both times are
  missing.
- ``create_ms``, ``ack_ms``: if measured at the proxy (by a relay or in its log), they contain the round trip to the upstream.
- Other server times lie between two messages in the same direction, so only jitter is added to them.
- ``host_rtt_ms``, ``upstream_rtt_ms`` are measured only if both ends use one clock, that is, if `Event.observed_at` is
``engine`` or ``socket``. With ``socket``, they contain only the emulated network.

Times without a message (``slot_lag_ms``), times that do not delay an actor (``rate_limits_ms``) and times of the user
(``speech_ms``, ``deadline_ms``, ...) are not measured.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from voicerace.analysis.trace_index import TraceIndex
from voicerace.model.protocol import realtime
from voicerace.model.protocol.ledger import Response
from voicerace.model.protocol.results import placeholder_in
from voicerace.trace.recording import (
    APP_TO_COMPONENT,
    COMPONENT_TO_APP,
    COMPONENT_TO_PROXY,
    PROXY_TO_COMPONENT,
    UPSTREAM_LINKS,
    Event,
    Link,
    Recording,
)

__all__ = ["Measured", "measured", "measurements"]

_CONTENT_DONE: Final = (realtime.TEXT_DONE, realtime.AUDIO_DONE)
_ENDS: Final = frozenset({realtime.ARGUMENTS_DONE, *_CONTENT_DONE})
_CONTENT: Final = _ENDS | {realtime.ARGUMENTS_DELTA, realtime.TEXT_DELTA, realtime.AUDIO_DELTA}
_CONFIRMS: Final = (realtime.ITEM_ADDED, realtime.ITEM_CREATED, realtime.ITEM_DONE)
_APP_LINKS: Final = (COMPONENT_TO_APP, APP_TO_COMPONENT)
#: Links that carry function call requests and results.
_REQUEST_LINKS: Final = (PROXY_TO_COMPONENT, COMPONENT_TO_PROXY)


@dataclass(frozen=True, slots=True)
class Measured:
    """One measured time.

    Attributes:
        name: name of the time in `TIMES`.
        index: index of the value, for which `Times.ns(name, index, seed)` is the configured value.
        ns: duration in ns.
    """

    name: str
    index: int
    ns: float


def measured(recording: Recording) -> dict[str, list[float]]:
    """Return measured values in ms by name, in the order of `Measured.index`.

    A name without a value is missing. ``tool_ms`` has one value per call that got a result from the app, in call order.

    Args:
        recording: the session to measure.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for each in sorted(measurements(recording), key=lambda each: each.index):
        found[each.name].append(each.ns / 1_000_000)
    return dict(found)


def measurements(recording: Recording) -> list[Measured]:
    """Return the measured times of a recording."""
    trace = TraceIndex(recording)
    rtts = (*_round_trip("host_rtt_ms", recording, _REQUEST_LINKS), *_round_trip("upstream_rtt_ms", recording, UPSTREAM_LINKS))
    return [*rtts, *_tools(recording), *_server(trace), *_acks(trace)]


def _tools(recording: Recording) -> Iterator[Measured]:
    """Yield `tool_ms` and `repeat_ms`, measured on the app's links if they were observed, else on the host link."""
    at_app = all(recording.observes(*each) for each in _APP_LINKS)
    to, back = _APP_LINKS if at_app else _REQUEST_LINKS
    requested_ns: dict[str, int | None] = {}
    results: dict[str, list[int | None]] = defaultdict(list)
    for event in recording.events:
        if event.kind != "message" or not isinstance(event.payload, Mapping):
            continue
        if event.link == to:
            for call_id in _requested(event.payload):
                requested_ns.setdefault(call_id, event.at_ns(to.receiver))
        elif event.link == back and (answered := _result_of(event.payload)) is not None:
            results[answered].append(event.at_ns(back.sender))
    for index, (call_id, start) in enumerate(requested_ns.items()):
        moments = (start, *results[call_id])
        for count, (before, after) in enumerate(pairwise(moments)):
            if before is not None and after is not None:
                yield Measured("repeat_ms" if count else "tool_ms", count - 1 if count else index, after - before)


def _requested(message: Mapping[str, Any]) -> Iterable[str]:
    """Return the ids of the function calls that a message requests."""
    match message.get("type"):
        case "onFunctionCallRequest":
            return (str(message.get("id")),)
        case "FunctionCallRequest":
            functions = message.get("functions")
            calls = functions if isinstance(functions, list) else ()
            return [str(call.get("id")) for call in calls if isinstance(call, Mapping)]
    return ()


def _result_of(message: Mapping[str, Any]) -> str | None:
    """Return the call id if the message is the app's result for a call, else None."""
    kind, value = message.get("type"), message.get("value")
    if kind == "FunctionCallResponse":
        answers = placeholder_in(message.get("content")) is None
    elif kind == "resolved":
        answers = isinstance(value, Mapping) and "id" in value
    else:
        answers = kind in ("sendFunctionCallResponse", "sendResponse", "rejected")
    return str(message.get("id")) if answers else None


def _server(trace: TraceIndex) -> Iterator[Measured]:
    """Yield the times of the upstream's responses."""
    own: dict[str, list[Event]] = defaultdict(list)
    for seq in trace.order:
        event = trace.by_seq[seq]
        if isinstance(event.payload, Mapping) and event.link.sender == "upstream":
            own[str(event.payload.get("response_id"))].append(event)
    calls = 0
    for number, response in enumerate(trace.ledger.responses.values()):
        # The times of a cancelled response depend on when it was cancelled.
        if response.status != "cancelled":
            yield from _began(trace, response, number, own[response.id])
        if response.status in (None, "completed"):
            yield from _outputs(own[response.id], number, calls)
            yield from _ended(trace, response, number, own[response.id])
        calls += len(response.calls)


def _began(trace: TraceIndex, response: Response, number: int, events: list[Event]) -> Iterator[Measured]:
    created = trace.by_seq[response.created]
    if response.create is not None:
        create = trace.by_seq[trace.ledger.creates[response.create].key]
        yield from _between("create_ms", number, create, created)
    yield from _between("first_item_ms", number, created, _first(events, "response.output_item.added"))


def _outputs(events: list[Event], number: int, call: int) -> Iterator[Measured]:
    """Yield the durations of a response's items, and the gaps between items.

    An item ends with the `.done` event of its content. If a response sends the `.done` events of all items at its end, an item
    other than the last ends with its last delta.
    """
    opened: list[Event] = []
    ends: dict[int, Event] = {}
    for event in events:
        if event.type == "response.output_item.added":
            opened.append(event)
        elif event.type in _CONTENT and opened and _item_id(event) == _item_id(opened[-1]):
            ends[len(opened) - 1] = event
    calls = [_item(event).get("type") == "function_call" for event in opened]
    before: Event | None = None
    for position, event in enumerate(opened):
        end = ends.get(position)
        if end is not None and position == len(opened) - 1 and end.type not in _ENDS:
            end = None
        if calls[position]:
            yield from _between("call_gap_ms", call, before, event)
            yield from _between("arguments_ms", call, event, end)
            call += 1
        elif any(calls) and position == 0:
            yield from _between("preamble_ms", number, event, end)
        before = end


def _ended(trace: TraceIndex, response: Response, number: int, events: list[Event]) -> Iterator[Measured]:
    """Yield the time from the end of the last content to response.done, and the duration of a reply."""
    done = None if response.done is None else trace.by_seq[response.done]
    if arguments := _last(events, realtime.ARGUMENTS_DONE):
        of_call = _item_id(arguments)
        closed = (event for event in events if event.type == "response.output_item.done" and _item_id(event) == of_call)
        yield from _between("item_done_ms", number, arguments, next(closed, None))
        # If `done` is None, the gap is not measured, because another call could follow.
        yield from _between("gap_ms", number, arguments, done)
    elif done is not None and (content := _last(events, *_CONTENT_DONE)):
        # Until `response.done`, the message could be the preamble of a call.
        yield from _between("reply_ms", number, _first(events, "response.output_item.added"), content)
        yield from _between("reply_gap_ms", number, content, done)


def _acks(trace: TraceIndex) -> Iterator[Measured]:
    """Yield the time from each client item to its confirmation. Equal items are confirmed in order."""
    refused = {output.key for output in trace.ledger.outputs if output.refused}
    waiting: dict[tuple[str, ...], list[tuple[int, Event]]] = defaultdict(list)
    confirming: set[str] = set()
    index = 0
    for seq in trace.order:
        event = trace.by_seq[seq]
        if event.type == realtime.ITEM_CREATE and seq not in refused:
            waiting[_same(event)].append((index, event))
            index += 1
        # The server can send two events per item (added, done). The first is the confirmation.
        elif event.type in _CONFIRMS and _item_id(event) not in confirming and waiting.get(_same(event)):
            confirming.add(_item_id(event))
            number, create = waiting[_same(event)].pop(0)
            yield from _between("ack_ms", number, create, event)


def _same(event: Event) -> tuple[str, ...]:
    """Return the fields that are equal in an item and its confirmation. The server can assign another id."""
    item = _item(event)
    content = item.get("content")
    parts = [part for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []
    names = ("type", "role", "call_id", "output")
    # Text is hashable, unlike some values that a client can send.
    return (*(repr(item.get(name)) for name in names), *(repr(part.get("text")) for part in parts))


def _round_trip(name: str, recording: Recording, links: tuple[Link, Link]) -> Iterator[Measured]:
    """Yield the sum of the mean delays of both directions, or nothing if a direction has no measured delay."""
    means = []
    for link in links:
        took = [
            event.received_ns - event.sent_ns
            for event in recording.on(link)
            if event.kind == "message"
            and event.observed_at in ("engine", "socket")
            and event.sent_ns is not None
            and event.received_ns is not None
        ]
        if not took:
            return
        means.append(sum(took) / len(took))
    yield Measured(name, 0, sum(means))


def _between(name: str, index: int, start: Event | None, end: Event | None) -> Iterator[Measured]:
    """Yield the time between two messages at the upstream, or nothing if a message is missing or has no time."""
    since, until = (None if each is None else each.at_ns("upstream") for each in (start, end))
    if since is not None and until is not None:
        yield Measured(name, index, until - since)


def _first(events: Iterable[Event], *kinds: str) -> Event | None:
    return next((event for event in events if event.type in kinds), None)


def _last(events: list[Event], *kinds: str) -> Event | None:
    return _first(reversed(events), *kinds)


def _item(event: Event) -> Mapping[str, Any]:
    """Return the item of an event, or an empty mapping if the event has no item."""
    return realtime.item_of(event.payload) if isinstance(event.payload, Mapping) else {}


def _item_id(event: Event) -> str:
    """Return the id of the item that an event contains, or to which the event's content belongs."""
    found = event.payload.get("item_id") if isinstance(event.payload, Mapping) else None
    return str(_item(event).get("id", found))
