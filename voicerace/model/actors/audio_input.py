"""User audio in the mock upstream: the input audio buffer, energy-based server VAD, and the idle timeout.

At the end of speech the server commits the audio and starts a response without a `response.create`
(docs/protocol-facts.md#who-can-take-the-slot). Speech starts with the first loud audio and ends after `vad_ms` of silence.
The API's VAD also has a padding and a threshold. They are not modelled, because they shift start and end by constants.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from voicerace.model.actors.actor import Cancel, SetTimer
from voicerace.model.actors.responses import Responses
from voicerace.model.actors.upstream_state import MockResponse
from voicerace.model.protocol import input_audio, realtime

__all__ = ["ROOT", "InputAudio"]

#: ``previous_item_id`` of an item that is to be the first of the conversation.
ROOT: Final = "root"

#: Number of bytes per millisecond of input audio (24 kHz, 16 bits, mono).
_BYTES_PER_MS: Final = 48
_NUDGE: Final = "The user has not spoken for a while."
_TRANSCRIPT: Final = "What is the weather in Lisbon?"


class InputAudio(Responses):
    """Handles the user items and the input audio of one Realtime session."""

    def _error(self, code: str | None, message: str, cause: Mapping[str, Any], *, param: str | None = None) -> None:
        cause_id = cause.get("event_id")
        self._send(realtime.error_event(self._id("event"), code, message, param=param, client_event_id=cause_id))

    def _input_audio(self, event: Mapping[str, Any]) -> None:
        state = self.state
        match event.get("type"):
            case input_audio.APPEND:
                try:
                    pcm = base64.b64decode(str(event.get("audio")), validate=True)
                except (binascii.Error, ValueError):
                    self._error("invalid_value", "Invalid 'audio': expected base64-encoded audio bytes.", event)
                    return
                state.audio += len(pcm)
                if input_audio.turn_detection_of(state.session) is not None:
                    self._detect_speech(pcm)
                state.appended += len(pcm)
            case input_audio.COMMIT if state.audio == 0:
                text = "Error committing input audio buffer: the buffer is empty."
                self._error(input_audio.COMMIT_EMPTY, text, event)
            case input_audio.COMMIT:
                self._commit(state.speech or self._id("item"))
                state.speech, state.pausing = "", False
                self._out.append(Cancel("vad"))
            case input_audio.CLEAR:
                state.audio = 0
                self._send(input_audio.cleared(self._id("event")))
            case kind:
                self._error("invalid_value", f"Invalid value: '{kind}'.", event)

    def _accept(self, item_id: str, item: Mapping[str, Any]) -> None:
        """Accept an item, which `_confirm` adds to the conversation `ack_ms` later."""
        if item.get("role") == "user":
            self.state.inputs += 1
            self.state.steps_taken = 0
        state = {} if item.get("type") == "function_call_output" else {"status": "completed"}
        self.state.acks[item_id] = {"id": item_id, **state, **item}
        self._out.append(SetTimer(f"ack:{item_id}", "ack_ms", self.state.counts.get("ack", 0)))
        self._id("ack")

    def _confirm(self, item_id: str) -> None:
        item = self.state.items[item_id] = self.state.acks.pop(item_id)
        last, after = self.state.last_item, self.state.after.pop(item_id, None)
        before = last if after is None else None if after == ROOT else after
        for kind in (realtime.ITEM_ADDED, realtime.ITEM_DONE):
            self._send(realtime.conversation_item(kind, self._id("event"), before, item))
        if before == last:
            self._append(item_id)
        elif before is None:
            self.state.first_item = item_id
        if item == {**item, **input_audio.audio_item()} and self._transcribes():
            self._send(input_audio.transcribed(self._id("event"), item_id, _TRANSCRIPT))

    def _transcribes(self) -> bool:
        audio = self.state.session.get("audio")
        settings = audio.get("input") if isinstance(audio, Mapping) else None
        return isinstance(settings, Mapping) and isinstance(settings.get("transcription"), Mapping)

    def _commit(self, item_id: str) -> None:
        """Convert the audio buffer to a user item, and empty the buffer."""
        self.state.audio = 0
        self._send(input_audio.committed(self._id("event"), self.state.last_item, item_id))
        self._accept(item_id, input_audio.audio_item())

    # -- server VAD --------------------------------------------------------------------------------------------------

    def _detect_speech(self, pcm: bytes) -> None:
        """Apply server VAD to new audio. Loud audio starts speech. Other audio starts the silence timer during speech."""
        state = self.state
        if not input_audio.is_loud(pcm):
            if state.speech and not state.pausing:
                state.pausing = True
                self._out.append(SetTimer("vad", "vad_ms"))
            return
        self._out += [Cancel("vad"), Cancel("idle")]
        state.pausing = False
        if not state.speech:
            state.speech = self._id("item")
            self._send(input_audio.speech_started(self._id("event"), state.speech, state.appended // _BYTES_PER_MS))
            detection = input_audio.turn_detection_of(state.session) or {}
            speaking = state.responses.get(state.holder)
            if speaking is not None and detection.get("interrupt_response") is not False:
                self._cut_off(speaking, "cancelled", "turn_detected")

    def _speech_over(self) -> None:
        """End the speech: commit its audio, and start a response unless `create_response` is false."""
        state = self.state
        item_id, state.speech, state.pausing = state.speech, "", False
        self._send(input_audio.speech_stopped(self._id("event"), item_id, state.appended // _BYTES_PER_MS))
        self._commit(item_id)
        detection = input_audio.turn_detection_of(state.session) or {}
        if detection.get("create_response") is not False:
            self._server_begins()

    def _server_turn(self) -> None:
        """Start a response as server VAD does at the end of speech, without audio from the client."""
        state = self.state
        item_id, now = self._id("item"), state.appended // _BYTES_PER_MS
        self._send(input_audio.speech_started(self._id("event"), item_id, now))
        self._send(input_audio.speech_stopped(self._id("event"), item_id, now))
        self._commit(item_id)
        self._server_begins()

    def _server_begins(self) -> None:
        """Start a response without a `response.create` if the slot is free, else apply `Knobs.server_turn_taken`."""
        if self.state.slot == "free":
            self._slot("server_begins")
            self._begin(self._next_plan({}))
        elif self.knobs.server_turn_taken == "waits":
            self.state.server_waits = True

    def _idle(self) -> None:
        """Commit the buffer and start a response, because the user was silent for `idle_timeout_ms` after a response."""
        if self.state.slot != "free" or self.state.speech:
            return
        item_id, now = self._id("item"), self.state.appended // _BYTES_PER_MS
        self._send(input_audio.timeout_triggered(self._id("event"), item_id, now, now))
        # Recordings show that the server adds and confirms a system item before it commits the buffer.
        nudge = self._id("item")
        self.state.acks[nudge] = {"id": nudge, "status": "completed", **realtime.system_item(_NUDGE)}
        self._confirm(nudge)
        self._commit(item_id)
        self._server_begins()

    def _done(self, response: MockResponse, status: str, reason: str | None = None) -> None:
        super()._done(response, status, reason)
        calls = any(output.kind == "call" for output in response.plan.outputs)
        if self.server_turns and calls and not self.state.server_turned:
            self.state.server_turned = True
            self._out.append(SetTimer("turn", "server_turn_ms"))
        if response.in_band and self.state.slot == "free":
            self._slot_is_free()

    def _slot_is_free(self) -> None:
        """Start the server's delayed response, if there is one, else the idle timeout."""
        if self.state.server_waits:
            self.state.server_waits = False
            self._server_begins()
            return
        detection = input_audio.turn_detection_of(self.state.session) or {}
        if self.idles and detection.get("idle_timeout_ms") is not None:
            self._out.append(SetTimer("idle", "idle_timeout_ms"))
