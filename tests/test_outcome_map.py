"""Test the map for JupyterLab: tooltips, zoom, and the session of the picked cell."""

from __future__ import annotations

import re

import pytest

from voicerace import InputError, SessionConfig, judge, simulate
from voicerace.experiments.sweep.sweep import trials_of
from voicerace.report.notebook.outcome_map import OutcomeMap

TIMES = {"host_rtt_ms": 0, "upstream_rtt_ms": 0}
SESSION = SessionConfig.of(release="0.9.1", times=TIMES)


@pytest.fixture(scope="module")
def explorer() -> OutcomeMap:
    grid = {"tool_ms": "0:200:50", "gap_ms": "0:200:50"}
    return OutcomeMap(trials_of({"releases": "0.9.1", "times": {"host_rtt_ms": "0", "upstream_rtt_ms": "0", **grid}}), SESSION)


def tooltips(explorer: OutcomeMap) -> dict[tuple[int, int], str]:
    found = re.findall(r"<title>gap_ms (\d+), tool_ms (\d+): (\w+), [^<]+</title>", explorer.map.value)
    return {(int(gap), int(tool)): outcome for gap, tool, outcome in found}


def test_every_cell_has_a_tooltip_with_its_outcome(explorer: OutcomeMap) -> None:
    shown = tooltips(explorer)
    assert len(shown) == 25
    assert shown == {(gap, tool): "rejected" if tool < gap else "answered" for gap, tool in shown}
    assert 'aria-label="Map of outcomes of proxy 0.9.1' in explorer.map.value


def test_a_click_picks_the_cell_under_the_pointer_and_draws_its_session(explorer: OutcomeMap) -> None:
    box = re.search(
        r'<title>gap_ms 150, tool_ms 50: [^<]+</title><rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"',
        explorer.map.value,
    )
    assert box is not None
    x, y, width, height = map(float, box.groups())
    explorer._clicked({"relativeX": x + width / 2, "relativeY": y + height / 2})
    assert explorer.picked == (150, 50)
    assert explorer.recording is not None
    assert judge(explorer.recording) == judge(simulate(SessionConfig.of(times={**TIMES, "gap_ms": 150, "tool_ms": 50})))
    assert "gap_ms 150, tool_ms 50: " in explorer.picture.value
    assert "result 40 ms earlier: " in explorer.picture.value
    before = explorer.map.value
    explorer._clicked({"relativeX": 1, "relativeY": 1})
    assert (explorer.picked, explorer.map.value) == ((150, 50), before), "a click beside the map picks nothing"
    explorer.pick(160, 10)
    assert explorer.picked == (150, 0), "the nearest cell"
    assert "result 0 ms earlier" in explorer.picture.value
    assert explorer.map.value != before, "the outline of the picked cell moves"


def test_zoom_shows_the_cells_of_the_ranges_and_clicks_follow(explorer: OutcomeMap) -> None:
    explorer.zoom["gap_ms"].value = (100, 150)
    explorer.zoom["tool_ms"].value = (0, 100)
    assert set(tooltips(explorer)) == {(gap, tool) for gap in (100, 150) for tool in (0, 50, 100)}
    explorer._clicked({"relativeX": 200, "relativeY": 60})
    assert explorer.picked == (100, 100)
    for name in explorer.zoom:
        explorer.zoom[name].value = (0, 200)
    assert len(tooltips(explorer)) == 25


def test_a_session_that_is_not_possible_gives_a_message(explorer: OutcomeMap) -> None:
    late = OutcomeMap(
        trials_of({"releases": "0.9.1", "times": {"tool_ms": "0:100:50", "gap_ms": "50:150:50", "item_done_ms": "40"}}),
        SessionConfig.of(release="0.9.1", times={"item_done_ms": 40}),
    )
    assert late.recording is not None
    late.session = SessionConfig.of(release="0.9.1", times={"item_done_ms": 120})
    late.pick(50, 0)
    assert late.recording is None
    assert "item_done_ms" in late.picture.value


def test_a_map_of_another_release_is_refused() -> None:
    with pytest.raises(InputError, match="release"):
        OutcomeMap(trials_of({"releases": "0.9.4", "times": {"tool_ms": "0:50:50", "gap_ms": "0:50:50"}}), SESSION)
