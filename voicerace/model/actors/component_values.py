"""Computes the arguments of the component's callbacks and the text of its results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from voicerace.model.catalog.callbacks import QUIET_CODES, QUIET_TEXT

__all__ = ["content_of", "json_of", "named", "values"]


def named(kind: str, payload: Mapping[str, Any]) -> str:
    """Return a message's key in the tables of `model.catalog.callbacks`."""
    if kind == "ConversationText":
        return f"{kind} {payload.get('role')}"
    if kind == "Error" and (payload.get("code") in QUIET_CODES or QUIET_TEXT in str(payload.get("description", ""))):
        return "Error of an expected end"
    return kind


def values(kind: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the values that a message's callback can receive, by name."""
    match kind:
        case "ConversationText":
            text = payload.get("content")
            return {"text": text if isinstance(text, str) else ""}
        case "Error":
            code, text = payload.get("code"), payload.get("description")
            return {
                "service": "agent",
                "code": code if isinstance(code, str) else "agent_error",
                "message": text if isinstance(text, str) else "Unknown agent error",
            }
        case "Transcript":
            return {
                "transcript": _heard(payload),
                "is_final": payload.get("is_final", False),
                "speech_final": payload.get("speech_final", False),
            }
        case "UtteranceEnd":
            return {"channel": payload.get("channel", [0, 1]), "lastWordEnd": payload.get("last_word_end", 0)}
    return payload


def _heard(transcript: Mapping[str, Any]) -> str:
    """Return the text of a Transcript message from the first field that contains text, or an empty string."""
    channel = transcript.get("channel")
    for holder in (channel if isinstance(channel, Mapping) else {}, transcript):
        for first in (holder.get("alternatives") or ())[:1]:
            if text := first.get("transcript"):
                return str(text)
    return str(transcript.get("transcript") or "")


def content_of(response: Mapping[str, Any]) -> str:
    """Return a result's text: the JSON of the response's error, else of its `result`, else of the response itself."""
    if response.get("error"):
        return json_of({"error": response["error"]})
    return json_of(response.get("result", response))


_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def json_of(value: object) -> str:
    return _ENCODER.encode(value)
