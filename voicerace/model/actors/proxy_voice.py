"""The half of the proxy that speaks to its neighbours: sending, and what the host is told of the agent's voice and words.

Every text goes out once, whichever event brings it first, and so does the news that the agent begins or ends to speak.
Facts: docs/release-facts.md#messages-to-the-host, `reply_text` and `agent`.
"""

from __future__ import annotations

from typing import Any

from voicerace.model.actors.actor import Send
from voicerace.model.actors.javascript import key, trim, truthy
from voicerace.model.actors.proxy_state import ProxyState
from voicerace.model.actors.stateful import StatefulActor
from voicerace.model.catalog.releases import ProxyRelease
from voicerace.model.protocol import agent
from voicerace.trace.recording import Payload

__all__ = ["Voice"]


class Voice(StatefulActor[ProxyState]):
    """What one connection of the proxy says; `Proxy` decides when."""

    def __init__(self, release: ProxyRelease) -> None:
        super().__init__(ProxyState())
        self.release = release

    def _host(self, payload: Payload) -> None:
        if self.state.host_open:
            self._out.append(Send("component", payload))

    def _upstream(self, payload: Payload) -> None:
        if self.state.upstream_open:
            self._out.append(Send("upstream", payload))

    # -- the agent ----------------------------------------------------------------------------------------------------

    def _item_text(self, item_id: Any, text: str) -> None:
        """Assistant text of an item goes out once per item, and not again when T, S or R brought it."""
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
