"""The canary: before a live sweep, one session whose end is known, so that a set-up that lies is found before it is believed.

It has a gap of 400 ms and results at once: far from every boundary, so that a busy machine does not decide. What is held
against it: the delays that were asked for, messages in the order of their times, a refusal for every create inside an active
response, and, where a row describes the program, the outcome that the models compute. A session that did not come about says
nothing: a sweep records such faults as outcomes. It meets our mock wherever the upstream costs money.
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
#: How far a delay may be from what was asked for: a quarter of the room that every boundary has here.
_TOLERANCE_MS: Final = 100.0
#: So near the end of a response nobody can say on which side of it a create came.
_EDGE_NS: Final = 20_000_000
#: A busy machine is no lie: so often it may be late.
_TRIES: Final = 3


def canary(engine: Callable[[], Live], release: str, *, ours: bool, known: bool) -> str | None:
    """Play it, up to three times; what lies, or None.

    Args:
        engine: of the sweep's target.
        release: whose component and parties play.
        ours: the upstream is our mock, whose times we set.
        known: a row describes the proxy, so that the models know the outcome.
    """
    session = SessionConfig.of(release=release, times=_TIMES)
    found = None
    for _ in range(_TRIES):
        found = find_violation(play(engine, session), session, ours=ours, known=known)
        if found is None:
            return None
    return found


def find_violation(recording: Recording, session: SessionConfig, *, ours: bool, known: bool) -> str | None:
    """The first thing in a recording of the canary that cannot be, as a sentence; None without any."""
    verdict = judge(recording)
    if any(event.kind == "fault" for event in recording.events) or not verdict.turns:
        return None
    for event in recording.events:
        if event.sent_ns is not None and event.received_ns is not None and event.received_ns < event.sent_ns:
            return f"{event.type} arrived {(event.sent_ns - event.received_ns) / 1e6:.1f} ms before it was sent"
    times = measured(recording)
    for name in ("tool_ms", "gap_ms") if ours else ("tool_ms",):
        asked = float(str(_TIMES[name]))
        for value in times.get(name, [])[:1]:
            if abs(value - asked) > _TOLERANCE_MS:
                return f"{name} is {value:.0f}, asked for were {asked:.0f}"
    if (kinder := _kinder(recording)) is not None:
        return kinder
    if ours and known:
        expected = judge(simulate(session)).outcome
        if verdict.outcome != expected:
            return f"the outcome is {verdict.outcome}, by the models it is {expected}"
    return None


def _kinder(recording: Recording) -> str | None:
    """Creates that reached the upstream well inside an active response, and were not refused."""
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
