"""The state of one proxy connection."""

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
    """The state of one host connection. Names in parentheses are variables in the proxy's source.

    Attributes:
        flag: whether the proxy treats a response as in progress (`responseInProgress`).
        mark: whether a request is deferred after a result (`pendingResponseCreateAfterFunctionCallOutput`).
        text_waits: whether a request is deferred after user text (`pendingItemAddedBeforeResponseCreate`).
        configured: whether session.update was sent (`hasForwardedSessionUpdate`).
        ready: whether session.updated arrived (`hasSentSettingsApplied`).
        host_open: whether the connection to the host is open.
        upstream_open: whether the connection to the API is open.
        greeting: greeting to send at session.updated, or None.
        context_items: items of the earlier conversation to send at session.updated.
        queued_text: InjectUserMessage messages to handle at session.updated.
        had_context: whether Settings contained earlier conversation. If so, no greeting is sent.
        started: whether AgentStartedSpeaking was sent for the current response.
        done: whether AgentDone was sent for the current response.
        audio_came: whether audio of the current response was sent to the host.
        text_went: whether assistant text was sent to the host since the last request.
        last_text: last assistant text sent since the last request, trimmed, or None.
        deltas: concatenated text deltas since the last request.
        items_sent: ids of the items whose text was sent to the host.
        waiting_error: idle_timeout error that is withheld while the flag is set, or None.
        audio: state of the user's audio.
        gate: state of the reference gate, used only by releases with a gate.
        gate_waits: whether the timer ``gate`` of a paused gate runs.
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
    gate_waits: bool = False
