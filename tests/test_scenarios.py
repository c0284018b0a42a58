"""Test that every scenario follows its description and gets a known outcome with every release."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.support.played import play
from voicerace.analysis.verdict import judge
from voicerace.model.catalog.profiles import TIMES
from voicerace.model.catalog.releases import PROXIES
from voicerace.model.catalog.scenarios import SCENARIOS
from voicerace.model.protocol import input_audio
from voicerace.trace.recording import Recording

DELAYS: dict[str, Sequence[float]] = {
    "tool_ms": (0, 100, 400, 1600, 2500),
    "inject_ms": (0, 150, 600),
    "settings_ms": (0, 10, 300),
}


def types(recording: Recording, sender: str, receiver: str) -> list[str]:
    return [e.type for e in recording.events if (e.link.sender, e.link.receiver) == (sender, receiver)]


def test_every_scenario_is_data_with_a_sentence_an_axis_and_an_origin() -> None:
    for name, scenario in SCENARIOS.items():
        assert name == scenario.name
        assert scenario.sentence
        assert scenario.origin
        assert scenario.time_axis in TIMES
        assert set(scenario.times) <= set(TIMES)
        assert scenario.inputs[-1].steps == ("reply",), "the last input shows whether the session still works"
        assert scenario.inputs[-1].when == "settled"


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("modality", ["text", "audio"])
@pytest.mark.long
def test_an_outcome_is_unknown_only_if_the_scenario_causes_it(scenario: str, modality: str) -> None:
    """A text before Settings can leave a session without tools, so it has no call to judge.

    Source: docs/release-facts.md#settings.
    """
    axis = SCENARIOS[scenario].time_axis
    seen = set()
    for release in PROXIES:
        for delay in (19_000, 25_000) if scenario == "slow-tool" else DELAYS[axis]:
            recording = play(scenario=scenario, release=release, modality=modality, gap_ms=150, **{axis: delay})
            verdict = judge(recording)
            seen.add(verdict.outcome)
            assert recording.complete
            if verdict.outcome == "unknown":
                assert scenario == "late-settings", (release, delay, verdict.why)
                assert verdict.why == "no function call"
                assert verdict.session_updates == 0, "left unconfigured"
    assert len(seen) > 1, "the axis decides nothing"


def test_chained_calls_twice_and_replies_once() -> None:
    recording = play(scenario="chained", release="0.9.1", gap_ms=20, tool_ms=100)
    [turn] = judge(recording).turns
    assert turn.outcome == "answered"
    assert len(turn.calls) == 2
    assert turn.response_creates == 2


def test_a_text_while_the_tool_runs_joins_the_turn() -> None:
    recording = play(scenario="inject", release="0.10.6", gap_ms=50, tool_ms=400, inject_ms=100)
    sent = [e.sent_ns for e in recording.events if e.type == "InjectUserMessage"]
    called = next(e.sent_ns for e in recording.events if e.type == "FunctionCallRequest")
    assert sent[1] == (called or 0) + 100_000_000
    assert judge(recording).turns[0].user_inputs >= 2


def test_late_settings_are_sent_twice_and_reach_the_api_at_most_once() -> None:
    for release in PROXIES:
        recording = play(scenario="late-settings", release=release, settings_ms=50)
        assert types(recording, "component", "proxy").count("Settings") == 2
        assert types(recording, "proxy", "upstream").count("session.update") <= 1, release
        assert types(recording, "component", "proxy")[0] == "InjectUserMessage"


def test_a_slow_tool_stalls_only_releases_without_a_recovery_timer() -> None:
    """From 0.10.3 on the recovery timer starts at the result and not at the call, so a result after 25 s causes no stall."""
    for release in ("0.9.1", "0.9.4", "0.11.1"):
        recording = play(scenario="slow-tool", release=release)
        called, answered = (next(e.sent_ns or 0 for e in recording.events if e.type == kind)
                            for kind in ("FunctionCallRequest", "FunctionCallResponse"))  # fmt: skip
        assert answered - called == 25_000_000_000
    assert judge(play(scenario="slow-tool", release="0.9.4")).outcome == "stalled"
    assert judge(play(scenario="slow-tool", release="0.11.1")).outcome == "answered"


def test_a_failing_tools_error_is_a_result_of_the_app() -> None:
    [turn] = judge(play(scenario="failing-tool", release="0.9.1", tool_ms=300, gap_ms=50)).turns
    assert turn.own_submissions == 1
    assert turn.outcome == "answered"


# -- voice -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("release", ["0.9.1", "0.9.4", "0.10.6"])
def test_without_server_vad_the_proxy_commits_and_requests_a_response(release: str) -> None:
    recording = play(scenario="voice", release=release, modality="audio", tool_ms=300)
    sent = types(recording, "proxy", "upstream")
    assert sent.count(input_audio.COMMIT) == 2
    assert sent[sent.index(input_audio.COMMIT) + 1] == "response.create"
    assert input_audio.SPEECH_STARTED not in types(recording, "upstream", "proxy")


def test_under_server_vad_the_server_responds_by_itself() -> None:
    recording = play(scenario="voice", release="0.11.1", modality="audio", tool_ms=300, gap_ms=50)
    assert input_audio.COMMIT not in types(recording, "proxy", "upstream")
    heard = types(recording, "upstream", "proxy")
    assert heard.count(input_audio.SPEECH_STARTED) == heard.count(input_audio.SPEECH_STOPPED) == 2
    creates = types(recording, "proxy", "upstream").count("response.create")
    assert heard.count("response.created") == creates + 2, "two started by the server"


def test_a_server_started_response_can_block_the_results_response() -> None:
    """Both responses can take the slot (docs/protocol-facts.md#who-can-take-the-slot).

    For some tool times the result arrives during the server's response.
    """
    outcomes = {tool: judge(play(scenario="voice", release="0.11.1", modality="audio", gap_ms=50, tool_ms=tool)).outcome
                for tool in range(1800, 3400, 100)}  # fmt: skip
    assert {"answered", "stale"} <= set(outcomes.values()), outcomes


@pytest.mark.parametrize(("release", "cut"), [("0.10.6", False), ("0.11.1", True)])
def test_speech_into_the_reply_interrupts_it_only_under_server_vad(release: str, cut: bool) -> None:
    verdict = judge(play(scenario="barge-in", release=release, modality="audio", tool_ms=300, gap_ms=50))
    assert (verdict.turns[0].outcome == "interrupted") == cut
    assert verdict.turns[0].by == ("user" if cut else None)
    assert not verdict.bad, "the user interrupted it"
