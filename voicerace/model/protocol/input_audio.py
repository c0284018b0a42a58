"""Builds the events of the input audio buffer (the user's audio on the upstream link), with GA names.

Shapes follow `openai.types.realtime` (openai 3.54). The API does not answer an append. A commit converts the buffer to a user
item. If the buffer is empty, the API answers the commit with an error whose code is `COMMIT_EMPTY`
(docs/protocol-facts.md#input-audio).
"""

from __future__ import annotations

import base64
from array import array
from collections.abc import Mapping
from typing import Any, Final

from voicerace.model.protocol.realtime import Message

__all__ = [
    "APPEND", "CLEAR", "CLEARED", "COMMIT", "COMMITTED", "COMMIT_EMPTY", "SPEECH_STARTED", "SPEECH_STOPPED",
    "TIMEOUT_TRIGGERED", "TRANSCRIBED", "append", "audio_item", "cleared", "committed", "is_loud", "speech_started",
    "speech_stopped", "timeout_triggered", "transcribed", "turn_detection_of",
]  # fmt: skip

# Client events.
APPEND: Final = "input_audio_buffer.append"
COMMIT: Final = "input_audio_buffer.commit"
CLEAR: Final = "input_audio_buffer.clear"

# Server events.
COMMITTED: Final = "input_audio_buffer.committed"
CLEARED: Final = "input_audio_buffer.cleared"
SPEECH_STARTED: Final = "input_audio_buffer.speech_started"
SPEECH_STOPPED: Final = "input_audio_buffer.speech_stopped"
TIMEOUT_TRIGGERED: Final = "input_audio_buffer.timeout_triggered"
TRANSCRIBED: Final = "conversation.item.input_audio_transcription.completed"

#: Code of the error that answers a commit if the buffer is empty.
COMMIT_EMPTY: Final = "input_audio_buffer_commit_empty"


def append(pcm: bytes) -> Message:
    """Return the event that appends audio (24 kHz, 16 bits, mono) to the buffer."""
    return {"type": APPEND, "audio": base64.b64encode(pcm).decode("ascii")}


def committed(event_id: str, previous_item_id: str | None, item_id: str) -> Message:
    """Return the event that reports a commit: the buffer has become the user item `item_id`."""
    return {"type": COMMITTED, "event_id": event_id, "previous_item_id": previous_item_id, "item_id": item_id}


def cleared(event_id: str) -> Message:
    return {"type": CLEARED, "event_id": event_id}


def audio_item() -> Message:
    """Return the user item of a commit, without a transcript. An item never contains its audio."""
    return {"type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": None}]}


def speech_started(event_id: str, item_id: str, audio_start_ms: int) -> Message:
    """Return the event with which server VAD reports speech that will become the user item `item_id`."""
    return {"type": SPEECH_STARTED, "event_id": event_id, "audio_start_ms": audio_start_ms, "item_id": item_id}


def speech_stopped(event_id: str, item_id: str, audio_end_ms: int) -> Message:
    return {"type": SPEECH_STOPPED, "event_id": event_id, "audio_end_ms": audio_end_ms, "item_id": item_id}


def timeout_triggered(event_id: str, item_id: str, audio_start_ms: int, audio_end_ms: int) -> Message:
    """Return the event that reports the idle timeout.

    The server sends the event `idle_timeout_ms` after a response. Then it commits an empty user item and starts a response.
    """
    times = {"audio_start_ms": audio_start_ms, "audio_end_ms": audio_end_ms}
    return {"type": TIMEOUT_TRIGGERED, "event_id": event_id, **times, "item_id": item_id}


def transcribed(event_id: str, item_id: str, transcript: str) -> Message:
    usage = {"type": "duration", "seconds": 1.0}
    known = {"type": TRANSCRIBED, "event_id": event_id, "item_id": item_id, "content_index": 0}
    return {**known, "transcript": transcript, "usage": usage}


def turn_detection_of(session: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the server VAD settings in a session object, or None if server VAD is off."""
    found: Any = session
    for name in ("audio", "input", "turn_detection"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) and found.get("type") in ("server_vad", "semantic_vad") else None


#: Minimum amplitude of loud 16-bit audio (maximum 32,768). It is far above the noise of a quiet room and far below a voice.
_LOUD: Final = 1_000


def is_loud(pcm: bytes) -> bool:
    """Return whether 16-bit little-endian audio is louder than a quiet room."""
    samples = array("h", pcm[: len(pcm) // 2 * 2])
    return len(samples) > 0 and max(max(samples), -min(samples)) >= _LOUD
