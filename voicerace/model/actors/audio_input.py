"""The half of the mock upstream that listens: the input audio buffer, server VAD by the audio's energy, the idle timeout.

Who hears the user is a writer of its own: at the end of speech the server commits the audio and begins a response that
no client asked for (docs/protocol-facts.md#who-can-take-the-slot). Speech begins with the first loud audio and
ends `vad_ms` after it turned silent; what a real VAD adds (a padding, a threshold) moves both by constants and is not modelled.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

from voicerace.model.actors.actor import Cancel, SetTimer
from voicerace.model.actors.responses import Speaker
from voicerace.model.actors.upstream_audio import Refused, buffered
from voicerace.model.actors.upstream_state import Response
from voicerace.model.protocol import input_audio, realtime

__all__ = ["Listener"]

#: 24 kHz, 16 bits, mono.
_BYTES_PER_MS: Final = 48
_NUDGE: Final = "The user has not spoken for a while."
_TRANSCRIPT: Final = "What is the weather in Lisbon?"


class Listener(Speaker):
    """What one Realtime session makes of the user's audio."""

    def _error(self, code: str | None, message: str, cause: Mapping[str, Any], *, param: str | None = None) -> None:
        cause_id = cause.get("event_id")
        self._send(realtime.error_event(self._id("event"), code, message, param=param, client_event_id=cause_id))

    def _input_audio(self, event: Mapping[str, Any]) -> None:
        before = self.state.audio
        self.state.audio, answer = buffered(before, event)
        if isinstance(answer, Refused):
            self._error(answer.code, answer.text, event)
        elif answer == "cleared":
            self._send(input_audio.cleared(self._id("event")))
        elif answer == "committed":
            self._commit(self.state.speech or self._id("item"))
            self.state.speech, self.state.pausing = "", False
            self._out.append(Cancel("vad"))
        elif input_audio.turn_detection_of(self.state.session) is not None:
            self._hear(base64.b64decode(str(event.get("audio"))))
        self.state.appended += max(self.state.audio - before, 0)

    def _accept(self, item_id: str, item: Mapping[str, Any]) -> None:
        """An item is in the conversation; it is confirmed `ack_ms` later."""
        if item.get("role") == "user":
            self.state.inputs += 1
            self.state.steps_taken = 0
        state = {} if item.get("type") == "function_call_output" else {"status": "completed"}
        self.state.acks[item_id] = {"id": item_id, **state, **item}
        self._out.append(SetTimer(f"ack:{item_id}", "ack_ms", self.state.counts.get("ack", 0)))
        self._id("ack")

    def _confirm(self, item_id: str) -> None:
        item = self.state.items[item_id] = self.state.acks.pop(item_id)
        for kind in (realtime.ITEM_ADDED, realtime.ITEM_DONE):
            self._send(realtime.conversation_item(kind, self._id("event"), self.state.last_item, item))
        self._append(item_id)
        if item == {**item, **input_audio.audio_item()} and self._transcribes():
            self._send(input_audio.transcribed(self._id("event"), item_id, _TRANSCRIPT))

    def _transcribes(self) -> bool:
        audio = self.state.session.get("audio")
        heard = audio.get("input") if isinstance(audio, Mapping) else None
        return isinstance(heard, Mapping) and isinstance(heard.get("transcription"), Mapping)

    def _commit(self, item_id: str) -> None:
        """The buffer becomes a user item."""
        self.state.audio = 0
        self._send(input_audio.committed(self._id("event"), self.state.last_item, item_id))
        self._accept(item_id, input_audio.audio_item())

    # -- server VAD --------------------------------------------------------------------------------------------------

    def _hear(self, pcm: bytes) -> None:
        """Audio under server VAD: loud, or silent."""
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
        """`vad_ms` of silence: the turn is the server's to answer."""
        state = self.state
        item_id, state.speech, state.pausing = state.speech, "", False
        self._send(input_audio.speech_stopped(self._id("event"), item_id, state.appended // _BYTES_PER_MS))
        self._commit(item_id)
        detection = input_audio.turn_detection_of(state.session) or {}
        if detection.get("create_response") is not False:
            self._server_begins()

    def _server_begins(self) -> None:
        """A response of the server's own, where the slot is free for it."""
        if self.state.slot == "free":
            self._slot("server_begins")
            self._begin(self._next_plan({}))
        elif self.knobs.server_turn_taken == "waits":
            self.state.server_waits = True

    def _idle(self) -> None:
        """Nobody has spoken for `idle_timeout_ms` since a response was done."""
        if self.state.slot != "free" or self.state.speech:
            return
        item_id, now = self._id("item"), self.state.appended // _BYTES_PER_MS
        self._send(input_audio.timeout_triggered(self._id("event"), item_id, now, now))
        # As recorded: a system item of the server's, confirmed at once, before the buffer is committed.
        told = self._id("item")
        self.state.acks[told] = {"id": told, "status": "completed", **realtime.system_item(_NUDGE)}
        self._confirm(told)
        self._commit(item_id)
        self._server_begins()

    def _done(self, response: Response, status: str, reason: str | None = None) -> None:
        super()._done(response, status, reason)
        if response.in_band and self.state.slot == "free":
            self._slot_is_free()

    def _slot_is_free(self) -> None:
        """A response is over: the server's own turn that waits for it, or else the wait for somebody to speak."""
        if self.state.server_waits:
            self.state.server_waits = False
            self._server_begins()
            return
        detection = input_audio.turn_detection_of(self.state.session) or {}
        if self.idles and detection.get("idle_timeout_ms") is not None:
            self._out.append(SetTimer("idle", "idle_timeout_ms"))
