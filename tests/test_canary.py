"""Test the sanity check before a live sweep: it stops a misconfigured set-up and accepts a correct one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.rogue import free_port
from voicerace.cli import main
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.experiments.sweep import sanity_check as module
from voicerace.experiments.sweep.sanity_check import find_violation
from voicerace.model.protocol import realtime
from voicerace.trace.recording import Event, Link, Recording

UP, DOWN = Link("proxy", "upstream"), Link("upstream", "proxy")


def session(release: str = "0.9.1", **times: Any) -> SessionConfig:
    return SessionConfig.of(release=release, times={**module._TIMES, **times})


def changed(recording: Recording, change: Callable[[Event], Event | None]) -> Recording:
    kept = [each for event in recording.events if (each := change(event)) is not None]
    return replace(recording, events=tuple(replace(event, seq=n) for n, event in enumerate(kept)))


def found(recording: Recording, **options: bool) -> str | None:
    return find_violation(recording, session(), **{"mocked": True, "known": True} | options)


@pytest.mark.parametrize("release", ["0.9.1", "0.9.4", "0.11.1", "reference"])
def test_a_correct_set_up_has_no_violation(release: str) -> None:
    assert find_violation(simulate(session(release)), session(release), mocked=True, known=True) is None


def test_late_timers_are_a_violation() -> None:
    assert found(simulate(session(gap_ms=520))) == "gap_ms is 520, asked for were 400"
    assert found(simulate(session(tool_ms=150))) == "tool_ms is 150, asked for were 0"
    assert found(simulate(session(gap_ms=520)), mocked=False) is None, "a foreign API has its own gap"


def test_a_message_that_arrives_before_it_was_sent_is_a_violation() -> None:
    def early(event: Event) -> Event:
        return replace(event, received_ns=(event.sent_ns or 0) - 5_000_000) if event.type == "FunctionCallRequest" else event

    assert found(changed(simulate(session()), early)) == "FunctionCallRequest arrived 5.0 ms before it was sent"


def test_a_mock_without_refusals_is_a_violation() -> None:
    def without_errors(event: Event) -> Event | None:
        return None if event.type == realtime.ERROR else event

    said = "1 response.create came inside an active response and 0 were refused: kinder than the contract"
    assert found(changed(simulate(session()), without_errors)) == said
    assert found(changed(simulate(session()), without_errors), mocked=False, known=False) == said, "for any proxy and upstream"


def test_an_outcome_that_differs_from_the_models_is_a_violation() -> None:
    other = simulate(session("0.11.1"))
    assert found(other) == "the outcome is lost, by the models it is rejected"
    assert found(other, known=False) is None, "an unknown program has no expected outcome"


def test_a_session_without_upstream_events_has_no_violation() -> None:
    assert found(changed(simulate(session()), lambda event: event if event.link not in (UP, DOWN) else None)) is None


def test_a_violation_stops_a_sweep_before_its_first_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The test modifies the mock so that it accepts requests that the API would refuse."""
    monkeypatch.setattr("voicerace.model.actors.upstream.Upstream._slot", lambda self, event: True)
    arguments = ["sweep", "--live", "--tool-ms", "0", "--deadline-ms", "500", "--out", str(tmp_path / "run")]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "canary: model:0.9.1: " in error
    assert "kinder than the contract" in error
    assert not (tmp_path / "run").exists()
    assert main([*arguments, "--no-canary"]) == 0


def test_an_unreachable_upstream_does_not_stop_a_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["sweep", "--live", "--upstream", f"ws://127.0.0.1:{free_port()}/v1", "--out", str(tmp_path / "run")]
    assert main(arguments) == 0
    assert "unknown" in capsys.readouterr().out


@pytest.mark.parametrize(("grid", "reported"), [("160:300:70", True), ("0:300:150", False), ("200", False)])
def test_a_sweep_reports_that_all_cells_have_one_outcome(
    grid: str, reported: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", "--tool-ms", grid, "--gap-ms", "150", "--out", str(tmp_path / "run")]) == 0
    assert ("every cell is answered" in capsys.readouterr().out) is reported
