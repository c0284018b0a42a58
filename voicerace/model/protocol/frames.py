"""WebSocket frames and payloads: how a message of ours goes on the wire, and how a frame is read. No state."""

from __future__ import annotations

import json
from typing import Any, Final

from voicerace.trace.recording import Payload

__all__ = ["CLOSE_CODES", "frame_of", "is_registered", "payload_of"]

#: https://www.iana.org/assignments/websocket/websocket.xhtml
CLOSE_CODES: Final = frozenset({*range(1000, 1016), 3000, 3003, 3008})


def frame_of(payload: Payload) -> str | bytes:
    """A payload as a frame: objects as JSON text, text and audio as they are."""
    return payload if isinstance(payload, (bytes, str)) else json.dumps(payload, separators=(",", ":"))


def payload_of(raw: str | bytes) -> Payload:
    """A frame as a payload: a text frame as its JSON object where it is one, anything else as it is."""
    if isinstance(raw, bytes):
        return raw
    try:
        value: Any = json.loads(raw)
    except (ValueError, RecursionError):
        return raw
    return value if isinstance(value, dict) else raw


def is_registered(code: object) -> bool:
    """Whether a close code is one of `CLOSE_CODES`."""
    return type(code) is int and code in CLOSE_CODES
