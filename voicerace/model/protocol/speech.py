"""The user's speech in words and turns: the API's events of the transcription, and what the host gets to know of it.

Shapes follow `openai.types.realtime` (openai 3.54), and for the host what the proxies send: UserStartedSpeaking,
UtteranceEnd, Transcript (docs/release-facts.md#messages-to-the-host). Names and builders only, no state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from voicerace.model.protocol.agent import Message
from voicerace.model.protocol.input_audio import TRANSCRIBED

__all__ = [
    "FAILED",
    "PIECE",
    "SEGMENT",
    "TRANSCRIBED",
    "alternative",
    "piece",
    "transcript",
    "user_started_speaking",
    "utterance_end",
]

_EVENTS: Final = "conversation.item.input_audio_transcription"
PIECE: Final = f"{_EVENTS}.delta"
FAILED: Final = f"{_EVENTS}.failed"
SEGMENT: Final = f"{_EVENTS}.segment"


def piece(event_id: str, item_id: str, delta: str) -> Message:
    """`….delta`: some more of the user's words, before `TRANSCRIBED` has them all."""
    return {"type": PIECE, "event_id": event_id, "item_id": item_id, "content_index": 0, "delta": delta}


# -- to the host -----------------------------------------------------------------------------------------------------


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
    """What the user said so far, or in full. `alternatives` None: the text itself, with confidence 1."""
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
    """One reading of what the user said."""
    return {"transcript": text, "confidence": confidence, "words": list(words)}
