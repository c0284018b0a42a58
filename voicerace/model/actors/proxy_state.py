"""The state of one connection of the proxy."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from voicerace.model.actors.proxy_audio import AudioState
from voicerace.model.actors.reference_gate import GateState
from voicerace.model.protocol import agent, realtime

__all__ = ["ProxyState"]


@dataclass
class ProxyState:
    """The state of one connection. Names in parentheses are those of the proxy's source.

    Attributes:
        flag: the proxy assumes a response in progress (`responseInProgress`).
        mark: a create waits after a result (`pendingResponseCreateAfterFunctionCallOutput`).
        text_waits: a create waits after user text (`pendingItemAddedBeforeResponseCreate`).
        configured: session.update was sent (`hasForwardedSessionUpdate`).
        ready: session.updated arrived (`hasSentSettingsApplied`).
        host_open, upstream_open: the two connections are open.
        greeting, context_items, queued_text: greeting, earlier conversation and user text that wait for session.updated.
        had_context: Settings had earlier conversation, so no greeting follows.
        started, done: AgentStartedSpeaking, AgentDone was sent for the response in progress.
        audio_came: audio of the response in progress was sent.
        text_went: assistant text was sent since the last create; `last_text` is that text.
        deltas: text deltas since the last create.
        items_sent: items whose text was sent to the host.
        waiting_error: an idle_timeout error that waits while the flag is set.
        audio: the state of the user's audio.
        gate: the state of the reference gate, used only by the reference row.
    """

    flag: bool = False
    mark: bool = False
    text_waits: bool = False
    configured: bool = False
    ready: bool = False
    host_open: bool = True
    upstream_open: bool = True
    greeting: str | None = None
    context_items: tuple[realtime.Message, ...] = ()
    had_context: bool = False
    queued_text: tuple[Mapping[str, Any], ...] = ()
    started: bool = False
    done: bool = False
    audio_came: bool = False
    text_went: bool = False
    last_text: str | None = None
    deltas: str = ""
    items_sent: set[Hashable] = field(default_factory=set)
    waiting_error: agent.Message | None = None
    audio: AudioState = field(default_factory=AudioState)
    gate: GateState = field(default_factory=GateState)
