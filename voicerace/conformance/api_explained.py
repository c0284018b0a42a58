"""The differences between the mock and recordings of the real API that are known, each with its reason."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final, NamedTuple, Protocol

__all__ = ["EXPLAINED", "Explained"]


class _Difference(Protocol):
    """What a row reads of a `voicerace.conformance.api.Difference`."""

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
    """A known difference: its kind, event and path, and the recordings it is in, as shell patterns.

    A ``[`` in a path is written ``?``.
    """

    kind: str
    event: str
    path: str
    why: str
    connection: str = "*"
    model: str = "*"

    def fits(self, difference: _Difference) -> bool:
        """Whether this row is about a difference."""
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
)
