"""Conversion between payloads and WebSocket frames, and the registered close codes."""

from __future__ import annotations

import json
from typing import Any, Final

from voicerace.trace.recording import Payload

__all__ = ["CLOSE_CODES", "frame_of", "is_registered", "payload_of"]

#: Registered close codes. Source: https://www.iana.org/assignments/websocket/websocket.xhtml
CLOSE_CODES: Final = frozenset({*range(1000, 1016), 3000, 3003, 3008})


def frame_of(payload: Payload) -> str | bytes:
    """Convert a payload to a WebSocket frame. An object becomes JSON text. Text and audio are unchanged."""
    return payload if isinstance(payload, (bytes, str)) else json.dumps(payload, separators=(",", ":"))


def payload_of(raw: str | bytes) -> Payload:
    """Convert a WebSocket frame to a payload. The text of a JSON object becomes the object. Other frames are unchanged."""
    if isinstance(raw, bytes):
        return raw
    try:
        value: Any = json.loads(raw)
    except (ValueError, RecursionError):
        return raw
    return value if isinstance(value, dict) else raw


def is_registered(code: object) -> bool:
    """Return whether a close code is one of `CLOSE_CODES`."""
    return type(code) is int and code in CLOSE_CODES
