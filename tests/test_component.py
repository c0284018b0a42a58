"""Test the results of a call that the component sends, for each handler style and each end of the tool."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.bench import Bench
from support.played import on_wire, play, said, tool_turn

from voicerace.model.actors.component import Component
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.releases import COMPONENTS
from voicerace.model.protocol import agent
from voicerace.trace.recording import Recording
from voicerace.units import ms

TOOL = {"tool_ms": 50}
RESULT = '{"temperature_c":21}'
REPORTED = '{"error":"the weather service is down"}'
DEFAULT = agent.DEFAULT_ERROR_CONTENT

#: Handler style -> messages sent by the running component for one call with a tool time of 50 ms,
#: as (ms after the request, content).
SEEN = {
    "void_ref": [(0, DEFAULT), (50, RESULT)],
    "void_send": [(0, DEFAULT), (50, RESULT)],
    "async_ref": [(50, RESULT), (50, DEFAULT)],
    "ref_now": [(0, RESULT), (0, DEFAULT)],
    "async_send": [(50, RESULT)],
    "return": [(50, RESULT)],
}


def sent_for_a_call(recording: Recording) -> list[tuple[float, str]]:
    """Return (ms after the request reaches the app, content) of each result in a recording of one call."""
    (request,) = on_wire(recording, "component>app", "onFunctionCallRequest")
    answers = on_wire(recording, "component>proxy", "FunctionCallResponse")
    contents = said(recording, "component>proxy", "FunctionCallResponse")
    assert {each["id"] for each in contents} <= {request.payload["id"]}
    return [(ms(answer.sent_ns - request.received_ns), each["content"]) for answer, each in zip(answers, contents, strict=True)]


@pytest.mark.parametrize("handler", HANDLERS)
def test_each_handler_style_sends_the_observed_results(handler: str) -> None:
    assert sent_for_a_call(play(handler=handler, **TOOL)) == SEEN[handler]


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("component", ["0.9.1", "0.11.1"])
def test_both_observed_tags_send_the_same_results(component: str, handler: str) -> None:
    assert sent_for_a_call(play(handler=handler, component_tag=component, **TOOL)) == SEEN[handler]


@pytest.mark.parametrize("handler", HANDLERS)
def test_the_handler_table_has_the_number_of_results(handler: str) -> None:
    recording = play(handler=handler, **TOOL)
    assert len(sent_for_a_call(recording)) == HANDLERS[handler].submissions


@pytest.mark.parametrize("handler", HANDLERS)
def test_own_results_and_default_errors_are_distinguished(handler: str) -> None:
    turn = tool_turn(play(handler=handler, **TOOL))
    assert turn.own_submissions == 1
    assert turn.submissions == HANDLERS[handler].submissions


def test_the_app_answers_a_call_once() -> None:
    for handler in HANDLERS:
        calls_of_app = [
            each
            for each in on_wire(play(handler=handler, **TOOL), "app>component")
            if each.type in ("sendFunctionCallResponse", "sendResponse")
            or (each.type == "resolved" and each.payload["value"] is not None)
        ]
        assert len(calls_of_app) == 1, handler


@pytest.mark.parametrize("handler", HANDLERS)
def test_each_of_several_calls_has_its_own_results(handler: str) -> None:
    recording = play(handler=handler, scenario="parallel", calls=3, tool_ms="50,80,20")
    per_call = [each["id"] for each in said(recording, "component>proxy", "FunctionCallResponse")]
    assert sorted(per_call) == sorted([f"call_000{n}" for n in (1, 2, 3)] * HANDLERS[handler].submissions)


# -- tool ends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("handler", HANDLERS)
def test_an_error_of_the_tool_is_sent_like_a_result(handler: str) -> None:
    expected = [(at, REPORTED if content == RESULT else content) for at, content in SEEN[handler]]
    assert sent_for_a_call(play(handler=handler, tool_end="error", **TOOL)) == expected


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        ("return", [(50, REPORTED)]),
        ("async_send", [(50, REPORTED)]),
        ("async_ref", [(50, REPORTED)]),
        ("void_ref", [(0, DEFAULT), (50, REPORTED)]),
        ("void_send", [(0, DEFAULT), (50, REPORTED)]),
        ("ref_now", [(0, REPORTED), (0, DEFAULT)]),
    ],
)
def test_a_rejected_promise_is_one_error_result(handler: str, expected: list[tuple[float, str]]) -> None:
    assert sent_for_a_call(play(handler=handler, tool_end="reject", **TOOL)) == expected


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        ("return", []),
        ("async_send", []),
        ("async_ref", []),
        ("void_ref", [(0, DEFAULT)]),
        ("void_send", [(0, DEFAULT)]),
        ("ref_now", [(0, DEFAULT)]),
    ],
)
def test_a_tool_that_never_ends_sends_the_default_error_or_nothing(handler: str, expected: list[tuple[float, str]]) -> None:
    assert sent_for_a_call(play(handler=handler, tool_end="none", **TOOL)) == expected


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_tool_that_never_ends_has_outcome_no_result(handler: str) -> None:
    assert tool_turn(play(handler=handler, tool_end="none", **TOOL)).outcome == "no_result"


def test_the_second_submission_is_sent_after_repeat_ms() -> None:
    sent = sent_for_a_call(play(scenario="double", handler="return", repeat_ms=30, **TOOL))
    assert sent == [(50, RESULT), (80, RESULT)]


# -- rule details ----------------------------------------------------------------------------------------------------

REQUEST = agent.function_call_request("call_1", "get_weather", "{}")


def component(*, default_error: bool = True) -> Bench:
    """Return a bench whose component has passed one call to the app."""
    row = replace(COMPONENTS["0.9.1"], default_error=default_error)
    bench = Bench(Component(row), "app")
    bench.apply("actor", bench.actor.message("proxy", REQUEST))
    return bench


def results(bench: Bench) -> list[str]:
    return [each["content"] for each in bench.messages("FunctionCallResponse")]


RETURNED = {"type": "returned", "id": "call_1", "value": "nothing"}
RESOLVED = {"type": "resolved", "id": "call_1", "value": None}
BY_REF = {"type": "sendFunctionCallResponse", "id": "call_1", "name": "get_weather", "content": "{}"}
BY_PASSED = {"type": "sendResponse", "id": "call_1", "response": {"id": "call_1", "result": 7}}


@pytest.mark.parametrize("ends", [RETURNED, RESOLVED], ids=["returns nothing", "resolves to nothing"])
def test_sending_by_the_ref_does_not_count_as_an_answer(ends: dict[str, object]) -> None:
    assert results(component().tell(BY_REF, ends)) == ["{}", DEFAULT]


@pytest.mark.parametrize("ends", [RETURNED, RESOLVED], ids=["returns nothing", "resolves to nothing"])
def test_sending_by_the_passed_function_counts_as_an_answer(ends: dict[str, object]) -> None:
    assert results(component().tell(BY_PASSED, ends)) == ["7"]


def test_the_default_error_is_sent_once_per_call() -> None:
    assert results(component().tell(RETURNED, RESOLVED, RESOLVED)) == [DEFAULT]


def test_a_component_without_the_rule_sends_no_default_error() -> None:
    assert results(component(default_error=False).tell(RETURNED, RESOLVED)) == []


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ({"id": "call_1", "result": {"a": 1}}, '{"a":1}'),
        ({"id": "call_1", "error": "no"}, '{"error":"no"}'),
        ({"id": "call_1", "result": 1, "error": "no"}, '{"error":"no"}'),
        ({"id": "call_1", "answer": 1}, '{"id":"call_1","answer":1}'),
        ({"answer": 1}, DEFAULT),
        ("text", DEFAULT),
    ],
)
def test_content_of_a_resolved_value(value: object, content: str) -> None:
    assert results(component().tell({**RESOLVED, "value": value})) == [content]


def test_a_rejection_without_a_message_is_an_unknown_error() -> None:
    assert results(component().tell({"type": "rejected", "id": "call_1", "message": ""})) == ['{"error":"Unknown error"}']


def test_nothing_is_sent_once_the_connection_is_closed() -> None:
    bench = component().tell({"type": "stop"}, BY_REF, RETURNED)
    assert results(bench) == []


def test_a_server_side_call_is_not_passed_to_the_app() -> None:
    request = json.loads(json.dumps(REQUEST))
    request["functions"][0]["client_side"] = False
    bench = Bench(Component(COMPONENTS["0.9.1"]), "proxy")
    bench.tell(request)
    assert "onFunctionCallRequest" not in bench.types()


@pytest.mark.parametrize(
    ("content", "own"),
    [
        (DEFAULT, False),
        ('{ "error" : "Handler completed without sending a response" }', False),
        ('{"error":"the handler completed without sending a response"}', True),
        ('{"error":"Handler completed without sending a response","more":1}', True),
        ("Handler completed without sending a response", True),
        ('{"error":"Handler completed without sending a response"', True),
        ("21", True),
        (None, True),
    ],
)
def test_the_default_error_is_recognised_by_its_text(content: object, own: bool) -> None:
    assert agent.is_default_error(content) is not own
