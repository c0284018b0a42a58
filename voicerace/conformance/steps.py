"""Steps of scripted exchanges, and messages that many scripts use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from voicerace.model.protocol import agent, realtime
from voicerace.trace.recording import Payload


@dataclass(frozen=True)
class ExchangeStep:
    """One input of a script: a message, a close, or a silence.

    Attributes:
        sender: sender of the message, or side that closes its connection.
        payload: the message.
        closes: whether the sender closes its connection instead.
        code: WebSocket close code.
        wait_ms: duration of a silence, in which the proxy's timers run.
    """

    sender: Literal["component", "upstream"]
    payload: Payload = None
    closes: bool = False
    code: int | None = None
    wait_ms: int = 0


@dataclass(frozen=True)
class Script:
    """A named exchange. If `reachable` is False, the upstream refuses the proxy's connection."""

    name: str
    steps: tuple[ExchangeStep, ...]
    reachable: bool = True


SETTINGS = agent.settings(
    prompt="Be brief.", model="gpt-realtime", functions=[{"name": "f", "description": "d", "parameters": {"type": "object"}}]
)
GREETED = agent.settings(prompt="Be brief.", model="gpt-realtime", greeting="Hello.")
CONTEXT = agent.settings(
    prompt="Be brief.",
    model="gpt-realtime",
    greeting="Hello.",
    context=[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello again"}],
)
#: Options of Settings that later releases copy into the session.
OPTIONS: dict[str, Any] = {
    "toolChoice": {"type": "function", "name": "f"},
    "outputModalities": ["audio", "video", "text"],
    "maxOutputTokens": 4096,
    "managedPrompt": {"id": " prompt_1 ", "version": " 2 ", "variables": {"city": "Rome"}, "other": 1},
}
OUTPUT = {"format": {"type": " audio/pcm ", "rate": 24000}, "speed": 1.5, "voice": {"id": " voice_1 "}}
#: Invalid values of all options except the tool choice, for which null is valid.
NO_OPTIONS: dict[str, Any] = {
    "toolChoice": None,
    "outputModalities": ["video"],
    "maxOutputTokens": 0.5,
    "managedPrompt": {"id": " ", "version": "2"},
}
NO_OUTPUT = {"format": {"type": "audio/mp3"}, "speed": 1.6, "voice": " "}


def host(payload: Payload) -> ExchangeStep:
    return ExchangeStep("component", payload)


def up(payload: Payload) -> ExchangeStep:
    return ExchangeStep("upstream", payload)


def wait(span_ms: int) -> ExchangeStep:
    """Return a step in which both sides are silent for `span_ms`."""
    return ExchangeStep("upstream", wait_ms=span_ms)


def text(content: str) -> ExchangeStep:
    return host(agent.inject_user_message(content))


def result(call: str, body: str = '{"ok":true}') -> ExchangeStep:
    return host(agent.function_call_response(call, "f", body))


def item(kind: str, body: Mapping[str, Any]) -> ExchangeStep:
    return up(realtime.conversation_item(kind, "event_x", None, body))


def closes(code: int) -> ExchangeStep:
    """Return a step in which the upstream closes its connection with a code."""
    return ExchangeStep("upstream", closes=True, code=code)


def user(item_id: str) -> dict[str, Any]:
    return {"id": item_id, "object": "realtime.item", "status": "completed", **realtime.user_item("hi")}


def output(item_id: str, call: str) -> dict[str, Any]:
    return {"id": item_id, "object": "realtime.item", "status": "completed", **realtime.output_item(call, "{}")}


def reply(item_id: str, text: str) -> dict[str, Any]:
    return realtime.reply_item(item_id, "completed", [realtime.item_content("text", text)])


def response(kind: str, response_id: str, status: str = "completed", items: tuple[dict[str, Any], ...] = ()) -> ExchangeStep:
    return up(
        realtime.response_event(kind, "event_x", realtime.response_object(response_id, "conv_1", "text", status, None, items))
    )


def content(kind: str, **fields: Any) -> ExchangeStep:
    return up(realtime.content_event(kind, "event_x", "resp_1", "item_1", 0, **fields))


def error(code: str | None, message: str) -> ExchangeStep:
    return up(realtime.error_event("event_x", code, message))


_SESSION: dict[str, Any] = {"type": "realtime", "model": "gpt-realtime"}
CREATED = up(realtime.session_event(realtime.SESSION_CREATED, "event_1", _SESSION))
UPDATED = up(realtime.session_event(realtime.SESSION_UPDATED, "event_2", _SESSION))
READY = (CREATED, host(SETTINGS), UPDATED)
LEAVE = ExchangeStep("component", closes=True, code=1000)
_CALL_ITEM = realtime.call_item("item_c", "call_1", "f", "{}", "in_progress")
CALLED = (
    response(realtime.RESPONSE_CREATED, "resp_1", "in_progress"),
    up(realtime.arguments_event(realtime.ARGUMENTS_DONE, "event_x", "resp_1", _CALL_ITEM, 0, ' {"a": 1} ')),
)
TEXT_DONE = content(realtime.TEXT_DONE, text="A reply.")
DONE = response(realtime.RESPONSE_DONE, "resp_1")
REFUSED = up(realtime.refusal("event_x", "resp_1", None))
