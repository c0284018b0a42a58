"""Space of times of a finding: the outcome over two of its times, with every other duration and delay as in its schedule."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from voicerace.analysis.verdict import judge
from voicerace.engine.schedule import Schedule
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import VirtualEngine
from voicerace.errors import InputError, one_of
from voicerace.experiments.explore.bounds import Bounds
from voicerace.experiments.explore.finding import Finding
from voicerace.experiments.explore.replay import session_for
from voicerace.experiments.explore.signature import signatures
from voicerace.experiments.explore.stories import bounds_of
from voicerace.model.actors.actor import SetTimer
from voicerace.units import ms, ns

__all__ = ["FindingSpace", "space_of"]

#: The picture ends at twice the finding's own value of a time, but not below this value in ms.
_LEAST_MS = 300
_NO_BOUND = 0, 86_400_000_000
#: Time inside the gap, which cannot be longer than the gap.
_INSIDE = "item_done_ms"


@dataclass(frozen=True)
class FindingSpace:
    """Sessions with different values of two times.

    Attributes:
        finding: the finding.
        x, y: names of the times.
        own: values of both times in the finding's schedule in ms.
        cells: one row per session: x, y, outcome (of the session's worst turn), met (whether the session has the finding).
    """

    finding: Finding
    x: str
    y: str
    own: tuple[float, float]
    cells: pd.DataFrame


class _Timers(VirtualEngine):
    """Records which timers have which named duration."""

    def __init__(self, session: SessionConfig) -> None:
        super().__init__(session)
        self.by_name: dict[str, list[tuple[str, str]]] = {}

    def set_timer(self, actor: str, timer: SetTimer) -> None:
        self.by_name.setdefault(timer.after, []).append((actor, timer.name))
        super().set_timer(actor, timer)


def space_of(finding: Finding, x: str = "gap_ms", y: str = "tool_ms", size: int = 31) -> FindingSpace:
    """Play a finding with `size` × `size` values of two times.

    Args:
        finding: the finding.
        x, y: names of times that the finding's session uses.
        size: number of values of each time, from 0 to twice the finding's own value or more, within the finding's bounds.

    Raises:
        InputError: the session does not use a time, or both are the same.
    """
    session = session_for(finding)
    engine = _Timers(session)
    engine.run()
    used = {name: timers for name, timers in engine.by_name.items() if session.times.has(name)}
    for which, name in (("x", x), ("y", y)):
        one_of(which, name, [name for name in used if name != _INSIDE])
    if x == y:
        raise InputError("y", f"{y} is the same as x", f"another of {', '.join(used)}")
    schedule = session.schedule or Schedule()
    own = tuple(_own_ms(schedule, session, name, used[name]) for name in (x, y))
    bounds = Bounds.of((), bounds_of(finding.story, finding.handler)).by_name
    # The confirmation inside the gap ends before the gap.
    inside = _own_ms(schedule, session, _INSIDE, used[_INSIDE]) if _INSIDE in used else 0.0
    values = [
        np.linspace(
            inside if name == "gap_ms" else 0, min(max(2 * value, _LEAST_MS), bounds.get(name, _NO_BOUND)[1] / 1000), size
        )
        for name, value in zip((x, y), own, strict=True)
    ]
    fixed = session.times.with_ns(_INSIDE, 0) if _INSIDE in used else session.times
    freed = {timer for name in (x, y) for timer in used[name]}
    rest = Schedule({timer: given for timer, given in schedule.timers.items() if timer not in freed}, schedule.messages)
    rows = []
    for left in values[0]:
        for low in values[1]:
            times = fixed.with_ns(x, ns(float(left))).with_ns(y, ns(float(low)))
            recording = VirtualEngine(replace(session, times=times, schedule=rest)).run()
            verdict = judge(recording)
            met = finding.signature in signatures(recording, session.release, verdict)
            rows.append({x: float(left), y: float(low), "outcome": verdict.outcome, "met": met})
    return FindingSpace(finding, x, y, (own[0], own[1]), pd.DataFrame(rows))


def _own_ms(schedule: Schedule, session: SessionConfig, name: str, timers: list[tuple[str, str]]) -> float:
    """Return the value of a time in the finding: that of its first timer."""
    for timer in timers:
        for value in schedule.timers.get(timer, ()):
            if value is not None:
                return ms(value)
    return ms(session.times.ns(name, 0, session.seed))
