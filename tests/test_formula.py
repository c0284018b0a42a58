"""Test formulas: they equal the closed forms and the engine, also at ties, and say what they do not decide."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voicerace.analysis.verdict import judge
from voicerace.cli import main
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.errors import InputError
from voicerace.experiments.formula.formula import UNDECIDED, Formula, derive
from voicerace.experiments.formula.linear import Linear, before, recorded
from voicerace.experiments.formula.polyhedron import Space
from voicerace.experiments.formula.text import in_words, latex, lines
from voicerace.experiments.formula.traced import trace
from voicerace.units import ns

#: Closed forms of docs/protocol-facts.md#closed-forms: release, bad outcome, weights of tool, host, upstream and ack.
CLOSED = [
    ("0.9.1", "rejected", (1, 1, 1, 0), "<"),
    ("0.9.4", "stalled", (1, 1, 0, 0), ">="),
    ("0.11.1", "lost", (1, 1, 2, 1), "<"),
]
BOX = {"tool_ms": (0, ns(400)), "host_rtt_ms": (0, ns(60)), "upstream_rtt_ms": (0, ns(90)), "gap_ms": (0, ns(400))}
_known: dict[tuple[str, ...], Formula] = {}


def formula(release: str, scenario: str = "single", handler: str = "return", **box: tuple[int, int]) -> Formula:
    """Return the formula in `BOX`, derived once."""
    key = (release, scenario, handler, *box)
    if key not in _known:
        _known[key] = derive(SessionConfig.of(release=release, scenario=scenario, handler=handler), BOX | box)
    return _known[key]


def played(found: Formula, values: dict[str, int]) -> str:
    """Return the outcome that the engine finds."""
    times = found.session.times
    for name, value in values.items():
        times = times.with_ns(name, int(value))
    return judge(simulate(replace(found.session, times=times))).outcome


def compared(found: Formula, draws: int, seed: int = 1) -> None:
    """Compare the formula with the engine at random points, and at as many points where two sides of a condition are equal."""
    space = Space(found.box, seed)
    rows = [dict(zip(found.box, each, strict=True)) for each in space.draws(draws).tolist()]
    forms = sorted({form for terms in found.terms.values() for term in terms for form, _ in term})
    rows += [point for number in range(draws) if (point := space.point((), zero=forms[number % len(forms)])) is not None]
    codes = found.codes({name: [row[name] for row in rows] for name in found.box})
    for row, code in zip(rows, codes, strict=True):
        assert code != UNDECIDED, row
        assert found.outcomes[code] == played(found, row), row


def test_linear_numbers_compute_as_integers_and_keep_their_coefficients() -> None:
    tool, trip = Linear.named("tool_ms", 30), Linear.named("host_rtt_ms", 9)
    half = trip // 2
    total = 5 + tool + half - (trip - half)
    assert int(total) == 5 + 30 + 4 - 5
    assert {name: value for name, value in total.form.items() if value} == {"": 10, "tool_ms": 2}
    with pytest.raises(ValueError, match="no form"):
        half // 2


def test_a_comparison_of_linear_numbers_is_recorded_as_the_condition_that_holds() -> None:
    tool, gap = Linear.named("tool_ms", 30), Linear.named("gap_ms", 40)
    with recorded() as found:
        assert tool < gap
        assert not gap <= tool
        assert tool + 10 >= gap
        assert (tool, 1) != (gap, 0)
    assert found == {((("gap_ms", 2), ("tool_ms", -2)), True), ((("", 20), ("gap_ms", -2), ("tool_ms", 2)), False)}
    assert before(tool, tool + 5, strict=True) is None


@pytest.mark.parametrize(("release", "bad", "weights", "relation"), CLOSED)
def test_the_formula_of_a_release_is_its_closed_form(
    release: str, bad: str, weights: tuple[int, int, int, int], relation: str
) -> None:
    found = formula(release, ack_ms=(0, ns(50)))
    assert set(found.outcomes) == {"answered", bad}
    (((form, strict),),) = found.terms[bad]
    names = ("tool_ms", "host_rtt_ms", "upstream_rtt_ms", "ack_ms")
    sign = -1 if relation == "<" else 1
    expected = {name: 2 * sign * weight for name, weight in zip(names, weights, strict=True) if weight} | {"gap_ms": -2 * sign}
    assert (dict(form), strict) == (expected, relation == "<")


@pytest.mark.parametrize("release", ["0.9.1", "0.9.4", "0.11.1"])
def test_the_formula_equals_the_engine_at_random_times_and_at_ties(release: str) -> None:
    compared(formula(release, ack_ms=(0, ns(50))), 60)


def test_the_formula_of_two_submissions_has_conditions_of_several_times() -> None:
    """With void_ref the component sends a result of its own first, whose request can begin a reply."""
    session = SessionConfig.of(release="0.9.1", handler="void_ref", times={"host_rtt_ms": 20, "upstream_rtt_ms": 30})
    found = derive(session, {"tool_ms": (0, ns(1000)), "gap_ms": (0, ns(1000))})
    assert {"rejected", "noisy", "stale", "duplicated"} == set(found.outcomes)
    assert any(len(term) > 1 for terms in found.terms.values() for term in terms)
    compared(found, 40)


@pytest.mark.long
@pytest.mark.parametrize(
    ("scenario", "handler"), [("single", "return"), ("single", "void_ref"), ("parallel", "return"), ("double", "return")]
)
def test_thousands_of_sessions_have_the_outcome_of_the_formula(scenario: str, handler: str) -> None:
    compared(formula("0.9.1", scenario, handler), 1500)


def test_a_traced_session_has_the_outcome_and_the_conditions_of_its_point() -> None:
    session = SessionConfig.of(release="0.9.1")
    point = {"tool_ms": ns(50), "host_rtt_ms": ns(10), "upstream_rtt_ms": ns(20), "gap_ms": ns(200)}
    traced = trace(session, point, BOX)
    assert traced.outcome == "rejected"
    closed = (("gap_ms", 2), ("host_rtt_ms", -2), ("tool_ms", -2), ("upstream_rtt_ms", -2))
    assert any(form == closed for form, _ in traced.conditions)
    for form, strict in traced.conditions:
        value = sum(each * point.get(name, 1) for name, each in form)
        assert value > 0 or (value == 0 and not strict)


def test_a_point_outside_the_box_is_undecided() -> None:
    found = formula("0.9.1")
    values: dict[str, Any] = {"tool_ms": [ns(50), ns(401), 0], "host_rtt_ms": ns(1), "upstream_rtt_ms": ns(1), "gap_ms": ns(9)}
    assert [code == UNDECIDED for code in found.codes(values)] == [False, True, True]
    with pytest.raises(InputError, match="gap_ms: has no values"):
        found.codes({name: 1 for name in values if name != "gap_ms"})


@pytest.mark.parametrize(
    ("given", "box", "message"),
    [
        ({"scenario": "voice"}, BOX, "without speech"),
        ({"times": {"reader_ms": "5"}}, BOX, "without reader_ms"),
        ({}, {**BOX, "deadline_ms": (1, 2)}, "deadline_ms: cannot be free"),
        ({"profile": "recorded-2026"}, BOX, "is drawn"),
    ],
)
def test_what_has_no_formula_is_an_error(given: dict[str, Any], box: dict[str, tuple[int, int]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        derive(SessionConfig.of(**given), box)


def test_more_regions_than_allowed_are_an_error() -> None:
    with pytest.raises(InputError, match="more than 1 regions"):
        derive(SessionConfig.of(), BOX, most=1)


def test_a_formula_is_printed_as_text_as_latex_and_in_words() -> None:
    found = formula("0.9.1")
    assert lines(found)[1] == "rejected <=> tool_ms + host_rtt_ms + upstream_rtt_ms < gap_ms"
    assert r"\text{rejected} &\iff \mathit{tool} + \mathit{host\_rtt} + \mathit{upstream\_rtt} < \mathit{gap}" in latex(found)
    assert in_words(found, "rejected") == "the tool's time plus the two round trips is shorter than the gap"


def test_the_verb_prints_the_formula_its_intervals_and_its_constants(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    free = ["--free", "tool_ms=1:300", "--free", "gap_ms=1:300"]
    fixed = ["--host-rtt-ms", "20", "--upstream-rtt-ms", "60", "--ack-ms", "35"]
    assert main(["formula", "--release", "0.9.1,0.9.4", *free, *fixed, "--out", str(tmp_path / "f.json")]) == 0
    printed = capsys.readouterr().out
    assert "rejected <=> tool_ms + 80 < gap_ms" in printed
    assert "stalled  <=> gap_ms <= tool_ms + 20" in printed
    assert "for tool_ms 1 to 300, gap_ms 1 to 300 ms" in printed
    assert "ack_ms 35" in printed
    first, _ = json.loads((tmp_path / "f.json").read_text())["formulas"]
    assert first["conditions"]["rejected"] == [[{"sum": {"": -80, "gap_ms": 1, "tool_ms": -1}, "strict": True}]]
    assert main(["formula", *free[:2], *fixed, "--gap-ms", "200", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["formulas"][0]["formulas"]["rejected"] == "tool_ms < 120"
    assert main(["formula", "--free", "tool_ms=3"]) == 2
    assert "no interval" in capsys.readouterr().err


def test_shares_of_drawn_times_are_those_of_the_formula(capsys: pytest.CaptureFixture[str]) -> None:
    """The share of bad turns is the probability that two uniform times are in the order of the closed form."""
    drawn = ["--share", "tool_ms=uniform(0,100)", "--share", "gap_ms=uniform(0,200)", "--draws", "200000"]
    fixed = ["--host-rtt-ms", "0", "--upstream-rtt-ms", "0", "--ack-ms", "0"]
    assert main(["formula", *drawn, *fixed, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)["formulas"][0]
    assert record["shares"]["rejected"]["share"] == pytest.approx(0.75, abs=0.005)
    assert record["undecided"] < 10
    assert [*record["sensitivity"]] == ["gap_ms", "tool_ms"], "the longer interval moves the share more"
    assert record["sensitivity"]["tool_ms"]["low"] == pytest.approx(0.95, abs=0.01)
    assert main(["formula", *drawn, *fixed]) == 0
    assert "Share of bad outcomes with one time fixed" in capsys.readouterr().out
    assert main(["formula", "--share", "tool_ms=0:400:10"]) == 2
    assert "no distribution" in capsys.readouterr().err


def test_a_million_trials_are_evaluated_at_once() -> None:
    found = formula("0.9.1")
    rng = np.random.default_rng(0)
    values = {name: rng.integers(low, high, 1_000_000) for name, (low, high) in found.box.items()}
    codes = found.codes(values)
    late = values["tool_ms"] + values["host_rtt_ms"] + values["upstream_rtt_ms"] < values["gap_ms"]
    assert ((codes == found.outcomes.index("rejected")) == late).all()
