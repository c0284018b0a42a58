"""Test live sessions with a running forwarder between component and proxy, without a checkout and with one."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from support.client_stack import Stack
from support.forwarding import OwnForwarder, target

from voicerace.analysis.verdict import judge
from voicerace.captures.live import capture
from voicerace.cli.app import main
from voicerace.conformance.acceptance import Between, check_live
from voicerace.engine.live import play as live_module
from voicerace.engine.live.play import Live
from voicerace.engine.live.targets import ProxyTarget
from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError
from voicerace.experiments import checks
from voicerace.experiments.sweep.live import LiveSweep
from voicerace.experiments.sweep.spec import SweepSpec
from voicerace.experiments.sweep.sweep import sweep
from voicerace.trace.recording import FORWARDER_LINKS, Recording

CHECKOUTS = os.environ.get("VOICERACE_CHECKOUTS")
#: Openings far from 50 ms, at which Settings are sent.
EARLY, LATE = 0, 300


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> type[OwnForwarder]:
    monkeypatch.setattr(live_module, "ForwarderProgram", OwnForwarder)
    return OwnForwarder


@pytest.fixture
def queueing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep early messages, because a busy machine can delay each opening past Settings."""
    monkeypatch.setattr(OwnForwarder, "queues", True)


def play(open_ms: float, generation: str = "F0", release: str = "0.9.1", **given: object) -> Recording:
    times = {"forwarder_open_ms": open_ms, "tool_ms": 300, "deadline_ms": 2000}
    session = SessionConfig.of(release=release, forwarder=generation, times=times, **given)  # type: ignore[arg-type]

    async def played() -> Recording:
        async with Live(ProxyTarget.of(f"model:{release}"), forwarder=target(generation)) as live:
            return await live.play(session)

    return asyncio.run(played())


def test_a_live_session_records_both_hops(queueing: None) -> None:
    recording = play(EARLY, "F1")
    assert set(FORWARDER_LINKS) <= set(recording.observed)
    assert judge(recording).outcome == "answered"
    (result,) = (each for each in recording.on("component>forwarder") if each.type == "FunctionCallResponse")
    (passed,) = (each for each in recording.on("component>proxy") if each.type == "FunctionCallResponse")
    assert result.sent_ns is not None
    assert passed.sent_ns is not None
    assert result.sent_ns < passed.sent_ns
    assert result.payload == passed.payload
    assert recording.provenance["forwarder"] == "F1"
    assert recording.provenance["forwarder_source"] == "0" * 12


def test_the_proxys_handshake_is_answered_after_the_opening_time() -> None:
    recording = play(LATE)
    (opened,) = (each for each in recording.on("component>proxy") if each.kind == "open")
    (settings,) = (each for each in recording.on("component>forwarder") if each.type == "Settings")
    assert opened.sent_ns is not None
    assert settings.sent_ns is not None
    assert opened.sent_ns >= LATE * 1_000_000
    assert opened.sent_ns > settings.sent_ns
    verdict = judge(recording)
    assert (verdict.outcome, verdict.unconfigured) == ("unknown", True)


def test_a_queueing_forwarder_keeps_settings_of_a_live_session(queueing: None) -> None:
    verdict = judge(play(LATE, "F1", "0.11.1"))
    assert (verdict.unconfigured, verdict.session_updates) == (False, 1)


def test_a_reconnection_opens_the_forwarders_live_connection_again() -> None:
    recording = play(EARLY, scenario="reconnect")
    assert sum(each.kind == "open" for each in recording.on("component>proxy")) == 2
    assert sum(each.kind == "open" for each in recording.on("component>forwarder")) == 1


def test_a_live_sweep_has_the_forwarder_in_every_session(queueing: None, tmp_path: Path) -> None:
    times = {"forwarder_open_ms": f"{EARLY},{LATE}", "tool_ms": "300", "deadline_ms": "2000"}
    live = LiveSweep([ProxyTarget.of("model:0.9.1")], canary=False, forwarder=target("F1"))
    run = sweep(SweepSpec(forwarder="F1", times=times), out=tmp_path / "run", live=live)
    assert run.trials.set_index("forwarder_open_ms")["outcome"].to_dict() == {EARLY: "answered", LATE: "answered"}
    assert run.info["targets"]["forwarder"] == {"name": "backend:F1", "source": "0" * 12}
    recordings = [Recording.read(each) for each in sorted((run.folder / "recordings").iterdir())]
    assert [set(FORWARDER_LINKS) <= set(each.observed) for each in recordings] == [True, True]


def test_a_live_check_plays_its_cases_through_the_forwarder(monkeypatch: pytest.MonkeyPatch) -> None:
    case = next(each for each in checks.CASES if each.name == "single return tool=1500")
    monkeypatch.setattr("voicerace.conformance.acceptance.CASES", (case,))

    def wrong(generation: str) -> tuple[str, ...]:
        proxy, between = ProxyTarget.of("model:0.9.1"), Between(generation, str(LATE))
        monkeypatch.setattr(OwnForwarder, "queues", generation == "F1")
        found = check_live("model:0.9.1", "0.9.1", lambda: Live(proxy, forwarder=target(generation)), between=between)
        return found.checked[0].wrong

    assert wrong("F1") == ()
    assert wrong("F0") == ("unconfigured",)


@pytest.mark.parametrize(
    "given",
    [
        ["run", "--forwarder", "backend:DIR"],
        ["run", "--live", "--forwarder", "F0"],
        ["run", "--live", "--forwarder", "backend:/nowhere"],
        ["sweep", "--live", "--forwarder", "release"],
        ["check", "--live", "--forwarder", "0.9.1"],
        ["repro", "--forwarder", "F0"],
        ["repro", "--app", "--checkout", ".", "--forwarder", "backend:DIR"],
        ["capture", "--upstream", "0=ws://127.0.0.1:1", "--forwarder", "backend:DIR", "--", "true"],
    ],
)
def test_a_forwarder_that_cannot_be_used_is_refused(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(given) == 2
    error = capsys.readouterr().err
    assert "forwarder" in error or "/nowhere" in error


# -- with a checkout -------------------------------------------------------------------------------------------------


def checkout(release: str) -> Path:
    if CHECKOUTS is None or not (found := Path(CHECKOUTS) / f"v{release}").exists():
        pytest.skip(f"no checkout of {release} in VOICERACE_CHECKOUTS")
    return found


@pytest.mark.parametrize(("release", "lost"), [("0.9.1", True), ("0.11.1", False)])
def test_the_checkouts_own_forwarder_is_in_the_way(
    release: str, lost: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    word = f"backend:{checkout(release)}"
    given = ["--live", "--proxy", word, "--forwarder", word, "--forwarder-open-ms", str(LATE), "--tool-ms", "300", "--json"]
    assert main(["run", *given]) == 0
    assert (json.loads(capsys.readouterr().out)["session_updates"] == 0) is lost


def test_capture_starts_a_checkouts_forwarder_in_front_of_its_relay(tmp_path: Path) -> None:
    directory = checkout("0.11.1")
    program = Path(__file__).with_name("support") / "client.py"
    command = ["sh", "-c", f"VOICERACE_HOST_URL=$VOICERACE_FORWARDER_URL {sys.executable} {program}"]
    with Stack(SessionConfig.of()) as stack:
        done = capture(command, host=f"0={stack.host_url}", forwarder=directory, out=tmp_path / "run")
    assert [each.events > 10 for each in done.sessions] == [True]
    assert json.loads((done.folder / "run.json").read_text())["targets"]["forwarder"]["name"] == "backend:F1"


def test_capture_needs_the_hosts_relay_for_a_forwarder() -> None:
    with pytest.raises(InputError, match="--host"):
        capture(["true"], upstream="0=ws://127.0.0.1:1", forwarder=Path("DIR"))
