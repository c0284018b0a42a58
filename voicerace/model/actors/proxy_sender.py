"""Sends the proxy's messages: reports to the host, and `response.create` and commits of user audio to the API.

Several upstream events can contain the same text or imply the same report. The proxy sends each text and report only once.
In the reference and in fixed releases a gate (`model.actors.reference_gate`) replaces all other rules for requests.
Source: docs/release-facts.md#messages-to-the-host, #tool-results, #release-events, #the-flag, #user-audio.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voicerace.model.actors import proxy_audio
from voicerace.model.actors.actor import Cancel, Send, SetTimer
from voicerace.model.actors.javascript import key, trim, truthy
from voicerace.model.actors.proxy_state import ProxyState
from voicerace.model.actors.reference_gate import Gate
from voicerace.model.actors.stateful import StatefulActor
from voicerace.model.catalog.releases import ProxyRelease
from voicerace.model.protocol import agent, realtime
from voicerace.trace.recording import Payload

__all__ = ["ProxySender"]


class ProxySender(StatefulActor[ProxyState]):
    """The sending methods of the proxy model. The subclass `Proxy` calls them when it handles an event."""

    def __init__(self, release: ProxyRelease) -> None:
        super().__init__(ProxyState())
        self.release = release

    def _host(self, payload: Payload) -> None:
        if self.state.host_open:
            self._out.append(Send("component", payload))

    def _upstream(self, payload: Payload) -> None:
        if self.state.upstream_open:
            self._out.append(Send("upstream", payload))

    def _item_text(self, item_id: Any, text: str) -> None:
        """Send an item's assistant text to the host, unless the item's text was already sent or equals the last text."""
        state, known = self.state, key(item_id) if truthy(item_id) else None
        if known is not None:
            if known in state.items_sent:
                return
            state.items_sent.add(known)
        if self.release.reply_text == "any":
            if state.last_text is not None and trim(text) == state.last_text:
                return
            state.text_went = True
            state.last_text = trim(text)
        self._host(agent.conversation_text("assistant", text))

    def _reply_text(self, text: str | None) -> None:
        if text and not self.state.text_went:
            self._host(agent.conversation_text("assistant", text))
            self.state.text_went = True
            self.state.last_text = trim(text)

    def _agent_started(self) -> None:
        if self.release.agent != "none" and not self.state.started:
            self._host({"type": "AgentStartedSpeaking"})
            self.state.started = True

    def _agent_done(self) -> None:
        if self.release.agent not in ("none", "some") and not self.state.done:
            self._host({"type": "AgentDone"})
            self._host({"type": "AgentAudioDone"})
            self.state.done = True

    def _flush_waiting_error(self) -> None:
        if self.state.waiting_error is not None:
            self._host(self.state.waiting_error)
            self.state.waiting_error = None

    def _create(self, writer: str) -> None:
        """Request a response. Set the flag if the release sets it for `writer` (`result`, `text` or `audio`)."""
        if self.release.gate is not None:
            self._gated(lambda gate: gate.user_input(writer))
            return
        self._upstream(realtime.create_response())
        self._response_started(writer)

    def _gated(self, notify: Callable[[Gate], int]) -> None:
        """Call `notify` with the gate, if the release has one. Send as many requests as it returns."""
        if self.release.gate is not None:
            for _ in range(notify(Gate(self.release.gate, self.state.gate))):
                self._upstream(realtime.create_response(realtime.CREATE_ID))
                self._response_started("result")
            if self.state.gate.paused and not self.state.gate_waits:
                self.state.gate_waits = True
                self._out.append(SetTimer("gate", "gate_retry_ms"))

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
        self._out += proxy_audio.flag_cleared(state.audio, self.release)

    def _release_create(self) -> None:
        """Send the request that was deferred after a result, and clear the mark."""
        if self.release.recovery:
            self._out.append(Cancel("recovery"))
        self.state.mark = False
        self._create("result")

    def _release_event(self, event: str) -> None:
        if self.state.mark and event in self.release.create_on:
            self._release_create()

    def _commit_audio(self) -> None:
        """Commit the pending audio and request a response, if a commit is allowed. The mark does not prevent this."""
        if proxy_audio.can_commit(self.state.audio, self.release, flag=self.state.flag):
            self._out += proxy_audio.commit(self.state.audio)
            self._create("audio")
