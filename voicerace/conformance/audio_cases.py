"""Scripted exchanges with user audio: appends, commits, and the speech events sent to the host.

With `MANUAL` settings every release commits the audio itself. With the default settings, releases with server VAD let the
server commit. To test whether the proxy sends a commit, a script waits in real time for the proxy's timers of 400 and 600 ms.
A message from the proxy ends the wait. The minimum size of a commit is 4,800 bytes. From 0.11 on, the minimum for the first
commit is 48,000 bytes, counted after resampling of two bytes to three.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from voicerace.conformance.steps import (
    CALLED,
    CREATED,
    DONE,
    LEAVE,
    READY,
    REFUSED,
    SETTINGS,
    TEXT_DONE,
    UPDATED,
    ExchangeStep,
    closes,
    content,
    error,
    host,
    item,
    output,
    response,
    result,
    text,
    up,
    user,
    wait,
)
from voicerace.model.protocol import input_audio, realtime, speech

__all__ = ["AUDIO_SCRIPTS"]

#: Settings without server VAD.
MANUAL: Final = {**SETTINGS, "agent": {**SETTINGS["agent"], "useOpenAIManualAudioCommit": True}}
#: Size of audio in bytes that is enough for any commit: 1.25 s at 16 kHz.
ENOUGH: Final = 40_000


def frame(size: int) -> ExchangeStep:
    """Return a step with audio of `size` bytes. Neighbouring samples differ, so that resampling changes the bytes."""
    # the audio is periodic, so that its recording compresses well
    period = struct.pack("<40h", *(number * 7 % 40 * 50 - 1_001 for number in range(40)))
    return host((period * (size // len(period) + 1))[:size])


def idle(timeout_ms: object) -> ExchangeStep:
    """Return a step with Settings that contain this `idleTimeoutMs`."""
    return host({**SETTINGS, "agent": {**SETTINGS["agent"], "idleTimeoutMs": timeout_ms}})


def transcription(kind: str, item_id: str | None = "item_u", **fields: Any) -> ExchangeStep:
    """Return a step with a transcription event from the upstream."""
    return up({"type": kind, "event_id": "event_x", **({"item_id": item_id} if item_id else {}), "content_index": 0, **fields})


_READY: Final = (CREATED, host(MANUAL), UPDATED)
#: Messages after which the proxy sends a request for user text. From 0.9.1 on, this request sets the flag.
_REQUESTED: Final = (text("hi"), item(realtime.ITEM_DONE, user("item_1")))
_IDLE: Final = error("idle_timeout", "The server had an error while processing your request")
_AUDIO_DONE: Final = content(realtime.AUDIO_DONE)
_STARTED: Final = up(input_audio.speech_started("event_x", "item_u", 100))
_STOPPED: Final = up(input_audio.speech_stopped("event_x", "item_u", 900))
_COMMITTED: Final = up(input_audio.committed("event_x", None, "item_u"))
_SPOKEN: Final = {"id": "item_u", "object": "realtime.item", "status": "completed", **input_audio.audio_item()}
#: Events of the upstream when server VAD detects speech and its end, and commits the audio.
_TURN: Final = (
    _STARTED,
    _STOPPED,
    _COMMITTED,
    item(realtime.ITEM_ADDED, _SPOKEN),
    item(realtime.ITEM_DONE, _SPOKEN),
)
_OWN: Final = response(realtime.RESPONSE_CREATED, "resp_2", "in_progress")
_OUTPUT_DONE: Final = item(realtime.ITEM_DONE, output("item_o", "call_1"))

#: Wait of 550 ms in scripts that expect no message. An unexpected commit would end the wait.
_QUIET: Final = wait(550)
#: Wait that ends 150 ms before the proxy's timer of 400 ms.
_BEFORE: Final = wait(250)
#: Wait after `_BEFORE`, in which that timer ends.
_WITHIN: Final = wait(300)

AUDIO_SCRIPTS: Final[dict[str, tuple[ExchangeStep, ...]]] = {
    # -- time of the commit
    "audio-exactly-enough": (*_READY, frame(4_800), _BEFORE, _WITHIN, DONE),
    "audio-too-little": (*_READY, frame(4_798), _QUIET, frame(2), _QUIET),
    "audio-first-needs-more": (
        *_READY, frame(32_000), _QUIET, frame(2), frame(2), _QUIET, TEXT_DONE, frame(3_200), _QUIET, DONE,
    ),
    "audio-every-frame-waits-anew": (
        *_READY, frame(ENOUGH), wait(200), frame(3_200), wait(200), frame(3_200), wait(250), wait(300),
    ),
    "audio-longest-wait-is-set-once": (
        *_READY, frame(4_000), wait(250), frame(ENOUGH), wait(250), frame(3_200), _BEFORE, _WITHIN, DONE, frame(3_200), _QUIET,
    ),
    "audio-longest-wait-after-a-commit": (
        *_READY, frame(ENOUGH), _QUIET, TEXT_DONE, frame(ENOUGH), wait(200), frame(4_800), wait(200), frame(4_800), _BEFORE, _WITHIN,
    ),
    # -- the flag
    "audio-sets-the-flag": (
        *_READY, frame(ENOUGH), _QUIET, _IDLE, host(MANUAL), frame(ENOUGH), _QUIET, TEXT_DONE, frame(2), _QUIET, DONE,
    ),
    "audio-while-the-flag-is-set": (*_READY, *_REQUESTED, frame(ENOUGH), _QUIET, TEXT_DONE, _BEFORE, _WITHIN, frame(4_800), _QUIET),
    "audio-longest-wait-runs-out-under-the-flag": (
        *_READY, frame(ENOUGH), *_REQUESTED, wait(750), TEXT_DONE, wait(200), frame(3_200), wait(200), frame(3_200), wait(250), wait(300),
    ),
    "audio-flag-set-within-the-wait": (*_READY, frame(ENOUGH), _BEFORE, *_REQUESTED, _WITHIN, TEXT_DONE, _QUIET),
    "audio-flag-cleared-by-audio": (*_READY, *_REQUESTED, frame(ENOUGH), _AUDIO_DONE, frame(4_800), _QUIET),
    "audio-flag-cleared-by-done": (*_READY, *_REQUESTED, frame(ENOUGH), DONE, _QUIET, frame(4_800), _QUIET),
    "audio-flag-cleared-pads": (*_READY, frame(ENOUGH), _QUIET, frame(1_000), TEXT_DONE, _QUIET),
    "audio-flag-cleared-pads-before-the-first": (*_READY, frame(1_000), TEXT_DONE, DONE, _QUIET),
    "audio-flag-cleared-waits-anew": (*_READY, frame(4_800), _BEFORE, TEXT_DONE, _BEFORE, _WITHIN),
    # -- with results and texts
    "audio-and-mark": (*_READY, *CALLED, result("call_1"), frame(ENOUGH), _QUIET, _OUTPUT_DONE, REFUSED, DONE),
    "audio-and-mark-of-two-results": (
        *_READY, *CALLED, result("call_1"), result("call_2"), frame(ENOUGH), _QUIET, DONE, frame(4_800), _QUIET, TEXT_DONE,
    ),
    "audio-and-text": (*_READY, text("hi"), frame(ENOUGH), _QUIET, item(realtime.ITEM_ADDED, user("item_1")), REFUSED, DONE),
    "audio-item-frees-text": (*_READY, text("hi"), frame(ENOUGH), _QUIET, _COMMITTED, item(realtime.ITEM_ADDED, _SPOKEN)),
    "audio-settings-never-applied": (
        CREATED, result("call_1"), host(SETTINGS), UPDATED, frame(ENOUGH), DONE, _QUIET, TEXT_DONE, _QUIET,
    ),
    # -- before session.updated
    "audio-before-settings": (CREATED, frame(3_200), frame(4_800), host(MANUAL), UPDATED, _BEFORE, _WITHIN),
    "audio-before-updated": (CREATED, host(MANUAL), frame(ENOUGH), text("hi"), frame(3_200), UPDATED, _BEFORE, _WITHIN),
    "audio-updated-without-settings": (CREATED, frame(3_200), UPDATED, frame(ENOUGH), _QUIET, host(SETTINGS), frame(3_200), _QUIET),
    "audio-pending-when-vad-comes-on": (CREATED, UPDATED, frame(ENOUGH), host(SETTINGS), _QUIET, TEXT_DONE, _QUIET),
    "audio-little-pending-when-vad-comes-on": (CREATED, UPDATED, frame(640), host(SETTINGS), TEXT_DONE, frame(640), LEAVE),
    "audio-updated-again-waits-anew": (*_READY, frame(4_800), _BEFORE, UPDATED, _BEFORE, _WITHIN, UPDATED, _QUIET),
    "audio-before-updated-of-odd-length": (
        CREATED, host(MANUAL), frame(ENOUGH), frame(3), frame(4_800), UPDATED, _QUIET, UPDATED, _QUIET,
    ),
    "audio-vad-before-updated-of-odd-length": (CREATED, frame(640), host(SETTINGS), frame(5), frame(640), UPDATED, frame(640), UPDATED),
    "audio-never-ready": (CREATED, host(MANUAL), frame(ENOUGH), closes(1011)),
    # -- binary and text frames that the proxy handles as audio
    "audio-empty": (*_READY, host(b""), host(""), frame(ENOUGH), _BEFORE, host(b""), host(""), _WITHIN),
    "audio-of-one-sample": (*_READY, frame(2), frame(2), frame(2), host(b""), frame(4)),
    "audio-in-text-frames": (*_READY, host("no JSON!"), host("NaN "), host('{"type":'), host("null"), host('{"a":"\x01"}.')),
    "audio-that-is-json": (
        *_READY, host("5"), host("[1]"), host("true"), host('"text"'), host(" {} "), host(b'{"type":"KeepAlive"}'), host(b"7"),
        host(b'{"type":"InjectUserMessage","content":"in a binary frame"}'),
    ),
    "audio-that-looks-like-json": (*_READY, host(b"\xef\xbb\xbf{}."), host(b"1\x00"), host(b"\xff\xfe1\x00"), host(b"-Infinity ")),
    "audio-of-odd-length": (*READY, frame(640), frame(3)),
    "audio-of-odd-length-in-a-text-frame": (*READY, host("hello")),
    "audio-frame-sizes": (
        *READY, *(frame(2 * samples) for samples in (1_024, 4_096, 512, 2_048, 775, 1, 2, 3, 160, 320, 341, 512, 2_048, 3, 480)),
    ),
    # -- server VAD
    "vad-appends-only": (*READY, frame(ENOUGH), _QUIET, *_TURN, _OWN, frame(ENOUGH), TEXT_DONE, DONE, _QUIET, frame(4_800), _QUIET),
    "vad-own-response": (*READY, *_TURN, _OWN, _IDLE, TEXT_DONE, DONE),
    "vad-own-response-without-vad": (*_READY, *_TURN, _OWN, _IDLE, TEXT_DONE, DONE),
    "vad-own-response-after-done": (*READY, *_TURN, _OWN, TEXT_DONE, DONE, _IDLE, _OWN, DONE, _IDLE),
    "vad-own-response-behind-a-create": (
        *READY, *_REQUESTED, content(realtime.AUDIO_DELTA, delta="AAAA"), _OWN, content(realtime.AUDIO_DELTA, delta="AAAA"), TEXT_DONE, DONE,
    ),
    "vad-own-response-before-the-result": (*READY, *CALLED, DONE, *_TURN, _OWN, result("call_1"), _OUTPUT_DONE, REFUSED, TEXT_DONE, DONE),
    "vad-own-response-before-confirmed": (*READY, *CALLED, DONE, result("call_1"), *_TURN, _OWN, _OUTPUT_DONE, REFUSED, TEXT_DONE, DONE),
    "vad-barge-in-during-the-call": (
        *READY, *CALLED, _STARTED, response(realtime.RESPONSE_DONE, "resp_1", "cancelled"), _STOPPED, _COMMITTED, result("call_1"),
        item(realtime.ITEM_ADDED, _SPOKEN), _OWN, _OUTPUT_DONE, REFUSED, DONE,
    ),
    "vad-barge-in-during-a-spoken-reply": (
        *READY, _OWN, content(realtime.AUDIO_DELTA, delta="AAAA"), _STARTED, _AUDIO_DONE,
        response(realtime.RESPONSE_DONE, "resp_2", "cancelled"), _STOPPED, _COMMITTED, _OWN, content(realtime.AUDIO_DELTA, delta="AAAA"), DONE,
    ),
    "vad-idle-timeout": (
        *READY, _OWN, DONE, up(input_audio.timeout_triggered("event_x", "item_u", 0, 5_000)), _COMMITTED, _OWN, _IDLE, DONE, _AUDIO_DONE, TEXT_DONE,
    ),
    "vad-idle-timeout-error-then-close": (*READY, *_TURN, _OWN, _IDLE, closes(1000)),
    "vad-idle-of-one-second": (CREATED, idle(1_000), UPDATED),
    "vad-idle-of-a-minute": (CREATED, idle(60_000), UPDATED),
    "vad-idle-of-a-fraction": (CREATED, idle(7_500.5), UPDATED),
    "vad-idle-off": (CREATED, idle(-1), UPDATED),
    "vad-idle-no-number": (CREATED, idle(True), UPDATED),
    # -- speech events at the host
    "speech-events": (
        *READY, _STARTED, _STOPPED, up({"type": input_audio.SPEECH_STOPPED, "channel": [1], "last_word_end": 2.5}),
        up({"type": input_audio.SPEECH_STOPPED, "channel": [], "last_word_end": "2"}), _COMMITTED, up(input_audio.cleared("event_x")),
        up(input_audio.timeout_triggered("event_x", "item_u", 0, 5_000)),
        up({"type": "input_audio_buffer.dtmf_event_received", "event": "1", "received_at": 1}),
    ),
    "speech-transcribed": (
        *READY, transcription(speech.PIECE, delta="I "), transcription(speech.PIECE, "item_v", delta="other"), transcription(speech.PIECE, delta="would"),
        transcription(speech.PIECE), transcription(speech.TRANSCRIBED, transcript="I would."), transcription(speech.PIECE, delta=" like"),
        transcription(speech.TRANSCRIBED, "item_v"), transcription(speech.PIECE, "item_v", delta="more"),
    ),
    "speech-transcribed-without-an-item": (
        *READY, transcription(speech.PIECE, None, delta="a"), transcription(speech.TRANSCRIBED, None, transcript="ab"), transcription(speech.PIECE, None, delta="c"),
    ),
    "speech-transcribed-with-times": (
        *READY, transcription(speech.PIECE, delta="a", channel=1, start=0.5, duration=2), transcription(speech.PIECE, delta="b", channel_index=[2, 3]),
        transcription(speech.TRANSCRIBED, transcript="ab", channel_index=[1], channel=0, start="0", alternatives=[
            {"transcript": "ab", "confidence": 0.5, "transcription": [{"word": "ab"}]}, {"confidence": "high"},
        ]),
        transcription(speech.TRANSCRIBED, transcript="c", alternatives=[], channel_index=[]),
    ),
    "speech-not-transcribed": (
        *READY, transcription(speech.PIECE, delta="a"), transcription(speech.FAILED, error={"code": "c", "message": "m"}),
        transcription(speech.SEGMENT, text="a", id="seg_1", speaker="A", start=0.0, end=1.0), transcription(speech.PIECE, delta="b"),
    ),
    # -- closing connections
    "host-leaves-with-little-audio": (*_READY, frame(1_000), LEAVE),
    "host-leaves-with-enough-audio": (*_READY, frame(ENOUGH), LEAVE),
    "host-leaves-with-little-audio-after-a-commit": (*_READY, frame(ENOUGH), _QUIET, TEXT_DONE, frame(1_000), LEAVE),
    "host-leaves-with-audio-and-flag": (*_READY, *_REQUESTED, frame(ENOUGH), LEAVE),
    "host-leaves-with-little-audio-and-flag": (*_READY, *_REQUESTED, frame(1_000), LEAVE),
    "host-leaves-with-audio-and-mark": (*_READY, *CALLED, result("call_1"), frame(ENOUGH), LEAVE),
    "host-leaves-with-audio-under-vad": (*READY, frame(ENOUGH), LEAVE),
    "host-leaves-before-ready-with-audio": (CREATED, host(MANUAL), frame(ENOUGH), LEAVE),
    "upstream-closes-with-audio": (*_READY, frame(ENOUGH), closes(1011)),
}  # fmt: skip
