"""Detects a misconfigured set-up before a live sweep, by one session with a known outcome (the canary).

The session has a gap of 400 ms and an immediate result, so that delays of a busy machine do not change the outcome. The check
verifies that configured delays are kept, that messages arrive after they were sent, that every `response.create` during an
active response is refused, and that a known release has the same outcome as its model. A session with a fault is not checked,
because a sweep records faults. If the upstream costs money, the mock is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from voicerace.analysis.verdict import judge
from voicerace.engine.live.background import play
from voicerace.engine.live.play import Live
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.experiments.achieved_times import measured
from voicerace.model.protocol import realtime
from voicerace.trace.recording import PROXY_TO_UPSTREAM, UPSTREAM_TO_PROXY, Recording

__all__ = ["canary", "find_violation"]

_TIMES: Final[Mapping[str, Any]] = {
    "gap_ms": 400, "tool_ms": 0, "host_rtt_ms": 0, "upstream_rtt_ms": 0, "reply_ms": 50, "deadline_ms": 1_500,
}  # fmt: skip
#: Allowed difference from a configured delay in ms: a quarter of the distance to the nearest change of the outcome.
_TOLERANCE_MS: Final = 100.0
#: Time in ns before the end of a response. A `response.create` sent within this time can arrive after the end.
_EDGE_NS: Final = 20_000_000
#: Maximum number of attempts, because a busy machine can delay a session.
_TRIES: Final = 3


def canary(engine: Callable[[], Live], release: str, *, mocked: bool, known: bool) -> str | None:
    """Play the check's session up to `_TRIES` times. Return the last violation, or None as soon as a session has none.

    Args:
        engine: creates the engine of the target.
        release: tag of the release of the component and the other models.
        mocked: whether the upstream is the mock, whose times are configured.
        known: whether the release of the proxy is known, so that a model predicts the outcome.
    """
    session = SessionConfig.of(release=release, times=_TIMES)
    found = None
    for _ in range(_TRIES):
        found = find_violation(play(engine, session), session, mocked=mocked, known=known)
        if found is None:
            return None
    return found


def find_violation(recording: Recording, session: SessionConfig, *, mocked: bool, known: bool) -> str | None:
    """Return the first violation in a recording of the session as a sentence, or None without a violation."""
    verdict = judge(recording)
    if any(event.kind == "fault" for event in recording.events) or not verdict.turns:
        return None
    for event in recording.events:
        if event.sent_ns is not None and event.received_ns is not None and event.received_ns < event.sent_ns:
            return f"{event.type} arrived {(event.sent_ns - event.received_ns) / 1e6:.1f} ms before it was sent"
    times = measured(recording)
    for name in ("tool_ms", "gap_ms") if mocked else ("tool_ms",):
        asked = float(str(_TIMES[name]))
        for value in times.get(name, [])[:1]:
            if abs(value - asked) > _TOLERANCE_MS:
                return f"{name} is {value:.0f}, asked for were {asked:.0f}"
    if (missing := _missing_refusals(recording)) is not None:
        return missing
    if mocked and known:
        expected = judge(simulate(session)).outcome
        if verdict.outcome != expected:
            return f"the outcome is {verdict.outcome}, by the models it is {expected}"
    return None


def _missing_refusals(recording: Recording) -> str | None:
    """Return a violation if a `response.create` during an active response was not refused, else None."""
    if not recording.observes("proxy", "upstream") or not recording.observes("upstream", "proxy"):
        return None
    creates, refused = [], 0
    spans: dict[str, list[int]] = {}
    for event in recording.events:
        at = event.at_ns("upstream")
        if at is None or not isinstance(event.payload, Mapping):
            continue
        if event.link == PROXY_TO_UPSTREAM and event.type == realtime.RESPONSE_CREATE:
            creates.append(at)
        elif event.link == UPSTREAM_TO_PROXY and event.type in (realtime.RESPONSE_CREATED, realtime.RESPONSE_DONE):
            spans.setdefault(str(realtime.response_of(event.payload).get("id")), []).append(at)
        elif event.link == UPSTREAM_TO_PROXY and event.type == realtime.ERROR:
            error = event.payload.get("error")
            refused += isinstance(error, Mapping) and error.get("code") == realtime.ACTIVE_RESPONSE
    inside = [at for at in creates if any(len(span) == 2 and span[0] < at < span[1] - _EDGE_NS for span in spans.values())]
    if len(inside) > refused:
        return (
            f"{len(inside)} response.create came inside an active response and {refused} were refused: kinder than the contract"
        )
    return None
