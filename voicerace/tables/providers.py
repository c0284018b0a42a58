"""Who serves the Realtime API, as a table: what recordings of each show to differ (`data/api`, `conformance --api`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["DEFAULT_PROVIDER", "PROVIDERS", "SESSION", "Provider"]


@dataclass(frozen=True)
class Provider:
    """One provider.

    Attributes:
        name: what the command line calls it.
        rate_limits: `rate_limits.updated` follows `response.done`.
        content_copied: content_part events carry their `part` a second time, as `content`.
        evidence: the recordings that show it.
    """

    name: str
    rate_limits: bool
    content_copied: bool
    evidence: str


DEFAULT_PROVIDER: Final = "openai"

PROVIDERS: Final[dict[str, Provider]] = {
    each.name: each
    for each in (
        Provider("openai", True, False, "18 sessions; rate_limits.updated is missing once, behind a function call"),
        Provider("azure", False, True, "9 sessions of Azure OpenAI in GA names; rate_limits.updated in none"),
        Provider("gateway-openai", True, False, "5 sessions through a gateway to OpenAI: no difference from openai"),
    )
}

#: A session before its first session.update: the same keys and values on OpenAI and Azure, but for the model, its
#: `silence_duration_ms` (500 on gpt-realtime-2.1 and 2.1-mini), and what the mock makes up: `instructions`, `voice`, `expires_at`.
SESSION: Final[Mapping[str, Any]] = {
    "type": "realtime",
    "object": "realtime.session",
    "id": "sess_0001",
    "model": "gpt-realtime",
    "output_modalities": ["audio"],
    "instructions": "",
    "tools": [],
    "tool_choice": "auto",
    "max_output_tokens": "inf",
    "tracing": None,
    "truncation": "auto",
    "prompt": None,
    "expires_at": 1785460927,
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "transcription": None,
            "noise_reduction": None,
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 200,
                "idle_timeout_ms": None,
                "create_response": True,
                "interrupt_response": True,
            },
        },
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy", "speed": 1.0},
    },
    "include": None,
}
