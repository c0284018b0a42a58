"""A recording in its order at the upstream, with the ledger of that link."""

from __future__ import annotations

from collections.abc import Mapping

from voicerace.model.protocol.ledger import Create, Ledger, Response
from voicerace.trace.recording import Event, Recording
from voicerace.units import ns

__all__ = ["TraceIndex", "time_of"]


class TraceIndex:
    """A recording, indexed by seq, by type and by position at the upstream.

    Attributes:
        recording: the recording.
        by_seq: seq -> event.
        by_type: type -> its events, in order; see `of_type`.
        host_seen, upstream_seen: both directions of that link were observed.
        ledger: the ledger of the upstream link; its keys are seqs.
        order: seq -> position at the upstream, for messages of that link, in that order; `end` is their number.
        said_ns: text of the user -> times at which it reached the proxy; empty if that link was not observed.
        closes: the closings of connections before the first fault, which can cause further ones.
        fault: reason of the first fault, or None; `fault_on`: its link; `before_fault`: the events before it.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.by_seq = {event.seq: event for event in recording.events}
        self.by_type: dict[str, list[Event]] = {}
        for event in recording.events:
            self.by_type.setdefault(event.type, []).append(event)
        self.host_seen = recording.observes("proxy", "component") and recording.observes("component", "proxy")
        self.upstream_seen = recording.observes("proxy", "upstream") and recording.observes("upstream", "proxy")
        self.ledger = Ledger()
        self.order: dict[int, int] = {}
        wire = [e for e in recording.events if "upstream" in e.link and e.kind == "message" and e.arrived]
        for position, event in enumerate(recording.ordered("upstream", wire)):
            self.order[event.seq] = position
            self.ledger.feed(event.link.sender, event.payload, event.seq)
        self.end = len(self.order)
        self.said_ns: dict[str, list[int]] = {}
        for event in self.of_type("InjectUserMessage") if self.host_seen else ():
            if isinstance(event.payload, Mapping):
                self.said_ns.setdefault(str(event.payload.get("content")), []).append(time_of(event, "proxy"))
        fault = next((e for e in recording.events if e.kind == "fault"), None)
        self.fault_on = fault.link if fault is not None else None
        self.before_fault = [e for e in recording.events if fault is None or e.seq < fault.seq]
        self.closes = [e for e in self.before_fault if e.kind == "close"]
        self.fault = str(fault.payload.get("reason")) if fault is not None and isinstance(fault.payload, Mapping) else None

    def of_type(self, *names: str) -> list[Event]:
        """The events of some types, grouped by type, each group in order."""
        return [event for name in names for event in self.by_type.get(name, ())]

    def begun(self, response: Response) -> int:
        """Position at the upstream of the event that began a response; see `beginning`."""
        return self.order[self.beginning(response)]

    def beginning(self, response: Response) -> int:
        """The event that began a response: its create, or for the server's own the event at which the server decided."""
        return response.decided.key if response.create is None else self.ledger.creates[response.create].key

    def in_the_way(self, position: int, create: Create | None = None) -> Response | None:
        """The response that holds the slot at a position; without one, the last that was done before it."""
        if create is not None and create.answer == "refused" and create.names in self.ledger.responses:
            return self.ledger.responses[create.names]
        before = [r for r in self.ledger.responses.values() if self.begun(r) < position]
        holding = [r for r in before if r.done is None or self.order[r.done] > position]
        return holding[-1] if holding else before[-1] if before else None

    def named_ns(self, name: str, default_ms: int) -> int | None:
        """A time from the provenance in ns; None if it was drawn and is therefore unknown."""
        times = self.recording.provenance.get("times")
        given = times.get(name, default_ms) if isinstance(times, Mapping) else default_ms
        try:
            return ns(float(given))
        except (TypeError, ValueError):
            return None


def time_of(event: Event, actor: str) -> int:
    """The known time of an event at, or nearest to, an actor in ns; 0 without any."""
    return event.at_ns(actor) or 0
