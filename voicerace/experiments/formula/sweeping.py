"""Sweeps by formula: the outcomes of all trials of a plan, from one formula per configuration instead of a session per trial.

A grid or a drawn time is free, every other time is a constant. A drawn time has one value per use in a session (`create_ms` for
each response), and each of them is a time of the formula. Trials that a formula does not decide are played.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from voicerace.analysis.verdict import judge
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.errors import InputError
from voicerace.experiments.formula.formula import UNDECIDED, Formula, derive
from voicerace.experiments.formula.traced import MissingTimeError
from voicerace.experiments.sweep.cell_ranges import cell_ranges
from voicerace.experiments.sweep.spec import Plan, SweepSpec, axes_of
from voicerace.experiments.sweep.table import STORY, counts_per_cell
from voicerace.experiments.sweep.trials import row_of
from voicerace.model.parameters import Fixed, Grid

__all__ = ["FormulaSweep", "sweep_by_formula"]


@dataclass(frozen=True)
class FormulaSweep:
    """Outcomes of a sweep by formula.

    Attributes:
        outcomes: the table of `voicerace.experiments.sweep.table.outcome_counts`, without ties.
        axes: names of the times that are grids.
        trials: number of trials.
        played: number of trials that no formula decided. They were played.
        formulas: the formulas, one per configuration.
    """

    outcomes: pd.DataFrame
    axes: list[str]
    trials: int
    played: int
    formulas: tuple[Formula, ...]

    def ranges(self) -> pd.DataFrame:
        """Return the outcomes per range of equal neighbouring cells (see `cell_ranges`)."""
        return cell_ranges(self.outcomes, self.axes)


def sweep_by_formula(spec: SweepSpec, most: int = 400) -> FormulaSweep:
    """Evaluate every trial of a sweep by formula.

    Args:
        spec: the sweep. It cannot look for ties.
        most: maximum number of regions of a formula.

    Raises:
        InputError: the sweep looks for ties, or a configuration has no formula (`formula.derive`).
    """
    if spec.ties:
        raise InputError("ties", "looked for in a sweep by formula", "--no-ties")
    plan = Plan.of(spec)
    axes = axes_of(spec.times, spec.profile)
    size = len(plan) // len(plan.stories)
    tables, formulas, played = [], [], 0
    for story in range(len(plan.stories)):
        found = _Story(plan, story * size, (story + 1) * size, axes, most)
        tables.append(found.table())
        formulas.append(found.formula)
        played += found.played
    return FormulaSweep(counts_per_cell(tables, axes), axes, len(plan), played, tuple(formulas))


class _Story:
    """The trials of one configuration."""

    def __init__(self, plan: Plan, start: int, stop: int, axes: list[str], most: int) -> None:
        self.plan, self.start, self.stop, self.axes = plan, start, stop, axes
        ((_, self.session),) = plan.part(start, start + 1)
        self.free = [n for n, each in plan.values.items() if n in axes or not isinstance(each, Fixed | Grid)]
        self.played = 0
        self.formula, self.values_ns = self._derived(most)

    def _derived(self, most: int) -> tuple[Formula, dict[str, np.ndarray[Any, Any]]]:
        """Return the formula, and the value of each of its times per trial."""
        grids = {name for name in self.free if name in self.axes}
        values = {name: self._values(name) for name in self.free}
        while True:
            box = {name: (int(each.min()), max(int(each.max()), int(each.min()) + 1_000)) for name, each in values.items()}
            try:
                return derive(self.session, box, most, several=frozenset(values) - grids), values
            except MissingTimeError as missing:
                values[missing.name] = self._values(missing.name)

    def _values(self, name: str) -> np.ndarray[Any, Any]:
        """Return the value in ns of a time in every trial; ``create_ms:2`` is its third value in the session."""
        base, _, index = name.partition(":")
        number = int(index or 0)
        drawn = (each.times.ns(base, number, each.seed) for each in self._sessions())
        return np.fromiter(drawn, np.int64, count=self.stop - self.start)

    def _sessions(self) -> Iterator[SessionConfig]:
        return (session for _, session in self.plan.part(self.start, self.stop))

    def table(self) -> pa.Table:
        """Return the rows of the trials with the columns that `counts_per_cell` counts."""
        codes = self.formula.codes(self.values_ns)
        names = np.array([*self.formula.outcomes, ""], dtype=object)
        outcomes = names[codes]
        bad = np.array([*(self.formula.bad[each] for each in self.formula.outcomes), False])[codes]
        for index in np.flatnonzero(codes == UNDECIDED):
            ((_, session),) = self.plan.part(self.start + int(index), self.start + int(index) + 1)
            verdict = judge(simulate(session))
            outcomes[index], bad[index] = verdict.outcome, verdict.bad
            self.played += 1
        row = row_of(0, self.session, simulate(self.session), None)
        count = self.stop - self.start
        columns: dict[str, Any] = {name: pa.array([row[name]] * count) for name in STORY}
        columns |= {name: pa.array(self.values_ns[name] / 1_000_000) for name in self.axes}
        columns |= {"outcome": pa.array(outcomes), "bad": pa.array(bad), "tie_outcome": pa.nulls(count, pa.string())}
        return pa.table(columns)
