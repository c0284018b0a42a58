"""Test the reference gate: it prevents bad outcomes if only the proxy sends requests, and each rule has an effect."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicerace.analysis.verdict import Verdict, judge
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.model.actors.reference_gate import Gate, GateState
from voicerace.model.catalog.gate_rules import RULES, Rule
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.releases import REFERENCE, reference_without
from voicerace.model.catalog.scenarios import SCENARIOS
from voicerace.model.protocol import input_audio, realtime
from voicerace.trace.recording import Recording

#: Handlers for which the component sends its default error before the result.
ERROR_FIRST = ("void_ref", "void_send")
#: Scenarios in which the user types, so that only the proxy sends requests.
TYPED = tuple(name for name in SCENARIOS if name not in ("voice", "barge-in", "slow-tool"))
NETWORK = st.sampled_from([0, 7, 20, 60, 200])


@st.composite
def sessions(draw: st.DrawFn, scenarios: tuple[str, ...], release: str = "reference") -> SessionConfig:
    scenario = draw(st.sampled_from(scenarios))
    tool = st.integers(0, 1500)
    times: dict[str, Any] = {
        "host_rtt_ms": draw(NETWORK),
        "upstream_rtt_ms": draw(NETWORK),
        "gap_ms": draw(st.sampled_from([0, 8, 150, 600])),
        "create_ms": draw(st.sampled_from([1, 40, 200])),
        "ack_ms": draw(st.sampled_from([0, 35, 400])),
        "reply_ms": draw(st.sampled_from([50, 500, 1500])),
        "inject_ms": draw(st.integers(0, 1000)),
        "repeat_ms": draw(st.integers(0, 1000)),
        "settings_ms": draw(st.sampled_from([0, 10, 300])),
        "speech_ms": draw(st.sampled_from([100, 300, 600])),
        "vad_ms": draw(st.sampled_from([200, 500])),
        "frame_ms": 50,
        "tool_ms": ",".join(str(draw(tool)) for _ in range(2)) if scenario == "parallel" else draw(tool),
    }
    handler = draw(st.sampled_from(sorted(HANDLERS)))
    modality = draw(st.sampled_from(["text", "audio"]))
    return SessionConfig.of(release=release, scenario=scenario, handler=handler, modality=modality, times=times)


def bad(verdict: Verdict) -> set[str]:
    return {turn.outcome for turn in verdict.turns if turn.bad} | ({"wedged"} if verdict.wedged else set())


@given(sessions(TYPED))
def test_without_server_responses_no_outcome_is_bad(session: SessionConfig) -> None:
    found = bad(judge(simulate(session)))
    if session.handler in ERROR_FIRST:
        assert found <= {"stale"}, "the reply was requested before the result and knows only the component's error"
    else:
        assert found == set()


@given(sessions(("voice", "barge-in")))
@pytest.mark.long
def test_with_server_responses_the_worst_outcome_is_noisy(session: SessionConfig) -> None:
    found = bad(judge(simulate(session)))
    assert found <= ({"noisy", "stale"} if session.handler in ERROR_FIRST else {"noisy"})


# -- effects of the rules --------------------------------------------------------------------------------------------


def played(rule: Rule | None, **given: Any) -> Recording:
    row = REFERENCE if rule is None else reference_without(rule)
    return simulate(SessionConfig.of(release=row.tag, **given))


NEAR: dict[str, Any] = {"gap_ms": 150, "upstream_rtt_ms": 60, "host_rtt_ms": 20}
WITHOUT: dict[Rule, tuple[dict[str, Any], str]] = {
    # The user sends text between the text of a reply and its response.done.
    "server_events": (
        {"scenario": "inject", "times": {**NEAR, "gap_ms": 8, "reply_gap_ms": 300, "inject_ms": 600, "tool_ms": 100}}, "noisy"
    ),
    "when_free": ({"times": {**NEAR, "tool_ms": 10}}, "noisy"),
    "at_once": ({"times": {**NEAR, "tool_ms": 500}}, "stalled"),
    "coalesce": ({"scenario": "parallel", "times": {**NEAR, "tool_ms": "10,20"}}, "duplicated"),
    "every_call": ({"scenario": "parallel", "times": {**NEAR, "tool_ms": "10,900"}}, "duplicated"),
    "once": ({"scenario": "double", "times": {**NEAR, "tool_ms": 300, "repeat_ms": 200}}, "duplicated"),
    # The server starts its own response while the request is in flight, before the result is accepted.
    "retry": (
        {"scenario": "voice", "times": {"gap_ms": 8, "upstream_rtt_ms": 400, "host_rtt_ms": 20, "inject_ms": 20,
                                        "speech_ms": 300, "vad_ms": 200, "frame_ms": 20, "mic_tail_ms": 300, "tool_ms": 620}},
        "stale",
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", WITHOUT)
def test_a_gate_without_a_rule_has_a_bad_outcome(rule: Rule) -> None:
    given_session, outcome = WITHOUT[rule]
    kept = bad(judge(played(None, **given_session)))
    assert kept <= {"noisy"} if rule == "retry" else kept == set()
    assert outcome in bad(judge(played(rule, **given_session)))


def test_every_rule_has_its_case() -> None:
    assert {*WITHOUT, "unless_known"} == set(RULES)


#: The server commits user audio by itself, and decides to start a response.
COMMITTED = input_audio.committed("e", None, "item_speech")


def send(gate: Gate, *events: dict[str, Any]) -> list[int]:
    return [gate.event(event) for event in events]


def created(response_id: str) -> dict[str, Any]:
    body = realtime.response_object(response_id, "conv_1", "text", "in_progress", None, [])
    return realtime.response_event(realtime.RESPONSE_CREATED, "e", body)


def done(response_id: str) -> dict[str, Any]:
    body = realtime.response_object(response_id, "conv_1", "text", "completed", None, [])
    return realtime.response_event(realtime.RESPONSE_DONE, "e", body)


@pytest.mark.parametrize(("rules", "creates"), [(frozenset(RULES), 0), (frozenset(RULES) - {"unless_known"}, 1)])
def test_a_refused_request_is_not_repeated_if_the_active_response_knows_the_result(
    rules: frozenset[Rule], creates: int
) -> None:
    """Without the rule, the gate requests a needless second reply, which is not a bad outcome."""
    gate = Gate(rules, GateState())
    call = realtime.call_item("item_1", "call_1", "f", "{}", "completed")
    result = realtime.conversation_item(
        realtime.ITEM_ADDED, "e", None, {**realtime.output_item("call_1", "{}"), "id": "item_2"}
    )
    send(gate, created("resp_1"), realtime.output_event("response.output_item.added", "e", "resp_1", 0, call))
    assert gate.result("call_1") == 0, "the slot is taken"
    assert send(gate, result, done("resp_1")) == [0, 1]
    refused = realtime.refusal("e", "resp_2", realtime.CREATE_ID)
    assert send(gate, COMMITTED, created("resp_2"), refused, done("resp_2"))[-1] == creates


def test_a_refused_request_is_repeated_if_the_server_decided_before_it_accepted_the_result() -> None:
    """The server's response is announced after the result is confirmed, but does not cover it."""
    gate = after_calls("call_1")
    assert gate.result("call_1") == 1
    refused = realtime.refusal("e", "resp_2", realtime.CREATE_ID)
    assert send(gate, COMMITTED, confirmed("call_1"), created("resp_2"), refused, done("resp_2"))[-1] == 1


def test_a_call_without_an_item_event_is_known_from_its_arguments() -> None:
    gate = Gate(frozenset(RULES), GateState())
    call = {"type": realtime.ARGUMENTS_DONE, "response_id": "resp_1", "call_id": "call_1"}
    assert send(gate, call) == [0]
    assert (gate.result("call_1"), gate.result("call_1")) == (1, 0)


def test_a_late_result_of_another_connection_sends_no_request() -> None:
    assert Gate(frozenset(RULES), GateState()).result("call_of_yesterday") == 0


ALL = frozenset(RULES)


def call_of(call_id: str, response_id: str = "resp_1", kind: str = "function_call") -> dict[str, Any]:
    item = {"id": f"item_{call_id}", "type": kind, "call_id": call_id}
    return realtime.output_event(realtime.OUTPUT_ADDED, "e", response_id, 0, item)


def confirmed(call_id: str, kind: str = realtime.ITEM_ADDED) -> dict[str, Any]:
    return realtime.conversation_item(kind, "e", None, {**realtime.output_item(call_id, "{}"), "id": f"item_of_{call_id}"})


def failed(message: str = "No.", event_id: str | None = None) -> dict[str, Any]:
    return realtime.error_event("e", "server_error", message, client_event_id=event_id)


def after_calls(*calls: str, rules: frozenset[Rule] = ALL) -> Gate:
    """Return a gate after response resp_1, which made these calls and has ended."""
    gate = Gate(rules, GateState())
    assert send(gate, created("resp_1"), *(call_of(each) for each in calls), done("resp_1")) == [0] * (len(calls) + 2)
    return gate


def test_user_input_is_requested_at_once_or_when_the_slot_becomes_free() -> None:
    gate = Gate(ALL, GateState())
    assert gate.user_input("text") == 1
    assert gate.user_input("audio") == 0, "a request is unanswered"
    assert send(gate, created("resp_1")) == [0]
    assert gate.user_input("text") == 0, "a response is active"
    assert send(gate, done("resp_1"), created("resp_2"), done("resp_2")) == [1, 0, 0]


def test_a_request_is_sent_when_every_call_of_a_response_has_its_result() -> None:
    gate = after_calls("call_1", "call_2")
    assert [gate.result("call_1"), gate.result("call_2")] == [0, 1]
    single = after_calls("call_1", "call_2", rules=ALL - {"every_call"})
    assert single.result("call_1") == 1


def test_a_result_does_not_wait_for_a_call_of_another_response() -> None:
    gate = after_calls("call_1")
    send(gate, created("resp_2"), call_of("call_2", "resp_2"), done("resp_2"))
    assert gate.result("call_1") == 1
    send(gate, created("resp_3"), done("resp_3"))
    assert gate.result("call_2") == 1


def test_a_second_result_sends_a_request_only_without_the_rule() -> None:
    for rules, creates in ((ALL, 0), (ALL - {"once"}, 1)):
        gate = after_calls("call_1", rules=rules)
        gate.result("call_1")
        send(gate, created("resp_2"), done("resp_2"))
        assert gate.result("call_1") == creates
        assert gate.result("call_0") == 0, "an unknown call"


def test_a_call_with_a_result_is_not_opened_again() -> None:
    gate = after_calls("call_1", "call_2")
    gate.result("call_1")
    assert send(gate, call_of("call_1")) == [0]
    assert gate.result("call_2") == 1


@pytest.mark.parametrize("kind", ["message", "computer_call"])
def test_an_item_that_is_no_function_call_does_not_delay_the_request(kind: str) -> None:
    gate = after_calls("call_1")
    send(gate, call_of("call_2", kind=kind))
    assert gate.result("call_1") == 1


def test_one_request_covers_all_pending_inputs_unless_the_rule_is_missing() -> None:
    for rules, creates in ((ALL, 1), (ALL - {"coalesce"}, 3)):
        gate = Gate(rules, GateState())
        send(gate, created("resp_1"), call_of("call_1"), call_of("call_2"))
        assert [gate.result("call_1"), gate.result("call_2"), gate.user_input("text")] == [0, 0, 0]
        assert send(gate, done("resp_1")) == [creates]


def test_without_the_rule_only_response_done_and_user_input_send_requests() -> None:
    gate = after_calls("call_1", rules=ALL - {"at_once"})
    assert gate.result("call_1") == 0
    assert send(gate, confirmed("call_1"), failed()) == [0, 0]
    assert send(gate, COMMITTED, created("resp_2"), done("resp_2")) == [0, 0, 0], "the server's own response knows the result"
    gate.result("call_1")
    assert gate.user_input("text") == 1


def test_an_irrelevant_message_sends_no_request() -> None:
    gate = after_calls("call_1", rules=ALL - {"when_free", "at_once"})
    gate.result("call_1")
    assert send(gate, {"type": "rate_limits.updated"}, {}) == [0, 0]


def test_without_waiting_for_the_slot_only_a_refusal_delays_a_request() -> None:
    gate = Gate(ALL - {"when_free"}, GateState())
    assert [gate.user_input("text"), gate.user_input("text")] == [1, 1]
    assert send(gate, created("resp_1")) == [0]
    assert gate.user_input("text") == 1
    assert send(gate, realtime.refusal("e", "resp_1", realtime.CREATE_ID)) == [0]
    assert gate.user_input("text") == 0
    assert send(gate, done("resp_9"), done("resp_1")) == [0, 1]


@pytest.mark.parametrize("kind", [realtime.TEXT_DONE, realtime.AUDIO_DONE])
def test_text_or_audio_done_frees_the_slot_only_without_the_rule(kind: str) -> None:
    for rules, creates in ((ALL, 0), (ALL - {"server_events"}, 1)):
        gate = Gate(rules, GateState())
        send(gate, created("resp_1"))
        gate.user_input("text")
        assert send(gate, {"type": kind, "response_id": "resp_1"}) == [creates]


def test_a_response_out_of_band_takes_no_slot() -> None:
    gate = Gate(ALL, GateState())
    body = realtime.response_object("resp_oob", None, "text", "in_progress")
    send(gate, realtime.response_event(realtime.RESPONSE_CREATED, "e", body))
    assert gate.user_input("text") == 1


def test_the_end_of_another_response_frees_no_slot() -> None:
    gate = Gate(ALL, GateState())
    send(gate, created("resp_1"))
    gate.user_input("text")
    assert send(gate, done("resp_0"), done("resp_1")) == [0, 1]


@pytest.mark.parametrize(("event_id", "creates"), [(None, 1), (realtime.CREATE_ID, 1), ("event_of_something_else", 0)])
def test_another_error_can_answer_a_request(event_id: str | None, creates: int) -> None:
    """The next input sends a new request. The failed request is not repeated."""
    gate = Gate(ALL, GateState())
    gate.user_input("text")
    assert send(gate, failed(event_id=event_id)) == [0]
    assert gate.user_input("text") == creates


@pytest.mark.parametrize("in_the_way", ["resp_0", "resp_2"])
def test_a_refused_request_is_repeated_when_the_active_response_is_done(in_the_way: str) -> None:
    for rules, creates in ((ALL, 1), (ALL - {"retry"}, 0)):
        gate = after_calls("call_1", rules=rules)
        gate.result("call_1")
        refused = realtime.refusal("e", in_the_way, realtime.CREATE_ID)
        assert send(gate, refused, created(in_the_way), done(in_the_way)) == [0, 0, creates]


def test_a_refusal_naming_a_finished_response_is_repeated_after_a_pause() -> None:
    gate = after_calls("call_1")
    gate.result("call_1")
    assert send(gate, realtime.refusal("e", "resp_1", realtime.CREATE_ID)) == [0]
    assert (gate.state.paused, gate.user_input("text"), gate.resume(), gate.state.paused) == (True, 0, 1, False)


@pytest.mark.parametrize("slot_lag_ms", [1, 40, 49, 50, 51, 200])
def test_a_slot_that_becomes_free_late_delays_the_request(slot_lag_ms: int) -> None:
    """Without a network, the request after a refusal would otherwise be sent again in the same nanosecond."""
    recording = simulate(
        SessionConfig.of(release="reference", times={"gap_ms": 150, "tool_ms": 10, "slot_lag_ms": slot_lag_ms})
    )
    verdict = judge(recording)
    assert (verdict.outcome, verdict.wedged) == ("noisy", False)
    assert verdict.turns[0].refusals == math.ceil(slot_lag_ms / 50)


@pytest.mark.parametrize("kind", [realtime.ITEM_ADDED, realtime.ITEM_CREATED, realtime.ITEM_DONE])
def test_a_server_response_covers_inputs_confirmed_before_it(kind: str) -> None:
    """The response covers a result and user text. User audio starts its own response."""
    gate = Gate(ALL, GateState())
    send(gate, created("resp_1"), call_of("call_1"))
    gate.result("call_1")
    gate.user_input("text")
    user = realtime.conversation_item(kind, "e", None, {**realtime.user_item("Hello?"), "id": "item_user"})
    send(gate, confirmed("call_1", kind), user, COMMITTED, created("resp_2"))
    assert (gate.state.given, gate.state.wishes, gate.state.knows) == ((), (), True)
    assert send(gate, done("resp_1"), done("resp_2")) == [0, 0]


@pytest.mark.parametrize("left_out", ["result", "text"])
def test_a_server_response_does_not_cover_unconfirmed_inputs(left_out: str) -> None:
    gate = Gate(ALL, GateState())
    send(gate, created("resp_1"), call_of("call_1"))
    gate.result("call_1")
    gate.user_input("text")
    user = realtime.conversation_item(realtime.ITEM_ADDED, "e", None, {**realtime.user_item("Hello?"), "id": "item_user"})
    send(gate, user if left_out == "result" else confirmed("call_1"), created("resp_2"))
    assert send(gate, done("resp_2")) == [1]


def test_speech_during_a_response_is_requested_after_it() -> None:
    gate = Gate(ALL, GateState())
    send(gate, created("resp_1"))
    gate.user_input("audio")
    assert gate.state.unconfirmed == set(), "audio has no item to confirm"
    assert send(gate, created("resp_2"), done("resp_2")) == [0, 1]


def test_a_result_refused_by_the_api_is_not_awaited() -> None:
    gate = Gate(ALL, GateState())
    send(gate, created("resp_1"), call_of("call_1"), call_of("call_2"))
    gate.result("call_1")
    gate.result("call_2")
    send(gate, confirmed("call_1"))
    assert gate.state.unconfirmed == {"call_2"}
    send(gate, failed("Tool call ID 'call_2' not found in conversation.", "event_of_something_else"))
    assert gate.state.unconfirmed == set()
