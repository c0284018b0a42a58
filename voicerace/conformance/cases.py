"""The test cases: sessions of all scenarios with many handlers and times, and scripted exchanges for the other rules.

In a session, the actors react to the proxy's messages. A script lists the messages of both sides. Scripts test situations
that no scenario contains: late Settings, unusual messages, and a close in each phase.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from voicerace.conformance.audio_cases import AUDIO_SCRIPTS
from voicerace.conformance.steps import (
    CALLED,
    CONTEXT,
    CREATED,
    DONE,
    GREETED,
    LEAVE,
    NO_OPTIONS,
    NO_OUTPUT,
    OPTIONS,
    OUTPUT,
    READY,
    REFUSED,
    SETTINGS,
    TEXT_DONE,
    UPDATED,
    ExchangeStep,
    Script,
    closes,
    content,
    error,
    host,
    item,
    output,
    reply,
    response,
    result,
    text,
    up,
    user,
    wait,
)
from voicerace.engine.session import SessionConfig
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.protocol import realtime

__all__ = ["ExchangeStep", "Script", "scripts", "sessions"]


#: Network and server times of the documentation's examples, in ms.
_LOOPBACK: dict[str, object] = {"gap_ms": 150}
_OBSERVED: dict[str, object] = {"gap_ms": 8, "upstream_rtt_ms": 70, "reply_ms": 1500}
_EXAMPLE: dict[str, object] = {"gap_ms": 300, "host_rtt_ms": 20, "upstream_rtt_ms": 60, "ack_ms": 35}


def sessions(release: str) -> Iterator[SessionConfig]:
    """Yield more than 500 sessions for a release, in a fixed order."""
    for settings in _SETTINGS:
        yield SessionConfig.of(release=release, **settings)


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
    for scenario, handler, tool in product(("chained", "inject", "late-settings"), ("return", "void_ref"), (50, 300)):
        yield {"scenario": scenario, "handler": handler, "times": {**_LOOPBACK, "tool_ms": tool}}
    yield from _finer()
    # only a few sessions have user audio, because the proxy's timer of 400 ms before a commit runs in real time
    for scenario, modality, tool in product(("voice", "barge-in"), ("text", "audio"), (50, 500)):
        yield {"scenario": scenario, "modality": modality, "times": {**_LOOPBACK, "tool_ms": tool}}


def _finer() -> Iterator[dict[str, Any]]:
    """Yield sessions with more delays, mainly of the scenarios with a second writer."""
    for handler, times, tool in product(HANDLERS, (_LOOPBACK, _EXAMPLE), (25, 75, 100, 151, 175, 210, 250, 1000)):
        yield {"handler": handler, "times": {**times, "tool_ms": tool}}
    for handler, tool in product(HANDLERS, (25, 100, 140, 150, 160, 250, 600)):
        yield {"scenario": "double", "handler": handler, "times": {**_LOOPBACK, "tool_ms": tool}}
    for handler, tool in product(("return", "async_ref", "void_ref"), (0, 25, 75, 100, 125, 149, 151, 190, 250, 400)):
        yield {"scenario": "chained", "handler": handler, "times": {**_LOOPBACK, "tool_ms": tool}}
    for handler, inject, tool in product(("return", "async_ref", "void_ref"), (0, 50, 149, 151, 200, 400), (50, 300)):
        yield {"scenario": "inject", "handler": handler, "times": {**_LOOPBACK, "inject_ms": inject, "tool_ms": tool}}
    for settings, tool in product((0, 5, 11, 50, 300, 700), (50, 300)):
        yield {"scenario": "late-settings", "times": {**_LOOPBACK, "settings_ms": settings, "tool_ms": tool}}
    for handler, tool in product(HANDLERS, (50, 300)):
        yield {"scenario": "failing-tool", "handler": handler, "times": {**_LOOPBACK, "tool_ms": tool}}
    for handler, calls, per_call in product(
        ("return", "async_ref"), (2, 4), ("0", "100", "0,300", "150,151", "400,10", "1000,0")
    ):
        yield {"scenario": "parallel", "handler": handler, "calls": calls, "times": {**_LOOPBACK, "tool_ms": per_call}}
    # The result arrives before the loss, without a connection, or on the new connection before or after the user's text.
    for handler, inject, tool in product(("return", "async_ref", "void_ref"), (20, 60, 200), (50, 150, 350, 400, 2000)):
        times = {**_LOOPBACK, "inject_ms": inject, "tool_ms": tool}
        yield {"scenario": "reconnect", "handler": handler, "times": times}
    for handler, tool in product(("return", "async_ref", "void_ref"), (19_000, 25_000)):
        yield {"scenario": "slow-tool", "handler": handler, "times": {**_LOOPBACK, "tool_ms": tool}}


_SETTINGS = tuple(_settings())


# -- scripts -------------------------------------------------------------------------------------------------------


def scripts() -> Iterator[Script]:
    """Yield the scripts. Each script ends with a close by the host unless it contains another close."""
    for name, steps in (*_SCRIPTS.items(), *AUDIO_SCRIPTS.items()):
        ends = any(step.closes for step in steps)
        yield Script(name, steps if ends else (*steps, LEAVE))
    yield Script("upstream-unreachable", (), reachable=False)


def _with_options(think: dict[str, Any], output: object) -> dict[str, Any]:
    """Return Settings with session options, which only later releases read."""
    agent = {**SETTINGS["agent"], "think": {**SETTINGS["agent"]["think"], **think}, "sessionAudioOutput": output}
    return {**SETTINGS, "agent": agent}


_SCRIPTS: dict[str, tuple[ExchangeStep, ...]] = {
    "greeting": (CREATED, host(GREETED), UPDATED),
    "context": (CREATED, host(CONTEXT), UPDATED),
    "settings-twice": (*READY, host(SETTINGS), host(GREETED)),
    "updated-twice": (CREATED, host(GREETED), UPDATED, UPDATED),
    "text-before-settings": (CREATED, text("early"), item(realtime.ITEM_ADDED, user("item_1")), host(GREETED), UPDATED),
    "text-before-updated": (
        CREATED, host(SETTINGS), text("one"), text("two"), UPDATED, item(realtime.ITEM_ADDED, user("item_1")),
    ),
    "result-before-settings": (CREATED, result("call_1"), host(SETTINGS), DONE, host(SETTINGS), UPDATED),
    "result-then-item-then-settings": (
        CREATED, result("call_1"), item(realtime.ITEM_DONE, output("item_o", "call_1")), host(SETTINGS),
        TEXT_DONE, host(SETTINGS),
    ),
    "text-flag-cleared-by-audio": (
        CREATED, text("hi"), item(realtime.ITEM_DONE, user("item_1")), host(SETTINGS),
        content(realtime.AUDIO_DONE), host(SETTINGS), UPDATED,
    ),
    "text-flag-cleared-by-text": (
        CREATED, text("hi"), item(realtime.ITEM_DONE, user("item_1")), host(SETTINGS), TEXT_DONE, host(SETTINGS), UPDATED,
    ),
    "text-flag-cleared-by-done": (
        CREATED, text("hi"), item(realtime.ITEM_DONE, user("item_1")), host(SETTINGS), DONE, host(SETTINGS), UPDATED,
    ),
    "server-begins-a-response": (
        *READY, response(realtime.RESPONSE_CREATED, "resp_1", "in_progress"), error("idle_timeout", "Session idle."), TEXT_DONE, DONE,
    ),
    "server-begins-before-settings": (
        CREATED, response(realtime.RESPONSE_CREATED, "resp_1", "in_progress"), host(SETTINGS), UPDATED,
    ),
    "two-texts": (*READY, text("one"), text("two"), item(realtime.ITEM_ADDED, user("item_1")), item(realtime.ITEM_DONE, user("item_1"))),
    "text-created-beta": (*READY, text("one"), item(realtime.ITEM_CREATED, user("item_1"))),
    "text-then-item-without-id": (*READY, text("one"), item(realtime.ITEM_ADDED, realtime.user_item("one"))),
    "mark-and-text-freed-by-item": (
        *READY, *CALLED, result("call_1"), text("meanwhile"), item(realtime.ITEM_ADDED, user("item_1")),
        item(realtime.ITEM_ADDED, output("item_o", "call_1")), item(realtime.ITEM_DONE, output("item_o", "call_1")), REFUSED, DONE,
    ),
    "mark-and-text-freed-by-done": (
        *READY, *CALLED, text("meanwhile"), result("call_1"), item(realtime.ITEM_ADDED, user("item_1")), DONE,
        response(realtime.RESPONSE_CREATED, "resp_2", "in_progress"), item(realtime.ITEM_ADDED, reply("item_2", "Yes.")), REFUSED,
    ),
    "mark-freed-by-text-done": (*READY, *CALLED, result("call_1"), TEXT_DONE, REFUSED, DONE),
    "mark-freed-by-done": (*READY, *CALLED, result("call_1"), DONE, DONE),
    "two-results": (*READY, *CALLED, result("call_1"), result("call_1", '{"error":"x"}'), DONE, result("call_1"), DONE),
    "result-without-content": (*READY, host({"type": "FunctionCallResponse", "id": "call_1", "name": "f", "content": ""})),
    "result-of-unknown-call": (*READY, result("call_unknown"), error("invalid_tool_call_id", "Tool call ID 'call_unknown' not found.")),
    "call-without-name": (
        *READY, up({"type": realtime.ARGUMENTS_DONE, "event_id": "e", "call_id": "call_1", "arguments": ""}), DONE,
    ),
    "recovery": (*READY, *CALLED, result("call_1"), wait(21_000), DONE, TEXT_DONE),
    "refusal": (*READY, *CALLED, REFUSED),
    "error-idle-message": (*READY, error("server_error", "The server had an error while processing your request. Sorry")),
    "error-idle-code": (*READY, error("idle_timeout", "Session idle.")),
    "error-idle-during-response": (
        *READY, text("hi"), item(realtime.ITEM_DONE, user("item_1")), error("idle_timeout", "Session idle."), TEXT_DONE, DONE,
    ),
    "error-idle-message-during-response": (
        *READY, text("hi"), item(realtime.ITEM_DONE, user("item_1")),
        error("server_error", "The server had an error while processing your request."), TEXT_DONE, DONE,
    ),
    "error-idle-then-close": (
        *READY, text("hi"), item(realtime.ITEM_DONE, user("item_1")),
        error("idle_timeout", "The server had an error while processing your request"), closes(1000),
    ),
    "error-session-length": (*READY, error("session_expired", "Your session hit the maximum duration of 60 minutes.")),
    "error-without-code": (*READY, error(None, "Something."), error("", "Something."), up({"type": "error", "event_id": "e"})),
    "error-without-message": (*READY, up({"type": "error", "event_id": "e", "error": {"code": "c"}})),
    "settings-options": (CREATED, host(_with_options(OPTIONS, OUTPUT)), UPDATED),
    "settings-options-of-no-use": (CREATED, host(_with_options(NO_OPTIONS, NO_OUTPUT)), UPDATED),
    "keepalive": (*READY, host({"type": "KeepAlive"})),
    "other-json": (*READY, host({"type": "UpdatePrompt", "prompt": "x"}), host({"type": realtime.RESPONSE_CREATE}), host({"no": "type"})),
    "upstream-text": (*READY, up("this is no JSON")),
    "upstream-unknown": (*READY, up({"type": "conversation.item.deleted", "event_id": "e", "item_id": "i"}), up({"type": "new.event", "event_id": "e"})),
    "reply-text-once": (
        *READY, text("hi"), item(realtime.ITEM_DONE, user("item_1")), response(realtime.RESPONSE_CREATED, "resp_1", "in_progress"),
        content(realtime.TEXT_DELTA, delta="A re"), content(realtime.TEXT_DELTA, delta="ply."), TEXT_DONE,
        item(realtime.ITEM_DONE, reply("item_2", "A reply.")), item(realtime.ITEM_DONE, reply("item_2", "A reply.")),
        item(realtime.ITEM_DONE, reply("item_3", "Another.")), DONE,
    ),
    "reply-from-deltas": (*READY, content(realtime.TEXT_DELTA, delta="Only deltas."), DONE, content(realtime.TEXT_DONE, text="")),
    "reply-from-output": (*READY, response(realtime.RESPONSE_DONE, "resp_1", "completed", (reply("item_2", "In the output."),))),
    "reply-from-transcript": (
        *READY, content(realtime.AUDIO_DELTA, delta="AAAA"), content(realtime.TRANSCRIPT_DONE, transcript=" Spoken. "),
        content(realtime.TEXT_DONE, text="Spoken."), content(realtime.AUDIO_DONE), DONE,
    ),
    "empty-texts": (*READY, content(realtime.TEXT_DONE, text=""), content(realtime.TRANSCRIPT_DONE, transcript=""), content(realtime.AUDIO_DELTA, delta="")),
    "item-of-user": (*READY, item(realtime.ITEM_DONE, user("item_1")), item(realtime.ITEM_ADDED, realtime.reply_item("item_2", "in_progress", []))),
    "done-before-anything": (*READY, DONE, TEXT_DONE, content(realtime.AUDIO_DONE)),
    "upstream-closes-before-ready": (CREATED, host(SETTINGS), closes(1011)),
    "upstream-closes-at-once": (closes(1001),),
    "upstream-closes-in-call": (*READY, *CALLED, closes(1000)),
    "upstream-closes-with-mark": (*READY, *CALLED, result("call_1"), closes(1011)),
    "host-leaves-before-ready": (CREATED, host(SETTINGS), LEAVE),
    "host-leaves-with-mark": (*READY, *CALLED, result("call_1"), LEAVE),
}  # fmt: skip
