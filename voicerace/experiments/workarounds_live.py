"""Workarounds at a real proxy: sessions on sockets, the model of the app and of the component, and what the model says.

A cell is a session in which the plain app may fail; it is played without a workaround and with each, in virtual time and
at the sockets. The times leave room on both sides of every boundary, as those of `experiments.checks` do.
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

__all__ = ["CELLS", "COLUMNS", "Cell", "Tried", "cells_of", "tried"]

#: As `experiments.checks`: a gap of 300 ms, 20 and 60 ms of network. The deadline leaves room for `fallback_ms` and a reply.
_TIMES: Final = {"gap_ms": 300, "host_rtt_ms": 20, "upstream_rtt_ms": 60, "reply_ms": 300, "deadline_ms": 8000}
#: Scenario, handler of the plain app, the tool's time: before the calls' end, short of it, behind it, long behind it.
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
#: Dead air at sockets differs from that in virtual time by a busy machine's delays.
_NEAR_MS: Final = 250
_AT_ONCE: Final = (8, 4, 1)


@dataclass(frozen=True)
class Cell:
    """One session: what is played, with which workaround (None: the plain app)."""

    workaround: str | None
    scenario: str
    handler: str
    tool_ms: str
    session: SessionConfig


@dataclass(frozen=True)
class Tried:
    """What a cell came to in virtual time, and in the last of its tries at the sockets."""

    cell: Cell
    model: Recording
    live: Recording
    tries: int

    @property
    def same(self) -> bool:
        """Whether the proxy came to what its model does: outcomes, the end of the session, and when the result was heard."""
        model, live = judge(self.model), judge(self.live)
        if _words(model) != _words(live) or live.fault is not None:
            return False
        heard = until_heard_ms(self.model), until_heard_ms(self.live)
        if heard[0] is None or heard[1] is None:
            return heard[0] is heard[1]
        return abs(heard[0] - heard[1]) <= _NEAR_MS

    def row(self, release: str, source: str | None) -> dict[str, Any]:
        """In `COLUMNS`."""
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


def _words(verdict: Verdict) -> tuple[Any, ...]:
    return (*(turn.outcome for turn in verdict.turns), verdict.wedged)


def cells_of(release: str, workarounds: Sequence[str]) -> list[Cell]:
    """The plain app in every cell, and each workaround that can be written for the release.

    A workaround stands in the place of the plain app's handler, so the cells of another handler are the cure's alone.
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
            found.append(Cell(name, scenario, handler, tool, session))
    return found


def tried(cells: Sequence[Cell], live: Callable[[], Live], tries: int = 3) -> Generator[tuple[int, Tried]]:
    """Play cells at sockets; each with its place among them, when it came to what the model does or had all its tries.

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
