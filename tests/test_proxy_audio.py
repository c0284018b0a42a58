"""Test the proxy model's rules for the user's audio. test_conformance compares these rules with the running proxy."""

from __future__ import annotations

import base64
import copy
import struct
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicerace.captures.timers import Timers
from voicerace.conformance.audio_cases import ENOUGH, MANUAL
from voicerace.conformance.steps import CALLED, DONE, READY, SETTINGS, TEXT_DONE, UPDATED
from voicerace.model.actors.actor import ABNORMAL, Close, Effects, Send
from voicerace.model.actors.proxy import Proxy
from voicerace.model.actors.proxy_audio import APPEND_MAX, AudioState, receive
from voicerace.model.catalog.releases import PROXIES
from voicerace.model.protocol import agent, input_audio, realtime, speech
from voicerace.trace.recording import Payload

QUIET = [tag for tag, row in PROXIES.items() if row.audio == "quiet"]
VAD = [tag for tag, row in PROXIES.items() if row.audio == "vad"]
DEFERRING = [tag for tag, row in PROXIES.items() if row.defers]
COMMIT = ["input_audio_buffer.commit", "response.create"]


class Clocked:
    """A model of the proxy with its timers and its own clock. Its methods return sent messages as (receiver, content)."""

    def __init__(self, tag: str, settings: Mapping[str, Any] | None = MANUAL, *, ready: bool = True) -> None:
        self.proxy = Proxy(PROXIES[tag])
        self.timers = Timers()
        self.now_ms = 0
        if settings is not None:
            self.host(settings)
        if ready:
            self.up(UPDATED.payload)

    def host(self, payload: Payload) -> list[tuple[str, object]]:
        return self._note(self.proxy.message("component", payload))

    def up(self, payload: Payload) -> list[tuple[str, object]]:
        return self._note(self.proxy.message("upstream", payload))

    def frame(self, size: int) -> list[tuple[str, object]]:
        return self.host(bytes(size))

    def leave(self) -> list[tuple[str, object]]:
        return self._note(self.proxy.closed("component", 1000))

    def wait(self, span_ms: int) -> list[str]:
        """Advance the clock by `span_ms` and return the contents sent to the upstream in that time."""
        self.now_ms += span_ms
        return [str(what) for to, what in _summary(self.timers.until(self.now_ms * 1_000_000, self.proxy)) if to == "upstream"]

    def _note(self, effects: Effects) -> list[tuple[str, object]]:
        self.timers.note(self.now_ms * 1_000_000, effects)
        return _summary(effects)


def _summary(effects: Effects) -> list[tuple[str, object]]:
    """Return (receiver, summary) of each message and close.

    The summary is the size of an append, the code of a close, or the type of another message.
    """
    sent: list[tuple[str, object]] = []
    for effect in effects:
        if isinstance(effect, Close):
            sent.append((effect.to, effect.code))
        elif isinstance(effect, Send) and isinstance(effect.payload, Mapping):
            audio = effect.payload.get("audio")
            size = len(base64.b64decode(audio)) if isinstance(audio, str) else None
            sent.append((effect.to, effect.payload.get("type") if size is None else size))
        elif isinstance(effect, Send):
            sent.append((effect.to, effect.payload))
    return sent


# -- commits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", QUIET)
def test_a_pause_of_400_ms_commits_enough_audio(tag: str) -> None:
    session = Clocked(tag)
    assert session.frame(4_800) == [("upstream", 4_800)]
    assert session.wait(399) == []
    assert session.wait(1) == COMMIT


@pytest.mark.parametrize("tag", QUIET)
def test_one_sample_too_few_is_not_committed(tag: str) -> None:
    session = Clocked(tag)
    session.frame(4_798)
    assert session.wait(10_000) == []
    session.frame(2)
    assert session.wait(400) == COMMIT


@pytest.mark.parametrize("tag", QUIET)
def test_an_open_microphone_never_commits(tag: str) -> None:
    session = Clocked(tag)
    for _ in range(200):
        session.frame(640)
        assert session.wait(20) == []


@pytest.mark.parametrize("tag", VAD)
def test_an_open_microphone_commits_600_ms_after_enough_audio_if_the_wait_is_limited(tag: str) -> None:
    session = Clocked(tag)
    committed = []
    for _ in range(200):
        session.frame(640)
        if session.wait(20):
            committed.append(session.now_ms)
    # 51 frames of 640 bytes (960 after resampling) exceed 48,000 bytes after 1,000 ms.
    # The flag is never cleared, so there is no second commit.
    assert committed == [1_000 + 600]


@pytest.mark.parametrize("tag", VAD)
def test_only_the_first_commit_needs_a_second_of_audio(tag: str) -> None:
    session = Clocked(tag)
    session.frame(32_000)
    assert session.wait(1_000) == []
    session.frame(4)
    assert session.wait(400) == COMMIT
    session.up(TEXT_DONE.payload)
    session.frame(3_200)
    assert session.wait(400) == COMMIT


@pytest.mark.parametrize("tag", PROXIES)
def test_committed_audio_is_not_committed_again(tag: str) -> None:
    session = Clocked(tag)
    session.frame(ENOUGH)
    assert session.wait(600) == COMMIT
    session.up(TEXT_DONE.payload)
    assert session.wait(10_000) == []


@pytest.mark.parametrize("tag", QUIET)
def test_audio_blocked_by_the_flag_waits_for_the_next_frame(tag: str) -> None:
    session = Clocked(tag)
    session.frame(4_800)
    assert session.wait(400) == COMMIT
    session.frame(ENOUGH)
    assert session.wait(400) == []
    session.up(TEXT_DONE.payload)
    assert session.wait(10_000) == []
    session.frame(2)
    assert session.wait(400) == COMMIT


@pytest.mark.parametrize("tag", VAD)
def test_audio_blocked_by_the_flag_is_padded_and_committed_when_the_flag_is_cleared(tag: str) -> None:
    session = Clocked(tag)
    session.frame(ENOUGH)
    assert session.wait(400) == COMMIT
    session.frame(1_000)
    assert session.wait(10_000) == []
    assert ("upstream", 4_800 - 1_500) in session.up(TEXT_DONE.payload)
    assert session.wait(400) == COMMIT


@pytest.mark.parametrize("tag", DEFERRING)
def test_a_waiting_create_does_not_block_the_commit_of_audio(tag: str) -> None:
    session = Clocked(tag)
    for step in CALLED:
        session.up(step.payload)
    session.host(agent.function_call_response("call_1", "f", "{}"))
    session.frame(ENOUGH)
    assert session.wait(400) == COMMIT
    assert ("upstream", "response.create") in session.up(DONE.payload), "the second create, while the first is active"


# -- server VAD ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", VAD)
def test_under_server_vad_nothing_is_committed(tag: str) -> None:
    session = Clocked(tag, SETTINGS)
    assert session.frame(ENOUGH) == [("upstream", 59_998)]
    assert session.wait(10_000) == []
    session.up(TEXT_DONE.payload)
    assert session.wait(10_000) == []
    assert session.leave() == [("upstream", None)]


@pytest.mark.parametrize(("settings", "held"), [(SETTINGS, True), (MANUAL, False)])
@pytest.mark.parametrize("tag", VAD)
def test_a_server_started_response_sets_the_flag_only_under_vad(tag: str, settings: Mapping[str, Any], held: bool) -> None:
    session = Clocked(tag, settings)
    session.up({"type": realtime.RESPONSE_CREATED, "response": {"id": "resp_1"}})
    assert session.proxy.state.flag is held
    sent = session.up(realtime.error_event("event_1", "idle_timeout", "idle"))
    assert sent == ([] if held else [("component", "Error")])


@pytest.mark.parametrize("tag", VAD)
def test_server_vad_is_off_until_settings_were_passed_on(tag: str) -> None:
    session = Clocked(tag, None)
    session.frame(ENOUGH)
    assert session.wait(400) == COMMIT


@pytest.mark.parametrize(("tag", "asks"), [(tag, PROXIES[tag].audio == "vad") for tag in PROXIES])
def test_the_session_update_requests_the_proxys_kind_of_turn_detection(tag: str, asks: bool) -> None:
    effects = Proxy(PROXIES[tag]).message("component", SETTINGS)
    update = next(effect.payload for effect in effects if isinstance(effect, Send))
    assert isinstance(update, Mapping)
    found = input_audio.turn_detection_of(update["session"])
    assert (found is not None) is asks
    if found is not None:
        assert (found["create_response"], found["interrupt_response"], found["idle_timeout_ms"]) == (True, True, 10_000)


# -- frames that end the process -------------------------------------------------------------------------------------

ENDED = [("upstream", ABNORMAL), ("component", ABNORMAL)]


@pytest.mark.parametrize("frame", [bytes(3), "hello"])
@pytest.mark.parametrize("tag", VAD)
def test_a_frame_of_odd_length_ends_the_process_if_audio_is_resampled(tag: str, frame: Payload) -> None:
    session = Clocked(tag)
    session.frame(ENOUGH)
    assert session.host(frame) == ENDED
    assert session.wait(60_000) == []
    assert session.host(SETTINGS) == session.up(UPDATED.payload) == session.leave() == []


@pytest.mark.parametrize("tag", QUIET)
def test_a_frame_of_odd_length_is_appended_if_audio_is_not_resampled(tag: str) -> None:
    assert Clocked(tag).host(bytes(3)) == [("upstream", 3)]


@pytest.mark.parametrize("tag", QUIET)
@pytest.mark.long
def test_a_frame_of_more_than_15_mib_ends_the_process(tag: str) -> None:
    assert Clocked(tag).frame(APPEND_MAX) == [("upstream", APPEND_MAX)]
    assert Clocked(tag).frame(APPEND_MAX + 1) == ENDED


@pytest.mark.parametrize("tag", VAD)
def test_an_odd_frame_before_session_updated_gives_an_error_and_delays_the_rest(tag: str) -> None:
    session = Clocked(tag, ready=False)
    for size in (ENOUGH, 3, 640):
        assert session.frame(size) == []
    assert session.up(UPDATED.payload) == [("component", "SettingsApplied"), ("upstream", 59_998), ("component", "Error")]
    assert session.wait(10_000) == [], "no wait began"
    assert ("upstream", 960) in session.up(UPDATED.payload)
    assert session.wait(400) == COMMIT


def test_a_too_large_frame_before_session_updated_forwards_the_event_to_the_host() -> None:
    session = Clocked("0.9.1", ready=False)
    session.frame(APPEND_MAX + 1)
    assert session.up(UPDATED.payload) == [("component", "SettingsApplied"), ("component", "session.updated")]


# -- audio frames and text frames ------------------------------------------------------------------------------------


#: (frame, bytes appended without resampling, bytes appended with resampling). With resampling, the last of n samples
#: is held back.
NO_JSON: list[tuple[Payload, int, int]] = [
    (b"null", 4, 4),
    ("no JSON!", 8, 10),
    ("NaN ", 4, 4),
    (b"-Infinity ", 10, 14),
    (b"1\x00", 2, 0),
    (b"\xef\xbb\xbf{}.", 6, 6),
    (b"", 0, 0),
    ("", 0, 0),
]


@pytest.mark.parametrize("tag", PROXIES)
@pytest.mark.parametrize(("frame", "plain", "resampled"), NO_JSON)
def test_frames_that_are_not_json_are_audio(tag: str, frame: Payload, plain: int, resampled: int) -> None:
    size = resampled if PROXIES[tag].resampled else plain
    assert Clocked(tag).host(frame) == ([("upstream", size)] if size else [])


@pytest.mark.parametrize("frame", ["5", "[1]", "true", '"text"', b"7"])
def test_json_that_is_no_object_is_a_message_without_a_type(frame: str | bytes) -> None:
    raw = frame if isinstance(frame, bytes) else frame.encode()
    assert Clocked("0.10.4").host(frame) == [("upstream", raw)]
    assert Clocked("0.10.5").host(frame) == [("component", "Error")]


@pytest.mark.parametrize("tag", PROXIES)
def test_audio_before_session_updated_is_sent_after_it_and_after_texts(tag: str) -> None:
    session = Clocked(tag, ready=False)
    assert session.frame(4_800) == []
    session.host(agent.inject_user_message("hi"))
    sent = [what for to, what in session.up(UPDATED.payload) if to == "upstream"]
    assert sent[-1] == (7_198 if PROXIES[tag].resampled else 4_800)


# -- resampling ------------------------------------------------------------------------------------------------------


def cut_up(frames: list[list[int]]) -> list[list[int]]:
    """Return the samples received by the API for each frame of samples from the host."""
    state, found = AudioState(vad=True), []
    for samples in frames:
        effects = list(receive(state, PROXIES["0.11.1"], struct.pack(f"<{len(samples)}h", *samples), flag=False))
        pcm = b"".join(base64.b64decode(effect.payload["audio"]) for effect in effects)  # type: ignore[union-attr, index, call-overload]
        found.append(list(struct.unpack(f"<{len(pcm) // 2}h", pcm)))
    return found


def test_two_samples_become_three_and_the_last_waits_for_the_next_frame() -> None:
    assert cut_up([[0, 300, 600, 900]]) == [[0, 200, 400, 600, 800]]
    assert cut_up([[0], [300], [600, 900]]) == [[], [0, 200], [400, 600, 800]]


def test_a_half_is_rounded_up() -> None:
    assert cut_up([[-32_768, 32_767, -1, 0]]) == [[-32_768, 10_922, 21_844, -1, 0]]


def test_the_position_is_a_sum_of_doubles_as_in_the_proxy() -> None:
    # The sizes were observed on the running proxy (audio-frame-sizes). With exact thirds, the last one would be 1,162.
    sizes = (1_024, 4_096, 512, 2_048, 775)
    assert [len(found) for found in cut_up([[0] * size for size in sizes])] == [1_535, 6_144, 768, 3_072, 1_163]


@given(st.lists(st.lists(st.integers(-32_768, 32_767), min_size=1, max_size=40), min_size=1, max_size=12))
def test_the_resampled_audio_does_not_depend_on_the_frame_boundaries(frames: list[list[int]]) -> None:
    whole = [sample for frame in frames for sample in frame]
    cut = [sample for frame in cut_up(frames) for sample in frame]
    once = cut_up([whole])[0]
    # The end can differ by one sample, since the position is not exact.
    assert abs(len(cut) - len(once)) <= 1
    assert cut[: len(once)] == once[: len(cut)]
    assert abs(len(once) - 1.5 * (len(whole) - 1)) <= 1


# -- events that the host receives -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("tag", "expected"), [("0.9.8", ["I ", "would"]), ("0.10.0", ["I ", "I would"])])
def test_transcripts_are_cumulative_from_0_10_0_on(tag: str, expected: list[str]) -> None:
    proxy = Proxy(PROXIES[tag])
    found = []
    for delta in ("I ", "would"):
        effects = proxy.message("upstream", speech.piece("event_1", "item_1", delta))
        found += [effect.payload["transcript"] for effect in effects if isinstance(effect, Send)]  # type: ignore[index, call-overload]
    assert found == expected


@pytest.mark.parametrize("tag", PROXIES)
@pytest.mark.parametrize(
    "event",
    [
        input_audio.committed("event_1", None, "item_1"),
        input_audio.cleared("event_1"),
        input_audio.timeout_triggered("event_1", "item_1", 0, 5_000),
    ],
)
def test_the_host_gets_buffer_events_raw_or_not_at_all(tag: str, event: Mapping[str, Any]) -> None:
    raw = PROXIES[tag].unknown_event == "raw"
    assert Clocked(tag).up(event) == ([("component", event["type"])] if raw else [])


@pytest.mark.parametrize(("tag", "expected"), [("0.9.1", speech.FAILED), ("0.10.0", "Error"), ("0.10.2-published", None)])
def test_a_failed_transcription_is_raw_an_error_or_dropped(tag: str, expected: str | None) -> None:
    assert Clocked(tag).up({"type": speech.FAILED}) == ([("component", expected)] if expected else [])


# -- state -----------------------------------------------------------------------------------------------------------


def test_a_copy_of_the_state_is_independent() -> None:
    session = Clocked("0.11.1")
    before = copy.deepcopy(session.proxy.state)
    session.frame(640)
    assert session.proxy.state != before
    session.proxy.state = copy.deepcopy(before)
    assert session.frame(640) == [("upstream", 958)]


def test_ready_equals_the_ready_of_the_scripts() -> None:
    assert [step.payload for step in READY[1:]] == [SETTINGS, UPDATED.payload]
