"""What one connection of the proxy remembers."""

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
    """What one connection of the proxy remembers. Names in brackets are those of its source.

    Attributes:
        flag: a response is taken to be in progress (`responseInProgress`).
        mark: a create waits behind a result (`pendingResponseCreateAfterFunctionCallOutput`).
        text_waits: a create waits behind user text (`pendingItemAddedBeforeResponseCreate`).
        configured: session.update went out (`hasForwardedSessionUpdate`).
        ready: session.updated came in (`hasSentSettingsApplied`).
        host_open, upstream_open: the two connections.
        greeting: waits for session.updated.
        context_items: earlier conversation that waits for session.updated.
        had_context: Settings came with earlier conversation, so no greeting follows.
        queued_text: user text that waits for session.updated.
        started, done: AgentStartedSpeaking, AgentDone went out for the response in progress.
        audio_came: audio of the response in progress went out.
        text_went: assistant text went out since the last create; `last_text` is that text.
        deltas: text deltas since the last create.
        items_sent: items whose text went to the host.
        waiting_error: an idle_timeout error held back while the flag is set.
        audio: what it remembers of the user's audio.
        gate: what the reference gate remembers; no other release has one.
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
