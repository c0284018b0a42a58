"""The table of the app's callbacks, by message of the proxy and release of the component; the model follows it.

Source: `src/components/DeepgramVoiceInteraction/index.tsx` at each tag (`handleAgentMessage`, `handleAgentAudio` and the three
effects that report a changed state), and `src/utils/websocket/WebSocketManager.ts` for frames that are no JSON. Every row was
observed on the running components, as a case of `data/conformance/component-*.json`.

A callback that reports a state is called only if the state changes, after the other callbacks of the message: React commits
the changes of one message together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, NamedTuple, TypeAlias

from voicerace.model.catalog.components import COMPONENTS

__all__ = [
    "CALLBACKS", "QUIET_CODES", "QUIET_TEXT", "ROWS", "Agent", "CallbackRow", "CallbackStep", "Sound", "Tell", "TextEnd",
    "UserCallbacks", "noticed_types", "rows_of",
]  # fmt: skip

AgentState: TypeAlias = Literal["idle", "listening", "thinking", "speaking"]


@dataclass(frozen=True)
class Tell:
    """The component calls the app's callback with these values of the message."""

    callback: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Agent:
    """The agent's state becomes `state` (onAgentStateChange).

    Attributes:
        only_from: the states from which it changes; empty for all.
        unless_playing: it does not change while the device plays the agent's audio.
        playback_ends: the component also reports the end of playback, even if the device still plays.
    """

    state: AgentState
    only_from: tuple[AgentState, ...] = ()
    unless_playing: bool = False
    playback_ends: bool = False


@dataclass(frozen=True)
class UserCallbacks:
    """The user begins or stops speaking.

    With `by_voice`, the begin changes the agent from idle to listening, the end from listening to thinking. After its first
    turn the component never reports listening again.
    """

    speaks: bool
    by_voice: bool = False


@dataclass(frozen=True)
class Sound:
    """The device begins to play the agent's audio, or stops at its end or because it is cleared."""

    plays: bool


@dataclass(frozen=True)
class TextEnd:
    """Start or cancel a timer of 200 ms for `(text done)`, because text without audio has no end message."""

    expected: bool


CallbackStep: TypeAlias = Tell | Agent | UserCallbacks | Sound | TextEnd


class CallbackRow(NamedTuple):
    """The effect of a message.

    Attributes:
        message: type of the message, in some rows with a part of its content; other occurrences are in brackets.
        steps: the effects in order; without any, the app does not notice the message.
        since, until: the first and last tag for which the row holds.
        note: further facts.
    """

    message: str
    steps: tuple[CallbackStep, ...]
    since: str = "0.9.0"
    until: str = "0.11.1"
    note: str = ""


#: The component does not report errors with these codes or this text to the app.
QUIET_CODES: Final = ("SETTINGS_ALREADY_APPLIED", "idle_timeout", "session_max_duration")
QUIET_TEXT: Final = "The server had an error while processing your request"

#: The callbacks of the app, with the names of their values.
CALLBACKS: Final[dict[str, tuple[str, ...]]] = {
    "onSettingsApplied": (),
    "onAgentUtterance": ("text",),
    "onUserMessage": ("text",),
    "onFunctionCallRequest": ("id", "name", "arguments", "client_side"),
    "onAgentStateChange": ("state",),
    "onPlaybackStateChange": ("playing",),
    "onAgentAudioChunk": ("bytes",),
    "onTranscriptUpdate": ("transcript", "is_final", "speech_final"),
    "onUserStartedSpeaking": (),
    "onUserStoppedSpeaking": (),
    "onUtteranceEnd": ("channel", "lastWordEnd"),
    "onError": ("service", "code", "message"),
    "onConnectionStateChange": ("service", "state"),
}

_DONE = (Agent("idle", playback_ends=True), UserCallbacks(False))
_DONE_IF_SILENT = (Agent("idle", unless_playing=True, playback_ends=True), UserCallbacks(False))
_UTTERANCE = Tell("onAgentUtterance", ("text",))
_READY = (Tell("onSettingsApplied"),)

ROWS: Final[tuple[CallbackRow, ...]] = (
    CallbackRow("SettingsApplied", _READY, note="each one of them"),
    CallbackRow("session.created", _READY, note="no proxy sends it"),
    CallbackRow("ConversationText assistant", (_UTTERANCE,), until="0.9.8"),
    CallbackRow(
        "ConversationText assistant",
        (Agent("thinking", only_from=("idle", "listening")), TextEnd(True), _UTTERANCE),
        since="0.10.0",
        note="the 200 ms begin anew with each text",
    ),
    CallbackRow("(text done)", (Agent("idle", only_from=("idle", "listening", "thinking"), playback_ends=True), UserCallbacks(False)), since="0.10.0",
        note="nothing while the agent is speaking"),
    CallbackRow("ConversationText user", (Tell("onUserMessage", ("text",)),)),
    CallbackRow(
        "FunctionCallRequest",
        (Tell("onFunctionCallRequest", ("id", "name", "arguments", "client_side")), Agent("thinking")),
        note="once per call with client_side; the others are not shown",
    ),
    CallbackRow("AgentThinking", (Agent("thinking"),)),
    CallbackRow("AgentStartedSpeaking", (Agent("speaking"),), until="0.9.8", note="onAgentSpeaking is never called"),
    CallbackRow("AgentStartedSpeaking", (TextEnd(False), Agent("speaking")), since="0.10.0", note="onAgentSpeaking is never called"),
    CallbackRow("AgentDone", (), until="0.9.8"),
    CallbackRow("AgentDone", _DONE, since="0.10.0", until="0.10.3"),
    CallbackRow("AgentDone", _DONE_IF_SILENT, since="0.10.4"),
    CallbackRow("AgentAudioDone", (UserCallbacks(False),), until="0.9.8"),
    CallbackRow("AgentAudioDone", _DONE, since="0.10.0", until="0.10.3"),
    CallbackRow("AgentAudioDone", _DONE_IF_SILENT, since="0.10.4"),
    CallbackRow("(binary)", (Tell("onAgentAudioChunk", ("bytes",)), Sound(True)), note='"speaking" comes twice when no AgentStartedSpeaking said so'),
    CallbackRow("(played)", (Sound(False),), note="the device has played what there was; no message"),
    CallbackRow("UserStartedSpeaking", (Sound(False), Tell("onUserStartedSpeaking"), UserCallbacks(True, by_voice=True))),
    CallbackRow("UtteranceEnd", (Tell("onUtteranceEnd", ("channel", "lastWordEnd")), UserCallbacks(False, by_voice=True))),
    CallbackRow("Transcript", (Tell("onTranscriptUpdate", ("transcript", "is_final", "speech_final")),),
        note="from 0.11.0, with a conversationStorage, a finished one is an onUserMessage too"),
    CallbackRow("Error", (Tell("onError", ("service", "code", "message")),), note="the connection stays; nothing is sent again"),
    CallbackRow("Error of an expected end", (), note=f"codes {', '.join(QUIET_CODES)}, or the text {QUIET_TEXT!r}"),
    CallbackRow("Warning", ()),
    CallbackRow("response.created", (), note="and every other event of the Realtime API that a proxy passes on"),
    CallbackRow("response.done", ()),
    CallbackRow("conversation.item.added", ()),
    CallbackRow("conversation.item.done", ()),
    CallbackRow("error", (), note="the upstream's own, in lower case"),
    CallbackRow("(unknown type)", ()),
    CallbackRow("(no JSON)", (Tell("onError", ("service", "code", "message")),), note="code parse_error"),
    CallbackRow("(close)", (Tell("onConnectionStateChange", ("service", "state")),), note="without its code; nothing connects again by itself"),
)  # fmt: skip


@cache
def rows_of(tag: str) -> Mapping[str, CallbackRow]:
    """The rows of a tag, by message (read-only).

    Raises:
        ValueError: two rows have the same message.
    """
    number = COMPONENTS[tag].number
    rows: dict[str, CallbackRow] = {}
    for row in ROWS:
        if COMPONENTS[row.since].number <= number <= COMPONENTS[row.until].number:
            if row.message in rows:
                raise ValueError(f"{tag}: two rows for {row.message}")
            rows[row.message] = row
    return rows


@cache
def noticed_types(tag: str) -> frozenset[str]:
    """The types of the messages that have an effect."""
    return frozenset(name.partition(" ")[0] for name, row in rows_of(tag).items() if row.steps)
