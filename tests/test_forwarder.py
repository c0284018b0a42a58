"""Test the model of the forwarder, sessions with it, and its comparison with running forwarders."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicerace.analysis.verdict import judge
from voicerace.cli.app import main
from voicerace.conformance.acceptance import Between, check_virtual
from voicerace.conformance.forwarder import DELAYS_MS, modelled_opening
from voicerace.conformance.forwarder_cases import CASES, ForwarderStep
from voicerace.conformance.forwarder_play import PROCESS_ENDS, modelled
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.errors import InputError
from voicerace.experiments.sweep.spec import Plan, SweepSpec, assumed_of
from voicerace.experiments.sweep.sweep import sweep, trials_of
from voicerace.model.actors.actor import Close, Open, Send
from voicerace.model.actors.forwarder import Forwarder
from voicerace.model.catalog.forwarders import FORWARDERS, forwarder
from voicerace.model.catalog.releases import PROXIES
from voicerace.report.plots import alt_swimlane, svg_swimlane
from voicerace.report.plots.swimlane_forwarder import with_forwarder
from voicerace.report.plots.swimlane_rows import Lanes, Window, lanes_of
from voicerace.report.sweep_picture import draw_sweep
from voicerace.trace.recording import Recording

F0, F1 = FORWARDERS["F0"], FORWARDERS["F1"]
CHECKOUTS = os.environ.get("VOICERACE_CHECKOUTS")


def play(
    release: str = "0.9.1", open_ms: float = 100, times_: Mapping[str, object] | None = None, **given: object
) -> Recording:
    times = {"forwarder_open_ms": open_ms, **(times_ or {})}
    return simulate(SessionConfig.of(release=release, forwarder="release", times=times, **given))  # type: ignore[arg-type]


def test_a_message_before_the_opening_is_dropped_by_f0_and_queued_by_f1() -> None:
    for row, queued in ((F0, ()), (F1, (Send("proxy", "one"), Send("proxy", b"two")))):
        actor = Forwarder(row)
        actor.start()
        assert [*actor.message("component", "one"), *actor.message("component", b"two")] == []
        assert tuple(actor.timer("open")) == (Open("proxy"), *queued)
        assert actor.message("component", "three") == (Send("proxy", "three"),)


def test_a_close_is_passed_on_without_its_code() -> None:
    for row in FORWARDERS.values():
        actor = Forwarder(row)
        actor.timer("open")
        assert actor.closed("component", 4000) == (Close("proxy"),)
        actor = actor.renew()
        actor.timer("open")
        assert Close("component") in actor.closed("proxy", 1011)


def test_only_f1_gives_up_its_connection_when_the_browser_leaves_before_the_opening() -> None:
    for row, opens in ((F0, True), (F1, False)):
        actor = Forwarder(row)
        actor.closed("component", 1000)
        assert (Open("proxy") in actor.timer("open")) is opens


@given(st.lists(st.text(max_size=3) | st.binary(max_size=3), max_size=8), st.integers(0, 8), st.sampled_from([F0, F1]))
def test_the_proxy_gets_the_messages_in_order_without_those_that_f0_drops(
    frames: list[str | bytes], opens: int, row: object
) -> None:
    actor = Forwarder(row)  # type: ignore[arg-type]
    effects: list[object] = []
    for number, frame in enumerate(frames):
        if number == opens:
            effects += actor.timer("open")
        effects += actor.message("component", frame)
    if opens >= len(frames):
        effects += actor.timer("open")
    arrived = [each.payload for each in effects if isinstance(each, Send)]
    assert arrived == (frames[opens:] if row is F0 else frames)


def test_every_release_has_a_forwarder_and_an_unknown_name_is_refused() -> None:
    found = {tag: forwarder("release", row) for tag, row in PROXIES.items()}
    assert {tag for tag, row in found.items() if row is F1} == {"0.11.1"}
    assert forwarder("none", PROXIES["0.9.1"]) is None
    assert forwarder("0.11.1", PROXIES["0.9.1"]) is F1
    with pytest.raises(InputError, match="forwarder"):
        forwarder("F7", PROXIES["0.9.1"])


@pytest.mark.parametrize("open_ms", DELAYS_MS)
def test_settings_are_lost_on_0_9_1_only_if_the_connection_opens_after_they_were_sent(open_ms: int) -> None:
    for release in ("0.9.1", "0.11.1"):
        row = forwarder("release", PROXIES[release])
        assert row is not None
        found = modelled_opening(PROXIES[release], row, open_ms)
        lost = release == "0.9.1" and open_ms > 50
        assert (found.applied, found.updates, found.called) == (not lost, int(not lost), not lost)
        assert judge(play(release, open_ms)).unconfigured is lost


def test_a_text_during_a_reply_of_an_unconfigured_session_is_refused() -> None:
    recording = play(scenario="inject")
    assert any(event.type == "error" for event in recording.on("upstream>proxy"))
    assert not any(event.type == "FunctionCallRequest" for event in recording.events)


def test_a_reconnection_opens_the_forwarders_connection_again() -> None:
    recording = play(scenario="reconnect", open_ms=10)
    assert sum(event.kind == "open" for event in recording.on("component>proxy")) == 2
    assert sum(event.kind == "open" for event in recording.on("component>forwarder")) == 1
    assert judge(recording).session_updates == 2


def test_a_session_with_a_forwarder_that_opens_at_once_has_the_verdict_of_one_without() -> None:
    for release in PROXIES:
        without = simulate(SessionConfig.of(release=release))
        between = play(release, open_ms=0)
        assert judge(between).outcome == judge(without).outcome, release
        assert not set(between.without_forwarder.observed) - set(without.observed)


def test_a_recording_with_a_forwarder_can_be_written_and_read(tmp_path: Path) -> None:
    recording = play()
    recording.write(tmp_path / "one.jsonl")
    assert Recording.read(tmp_path / "one.jsonl").events == recording.events


def test_run_and_inspect_name_an_unconfigured_session(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "one.jsonl"
    assert main(["run", "--forwarder", "release", "--forwarder-open-ms", "100", "--out", str(file)]) == 0
    assert "unconfigured" in capsys.readouterr().out
    main(["inspect", str(file)])
    assert "unconfigured" in capsys.readouterr().out


def test_a_sweep_over_the_opening_time_has_a_row_per_value(tmp_path: Path) -> None:
    spec = {"releases": "0.9.1,0.11.1", "forwarder": "release", "times": {"forwarder_open_ms": "30:70:20"}, "ties": False}
    run = sweep(spec, out=tmp_path / "run")
    found = run.outcomes[["release", "forwarder_open_ms", "outcome"]].itertuples(index=False)
    at_0_9_1 = {row.forwarder_open_ms: row.outcome for row in found if row.release == "0.9.1"}
    assert at_0_9_1 == {30.0: "rejected", 50.0: "rejected", 70.0: "unknown"}
    assert set(run.outcomes.query("release == '0.11.1'")["outcome"]) == {"lost"}
    draw_sweep(run)
    assert "forwarder_open_ms" in next((run.folder / "pictures").iterdir()).read_text()
    assert "forwarder_open_ms" not in trials_of({"times": {"tool_ms": "0:10:10"}}).columns


def test_a_drawn_opening_time_differs_from_trial_to_trial() -> None:
    times = {"forwarder_open_ms": "uniform(30,70)"}
    trials = trials_of({"forwarder": "F0", "times": times, "trials": 12})
    assert trials["forwarder_open_ms"].nunique() == 12
    late = trials["forwarder_open_ms"] > 50
    assert late.any()
    assert not late.all()
    assert (trials["outcome"] == "unknown").tolist() == late.tolist()


def test_an_opening_time_that_is_not_given_is_an_assumed_time(capsys: pytest.CaptureFixture[str]) -> None:
    spec = SweepSpec(forwarder="release", times={"tool_ms": "0:10:10"})
    assert assumed_of(spec)["forwarder_open_ms"] == "20"
    assert set(Plan.of(spec).values) >= {"forwarder_open_ms"}
    assert "forwarder" not in SweepSpec(forwarder="none").to_json()
    assert main(["run", "--forwarder", "release"]) == 0
    assert "forwarder_open_ms=20" in capsys.readouterr().out


def test_boundary_finds_the_opening_time_at_which_settings_are_lost(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--forwarder", "release", "--forwarder-open-ms", "0:200:50", "--releases", "0.9.1,0.11.1", "--json"]
    assert main(["boundary", *given]) == 0
    (row,) = json.loads(capsys.readouterr().out)["boundaries"]
    assert (row["release"], row["axis"], row["from_ms"], row["to_ms"]) == ("0.9.1", "forwarder_open_ms", 50.0, 50.1)


def test_check_fails_each_session_whose_settings_the_forwarder_drops(capsys: pytest.CaptureFixture[str]) -> None:
    def wrong(*given: str) -> dict[str, list[str]]:
        main(["check", "--release", "0.9.1", "--forwarder", "release", "--json", *given])
        return {each["name"]: each["wrong"] for each in json.loads(capsys.readouterr().out)["cases"]}

    before, after = wrong("--forwarder-open-ms", "10"), wrong("--forwarder-open-ms", "100")
    assert before["single return tool=1500"] == []
    assert after["single return tool=1500"] == ["unconfigured"]
    # Its second Settings arrive after the opening.
    assert "unconfigured" not in after["late-settings return settings=300 tool=10"]
    assert wrong("--forwarder-open-ms", "100", "--allow", "unconfigured")["single return tool=1500"] == []


def test_a_check_with_a_forwarder_takes_no_findings() -> None:
    with pytest.raises(InputError, match="findings"):
        check_virtual("model:0.9.1", "0.9.1", findings=[object()], between=Between("F0"))  # type: ignore[list-item]


@pytest.mark.parametrize("verb", ["run", "sweep", "check", "boundary"])
def test_the_opening_time_needs_a_forwarder(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--forwarder-open-ms", "100"]) == 2
    assert "--forwarder" in capsys.readouterr().err


def test_the_two_generations_differ_in_the_exchanges_before_the_opening_only() -> None:
    differing = {name for name, steps in CASES.items() if modelled(F0, steps) != modelled(F1, steps)}
    assert differing == {
        "frames before the opening",
        "browser leaves before the opening, 1000",
        "browser leaves before the opening, 4000",
        "browser is lost before the opening",
        "invalid frame before the opening",
        "two browsers",
    }
    assert modelled(F0, (ForwarderStep("connect"), ForwarderStep("invalid"))) == [[], [PROCESS_ENDS]]


def test_the_recorded_comparisons_have_no_difference() -> None:
    files = sorted((Path(__file__).parents[1] / "data/conformance").glob("forwarder-*.csv"))
    assert {"forwarder-0.9.1.csv", "forwarder-0.11.1.csv"} <= {file.name for file in files}
    for file in files:
        rows = list(csv.DictReader(file.read_text("utf-8").splitlines()))
        compared = [row for row in rows if row["compared"] == "yes"]
        assert len(compared) > 80
        assert [row for row in compared if row["model"] != row["running"]] == [], file.name


@pytest.mark.skipif(CHECKOUTS is None, reason="VOICERACE_CHECKOUTS names no folder of checkouts")
@pytest.mark.parametrize("release", ["0.9.1", "0.11.1"])
def test_a_running_forwarder_does_what_its_model_does(release: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = Path(str(CHECKOUTS)) / f"v{release}"
    if not directory.exists():
        pytest.skip(f"no checkout of {release}")
    assert main(["conformance", "--forwarder", f"backend:{directory}", "--out", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differences"] == 0


# -- pictures --------------------------------------------------------------------------------------------------------


def drawn(recording: Recording, window: Window = "all") -> Lanes:
    return with_forwarder(lanes_of(recording, window), recording)


def test_a_swimlane_marks_settings_that_the_forwarder_drops_and_its_opening() -> None:
    recording = play("0.9.1", 100)
    rows = [row for row in drawn(recording).rows if "forwarder" in (row.sender, row.receiver)]
    assert [(row.sender, row.receiver, row.label) for row in rows] == [
        ("host", "forwarder", "Settings"),
        ("forwarder", "proxy", "connected"),
    ]
    assert rows[0].sent_ns == 0
    assert rows[1].sent_ns == 50_000_000
    assert "host to forwarder: Settings (dropped: not yet connected to the proxy)" in alt_swimlane(recording, "all")
    picture = svg_swimlane(recording, "all")
    assert ">forwarder<" in picture
    assert ">dropped: not yet connected to the proxy<" in picture


def test_a_swimlane_shows_how_long_a_queueing_forwarder_holds_settings() -> None:
    rows = drawn(play("0.11.1", 100)).rows
    (settings,) = (row for row in rows if row.label == "Settings")
    assert settings.held
    assert (settings.sender, settings.receiver) == ("host", "proxy")
    assert settings.received_ns - settings.sent_ns == 50_000_000
    assert not any(row.held for row in rows if row is not settings)


def test_messages_of_a_swimlane_begin_and_end_at_the_host_before_and_after_the_forwarder() -> None:
    recording = play("0.9.1", 10, times_={"host_rtt_ms": 30})
    (result,) = (row for row in drawn(recording, "turn").rows if row.kind == "result" and row.sender == "host")
    (call,) = (row for row in drawn(recording, "turn").rows if row.label == "FunctionCallRequest")
    assert [row.received_ns - row.sent_ns for row in (result, call)] == [15_000_000, 15_000_000]


def test_a_swimlane_without_a_forwarder_has_three_lanes() -> None:
    recording = simulate(SessionConfig.of())
    assert not drawn(recording).forwarder
    assert ">forwarder<" not in svg_swimlane(recording)


def test_a_message_that_the_forwarder_drops_between_two_others_is_found() -> None:
    recording = play("0.9.1", 20, scenario="inject")
    passed = next(each for each in recording.on("component>proxy") if each.type == "InjectUserMessage")
    without = replace(recording, events=tuple(each for each in recording.events if each is not passed))
    dropped = [row.label for row in drawn(without).rows if row.receiver == "forwarder"]
    assert dropped == ["user message"]
