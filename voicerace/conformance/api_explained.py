"""Known differences between the mock and recordings of the real API, each with its reason."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final, NamedTuple, Protocol

__all__ = ["EXPLAINED", "Explained"]


class _Difference(Protocol):
    """The fields of `voicerace.conformance.api.ApiDifference` that a row reads."""

    @property
    def kind(self) -> str: ...
    @property
    def connection(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def event(self) -> str: ...
    @property
    def path(self) -> str: ...


class Explained(NamedTuple):
    """A known difference. All fields except `why` are shell patterns, in which a ``?`` matches the ``[`` of a path."""

    kind: str
    event: str
    path: str
    why: str
    connection: str = "*"
    model: str = "*"

    def fits(self, difference: _Difference) -> bool:
        """Return whether this row matches a difference."""
        pairs = (
            (difference.kind, self.kind),
            (difference.event, self.event),
            (difference.path, self.path),
            (difference.connection, self.connection),
            (difference.model, self.model),
        )
        return all(fnmatchcase(value, pattern) for value, pattern in pairs)


_NO_TOKENS: Final = "the mock counts no tokens: its usage is 0"
_MODEL: Final = "the mock is gpt-realtime"
_PIECES: Final = "the mock sends the transcript of the user's audio in one piece"
_TABLE: Final = "this session was copied as a table, in which the settings of server VAD stand beside the audio"
_TOKENS: Final = "this transcription model counts tokens; the mock's counts seconds"
_UNSEEN: Final = "this session was copied as a table, in which its settings of the transcription are not"
_WEBRTC: Final = "only a WebRTC call has audio of its own; the mock serves WebSockets"
_VOICE_LIVE: Final = "azure_voice_live__*"
_XAI: Final = "xai__*"
#: Only the order and names of events affect a race, and the mock takes both from each provider.
_SHAPE: Final = "the mock's objects are those of OpenAI's GA, with every provider"
_TYPES: Final = "a content part of this provider has the type of the beta"
_XAI_KEYS: Final = "xAI gives most of its events keys of its own"

EXPLAINED: Final[tuple[Explained, ...]] = (
    Explained("value", "response.done", "response.usage.*", _NO_TOKENS),
    Explained("value", "rate_limits.updated", "rate_limits*", "what is left of the account's limits; the mock has none"),
    Explained("value", "session.*", "session.expires_at", "an hour from the connection; the mock keeps no clock"),
    Explained("value", "session.*", "session.model", _MODEL, model="gpt-realtime-2*"),
    Explained("value", "session.*", "session.audio.input.turn_detection.silence_duration_ms", _MODEL, model="gpt-realtime-2*"),
    Explained("key missing", "*", "*.phase", _MODEL, model="gpt-realtime-2*"),
    Explained("key missing", "response.done", "*.reasoning_tokens", _MODEL, model="gpt-realtime-2*"),
    Explained("key missing", "session.created", "session.turn_detection*", _TABLE, connection="*@ad405285"),
    Explained("value", "input_audio_buffer.*", "audio_*_ms", "the audio is not recorded; what is played instead is shorter"),
    Explained("value", "*.input_audio_transcription.completed", "usage.seconds", "the audio is not recorded"),
    Explained("*", "*.input_audio_transcription.completed", "usage*", _TOKENS, connection="*@d2c0119b"),
    Explained("missing", "*.input_audio_transcription.completed", "", _UNSEEN, connection="*@ad405285"),
    Explained("missing", "*.input_audio_transcription.delta", "", _PIECES),
    Explained(
        "missing", "*.input_audio_transcription.failed", "", "the account had no deployment that transcribes", "*@6b8caf8b"
    ),
    Explained(
        "extra", "session.created", "", "a sideband joins a session that began before; the mock begins one", "*_sideband.*"
    ),
    Explained("missing", "output_audio_buffer.*", "", _WEBRTC, connection="*_sideband.*"),
    Explained("extra", "response.output_audio.delta", "", _WEBRTC, connection="*_sideband.*"),
    Explained(
        "extra",
        "rate_limits.updated",
        "",
        "absent this once; the mock always sends it for openai",
        "openai__openai_ws.tool_call_round",
    ),
    # Other providers.
    *(
        Explained("key *", event, path, _SHAPE, connection)
        for connection in (_VOICE_LIVE, _XAI)
        for event, path in (
            ("session.*", "session.*"),
            ("response.created", "response.*"),
            ("response.done", "response.*"),
            ("*", "item.object"),
            ("*.delta", "obfuscation"),
        )
    ),
    *(Explained("value", "session.*", "session.model", _MODEL, each) for each in (_VOICE_LIVE, _XAI)),
    *(Explained("value", "response.done", "response.output??.content??.type", _TYPES, each) for each in (_VOICE_LIVE, _XAI)),
    Explained("value", "*(message assistant)", "item.content??.type", _TYPES, _VOICE_LIVE),
    Explained("value", "response.content_part.done", "part.text", "Voice Live leaves it empty", _VOICE_LIVE),
    Explained(
        "missing",
        "conversation.item.done(message user)",
        "",
        "Voice Live sends it for what server VAD heard only, next to conversation.item.created",
        _VOICE_LIVE,
    ),
    Explained("missing", "*.input_audio_transcription.completed", "", _PIECES, _VOICE_LIVE),
    Explained("key missing", "response.done", "usage*", _XAI_KEYS, _XAI),
    Explained("key missing", "*", "*previous_item_id", _XAI_KEYS, _XAI),
    Explained("key missing", "*", "item.role", "xAI gives a call and its output a role", _XAI),
    Explained("key missing", "*(function_call_output)", "item.status", _XAI_KEYS, _XAI),
    Explained("key missing", "response.done", "response_id", _XAI_KEYS, _XAI),
    Explained("key missing", "response.output_audio*.delta", "*", _XAI_KEYS, _XAI),
    Explained("key extra", "response.content_part.done", "part*", "xAI sends no part with it", _XAI),
    Explained("key extra", "response.function_call_arguments.delta", "output_index", _XAI_KEYS, _XAI),
    Explained("key extra", "response.output_item.*(message assistant)", "item.content*", "xAI's items have no content", _XAI),
    Explained("value", "conversation.item.added(function_call*)", "previous_item_id", "xAI names no item before these", _XAI),
    Explained("value", "response.*", "*output_index", "xAI counts a call behind a message from 0 again", _XAI),
    Explained("value", "response.done", "response.output??.role", "xAI gives a call the role of the user", _XAI),
    *(
        Explained("missing", each, "", "only xAI sends it, after session.update", _XAI)
        for each in ("conversation.created", "ping")
    ),
    Explained("missing", "*.input_audio_transcription.*ed", "", "xAI transcribes what the user says more than once", _XAI),
    *(
        Explained(
            kind,
            "conversation.item.added(message user)",
            "",
            "xAI adds the user's item when speech begins, the mock when it is committed",
            "xai__xai_ws.audio_in_server_vad_turn@*",
        )
        for kind in ("missing", "extra")
    ),
)
