"""Computes the times in a verdict: of a request, a result and a reply relative to the active response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from voicerace.analysis.trace_index import TraceIndex, time_of
from voicerace.model.protocol import agent
from voicerace.model.protocol.ledger import Create, Output, Response
from voicerace.trace.recording import PROXY_TO_COMPONENT
from voicerace.units import ms

__all__ = ["dead_air_ms", "lead_ms", "margin_ms", "waited_ns"]


def waited_ns(trace: TraceIndex, own: Sequence[Output], reply: Response) -> int:
    """Return the time in ns from the last event that could have released a reply's request to the request's arrival.

    Such events are the app's results `own`, their confirmations and every response.done. All times are at the upstream.
    """
    began = trace.begun(reply)
    releases = [o.key for o in own]
    releases += [o.confirmed for o in own if o.confirmed is not None]
    releases += [r.done for r in trace.ledger.responses.values() if r.done is not None]
    before = [key for key in releases if trace.order[key] < began]
    last = max((time_of(trace.by_seq[key], "upstream") for key in before), default=0)
    return time_of(trace.by_seq[trace.ledger.beginning(reply)], "upstream") - last


def margin_ms(trace: TraceIndex, create: Create | None) -> float | None:
    """Return when a request arrived at the upstream, relative to the time at which the slot became free, in ms.

    The slot became free when the response that held it ended, or if none held it, when the previous response ended. Return
    None if there is no request or no such response, or if the slot lag is unknown.
    """
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
    """Return when a result arrived at the proxy, relative to the arrival of response.done there, in ms.

    Return None if there is no result or no response.done.
    """
    if result is None:
        return None
    where = create.key if create is not None else result.key
    response = trace.in_the_way(trace.order[where], create)
    if response is None or response.done is None:
        return None
    return ms(_at_proxy(trace, result) - time_of(trace.by_seq[response.done], "proxy"))


def _at_proxy(trace: TraceIndex, output: Output) -> int:
    """Return the time in ns at which a result arrived at the proxy.

    If the host link was not observed, return the time at which the proxy sent the result to the upstream.
    """
    same = [o for o in trace.ledger.outputs if o.call_id == output.call_id]
    rank = [o.key for o in same].index(output.key)
    results = trace.of_type("FunctionCallResponse")
    sent = [e for e in results if isinstance(e.payload, Mapping) and e.payload.get("id") == output.call_id]
    event = sent[rank] if trace.host_seen and rank < len(sent) else trace.by_seq[output.key]
    return time_of(event, "proxy")


def dead_air_ms(trace: TraceIndex, calling: Response, informed: list[Response]) -> float | None:
    """Return the response latency in ms, or None if there is no informed reply or the host link was not observed.

    It is the time from the calls' response.done at the upstream to the informed reply's first output at the host.
    """
    if not informed or calling.done is None or not trace.host_seen:
        return None
    if informed[0].heard is None:
        return None
    heard = trace.by_seq[informed[0].heard]
    since = time_of(heard, "proxy")
    if trace.direct:
        return ms(since - time_of(trace.by_seq[calling.done], "upstream"))
    for event in trace.recording.on(PROXY_TO_COMPONENT):
        if event.seq > heard.seq and time_of(event, "proxy") >= since and agent.is_reply_output(event.payload):
            return ms(time_of(event, "component") - time_of(trace.by_seq[calling.done], "upstream"))
    return None
