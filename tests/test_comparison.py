"""Test the paired comparison of releases with intervals, and the share of findings along margin and lead."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicerace.errors import InputError
from voicerace.experiments.comparison import differences, paired_interval, shares_along
from voicerace.experiments.rates import wilson
from voicerace.experiments.sweep.sweep import trials_of
from voicerace.report.plots import alt_aligned, plot_aligned

DRAWN: dict[str, Any] = {
    "releases": "0.9.1,0.11.1,0.9.4,50420ee",
    "times": {
        "tool_ms": "uniform(0,500)", "gap_ms": "uniform(100,350)", "host_rtt_ms": "uniform(5,60)",
        "upstream_rtt_ms": "uniform(20,120)", "ack_ms": "uniform(5,60)",
    },
    "trials": 80,
    "ties": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def drawn() -> pd.DataFrame:
    return trials_of(DRAWN)


def pairs(first: str, second: str) -> pd.DataFrame:
    """Return the trials of two releases on the same draws; ``x`` marks a finding and ``?`` an unknown outcome."""
    rows = [
        {"release": name, "tool_ms": 1.0, "drawn": "tool_ms", "seed": seed, "bad": letter == "x"}
        | {"outcome": {"x": "lost", "?": "unknown"}.get(letter, "answered")}
        for name, letters in (("0.9.1", first), ("0.9.4", second))
        for seed, letter in enumerate(letters)
    ]
    return pd.DataFrame(rows)


# -- intervals -------------------------------------------------------------------------------------------------------


def test_the_interval_equals_published_values() -> None:
    # Data: airway hyper-responsiveness before and after stem cell transplantation (Bentur et al. 2009).
    # Source: Fagerland, Lydersen and Laake, Statistics in Medicine 33 (2014) 2850-2875.
    # The difference is -0.286, and Newcombe's interval is -0.507 to -0.026.
    low, high = paired_interval(1, 1, 7, 12)
    assert (round(low, 3), round(high, 3)) == (-0.507, -0.026)
    # With a positive correlation, half a draw in each cell is subtracted (continuity correction). Computed by hand, phi is
    # (40 * 54 - 6 * 0 - 100 / 2) / sqrt(46 * 54 * 40 * 60) = 0.864174.
    assert paired_interval(40, 6, 0, 54) == pytest.approx((0.009742355, 0.109412051), abs=1e-8)


@given(*[st.integers(0, 60)] * 4)
def test_the_interval_contains_the_difference_and_is_antisymmetric(both: int, first: int, second: int, neither: int) -> None:
    of = both + first + second + neither
    if of == 0:
        return
    low, high = paired_interval(both, first, second, neither)
    assert -1 - 1e-9 <= low <= (first - second) / of + 1e-9
    assert (first - second) / of - 1e-9 <= high <= 1 + 1e-9
    assert paired_interval(both, second, first, neither) == (pytest.approx(-high), pytest.approx(-low))


def test_paired_intervals_are_narrower_than_separate_ones() -> None:
    """For two releases that mostly fail on the same draws, the paired interval excludes 0 and the separate ones overlap."""
    low, _ = paired_interval(40, 6, 0, 54)
    assert low > 0
    (_, high_other), (low_one, _) = wilson(40, 100), wilson(46, 100)
    assert low_one < high_other


# -- differences -------------------------------------------------------------------------------------------------------


def test_draws_are_paired_by_their_seed() -> None:
    (row,) = differences(pairs("xxx..?", "x.x.xx")).to_dict("records")
    assert (row["release"], row["other"], row["pairs"]) == ("0.9.1", "0.9.4", 5)
    assert (row["both"], row["only"], row["only_other"], row["neither"]) == (2, 1, 1, 1)
    assert (row["difference"], row["p"], row["kind"]) == (0.0, 1.0, "estimated")
    shuffled = pairs("xxx..?", "x.x.xx").sample(frac=1, random_state=2)
    (again,) = differences(shuffled.sort_values("release")).to_dict("records")
    assert again == row


def test_the_p_value_is_mcnemars_exact_one() -> None:
    (row,) = differences(pairs("xxxxxx....", "......x...")).to_dict("records")
    # Probability of both tails of 7 coin tosses with a split of 6 to 1: 2 * (1 + 7) / 128.
    assert row["p"] == pytest.approx(16 / 128)


def test_shares_of_one_outcome_can_be_compared() -> None:
    (row,) = differences(pairs("xx..", "...."), of="answered").to_dict("records")
    assert row["difference"] == -0.5


def test_fixed_times_have_no_interval() -> None:
    trials = trials_of({"releases": "0.9.1,0.9.4", "times": {"tool_ms": "50:250:200"}, "ties": False})
    found = differences(trials)
    assert list(found["difference"]) == [1.0, -1.0]
    assert found["low"].isna().all()
    assert set(found["kind"]) == {"computed"}


def test_duplicate_draws_are_refused() -> None:
    trials = pairs("xx", "..")
    with pytest.raises(InputError, match="twice"):
        differences(pd.concat([trials, trials]))


def test_releases_of_a_sweep_are_compared_draw_by_draw(drawn: pd.DataFrame) -> None:
    found = differences(drawn).set_index(["release", "other"])
    assert len(found) == 6
    assert (found["pairs"] == 80).all()
    # Generations B and C send the request by the same rule, so no draw differs.
    assert found.loc[("0.9.4", "50420ee"), ["only", "only_other"]].tolist() == [0, 0]
    assert found.loc[("0.9.1", "0.9.4"), "p"] < 0.05


# -- shares along a measure ------------------------------------------------------------------------------------------


def test_every_judged_draw_is_in_one_bin_of_one_sign(drawn: pd.DataFrame) -> None:
    found = shares_along(drawn, "margin_ms", 25)
    assert found["draws"].sum() == drawn["margin_ms"].notna().sum()
    assert not ((found["from_ms"] < 0) & (found["to_ms"] > 0)).any()
    assert found["share"].between(found["low"], found["high"]).all()
    with pytest.raises(InputError, match="no column"):
        shares_along(drawn, "margin")
    with pytest.raises(InputError, match="width_ms"):
        shares_along(drawn, "margin_ms", math.nan)


@pytest.mark.parametrize(
    ("release", "measure", "bad_below"),
    [("0.9.1", "margin_ms", True), ("0.11.1", "margin_ms", True), ("0.9.4", "lead_ms", False), ("50420ee", "lead_ms", False)],
)
def test_the_sign_of_its_measure_decides_the_outcome_of_a_generation(
    drawn: pd.DataFrame, release: str, measure: str, bad_below: bool
) -> None:
    own = drawn[drawn["release"] == release]
    below = own[measure] < 0
    assert own[below]["bad"].eq(bad_below).all()
    assert own[~below]["bad"].ne(bad_below).all()
    assert 5 < below.sum() < 75
    # The tool time alone does not determine the outcome: findings and answers overlap along this axis.
    bad, good = own[own["bad"]]["tool_ms"], own[~own["bad"]]["tool_ms"]
    assert max(bad.min(), good.min()) < min(bad.max(), good.max())


def test_the_plot_has_a_row_per_measure_and_alt_text(drawn: pd.DataFrame) -> None:
    figure = plot_aligned(drawn)
    assert len(figure.axes) == 4
    labels = [[line.get_label() for line in axes.lines if not line.get_label().startswith("_")] for axes in figure.axes]
    assert labels[0] == labels[1] == ["0.9.1 (A1)", "0.11.1 (D)"]
    assert labels[2] == labels[3] == ["0.9.4 (B)", "50420ee (C)"]
    for line in figure.axes[1].lines[:2]:
        assert {(x < 0, y) for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)} == {(True, 1.0), (False, 0.0)}
    words = alt_aligned(drawn)
    assert "0.9.1 (generation A1) by margin_ms: bad sessions " in words
    assert ", 0 of " in words
    only = plot_aligned(drawn[drawn["release"] == "0.9.4"])
    assert len(only.axes) == 2
    with pytest.raises(InputError, match="no release"):
        plot_aligned(drawn.assign(release="unknown"))
