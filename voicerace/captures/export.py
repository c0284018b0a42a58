"""Export a session in Chrome's trace format, which Perfetto opens, or as a Mermaid sequence diagram.

No payload is written. Only message types and values of `Event.observed_at` on the allow lists are written
(`voicerace.captures.known_fields`, `voicerace.captures.allowed`). A trace consists of complete (``X``) events of the "Trace
Event Format", with times in microseconds. Mermaid: https://mermaid.js.org/syntax/sequenceDiagram.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from voicerace.captures.allowed import known_place
from voicerace.captures.known_fields import known_type
from voicerace.model.protocol import realtime
from voicerace.model.protocol.ledger import Ledger
from voicerace.trace.recording import Event, Recording

__all__ = ["mermaid", "perfetto"]

_ACTORS: Final = ("user", "app", "component", "proxy", "upstream")
#: Maximum number of rows per actor.
_LANES: Final = 1000
_SLOT: Final = (len(_ACTORS) + 1) * _LANES
_STREAMED: Final = (".delta", ".append", "(binary)")
_WORD: Final = re.compile(r"[^\w.() -]")


def perfetto(recording: Recording) -> dict[str, Any]:
    """Return a recording as a Chrome trace, with one slice per response, and one slice per message in a row of its sender.

    Perfetto drops slices that overlap in one row and are not nested. An overlapping slice is therefore moved to another row of
    its sender.
    """
    events: list[dict[str, Any]] = []
    ledger = Ledger()
    for event in _ordered(recording):
        at = event.at_ns("proxy")
        if at is None:
            continue
        end = event.received_ns if event.sent_ns is not None and event.received_ns is not None else at
        start = event.sent_ns if event.sent_ns is not None else at
        events.append(
            {
                "ph": "X",
                "name": _name(event),
                "cat": str(event.link),
                "pid": 1,
                "tid": (_ACTORS.index(event.link.sender) + 1) * _LANES,
                "ts": start / 1000,
                "dur": max(0, end - start) / 1000,
                "args": {"to": event.link.receiver, "observed_at": known_place(event.observed_at)},
            }
        )
        if "upstream" in event.link and event.kind == "message":
            ledger.feed(event.link.sender, event.payload, event.seq)
    by_seq = {event.seq: event for event in recording.events}
    last = max((at for e in recording.events if (at := e.at_ns("proxy")) is not None), default=0)
    for number, response in enumerate(ledger.responses.values(), start=1):
        began = by_seq[response.created].at_ns("proxy") or 0
        ended = last if response.done is None else by_seq[response.done].at_ns("proxy") or 0
        slice_ = {"ph": "X", "name": f"response {number}", "pid": 1, "tid": _SLOT, "ts": began / 1000}
        events.append({**slice_, "dur": max(0, ended - began) / 1000, "args": {"done": response.done is not None}})
    return {"traceEvents": [*_in_lanes(events), *events], "displayTimeUnit": "ms"}


def _in_lanes(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Move each slice to the first free row of its actor, and return the metadata events that name the rows."""
    ends: dict[int, int] = {}
    names = {(at + 1) * _LANES: name for at, name in enumerate((*_ACTORS, "active response"))}
    rows = dict(names)
    for each in sorted(events, key=lambda each: each["ts"]):
        first = each["tid"]
        # Compare in whole nanoseconds, to which Perfetto rounds times.
        start, end = round(each["ts"] * 1000), round(each["ts"] * 1000) + round(each["dur"] * 1000)
        while ends.get(each["tid"], 0) > start and each["tid"] < first + _LANES - 1:
            each["tid"] += 1
        ends[each["tid"]] = end
        if each["tid"] != first:
            rows[each["tid"]] = f"{names[first]} ({each['tid'] - first + 1})"
    return [
        {"ph": "M", "name": "thread_name", "pid": 1, "tid": tid, "args": {"name": name}} for tid, name in sorted(rows.items())
    ]


def mermaid(recording: Recording) -> Iterator[str]:
    """Yield the lines of a sequence diagram, without deltas and audio; derived messages have dashed arrows."""
    yield "sequenceDiagram"
    yield "  participant component as host"
    yield "  participant proxy"
    yield "  participant upstream"
    notes = ["streamed pieces are left out"] if any(e.type.endswith(_STREAMED) for e in recording.events) else []
    if any(e.observed_at == "derived" for e in recording.events):
        notes.append("dashed - derived by the model of the release")
    if notes:
        yield f"  Note over component,upstream: {', '.join(notes)}"
    for event in _ordered(recording):
        if "proxy" not in event.link or event.type.endswith(_STREAMED):
            continue
        arrow = "--)" if event.observed_at == "derived" else "-)"
        at = event.at_ns("proxy")
        when = "" if at is None else f"{at / 1e6:.1f} ms "
        yield f"  {event.link.sender}{arrow}{event.link.receiver}: {when}{_name(event)}"


def _ordered(recording: Recording) -> list[Event]:
    return [event for event in recording.ordered("proxy") if event.arrived]


def _name(event: Event) -> str:
    """Return a message's type, or a text for a refusal, without characters of the diagram syntax."""
    if isinstance(event.payload, Mapping) and realtime.is_refusal(event.payload):
        return "error (active response)"
    return _WORD.sub("_", known_type(event.type))
