"""Test the sliders: a move plays the session again, and an impossible session gives a message instead of a failure."""

from __future__ import annotations

import re
from typing import Any

import pytest

from voicerace import InputError, SessionConfig, judge, simulate
from voicerace.analysis.outcomes import TABLE
from voicerace.model.catalog.scenarios import SCENARIOS
from voicerace.report.notebook.sliders import Sliders


def says(sliders: Sliders) -> str:
    return str(sliders.says.value)


def picture(sliders: Sliders) -> str:
    return str(sliders.picture.value)


@pytest.mark.parametrize(
    ("name", "value", "outcome"),
    [
        ("tool_ms", 200, "answered"),
        ("gap_ms", 20, "answered"),
        ("host_rtt_ms", 110, "answered"),
        ("upstream_rtt_ms", 110, "answered"),
        ("release", "0.11.1", "lost"),
        ("release", "0.9.4", "answered"),
        ("release", "reference", "answered"),
        ("handler", "async_ref", "rejected"),
        ("scenario", "slow-tool", "answered"),
    ],
)
def test_every_choice_changes_the_session(name: str, value: Any, outcome: str) -> None:
    sliders = Sliders(release="0.9.1", times={"tool_ms": 50, "gap_ms": 150})
    assert "rejected" in says(sliders)
    before = picture(sliders)
    sliders.choices[name].value = value
    assert sliders.verdict is not None
    assert sliders.verdict.outcome == outcome
    assert f"{outcome}: {TABLE[outcome].meaning}" in says(sliders)
    assert sliders.verdict.why in says(sliders)
    assert picture(sliders) != before
    assert sliders.verdict == judge(simulate(sliders.session))


def test_the_second_session_has_its_result_earlier() -> None:
    sliders = Sliders(release="0.9.1", times={"tool_ms": 160, "gap_ms": 150})
    assert sliders.earlier is not None
    assert judge(sliders.earlier) == judge(simulate(sliders.session.shifted(tool_ms=-40)))
    assert sliders.verdict is not None
    assert (sliders.verdict.outcome, judge(sliders.earlier).outcome) == ("answered", "rejected")
    assert "result 40 ms earlier" in says(sliders)
    assert all(words in picture(sliders) for words in ("✓ answered", "✗ rejected"))
    sliders.earlier_ms.value = 5
    assert judge(sliders.earlier).outcome == "answered"
    assert "✗ rejected" not in picture(sliders)
    sliders.choices["tool_ms"].value = 3
    assert "result 3 ms earlier" in says(sliders), "no time is negative"
    assert judge(sliders.earlier) == judge(simulate(sliders.session.shifted(tool_ms=-3)))


def test_the_time_axis_is_to_scale_and_tooltips_have_the_times() -> None:
    shown = picture(Sliders(release="0.9.1", times={"tool_ms": 160, "gap_ms": 150}))
    arrows = re.findall(
        r'<title>result[^<]*: host to proxy, sent at (\d+), arrives at \d+ ms</title><line x1="([\d.]+)"', shown
    )
    assert [int(at) for at, _ in arrows] == [160, 120]
    ticks = {int(at): float(x) for x, at in re.findall(r'<tspan x="([\d.]+)" y="[\d.]+">(\d+)</tspan>', shown)}
    per_ms = (ticks[100] - ticks[0]) / 100
    for at, x in arrows:
        assert float(x) == pytest.approx(ticks[0] + int(at) * per_ms, abs=0.1)
    assert "response with the call: slot taken" in shown


def test_every_time_of_the_session_has_a_slider() -> None:
    session = SessionConfig.of(profile="recorded-2026", times={"ack_ms": "choice(30,40)"}, seed=2)
    sliders = Sliders.of(session)
    assert {*session.times.values} <= {*sliders.choices}
    assert sliders.session.times.to_json()["ack_ms"] == "choice(30,40)", "a slider that was not moved changes nothing"
    before = picture(sliders)
    sliders.choices["create_ms"].value += 50
    assert picture(sliders) != before
    assert sliders.session.times.ns("create_ms", 0, 2) == session.times.ns("create_ms", 0, 2) + 50_000_000


def test_an_impossible_session_gives_a_message_and_the_next_move_plays_again() -> None:
    sliders = Sliders(times={"gap_ms": 150, "item_done_ms": 100})
    sliders.choices["gap_ms"].value = 50
    assert sliders.recording is None
    assert "item_done_ms" in says(sliders)
    assert 'role="alert"' in says(sliders)
    assert picture(sliders) == ""
    sliders.choices["gap_ms"].value = 300
    assert sliders.error is None
    assert "<svg" in picture(sliders)


def test_every_scenario_can_be_chosen_from_every_other() -> None:
    sliders = Sliders(scenario="parallel", calls=3)
    for name in SCENARIOS:
        sliders.choices["scenario"].value = name
        assert sliders.error is None
    assert sliders.choices["tool_ms"].value == 25_000  # the value of slow-tool, kept by the scenarios that follow


def test_sliders_start_at_any_session() -> None:
    session = SessionConfig.of(
        release="0.10.5",
        scenario="parallel",
        calls=3,
        handler="async_ref",
        times={"tool_ms": "70,400,20", "gap_ms": "uniform(8,300)", "host_rtt_ms": 2000, "reply_ms": 77},
        seed=5,
        knobs_given={"function_output": "item_done"},
        modality="audio",
    )
    sliders = Sliders.of(session)
    assert sliders.error is None
    assert (sliders.choices["tool_ms"].value, sliders.choices["host_rtt_ms"].value) == (70, 2000)
    again = sliders.session
    assert (again.release, again.calls, again.knobs, again.modality) == (
        session.release,
        session.calls,
        session.knobs,
        session.modality,
    )
    assert again.times.ns("gap_ms", 0, 0) == session.times.ns("gap_ms", 0, session.seed)
    assert again.times.to_json()["reply_ms"] == "77"


def test_without_widgets_the_current_session_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setattr("voicerace.report.notebook.sliders.display", lambda one, **_: shown.append(one))
    Sliders(release="0.11.1")._ipython_display_()
    assert "text/html" not in shown[0], "a static page prefers widgets to other forms of the same output"
    assert shown[1].data.startswith("<details><summary>Without sliders: the values when this ran")
    bundle = Sliders(release="0.11.1")._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "lost" in bundle["text/plain"]
    assert "lost" in bundle["text/html"]
    assert 'role="img" aria-label="Sessions on one clock' in bundle["text/html"]


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"release": "0.9.99"}, "release"),
        ({"scenario": "x"}, "scenario"),
        ({"handler": "x"}, "handler"),
        ({"times": {"tool_ms": "soon"}}, "tool_ms"),
        ({"times": {"tool_ms": -1}}, "tool_ms"),
    ],
)
def test_an_invalid_start_is_refused_by_name(given: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError, match=word):
        Sliders(**given)


def test_a_session_is_shifted_by_time_parameter() -> None:
    session = SessionConfig.of(scenario="parallel", times={"tool_ms": "50,90", "gap_ms": "uniform(8,300)"}, seed=3)
    assert session.shifted(tool_ms=-40).times.to_json()["tool_ms"] == "10,50"
    drawn = session.times.ns("gap_ms", 0, 3)
    assert session.shifted(gap_ms=1.5).times.ns("gap_ms", 0, 0) == drawn + 1_500_000
    assert session.shifted() == session
    late = SessionConfig.of(times={"tool_ms": 170, "gap_ms": 150})
    assert judge(simulate(late)).outcome == "answered"
    assert judge(simulate(late.shifted(tool_ms=-40))).outcome == "rejected"
    for given, word in (({"tool_ms": -60}, "negative"), ({"tool": 1}, "no known time"), ({"item_done_ms": 1}, "not set")):
        with pytest.raises(InputError, match=word):
            session.shifted(**given)
    with pytest.raises(InputError, match="item_done_ms"):
        SessionConfig.of(times={"item_done_ms": 140}).shifted(gap_ms=-20)
