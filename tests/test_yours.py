"""Test that the capture view places sessions correctly, and that its expectation for a release matches the release."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from support.played import play
from test_har import frames, har

from voicerace.analysis.verdict import judge
from voicerace.captures import Capture, TimeProfile, read_capture
from voicerace.cli import main
from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError
from voicerace.experiments.sweep.sweep import trials_of
from voicerace.report import capture_view
from voicerace.report.expected import programs
from voicerace.report.plots import plot_map
from voicerace.trace.recording import Recording, write_recordings

LOGS = Path(__file__).parents[1] / "data" / "logs"
TAGS = sorted(path.name.removesuffix(".log.gz") for path in LOGS.glob("*.log.gz"))
NETWORK = {"upstream_rtt_ms": "60", "ack_ms": "35", "gap_ms": "300"}


def at_proxy(recording: Recording) -> Recording:
    """Return a recording as observed at the proxy: the proxy's links, with one time per message."""
    seen = [
        replace(e, observed_at="tap", **{"sent_ns" if e.link.receiver == "proxy" else "received_ns": None})
        for e in recording.events
        if "proxy" in e.link
    ]
    observed = tuple(link for link in recording.observed if "proxy" in link)
    return replace(recording, events=tuple(seen), observed=observed)


def captured(path: Path, *asked: dict[str, object]) -> Capture:
    """Return a capture made at the proxy, with one session of 0.9.1 for each set of parameters."""
    write_recordings(path, [at_proxy(play(**{"release": "0.9.1", **each})) for each in asked])  # type: ignore[arg-type]
    return read_capture(path)


def outcomes(capture: Capture, release: str, column: str = "count") -> dict[str, int]:
    rows = capture_view.expected(capture, [release])
    return {row["outcome"]: row[column] for row in rows.to_dict("records") if row[column]}


@pytest.mark.parametrize("tag", TAGS)
def test_races_of_a_real_log_agree_with_the_wire_when_replayed(tag: str) -> None:
    """A log contains the time at which the proxy handled a message, up to 40 ms after the first message arrived."""
    capture, wire = read_capture(LOGS / f"{tag}.log.gz"), read_capture(LOGS / f"{tag}.jsonl.gz")
    logged, passed = (capture_view.map_points(each).sort_values(["gap_ms", "tool_ms"]) for each in (capture, wire))
    assert len(logged) == len(passed) >= 2
    for name in ("gap_ms", "tool_ms"):
        assert list(logged[name].sort_values()) == pytest.approx(list(passed[name].sort_values()), abs=45)
    assert capture_view.left_out(capture) == {"the user spoke or wrote meanwhile": 1}
    agreed, known = capture_view.back_test(capture)
    assert agreed == known >= 1


@pytest.mark.parametrize("release", ["0.9.1", "0.9.4", "0.10.2", "0.11.1"])
@pytest.mark.parametrize("handler", ["return", "void_ref", "async_ref"])
def test_the_expectation_for_a_release_equals_its_outcomes(tmp_path: Path, release: str, handler: str) -> None:
    """The same sessions are played on the release. The capture of 0.9.1 contains neither network nor tool times."""
    tools = (60, 100, 150, 190, 210, 230, 270, 290, 320)
    asked = [{"handler": handler, "times": {**NETWORK, "host_rtt_ms": "20", "tool_ms": str(tool)}} for tool in tools]
    capture = captured(tmp_path / "a.jsonl", *asked)
    truth = Counter(judge(play(release=release, **each)).outcome for each in asked)  # type: ignore[arg-type]
    assert outcomes(capture, release) == dict(truth)


def test_the_interval_includes_the_unknown_network(tmp_path: Path) -> None:
    """The result is at 270 ms and the gap is 300 ms. The request arrives after the gap only with 60 ms of network delay."""
    capture = captured(tmp_path / "a.jsonl", {"times": {**NETWORK, "tool_ms": "270"}})
    (row,) = [each for each in capture_view.expected(capture, ["0.9.1"]).to_dict("records") if each["outcome"] == "answered"]
    assert (row["count"], row["count_no_network"], row["judged"], row["share"]) == (1, 0, 1, 1.0)
    assert (row["low"], row["high"]) == (0.0, 1.0)


def test_the_interval_counts_sessions_and_not_draws(tmp_path: Path) -> None:
    few = captured(tmp_path / "a.jsonl", *[{"tool_ms": 50}] * 5)
    rows = capture_view.expected(few, ["0.9.1"]).to_dict("records")
    assert [(row["outcome"], row["count"], row["judged"]) for row in rows] == [("rejected", 5, 5)]
    assert rows[0]["low"] == pytest.approx(0.566, abs=0.001)


def test_every_program_is_expected_and_a_sample_depends_on_its_seed(tmp_path: Path) -> None:
    capture = captured(tmp_path / "a.jsonl", *[{"tool_ms": tool} for tool in range(0, 300, 15)])
    assert set(capture_view.expected(capture)["release"]) == set(programs())
    one, same, other = (capture_view.expected(capture, ["0.9.1"], most=7, seed=seed) for seed in (1, 1, 2))
    assert one.equals(same)
    assert set(one["judged"]) == {7}
    assert not one.equals(other)


def test_sessions_without_a_race_are_left_out_with_a_reason(tmp_path: Path) -> None:
    asked: list[dict[str, object]] = [{}, {"scenario": "parallel"}, {"handler": "void_ref", "tool_end": "none"}]
    capture = captured(tmp_path / "a.jsonl", *asked)
    assert capture_view.left_out(capture) == {"several calls in one response": 1, "only the component's error": 1}
    assert list(capture_view.map_points(capture)["session"]) == [1]
    browser = read_capture(har(tmp_path / "a.har", frames(play(), "s")))
    assert capture_view.map_points(browser).empty
    with pytest.raises(InputError, match="no race"):
        capture_view.expected(browser)
    # 0.9.1 forwards response.done, so the browser can measure a gap. 0.11.1 does not forward it.
    assert "browser" in TimeProfile.of(browser).notes[0]
    newer = read_capture(har(tmp_path / "b.har", frames(play(release="0.11.1"), "s")))
    with pytest.raises(InputError, match=r"response\.done"):
        TimeProfile.of(newer)


def test_the_components_result_is_distinguished_from_the_apps(tmp_path: Path) -> None:
    styles = {"void_ref": "error first", "async_ref": "error last", "return": "none"}
    for handler, further in styles.items():
        capture = captured(tmp_path / f"{handler}.jsonl", {"handler": handler, "tool_ms": 70})
        assert [race.further for of in capture.sessions for race in of.races] == [further]
    twice = captured(tmp_path / "twice.jsonl", {"scenario": "double", "repeat_ms": 30})
    assert [(race.further, race.further_ms) for of in twice.sessions for race in of.races] == [("app twice", 30.0)]
    assert [race.further for of in read_capture(LOGS / "0.9.1.log.gz").sessions for race in of.races].count("unknown") == 1


def test_every_point_is_on_its_outcome_of_the_map(tmp_path: Path) -> None:
    """With 60 ms of network delay, the border is 60 ms below the gap, and the computed map shows it there."""
    asked = [{"times": {**NETWORK, "tool_ms": str(tool)}} for tool in range(200, 300, 10)]
    capture = captured(tmp_path / "a.jsonl", *asked)
    points, cells = capture_view.map_points(capture), capture_view.map_trials(capture, steps=18)
    for point in points.to_dict("records"):
        near = cells.iloc[((cells["gap_ms"] - point["gap_ms"]) ** 2 + (cells["tool_ms"] - point["tool_ms"]) ** 2).argmin()]
        if abs(point["tool_ms"] - 240) > 20:
            assert near["outcome"] == point["outcome"]
    assert plot_map(cells, points=points).get_title("left").startswith("Proxy 0.9.1")


def test_the_tables_show_the_certainty_and_location_of_each_number() -> None:
    capture = read_capture(LOGS / "0.9.1.log.gz")
    rows = capture_view.session_rows(capture)
    assert list(rows["response_creates_kind"]) == ["derived"] * 3
    assert all("0.9.1" in each for each in rows["release"])
    answers = capture_view.answer_rows(capture).to_dict("records")
    assert all("(derived)" in row["session.update"] and "line" in row["session.update"] for row in answers)
    assert any("2 results (lines " in row["submitted twice"] for row in answers)
    order = capture_view.order_rows(capture, 1)
    assert list(order["what"])[:2] == ["Settings", "session.update"]
    assert list(order["derived"])[:2] == [False, True]
    times = capture_view.time_rows(capture).set_index("time")
    assert (times.loc["gap_ms", "count"], times.loc["result_delay_ms", "count"]) == (3, 4)
    assert any("not logged" in each for each in capture_view.notes(capture))


def test_measured_times_drive_a_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [{"times": {**NETWORK, "tool_ms": str(tool)}} for tool in (50, 90, 260)]
    capture = captured(tmp_path / "a.jsonl", *asked)
    profile = TimeProfile.of(capture)
    assert profile.values["tool_ms"] == (50.0, 90.0, 260.0)
    assert profile.values["gap_ms"] == (300.0,) * 3
    assert profile.fixed["upstream_rtt_ms"] == 60.0  # the fastest response is a refusal
    trials = trials_of({"releases": ("0.9.1",), "times": profile.write(tmp_path / "times"), "trials": 30, "ties": False})
    assert set(trials["tool_ms"]) == {50.0, 90.0, 260.0}
    assert Counter(trials["outcome"]).keys() == {"rejected", "answered"}
    with (tmp_path / "times" / "tool_ms.csv").open() as file:
        assert list(csv.reader(file)) == [["tool_ms"], ["50"], ["90"], ["260"]]
    with pytest.raises(InputError, match="already exists"):
        profile.write(tmp_path / "times")

    assert main(["inspect", str(tmp_path / "a.jsonl"), "--times", str(tmp_path / "more"), "--json"]) == 0
    given = json.loads(capsys.readouterr().out)["sweep_times"]
    assert SessionConfig.of(times=given).times.ns("gap_ms", 0, 0) == 300_000_000
