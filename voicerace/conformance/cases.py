"""What is tried: sessions of the scenarios over handlers and times, and exchanges written out for the rest of the rules.

Sessions run closed loop: the proxy's own messages decide how they go on. Scripts say both sides' messages outright, to
reach what no scenario does: late Settings, strange messages, closings in each phase.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

from voicerace.engines.session import Session
from voicerace.tables.handlers import HANDLERS
from voicerace.wire import agent, realtime

__all__ = ["Script", "Step", "scripts", "sessions"]


@dataclass(frozen=True)
class Step:
    """One input of a script: a message, a close, or the wait for the proxy's own timer."""

    sender: Literal["component", "upstream"]
    payload: Mapping[str, Any] | str | None = None
    closes: bool = False
    code: int | None = None
    waits: bool = False


@dataclass(frozen=True)
class Script:
    """A named exchange. `reachable` False: the upstream refuses the connection."""

    name: str
    steps: tuple[Step, ...]
    reachable: bool = True


#: The networks and server times that the examples of the documentation use.
_LOOPBACK: dict[str, object] = {"gap_ms": 150}
_OBSERVED: dict[str, object] = {"gap_ms": 8, "upstream_rtt_ms": 70, "reply_ms": 1500}
_EXAMPLE: dict[str, object] = {"gap_ms": 300, "host_rtt_ms": 20, "upstream_rtt_ms": 60, "ack_ms": 35}


def sessions(release: str) -> Iterator[Session]:
    """The sessions that every release is tried with, in a fixed order; more than 200."""
    for settings in _SETTINGS:
        yield Session.of(release=release, **settings)


def _settings() -> Iterator[dict[str, Any]]:
    for handler, times, tool in product(HANDLERS, (_LOOPBACK, _OBSERVED, _EXAMPLE), (0, 50, 149, 190, 300, 500, 3000)):
        yield {"handler": handler, "times": {**times, "tool_ms": tool}}
    for tool in (124, 125, 126, 219, 220, 221, 279, 280, 281):
        yield {"times": {**_EXAMPLE, "tool_ms": tool}}
    for tool in (120, 150, 151):
        yield {"times": {**_LOOPBACK, "tool_ms": tool}}
    for handler, tool in product(HANDLERS, (0, 50, 190, 300)):
        yield {"scenario": "double", "handler": handler, "times": {**_LOOPBACK, "tool_ms": tool}}
    for repeat in (1, 100, 700):
        yield {"scenario": "double", "times": {**_LOOPBACK, "tool_ms": 50, "repeat_ms": repeat}}
    for handler, calls, per_call in product(("return", "async_ref", "void_ref"), (2, 3), ("50", "50,400", "300,20")):
        yield {"scenario": "parallel", "handler": handler, "calls": calls, "times": {**_LOOPBACK, "tool_ms": per_call}}
    for handler, tool in product(("return", "void_ref"), (50, 150, 300, 3000)):
        yield {"handler": handler, "modality": "audio", "times": {**_LOOPBACK, "tool_ms": tool}}
    for tool_end, handler in product(("error", "reject", "none"), ("return", "async_ref", "void_send")):
        yield {"handler": handler, "tool_end": tool_end, "times": _LOOPBACK}
    for modality, tool in product(("text", "audio"), (50, 300)):
        yield {"preamble": True, "modality": modality, "times": {**_LOOPBACK, "tool_ms": tool}}
        yield {
            "preamble": True,
            "scenario": "parallel",
            "calls": 2,
            "modality": modality,
            "times": {**_LOOPBACK, "tool_ms": tool},
        }
    for knob, value in (
        ("item_before_output", "no"),
        ("function_output", "item_done"),
        ("function_output", "response_done"),
        ("reply_status", "failed"),
        ("reply_status", "incomplete"),
        ("error_after_create", "server_error"),
        ("session_update_active", "refuse"),
    ):
        for tool in (50, 300):
            yield {"knobs_given": {knob: value}, "times": {**_LOOPBACK, "tool_ms": tool}}
    for extra in ({"slot_lag_ms": 40}, {"item_done_ms": 20}, {"ack_ms": 400}, {"reply_gap_ms": 300}):
        for tool in (50, 300):
            yield {"times": {**_LOOPBACK, **extra, "tool_ms": tool}}


_SETTINGS = tuple(_settings())


# -- scripts -------------------------------------------------------------------------------------------------------

_SETTINGS_MESSAGE = agent.settings(
    prompt="Be brief.", model="gpt-realtime", functions=[{"name": "f", "description": "d", "parameters": {"type": "object"}}]
)
_GREETED = agent.settings(prompt="Be brief.", model="gpt-realtime", greeting="Hello.")
_CONTEXT = agent.settings(
    prompt="Be brief.",
    model="gpt-realtime",
    greeting="Hello.",
    context=[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello again"}],
)


def _host(payload: Mapping[str, Any] | str) -> Step:
    return Step("component", payload)


def _up(payload: Mapping[str, Any] | str) -> Step:
    return Step("upstream", payload)


def _text(text: str) -> Step:
    return _host(agent.inject_user_message(text))


def _result(call: str, content: str = '{"ok":true}') -> Step:
    return _host(agent.function_call_response(call, "f", content))


def _item(kind: str, item: Mapping[str, Any]) -> Step:
    return _up(realtime.conversation_item(kind, "event_x", None, item))


def _user(item_id: str) -> dict[str, Any]:
    return {"id": item_id, "object": "realtime.item", "status": "completed", **realtime.user_item("hi")}


def _output(item_id: str, call: str) -> dict[str, Any]:
    return {"id": item_id, "object": "realtime.item", "status": "completed", **realtime.output_item(call, "{}")}


def _reply(item_id: str, text: str) -> dict[str, Any]:
    return realtime.reply_item(item_id, "completed", [realtime.item_content("text", text)])


def _response(kind: str, response_id: str, status: str = "completed", output: tuple[dict[str, Any], ...] = ()) -> Step:
    return _up(
        realtime.response_event(kind, "event_x", realtime.response_object(response_id, "conv_1", "text", status, None, output))
    )


def _content(kind: str, **fields: Any) -> Step:
    return _up(realtime.content_event(kind, "event_x", "resp_1", "item_1", 0, **fields))


def _error(code: str | None, message: str) -> Step:
    return _up(realtime.error_event("event_x", code, message))


_SESSION: dict[str, Any] = {"type": "realtime", "model": "gpt-realtime"}
_CREATED = _up(realtime.session_event(realtime.SESSION_CREATED, "event_1", _SESSION))
_UPDATED = _up(realtime.session_event(realtime.SESSION_UPDATED, "event_2", _SESSION))
_READY = (_CREATED, _host(_SETTINGS_MESSAGE), _UPDATED)
_LEAVE = Step("component", closes=True, code=1000)
_CALL_ITEM = realtime.call_item("item_c", "call_1", "f", "{}", "in_progress")
_CALLED = (
    _response(realtime.RESPONSE_CREATED, "resp_1", "in_progress"),
    _up(realtime.arguments_event(realtime.ARGUMENTS_DONE, "event_x", "resp_1", _CALL_ITEM, 0, ' {"a": 1} ')),
)
_TEXT_DONE = _content(realtime.TEXT_DONE, text="A reply.")
_DONE = _response(realtime.RESPONSE_DONE, "resp_1")
_REFUSED = _up(realtime.refusal("event_x", "resp_1", None))


def scripts() -> Iterator[Script]:
    """The exchanges, by name; each ends with the host leaving unless it says otherwise."""
    for name, steps in _SCRIPTS.items():
        ends = any(step.closes for step in steps)
        yield Script(name, steps if ends else (*steps, _LEAVE))
    yield Script("upstream-unreachable", (), reachable=False)


_SCRIPTS: dict[str, tuple[Step, ...]] = {
    "greeting": (_CREATED, _host(_GREETED), _UPDATED),
    "context": (_CREATED, _host(_CONTEXT), _UPDATED),
    "settings-twice": (*_READY, _host(_SETTINGS_MESSAGE), _host(_GREETED)),
    "updated-twice": (_CREATED, _host(_GREETED), _UPDATED, _UPDATED),
    "text-before-settings": (_CREATED, _text("early"), _item(realtime.ITEM_ADDED, _user("item_1")), _host(_GREETED), _UPDATED),
    "text-before-updated": (
        _CREATED, _host(_SETTINGS_MESSAGE), _text("one"), _text("two"), _UPDATED, _item(realtime.ITEM_ADDED, _user("item_1")),
    ),
    "result-before-settings": (_CREATED, _result("call_1"), _host(_SETTINGS_MESSAGE), _DONE, _host(_SETTINGS_MESSAGE), _UPDATED),
    "result-then-item-then-settings": (
        _CREATED, _result("call_1"), _item(realtime.ITEM_DONE, _output("item_o", "call_1")), _host(_SETTINGS_MESSAGE),
        _TEXT_DONE, _host(_SETTINGS_MESSAGE),
    ),
    "text-flag-cleared-by-audio": (
        _CREATED, _text("hi"), _item(realtime.ITEM_DONE, _user("item_1")), _host(_SETTINGS_MESSAGE),
        _content(realtime.AUDIO_DONE), _host(_SETTINGS_MESSAGE), _UPDATED,
    ),
    "text-flag-cleared-by-text": (
        _CREATED, _text("hi"), _item(realtime.ITEM_DONE, _user("item_1")), _host(_SETTINGS_MESSAGE), _TEXT_DONE, _host(_SETTINGS_MESSAGE), _UPDATED,
    ),
    "text-flag-cleared-by-done": (
        _CREATED, _text("hi"), _item(realtime.ITEM_DONE, _user("item_1")), _host(_SETTINGS_MESSAGE), _DONE, _host(_SETTINGS_MESSAGE), _UPDATED,
    ),
    "server-begins-a-response": (
        *_READY, _response(realtime.RESPONSE_CREATED, "resp_1", "in_progress"), _error("idle_timeout", "Session idle."), _TEXT_DONE, _DONE,
    ),
    "server-begins-before-settings": (
        _CREATED, _response(realtime.RESPONSE_CREATED, "resp_1", "in_progress"), _host(_SETTINGS_MESSAGE), _UPDATED,
    ),
    "two-texts": (*_READY, _text("one"), _text("two"), _item(realtime.ITEM_ADDED, _user("item_1")), _item(realtime.ITEM_DONE, _user("item_1"))),
    "text-created-beta": (*_READY, _text("one"), _item(realtime.ITEM_CREATED, _user("item_1"))),
    "text-then-item-without-id": (*_READY, _text("one"), _item(realtime.ITEM_ADDED, realtime.user_item("one"))),
    "mark-and-text-freed-by-item": (
        *_READY, *_CALLED, _result("call_1"), _text("meanwhile"), _item(realtime.ITEM_ADDED, _user("item_1")),
        _item(realtime.ITEM_ADDED, _output("item_o", "call_1")), _item(realtime.ITEM_DONE, _output("item_o", "call_1")), _REFUSED, _DONE,
    ),
    "mark-and-text-freed-by-done": (
        *_READY, *_CALLED, _text("meanwhile"), _result("call_1"), _item(realtime.ITEM_ADDED, _user("item_1")), _DONE,
        _response(realtime.RESPONSE_CREATED, "resp_2", "in_progress"), _item(realtime.ITEM_ADDED, _reply("item_2", "Yes.")), _REFUSED,
    ),
    "mark-freed-by-text-done": (*_READY, *_CALLED, _result("call_1"), _TEXT_DONE, _REFUSED, _DONE),
    "mark-freed-by-done": (*_READY, *_CALLED, _result("call_1"), _DONE, _DONE),
    "two-results": (*_READY, *_CALLED, _result("call_1"), _result("call_1", '{"error":"x"}'), _DONE, _result("call_1"), _DONE),
    "result-without-content": (*_READY, _host({"type": "FunctionCallResponse", "id": "call_1", "name": "f", "content": ""})),
    "result-of-unknown-call": (*_READY, _result("call_unknown"), _error("invalid_tool_call_id", "Tool call ID 'call_unknown' not found.")),
    "call-without-name": (
        *_READY, _up({"type": realtime.ARGUMENTS_DONE, "event_id": "e", "call_id": "call_1", "arguments": ""}), _DONE,
    ),
    "recovery": (*_READY, *_CALLED, _result("call_1"), Step("upstream", waits=True), _DONE, _TEXT_DONE),
    "refusal": (*_READY, *_CALLED, _REFUSED),
    "error-idle-message": (*_READY, _error("server_error", "The server had an error while processing your request. Sorry")),
    "error-idle-code": (*_READY, _error("idle_timeout", "Session idle.")),
    "error-idle-during-response": (
        *_READY, _text("hi"), _item(realtime.ITEM_DONE, _user("item_1")), _error("idle_timeout", "Session idle."), _TEXT_DONE, _DONE,
    ),
    "error-idle-message-during-response": (
        *_READY, _text("hi"), _item(realtime.ITEM_DONE, _user("item_1")),
        _error("server_error", "The server had an error while processing your request."), _TEXT_DONE, _DONE,
    ),
    "error-idle-then-close": (
        *_READY, _text("hi"), _item(realtime.ITEM_DONE, _user("item_1")),
        _error("idle_timeout", "The server had an error while processing your request"), Step("upstream", closes=True, code=1000),
    ),
    "error-session-length": (*_READY, _error("session_expired", "Your session hit the maximum duration of 60 minutes.")),
    "error-without-code": (*_READY, _error(None, "Something."), _error("", "Something."), _up({"type": "error", "event_id": "e"})),
    "error-without-message": (*_READY, _up({"type": "error", "event_id": "e", "error": {"code": "c"}})),
    "keepalive": (*_READY, _host({"type": "KeepAlive"})),
    "other-json": (*_READY, _host({"type": "UpdatePrompt", "prompt": "x"}), _host({"type": realtime.RESPONSE_CREATE}), _host({"no": "type"})),
    "upstream-text": (*_READY, _up("this is no JSON")),
    "upstream-unknown": (*_READY, _up({"type": "conversation.item.deleted", "event_id": "e", "item_id": "i"}), _up({"type": "new.event", "event_id": "e"})),
    "reply-text-once": (
        *_READY, _text("hi"), _item(realtime.ITEM_DONE, _user("item_1")), _response(realtime.RESPONSE_CREATED, "resp_1", "in_progress"),
        _content(realtime.TEXT_DELTA, delta="A re"), _content(realtime.TEXT_DELTA, delta="ply."), _TEXT_DONE,
        _item(realtime.ITEM_DONE, _reply("item_2", "A reply.")), _item(realtime.ITEM_DONE, _reply("item_2", "A reply.")),
        _item(realtime.ITEM_DONE, _reply("item_3", "Another.")), _DONE,
    ),
    "reply-from-deltas": (*_READY, _content(realtime.TEXT_DELTA, delta="Only deltas."), _DONE, _content(realtime.TEXT_DONE, text="")),
    "reply-from-output": (*_READY, _response(realtime.RESPONSE_DONE, "resp_1", "completed", (_reply("item_2", "In the output."),))),
    "reply-from-transcript": (
        *_READY, _content(realtime.AUDIO_DELTA, delta="AAAA"), _content(realtime.TRANSCRIPT_DONE, transcript=" Spoken. "),
        _content(realtime.TEXT_DONE, text="Spoken."), _content(realtime.AUDIO_DONE), _DONE,
    ),
    "empty-texts": (*_READY, _content(realtime.TEXT_DONE, text=""), _content(realtime.TRANSCRIPT_DONE, transcript=""), _content(realtime.AUDIO_DELTA, delta="")),
    "item-of-user": (*_READY, _item(realtime.ITEM_DONE, _user("item_1")), _item(realtime.ITEM_ADDED, realtime.reply_item("item_2", "in_progress", []))),
    "done-before-anything": (*_READY, _DONE, _TEXT_DONE, _content(realtime.AUDIO_DONE)),
    "upstream-closes-before-ready": (_CREATED, _host(_SETTINGS_MESSAGE), Step("upstream", closes=True, code=1011)),
    "upstream-closes-at-once": (Step("upstream", closes=True, code=1001),),
    "upstream-closes-in-call": (*_READY, *_CALLED, Step("upstream", closes=True, code=1000)),
    "upstream-closes-with-mark": (*_READY, *_CALLED, _result("call_1"), Step("upstream", closes=True, code=1011)),
    "host-leaves-before-ready": (_CREATED, _host(_SETTINGS_MESSAGE), _LEAVE),
    "host-leaves-with-mark": (*_READY, *_CALLED, _result("call_1"), _LEAVE),
}  # fmt: skip
