"""Test every outcome with a hand-written recording, and properties of the verdict of any recording."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import reduce
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.played import play, refusals, said, session, tool_turn, verdict
from support.tape import Tape, asked
from test_virtual import SESSIONS

from voicerace.analysis.verdict import BAD, OUTCOMES, Turn, judge
from voicerace.engine.sim.virtual import simulate
from voicerace.model.catalog.releases import PROXIES
from voicerace.model.catalog.scenarios import REPRO
from voicerace.model.protocol import agent, input_audio, realtime
from voicerace.trace.recording import LINKS, Event, Link, Recording
from voicerace.units import ns

UPSTREAM_LINK = (Link("proxy", "upstream"), Link("upstream", "proxy"))
HOST_LINK = (Link("component", "proxy"), Link("proxy", "component"))


def called() -> Tape:
    """Return a tape with the call at 0 ms and the end of its response at 8 ms."""
    return asked().done(8, "resp_1")


def replies(tape: Tape, at_ms: float, response: str = "resp_2", status: str = "completed") -> Tape:
    """Add a response.create, its reply 500 ms later, and the end of the reply."""
    return tape.creates(at_ms).says(at_ms + 500, response).done(at_ms + 505, response, status)


def thanks(tape: Tape, at_ms: float) -> Tape:
    """Add a further user input and its reply."""
    return replies(tape.asks(at_ms, "Thank you."), at_ms, "resp_last")


def turn_of(tape: Tape, **words: Any) -> Turn:
    return tool_turn(tape.recording(**words))


# -- every outcome from hand-written recordings ----------------------------------------------------------------------

HAND_MADE: dict[str, list[Tape]] = {
    "answered": [
        replies(called().result(50), 50).close(1000),
        thanks(replies(called().result(50), 50), 2000),
        # Two calls have results before the reply is requested.
        replies(asked().calls(2, call="call_2", begin=False).done(8, "resp_1").result(20).result(30, "call_2"), 30).close(900),
        # With server VAD, the server's own response starts after the result.
        called().result(50).says(500, "resp_vad").done(505, "resp_vad").close(1000),
        # An empty extra response is not heard, so it is not a reply.
        replies(called().result(50), 50).creates(600).created(605, "resp_3").done(610, "resp_3").close(1000),
    ],
    "noisy": [
        replies(asked().result(4).creates(4).refuses(4, told=True).done(8, "resp_1").result(20), 20).close(1000),
        replies(called().result(50), 50).creates(600).created(601, "resp_3").creates(602).refuses(602, "resp_3").done(
            603, "resp_3"
        ).close(1000),
    ],
    "late": [
        replies(called().result(50), 5050.000001).close(9000),
        replies(called().result(50, confirm=False).confirmed(70), 5071).close(9000),
    ],
    "interrupted": [
        replies(called().result(50), 50, status="cancelled").close(1000),
        replies(called().result(50), 50, status="incomplete").close(1000),
        called().result(50).creates(50).says(300).close(400),
    ],
    "duplicated": [
        replies(replies(called().result(50), 50).result(900), 900, "resp_3").close(2000),
        replies(replies(called().default_error(8), 8).result(900), 900, "resp_3").close(2000),
    ],
    "stale": [
        replies(called().default_error(8), 8).result(600).close(1000),
        called().default_error(8).creates(8).created(10, "resp_2").result(50).creates(50).refuses(50, "resp_2", told=True)
        .says(500, begin=False).done(505, "resp_2").close(1000),
        # Two replies are both based only on the component's error.
        replies(replies(called().default_error(8), 8), 600, "resp_3").result(1200).close(2000),
        # The result is pipecat's placeholder for a tool that it cancelled.
        replies(called().result(8, content='"CANCELLED"'), 8).result(600).close(1000),
        # Only one of two calls has a result.
        replies(asked().calls(2, call="call_2", begin=False).done(8, "resp_1").result(20), 20).result(700, "call_2").close(900),
    ],
    "rejected": [
        asked().result(4).creates(4).refuses(4, told=True).done(8, "resp_1").close(40_000),
        asked().result(4).creates(4).refuses(4, told=True).close(5),
        thanks(asked().result(4).creates(4).refuses(4, told=True).done(8, "resp_1"), 30_004),
    ],
    "lost": [
        asked().result(4).creates(4).refuses(4).done(8, "resp_1").close(40_000),
        thanks(asked().result(4).creates(4).refuses(4).done(8, "resp_1"), 30_004),
    ],
    "failed": [
        called().result(50).creates(50).close(40_000),
        called().result(50).creates(50).fails(51).close(40_000),
        called().result(50).creates(50).created(60, "resp_2").done(70, "resp_2").close(40_000),
        called().result(50).creates(50).created(60, "resp_2").done(70, "resp_2", "failed").close(40_000),
        called().result(50).creates(50).created(60, "resp_2").close(40_000),
    ],
    "stalled": [
        called().result(50).close(40_000),
        called().result(50).asks(30_050, "Hello?").close(61_000),
        thanks(called().result(50), 30_050),
    ],
    "no_result": [
        called().close(40_000),
        called().default_error(0).close(40_000),
        replies(called().result(8, content='"CANCELLED"'), 8).close(40_000),
        thanks(called(), 30_000).close(60_000),
        thanks(asked().default_error(4).creates(4).refuses(4, told=True).done(8, "resp_1"), 30_000),
    ],
    "abandoned": [
        called().result(50).close(51),
        called().result(50).creates(50).close(60),
        called().result(50).creates(50).created(60, "resp_2").close(70, "upstream>proxy"),
        called().close(20),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "tape"), [(name, tape) for name, tapes in HAND_MADE.items() for tape in tapes],
    ids=[f"{name}-{index}" for name, tapes in HAND_MADE.items() for index in range(len(tapes))],
)  # fmt: skip
def test_a_hand_written_recording_has_its_outcome(outcome: str, tape: Tape) -> None:
    turn = turn_of(tape)
    assert turn.outcome == outcome, turn.why
    assert turn.why


def test_an_informed_reply_that_ends_without_a_status_is_unknown() -> None:
    body = {"id": "resp_2", "conversation_id": "conv_1"}
    tape = called().result(50).creates(50).says(300).server(400, realtime.response_event(realtime.RESPONSE_DONE, "e", body))
    turn = turn_of(tape.close(1000))
    assert (turn.outcome, turn.why) == ("unknown", "the reply's response.done has no status")


def test_a_failed_reply_that_ends_without_a_status_is_described_as_such() -> None:
    body = {"id": "resp_2", "conversation_id": "conv_1"}
    tape = called().result(50).creates(50).created(60, "resp_2")
    turn = turn_of(tape.server(400, realtime.response_event(realtime.RESPONSE_DONE, "e", body)).close(40_000))
    assert turn.outcome == "failed"
    assert turn.why.endswith("a response, of no known status, nothing heard of it")


def ended(tape: Tape, at_ms: float, status: str, reason: str) -> Tape:
    """Add the end of resp_2, with `reason` in its status details."""
    body = realtime.response_object("resp_2", "conv_1", "text", status) | {"status_details": {"type": status, "reason": reason}}
    return tape.server(at_ms, realtime.response_event(realtime.RESPONSE_DONE, "event_end", body))


def begun() -> Tape:
    """Return a tape with a response to the result, before anything of the response is heard."""
    return called().result(50).creates(50).created(60, "resp_2")


@pytest.mark.parametrize(
    ("tape", "by", "answer"),
    [
        (called().result(50).creates(50), "api", "none"),
        (called().result(50).creates(50).fails(51), "api", "another error"),
        (
            called().result(50).creates(50).server(51, realtime.error_event("e", "bad", "No.", kind="invalid_request_error")),
            "client",
            "another error",
        ),
        (begun(), "api", "a response, unfinished, nothing heard of it"),
        (begun().done(70, "resp_2"), "api", "a response, completed, nothing heard of it"),
        (ended(begun(), 70, "cancelled", "turn_detected"), "user", "a response, cancelled, nothing heard of it"),
        (ended(begun(), 70, "cancelled", "client_cancelled"), "client", "a response, cancelled, nothing heard of it"),
        (ended(begun(), 70, "incomplete", "max_output_tokens"), "api", "a response, incomplete, nothing heard of it"),
        # The last response.create counts.
        (called().result(50).creates(50).fails(51).creates(60).created(61, "resp_2"), "api",
         "a response, unfinished, nothing heard of it"),
        (begun().server(70, {"type": realtime.SESSION_CREATED, "event_id": "a"})
         .server(71, {"type": realtime.SESSION_CREATED, "event_id": "b"}), "user",
         "a response, incomplete, nothing heard of it"),
        (called().result(50).creates(50).server(70, {"type": realtime.SESSION_CREATED, "event_id": "a"})
         .server(71, {"type": realtime.SESSION_CREATED, "event_id": "b"}), "api", "none, its connection went"),
    ],
)  # fmt: skip
def test_a_failed_turn_explains_the_response_to_its_last_create(tape: Tape, by: str, answer: str) -> None:
    turn = turn_of(tape.close(40_000))
    assert (turn.outcome, turn.by) == ("failed", by)
    assert turn.why == f"a create after the last result had this answer: {answer}"


@pytest.mark.parametrize(
    ("reason", "by"), [("turn_detected", "user"), ("client_cancelled", "client"), ("content_filter", "api")]
)
def test_an_interrupted_reply_names_who_ended_it(reason: str, by: str) -> None:
    turn = turn_of(ended(called().result(50).creates(50).says(300), 400, "cancelled", reason).close(1000))
    assert (turn.outcome, turn.by, turn.why) == ("interrupted", by, "the reply ended as cancelled")
    assert turn_of(HAND_MADE["answered"][0]).by is None


def closed(link_name: str, payload: Any) -> Recording:
    return Tape().asks(0).put(link_name, 10, payload, "close").recording()


def test_a_session_without_a_call_has_its_reason() -> None:
    assert judge(closed("component>proxy", {"code": 1000})).why == "no function call"
    assert judge(closed("upstream>proxy", {"code": 1011})).why == "no function call: the upstream closed the connection (1011)"
    assert judge(closed("proxy>component", {})).why == "no function call: the proxy closed the connection (no code)"
    assert judge(closed("upstream>proxy", "?")).why == "no function call: the upstream closed the connection (no code)"
    odd = judge(closed("upstream>proxy", {"code": 17})).why
    assert odd == "no function call: the upstream closed the connection (a code that is not registered)"
    unseen = "the link between proxy and upstream was not observed"
    assert judge(replace(closed("component>proxy", {}), observed=HOST_LINK)).why == unseen
    assert judge(replace(closed("upstream>proxy", {}), observed=HOST_LINK)).why == unseen
    why = judge(replace(closed("proxy>component", {}), observed=HOST_LINK)).why
    assert why == f"the proxy closed the connection, and {unseen}"


@pytest.mark.parametrize(
    ("payload", "given"),
    [
        ({"type": "resolved", "id": "call_1", "value": {"content": "{}"}}, True),
        ({"type": "resolved", "id": "call_1"}, False),
        ({"type": "rejected", "id": "call_1"}, True),
        ({"type": "sendFunctionCallResponse", "id": "call_1"}, True),
        ({"type": "sendResponse", "id": "call_1"}, True),
        ({"type": "sendResponse", "id": "call_0"}, False),
        ({"type": "say", "id": "call_1"}, False),
    ],
)
def test_a_result_dropped_by_the_component_counts_as_given(payload: dict[str, Any], given: bool) -> None:
    turn = turn_of(called().put("app>component", 50, payload).close(40_000))
    assert turn.outcome == ("stalled" if given else "no_result")
    # A message about a call from the component to the app is not a result.
    assert turn_of(called().put("component>app", 50, payload).close(40_000)).outcome == "no_result"


def test_a_turn_without_a_result_numbers_its_calls() -> None:
    two = asked().calls(2, call="call_2", begin=False).calls(2, call="call_3", begin=False).done(8, "resp_1")
    assert turn_of(two.result(50, "call_2").close(40_000)).why == "the app gave no result of its own for call 1, call 3"


CUT = {
    "before the result": called(),
    "before the call is over": asked(),
    "behind the result": called().result(50),
    "behind the create": called().result(50).creates(50),
    "inside the reply": called().result(50).creates(50).says(300),
    "behind the default error": called().default_error(8),
    "in the reply to the default error": called().default_error(8).creates(8).says(300),
    "at the refusal": asked().result(4).creates(4).refuses(4),
    "behind an informed reply that may not be the last": replies(called().result(50), 50),
}


@pytest.mark.parametrize("where", CUT)
def test_a_recording_that_stops_too_early_is_unknown(where: str) -> None:
    turn = turn_of(CUT[where], complete=False)
    assert turn.outcome == "unknown", turn.why


def test_a_reported_refusal_is_known_even_if_the_recording_stops() -> None:
    assert turn_of(asked().result(4).creates(4).refuses(4, told=True), complete=False).outcome == "rejected"


def test_an_unreported_refusal_is_known_after_a_while_even_if_the_recording_stops() -> None:
    assert turn_of(asked().result(4).creates(4).refuses(4).done(8, "resp_1"), complete=False).outcome == "lost"


@pytest.mark.parametrize(
    ("link", "outcome"), [("proxy>component", "lost"), ("component>proxy", "unknown"), ("upstream>proxy", "unknown")]
)
def test_an_unreported_refusal_is_known_if_a_later_message_reached_the_host(link: str, outcome: str) -> None:
    tape = asked().result(4).creates(4).refuses(4).put(link, 50, {"type": "KeepAlive"})
    lost = tape.put("component>proxy", 60, {"reason": "the host does not answer"}, "fault")
    assert turn_of(lost, complete=False).outcome == outcome


def test_a_turn_followed_by_another_is_known_even_if_the_recording_stops() -> None:
    assert turn_of(thanks(replies(called().result(50), 50), 2000), complete=False).outcome == "answered"


def test_a_session_without_a_call_is_unknown() -> None:
    no_call = judge(replies(Tape().asks(0), 0).close(1000).recording())
    assert (no_call.outcome, no_call.turns, no_call.turn) == ("unknown", (), None)
    assert judge(Recording(())).outcome == "unknown"


def test_without_the_upstream_link_the_outcome_is_unknown() -> None:
    assert judge(HAND_MADE["answered"][0].recording(observed=HOST_LINK)).outcome == "unknown"


def test_without_the_host_link_a_refusal_is_unknown_and_a_reply_is_known() -> None:
    assert turn_of(HAND_MADE["rejected"][0], observed=UPSTREAM_LINK).outcome == "unknown"
    assert turn_of(HAND_MADE["lost"][0], observed=UPSTREAM_LINK).outcome == "unknown"
    turn = turn_of(HAND_MADE["answered"][0], observed=UPSTREAM_LINK)
    assert (turn.outcome, turn.host_errors, turn.dead_air_ms) == ("answered", None, None)


def test_the_hand_written_recordings_cover_every_outcome() -> None:
    assert {*HAND_MADE, "unknown"} == set(OUTCOMES)
    assert len(OUTCOMES) == 13


# -- single rules ----------------------------------------------------------------------------------------------------


def test_a_wait_of_five_seconds_is_not_late() -> None:
    assert turn_of(replies(called().result(50), 5050).close(9000)).outcome == "answered"


def test_a_slow_tool_is_not_late() -> None:
    """The result releases the request. A late confirmation does not matter."""
    tape = called().result(10_000, confirm=False).creates(10_000).confirmed(10_035).says(10_500).done(10_505, "resp_2")
    assert turn_of(tape.close(11_000)).outcome == "answered"
    assert verdict(release="0.9.1", tool_ms=10_000, ack_ms=35).outcome == "answered"


def test_a_user_input_during_an_open_turn_joins_it() -> None:
    tape = called().result(50).creates(50).asks(60, "And in Porto?").says(500).done(505, "resp_2")
    turn = turn_of(replies(tape, 600, "resp_3").close(2000))
    assert (turn.user_inputs, turn.replies, turn.outcome) == (2, 2, "answered")


@pytest.mark.parametrize(
    "tape",
    [
        asked().asks(1, "Hello?").done(8, "resp_1"),  # a response is active
        called().asks(20, "Hello?"),  # the result is missing
        called().result(50, confirm=False).asks(51, "Hello?").confirmed(60),  # the result is not yet confirmed
        called().result(50).creates(50).asks(51, "Hello?"),  # a request is unanswered
        replies(called().result(50), 50).asks(700, "Hello?").result(900),  # the same result is sent again
    ],
    ids=["active", "no result", "unconfirmed", "unanswered", "again"],
)
def test_an_input_joins_a_turn_that_is_not_settled(tape: Tape) -> None:
    assert turn_of(tape.close(50_000)).user_inputs == 2


def test_an_input_after_a_settled_turn_begins_another() -> None:
    assert turn_of(thanks(replies(called().result(50), 50), 2000)).user_inputs == 1


COMMITTED = {"type": input_audio.COMMITTED, "item_id": "item_1"}


def test_spoken_input_joins_a_turn_that_is_open_at_its_start_or_end() -> None:
    settled = replies(called().result(50), 50)
    speech = {"type": input_audio.SPEECH_STARTED, "item_id": "item_1"}
    assert turn_of(settled.server(2000, speech).creates(2100).server(2200, COMMITTED).close(50_000)).user_inputs == 2
    spoken_into = called().result(50).creates(50).says(500).server(502, speech).done(505, "resp_2").server(900, COMMITTED)
    assert turn_of(spoken_into.close(50_000)).user_inputs == 2
    apart = replies(called().result(50), 50).server(2000, speech).server(2200, COMMITTED)
    assert turn_of(apart.close(50_000)).user_inputs == 1


@pytest.mark.parametrize(("said_ms", "inputs"), [(1010, 2), (1030, 1), (1031, 1)])
def test_text_joins_the_turn_while_the_end_of_the_reply_is_in_flight(said_ms: float, inputs: int) -> None:
    """The reply ends at 1000 ms at the API and at 1030 ms at the proxy."""
    tape = Tape(upstream_ms=30).asks(-80).creates(-80).calls(0).done(8, "resp_1").result(50, confirm=False).confirmed(85)
    tape.creates(120).says(600).done(1000, "resp_2").asks(said_ms, "Thank you.").creates(said_ms)
    assert turn_of(tape.says(1500, "resp_3").done(1510, "resp_3").close(5000)).user_inputs == inputs


def test_a_spoken_input_whose_response_calls_begins_a_new_turn() -> None:
    tape = replies(called().result(50), 50).server(2000, COMMITTED).calls(2300, "resp_3", "call_2").done(2308, "resp_3")
    judged = judge(replies(tape.result(2400, "call_2"), 2400, "resp_4").close(5000).recording())
    assert [(turn.calls, turn.outcome) for turn in judged.turns] == [(("call_1",), "answered"), (("call_2",), "answered")]


def test_a_second_reply_after_the_next_input_is_still_a_duplicate() -> None:
    tape = thanks(replies(called().result(50), 50), 700).result(2000)
    assert turn_of(replies(tape, 2000, "resp_4").close(4000)).outcome == "duplicated"


def test_each_tool_turn_is_judged_and_the_worst_decides() -> None:
    tape = replies(called().result(50), 50).asks(1000, "And in Porto?").creates(1000)
    tape.calls(1100, "resp_3", "call_2").result(1102, "call_2").creates(1102).refuses(1102, "resp_3").done(1108, "resp_3")
    judged = judge(tape.close(40_000).recording())
    assert [turn.outcome for turn in judged.turns] == ["answered", "lost"]
    assert judged.outcome == "lost"
    assert judged.turn is judged.turns[1]
    assert judged.why == judged.turns[1].why
    assert judged.bad


def test_a_call_before_the_first_user_input_belongs_to_that_inputs_turn() -> None:
    first = replies(Tape().calls(0).done(8, "resp_1").result(50), 50)
    assert turn_of(thanks(first, 2000)).user_inputs == 1


def test_texts_not_observed_at_the_proxy_still_count_as_inputs() -> None:
    tape = replies(called().result(50), 50)
    for at_ms in (2000, 4000, 6000):
        tape = thanks(tape, at_ms)
    judged = judge(tape.recording(observed=UPSTREAM_LINK))
    assert [(turn.outcome, turn.user_inputs) for turn in judged.turns] == [("answered", 1)]


@pytest.mark.parametrize(("closed_ms", "outcome"), [(49_999, "abandoned"), (50_000, "no_result")])
def test_the_deadline_counts_from_the_last_call_without_a_result(closed_ms: int, outcome: str) -> None:
    tape = called().result(50).creates(50).calls(20_000, "resp_2", "call_2").done(20_008, "resp_2")
    assert turn_of(tape.close(closed_ms)).outcome == outcome


@pytest.mark.parametrize("first", ["answered", "noisy", "unknown"])
def test_the_turn_of_a_verdict_has_its_outcome(first: str) -> None:
    judged = judge(HAND_MADE["lost"][0].recording())
    before = replace(judged.turns[0], outcome=first)
    assert replace(judged, turns=(before, *judged.turns)).turn is judged.turns[0]


def test_a_turn_as_json_has_lists_for_tuples() -> None:
    turn = turn_of(HAND_MADE["answered"][0])
    record = turn.to_json()
    assert json.loads(json.dumps(record)) == record
    assert (record["calls"], record["events"]) == (["call_1"], list(turn.events))
    assert (record["outcome"], record["replies"], record["by"]) == ("answered", 1, None)


def test_a_response_that_calls_again_is_no_reply() -> None:
    tape = called().result(50).creates(50).calls(60, "resp_2", "call_2").done(70, "resp_2").result(80, "call_2")
    turn = turn_of(replies(tape, 80, "resp_3").close(1000))
    assert (turn.calls, turn.replies, turn.outcome) == (("call_1", "call_2"), 1, "answered")
    assert turn.dead_air_ms == 580 - 70, "from the end of the last response with a call"


def test_a_spoken_preamble_is_no_reply() -> None:
    turn = tool_turn(play(release="0.9.1", preamble=True, tool_ms=300))
    assert (turn.outcome, turn.replies) == ("answered", 1)


def test_the_components_error_is_a_submission_but_not_of_the_app() -> None:
    turn = turn_of(HAND_MADE["duplicated"][1])
    assert (turn.submissions, turn.own_submissions, turn.response_creates, turn.replies) == (2, 1, 2, 2)


def test_a_result_refused_by_the_api_counts_as_given() -> None:
    turn = tool_turn(play(release="0.9.4", tool_ms=50, knobs_given={"function_output": "response_done"}))
    assert turn.outcome == "stale"


def test_a_result_that_never_left_the_proxy_counts_as_given() -> None:
    result = agent.function_call_response("call_1", "get_weather", "{}")
    assert turn_of(called().put("component>proxy", 50, result).close(40_000)).outcome == "stalled"
    error = agent.function_call_response("call_1", "get_weather", agent.DEFAULT_ERROR_CONTENT)
    assert turn_of(called().put("component>proxy", 50, error).close(40_000)).outcome == "no_result"


def test_host_errors_are_counted_where_they_are_observed() -> None:
    assert turn_of(HAND_MADE["rejected"][0]).host_errors == 1
    assert turn_of(HAND_MADE["lost"][0]).host_errors == 0
    assert turn_of(HAND_MADE["answered"][0], observed=UPSTREAM_LINK).host_errors is None


def test_host_errors_belong_to_the_turn_in_which_they_were_sent() -> None:
    first = asked().result(4).creates(4).refuses(4, told=True).done(8, "resp_1")
    first = replies(first.asks(31_000, "And in Porto?"), 31_000, "resp_2")
    second = replies(called().result(50), 50).asks(1000, "And in Porto?").creates(1000).calls(1100, "resp_3", "call_2")
    second.result(1102, "call_2").creates(1102).refuses(1102, "resp_3", told=True).done(1108, "resp_3")
    assert [turn.host_errors for turn in judge(first.close(40_000).recording()).turns] == [1]
    assert [turn.host_errors for turn in judge(second.close(40_000).recording()).turns] == [0, 1]


@pytest.mark.parametrize(("at_ms", "outcome"), [(45, "answered"), (60, "unknown"), (560, "answered")])
def test_an_unreadable_frame_may_be_the_response_to_a_waiting_create(at_ms: float, outcome: str) -> None:
    tape = called()
    if at_ms < 50:
        tape.server(at_ms, b"\x00")
    tape.result(50).creates(50)
    if at_ms == 60:
        tape.server(at_ms, b"\x00")
    tape.says(550)
    if at_ms > 550:
        tape.server(at_ms, b"\x00")
    assert turn_of(tape.done(570, "resp_2").close(1000)).outcome == outcome


def test_a_close_after_the_call_settles_a_turn_and_one_before_it_does_not() -> None:
    assert turn_of(called().result(50).close(40_000), complete=False).outcome == "stalled"
    assert turn_of(called().result(50).close(-30), complete=False).outcome == "unknown"


def test_other_errors_to_the_host_do_not_count() -> None:
    tape = asked().result(4).creates(4).refuses(4).put("proxy>component", 5, agent.error("no", "server_error"))
    assert turn_of(tape.done(8, "resp_1").close(40_000)).outcome == "lost"


def test_the_events_of_a_turn_are_ordered_events_of_the_recording() -> None:
    recording = play(release="0.9.1", tool_ms=50)
    turn = tool_turn(recording)
    kinds = [recording.events[seq].type for seq in turn.events]
    assert list(turn.events) == sorted(turn.events)
    assert kinds == ["response.function_call_arguments.done", "conversation.item.create", "response.create", "error"]


@pytest.mark.parametrize(
    ("tape", "wedged"),
    [
        (HAND_MADE["stalled"][1], True),
        (HAND_MADE["stalled"][2], False),
        (called(), None),
        # An answered turn does not determine whether a later text is answered.
        (replies(called().result(50), 60).asks(2_000, "Thank you.").close(60_000), True),
        # The last input decides.
        (thanks(replies(called().result(50), 50), 2_000).asks(4_000, "Hello?").close(60_000), True),
        # The server's own response to spoken input starts with the commit.
        (replies(called().result(50), 50).server(2_000, COMMITTED).says(2_500, "resp_vad").close(60_000), False),
        # The proxy withheld a text that follows an answered text.
        (
            thanks(replies(called().result(50), 50), 2_000)
            .put("component>proxy", 4_000, agent.inject_user_message("Hello?"))
            .close(60_000),
            True,
        ),
    ],
)
def test_a_session_is_stuck_if_its_last_input_has_no_response(tape: Tape, wedged: bool | None) -> None:
    assert judge(tape.recording()).wedged is wedged


def test_a_recording_that_stops_is_never_stuck() -> None:
    assert judge(HAND_MADE["stalled"][1].recording(complete=False)).wedged is None
    kept = thanks(replies(called().result(50), 50), 2_000).put("component>proxy", 4_000, agent.inject_user_message("Hello?"))
    assert judge(kept.recording(complete=False)).wedged is None


def test_no_cut_of_a_session_that_still_answers_is_stuck() -> None:
    whole = play(release="0.9.1", tool_ms=300, host_rtt_ms=20)
    assert judge(whole).wedged is False
    for cut in range(len(whole.events)):
        assert judge(replace(whole, events=whole.events[:cut], complete=False)).wedged is not True, cut


def test_user_text_that_never_reached_the_upstream_is_stuck() -> None:
    tape = called().result(50).put("component>proxy", 30_050, agent.inject_user_message("Hello?")).close(61_000)
    assert judge(tape.recording()).wedged is True


def test_a_restored_conversation_is_no_user_input() -> None:
    """The component sends the texts of an earlier connection in Settings, and the proxy adds them as items."""

    def restored() -> Tape:
        texts = map(realtime.user_item, ("What is the weather?", "Thank you."))
        return reduce(lambda tape, item: tape.client(5, realtime.create_item(item)), texts, Tape())

    assert judge(restored().close(40_000).recording()).wedged is None
    assert judge(restored().asks(2_000, "Hello?").close(60_000).recording()).wedged is True


def test_bad_outcomes_depend_on_who_ended_the_reply() -> None:
    assert "answered" not in BAD
    assert set(OUTCOMES) - BAD == {"answered", "unknown", "no_result", "abandoned"}
    turn = turn_of(HAND_MADE["failed"][0])
    assert [replace(turn, by=by).bad for by in (None, "client", "api", "user")] == [True, True, False, False]
    turn = turn_of(HAND_MADE["interrupted"][0])
    assert [replace(turn, by=by).bad for by in (None, "client", "api", "user")] == [True, True, True, False]
    assert judge(HAND_MADE["stalled"][0].recording()).bad
    assert not judge(HAND_MADE["answered"][0].recording()).bad


@pytest.mark.parametrize("deadline_ms", [2_000, 60_000])
def test_a_host_that_leaves_after_the_deadline_does_not_abandon_the_turn(deadline_ms: int) -> None:
    """The minimal reproduction has no further input. The user leaves at the deadline, and the turn counts as stalled."""
    waited = replace(session(release="0.9.4", tool_ms=300, deadline_ms=deadline_ms), scenario=REPRO)
    recording = simulate(waited)
    assert tool_turn(recording).outcome == "stalled"
    # The same messages are judged for a user with a longer deadline.
    times = {**recording.provenance["times"], "deadline_ms": str(deadline_ms + 1)}
    left_early = replace(recording, provenance={**recording.provenance, "times": times})
    assert tool_turn(left_early).outcome == "abandoned"


# -- certainty of counts ---------------------------------------------------------------------------------------------


def test_each_count_has_its_certainty() -> None:
    tape = HAND_MADE["rejected"][0]
    assert set(judge(tape.recording()).kinds.values()) == {"observed"}
    assert set(judge(tape.recording(complete=False)).kinds.values()) == {"at least"}
    without_host = judge(tape.recording(observed=UPSTREAM_LINK)).kinds
    assert (without_host["host_errors"], without_host["refusals"]) == ("unknown", "observed")
    without_upstream = judge(tape.recording(observed=HOST_LINK)).kinds
    assert (without_upstream["host_errors"], without_upstream["refusals"]) == ("observed", "unknown")


def test_a_count_with_derived_events_is_derived() -> None:
    recording = HAND_MADE["rejected"][0].recording()
    events = tuple(
        replace(each, observed_at="derived") if each.type == "response.create" else each for each in recording.events
    )
    assert judge(replace(recording, events=events)).kinds["response_creates"] == "derived"


def test_session_updates_are_counted_where_they_are_observed() -> None:
    tape = called().client(60, realtime.update_session({}))
    assert judge(tape.recording()).session_updates == 1
    assert judge(tape.recording(observed=HOST_LINK)).session_updates is None


# -- times computed by hand -------------------------------------------------------------------------------------------


def over_wires(result_ms: float) -> Tape:
    """Return a tape of one call with an immediate request and a reply of 455 ms.

    The call is at 0 ms and response.done at 300 ms. One-way delays: 10 ms to the host and 30 ms to the upstream.
    """
    tape = Tape(host_ms=10, upstream_ms=30)
    tape.client(-130, realtime.create_item(realtime.user_item("?"))).client(-130, realtime.create_response()).calls(0)
    at_proxy, at_upstream = result_ms + 10, result_ms + 40
    tape.put("component>proxy", result_ms, agent.function_call_response("call_1", "get_weather", "{}"))
    early = at_upstream < 300
    if not early:
        tape.done(300, "resp_1")
    tape.client(at_proxy, realtime.create_item(realtime.output_item("call_1", "{}"))).creates(at_proxy)
    if early:
        return tape.refuses(at_upstream).done(300, "resp_1").close(40_000)
    item = realtime.reply_item("item_2", "in_progress", [])
    tape.created(at_upstream + 5, "resp_2")
    tape.server(at_upstream + 10, realtime.output_event("response.output_item.added", "event_a", "resp_2", 0, item))
    tape.server(at_upstream + 460, realtime.content_event(realtime.TEXT_DONE, "event_b", "resp_2", "item_2", 0, text="21."))
    tape.put("proxy>component", at_upstream + 490, agent.conversation_text("assistant", "21."))
    return tape.done(at_upstream + 470, "resp_2").close(5000)


def test_margin_lead_and_dead_air_of_an_answered_turn() -> None:
    """Times in ms: result at the app 400, result at the proxy 410, its request at the upstream 440,
    text at the upstream 900, text at the host 940.
    """
    turn = turn_of(over_wires(400))
    assert turn.outcome == "answered"
    assert turn.margin_ms == 440 - 300
    assert turn.lead_ms == 410 - 330
    assert turn.dead_air_ms == 940 - 300


def test_margin_and_lead_of_a_refused_turn() -> None:
    turn = turn_of(over_wires(100))
    assert turn.outcome == "lost"
    assert turn.margin_ms == 140 - 300
    assert turn.lead_ms == 110 - 330
    assert turn.dead_air_ms is None


def test_without_a_create_there_is_a_lead_and_no_margin() -> None:
    turn = turn_of(called().result(50).close(40_000))
    assert (turn.margin_ms, turn.lead_ms) == (None, 42)


@pytest.mark.parametrize(("lag", "margin"), [("20", -10), ("0", 10), ("uniform(5,5)", None)])
def test_the_margin_includes_the_slot_lag(lag: str, margin: float | None) -> None:
    """The result arrives at 160 ms and response.done at 150 ms. A drawn lag cannot be observed."""
    turn = tool_turn(play(release="0.9.1", tool_ms=160, gap_ms=150, slot_lag_ms=lag))
    assert turn.margin_ms == margin
    assert turn.lead_ms == 10


# -- the closed forms ------------------------------------------------------------------------------------------------

NS = st.integers(0, 1_000_000_000)
RTT = st.integers(0, 200_000_000)


def in_ms(nanoseconds: int) -> str:
    return f"{nanoseconds // 1_000_000}.{nanoseconds % 1_000_000:06d}"


def tool_turn_at(release: str, t: int, g: int, h: int, u: int, ack: int) -> Turn:
    """Return the tool turn of a session with these tool time, gap, round trips and confirmation time, in ns."""
    times = {"tool_ms": t, "gap_ms": g, "host_rtt_ms": h, "upstream_rtt_ms": u, "ack_ms": ack}
    return tool_turn(play(release=release, **{name: in_ms(value) for name, value in times.items()}))


def behind_response_done(t: int, g: int, h: int, u: int) -> bool:
    """Return whether the result reaches the proxy after response.done.

    In a tie it does, with one exception. Without an upstream delay, response.done takes a causal round. A result with a
    host delay (one way of at least a nanosecond) arrives in the round before.
    """
    return t + h > g or (t + h == g and not (u == 0 and h >= 2))


@given(st.sampled_from(["0.9.1", "0.9.0", "0.9.3", "0.10.0"]), NS, NS, RTT, RTT, RTT)
def test_an_immediate_create_is_refused_iff_the_slot_is_taken(release: str, t: int, g: int, h: int, u: int, ack: int) -> None:
    turn = tool_turn_at(release, t, g, h, u, ack)
    assert turn.outcome == ("rejected" if t + h + u < g else "answered")
    assert ns(turn.margin_ms or 0) == t + h + u - g
    assert ns(turn.lead_ms or 0) == t + h - g


@given(st.sampled_from(["0.9.4", "0.9.8", "50420ee"]), NS, NS, RTT, RTT, RTT)
def test_a_create_at_response_done_is_never_sent_iff_response_done_has_passed(
    release: str, t: int, g: int, h: int, u: int, ack: int
) -> None:
    turn = tool_turn_at(release, t, g, h, u, ack)
    stalled = behind_response_done(t, g, h, u)
    assert turn.outcome == ("stalled" if stalled else "answered")
    assert (turn.margin_ms is None) == stalled
    assert ns(turn.lead_ms or 0) == t + h - g


@given(st.sampled_from(["0.11.1", "0.10.3", "0.10.5"]), NS, NS, RTT, RTT, RTT)
def test_a_create_at_the_confirmation_is_refused_iff_the_confirmation_precedes_response_done(
    release: str, t: int, g: int, h: int, u: int, ack: int
) -> None:
    turn = tool_turn_at(release, t, g, h, u, ack)
    confirmed = t + h + 2 * u + ack
    assert turn.outcome == ("lost" if confirmed < g else "answered")
    released_by_done = not behind_response_done(t, g, h, u) and g <= t + h + u + ack
    assert ns(turn.margin_ms or 0) == (u if released_by_done else confirmed - g)
    assert ns(turn.lead_ms or 0) == t + h - g


# -- all recordings --------------------------------------------------------------------------------------------------

#: Parameters of sessions whose outcome also follows from the text of the mock's replies.
#: The text mentions the results that the reply knew.
REPLY_TEXT_SESSIONS = st.fixed_dictionaries(
    {
        "release": st.sampled_from(sorted(PROXIES)),
        "handler": st.sampled_from(["return", "async_send", "void_ref", "void_send"]),
        "modality": st.sampled_from(["session", "text"]),
        "tool_ms": st.sampled_from([0, 40, 149, 150, 151, 300, 700, 3000]),
        "gap_ms": st.sampled_from([0, 8, 150, 400]),
        "host_rtt_ms": st.sampled_from([0, 10]),
        "upstream_rtt_ms": st.sampled_from([0, 30, 70]),
        "create_ms": st.sampled_from([0, 5, 90]),
        "ack_ms": st.sampled_from([0, 35]),
    }
)


def outcome_by_texts(recording: Recording) -> str:
    """Return the outcome according to the text of the replies.

    The session must have one call, and a default error must not follow the result.
    """
    spoken = [each["transcript"] for each in said(recording, "upstream>proxy", "response.output_audio_transcript.done")]
    texts = spoken + [each["text"] for each in said(recording, "upstream>proxy", "response.output_text.done")]
    about_the_call = [text for text in texts if not text.startswith("You are welcome.")]
    informed = [text for text in about_the_call if "temperature_c" in text]
    refused = refusals(recording)
    reported = [each for each in said(recording, "proxy>component", "Error") if each["code"] == realtime.ACTIVE_RESPONSE]
    if len(about_the_call) > 1 and informed:
        return "duplicated"
    if about_the_call and not informed:
        return "stale"
    if informed:
        return "noisy" if refused else "answered"
    if refused:
        return "rejected" if reported else "lost"
    return "stalled"


@settings(max_examples=400)
@given(REPLY_TEXT_SESSIONS)
def test_the_outcome_agrees_with_the_text_of_the_replies(words: dict[str, Any]) -> None:
    recording = play(**words)
    assert judge(recording).outcome == outcome_by_texts(recording)


@settings(max_examples=200)
@given(SESSIONS)
def test_a_session_has_one_outcome_per_tool_turn_and_one_overall(words: dict[str, Any]) -> None:
    judged = judge(play(**words))
    assert judged.outcome in OUTCOMES
    assert judged.turns
    assert all(turn.outcome in OUTCOMES for turn in judged.turns)
    assert judged.turn is not None
    assert judged.outcome in {turn.outcome for turn in judged.turns}
    json.dumps([turn.to_json() for turn in judged.turns])


@settings(max_examples=200)
@given(SESSIONS, st.data())
def test_a_cut_recording_is_never_judged_better_than_the_complete_one(words: dict[str, Any], data: st.DataObject) -> None:
    whole = play(**words)
    cut = data.draw(st.integers(0, len(whole.events) - 1), label="cut")
    full, left = judge(whole), judge(replace(whole, events=whole.events[:cut], complete=False))
    if left.outcome == "answered":
        assert full.outcome == "answered"
    if full.outcome == "rejected":
        assert left.outcome != "lost"
    assert left.wedged is not True
    if left.turn is not None and full.turn is not None and len(full.turns) == len(left.turns) == 1:
        assert left.turn.refusals <= full.turn.refusals
        assert left.turn.replies <= full.turn.replies
        assert left.turn.submissions <= full.turn.submissions


def test_no_cut_of_a_session_answered_twice_is_answered() -> None:
    whole = play(release="0.9.1", scenario="double", tool_ms=300, repeat_ms=5000)
    assert judge(whole).outcome == "duplicated"
    for cut in range(len(whole.events)):
        assert judge(replace(whole, events=whole.events[:cut], complete=False)).outcome != "answered", cut


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "id", "item", "code"]), inner, max_size=2)
    ),
    max_leaves=4,
)
TIME = st.none() | st.integers(-(10**9), 10**11)


@st.composite
def spoilt(draw: st.DrawFn, payload: Any) -> Any:
    """Draw a payload in which one field at some depth is replaced or removed."""
    if not isinstance(payload, dict) or not payload or draw(st.booleans()):
        return draw(JSON | st.binary(max_size=2))
    name = draw(st.sampled_from(sorted(payload)))
    if draw(st.booleans()):
        return {key: value for key, value in payload.items() if key != name}
    return {**payload, name: draw(spoilt(payload[name]))}


@st.composite
def edited(draw: st.DrawFn) -> Recording:
    """Draw a recording with events that are removed, duplicated, moved or changed."""
    recording = play(**draw(SESSIONS))
    events = list(recording.events)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(events) - 1))
        event = events[at]
        match draw(st.sampled_from(["lose", "double", "move", "time", "payload", "link", "kind", "place"])):
            case "lose" if len(events) > 1:
                del events[at]
            case "double":
                events.insert(at, event)
            case "move":
                events.insert(draw(st.integers(0, len(events) - 1)), events.pop(at))
            case "time":
                events[at] = replace(event, sent_ns=draw(TIME), received_ns=draw(TIME))
            case "payload":
                payload = draw(spoilt(event.payload))
                events[at] = replace(event, payload=payload if isinstance(payload, (dict, bytes, str)) else None)
            case "link":
                events[at] = replace(event, link=draw(st.sampled_from(LINKS)))
            case "kind":
                events[at] = replace(event, kind="close", payload={"code": 1006})
            case "place":
                events[at] = replace(event, observed_at="log")
    if draw(st.booleans()):
        events = [Event(seq, *_fields(event)) for seq, event in enumerate(events)]
    observed = draw(st.just(LINKS) | st.lists(st.sampled_from(LINKS), unique=True).map(tuple))
    return replace(recording, events=tuple(events), observed=observed, complete=draw(st.booleans()))


def _fields(event: Event) -> tuple[Any, ...]:
    return event.link, event.kind, event.sent_ns, event.received_ns, event.payload, event.observed_at


@settings(max_examples=400)
@given(edited())
@pytest.mark.long
def test_no_recording_crashes_the_verdict(recording: Recording) -> None:
    judged = judge(recording)
    assert judged.outcome in OUTCOMES
    assert all(turn.outcome in OUTCOMES and turn.why for turn in judged.turns)


@given(st.sampled_from(sorted(HAND_MADE)), st.permutations(range(4)))
def test_links_written_one_after_the_other_give_the_same_outcome(outcome: str, order: list[int]) -> None:
    """A log can contain one link after another. The order follows from the times if no two times are equal."""
    links = [*UPSTREAM_LINK, *HOST_LINK]
    tape = HAND_MADE[outcome][0]
    spread = [
        replace(each, sent_ns=each.sent_ns * 1000 + each.seq, received_ns=each.received_ns * 1000 + each.seq)
        for each in tape.events
    ]
    sorted_by_link = [each for index in order for each in spread if each.link == links[index]]
    events = tuple(replace(each, seq=seq) for seq, each in enumerate(sorted_by_link))
    usual, shuffled = judge(Recording(tuple(spread))), judge(Recording(events))
    assert usual.outcome == shuffled.outcome


def test_a_result_refused_by_the_api_is_not_used_for_delays() -> None:
    """The API refuses the first submission and accepts the second. Margin and lead are those of the second."""
    refused = realtime.error_event("event_9", "invalid_tool_call_id", "Tool call ID 'call_1' not found in conversation.")
    tape = called().result(200, confirm=False).server(210, refused).result(400)
    turn = turn_of(replies(tape, 450).close(20_000))
    assert (turn.outcome, turn.submissions) == ("answered", 2)
    assert turn.lead_ms == 400 - 8
