"""The app: the customer's handler `onFunctionCallRequest(call, sendResponse)`, its tool, and the user's text field.

What the app does for a call is a handler style (`tables.handlers`) and a tool result; how long the tool takes is
`tool_ms`, one value per call in the order the requests come. The component decides what becomes of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from voicerace.parties.party import Cancel, Effect, Effects, Send, SetTimer
from voicerace.recording import Payload
from voicerace.tables.handlers import Handler

__all__ = ["App", "AppState", "ToolEnd"]

#: How a tool ends: with a result, with an error the app reports, by a rejected promise, or never.
ToolEnd: TypeAlias = Literal["result", "error", "reject", "none"]


#: A frame of the microphone: 100 ms at 16 kHz, 16 bits, mono; a loud tone, and nothing.
_SPEECH: Final = (b"\x40\x1f" * 8 + b"\xc0\xe0" * 8) * 100
_SILENCE: Final = bytes(len(_SPEECH))
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


@dataclass
class AppState:
    """The calls asked for, in order: id -> (name, arguments); and what the microphone hears, or that it is off."""

    calls: dict[str, tuple[str, str]] = field(default_factory=dict)
    microphone: Literal["off", "speech", "silence"] = "off"


class App:
    """The customer's code around one handler.

    Args:
        handler: how it answers.
        tool_end: how its tool ends.
        repeats: how often each result is sent again through the ref, `repeat_ms` after the one before.
    """

    def __init__(self, handler: Handler, tool_end: ToolEnd = "result", repeats: int = 0) -> None:
        self.handler = handler
        self.tool_end = tool_end
        self.repeats = repeats
        self.state = AppState()

    def start(self) -> Effects:
        return ()

    def message(self, sender: str, payload: Payload) -> Effects:
        if not isinstance(payload, dict):
            return ()
        match payload["type"]:
            case "say":
                return (Send("component", {"type": "injectUserMessage", "content": payload["text"]}),)
            case "speak":
                began = self.state.microphone != "off"
                self.state.microphone = "speech"
                speech = (SetTimer("microphone:silence", "speech_ms"), Cancel("microphone:off"))
                return speech if began else (Send("component", _SPEECH), SetTimer("frame", "frame_ms"), *speech)
            case "leave":
                return (Send("component", {"type": "stop"}),)
            case "lose":
                self.state.microphone = "off"
                return (Send("component", {"type": "offline"}),)
            case "onFunctionCallRequest":
                return self._called(payload)
        return ()

    def closed(self, sender: str, code: int | None) -> Effects:
        return ()

    def timer(self, name: str) -> Effects:
        if name == "frame":
            return self._frame()
        if name.startswith("microphone"):
            self.state.microphone = "silence" if name == "microphone:silence" else "off"
            return (SetTimer("microphone:off", "mic_tail_ms"),) if name == "microphone:silence" else ()
        kind, call_id, count = name.split(":")
        if kind == "tool":
            return (*self._answer(call_id), *self._repeat(call_id, 1))
        return (self._by_ref(call_id), *self._repeat(call_id, int(count) + 1))

    def _frame(self) -> Effects:
        """One more frame, as long as the microphone is on."""
        if self.state.microphone == "off":
            return ()
        return (Send("component", _SPEECH if self.state.microphone == "speech" else _SILENCE), SetTimer("frame", "frame_ms"))

    def _called(self, call: dict[str, Any]) -> Effects:
        """The handler runs until it gives back a promise or nothing."""
        call_id = call["id"]
        index = len(self.state.calls)
        self.state.calls[call_id] = (call["name"], call["arguments"])
        returned = Send("component", {"type": "returned", "id": call_id, "value": self.handler.returns})
        if self.handler.at_once and self.tool_end != "none":
            return (self._by_ref(call_id), returned, *self._repeat(call_id, 1))
        if self.tool_end == "none":
            return (returned,)
        return (returned, SetTimer(f"tool:{call_id}:0", "tool_ms", index))

    def _answer(self, call_id: str) -> list[Effect]:
        """The tool has ended: the result leaves the app the way the handler sends it."""
        body = self._body()
        if self.handler.returns == "promise" and self.tool_end == "reject":
            return [Send("component", {"type": "rejected", "id": call_id, "message": body["error"]})]
        if self.handler.answers_by == "value":
            return [Send("component", {"type": "resolved", "id": call_id, "value": {"id": call_id, **body}})]
        answer: list[Effect] = [
            self._by_ref(call_id)
            if self.handler.answers_by == "ref"
            else Send("component", {"type": "sendResponse", "id": call_id, "response": {"id": call_id, **body}})
        ]
        if self.handler.returns == "promise":
            answer.append(Send("component", {"type": "resolved", "id": call_id, "value": None}))
        return answer

    def _by_ref(self, call_id: str) -> Send:
        """`ref.sendFunctionCallResponse(id, name, content)`."""
        body = self._body()
        content = _ENCODER.encode(body if "error" in body else body["result"])
        name = self.state.calls[call_id][0]
        return Send("component", {"type": "sendFunctionCallResponse", "id": call_id, "name": name, "content": content})

    def _body(self) -> dict[str, Any]:
        if self.tool_end == "result":
            return {"result": {"temperature_c": 21}}
        return {"error": "the weather service is down"}

    def _repeat(self, call_id: str, count: int) -> list[Effect]:
        """The scenario's second submission, `count` from 1."""
        if count > self.repeats:
            return []
        return [SetTimer(f"repeat:{call_id}:{count}", "repeat_ms", count - 1)]
