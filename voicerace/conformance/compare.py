"""Compares messages by order, type, item type, call, role, text, audio and error code, but not by ids or wording.

A call is identified by the position of its id's first use, so that sides with different ids can be equal. Messages that the
proxy forwards unchanged are compared completely.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from voicerace.model.actors.actor import Close, Effects, Send
from voicerace.model.protocol import input_audio, realtime
from voicerace.trace.recording import Payload

__all__ = ["Difference", "Signatures", "differences"]

Signature: TypeAlias = tuple[Any, ...]

_AGENT_TYPES = frozenset(
    {
        "SettingsApplied", "ConversationText", "FunctionCallRequest", "Error", "AgentThinking", "AgentStartedSpeaking",
        "AgentDone", "AgentAudioDone",
    }
)  # fmt: skip
#: Types of the events about the user's speech. These events are compared completely.
_SPEECH_TYPES = frozenset({"UserStartedSpeaking", "UtteranceEnd", "Transcript"})


@dataclass(frozen=True)
class Difference:
    """A difference between model and proxy in the messages that they send on one link after one input.

    Attributes:
        step: number of the input, from 0.
        cause: sender and type of the input.
        link: the link on which the messages differ.
        expected: signatures of the model's messages.
        found: signatures of the proxy's messages.
    """

    step: int
    cause: str
    link: str
    expected: tuple[Signature, ...]
    found: tuple[Signature, ...]

    def __str__(self) -> str:
        return f"step {self.step} ({self.cause}), {self.link}: the model sends {self.expected}, the proxy sent {self.found}"


@dataclass
class Signatures:
    """Converts messages to signatures for the comparison. `calls` maps a call id to the number of the call."""

    calls: dict[str, int] = field(default_factory=dict)

    def of(self, effects: Effects) -> dict[str, tuple[Signature, ...]]:
        """Return receiver -> signatures of the sent messages and closes, in order. Timers have no signature."""
        sent: dict[str, list[Signature]] = {"upstream": [], "component": []}
        for effect in effects:
            if isinstance(effect, Send):
                sent[effect.to].append(self.message(effect.to, effect.payload))
            elif isinstance(effect, Close):
                sent[effect.to].append(("(close)", effect.code))
        return {actor: tuple(signatures) for actor, signatures in sent.items()}

    def message(self, to: str, payload: Payload) -> Signature:
        if isinstance(payload, bytes):
            return _binary(payload)
        if not isinstance(payload, Mapping):
            return ("(text)", payload)
        return self._to_upstream(payload) if to == "upstream" else self._to_host(payload)

    def _call(self, call_id: object) -> int:
        return self.calls.setdefault(str(call_id), len(self.calls))

    def _to_upstream(self, event: Mapping[str, Any]) -> Signature:
        kind = event.get("type")
        if kind == realtime.SESSION_UPDATE:
            session = {name: value for name, value in event.get("session", {}).items() if name != "instructions"}
            return (kind, _dump(session))
        if kind == realtime.ITEM_CREATE:
            item = realtime.item_of(event)
            call = self._call(item["call_id"]) if "call_id" in item else None
            return (kind, item.get("type"), item.get("role"), call, item.get("output"), _dump(item.get("content")))
        if kind == input_audio.APPEND:
            pcm = base64.b64decode(str(event.get("audio")))
            return (kind, len(pcm), zlib.crc32(pcm))
        return (kind, _dump(event.get("response")))

    def _to_host(self, message: Mapping[str, Any]) -> Signature:
        kind = message.get("type")
        if not isinstance(kind, str) or kind in _SPEECH_TYPES:
            return (_dump(kind), _dump(message))
        if kind not in _AGENT_TYPES:
            return (kind, "passed on", _dump(message))
        calls = tuple((self._call(call["id"]), call["name"], call["arguments"]) for call in message.get("functions", ()))
        # "code" stays unchanged in the signature, because null and "unknown" are different values
        code = message.get("code", "(none)") if kind == "Error" else None
        return (kind, message.get("role"), message.get("content"), code, calls)


def differences(
    step: int,
    cause: str,
    expected: Mapping[str, tuple[Signature, ...]],
    found: Mapping[str, tuple[Signature, ...]],
) -> list[Difference]:
    """Return the differences of one step, at most one per link."""
    return [
        Difference(step, cause, f"proxy>{actor}", expected[actor], found[actor])
        for actor in expected
        if expected[actor] != found[actor]
    ]


def _binary(payload: bytes) -> Signature:
    """Return the signature of a binary message: the content if it is JSON (a forwarded host message), else the size."""
    try:
        value = json.loads(payload)
    except ValueError:
        return ("(binary)", len(payload))
    return ("(JSON in a binary frame)", _dump(value))


def _dump(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
