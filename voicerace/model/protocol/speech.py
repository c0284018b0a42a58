"""Builds the API's transcription events, and the messages to the host about the user's speech.

Shapes follow `openai.types.realtime` (openai 3.54) and the messages of the proxies
(docs/release-facts.md#messages-to-the-host).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from voicerace.model.protocol.agent import Message
from voicerace.model.protocol.input_audio import TRANSCRIBED

__all__ = [
    "FAILED", "PIECE", "SEGMENT", "TRANSCRIBED", "alternative", "piece", "transcript", "user_started_speaking", "utterance_end",
]  # fmt: skip

_EVENTS: Final = "conversation.item.input_audio_transcription"
PIECE: Final = f"{_EVENTS}.delta"
FAILED: Final = f"{_EVENTS}.failed"
SEGMENT: Final = f"{_EVENTS}.segment"


def piece(event_id: str, item_id: str, delta: str) -> Message:
    """Return an event with the next part of a transcript. `TRANSCRIBED` follows with the complete transcript."""
    return {"type": PIECE, "event_id": event_id, "item_id": item_id, "content_index": 0, "delta": delta}


def user_started_speaking() -> Message:
    return {"type": "UserStartedSpeaking"}


def utterance_end(channel: Sequence[float] = (0, 1), last_word_end: float = 0) -> Message:
    return {"type": "UtteranceEnd", "channel": list(channel), "last_word_end": last_word_end}


def transcript(
    text: str,
    *,
    final: bool,
    channel: float = 0,
    channel_index: Sequence[float] = (0,),
    start: float = 0,
    duration: float = 0,
    alternatives: Sequence[Message] | None = None,
) -> Message:
    """Return a Transcript message with the text so far or, if `final`, the complete text.

    If `alternatives` is None, the message has one alternative: the text, with confidence 1.
    """
    return {
        "type": "Transcript",
        "transcript": text,
        "is_final": final,
        "speech_final": final,
        "channel": channel,
        "channel_index": list(channel_index),
        "start": start,
        "duration": duration,
        "alternatives": [alternative(text)] if alternatives is None else list(alternatives),
    }


def alternative(text: str, confidence: float = 1, words: Sequence[Any] = ()) -> Message:
    """Return one transcription alternative for `transcript`. `confidence` is between 0 and 1."""
    return {"transcript": text, "confidence": confidence, "words": list(words)}
