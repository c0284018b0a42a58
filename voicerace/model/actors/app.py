"""The app: the customer's handler `onFunctionCallRequest(call, sendResponse)`, its tool, microphone and text field.

The handler style (`model.catalog.handlers`) determines how the app answers a call. The tool takes `tool_ms`, which has one
value per call in the order of the calls. The component decides whether it sends the result to the proxy.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from voicerace.model.actors.actor import Cancel, Effect, Effects, Send, SetTimer
from voicerace.model.actors.stateful import StatefulActor
from voicerace.model.catalog.handlers import Handler
from voicerace.model.catalog.workarounds import Workaround
from voicerace.model.protocol import realtime
from voicerace.trace.recording import Payload

__all__ = ["DATA", "GO_ON", "App", "AppState", "ToolEnd"]

#: How a tool ends: with a result, with an error that the app reports, with a rejected promise, or never.
ToolEnd: TypeAlias = Literal["result", "error", "reject", "none"]

#: User text that a workaround sends to request a missing reply again.
GO_ON: Final = "Please go on."
#: Prefix of the user text in which a workaround sends the tool's result.
DATA: Final = "Result of"
#: Result that a workaround sends before the tool ends.
PLACEHOLDER: Final = {"result": {"status": "still running; say that you are looking it up"}}

#: Microphone frame with a loud tone: 100 ms of 16-bit mono samples at 16 kHz.
_SPEECH: Final = (b"\x40\x1f" * 8 + b"\xc0\xe0" * 8) * 100
#: Microphone frame of the same size with silence.
_SILENCE: Final = bytes(len(_SPEECH))
#: Id of a call of an earlier connection. No call of this session has it.
_STRAY: Final = "call_9999"
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


@dataclass
class AppState:
    """Attributes:
    calls: (name, arguments) of each function call, by call id, in the order received.
    microphone: whether the microphone is off, or records speech or silence.
    held: whether the tool has ended, by call id, for each call whose result the app delays.
    listens_for_words: whether the app sends `GO_ON` unless the agent speaks before the timer ``silence::0`` expires.
    """

    calls: dict[str, tuple[str, str]] = field(default_factory=dict)
    microphone: Literal["off", "speech", "silence"] = "off"
    held: dict[str, bool] = field(default_factory=dict)
    listens_for_words: bool = False


class App(StatefulActor[AppState]):
    """The customer's code with one handler.

    Args:
        handler: handler style.
        tool_end: how each tool ends.
        repeats: number of repetitions of each result through the ref, one every `repeat_ms`.
        workaround: workaround for the race, or None.
    """

    def __init__(
        self, handler: Handler, tool_end: ToolEnd = "result", repeats: int = 0, workaround: Workaround | None = None
    ) -> None:
        super().__init__(AppState())
        self.handler = handler
        self.tool_end = tool_end
        self.repeats = repeats
        self.workaround = workaround

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
            case "stray":
                self.state.calls[_STRAY] = ("get_weather", "{}")
                return (SetTimer(f"stray:{_STRAY}:0", "tool_ms"),)
            case "leave":
                return (Send("component", {"type": "stop"}),)
            case "lose":
                self.state.microphone = "off"
                return (Send("component", {"type": "offline"}),)
            case "onFunctionCallRequest":
                return self._called(payload)
        return self._callback(payload) if self.workaround else ()

    def timer(self, name: str) -> Effects:
        if name == "frame":
            return self._frame()
        if name.startswith("microphone"):
            self.state.microphone = "silence" if name == "microphone:silence" else "off"
            return (SetTimer("microphone:off", "mic_tail_ms"),) if name == "microphone:silence" else ()
        kind, call_id, count = name.split(":")
        if kind == "tool":
            return self._tool_ended(call_id)
        if kind == "stray":
            return (self._by_ref(call_id),)
        if kind == "hold":
            return self._release([call_id])
        if kind == "silence":
            self.state.listens_for_words = False
            return (Send("component", {"type": "injectUserMessage", "content": GO_ON}),)
        return (self._by_ref(call_id), *self._repeat(call_id, int(count) + 1))

    def _frame(self) -> Effects:
        """Send the next audio frame if the microphone is on, and set the timer for the frame after it."""
        if self.state.microphone == "off":
            return ()
        return (Send("component", _SPEECH if self.state.microphone == "speech" else _SILENCE), SetTimer("frame", "frame_ms"))

    def _called(self, call: dict[str, Any]) -> Effects:
        """Run the handler for a call until it returns, and start its tool."""
        call_id = call["id"]
        index = len(self.state.calls)
        self.state.calls[call_id] = (call["name"], call["arguments"])
        returned = Send("component", {"type": "returned", "id": call_id, "value": self.handler.returns})
        if self.handler.at_once and self.tool_end != "none":
            return (self._by_ref(call_id), returned, *self._repeat(call_id, 1))
        if self.tool_end == "none":
            return (returned,)
        return (returned, SetTimer(f"tool:{call_id}:0", "tool_ms", index), *self._tool_started(call_id))

    # -- workarounds -------------------------------------------------------------------------------------------------

    def _tool_started(self, call_id: str) -> Effects:
        """Apply the workaround to a call whose tool has started."""
        if self.workaround is None:
            return ()
        if self.workaround.placeholder:
            return (*self._answer(call_id, PLACEHOLDER), *self._repeat(call_id, 1))
        if self.workaround.holds == "no":
            return ()
        self.state.held[call_id] = False
        return (SetTimer(f"hold:{call_id}:0", "hold_ms" if self.workaround.holds == "time" else "fallback_ms"),)

    def _tool_ended(self, call_id: str) -> Effects:
        if call_id in self.state.held:
            self.state.held[call_id] = True
            return ()
        if self.workaround is not None and self.workaround.placeholder:
            text = f"{DATA} {self.state.calls[call_id][0]}, tell me: {_ENCODER.encode(self._body())}"
            return (Send("component", {"type": "injectUserMessage", "content": text}),)
        return (*self._answer(call_id), *self._repeat(call_id, 1), *self._listen("fallback_ms"))

    def _release(self, calls: list[str]) -> Effects:
        """Stop delaying the results of `calls`, and send each result whose tool has ended."""
        ended = [call_id for call_id in calls if self.state.held.pop(call_id)]
        return [effect for call_id in ended for effect in self._tool_ended(call_id)]

    def _callback(self, payload: dict[str, Any]) -> Effects:
        """Handle a component callback that the workaround uses."""
        match payload:
            case {"type": "onAgentStateChange", "state": "idle"} if self.workaround and self.workaround.holds == "idle":
                calls = list(self.state.held)
                return (*(Cancel(f"hold:{call_id}:0") for call_id in calls), *self._release(calls))
            case {"type": "onError", "code": realtime.ACTIVE_RESPONSE}:
                return self._listen("hold_ms")
            case {"type": "onAgentUtterance"} if self.state.listens_for_words:
                self.state.listens_for_words = False
                return (Cancel("silence::0"),)
        return ()

    def _listen(self, after: str) -> Effects:
        """If the workaround requests a missing reply again, send `GO_ON` after `after` unless the agent speaks earlier."""
        if self.workaround is None or not self.workaround.asks_again:
            return ()
        self.state.listens_for_words = True
        return (SetTimer("silence::0", after),)

    # -- the result --------------------------------------------------------------------------------------------------

    def _answer(self, call_id: str, given: dict[str, Any] | None = None) -> list[Effect]:
        """Send the tool's result, or `given` if it is not None, in the handler's style."""
        body = given or self._body()
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
        """Call `ref.sendFunctionCallResponse(id, name, content)`."""
        body = self._body()
        content = _ENCODER.encode(body if "error" in body else body["result"])
        name = self.state.calls[call_id][0]
        return Send("component", {"type": "sendFunctionCallResponse", "id": call_id, "name": name, "content": content})

    def _body(self) -> dict[str, Any]:
        return {"result": {"temperature_c": 21}} if self.tool_end == "result" else {"error": "the weather service is down"}

    def _repeat(self, call_id: str, count: int) -> list[Effect]:
        """Schedule repetition `count` (from 1) of a result, if `count` is at most `repeats`."""
        return [SetTimer(f"repeat:{call_id}:{count}", "repeat_ms", count - 1)] if count <= self.repeats else []
