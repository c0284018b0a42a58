"""The component, voice-agent-react: it stands between app and proxy and answers for a handler that did not.

Its rule since #355: a call must always be answered. When the handler returns nothing without having called the
`sendResponse` it was given, or its promise resolves to nothing, the component at once sends its default error as the
result. `sendFunctionCallResponse` of its ref does not count as an answer. Source: see `tables.handlers`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from voicerace.parties.party import Close, Effects, Send
from voicerace.recording import Payload
from voicerace.tables import releases
from voicerace.wire import agent

__all__ = ["Component", "ComponentState"]

WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@dataclass
class ComponentState:
    """The calls handed to the app: id -> name; and the calls the component takes as answered."""

    calls: dict[str, str] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    closed: bool = False


class Component:
    """One voice-agent-react on an OpenAI proxy.

    Args:
        release: its row.
        greeting: `agentOptions.greeting`.
        context: earlier conversation, ``{"role", "content"}`` each.
    """

    def __init__(
        self, release: releases.Component, greeting: str | None = None, context: Sequence[Mapping[str, str]] = ()
    ) -> None:
        self.release = release
        self.greeting = greeting
        self.context = tuple(context)
        self.state = ComponentState()

    def start(self) -> Effects:
        """Settings goes out as soon as the connection is open."""
        settings = agent.settings(
            prompt="You are a helpful voice assistant.",
            model="gpt-realtime",
            functions=[WEATHER],
            greeting=self.greeting,
            context=self.context,
        )
        return (Send("proxy", settings),)

    def message(self, sender: str, payload: Payload) -> Effects:
        if self.state.closed:
            return ()
        if sender == "app":
            return self._from_app(payload) if isinstance(payload, dict) else ()
        return self._from_proxy(payload)

    def closed(self, sender: str, code: int | None) -> Effects:
        if self.state.closed:
            return ()
        self.state.closed = True
        return (Send("app", {"type": "onConnectionStateChange", "state": "closed", "code": code}),)

    def timer(self, name: str) -> Effects:
        return ()

    def _from_proxy(self, payload: Payload) -> Effects:
        """What the app gets to see of a message from the proxy."""
        if isinstance(payload, bytes):
            return (Send("app", {"type": "onAgentAudio", "bytes": len(payload)}),)
        if not isinstance(payload, Mapping):
            return ()
        match payload.get("type"):
            case "SettingsApplied":
                return (Send("app", {"type": "onSettingsApplied"}),)
            case "Error":
                return (Send("app", {"type": "onError", "code": payload.get("code")}),)
            case "ConversationText":
                role, content = payload.get("role"), payload.get("content")
                return (Send("app", {"type": "onAgentUtterance" if role == "assistant" else "onUserMessage", "text": content}),)
            case "FunctionCallRequest":
                requests = []
                for call in payload.get("functions") or ():
                    if call.get("client_side"):
                        self.state.calls[call["id"]] = call["name"]
                        requests.append(Send("app", {"type": "onFunctionCallRequest", **call}))
                return requests
        return ()

    def _from_app(self, call: dict[str, Any]) -> Effects:
        """The handler's side: the passed `sendResponse`, the promise, the return; and the ref, which is not tracked."""
        match call["type"]:
            case "injectUserMessage":
                return (Send("proxy", agent.inject_user_message(call["content"])),)
            case "sendFunctionCallResponse":
                return (Send("proxy", agent.function_call_response(call["id"], call["name"], call["content"])),)
            case "sendResponse":
                self.state.answered.add(call["id"])
                return (self._result(call["id"], _content(call["response"])),)
            case "returned" if call["value"] == "nothing":
                return self._settle(call["id"], agent.DEFAULT_ERROR_CONTENT, default=True)
            case "resolved":
                value = call["value"]
                if isinstance(value, Mapping) and "id" in value:
                    return self._settle(call["id"], _content(value))
                return self._settle(call["id"], agent.DEFAULT_ERROR_CONTENT, default=True)
            case "rejected":
                return self._settle(call["id"], _dump({"error": call["message"] or "Unknown error"}))
            case "stop":
                self.state.closed = True
                return (Close("proxy", 1000),)
        return ()

    def _settle(self, call_id: str, content: str, *, default: bool = False) -> Effects:
        """Answer for a call that has no answer yet."""
        if call_id in self.state.answered or (default and not self.release.default_error):
            return ()
        self.state.answered.add(call_id)
        return (self._result(call_id, content),)

    def _result(self, call_id: str, content: str) -> Send:
        return Send("proxy", agent.function_call_response(call_id, self.state.calls[call_id], content))


def _content(response: Mapping[str, Any]) -> str:
    """A response object as the text of a result: its error, else its result, else itself."""
    if response.get("error"):
        return _dump({"error": response["error"]})
    return _dump(response.get("result", response))


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
