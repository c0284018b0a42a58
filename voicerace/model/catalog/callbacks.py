"""The table of the app's callbacks, by message from the proxy and release of the component. The component's model uses it.

Source: `src/components/DeepgramVoiceInteraction/index.tsx` at each tag (`handleAgentMessage`, `handleAgentAudio` and the three
effects that report a changed state), and `src/utils/websocket/WebSocketManager.ts` for frames that are not JSON. Every row
was observed in the running components, as a case of `data/conformance/component-*.json`.

The component calls a callback that reports a state only if the state has changed, and after the other callbacks of the
message, because React commits the changes of one message together.
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
    """The component calls the app's callback with the named values of the message."""

    callback: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Agent:
    """The agent's state becomes `state` (onAgentStateChange).

    Attributes:
        only_from: states from which the agent's state changes. If empty, it changes from every state.
        unless_playing: whether the agent's state stays "speaking" while the device plays the agent's audio.
        playback_ends: whether the component also reports the end of playback, even if the device still plays.
    """

    state: AgentState
    only_from: tuple[AgentState, ...] = ()
    unless_playing: bool = False
    playback_ends: bool = False


@dataclass(frozen=True)
class UserCallbacks:
    """The user starts or stops speaking.

    With `by_voice`, the start of speech changes the agent's state from idle to listening, and its end changes the state from
    listening to thinking. After the first turn the component never reports listening again.
    """

    speaks: bool
    by_voice: bool = False


@dataclass(frozen=True)
class Sound:
    """The device starts or stops playing the agent's audio. It stops when the audio ends or is cleared."""

    plays: bool


@dataclass(frozen=True)
class TextEnd:
    """Start (`expected`) or cancel the 200 ms timer for `(text done)`. No message announces the end of text without audio."""

    expected: bool


CallbackStep: TypeAlias = Tell | Agent | UserCallbacks | Sound | TextEnd


class CallbackRow(NamedTuple):
    """The effect of a message on the app.

    Attributes:
        message: type of the message, in some rows with a part of its content. Occurrences without a type are in parentheses.
        steps: effects in order. If empty, the message has no effect on the app.
        since: first tag to which the row applies.
        until: last tag to which the row applies.
        note: further facts.
    """

    message: str
    steps: tuple[CallbackStep, ...]
    since: str = "0.9.0"
    until: str = "0.11.1"
    note: str = ""


#: Codes of errors that the component does not report to the app. It does not report errors that contain `QUIET_TEXT` either.
QUIET_CODES: Final = ("SETTINGS_ALREADY_APPLIED", "idle_timeout", "session_max_duration")
QUIET_TEXT: Final = "The server had an error while processing your request"

#: Names of the values of each callback, by callback.
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
    """Return the rows that apply to a tag, by message. The mapping is cached: do not change it.

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
    """Return the types of the messages that have an effect on the app at a tag."""
    return frozenset(name.partition(" ")[0] for name, row in rows_of(tag).items() if row.steps)
