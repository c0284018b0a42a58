"""The times of a verdict: how far a create, a result and a reply were from the response in their way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from voicerace.analysis.trace_index import TraceIndex, time_of
from voicerace.model.protocol import agent
from voicerace.model.protocol.ledger import Create, Output, Response
from voicerace.trace.recording import PROXY_TO_COMPONENT
from voicerace.units import ms

__all__ = ["dead_air_ms", "lead_ms", "margin_ms", "waited_ns"]


def waited_ns(passage: TraceIndex, own: Sequence[Output], reply: Response) -> int:
    """From the last event that could have released the reply's create to its arrival."""
    began = passage.begun(reply)
    releases = [o.key for o in own]
    releases += [o.confirmed for o in own if o.confirmed is not None]
    releases += [r.done for r in passage.ledger.responses.values() if r.done is not None]
    before = [key for key in releases if passage.order[key] < began]
    last = max((time_of(passage.by_seq[key], "upstream") for key in before), default=0)
    return time_of(passage.by_seq[passage.beginning(reply)], "upstream") - last


def margin_ms(passage: TraceIndex, create: Create | None) -> float | None:
    """The create reaching the upstream minus the slot being free of what was in its way, or was last."""
    if create is None:
        return None
    response = passage.in_the_way(passage.order[create.key], create)
    if response is None or response.done is None:
        return None
    lag_ns = passage.named_ns("slot_lag_ms", 0)
    if lag_ns is None:
        return None
    free = time_of(passage.by_seq[response.done], "upstream") + lag_ns
    return ms(time_of(passage.by_seq[create.key], "upstream") - free)


def lead_ms(passage: TraceIndex, result: Output | None, create: Create | None) -> float | None:
    """The result reaching the proxy minus response.done reaching it."""
    if result is None:
        return None
    where = create.key if create is not None else result.key
    response = passage.in_the_way(passage.order[where], create)
    if response is None or response.done is None:
        return None
    return ms(_at_proxy(passage, result) - time_of(passage.by_seq[response.done], "proxy"))


def _at_proxy(passage: TraceIndex, output: Output) -> int:
    """When a result reached the proxy: on the host link if that was seen, else when its item left."""
    same = [o for o in passage.ledger.outputs if o.call_id == output.call_id]
    rank = [o.key for o in same].index(output.key)
    sent = [
        event
        for event in passage.of_type("FunctionCallResponse")
        if isinstance(event.payload, Mapping) and event.payload.get("id") == output.call_id
    ]
    event = sent[rank] if passage.host_seen and rank < len(sent) else passage.by_seq[output.key]
    return time_of(event, "proxy")


def dead_air_ms(passage: TraceIndex, calling: Response, informed: list[Response]) -> float | None:
    """From the calls' response.done leaving to the informed reply's first output reaching the host."""
    if not informed or calling.done is None or not passage.host_seen:
        return None
    reply = informed[0]
    heard = passage.by_seq[reply.heard] if reply.heard is not None else None
    if heard is None:
        return None
    since = time_of(heard, "proxy")
    outputs = [
        event
        for event in passage.recording.events
        if event.link == PROXY_TO_COMPONENT
        and event.seq > heard.seq
        and time_of(event, "proxy") >= since
        and agent.is_reply_output(event.payload)
    ]
    if not outputs:
        return None
    return ms(time_of(outputs[0], "component") - time_of(passage.by_seq[calling.done], "upstream"))
