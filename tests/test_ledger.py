"""Which create began which response, and which was refused? Told from one place on the wire, in the order of passing."""

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


def books(tape: Tape) -> Ledger:
    """The books of what is on a tape's upstream link, in the order it was written. Keys are seqs."""
    ledger = Ledger()
    for event in tape.events:
        if "upstream" in event.link:
            ledger.feed(event.link.sender, event.payload, event.seq)
    return ledger


def answers(ledger: Ledger) -> list[tuple[str, str | None]]:
    """(what became of it, the response it names) for every create, in order."""
    return [(create.answer, create.names) for create in ledger.creates]


def writers(ledger: Ledger) -> dict[str, int | None]:
    """Response -> the create that began it, None for the server's own."""
    return {name: response.create for name, response in ledger.responses.items()}


# -- pairing ---------------------------------------------------------------------------------------------------------


def test_creates_are_announced_in_the_order_they_were_sent() -> None:
    tape = Tape().creates(0).created(5, "resp_1").done(9, "resp_1").creates(10).created(15, "resp_2")
    ledger = books(tape)
    assert answers(ledger) == [("response", "resp_1"), ("response", "resp_2")]
    assert writers(ledger) == {"resp_1": 0, "resp_2": 1}


def test_a_create_nobody_answered_is_unanswered() -> None:
    ledger = books(Tape().creates(0))
    assert answers(ledger) == [("none", None)]
    assert ledger.unanswered == ledger.creates


def test_a_refusal_that_names_a_known_response_answers_the_oldest_create() -> None:
    ledger = books(Tape().creates(0).created(5, "resp_1").creates(6).refuses(7, "resp_1"))
    assert answers(ledger) == [("response", "resp_1"), ("refused", "resp_1")]


def test_a_refusal_that_names_a_known_response_answers_the_oldest_of_several_creates() -> None:
    ledger = books(Tape().creates(0).created(5, "resp_1").creates(6).creates(7).refuses(8, "resp_1"))
    assert answers(ledger) == [("response", "resp_1"), ("refused", "resp_1"), ("none", None)]


def test_a_create_that_an_error_answered_begins_no_response() -> None:
    failed = realtime.error_event("event_9", "server_error", "The server had an error.")
    ledger = books(Tape().creates(0).server(1, failed).creates(2).created(3, "resp_1"))
    assert answers(ledger) == [("error", None), ("response", "resp_1")]
    assert writers(ledger) == {"resp_1": 1}


def test_a_refusal_before_the_announcement_answers_the_second_create() -> None:
    """With create_ms > 0 the refusal of a second create overtakes the first one's response.created."""
    ledger = books(Tape().creates(0).creates(1).refuses(2, "resp_1").created(50, "resp_1"))
    assert answers(ledger) == [("response", "resp_1"), ("refused", "resp_1")]
    assert writers(ledger) == {"resp_1": 0}


def test_several_refusals_before_the_announcement_answer_all_but_the_first_create() -> None:
    ledger = books(Tape().creates(0).creates(1).creates(2).refuses(3).refuses(4).created(50, "resp_1"))
    assert answers(ledger) == [("response", "resp_1"), ("refused", "resp_1"), ("refused", "resp_1")]


def test_one_create_refused_by_a_response_nobody_announced_yet() -> None:
    """The server began a response itself, and the refusal overtakes its response.created."""
    ledger = books(Tape().creates(0).refuses(2, "resp_vad").created(5, "resp_vad"))
    assert answers(ledger) == [("refused", "resp_vad")]
    assert writers(ledger) == {"resp_vad": None}


def test_a_response_without_a_create_is_the_servers_own() -> None:
    ledger = books(Tape().created(0, "resp_vad").done(5, "resp_vad").creates(6).created(9, "resp_1"))
    assert writers(ledger) == {"resp_vad": None, "resp_1": 0}


def test_a_refusal_that_finds_its_create_paired_gives_the_response_back_to_the_server() -> None:
    """Seen at the proxy: the create was on its way when the server's own response was announced."""
    tape = Tape().creates(0).created(5, "resp_vad").refuses(8, "resp_vad")
    ledger = books(tape)
    assert answers(ledger) == [("refused", "resp_vad")]
    assert writers(ledger) == {"resp_vad": None}


def test_a_refusal_that_names_nobody_answers_the_oldest_create() -> None:
    refusal = realtime.error_event("event_1", realtime.ACTIVE_RESPONSE, "Something is active.")
    ledger = books(Tape().creates(0).server(1, refusal))
    assert answers(ledger) == [("refused", None)]


def test_a_refusal_without_any_create_is_counted_and_answers_nothing() -> None:
    ledger = books(Tape().refuses(1, "resp_9"))
    assert len(ledger.refusals) == 1
    assert ledger.creates == []


def test_a_refusal_of_another_event_takes_no_create_from_a_response_that_is_over() -> None:
    tape = Tape().creates(0).created(5, "resp_1").done(6, "resp_1").refuses(8, "resp_1")
    assert answers(books(tape)) == [("response", "resp_1")]


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
def test_which_errors_can_be_the_answer_to_a_create(code: str | None, answer: str) -> None:
    ledger = books(Tape().creates(0).server(1, realtime.error_event("event_1", code, "It failed.")))
    assert answers(ledger) == [(answer, None)]
    assert ledger.refusals == []


def test_a_create_out_of_band_is_no_writer_of_the_conversation() -> None:
    body = realtime.response_object("resp_oob", None, "text", "in_progress")
    tape = Tape().creates(0).client(1, realtime.create_response(response={"conversation": "none"}))
    ledger = books(tape.server(2, realtime.response_event(realtime.RESPONSE_CREATED, "event_1", body)))
    assert len(ledger.creates) == 1
    assert ledger.responses == {}
    assert answers(ledger) == [("none", None)]


def test_a_create_that_names_the_default_conversation_is_one_of_it() -> None:
    ledger = books(Tape().client(1, realtime.create_response(response={"conversation": "auto"})))
    assert answers(ledger) == [("none", None)]


def test_what_was_sent_before_the_first_session_began_is_still_open() -> None:
    """A log may begin with the client's messages: only another session ends what the one before left open."""
    opens = Tape().creates(0).server(1, {"type": realtime.SESSION_CREATED, "event_id": "event_a"})
    assert answers(books(opens)) == [("none", None)]
    opens.server(2, {"type": realtime.SESSION_CREATED, "event_id": "event_a"})
    assert answers(books(opens)) == [("none", None)], "the same event again"
    assert answers(books(opens.server(3, {"type": realtime.SESSION_CREATED, "event_id": "event_b"}))) == [("closed", None)]


# -- what a response holds -------------------------------------------------------------------------------------------


def test_a_response_with_its_calls_and_its_end() -> None:
    tape = Tape().creates(0).calls(5).calls(6, call="call_2", begin=False).done(20, "resp_1", "incomplete")
    (response,) = books(tape).responses.values()
    assert response.calls == ["call_1", "call_2"]
    assert len(response.calls_done) == 2
    assert (response.message, response.heard, response.status) == (False, None, "incomplete")


def test_a_reply_is_heard_from_its_first_text_on() -> None:
    tape = Tape().creates(0).says(5, "resp_1")
    (response,) = books(tape).responses.values()
    (text,) = [event.seq for event in tape.events if event.type == realtime.TEXT_DONE]
    assert (response.message, response.heard) == (True, text)
    # More of it changes nothing, and text of a response that was never announced belongs to none.
    (response,) = books(tape.says(6, "resp_1", begin=False).says(7, "resp_9", begin=False)).responses.values()
    assert response.heard == text


@pytest.mark.parametrize("kind", ["computer_call", "custom_call", "mcp_call"])
def test_a_call_of_another_kind_than_a_function_is_none(kind: str) -> None:
    item = {"id": "item_1", "type": kind, "call_id": "call_1"}
    tape = Tape().creates(0).created(1, "resp_1")
    response = books(
        tape.server(2, realtime.output_event("response.output_item.added", "event_9", "resp_1", 0, item))
    ).responses["resp_1"]
    assert (response.calls, response.message) == ([], False)


def test_a_call_that_is_announced_twice_is_one() -> None:
    tape = Tape().creates(0).calls(1)
    again = next(each.payload for each in tape.events if each.type == realtime.OUTPUT_ADDED)
    assert books(tape.server(2, again)).calls == ["call_1"]


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
def test_what_of_a_reply_can_be_heard(kind: str, fields: dict[str, Any], heard: bool) -> None:
    event = realtime.content_event(kind, "event_1", "resp_1", "item_1", 0, **fields)
    ledger = books(Tape().creates(0).created(1, "resp_1").server(2, event))
    assert (ledger.responses["resp_1"].heard is not None) == heard


def test_active_are_the_responses_announced_and_not_done() -> None:
    tape = Tape().creates(0).created(1, "resp_1")
    assert [response.id for response in books(tape).active] == ["resp_1"]
    assert books(tape.done(2, "resp_1")).active == []


# -- outputs ---------------------------------------------------------------------------------------------------------


def test_whose_output_is_it_and_was_it_confirmed() -> None:
    ledger = books(Tape().default_error(0).result(5, confirm=False))
    assert [(output.own, output.confirmed is not None) for output in ledger.outputs] == [(False, True), (True, False)]


def test_two_events_of_one_item_confirm_one_output() -> None:
    tape = Tape().result(0, confirm=False).result(1, confirm=False)
    item = {"id": "item_9", **realtime.output_item("call_1", "{}")}
    for kind in (realtime.ITEM_ADDED, realtime.ITEM_DONE):
        tape.server(5, realtime.conversation_item(kind, "event_1", None, item))
    assert [output.confirmed is not None for output in books(tape).outputs] == [True, False]


def test_a_result_is_confirmed_by_an_item_of_its_own_call() -> None:
    tape = Tape().result(0, confirm=False).result(1, "call_2", confirm=False)
    assert [output.confirmed is not None for output in books(tape.confirmed(2, "call_2")).outputs] == [False, True]
    assert [output.confirmed is not None for output in books(tape.confirmed(3, "call_0")).outputs] == [False, True]


@pytest.mark.parametrize("kind", ["computer_call_output", "message", None])
def test_an_item_of_another_kind_confirms_no_result(kind: str | None) -> None:
    item = {"id": "item_9", "type": kind, "call_id": "call_1"}
    tape = Tape().result(0, confirm=False)
    assert books(tape.server(1, realtime.conversation_item(realtime.ITEM_ADDED, "event_1", None, item))).outputs[0].waits


def test_an_output_the_api_does_not_take_informs_nobody() -> None:
    refused = realtime.error_event("event_9", "invalid_tool_call_id", "Tool call ID 'call_1' not found in conversation.")
    ledger = books(Tape().creates(0).calls(1).result(2, confirm=False).server(3, refused).done(4, "resp_1").creates(5).says(6))
    assert [output.refused for output in ledger.outputs] == [True]
    assert not ledger.informed(ledger.responses["resp_2"], ["call_1"])


def test_a_reply_is_informed_if_every_own_result_was_there_before_its_create() -> None:
    def informed(*calls: str) -> bool:
        tape = Tape().creates(0).calls(1).result(2).default_error(2, "call_2").done(3, "resp_1").creates(4)
        ledger = books(tape.result(5, "call_3").says(6))
        return ledger.informed(ledger.responses["resp_2"], list(calls))

    assert informed("call_1")
    assert not informed("call_1", "call_2"), "the component's own error is no result"
    assert not informed("call_1", "call_3"), "it came behind the create"


def test_without_audio_events_the_servers_own_response_knows_what_passed_before_its_announcement() -> None:
    ledger = books(Tape().creates(0).calls(1).result(2).done(3, "resp_1").says(6, "resp_vad"))
    assert ledger.responses["resp_vad"].create is None
    assert ledger.informed(ledger.responses["resp_vad"], ["call_1"])


def own(tape: Tape, response: str = "resp_vad") -> tuple[bool, str]:
    """Whether the server's own response knows the result of call_1, and the type of the event at which it was decided."""
    ledger = books(tape)
    found = ledger.responses[response]
    assert found.create is None
    return ledger.informed(found, ["call_1"]), tape.events[found.decided.key].type


COMMITTED = {"type": input_audio.COMMITTED, "item_id": "item_1"}
TIMEOUT = {"type": input_audio.TIMEOUT_TRIGGERED, "item_id": "item_1"}


def called() -> Tape:
    return Tape().creates(0).calls(1).done(3, "resp_1")


def test_a_result_behind_the_servers_commit_does_not_inform_its_own_response() -> None:
    assert own(called().server(4, COMMITTED).result(5).says(6, "resp_vad")) == (False, input_audio.COMMITTED)
    assert own(called().result(4).server(5, COMMITTED).says(6, "resp_vad")) == (True, input_audio.COMMITTED)


def test_a_result_behind_the_idle_timeout_does_not_inform_the_response_it_begins() -> None:
    late = called().server(4, TIMEOUT).result(5, confirm=False).server(5, COMMITTED).says(6, "resp_vad")
    assert own(late) == (False, input_audio.COMMITTED)
    assert own(called().server(4, TIMEOUT).result(5).says(6, "resp_vad")) == (False, input_audio.TIMEOUT_TRIGGERED)
    assert own(called().result(4).server(5, TIMEOUT).server(5, COMMITTED).says(6, "resp_vad")) == (True, input_audio.COMMITTED)


def test_a_turn_that_waits_for_the_slot_is_decided_at_the_end_of_the_response_in_its_way() -> None:
    def waits() -> Tape:
        return Tape().creates(0).calls(1).server(2, COMMITTED)

    assert own(waits().result(3).done(4, "resp_1").says(6, "resp_vad")) == (True, realtime.RESPONSE_DONE)
    assert own(waits().done(4, "resp_1").result(5).says(6, "resp_vad")) == (False, realtime.RESPONSE_DONE)


def test_a_turn_that_the_server_dropped_decides_nothing_about_the_next() -> None:
    dropped = Tape().creates(0).calls(1).server(2, COMMITTED).done(4, "resp_1").result(5)
    assert own(dropped.server(6, COMMITTED).says(7, "resp_vad")) == (True, input_audio.COMMITTED)
    # A create that the server took since then ends the wait as well.
    dropped = called().server(4, COMMITTED).creates(5).says(6).done(7, "resp_2").result(8).says(9, "resp_vad")
    assert own(dropped) == (True, realtime.RESPONSE_CREATED)


def test_a_commit_of_the_clients_is_no_decision_of_the_servers() -> None:
    tape = called().client(4, {"type": input_audio.COMMIT}).server(5, COMMITTED).result(6).says(7, "resp_vad")
    assert own(tape) == (True, realtime.RESPONSE_CREATED)


def test_an_empty_commit_of_the_clients_is_none_and_the_servers_next_one_is_its_own() -> None:
    empty = realtime.error_event("event_9", input_audio.COMMIT_EMPTY, "The buffer is empty.")
    tape = called().client(4, {"type": input_audio.COMMIT}).server(5, empty).server(6, COMMITTED).result(7).says(8, "resp_vad")
    assert own(tape) == (False, input_audio.COMMITTED)
    ledger = books(tape)
    assert [tape.events[each.key].type for each in ledger.inputs] == [input_audio.COMMITTED]


def test_a_refusal_shows_that_the_servers_turn_had_the_slot() -> None:
    """As a proxy sees it: the create left before the commit was read."""
    tape = called().creates(4).server(5, COMMITTED).refuses(6, "resp_vad").result(7).says(8, "resp_vad")
    assert own(tape) == (False, input_audio.COMMITTED)


def test_a_response_taken_for_a_creates_keeps_the_decision_until_the_refusal_shows_it() -> None:
    tape = called().server(4, COMMITTED).result(5).creates(5).says(6, "resp_vad").refuses(7, "resp_vad")
    assert own(tape) == (False, input_audio.COMMITTED)


def test_another_connection_has_its_own_decisions() -> None:
    tape = Tape().server(0, {"type": realtime.SESSION_CREATED, "event_id": "event_a"}).server(4, COMMITTED)
    assert books(tape).decision is not None
    tape.server(5, {"type": realtime.SESSION_CREATED, "event_id": "event_b"}).result(6)
    assert own(tape.says(7, "resp_vad")) == (True, realtime.RESPONSE_CREATED)


def test_an_idle_timeout_of_one_connection_does_not_decide_on_another() -> None:
    tape = Tape().server(0, {"type": realtime.SESSION_CREATED, "event_id": "event_a"}).server(1, TIMEOUT)
    tape.server(2, {"type": realtime.SESSION_CREATED, "event_id": "event_b"}).server(3, COMMITTED).result(4).server(
        5, COMMITTED
    )
    assert own(tape.says(6, "resp_vad")) == (True, input_audio.COMMITTED)


def test_an_end_without_a_status_has_none() -> None:
    body = {"id": "resp_1"}
    tape = Tape().creates(0).created(1, "resp_1").server(2, realtime.response_event(realtime.RESPONSE_DONE, "event_9", body))
    response = books(tape).responses["resp_1"]
    assert (response.status, response.done is None) == (None, False)


@pytest.mark.parametrize("name", [{}, {"call_id": ""}, {"call_id": 5}, {"call_id": None}])
def test_a_call_and_a_result_without_an_id_belong_to_nothing(name: dict[str, Any]) -> None:
    tape = Tape().creates(0).created(1, "resp_1")
    call = {"type": "function_call", **name}
    tape.server(1, realtime.output_event("response.output_item.added", "event_9", "resp_1", 0, call))
    tape.client(2, {"type": realtime.ITEM_CREATE, "item": {"type": "function_call_output", "output": "{}", **name}})
    ledger = books(tape)
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
def test_why_a_response_ended_is_in_its_details(details: Any, reason: str | None) -> None:
    body = {"id": "resp_1", "status": "failed", "status_details": details}
    tape = Tape().creates(0).created(1, "resp_1").server(2, realtime.response_event(realtime.RESPONSE_DONE, "event_9", body))
    assert books(tape).responses["resp_1"].reason == reason


def test_a_create_knows_the_outputs_before_it_and_none_behind() -> None:
    ledger = books(Tape().creates(0).result(1).creates(2).result(3).result(4).creates(5))
    assert [create.outputs_before for create in ledger.creates] == [0, 1, 3]


@pytest.mark.parametrize(
    ("content", "placeholder"),
    [
        ('{"temperature_c":21}', None),
        ('{ "error": "' + agent.DEFAULT_ERROR + '" }', "component"),
        ('"CANCELLED"', "pipecat"),
        # What a tool itself says of an order, under pipecat and elsewhere.
        (json.dumps('"CANCELLED"'), None),
        ('{"status":"CANCELLED"}', None),
        ("CANCELLED", None),
        ('"COMPLETED"', None),
        ("[" * 100_000 + '"CANCELLED"', None),
    ],
)
def test_a_result_that_stands_in_for_the_apps_informs_no_reply(content: str, placeholder: str | None) -> None:
    ledger = books(Tape().creates(0).calls(1).done(2, "resp_1").result(3, content=content).creates(4).says(5))
    assert [(each.placeholder, each.own) for each in ledger.outputs] == [(placeholder, placeholder is None)]
    assert ledger.informed(ledger.responses["resp_2"], ["call_1"]) is (placeholder is None)


def test_every_placeholder_has_a_source_and_is_recognised() -> None:
    for row in PLACEHOLDERS:
        assert placeholder_in(json.dumps(row.value, indent=1)) is row
        assert row.when
        assert row.source


def test_a_result_waits_until_it_is_confirmed_or_refused_or_its_connection_goes() -> None:
    refused = realtime.error_event("event_9", "invalid_tool_call_id", "Tool call ID 'call_1' not found in conversation.")
    begun = Tape().server(0, {"type": realtime.SESSION_CREATED, "event_id": "event_a"})
    lost = begun.result(1, confirm=False).server(2, {"type": realtime.SESSION_CREATED, "event_id": "event_b"})
    for tape, waits in (
        (Tape().result(0, confirm=False), True),
        (Tape().result(0), False),
        (Tape().result(0, confirm=False).server(1, refused), False),
        (lost, False),
    ):
        assert [each.waits for each in books(tape).outputs] == [waits]


def test_a_result_that_went_with_its_connection_leaves_nothing_of_the_turn_open_for_the_explorer() -> None:
    tape = Tape().server(0, {"type": realtime.SESSION_CREATED, "event_id": "event_a"}).creates(0).calls(1).done(2, "resp_1")
    tape.result(3, confirm=False)
    assert not settled_for_explorer(books(tape))
    assert settled_for_explorer(books(tape.server(4, {"type": realtime.SESSION_CREATED, "event_id": "event_b"})))


# -- the rest --------------------------------------------------------------------------------------------------------


def test_user_inputs_are_text_items_and_committed_audio() -> None:
    tape = Tape().asks(0, "Hello?").server(5, {"type": "input_audio_buffer.committed", "item_id": "item_1"})
    tape.client(6, realtime.create_item(realtime.assistant_item("Not the user.")))
    assert [each.text for each in books(tape).inputs] == ["Hello?", None]


def test_spoken_input_begins_with_the_speech_that_came_before_its_commit() -> None:
    started = {"type": input_audio.SPEECH_STARTED, "item_id": "item_1"}
    tape = Tape().server(0, started).server(1, COMMITTED).server(2, COMMITTED).client(3, {"type": input_audio.COMMIT})
    tape.creates(4).server(5, COMMITTED)
    # The last was committed by the client: its news passed behind the create.
    assert [(each.began, each.key, each.text) for each in books(tape).inputs] == [(0, 1, None), (2, 2, None), (3, 3, None)]


def test_session_updates_are_counted() -> None:
    tape = Tape().client(0, realtime.update_session({})).client(1, realtime.update_session({}))
    assert len(books(tape).session_updates) == 2


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
def test_nothing_that_passes_upsets_the_books(sender: str, payload: Any) -> None:
    ledger = books(Tape().creates(0).calls(1))
    ledger.feed(sender, payload, 99)
    assert len(ledger.creates) == 1


def at_upstream(recording: Recording) -> Ledger:
    """The books as the upstream itself would keep them."""
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
def test_in_a_played_session_every_create_has_the_answer_the_mock_gave(
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
    """A response that a create is said to have begun was announced after it, and create_ms after it exactly."""
    times = {event.seq: event.at_ns("upstream") for event in recording.events}
    assert create.answered is not None
    waited = times[create.answered] - times[create.key]  # type: ignore[operator]
    expected = {"response": int(float(recording.provenance["times"]["create_ms"]) * 1e6), "refused": 0}
    assert waited == expected[create.answer]


def test_the_default_error_is_known_to_the_books_whatever_its_spacing() -> None:
    ledger = books(Tape().result(0, content='{ "error": "' + agent.DEFAULT_ERROR + '" }'))
    assert [output.own for output in ledger.outputs] == [False]
