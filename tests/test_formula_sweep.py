"""Test sweeps by formula: the same table as the virtual engine, for grids and for drawn times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from voicerace.cli import main
from voicerace.errors import InputError
from voicerace.experiments.formula.sweeping import sweep_by_formula
from voicerace.experiments.sweep.spec import SweepSpec
from voicerace.experiments.sweep.sweep import sweep

GRID = {"tool_ms": "0:300:25", "gap_ms": "50:300:50", "host_rtt_ms": "20", "upstream_rtt_ms": "30"}
DRAWN = {
    "tool_ms": "lognormal(median=120,sigma=0.6)",
    "gap_ms": "uniform(1,300)",
    "host_rtt_ms": "choice(5,20,80)",
    "create_ms": "uniform(20,60)",
    "upstream_rtt_ms": "40",
}


def both(tmp_path: Path, **given: Any) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Return the tables by formula and by the engine, and the number of trials that no formula decided."""
    spec = SweepSpec(ties=False, **given)
    found = sweep_by_formula(spec)
    played = sweep(spec, out=tmp_path / "run", progress=False)
    order = [*found.outcomes.columns[: found.outcomes.columns.get_loc("trials")]]
    tables = [each.sort_values(order).reset_index(drop=True) for each in (found.outcomes, played.outcomes)]
    return tables[0], tables[1], found.played


def test_a_grid_has_the_same_table_by_formula_also_at_ties(tmp_path: Path) -> None:
    """The grid has cells in which the result and the end of the response are simultaneous, and cells with a time of 0."""
    formula, engine, played = both(tmp_path, releases="0.9.1,0.9.4", times=GRID)
    pd.testing.assert_frame_equal(formula, engine)
    assert 0 < played <= 12, "only the cells with a tool time of 0 are played"


def test_drawn_times_have_the_same_table_by_formula(tmp_path: Path) -> None:
    """`create_ms` has several draws in a session, and each is a time of the formula."""
    formula, engine, played = both(tmp_path, times=DRAWN, trials=300)
    pd.testing.assert_frame_equal(formula, engine)
    assert played == 0
    assert len(formula) > 1


@pytest.mark.long
@pytest.mark.parametrize(("scenario", "handler"), [("single", "return"), ("single", "void_ref"), ("parallel", "return")])
def test_many_drawn_sessions_have_the_same_table_by_formula(tmp_path: Path, scenario: str, handler: str) -> None:
    formula, engine, _ = both(tmp_path, scenarios=scenario, handlers=handler, times=DRAWN, trials=5000)
    pd.testing.assert_frame_equal(formula, engine)


def test_a_sweep_by_formula_does_not_look_for_ties() -> None:
    with pytest.raises(InputError, match="looked for in a sweep by formula"):
        sweep_by_formula(SweepSpec(times=GRID, ties=True))


def test_the_verb_sweep_prints_the_outcomes_by_formula(capsys: pytest.CaptureFixture[str]) -> None:
    times = ["--tool-ms", "10:300:10", "--gap-ms", "200", "--host-rtt-ms", "20", "--upstream-rtt-ms", "35"]
    assert main(["sweep", "--by", "formula", *times, "--fail-on", "rejected"]) == 1
    printed = capsys.readouterr().out
    assert "30 trials by formula, 0 of them played" in printed
    assert "rejected" in printed
    assert main(["sweep", "--by", "formula", "--live", *times]) == 2
    assert "by" in capsys.readouterr().err
    assert main(["sweep", "--by", "guess", *times]) == 2
