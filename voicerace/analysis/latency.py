"""The times of a verdict: distances of a create, a result and a reply from the active response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from voicerace.analysis.trace_index import TraceIndex, time_of
from voicerace.model.protocol import agent
from voicerace.model.protocol.ledger import Create, Output, Response
from voicerace.trace.recording import PROXY_TO_COMPONENT
from voicerace.units import ms

__all__ = ["dead_air_ms", "lead_ms", "margin_ms", "waited_ns"]


def waited_ns(trace: TraceIndex, own: Sequence[Output], reply: Response) -> int:
    """From the last event that could have released the reply's create to its arrival, in ns."""
    began = trace.begun(reply)
    releases = [o.key for o in own]
    releases += [o.confirmed for o in own if o.confirmed is not None]
    releases += [r.done for r in trace.ledger.responses.values() if r.done is not None]
    before = [key for key in releases if trace.order[key] < began]
    last = max((time_of(trace.by_seq[key], "upstream") for key in before), default=0)
    return time_of(trace.by_seq[trace.beginning(reply)], "upstream") - last


def margin_ms(trace: TraceIndex, create: Create | None) -> float | None:
    """Arrival of the create at the upstream, minus the end of the response that held the slot, or was the last to."""
    if create is None:
        return None
    response = trace.in_the_way(trace.order[create.key], create)
    if response is None or response.done is None:
        return None
    lag_ns = trace.named_ns("slot_lag_ms", 0)
    if lag_ns is None:
        return None
    free = time_of(trace.by_seq[response.done], "upstream") + lag_ns
    return ms(time_of(trace.by_seq[create.key], "upstream") - free)


def lead_ms(trace: TraceIndex, result: Output | None, create: Create | None) -> float | None:
    """Arrival of the result at the proxy, minus arrival of response.done there."""
    if result is None:
        return None
    where = create.key if create is not None else result.key
    response = trace.in_the_way(trace.order[where], create)
    if response is None or response.done is None:
        return None
    return ms(_at_proxy(trace, result) - time_of(trace.by_seq[response.done], "proxy"))


def _at_proxy(trace: TraceIndex, output: Output) -> int:
    """Arrival of a result at the proxy in ns: on the host link if it was observed, else when its item was sent."""
    same = [o for o in trace.ledger.outputs if o.call_id == output.call_id]
    rank = [o.key for o in same].index(output.key)
    results = trace.of_type("FunctionCallResponse")
    sent = [e for e in results if isinstance(e.payload, Mapping) and e.payload.get("id") == output.call_id]
    event = sent[rank] if trace.host_seen and rank < len(sent) else trace.by_seq[output.key]
    return time_of(event, "proxy")


def dead_air_ms(trace: TraceIndex, calling: Response, informed: list[Response]) -> float | None:
    """Response latency: from response.done of the calls, at the upstream, to the informed reply's first output at the host."""
    if not informed or calling.done is None or not trace.host_seen:
        return None
    if informed[0].heard is None:
        return None
    heard = trace.by_seq[informed[0].heard]
    since = time_of(heard, "proxy")
    for event in trace.recording.on(PROXY_TO_COMPONENT):
        if event.seq > heard.seq and time_of(event, "proxy") >= since and agent.is_reply_output(event.payload):
            return ms(time_of(event, "component") - time_of(trace.by_seq[calling.done], "upstream"))
    return None
