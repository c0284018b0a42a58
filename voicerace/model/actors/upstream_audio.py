"""The mock upstream's input audio buffer, without server VAD: how much is in it, and what each of its events does.

What it cannot show: when a user begins and ends to speak. Nobody listens to the audio; it is only counted.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from voicerace.model.protocol import input_audio

__all__ = ["Refused", "buffered"]


class Refused(NamedTuple):
    """The error that an event gets: its code, and its text."""

    code: str
    text: str


#: What the client is told: nothing, that the buffer became an item, that it was cleared, or an error.
Answer: TypeAlias = Literal["none", "committed", "cleared"] | Refused


def buffered(size: int, event: Mapping[str, Any]) -> tuple[int, Answer]:
    """An ``input_audio_buffer.…`` event meets a buffer with `size` bytes in it; gives its size afterwards, and the answer."""
    match event.get("type"):
        case input_audio.APPEND:
            try:
                return size + len(base64.b64decode(str(event.get("audio")), validate=True)), "none"
            except (binascii.Error, ValueError):
                return size, Refused("invalid_value", "Invalid 'audio': expected base64-encoded audio bytes.")
        case input_audio.COMMIT if size == 0:
            return 0, Refused(input_audio.COMMIT_EMPTY, "Error committing input audio buffer: the buffer is empty.")
        case input_audio.COMMIT:
            return 0, "committed"
        case input_audio.CLEAR:
            return 0, "cleared"
        case kind:
            return size, Refused("invalid_value", f"Invalid value: '{kind}'.")
