"""Test that counts, shares and intervals are given only where they are valid, and that flips lie between the right cells."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicerace.errors import InputError
from voicerace.experiments.rates import cell_columns, differing, findings, flips, newcombe, outcomes_at, summarise, wilson
from voicerace.experiments.sweep.sweep import trials_of


def frame(rows: list[tuple[str, float, str]], **more: Any) -> pd.DataFrame:
    """Return a table of trials from rows of (release, tool_ms, outcome)."""
    found = pd.DataFrame(rows, columns=["release", "tool_ms", "outcome"]).assign(drawn="", seed=range(len(rows)), bad=False)
    return found.assign(**more)


# -- intervals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    # Newcombe 1998, table I, method 3 (Wilson): 81/263, 15/148, 0/20, 1/29.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_matches_newcombes_method_three(count: int, of: int, low: float, high: float) -> None:
    assert wilson(count, of) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_the_interval_contains_the_share_and_lies_in_0_to_1(numbers: tuple[int, int]) -> None:
    count, of = numbers
    low, high = wilson(count, of)
    assert 0 <= low <= count / of <= high <= 1
    assert low < high


@pytest.mark.parametrize(("count", "of", "level"), [(-1, 5, 0.95), (6, 5, 0.95), (0, 0, 0.95), (1, 5, 0.0), (1, 5, 1.0)])
def test_counts_without_an_interval_are_an_input_error(count: int, of: int, level: float) -> None:
    with pytest.raises(InputError):
        wilson(count, of, level)


def test_the_interval_of_one_draw_has_its_closed_form() -> None:
    # For counts of 0 and n the interval has a closed form: its other end is z² / (n + z²) away.
    assert wilson(0, 1, 0.95) == pytest.approx((0, 1.959964**2 / (1 + 1.959964**2)))
    assert wilson(1, 1, 0.99) == pytest.approx((1 / (1 + 2.575829**2), 1))


@pytest.mark.parametrize(
    ("a", "b", "low", "high"),
    # Newcombe 1998 (II), table II, method 10.
    [
        ((48, 80), (56, 70), 0.0524, 0.3339),
        ((3, 10), (9, 10), 0.1705, 0.8090),
        ((2, 7), (6, 7), 0.0582, 0.8062),
        ((0, 29), (5, 56), -0.0381, 0.1926),
        ((0, 20), (0, 10), -0.1611, 0.2775),
        ((0, 20), (10, 10), 0.6791, 1.0),
    ],
)
def test_the_interval_of_a_difference_matches_newcombes_method_ten(
    a: tuple[int, int], b: tuple[int, int], low: float, high: float
) -> None:
    assert newcombe(*a, *b) == pytest.approx((low, high), abs=5e-5)
    # Exchanging the samples changes the sign only.
    assert newcombe(*b, *a) == pytest.approx((-high, -low), abs=5e-5)


# -- cells -----------------------------------------------------------------------------------------------------------


def test_fixed_times_are_computed_and_have_no_interval() -> None:
    found = summarise(frame([("a", 1, "answered"), ("a", 2, "rejected")]))
    assert set(found["kind"]) == {"computed"}
    assert found[["low", "high"]].isna().all().all()
    assert found["share"].tolist() == [1.0, 0.0, 0.0, 1.0]
    assert found["ties"].tolist() == [0, 0, 0, 0]


def test_drawn_times_are_estimated_with_their_denominators() -> None:
    trials = frame([("a", 1.5, "answered")] * 3 + [("a", 2.5, "rejected")] + [("b", 1.5, "answered")] * 4, drawn="tool_ms")
    found = summarise(trials).set_index(["release", "outcome"])
    assert "tool_ms" not in found.columns
    assert found.loc[("a", "rejected"), ["count", "sessions", "judged", "share"]].tolist() == [1, 4, 4, 0.25]
    # An outcome that never occurs in a cell still has a row, since 0 of 4 is a result.
    assert found.loc[("b", "rejected"), "count"] == 0
    assert found.loc[("b", "rejected"), "high"] == pytest.approx(wilson(0, 4)[1])
    assert set(found["kind"]) == {"estimated"}


def test_a_cell_without_a_judged_session_is_unknown_and_not_0_percent() -> None:
    found = summarise(frame([("a", 1, "unknown"), ("b", 1, "rejected")])).set_index(["release", "outcome"])
    assert found.loc["a", "kind"].tolist() == ["unknown", "unknown"]
    assert found.loc["a", "share"].isna().all()
    assert found.loc[("b", "rejected"), "share"] == 1.0


def test_unknown_sessions_are_excluded_from_the_denominator() -> None:
    rows = [("a", 1.0, outcome) for outcome in ("unknown", "answered", "rejected", "rejected")]
    found = summarise(frame(rows, drawn="tool_ms")).set_index("outcome")
    assert found.loc["rejected", ["count", "sessions", "judged"]].tolist() == [2, 4, 3]
    assert found.loc["rejected", "share"] == pytest.approx(2 / 3)
    assert found.loc["rejected", ["low", "high"]].tolist() == pytest.approx(wilson(2, 3))
    assert pd.isna(found.loc["unknown", "share"])


def test_a_repeated_seed_in_a_cell_is_refused() -> None:
    trials = frame([("a", 1.0, "answered"), ("a", 2.0, "answered")], drawn="tool_ms")
    with pytest.raises(InputError, match="duplicate seed"):
        summarise(trials.assign(seed=7))


def test_trials_with_different_drawn_times_are_not_mixed() -> None:
    with pytest.raises(InputError, match="drawn times differ"):
        summarise(frame([("a", 1, "answered"), ("a", 2, "answered")], drawn=["", "tool_ms"]))


def test_times_of_further_calls_are_not_axes_of_a_drawn_time() -> None:
    trials = frame([("a", 1.0, "answered")], drawn="tool_ms", tool_ms_2=5.0, gap_ms=3.0)
    assert cell_columns(trials) == ["release", "gap_ms"]


def test_a_missing_optional_time_does_not_drop_the_cell() -> None:
    found = summarise(frame([("a", 1, "answered")], item_done_ms=float("nan")))
    assert found["count"].tolist() == [1]


def test_findings_count_all_bad_sessions() -> None:
    trials = frame([("a", 1.0, "answered"), ("a", 2.0, "rejected"), ("a", 3.0, "answered")], drawn="tool_ms")
    # The third session was answered and then got stuck.
    found = findings(trials.assign(bad=[False, True, True]))
    assert found[["count", "judged"]].iloc[0].tolist() == [2, 3]
    assert found["low"].iloc[0] == pytest.approx(wilson(2, 3)[0])


def test_no_trials_give_an_empty_frame_with_the_same_columns() -> None:
    some = frame([("a", 1, "answered")])
    assert list(summarise(some.iloc[:0]).columns) == list(summarise(some).columns)
    with pytest.raises(InputError, match="outcome"):
        summarise(pd.DataFrame({"x": [1]}))


def test_ties_are_counted_with_both_of_their_outcomes() -> None:
    found = summarise(frame([("a", 1, "answered"), ("a", 2, "rejected")], tie_outcome=["rejected", None]))
    assert found.set_index(["tool_ms", "outcome"])["ties"].to_dict() == {
        (1, "answered"): 1, (1, "rejected"): 1, (2, "answered"): 0, (2, "rejected"): 0,
    }  # fmt: skip


# -- flips -----------------------------------------------------------------------------------------------------------


def test_a_flip_lies_between_two_neighbours() -> None:
    found = flips(frame([("a", 30, "answered"), ("a", 10, "lost"), ("a", 20, "lost"), ("b", 10, "lost"), ("b", 30, "lost")]))
    assert found.drop(columns="at_ms").to_dict("records") == [
        {"release": "a", "from_ms": 20, "to_ms": 30, "before": "lost", "after": "answered"}
    ]
    assert found["at_ms"].isna().all()


@pytest.mark.parametrize("ties", [[None, "lost"], ["answered", None]])
def test_a_tie_makes_the_flip_exact(ties: list[str | None]) -> None:
    found = flips(frame([("a", 20, "lost"), ("a", 30, "answered")], tie_outcome=ties))
    assert found["at_ms"].tolist() == [30 if ties[1] else 20]


def test_flips_are_kept_apart_by_every_other_column() -> None:
    rows = [("a", 1.0, "lost"), ("a", 2.0, "answered"), ("a", 1.0, "answered"), ("a", 2.0, "answered")]
    found = flips(frame(rows, handler=["void_ref", "void_ref", "return", "return"]))
    assert found[["release", "handler"]].to_numpy().tolist() == [["a", "void_ref"]]


def test_drawn_times_have_no_flips() -> None:
    with pytest.raises(InputError, match="tool_ms is drawn"):
        flips(frame([("a", 1, "lost")], drawn="tool_ms"))
    with pytest.raises(InputError, match="'gap_ms' is no column"):
        outcomes_at(frame([("a", 1, "lost")]), "gap_ms")


def test_two_outcomes_of_one_cell_are_refused() -> None:
    with pytest.raises(InputError, match="two outcomes"):
        flips(frame([("a", 1, "lost"), ("a", 1, "answered")]))


def test_the_flips_of_the_generations_match_the_closed_forms() -> None:
    """Generation A refuses below 220 ms, B stalls from 280 ms on, and D refuses below 125 ms."""
    times = {"gap_ms": 300, "host_rtt_ms": 20, "upstream_rtt_ms": 60, "ack_ms": 35, "tool_ms": "110:290:15"}
    found = flips(trials_of({"releases": "0.9.1,0.9.4,0.11.1", "times": times})).set_index("release")
    assert found.loc["0.9.1", ["from_ms", "to_ms", "before", "after"]].tolist() == [215, 230, "rejected", "answered"]
    assert found.loc["0.9.4", ["from_ms", "to_ms", "before", "after"]].tolist() == [275, 290, "answered", "stalled"]
    assert found.loc["0.11.1", ["to_ms", "at_ms", "before", "after"]].tolist() == [125, 125, "lost", "answered"]


def test_outcomes_are_ordered_by_configuration_and_then_by_time() -> None:
    rows = [("b", 2.0, "lost"), ("a", 2.0, "answered"), ("b", 1.0, "stalled"), ("a", 1.0, "noisy")]
    found = outcomes_at(frame(rows, margin_ms=[4.0, 3.0, 2.0, 1.0]))
    assert list(found.columns) == ["release", "tool_ms", "outcome", "tie_outcome", "margin_ms"]
    assert found["outcome"].tolist() == ["stalled", "lost", "noisy", "answered"]
    assert found["margin_ms"].tolist() == [2.0, 4.0, 1.0, 3.0]
    assert found["tie_outcome"].isna().all()
    assert found.index.tolist() == [0, 1, 2, 3]


def test_a_single_configuration_is_ordered_by_time() -> None:
    trials = frame([("a", 2.0, "lost"), ("a", 1.0, "answered")]).drop(columns="release")
    assert outcomes_at(trials)["tool_ms"].tolist() == [1.0, 2.0]
    assert flips(trials).columns.tolist() == ["from_ms", "to_ms", "at_ms", "before", "after"]
    assert flips(trials)[["from_ms", "to_ms"]].to_numpy().tolist() == [[1.0, 2.0]]


def test_a_repeated_trial_is_one_outcome() -> None:
    assert len(outcomes_at(frame([("a", 1.0, "lost")] * 2))) == 1


def test_a_component_is_a_distinguishing_column_only_if_it_was_chosen() -> None:
    trials = frame([("a", 1.0, "lost"), ("b", 1.0, "lost")], component=["1", "2"], scenario="repro")
    columns = ["release", "component", "scenario", "tool_ms"]
    assert differing(trials, columns, "tool_ms") == ["release"]
    chosen = frame([("a", 1.0, "lost"), ("a", 2.0, "lost")], component=["1", "2"], scenario="repro")
    assert differing(chosen, columns, "tool_ms") == ["release", "component"]
    assert differing(chosen.drop(columns="release"), columns[1:], "tool_ms") == ["component"]
    assert differing(trials.drop(columns="component"), ["release", "scenario", "tool_ms"], "tool_ms") == ["release"]


def test_a_partly_missing_value_is_a_distinguishing_column() -> None:
    trials = frame([("a", 1.0, "lost"), ("a", 2.0, "lost")], profile=["near", None])
    assert differing(trials, ["release", "profile"], "tool_ms") == ["release", "profile"]


def test_an_undecided_tie_counts_for_its_own_two_outcomes_only() -> None:
    rows = [("a", 1.0, outcome) for outcome in ("answered", "rejected", "lost")]
    found = summarise(frame(rows, drawn="tool_ms", tie_outcome=["rejected", None, None]))
    assert found.set_index("outcome")["ties"].to_dict() == {"answered": 1, "rejected": 1, "lost": 0}


def test_findings_of_no_trials_are_an_empty_summary() -> None:
    assert findings(frame([])).empty


def test_a_flip_has_the_outcomes_and_times_on_its_two_sides() -> None:
    found = flips(frame([("a", 10, "lost"), ("a", 20, "answered"), ("a", 30, "stalled")], tie_outcome=[None, None, "noisy"]))
    assert found.to_dict("records")[1] == {
        "release": "a", "from_ms": 20, "to_ms": 30, "at_ms": pytest.approx(float("nan"), nan_ok=True),
        "before": "answered", "after": "stalled",
    }  # fmt: skip


def test_any_differing_time_is_a_distinguishing_column() -> None:
    trials = frame([("a", 1.0, "lost"), ("a", 2.0, "lost")], upstream_rtt_ms=[3.0, 4.0])
    assert differing(trials, ["release", "tool_ms", "upstream_rtt_ms"], "tool_ms") == ["release", "upstream_rtt_ms"]
    assert differing(trials.iloc[:0], ["release", "tool_ms", "upstream_rtt_ms"], "tool_ms") == ["release"]


def test_a_configuration_with_a_missing_value_keeps_its_position() -> None:
    found = outcomes_at(frame([("a", 1.0, "lost"), ("a", 1.0, "answered")], profile=[None, "near"]))
    assert found["outcome"].tolist() == ["lost", "answered"]
