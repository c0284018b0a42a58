"""The half of the proxy that asks for responses: the flag, the create behind a result, and the commit of user audio.

Facts: docs/release-facts.md#tool-results, #release-events, #the-flag and #user-audio. No release has a gate
(`model.actors.reference_gate`); the reference row has nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

from voicerace.model.actors import proxy_audio
from voicerace.model.actors.actor import Cancel
from voicerace.model.actors.proxy_voice import Voice
from voicerace.model.actors.reference_gate import Gate
from voicerace.model.protocol import realtime

__all__ = ["Creates"]


class Creates(Voice):
    """When one connection of the proxy asks; `Proxy` decides what happened."""

    def _create(self, writer: str) -> None:
        """Send `response.create` for `writer`; the flag follows where the release sets it by that writer."""
        if self.release.gate is not None:
            self._gated(lambda gate: gate.words(writer))
            return
        self._upstream(realtime.create_response())
        self._response_started(writer)

    def _gated(self, tell: Callable[[Gate], int]) -> None:
        """Tell the reference gate what happened, and send the creates that it lets through."""
        if self.release.gate is not None:
            for _ in range(tell(Gate(self.release.gate, self.state.gate))):
                self._upstream(realtime.create_response(realtime.CREATE_ID))
                self._response_started("result")

    def _response_started(self, writer: str) -> None:
        state = self.state
        if writer in self.release.flag_set_by:
            state.flag = True
        state.started = state.done = state.audio_came = state.text_went = False
        state.last_text = None
        state.deltas = ""

    def _response_ended(self) -> None:
        state = self.state
        state.flag = state.started = state.done = False
        self._out += proxy_audio.freed(state.audio, self.release)

    def _release_create(self) -> None:
        """The event that the create behind a result waited for has come."""
        if self.release.recovery:
            self._out.append(Cancel("recovery"))
        self.state.mark = False
        self._create("result")

    def _release_event(self, event: str) -> None:
        if self.state.mark and event in self.release.create_on:
            self._release_create()

    def _commit_audio(self) -> None:
        """Commit what is pending, if it is enough and the flag is not set: the mark is not looked at."""
        if proxy_audio.due(self.state.audio, self.release, flag=self.state.flag):
            self._out += proxy_audio.commit(self.state.audio)
            self._create("audio")
