"""Where along one time the outcome flips, found with as few sessions as it takes.

Fixed times are computed: between two values of a coarse grid whose outcomes differ, bisection finds the flip to 0.1 ms. Two
flips inside one step of the grid cancel each other and are not seen: the step is the user's to choose. Drawn times are
estimated: bisection for the value at which the share of findings crosses a level, with as many draws at each value as it
takes to tell on which side of the level it is. All values and releases meet the same draws.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

import pandas as pd

from voicerace.analysis.verdict import judge
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate, ties
from voicerace.errors import InputError
from voicerace.experiments.rates import wilson
from voicerace.experiments.sweep.spec import MAX_TRIALS, Plan, SweepSpec
from voicerace.model.parameters import Grid, whole_number
from voicerace.units import ms

__all__ = ["RESOLUTION_MS", "Boundaries", "boundaries"]

RESOLUTION_MS: Final = 0.1
_RESOLUTION_NS: Final = 100_000
#: How exactly the edges of what nobody can tell are looked for.
_EDGE_NS: Final = 1_000_000
#: Draws at one value: in stages, each as many again as all before it.
_FIRST_STAGE: Final = 50
#: Higher than the 95 % of a single look, because there are several: at 99 % each, about as sure together.
_SURE: Final = 0.99


@dataclass(frozen=True)
class Boundaries:
    """What was found, and what it took.

    Attributes:
        frame: one row per flip: ``release``, ``scenario``, ``handler``, ``modality``, ``calls``, every grid's value, ``axis``,
            ``from_ms`` and ``to_ms`` (it lies between them, or at one of them), ``before`` and ``after``. Fixed times: outcomes
            there, and ``at_ms``, the exact value when a tie shows that both happen there. Drawn times: ``before`` and ``after``
            are ``most`` or ``few``, and ``share``, ``low``, ``high`` and ``draws`` those of findings at the value between them
            that was looked at longest; between them nobody can tell the side with so many draws.
        trials: sessions that were played, those for ties included.
        grid_trials: sessions of a full grid of the same resolution.
    """

    frame: pd.DataFrame
    trials: int
    grid_trials: int


def boundaries(spec: SweepSpec, *, level: float = 0.5, most: int = 6400) -> Boundaries:
    """The flips along the first grid of a spec's times; further grids make further rows.

    Args:
        spec: its first grid is the axis: from where, to where, and how coarse the first look is.
        level: drawn times: the share of findings to look for.
        most: drawn times: draws at one value, at most. Who cannot tell the side with so many stands on the boundary.

    Raises:
        InputError: no time is a grid, or a number that does not fit.
    """
    if isinstance(level, bool) or not isinstance(level, (int, float)) or not 0 < level < 1:
        raise InputError("level", f"{level!r:.60}", "a share between 0 and 1")
    most = whole_number("most", most, 1, MAX_TRIALS)
    spec = SweepSpec.of(spec)
    axis, grid = _axis(Plan.of(spec))
    low, high = grid.values_ns[0], grid.values_ns[-1]
    plan = Plan.of(spec.model_copy(update={"times": {**spec.times, axis: str(ms(low))}, "trials": most}))
    rows: list[dict[str, Any]] = []
    spent = 0
    cells = len(plan) // plan.per_cell
    for cell in range(cells):
        first = cell * plan.per_cell
        ((_, session),) = plan.part(first, first + 1)
        story = _story(session, plan, axis)
        if plan.per_cell == 1:
            fixed = _Fixed(session, axis)
            rows += [story | row for row in fixed.flips(grid)]
            spent += fixed.trials
        else:
            drawn = _Drawn([each for _, each in plan.part(first, first + plan.per_cell)], axis, level)
            rows += [story | row for row in drawn.crossings(grid)]
            spent += drawn.trials
    values = math.floor((high - low) / _RESOLUTION_NS) + 1
    columns = [*(rows[0] if rows else ["release", "axis", "from_ms", "to_ms", "before", "after"])]
    return Boundaries(pd.DataFrame(rows, columns=columns), spent, values * len(plan))


def _axis(plan: Plan) -> tuple[str, Grid]:
    for name in plan.spec.times:
        value = plan.values[name]
        if isinstance(value, Grid) and len(value.values_ns) > 1:
            return name, value
    raise InputError("times", "no grid", "one time as a grid, as tool_ms 0:400:20: where to look, and how coarse first")


def _story(session: SessionConfig, plan: Plan, axis: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "release": session.release.tag,
        "scenario": session.scenario.name,
        "handler": session.handler,
        "modality": session.modality,
        "calls": session.calls,
    }
    grids = [name for name, value in plan.values.items() if isinstance(value, Grid)]
    return found | {name: ms(session.times.ns(name, 0, 0)) for name in grids} | {"axis": axis}


def _middle(low: int, high: int) -> int | None:
    """A multiple of the resolution between two values, or None when they are neighbours."""
    middle = (low + high) // 2 // _RESOLUTION_NS * _RESOLUTION_NS
    if high - low <= _RESOLUTION_NS:
        return None
    return middle if middle > low else (low + high) // 2


# -- fixed times -------------------------------------------------------------------------------------------------------


class _Fixed:
    """One story whose times are all fixed."""

    def __init__(self, session: SessionConfig, axis: str) -> None:
        self.session = session
        self.axis = axis
        self.trials = 0
        self._known: dict[int, str] = {}

    def at(self, value_ns: int) -> str:
        if value_ns not in self._known:
            self.trials += 1
            self._known[value_ns] = judge(simulate(self._with(value_ns))).outcome
        return self._known[value_ns]

    def flips(self, grid: Grid) -> Iterator[dict[str, Any]]:
        for left, right in pairwise(grid.values_ns):
            if self.at(left) != self.at(right):
                yield from self._between(left, right)

    def _between(self, low: int, high: int) -> Iterator[dict[str, Any]]:
        """The flips between two values whose outcomes differ; a third outcome in the middle makes two of them."""
        middle = _middle(low, high)
        if middle is None:
            yield self._row(low, high)
            return
        for left, right in ((low, middle), (middle, high)):
            if self.at(left) != self.at(right):
                yield from self._between(left, right)

    def _row(self, low: int, high: int) -> dict[str, Any]:
        exact = math.nan
        for value, other in ((high, low), (low, high)):
            if math.isnan(exact) and self._tie(value) == self.at(other):
                exact = ms(value)
        before, after = self.at(low), self.at(high)
        return {"from_ms": ms(low), "to_ms": ms(high), "at_ms": exact, "before": before, "after": after}

    def _tie(self, value_ns: int) -> str | None:
        def counted(recording: Any) -> str:
            self.trials += 1
            return judge(recording).outcome

        return ties(self._with(value_ns), counted)[1]

    def _with(self, value_ns: int) -> SessionConfig:
        return replace(self.session, times=self.session.times.with_ns(self.axis, value_ns))


# -- drawn times -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Share:
    """Findings of so many judged draws; `side` is that of the level, 0 when nobody can tell."""

    bad: int
    of: int
    level: float

    @cached_property
    def interval(self) -> tuple[float, float]:
        return wilson(self.bad, self.of, _SURE) if self.of else (0.0, 1.0)

    @property
    def side(self) -> int:
        low, high = self.interval
        return 1 if low > self.level else -1 if high < self.level else 0


class _Drawn:
    """One story of which a time is drawn; `sessions` are its draws, the same for every value."""

    def __init__(self, sessions: list[SessionConfig], axis: str, level: float) -> None:
        self.sessions = sessions
        self.axis = axis
        self.level = level
        self.trials = 0
        self._known: dict[int, _Share] = {}

    def at(self, value_ns: int) -> _Share:
        """The share at a value, looked at until its side is clear or the draws are used up."""
        if value_ns not in self._known:
            share, stage = _Share(0, 0, self.level), _FIRST_STAGE
            for number, session in enumerate(self.sessions, 1):
                verdict = judge(simulate(replace(session, times=session.times.with_ns(self.axis, value_ns))))
                self.trials += 1
                known = verdict.outcome != "unknown"
                share = _Share(share.bad + (known and verdict.bad), share.of + known, self.level)
                if number == stage:
                    if share.side:
                        break
                    stage *= 2
            self._known[value_ns] = share
        return self._known[value_ns]

    def crossings(self, grid: Grid) -> Iterator[dict[str, Any]]:
        """Between neighbours of the grid that stand on different sides; who stands on the level itself is passed over."""
        clear = [value for value in grid.values_ns if self.at(value).side]
        for left, right in pairwise(clear):
            if self.at(left).side != self.at(right).side:
                yield self._between(left, right)

    def _between(self, low: int, high: int) -> dict[str, Any]:
        first, last = self.at(low).side, self.at(high).side
        middle = _middle(low, high)
        while middle is not None and (side := self.at(middle).side):
            low, high = (middle, high) if side == first else (low, middle)
            middle = _middle(low, high)
        longest = low if middle is None else middle
        if middle is not None:
            low, high = self._edge(low, middle, first), self._edge(high, middle, last)
        share = self.at(longest)
        words = {1: "most", -1: "few"}
        return {
            "from_ms": ms(low), "to_ms": ms(high), "before": words[first], "after": words[last],
            "share": share.bad / share.of, "low": share.interval[0], "high": share.interval[1], "draws": share.of,
        }  # fmt: skip

    def _edge(self, clear: int, unclear: int, side: int) -> int:
        """The value nearest to the boundary, to within `_EDGE_NS`, that still stands clearly on its side."""
        while abs(unclear - clear) > _EDGE_NS:
            middle = (clear + unclear) // 2 // _RESOLUTION_NS * _RESOLUTION_NS
            clear, unclear = (middle, unclear) if self.at(middle).side == side else (clear, middle)
        return clear
