"""Test the ledger, which pairs requests with responses and refusals from the events at one position on the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.played import on_wire, play
from support.tape import Tape

from voicerace.experiments.explore.state_store import _settled as settled_for_explorer
from voicerace.model.protocol import agent, input_audio, realtime
from voicerace.model.protocol.ledger import Create, Ledger
from voicerace.model.protocol.results import PLACEHOLDERS, placeholder_in
from voicerace.trace.recording import Recording


def ledger_of(tape: Tape) -> Ledger:
    """Return the ledger of a tape's upstream link in the order of writing. Its keys are event numbers."""
    ledger = Ledger()
    for event in tape.events:
        if "upstream" in event.link:
            ledger.feed(event.link.sender, event.payload, event.seq)
    return ledger


def answers(ledger: Ledger) -> list[tuple[str, str | None]]:
    """Return (answer, named response) for every request, in order."""
    return [(create.answer, create.names) for create in ledger.creates]


def writers(ledger: Ledger) -> dict[str, int | None]:
    """Return response id -> index of the request that started the response; None for the server's own response."""
    return {name: response.create for name, response in ledger.responses.items()}


# -- pairing ---------------------------------------------------------------------------------------------------------


def test_responses_are_announced_in_the_order_of_requests() -> None:
    tape = Tape().creates(0).created(5, "resp_1").done(9, "resp_1").creates(10).created(15, "resp_2")
    ledger = ledger_of(tape)
    assert answers(ledger) == [("response", "resp_1"), ("response", "resp_2")]
    assert writers(ledger) == {"resp_1": 0, "resp_2": 1}


def test_a_request_without_an_answer_is_unanswered() -> None:
    ledger = ledger_of(Tape().creates(0))
    assert answers(ledger) == [("none", None)]
    assert ledger.unanswered == ledger.creates


def test_a_refusal_naming_a_known_response_answers_the_open_request() -> None:
    ledger = ledger_of(Tape().creates(0).created(5, "resp_1").creates(6).refuses(7, "resp_1"))
    assert answers(ledger) == [("response", "resp_1"), ("refused", "resp_1")]


def test_a_refusal_naming_a_known_response_answers_the_oldest_open_request() -> None:
    ledger = ledger_of(Tape().creates(0).created(5, "resp_1").creates(6).creates(7).refuses(8, "resp_1"))
    assert answers(ledger) == [("response", "resp_1"), ("refused", "resp_1"), ("none", None)]


def test_a_request_answered_by_an_error_begins_no_response() -> None:
    failed = realtime.error_event("event_9", "server_error", "The server had an error.")
    ledger = ledger_of(Tape().creates(0).server(1, failed).creates(2).created(3, "resp_1"))
    assert answers(ledger) == [("error", None), ("response", "resp_1")]
    assert writers(ledger) == {"resp_1": 1}


def test_a_refusal_before_the_announcement_answers_the_second_request() -> None:
    """With create_ms > 0 the refusal of the second request arrives before response.created of the first."""
    ledger = ledger_of(Tape().creates(0).creates(1).refuses(2, "resp_1").created(50, "resp_1"))
    assert answers(ledger) == [("response", "resp_1"), ("refused", "resp_1")]
    assert writers(ledger) == {"resp_1": 0}


def test_several_refusals_before_the_announcement_answer_all_but_the_first_request() -> None:
    ledger = ledger_of(Tape().creates(0).creates(1).creates(2).refuses(3).refuses(4).created(50, "resp_1"))
    assert answers(ledger) == [("response", "resp_1"), ("refused", "resp_1"), ("refused", "resp_1")]


def test_a_request_can_be_refused_by_an_unannounced_response() -> None:
    """The server started its own response. The refusal arrives before response.created of that response."""
    ledger = ledger_of(Tape().creates(0).refuses(2, "resp_vad").created(5, "resp_vad"))
    assert answers(ledger) == [("refused", "resp_vad")]
    assert writers(ledger) == {"resp_vad": None}


def test_a_response_without_a_request_is_the_servers_own() -> None:
    ledger = ledger_of(Tape().created(0, "resp_vad").done(5, "resp_vad").creates(6).created(9, "resp_1"))
    assert writers(ledger) == {"resp_vad": None, "resp_1": 0}


def test_a_refusal_of_a_paired_request_returns_the_response_to_the_server() -> None:
    """The proxy received response.created of the server's own response while its request was in flight."""
    tape = Tape().creates(0).created(5, "resp_vad").refuses(8, "resp_vad")
    ledger = ledger_of(tape)
    assert answers(ledger) == [("refused", "resp_vad")]
    assert writers(ledger) == {"resp_vad": None}


def test_a_refusal_without_a_name_answers_the_oldest_request() -> None:
    refusal = realtime.error_event("event_1", realtime.ACTIVE_RESPONSE, "Something is active.")
    ledger = ledger_of(Tape().creates(0).server(1, refusal))
    assert answers(ledger) == [("refused", None)]


def test_a_refusal_without_a_request_is_counted_and_answers_none() -> None:
    ledger = ledger_of(Tape().refuses(1, "resp_9"))
    assert len(ledger.refusals) == 1
    assert ledger.creates == []


def test_a_refusal_does_not_unpair_the_request_of_a_finished_response() -> None:
    tape = Tape().creates(0).created(5, "resp_1").done(6, "resp_1").refuses(8, "resp_1")
    assert answers(ledger_of(tape)) == [("response", "resp_1")]


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("server_error", "error"),
        ("rate_limit_exceeded", "error"),
        (None, "error"),
        ("invalid_tool_call_id", "none"),
        ("input_audio_buffer_commit_empty", "none"),
        ("item_truncate_invalid_item_id", "none"),
        ("cannot_update_voice", "none"),
        ("response_cancel_not_active", "none"),
        ("session_expired", "none"),
        ("invalid_value", "none"),
        ("invalid_json", "none"),
    ],
)
def test_which_errors_can_answer_a_request(code: str | None, answer: str) -> None:
    ledger = ledger_of(Tape().creates(0).server(1, realtime.error_event("event_1", code, "It failed.")))
    assert answers(ledger) == [(answer, None)]
    assert ledger.refusals == []


def test_an_out_of_band_request_is_not_answered_in_the_conversation() -> None:
    body = realtime.response_object("resp_oob", None, "text", "in_progress")
    tape = Tape().creates(0).client(1, realtime.create_response(response={"conversation": "none"}))
    ledger = ledger_of(tape.server(2, realtime.response_event(realtime.RESPONSE_CREATED, "event_1", body)))
    assert len(ledger.creates) == 1
    assert ledger.responses == {}
    assert answers(ledger) == [("none", None)]


def test_a_request_naming_the_default_conversation_belongs_to_it() -> None:
    ledger = ledger_of(Tape().client(1, realtime.create_response(response={"conversation": "auto"})))
    assert answers(ledger) == [("none", None)]


def test_requests_before_the_first_session_created_remain_open() -> None:
    """A log can start with the client's messages. Only a further session closes the open requests."""
    opens = Tape().creates(0).server(1, {"type": realtime.SESSION_CREATED, "event_id": "event_a"})
    assert answers(ledger_of(opens)) == [("none", None)]
    opens.server(2, {"type": realtime.SESSION_CREATED, "event_id": "event_a"})
    assert answers(ledger_of(opens)) == [("none", None)], "the same event again"
    assert answers(ledger_of(opens.server(3, {"type": realtime.SESSION_CREATED, "event_id": "event_b"}))) == [("closed", None)]


# -- contents of a response ------------------------------------------------------------------------------------------


def test_a_response_has_its_calls_and_its_end() -> None:
    tape = Tape().creates(0).calls(5).calls(6, call="call_2", begin=False).done(20, "resp_1", "incomplete")
    (response,) = ledger_of(tape).responses.values()
    assert response.calls == ["call_1", "call_2"]
    assert len(response.calls_done) == 2
    assert (response.message, response.heard, response.status) == (False, None, "incomplete")


def test_a_reply_is_heard_from_its_first_text() -> None:
    tape = Tape().creates(0).says(5, "resp_1")
    (response,) = ledger_of(tape).responses.values()
    (text,) = [event.seq for event in tape.events if event.type == realtime.TEXT_DONE]
    assert (response.message, response.heard) == (True, text)
    # More text has no effect, and text of an unannounced response is ignored.
    (response,) = ledger_of(tape.says(6, "resp_1", begin=False).says(7, "resp_9", begin=False)).responses.values()
    assert response.heard == text


@pytest.mark.parametrize("kind", ["computer_call", "custom_call", "mcp_call"])
def test_calls_of_other_kinds_are_no_function_calls(kind: str) -> None:
    item = {"id": "item_1", "type": kind, "call_id": "call_1"}
    tape = Tape().creates(0).created(1, "resp_1")
    response = ledger_of(
        tape.server(2, realtime.output_event("response.output_item.added", "event_9", "resp_1", 0, item))
    ).responses["resp_1"]
    assert (response.calls, response.message) == ([], False)


def test_a_call_announced_twice_is_one_call() -> None:
    tape = Tape().creates(0).calls(1)
    again = next(each.payload for each in tape.events if each.type == realtime.OUTPUT_ADDED)
    assert ledger_of(tape.server(2, again)).calls == ["call_1"]


@pytest.mark.parametrize(
    ("kind", "fields", "heard"),
    [
        (realtime.TEXT_DELTA, {"delta": "It"}, True),
        (realtime.AUDIO_DELTA, {"delta": "AAAA"}, True),
        (realtime.TRANSCRIPT_DELTA, {"delta": "It"}, True),
        (realtime.TRANSCRIPT_DONE, {"transcript": "It is"}, True),
        (realtime.TEXT_DELTA, {"delta": ""}, False),
        (realtime.TEXT_DONE, {"text": ""}, False),
        (realtime.AUDIO_DONE, {}, False),
        ("response.content_part.added", {"part": {"type": "text", "text": "It"}}, False),
        (realtime.ARGUMENTS_DELTA, {"delta": "{}"}, False),
    ],
)
def test_which_events_make_a_reply_heard(kind: str, fields: dict[str, Any], heard: bool) -> None:
    event = realtime.content_event(kind, "event_1", "resp_1", "item_1", 0, **fields)
    ledger = ledger_of(Tape().creates(0).created(1, "resp_1").server(2, event))
    assert (ledger.responses["resp_1"].heard is not None) == heard


def test_active_responses_are_announced_and_not_done() -> None:
    tape = Tape().creates(0).created(1, "resp_1")
    assert [response.id for response in ledger_of(tape).active] == ["resp_1"]
    assert ledger_of(tape.done(2, "resp_1")).active == []


# -- outputs ---------------------------------------------------------------------------------------------------------


def test_outputs_have_their_origin_and_confirmation() -> None:
    ledger = ledger_of(Tape().default_error(0).result(5, confirm=False))
    assert [(output.own, output.confirmed is not None) for output in ledger.outputs] == [(False, True), (True, False)]


def test_two_events_of_one_item_confirm_one_output() -> None:
    tape = Tape().result(0, confirm=False).result(1, confirm=False)
    item = {"id": "item_9", **realtime.output_item("call_1", "{}")}
    for kind in (realtime.ITEM_ADDED, realtime.ITEM_DONE):
        tape.server(5, realtime.conversation_item(kind, "event_1", None, item))
    assert [output.confirmed is not None for output in ledger_of(tape).outputs] == [True, False]


def test_a_result_is_confirmed_by_an_item_of_its_own_call() -> None:
    tape = Tape().result(0, confirm=False).result(1, "call_2", confirm=False)
    assert [output.confirmed is not None for output in ledger_of(tape.confirmed(2, "call_2")).outputs] == [False, True]
    assert [output.confirmed is not None for output in ledger_of(tape.confirmed(3, "call_0")).outputs] == [False, True]


@pytest.mark.parametrize("kind", ["computer_call_output", "message", None])
def test_an_item_of_another_kind_confirms_no_result(kind: str | None) -> None:
    item = {"id": "item_9", "type": kind, "call_id": "call_1"}
    tape = Tape().result(0, confirm=False)
    assert ledger_of(tape.server(1, realtime.conversation_item(realtime.ITEM_ADDED, "event_1", None, item))).outputs[0].waits


def test_a_refused_output_informs_no_reply() -> None:
    refused = realtime.error_event("event_9", "invalid_tool_call_id", "Tool call ID 'call_1' not found in conversation.")
    ledger = ledger_of(
        Tape().creates(0).calls(1).result(2, confirm=False).server(3, refused).done(4, "resp_1").creates(5).says(6)
    )
    assert [output.refused for output in ledger.outputs] == [True]
    assert not ledger.informed(ledger.responses["resp_2"], ["call_1"])


def test_a_reply_is_informed_if_every_own_result_precedes_its_request() -> None:
    def informed(*calls: str) -> bool:
        tape = Tape().creates(0).calls(1).result(2).default_error(2, "call_2").done(3, "resp_1").creates(4)
        ledger = ledger_of(tape.result(5, "call_3").says(6))
        return ledger.informed(ledger.responses["resp_2"], list(calls))

    assert informed("call_1")
    assert not informed("call_1", "call_2"), "the component's own error is no result"
    assert not informed("call_1", "call_3"), "it came after the request"


def test_without_audio_events_a_server_response_knows_results_before_its_announcement() -> None:
    ledger = ledger_of(Tape().creates(0).calls(1).result(2).done(3, "resp_1").says(6, "resp_vad"))
    assert ledger.responses["resp_vad"].create is None
    assert ledger.informed(ledger.responses["resp_vad"], ["call_1"])


def own(tape: Tape, response: str = "resp_vad") -> tuple[bool, str]:
    """Return (whether the server's own response knows the result of call_1, type of the deciding event)."""
    ledger = ledger_of(tape)
    found = ledger.responses[response]
    assert found.create is None
    return ledger.informed(found, ["call_1"]), tape.events[found.decided.key].type


COMMITTED = {"type": input_audio.COMMITTED, "item_id": "item_1"}
TIMEOUT = {"type": input_audio.TIMEOUT_TRIGGERED, "item_id": "item_1"}


def called() -> Tape:
    return Tape().creates(0).calls(1).done(3, "resp_1")


def test_a_result_after_the_servers_commit_does_not_inform_its_response() -> None:
    assert own(called().server(4, COMMITTED).result(5).says(6, "resp_vad")) == (False, input_audio.COMMITTED)
    assert own(called().result(4).server(5, COMMITTED).says(6, "resp_vad")) == (True, input_audio.COMMITTED)


def test_a_result_after_the_idle_timeout_does_not_inform_its_response() -> None:
    late = called().server(4, TIMEOUT).result(5, confirm=False).server(5, COMMITTED).says(6, "resp_vad")
    assert own(late) == (False, input_audio.COMMITTED)
    assert own(called().server(4, TIMEOUT).result(5).says(6, "resp_vad")) == (False, input_audio.TIMEOUT_TRIGGERED)
    assert own(called().result(4).server(5, TIMEOUT).server(5, COMMITTED).says(6, "resp_vad")) == (True, input_audio.COMMITTED)


def test_a_turn_waiting_for_the_slot_is_decided_at_response_done() -> None:
    def waits() -> Tape:
        return Tape().creates(0).calls(1).server(2, COMMITTED)

    assert own(waits().result(3).done(4, "resp_1").says(6, "resp_vad")) == (True, realtime.RESPONSE_DONE)
    assert own(waits().done(4, "resp_1").result(5).says(6, "resp_vad")) == (False, realtime.RESPONSE_DONE)


def test_a_dropped_turn_does_not_decide_the_next_response() -> None:
    dropped = Tape().creates(0).calls(1).server(2, COMMITTED).done(4, "resp_1").result(5)
    assert own(dropped.server(6, COMMITTED).says(7, "resp_vad")) == (True, input_audio.COMMITTED)
    # A request that the server accepts in the meantime also ends the wait.
    dropped = called().server(4, COMMITTED).creates(5).says(6).done(7, "resp_2").result(8).says(9, "resp_vad")
    assert own(dropped) == (True, realtime.RESPONSE_CREATED)


def test_a_commit_of_the_client_decides_no_server_response() -> None:
    tape = called().client(4, {"type": input_audio.COMMIT}).server(5, COMMITTED).result(6).says(7, "resp_vad")
    assert own(tape) == (True, realtime.RESPONSE_CREATED)


def test_a_refused_empty_commit_leaves_the_next_commit_to_the_server() -> None:
    empty = realtime.error_event("event_9", input_audio.COMMIT_EMPTY, "The buffer is empty.")
    tape = called().client(4, {"type": input_audio.COMMIT}).server(5, empty).server(6, COMMITTED).result(7).says(8, "resp_vad")
    assert own(tape) == (False, input_audio.COMMITTED)
    ledger = ledger_of(tape)
    assert [tape.events[each.key].type for each in ledger.inputs] == [input_audio.COMMITTED]


def test_a_refusal_shows_that_the_servers_turn_has_the_slot() -> None:
    """The proxy sent the request before it received the commit."""
    tape = called().creates(4).server(5, COMMITTED).refuses(6, "resp_vad").result(7).says(8, "resp_vad")
    assert own(tape) == (False, input_audio.COMMITTED)


def test_a_response_paired_with_a_request_keeps_its_decision_until_the_refusal() -> None:
    tape = called().server(4, COMMITTED).result(5).creates(5).says(6, "resp_vad").refuses(7, "resp_vad")
    assert own(tape) == (False, input_audio.COMMITTED)


def test_another_connection_has_its_own_decisions() -> None:
    tape = Tape().server(0, {"type": realtime.SESSION_CREATED, "event_id": "event_a"}).server(4, COMMITTED)
    assert ledger_of(tape).decision is not None
    tape.server(5, {"type": realtime.SESSION_CREATED, "event_id": "event_b"}).result(6)
    assert own(tape.says(7, "resp_vad")) == (True, realtime.RESPONSE_CREATED)


def test_an_idle_timeout_does_not_decide_on_another_connection() -> None:
    tape = Tape().server(0, {"type": realtime.SESSION_CREATED, "event_id": "event_a"}).server(1, TIMEOUT)
    tape.server(2, {"type": realtime.SESSION_CREATED, "event_id": "event_b"}).server(3, COMMITTED).result(4).server(
        5, COMMITTED
    )
    assert own(tape.says(6, "resp_vad")) == (True, input_audio.COMMITTED)


def test_a_response_done_without_status_has_none() -> None:
    body = {"id": "resp_1"}
    tape = Tape().creates(0).created(1, "resp_1").server(2, realtime.response_event(realtime.RESPONSE_DONE, "event_9", body))
    response = ledger_of(tape).responses["resp_1"]
    assert (response.status, response.done is None) == (None, False)


@pytest.mark.parametrize("name", [{}, {"call_id": ""}, {"call_id": 5}, {"call_id": None}])
def test_calls_and_results_without_an_id_are_not_paired(name: dict[str, Any]) -> None:
    tape = Tape().creates(0).created(1, "resp_1")
    call = {"type": "function_call", **name}
    tape.server(1, realtime.output_event("response.output_item.added", "event_9", "resp_1", 0, call))
    tape.client(2, {"type": realtime.ITEM_CREATE, "item": {"type": "function_call_output", "output": "{}", **name}})
    ledger = ledger_of(tape)
    assert (ledger.responses["resp_1"].calls, [each.call_id for each in ledger.outputs]) == ([], [""])


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ({"type": "cancelled", "reason": "turn_detected"}, "turn_detected"),
        ({"type": "failed", "error": {"type": "server_error", "code": "rate_limit_exceeded"}}, "rate_limit_exceeded"),
        ({"reason": "max_output_tokens", "error": {"code": "other"}}, "max_output_tokens"),
        ({"reason": 7}, "7"),
        ({"error": "no object"}, None),
        ({}, None),
        (None, None),
        ("no object", None),
    ],
)
def test_the_reason_of_an_end_is_read_from_the_status_details(details: Any, reason: str | None) -> None:
    body = {"id": "resp_1", "status": "failed", "status_details": details}
    tape = Tape().creates(0).created(1, "resp_1").server(2, realtime.response_event(realtime.RESPONSE_DONE, "event_9", body))
    assert ledger_of(tape).responses["resp_1"].reason == reason


def test_a_request_knows_only_the_outputs_before_it() -> None:
    ledger = ledger_of(Tape().creates(0).result(1).creates(2).result(3).result(4).creates(5))
    assert [create.outputs_before for create in ledger.creates] == [0, 1, 3]


@pytest.mark.parametrize(
    ("content", "placeholder"),
    [
        ('{"temperature_c":21}', None),
        ('{ "error": "' + agent.DEFAULT_ERROR + '" }', "component"),
        ('"CANCELLED"', "pipecat"),
        # The tool itself returned the same text, with pipecat or another client.
        (json.dumps('"CANCELLED"'), None),
        ('{"status":"CANCELLED"}', None),
        ("CANCELLED", None),
        ('"COMPLETED"', None),
        ("[" * 100_000 + '"CANCELLED"', None),
    ],
)
def test_a_placeholder_result_informs_no_reply(content: str, placeholder: str | None) -> None:
    ledger = ledger_of(Tape().creates(0).calls(1).done(2, "resp_1").result(3, content=content).creates(4).says(5))
    assert [(each.placeholder, each.own) for each in ledger.outputs] == [(placeholder, placeholder is None)]
    assert ledger.informed(ledger.responses["resp_2"], ["call_1"]) is (placeholder is None)


def test_every_placeholder_has_a_source_and_is_recognised() -> None:
    for row in PLACEHOLDERS:
        assert placeholder_in(json.dumps(row.value, indent=1)) is row
        assert row.when
        assert row.source


def test_a_result_waits_until_confirmed_refused_or_disconnected() -> None:
    refused = realtime.error_event("event_9", "invalid_tool_call_id", "Tool call ID 'call_1' not found in conversation.")
    begun = Tape().server(0, {"type": realtime.SESSION_CREATED, "event_id": "event_a"})
    lost = begun.result(1, confirm=False).server(2, {"type": realtime.SESSION_CREATED, "event_id": "event_b"})
    for tape, waits in (
        (Tape().result(0, confirm=False), True),
        (Tape().result(0), False),
        (Tape().result(0, confirm=False).server(1, refused), False),
        (lost, False),
    ):
        assert [each.waits for each in ledger_of(tape).outputs] == [waits]


def test_a_result_lost_with_its_connection_leaves_no_open_turn() -> None:
    tape = Tape().server(0, {"type": realtime.SESSION_CREATED, "event_id": "event_a"}).creates(0).calls(1).done(2, "resp_1")
    tape.result(3, confirm=False)
    assert not settled_for_explorer(ledger_of(tape))
    assert settled_for_explorer(ledger_of(tape.server(4, {"type": realtime.SESSION_CREATED, "event_id": "event_b"})))


# -- inputs and other events -----------------------------------------------------------------------------------------


def test_user_inputs_are_text_items_and_committed_audio() -> None:
    tape = Tape().asks(0, "Hello?").server(5, {"type": "input_audio_buffer.committed", "item_id": "item_1"})
    tape.client(6, realtime.create_item(realtime.assistant_item("Not the user.")))
    assert [each.text for each in ledger_of(tape).inputs] == ["Hello?", None]


def test_spoken_input_begins_with_the_speech_before_its_commit() -> None:
    started = {"type": input_audio.SPEECH_STARTED, "item_id": "item_1"}
    tape = Tape().server(0, started).server(1, COMMITTED).server(2, COMMITTED).client(3, {"type": input_audio.COMMIT})
    tape.creates(4).server(5, COMMITTED)
    # The client made the last commit. The confirmation arrived after the request.
    assert [(each.began, each.key, each.text) for each in ledger_of(tape).inputs] == [(0, 1, None), (2, 2, None), (3, 3, None)]


def test_session_updates_are_counted() -> None:
    tape = Tape().client(0, realtime.update_session({})).client(1, realtime.update_session({}))
    assert len(ledger_of(tape).session_updates) == 2


@pytest.mark.parametrize(
    "payload",
    [
        None,
        b"\0",
        "text",
        {},
        {"type": None},
        {"type": "error"},
        {"type": "error", "error": {"code": ["a"]}},
        {"type": "response.created"},
        {"type": ["response.output_text.done"], "response_id": "resp_1"},
        {"type": {}, "response_id": "resp_1", "item": 5},
        {"type": "conversation.item.create", "item": {"type": ["function_call_output"]}},
    ],
)
@pytest.mark.parametrize("sender", ["proxy", "upstream"])
def test_malformed_messages_do_not_change_the_ledger(sender: str, payload: Any) -> None:
    ledger = ledger_of(Tape().creates(0).calls(1))
    ledger.feed(sender, payload, 99)
    assert len(ledger.creates) == 1


def at_upstream(recording: Recording) -> Ledger:
    """Return the ledger of the events in their order at the upstream."""
    ledger = Ledger()
    wire = [event for event in recording.events if event.kind == "message" and "upstream" in event.link]
    for event in sorted(wire, key=lambda each: (each.at_ns("upstream"), each.seq)):
        ledger.feed(event.link.sender, event.payload, event.seq)
    return ledger


@settings(max_examples=100)
@given(
    st.sampled_from(["0.9.1", "0.9.4", "0.10.0", "0.11.1"]),
    st.sampled_from(["return", "void_ref", "async_ref", "ref_now"]),
    st.integers(0, 400),
    st.sampled_from([0, 5, 100]),
    st.integers(1, 3),
)
def test_requests_of_a_simulated_session_have_the_mocks_answers(
    release: str, handler: str, tool_ms: int, create_ms: int, calls: int
) -> None:
    recording = play(
        release=release, handler=handler, tool_ms=tool_ms, create_ms=create_ms, scenario="parallel", calls=calls, host_rtt_ms=3,
        upstream_rtt_ms=7,
    )  # fmt: skip
    ledger = at_upstream(recording)
    refused = [each for each in on_wire(recording, "upstream>proxy", "error") if realtime.is_refusal(each.payload)]  # type: ignore[arg-type]
    created = on_wire(recording, "upstream>proxy", "response.created")
    assert sum(create.answer == "refused" for create in ledger.creates) == len(refused) == len(ledger.refusals)
    assert sum(create.answer == "response" for create in ledger.creates) == len(created)
    assert all(response.create is not None and response.done is not None for response in ledger.responses.values())
    assert ledger.unanswered == []
    for create in ledger.creates:
        assert_answered_in_time(create, recording)


def assert_answered_in_time(create: Create, recording: Recording) -> None:
    """Assert that response.created follows its request after exactly create_ms, and that a refusal has no delay."""
    times = {event.seq: event.at_ns("upstream") for event in recording.events}
    assert create.answered is not None
    waited = times[create.answered] - times[create.key]  # type: ignore[operator]
    expected = {"response": int(float(recording.provenance["times"]["create_ms"]) * 1e6), "refused": 0}
    assert waited == expected[create.answer]


def test_the_default_error_is_recognised_with_any_spacing() -> None:
    ledger = ledger_of(Tape().result(0, content='{ "error": "' + agent.DEFAULT_ERROR + '" }'))
    assert [output.own for output in ledger.outputs] == [False]
