"""Plays workarounds with a real proxy on sockets, and compares the sessions with the models.

In these sessions an app without a workaround can fail. Each session is played without a workaround and with each workaround, in
virtual time and on sockets. As in `experiments.checks`, the times are far from the values at which an outcome changes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from voicerace.analysis.outcomes import Verdict
from voicerace.analysis.verdict import judge
from voicerace.engine.live.background import play_all
from voicerace.engine.live.play import Live
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.experiments.workarounds import until_heard_ms
from voicerace.model.catalog.releases import component_for, proxy_release
from voicerace.model.catalog.workarounds import why_not
from voicerace.trace.recording import Recording

__all__ = ["CELLS", "COLUMNS", "Tried", "WorkaroundCell", "cells_of", "tried"]

#: Values of times in ms, as in `experiments.checks`. The deadline exceeds the sum of `fallback_ms` and the duration of a reply.
_TIMES: Final = {"gap_ms": 300, "host_rtt_ms": 20, "upstream_rtt_ms": 60, "reply_ms": 300, "deadline_ms": 8000}
#: (scenario, handler without a workaround, tool_ms). The tool ends long before, shortly before, shortly after or long after the
#: end of the gap.
CELLS: Final = (
    *(("single", "return", tool) for tool in ("10", "80", "400", "1500")),
    ("single", "async_ref", "400"),
    ("single", "void_ref", "400"),
    ("single", "void_ref", "1500"),
    ("parallel", "return", "10,900"),
)
COLUMNS: Final = (
    "release", "source", "workaround", "scenario", "handler", "tool_ms", "model_outcome", "outcome", "model_wedged", "wedged",
    "model_heard_ms", "heard_ms", "as_the_model", "tries",
)  # fmt: skip
#: Allowed difference in ms between the response latencies on sockets and in virtual time, because a busy machine adds delays.
_TOLERANCE_MS: Final = 250
_AT_ONCE: Final = (8, 4, 1)


@dataclass(frozen=True)
class WorkaroundCell:
    """Session with a workaround, or without a workaround if `workaround` is None."""

    workaround: str | None
    scenario: str
    handler: str
    tool_ms: str
    session: SessionConfig


@dataclass(frozen=True)
class Tried:
    """Recordings of a cell: in virtual time, and of the last attempt on sockets."""

    cell: WorkaroundCell
    model: Recording
    live: Recording
    tries: int

    @property
    def same(self) -> bool:
        """Whether proxy and model agree on the outcomes, on whether the session is stuck, and on the response latency."""
        model, live = judge(self.model), judge(self.live)
        if _result(model) != _result(live) or live.fault is not None:
            return False
        heard = until_heard_ms(self.model), until_heard_ms(self.live)
        if heard[0] is None or heard[1] is None:
            return heard[0] is heard[1]
        return abs(heard[0] - heard[1]) <= _TOLERANCE_MS

    def row(self, release: str, source: str | None) -> dict[str, Any]:
        """Return a row of the result table, with the columns `COLUMNS`."""
        cell, model, live = self.cell, judge(self.model), judge(self.live)
        air = {
            name: None if ms is None else round(ms)
            for name, ms in (("model_heard_ms", until_heard_ms(self.model)), ("heard_ms", until_heard_ms(self.live)))
        }
        return {
            "release": release, "source": source, "workaround": cell.workaround or "none", "scenario": cell.scenario,
            "handler": cell.handler, "tool_ms": cell.tool_ms, "model_outcome": model.outcome, "outcome": live.outcome,
            "model_wedged": model.wedged, "wedged": live.wedged, **air, "as_the_model": self.same, "tries": self.tries,
        }  # fmt: skip


def _result(verdict: Verdict) -> tuple[Any, ...]:
    return (*(turn.outcome for turn in verdict.turns), verdict.wedged)


def cells_of(release: str, workarounds: Sequence[str]) -> list[WorkaroundCell]:
    """Return every cell without a workaround, and with each workaround that is possible on the release.

    A workaround replaces the handler, so cells with a handler other than ``return`` are played only with ``await-and-return``.
    """
    row = proxy_release(release)
    found = []
    for scenario, handler, tool in CELLS:
        possible = [name for name in workarounds if why_not(name, row, component_for(row).tag, "return") is None]
        if handler != "return":
            possible = [name for name in possible if name == "await-and-return"]
        for name in (None, *possible):
            session = SessionConfig.of(
                release=release, scenario=scenario, handler="return" if name else handler, workaround=name,
                calls=2 if scenario == "parallel" else None, times={**_TIMES, "tool_ms": tool},
            )  # fmt: skip
            found.append(WorkaroundCell(name, scenario, handler, tool, session))
    return found


def tried(cells: Sequence[WorkaroundCell], live: Callable[[], Live], tries: int = 3) -> Generator[tuple[int, Tried]]:
    """Play cells on sockets. Yield (index, result) of each cell once it agrees with the model or has used all attempts.

    Raises:
        InputError: the proxy does not start.
    """
    models = [simulate(each.session) for each in cells]
    left = {number: each.session for number, each in enumerate(cells)}
    for number in range(1, tries + 1):
        at_once = _AT_ONCE[min(number, len(_AT_ONCE)) - 1]
        with closing(play_all(live, list(left.items()), min(at_once, len(left)))) as played:
            for which, recording in played:
                done = Tried(cells[which], models[which], recording, number)
                if done.same or number == tries:
                    del left[which]
                    yield which, done
        if not left:
            return
