"""The providers of the Realtime API and their differences, as found in recordings (`data/api`, `conformance --api`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

__all__ = ["DEFAULT_PROVIDER", "PROVIDERS", "SESSION", "Provider"]


@dataclass(frozen=True)
class Provider:
    """One provider of the API.

    Attributes:
        name: name on the command line.
        rate_limits: whether `rate_limits.updated` follows `response.done`.
        content_copied: whether content_part events contain a copy of `part` as `content`.
        evidence: recordings of the provider.
        protocol: naming of the events: GA, beta, or xAI's own.
        names: the provider's event type, by GA event type. None if the provider does not send the event.
        modalities: key of the output modalities in a session and in a response.create.
        items_close: see `upstream_state.Knobs.items_close`.
        audio_around: whether a message's audio starts before its transcript and ends after its content part.
    """

    name: str
    rate_limits: bool
    content_copied: bool
    evidence: str
    protocol: Literal["GA", "beta", "xai"] = "GA"
    names: Mapping[str, str | None] = field(default_factory=dict)
    modalities: str = "output_modalities"
    items_close: Literal["together", "singly"] = "together"
    audio_around: bool = False


DEFAULT_PROVIDER: Final = "openai"

#: Event types of the beta API, by GA event type. The beta API confirms each item only with conversation.item.created.
_BETA: Final[Mapping[str, str | None]] = {
    "conversation.item.added": "conversation.item.created",
    "conversation.item.done": None,
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
}

PROVIDERS: Final[dict[str, Provider]] = {
    each.name: each
    for each in (
        Provider("openai", True, False, "18 sessions; rate_limits.updated is missing once, behind a function call"),
        Provider("azure", False, True, "9 sessions of Azure OpenAI in GA names; rate_limits.updated in none"),
        Provider("gateway-openai", True, False, "5 sessions through a gateway to OpenAI: no difference from openai"),
        Provider(
            "azure-voice-live", False, False,
            "9 sessions of Azure Voice Live with a realtime model; rate_limits.updated and conversation.item.done of a client's or the "
            "model's item in none",
            protocol="beta", names=_BETA, modalities="modalities",
        ),
        Provider(
            "xai", False, False,
            "16 sessions of xAI; rate_limits.updated and conversation.item.done in none; a message ends before the call after it begins",
            protocol="xai", names={"conversation.item.done": None}, items_close="singly", audio_around=True,
        ),
    )
}  # fmt: skip

#: Session object before the first session.update, with the keys and values of OpenAI and Azure. Some values can differ:
#: `model`, and `silence_duration_ms` (500 for gpt-realtime-2.1 and 2.1-mini). `instructions`, `voice` and `expires_at` are
#: invented.
SESSION: Final[Mapping[str, Any]] = {
    "type": "realtime", "object": "realtime.session", "id": "sess_0001", "model": "gpt-realtime",
    "output_modalities": ["audio"], "instructions": "", "tools": [], "tool_choice": "auto", "max_output_tokens": "inf",
    "tracing": None, "truncation": "auto", "prompt": None, "expires_at": 1785460927,
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000}, "transcription": None, "noise_reduction": None,
            "turn_detection": {
                "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 200,
                "idle_timeout_ms": None, "create_response": True, "interrupt_response": True,
            },
        },
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy", "speed": 1.0},
    },
    "include": None,
}  # fmt: skip
