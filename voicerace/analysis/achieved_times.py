"""Measure the times of `model.catalog.profiles.TIMES` in a recording.

Server times are measured at the upstream, the tool's at the app. In a recording of the virtual engine they equal the
configured times to the nanosecond; in a live one the difference is the delay of the machine and the network.

Where a link was observed elsewhere, the value also contains the delay in between:

- ``tool_ms``, ``repeat_ms``: without the app's links, measured on the host link at the component. If that was observed at the
  proxy only, ``tool_ms`` contains the round trip to the host. Without the host link they are missing.
- ``create_ms``, ``ack_ms``: observed at the proxy (by a relay or its log), they contain the round trip to the upstream.
- All other server times are between two messages of one direction, and contain the jitter only.
- ``host_rtt_ms``, ``upstream_rtt_ms``: only if both ends are on one clock (`Event.observed_at` ``engine``, or ``socket``:
  the emulated network alone). The two times of a relay are its own delay, and a log has one time.

Not measured are times without a message (``slot_lag_ms``), times for which no actor waits (``rate_limits_ms``), and those of
the user (``speech_ms``, ``deadline_ms``, ...).
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
#: The link of the requests, and that of the results.
_REQUEST_LINKS: Final = (PROXY_TO_COMPONENT, COMPONENT_TO_PROXY)


@dataclass(frozen=True, slots=True)
class Measured:
    """One achieved time.

    Attributes:
        name: a name of `TIMES`.
        index: number of the value; `Times.ns(name, index, seed)` is the configured one.
        ns: duration in ns.
    """

    name: str
    index: int
    ns: float


def measured(recording: Recording) -> dict[str, list[float]]:
    """Measure the times of a recording: name -> values in ms, in the order of `Measured.index`.

    Names without a value are missing. ``tool_ms`` has one value per call that has a result of the app, in their order.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for each in sorted(measurements(recording), key=lambda each: each.index):
        found[each.name].append(each.ns / 1_000_000)
    return dict(found)


def measurements(recording: Recording) -> list[Measured]:
    """Measure the times of a recording, each with the index of its configured time."""
    trace = TraceIndex(recording)
    rtts = (*_round_trip("host_rtt_ms", recording, _REQUEST_LINKS), *_round_trip("upstream_rtt_ms", recording, UPSTREAM_LINKS))
    return [*rtts, *_tools(recording), *_server(trace), *_acks(trace)]


# -- the app ---------------------------------------------------------------------------------------------------------


def _tools(recording: Recording) -> Iterator[Measured]:
    """`tool_ms` and `repeat_ms`, from the app's links if they were observed, else from the host link."""
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
    """The ids of the calls that a message requests."""
    match message.get("type"):
        case "onFunctionCallRequest":
            return (str(message.get("id")),)
        case "FunctionCallRequest":
            functions = message.get("functions")
            calls = functions if isinstance(functions, list) else ()
            return [str(call.get("id")) for call in calls if isinstance(call, Mapping)]
    return ()


def _result_of(message: Mapping[str, Any]) -> str | None:
    """The id of the call of which a message carries the app's result; None without one."""
    kind, value = message.get("type"), message.get("value")
    if kind == "FunctionCallResponse":
        answers = placeholder_in(message.get("content")) is None
    elif kind == "resolved":
        answers = isinstance(value, Mapping) and "id" in value
    else:
        answers = kind in ("sendFunctionCallResponse", "sendResponse", "rejected")
    return str(message.get("id")) if answers else None


# -- the upstream ----------------------------------------------------------------------------------------------------


def _server(trace: TraceIndex) -> Iterator[Measured]:
    """Times of the upstream's responses."""
    own: dict[str, list[Event]] = defaultdict(list)
    for seq in trace.order:
        event = trace.by_seq[seq]
        if isinstance(event.payload, Mapping) and event.link.sender == "upstream":
            own[str(event.payload.get("response_id"))].append(event)
    calls = 0
    for number, response in enumerate(trace.ledger.responses.values()):
        # The duration of a cancelled response depends on its cancellation.
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
    """Durations of the items of a response, and the gaps between them.

    An item ends with its content's `.done`. If a response ends all its items together, an earlier item ends with its last
    delta before the next item begins.
    """
    opened: list[Event] = []
    ends: dict[int, Event] = {}
    for event in events:
        if event.type == "response.output_item.added":
            opened.append(event)
        elif event.type in _CONTENT and opened and _of(event) == _item_id(opened[-1]):
            ends[len(opened) - 1] = event
    calling = any(_is_call(event) for event in opened)
    before: Event | None = None
    for position, event in enumerate(opened):
        end = ends.get(position)
        if end is not None and position == len(opened) - 1 and end.type not in _ENDS:
            end = None
        if _is_call(event):
            yield from _between("call_gap_ms", call, before, event)
            yield from _between("arguments_ms", call, event, end)
            call += 1
        elif calling and position == 0:
            yield from _between("preamble_ms", number, event, end)
        before = end


def _is_call(event: Event) -> bool:
    payload: Any = event.payload
    return realtime.item_of(payload).get("type") == "function_call"


def _of(event: Event) -> str:
    """The id of the item that a content event belongs to."""
    payload: Any = event.payload
    return str(payload.get("item_id"))


def _ended(trace: TraceIndex, response: Response, number: int, events: list[Event]) -> Iterator[Measured]:
    """From the end of the last content to response.done, and the duration of a reply."""
    done = None if response.done is None else trace.by_seq[response.done]
    if arguments := _last(events, realtime.ARGUMENTS_DONE):
        of_call = _of(arguments)
        closed = (event for event in events if event.type == "response.output_item.done" and _item_id(event) == of_call)
        yield from _between("item_done_ms", number, arguments, next(closed, None))
        # Without response.done another call could follow.
        yield from _between("gap_ms", number, arguments, done)
    elif done is not None and (content := _last(events, *_CONTENT_DONE)):
        # Before response.done the message could still be a preamble.
        yield from _between("reply_ms", number, _first(events, "response.output_item.added"), content)
        yield from _between("reply_gap_ms", number, content, done)


def _acks(trace: TraceIndex) -> Iterator[Measured]:
    """From an item of the client to its confirmation; equal items are confirmed in order."""
    refused = {output.key for output in trace.ledger.outputs if output.refused}
    waiting: dict[tuple[str, ...], list[tuple[int, Event]]] = defaultdict(list)
    confirming: set[str] = set()
    index = 0
    for seq in trace.order:
        event = trace.by_seq[seq]
        if event.type == realtime.ITEM_CREATE and seq not in refused:
            waiting[_same(event)].append((index, event))
            index += 1
        # An item has two events, added and done; the first confirms it.
        elif event.type in _CONFIRMS and _item_id(event) not in confirming and waiting.get(_same(event)):
            confirming.add(_item_id(event))
            number, create = waiting[_same(event)].pop(0)
            yield from _between("ack_ms", number, create, event)


def _same(event: Event) -> tuple[str, ...]:
    """The fields that an item of the client and its confirmation have in common; its id can be the server's."""
    item = realtime.item_of(event.payload) if isinstance(event.payload, Mapping) else {}
    content = item.get("content")
    parts = [part for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []
    names = ("type", "role", "call_id", "output")
    # As text, because the values can be of any type.
    return (*(repr(item.get(name)) for name in names), *(repr(part.get("text")) for part in parts))


# -- times ---------------------------------------------------------------------------------------------------------


def _round_trip(name: str, recording: Recording, links: tuple[Link, Link]) -> Iterator[Measured]:
    """The sum of the two directions' mean delays."""
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
    """The time between two messages at the upstream; nothing if one is missing or has no time."""
    since, until = (None if each is None else each.at_ns("upstream") for each in (start, end))
    if since is not None and until is not None:
        yield Measured(name, index, until - since)


def _first(events: Iterable[Event], *kinds: str) -> Event | None:
    return next((event for event in events if event.type in kinds), None)


def _last(events: list[Event], *kinds: str) -> Event | None:
    return _first(reversed(events), *kinds)


def _item_id(event: Event) -> str:
    return str(realtime.item_of(event.payload).get("id")) if isinstance(event.payload, Mapping) else ""
