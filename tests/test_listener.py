"""Test audio input of the mock upstream: buffer, server VAD by energy, barge-in, server responses, and idle timeout."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.bench import Bench, mock
from voicerace.model.actors.upstream_state import Knobs
from voicerace.model.protocol import input_audio, realtime

LOUD = input_audio.append(b"\x40\x1f" * 2400)
QUIET = input_audio.append(bytes(4800))


def listening(*, knobs: Knobs | None = None, vad: dict[str, Any] | None = None, **times: object) -> Bench:
    """Return a bench of the mock with server VAD."""
    bench = mock(knobs=knobs, **times)
    detection = {"type": "server_vad", **(vad or {})}
    tools = [{"type": "function", "name": "get_weather"}]
    return bench.tell(realtime.update_session({"tools": tools, "audio": {"input": {"turn_detection": detection}}}))


def speaks(bench: Bench, *frames: dict[str, Any]) -> Bench:
    for frame in frames:
        bench.tell(frame)
    return bench


def test_audio_is_loud_above_a_threshold() -> None:
    assert input_audio.is_loud(b"\x40\x1f")
    assert input_audio.is_loud(b"\x00\x80"), "the lowest sample is loud"
    assert not input_audio.is_loud(bytes(100))
    assert not input_audio.is_loud(b"\xe7\x03\x19\xfc"), "999 and -999"
    assert not input_audio.is_loud(b"")
    assert not input_audio.is_loud(b"\x7f"), "half a sample is none"


def test_without_vad_audio_has_no_effect() -> None:
    bench = mock().tell(realtime.update_session({"audio": {"input": {"turn_detection": None}}}))
    assert speaks(bench, LOUD, QUIET).wait(5_000).types() == ["session.created", "session.updated"]


def test_a_session_without_update_has_server_responses() -> None:
    bench = speaks(mock(), LOUD, QUIET).wait(5_000)
    assert "response.done" in bench.types()


def test_speech_is_committed_and_answered_by_the_server() -> None:
    bench = speaks(listening(vad_ms=500, create_ms=5), LOUD, QUIET).wait(600)
    assert bench.types()[2:8] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    assert bench.when("input_audio_buffer.speech_stopped") == [500]
    assert bench.when("response.created") == [505]
    [started], [committed] = (bench.messages(f"input_audio_buffer.{kind}") for kind in ("speech_started", "committed"))
    assert started["item_id"] == committed["item_id"]


def test_short_silence_does_not_end_speech() -> None:
    bench = listening(vad_ms=500)
    bench.tell(LOUD).tell(QUIET).wait(400)
    bench.tell(LOUD).wait(2_000)
    assert not bench.messages("input_audio_buffer.speech_stopped"), "no silence after the second sound"
    bench.tell(QUIET).wait(499)
    assert not bench.messages("input_audio_buffer.speech_stopped")
    bench.wait(2)
    assert len(bench.messages("input_audio_buffer.speech_stopped")) == 1
    assert len(bench.messages("input_audio_buffer.speech_started")) == 1


def test_silence_is_no_speech() -> None:
    assert speaks(listening(), QUIET, QUIET).wait(5_000).types() == ["session.created", "session.updated"]


@pytest.mark.parametrize("creates", [True, False])
def test_the_server_answers_only_with_create_response(creates: bool) -> None:
    bench = speaks(listening(vad={"create_response": creates}), LOUD, QUIET).wait(2_000)
    assert bool(bench.messages("response.created")) == creates
    assert bench.messages("input_audio_buffer.committed")


@pytest.mark.parametrize("interrupts", [True, False])
def test_speech_cuts_off_a_response_with_interrupt_response(interrupts: bool) -> None:
    bench = listening(vad={"interrupt_response": interrupts}, reply_ms=5_000)
    bench.tell(realtime.create_response()).until("response.output_text.delta").tell(LOUD)
    done = bench.messages("response.done")
    if interrupts:
        assert done[0]["response"]["status"] == "cancelled"
        assert done[0]["response"]["status_details"]["reason"] == "turn_detected"
        started = bench.types().index("input_audio_buffer.speech_started")
        assert started < bench.types().index("response.output_text.done"), "content that has begun is ended"
        assert bench.actor.state.slot == "free"
    else:
        assert not done


def test_a_server_response_refuses_the_clients_request() -> None:
    bench = speaks(listening(vad_ms=100), LOUD, QUIET).wait(100)
    bench.tell(realtime.create_response("mine"))
    [error] = bench.messages("error")
    assert realtime.is_refusal(error)
    assert realtime.response_named_by(error) == "resp_0001"


@pytest.mark.parametrize("knob", ["dropped", "waits"])
def test_a_turn_that_ends_during_a_client_response_is_dropped_or_waits(knob: str) -> None:
    bench = listening(knobs=Knobs(server_turn_taken=knob), vad_ms=100, reply_ms=1_000)  # type: ignore[arg-type]
    bench.tell(LOUD).tell(realtime.create_response()).tell(QUIET).wait(200)
    assert len(bench.messages("input_audio_buffer.committed")) == 1
    assert len(bench.messages("response.created")) == 1
    bench.wait(5_000)
    assert len(bench.messages("response.created")) == (2 if knob == "waits" else 1)


def test_a_waiting_turn_also_waits_for_a_lagging_slot() -> None:
    bench = listening(knobs=Knobs(server_turn_taken="waits"), vad_ms=50, reply_ms=200, slot_lag_ms=300)
    bench.tell(LOUD).tell(realtime.create_response()).tell(QUIET).until("response.done")
    bench.wait(290)
    assert len(bench.messages("response.created")) == 1
    bench.wait(100)
    assert len(bench.messages("response.created")) == 2


def test_an_idle_timeout_starts_a_server_response() -> None:
    bench = listening(vad={"idle_timeout_ms": 6000}, idle_timeout_ms=6_000, reply_ms=10)
    bench.tell(realtime.create_response()).until("response.done").wait(5_999)
    assert not bench.messages("input_audio_buffer.timeout_triggered")
    bench.wait(10)
    assert bench.types().count("input_audio_buffer.timeout_triggered") == 1
    assert len(bench.messages("response.created")) == 2


@pytest.mark.parametrize("what", ["speech", "a request", "not configured"])
def test_speech_and_requests_stop_the_idle_timeout(what: str) -> None:
    vad = {} if what == "not configured" else {"idle_timeout_ms": 6000}
    bench = listening(vad=vad, idle_timeout_ms=6_000, reply_ms=10)
    bench.tell(realtime.create_response()).until("response.done").wait(3_000)
    if what == "speech":
        bench.tell(LOUD)
    elif what == "a request":
        bench.tell(realtime.create_response())
    bench.wait(4_000)
    assert not bench.messages("input_audio_buffer.timeout_triggered")


def test_speech_is_transcribed_if_the_session_requests_it() -> None:
    bench = mock(vad_ms=10)
    audio = {"input": {"turn_detection": {"type": "server_vad"}, "transcription": {"model": "gpt-4o-transcribe"}}}
    bench.tell(realtime.update_session({"audio": audio})).tell(LOUD).tell(QUIET).wait(100)
    [done] = bench.messages(input_audio.TRANSCRIBED)
    assert done["item_id"] == bench.messages("input_audio_buffer.committed")[0]["item_id"]
