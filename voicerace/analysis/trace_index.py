"""Index of a recording: events by seq and by type, their order at the upstream, and the ledger of the upstream link."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from voicerace.model.protocol.ledger import Create, Ledger, Response
from voicerace.trace.recording import Event, Recording
from voicerace.units import ns

__all__ = ["DIRECT", "TraceIndex", "time_of"]

#: Topology in the provenance of a session without a proxy.
DIRECT: Final = "direct"


class TraceIndex:
    """A recording, indexed by seq, by type and by position at the upstream.

    Attributes:
        recording: the recording, without the links between component and forwarder.
        by_seq: seq -> event.
        by_type: type -> its events, in order; see `of_type`.
        direct: whether the client is connected to the API without a proxy. The client is then the host: what the API sends
            to it is sent to the host.
        host_seen: whether both directions of the host link were observed.
        upstream_seen: whether both directions of the upstream link were observed.
        ledger: ledger of the upstream link. Its keys are seqs.
        order: position at the upstream, by seq, for each message of the upstream link that arrived, sorted by position.
        end: number of messages in `order`.
        said_ns: times in ns at which a user text reached the proxy, by text. Empty if the host link was not observed.
        closes: ``close`` events before the first fault. Later ones are omitted, because a fault can cause them.
        fault: reason for the first fault, or None.
        fault_on: link of the first fault, or None.
        before_fault: events before the first fault.
    """

    def __init__(self, recording: Recording) -> None:
        recording = recording.without_forwarder
        self.recording = recording
        self.by_seq = {event.seq: event for event in recording.events}
        self.by_type: dict[str, list[Event]] = {}
        for event in recording.events:
            self.by_type.setdefault(event.type, []).append(event)
        self.direct = recording.provenance.get("topology") == DIRECT
        self.host_seen = self.direct or (recording.observes("proxy", "component") and recording.observes("component", "proxy"))
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
        """Return the events of the types `names`, grouped by type. Each group is in order."""
        return [event for name in names for event in self.by_type.get(name, ())]

    def begun(self, response: Response) -> int:
        """Return the position at the upstream of the event that began a response. See `Ledger.beginning`."""
        return self.order[self.ledger.beginning(response)]

    def in_the_way(self, position: int, create: Create | None = None) -> Response | None:
        """Return the response that holds the slot at a position, else the last response that ended before it, else None.

        If `create` was refused, return the response that the refusal names, if the ledger contains it.
        """
        if create is not None and create.answer == "refused" and create.names in self.ledger.responses:
            return self.ledger.responses[create.names]
        before = [r for r in self.ledger.responses.values() if self.begun(r) < position]
        holding = [r for r in before if r.done is None or self.order[r.done] > position]
        return holding[-1] if holding else before[-1] if before else None

    def named_ns(self, name: str, default_ms: int) -> int | None:
        """Return a named time of the session in ns, or None if the time was drawn, so that its value is not recorded."""
        times = self.recording.provenance.get("times")
        given = times.get(name, default_ms) if isinstance(times, Mapping) else default_ms
        try:
            return ns(float(given))
        except (TypeError, ValueError):
            return None


def time_of(event: Event, actor: str) -> int:
    """Return the time in ns of an event at an actor, else at the other end of the link, else 0."""
    return event.at_ns(actor) or 0
