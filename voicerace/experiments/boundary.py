"""Finds by bisection where the outcome changes along one time.

With fixed times, bisection between two coarse grid values with different outcomes finds the change to 0.1 ms. Two changes
between neighbouring grid values are missed if the second reverses the first. With drawn times, bisection finds the value at
which the share of bad outcomes crosses a level. Sessions are played at each value until the share is significantly above or
below the level. All values and releases use the same draws.
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
from voicerace.experiments.formula.flips import flips
from voicerace.experiments.rates import wilson
from voicerace.experiments.sweep.spec import MAX_TRIALS, Plan, SweepSpec
from voicerace.model.parameters import Grid, whole_number
from voicerace.units import ms

__all__ = ["RESOLUTION_MS", "Boundaries", "boundaries"]

RESOLUTION_MS: Final = 0.1
_RESOLUTION_NS: Final = 100_000
#: Resolution, in ns, of the limits between which the share is not significantly above or below the level.
_EDGE_NS: Final = 1_000_000
#: Number of draws in the first stage at one value. Every further stage doubles the total.
_FIRST_STAGE: Final = 50
#: Confidence level of one stage. It is more than 95 % because several stages are tested.
_CONFIDENCE: Final = 0.99


@dataclass(frozen=True)
class Boundaries:
    """Changes of the outcome, and the number of sessions played.

    Attributes:
        frame: one row per change: ``release``, ``scenario``, ``handler``, ``modality``, ``calls``, the value of every grid,
            ``axis`` (name of the varied time), ``from_ms`` and ``to_ms`` (the change is between these values, inclusive),
            ``before`` and ``after``. With fixed times, ``before`` and ``after`` are outcomes, and ``at_ms`` is the exact value
            if both outcomes occur there because of a tie. With drawn times, they are ``most`` (bad outcomes above the level) or
            ``few`` (below it), and between ``from_ms`` and ``to_ms`` the share is not significantly above or below the level.
            ``share``, ``low``, ``high`` and ``draws`` are the share of bad outcomes, its interval and the number of draws, at
            the value with the most draws.
        trials: number of sessions played, including sessions that search for ties.
        grid_trials: number of sessions in a full grid of the same resolution.
    """

    frame: pd.DataFrame
    trials: int
    grid_trials: int


def boundaries(spec: SweepSpec, *, level: float = 0.5, most: int = 6400, by_formula: bool = False) -> Boundaries:
    """Find the changes of the outcome along the first time grid of a spec, for each combination of the other grids' values.

    Args:
        spec: sweep spec whose first grid gives the axis, the range and the initial step of the search.
        level: with drawn times, the share of bad outcomes at the boundary.
        most: with drawn times, the maximum number of draws at one value.
        by_formula: with fixed times, read the changes off a formula (`voicerace.experiments.formula`) instead of bisecting. No
            change is missed then, and ``from_ms`` and ``to_ms`` are 1 ns apart.

    Raises:
        InputError: no time is a grid, a number is out of range, or there is no formula.
    """
    if isinstance(level, bool) or not isinstance(level, (int, float)) or not 0 < level < 1:
        raise InputError("level", f"{level!r:.60}", "a share between 0 and 1")
    most = whole_number("most", most, 1, MAX_TRIALS)
    spec = SweepSpec.of(spec)
    axis, grid = _axis(Plan.of(spec))
    low, high = grid.values_ns[0], grid.values_ns[-1]
    plan = Plan.of(spec.model_copy(update={"times": {**spec.times, axis: str(ms(low))}, "trials": most}))
    rows: list[dict[str, Any]] = []
    played = 0
    cells = len(plan) // plan.per_cell
    for cell in range(cells):
        first = cell * plan.per_cell
        ((_, session),) = plan.part(first, first + 1)
        story = _story(session, plan, axis)
        if by_formula and plan.per_cell > 1:
            raise InputError("by", "formula with drawn times", "fixed times; `formula --share` computes shares of drawn times")
        if plan.per_cell == 1:
            fixed = _Fixed(session, axis)
            rows += [story | row for row in (fixed.of_formula(low, high) if by_formula else fixed.flips(grid))]
            played += fixed.trials
        else:
            drawn = _Drawn([each for _, each in plan.part(first, first + plan.per_cell)], axis, level)
            rows += [story | row for row in drawn.crossings(grid)]
            played += drawn.trials
    values = math.floor((high - low) / _RESOLUTION_NS) + 1
    columns = [*(rows[0] if rows else ["release", "axis", "from_ms", "to_ms", "before", "after"])]
    return Boundaries(pd.DataFrame(rows, columns=columns), played, values * len(plan))


def _axis(plan: Plan) -> tuple[str, Grid]:
    for name in plan.spec.times:
        value = plan.values[name]
        if isinstance(value, Grid) and len(value.values_ns) > 1:
            return name, value
    raise InputError("times", "no grid", "one time as a grid, for example tool_ms 0:400:20")


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
    """Return a middle value, if possible a multiple of the resolution, or None if the values are neighbours."""
    middle = (low + high) // 2 // _RESOLUTION_NS * _RESOLUTION_NS
    if high - low <= _RESOLUTION_NS:
        return None
    return middle if middle > low else (low + high) // 2


# -- fixed times -------------------------------------------------------------------------------------------------------


class _Fixed:
    """Searches one cell for changes with fixed times."""

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

    def of_formula(self, low: int, high: int) -> Iterator[dict[str, Any]]:
        """Yield the changes between two values that the formula has."""
        for left, right in flips(self.session, self.axis, low, high):
            yield self._row(left, right)

    def _between(self, low: int, high: int) -> Iterator[dict[str, Any]]:
        """Yield the changes between two values whose outcomes differ. A third outcome between them gives two changes."""
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
    """Share of bad outcomes among `of` draws. `side` is 1 above the level, -1 below it, 0 if not significant."""

    bad: int
    of: int
    level: float

    @cached_property
    def interval(self) -> tuple[float, float]:
        return wilson(self.bad, self.of, _CONFIDENCE) if self.of else (0.0, 1.0)

    @property
    def side(self) -> int:
        low, high = self.interval
        return 1 if low > self.level else -1 if high < self.level else 0


class _Drawn:
    """Searches one cell for changes with drawn times. Every value is played with the same `sessions`."""

    def __init__(self, sessions: list[SessionConfig], axis: str, level: float) -> None:
        self.sessions = sessions
        self.axis = axis
        self.level = level
        self.trials = 0
        self._known: dict[int, _Share] = {}

    def at(self, value_ns: int) -> _Share:
        """Return the share at a value. Play sessions until the share's side is significant or all sessions are played."""
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
        """Yield the changes between neighbouring values on different sides. Values without a significant side are skipped."""
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
        most_draws = low if middle is None else middle
        if middle is not None:
            low, high = self._edge(low, middle, first), self._edge(high, middle, last)
        share = self.at(most_draws)
        words = {1: "most", -1: "few"}
        return {
            "from_ms": ms(low), "to_ms": ms(high), "before": words[first], "after": words[last],
            "share": share.bad / share.of, "low": share.interval[0], "high": share.interval[1], "draws": share.of,
        }  # fmt: skip

    def _edge(self, clear: int, unclear: int, side: int) -> int:
        """Return the value nearest to `unclear`, to within `_EDGE_NS`, whose side is `side`. `clear` has this side."""
        while abs(unclear - clear) > _EDGE_NS:
            middle = (clear + unclear) // 2 // _RESOLUTION_NS * _RESOLUTION_NS
            clear, unclear = (middle, unclear) if self.at(middle).side == side else (clear, middle)
        return clear
