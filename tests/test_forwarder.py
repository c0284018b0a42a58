"""Test the model of the forwarder, sessions with it, and its comparison with running forwarders."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicerace.analysis.verdict import judge
from voicerace.cli.app import main
from voicerace.conformance.forwarder import DELAYS_MS, modelled_opening
from voicerace.conformance.forwarder_cases import CASES, ForwarderStep
from voicerace.conformance.forwarder_play import PROCESS_ENDS, modelled
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.errors import InputError
from voicerace.model.actors.actor import Close, Open, Send
from voicerace.model.actors.forwarder import Forwarder
from voicerace.model.catalog.forwarders import FORWARDERS, forwarder
from voicerace.model.catalog.releases import PROXIES
from voicerace.trace.recording import Recording

F0, F1 = FORWARDERS["F0"], FORWARDERS["F1"]
CHECKOUTS = os.environ.get("VOICERACE_CHECKOUTS")


def play(release: str = "0.9.1", open_ms: float = 100, **given: object) -> Recording:
    return simulate(SessionConfig.of(release=release, forwarder="release", times={"forwarder_open_ms": open_ms}, **given))  # type: ignore[arg-type]


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


def test_the_opening_time_needs_a_forwarder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--forwarder-open-ms", "100"]) == 2
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
