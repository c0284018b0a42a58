"""Test the boundaries between outcomes: bisection agrees with the closed forms and a grid, and plays fewer sessions."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from voicerace.cli import main
from voicerace.errors import InputError
from voicerace.experiments.boundary import RESOLUTION_MS, boundaries
from voicerace.experiments.rates import flips
from voicerace.experiments.sweep.spec import SweepSpec
from voicerace.experiments.sweep.sweep import trials_of

NETWORK = {"gap_ms": "300", "host_rtt_ms": "20", "upstream_rtt_ms": "60", "ack_ms": "35"}


def spec(**given: Any) -> SweepSpec:
    times = {"tool_ms": "0:400:50", **NETWORK, **given.pop("times", {})}
    return SweepSpec(**{"releases": "0.9.1,0.9.4,0.11.1", "times": times, **given})


@pytest.mark.parametrize(("gap", "host", "upstream", "ack"), [(300, 20, 60, 35), (211.3, 7.7, 31.1, 12.9), (350, 0, 40, 0)])
def test_outcomes_change_where_the_closed_forms_say(gap: float, host: float, upstream: float, ack: float) -> None:
    """The outcomes change where the closed forms predict (docs/protocol-facts.md#closed-forms); times in ms."""
    times = {"gap_ms": f"{gap}", "host_rtt_ms": f"{host}", "upstream_rtt_ms": f"{upstream}", "ack_ms": f"{ack}"}
    found = boundaries(spec(times=times))
    rows = {row["release"]: row for row in found.frame.to_dict("records")}
    expected = {"0.9.1": gap - host - upstream, "0.9.4": gap - host, "0.11.1": gap - host - 2 * upstream - ack}
    assert len(found.frame) == 3
    for release, at in expected.items():
        row = rows[release]
        assert row["from_ms"] - 1e-9 <= at <= row["to_ms"] + 1e-9
        assert row["to_ms"] - row["from_ms"] == pytest.approx(RESOLUTION_MS)
        assert row["before"] != row["after"]
    if at == round(at, 1):
        assert rows[release]["at_ms"] == pytest.approx(at), "both outcomes happen at a tie"


@given(
    release=st.sampled_from(["0.9.1", "0.9.4", "0.11.1"]),
    gap=st.integers(0, 400_000),
    host=st.integers(0, 60_000),
    upstream=st.integers(0, 90_000),
    ack=st.integers(0, 50_000),
)
@settings(max_examples=25)
def test_bisection_equals_the_closed_form_to_a_tenth_of_a_millisecond(
    release: str, gap: int, host: int, upstream: int, ack: int
) -> None:
    """All times are in µs. The outcome changes once, at the value of the closed form, or never if the value is negative."""
    closed = {"0.9.1": gap - host - upstream, "0.9.4": gap - host, "0.11.1": gap - host - 2 * upstream - ack}[release] / 1e3
    assume(abs(closed) > 0.2)
    given_us = {"gap_ms": gap, "host_rtt_ms": host, "upstream_rtt_ms": upstream, "ack_ms": ack}
    times = {"tool_ms": "0:450:50", **{name: f"{value / 1e3}" for name, value in given_us.items()}}
    rows = boundaries(spec(releases=release, times=times)).frame.to_dict("records")
    if closed < 0:
        assert not rows
        return
    [row] = rows
    assert row["from_ms"] - 1e-9 <= closed <= row["to_ms"] + 1e-9
    assert row["to_ms"] - row["from_ms"] == pytest.approx(RESOLUTION_MS)


def test_a_grid_finds_the_same_changes_with_more_sessions() -> None:
    times = {"tool_ms": "0:60:20", "gap_ms": "40", "host_rtt_ms": "0", "upstream_rtt_ms": "4", "ack_ms": "1"}
    found = boundaries(spec(times=times))
    grid = trials_of(spec(times={**times, "tool_ms": "0:60:0.1"}, ties=False))
    assert found.trials < len(grid) / 5
    assert found.grid_trials == len(grid)
    by_grid = [(row["release"], row["before"], row["after"], row["to_ms"]) for row in flips(grid).to_dict("records")]
    by_bisection = [(row["release"], row["before"], row["after"], row["to_ms"]) for row in found.frame.to_dict("records")]
    assert by_bisection == by_grid


def test_more_than_two_outcomes_along_one_delay_are_found() -> None:
    """0.11.1 has more than two outcomes along the delay if the reply to the component's error is slow."""
    given = {
        "handlers": "void_ref",
        "releases": "0.11.1",
        "times": {"tool_ms": "0:4000:500", "gap_ms": "8", "reply_ms": "1500"},
    }
    found = boundaries(spec(**given)).frame
    assert len(found) > 1
    for before, after in pairwise(found.to_dict("records")):
        assert before["after"] == after["before"]
        assert before["to_ms"] <= after["from_ms"]


def test_each_value_of_a_second_grid_has_its_row() -> None:
    found = boundaries(spec(releases="0.9.1", times={"gap_ms": "150:350:100"})).frame
    assert list(found["gap_ms"]) == [150, 250, 350]
    assert list(found["to_ms"]) == [70, 170, 270]


def test_a_boundary_of_drawn_times_is_where_half_of_the_draws_change() -> None:
    """The gap is uniform over 150 to 250 ms. Half of the draws change 80 ms below its mean of 200 ms."""
    drawn = spec(releases="0.9.1,0.9.4", times={"tool_ms": "0:300:100", "gap_ms": "uniform(150,250)"}, ties=False)
    found = boundaries(drawn, most=200)
    rows = {row["release"]: row for row in found.frame.to_dict("records")}
    for release, at in (("0.9.1", 120), ("0.9.4", 180)):
        row = rows[release]
        assert row["from_ms"] < at < row["to_ms"]
        assert row["to_ms"] - row["from_ms"] < 40
        assert row["low"] <= 0.5 <= row["high"]
        assert row["draws"] == 200
    assert (rows["0.9.1"]["before"], rows["0.9.4"]["before"]) == ("most", "few")
    assert found.trials < found.grid_trials / 50


def test_a_value_without_doubt_needs_few_draws() -> None:
    drawn = spec(releases="0.9.1", times={"tool_ms": "0:300:300", "gap_ms": "uniform(150,250)"}, ties=False)
    nowhere = boundaries(drawn.model_copy(update={"times": {**drawn.times, "tool_ms": "0:10:10"}}), most=6400)
    assert len(nowhere.frame) == 0
    assert nowhere.trials == 100, "one stage for each of the two values"


def test_missing_grids_and_invalid_levels_are_refused() -> None:
    with pytest.raises(InputError, match="no grid"):
        boundaries(spec(times={"tool_ms": "50"}))
    with pytest.raises(InputError, match="level"):
        boundaries(spec(), level=1)


def test_the_verb_prints_boundaries_assumed_times_and_costs(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["boundary", "--releases", "0.9.1", "--tool-ms", "0:400:50", "--gap-ms", "300"]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["release", "time", "from", "ms", "to", "ms", "tie", "at", "ms", "before", "after"]
    assert lines[1].split() == ["0.9.1", "tool_ms", "299.9", "300", "300", "rejected", "answered"]
    assert lines[2].startswith("assumed times (profile loopback, in ms; none was given): host_rtt_ms=0,")
    assert not any("gap_ms=" in line.replace("call_gap_ms", "").replace("reply_gap_ms", "") for line in lines)
    assert lines[-1].startswith("1 found with ")
    assert lines[-1].endswith("a grid of 0.1 ms has 4001")


def test_changes_of_a_formula_are_exact_and_those_of_the_bisection(capsys: pytest.CaptureFixture[str]) -> None:
    """The formula finds each change to 1 ns, with the outcome of both orders at a tie."""
    searched, read = boundaries(spec()), boundaries(spec(), by_formula=True)
    assert len(read.frame) == len(searched.frame) == 3
    for one, other in zip(searched.frame.to_dict("records"), read.frame.to_dict("records"), strict=True):
        assert (one["before"], one["after"], one["at_ms"]) == (other["before"], other["after"], other["at_ms"])
        assert one["from_ms"] - 1e-6 <= other["from_ms"] < other["to_ms"] <= one["to_ms"] + 1e-6
        assert other["to_ms"] - other["from_ms"] == pytest.approx(1e-6)
    assert read.trials < searched.trials
    with pytest.raises(InputError, match="formula with drawn times"):
        boundaries(spec(times={"ack_ms": "uniform(1,9)"}), by_formula=True)
    assert main(["boundary", "--by", "formula", "--tool-ms", "0:400:50", "--gap-ms", "300", "--host-rtt-ms", "20"]) == 0
    assert "rejected" in capsys.readouterr().out
