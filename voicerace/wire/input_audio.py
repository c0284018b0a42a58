"""The user's audio on the upstream link: the events of the input audio buffer, GA names. Builders only, no state.

Shapes follow `openai.types.realtime` (openai 3.54), as in `wire.realtime`. Who appends gets no answer; a commit makes a
user item of what is in the buffer; a commit of nothing is an error with the code `COMMIT_EMPTY` (REALTIME, doc).
"""

from __future__ import annotations

import base64
from typing import Final

from voicerace.wire.realtime import Message

__all__ = ["APPEND", "CLEAR", "CLEARED", "COMMIT", "COMMITTED", "COMMIT_EMPTY", "append", "audio_item", "cleared", "committed"]

# Client events.
APPEND: Final = "input_audio_buffer.append"
COMMIT: Final = "input_audio_buffer.commit"
CLEAR: Final = "input_audio_buffer.clear"

# Server events.
COMMITTED: Final = "input_audio_buffer.committed"
CLEARED: Final = "input_audio_buffer.cleared"

#: The code of the error that answers the commit of an empty buffer.
COMMIT_EMPTY: Final = "input_audio_buffer_commit_empty"


def append(pcm: bytes) -> Message:
    """Audio as a client sends it: 24 kHz, 16 bits, mono."""
    return {"type": APPEND, "audio": base64.b64encode(pcm).decode("ascii")}


def committed(event_id: str, previous_item_id: str | None, item_id: str) -> Message:
    """`input_audio_buffer.committed`: the buffer becomes the user item `item_id`."""
    return {"type": COMMITTED, "event_id": event_id, "previous_item_id": previous_item_id, "item_id": item_id}


def cleared(event_id: str) -> Message:
    return {"type": CLEARED, "event_id": event_id}


def audio_item() -> Message:
    """The user item of a commit; nobody transcribes it here, and an item never carries its audio."""
    return {"type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": None}]}
