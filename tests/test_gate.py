"""The reference gate: no bad outcome where the proxy is the only writer, and what each of its rules is for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicerace.engines.session import Session
from voicerace.engines.virtual import simulate
from voicerace.parties.gate import Gate, GateState
from voicerace.recording import Recording
from voicerace.tables.gate import RULES, Rule
from voicerace.tables.handlers import HANDLERS
from voicerace.tables.releases import REFERENCE, reference_without
from voicerace.tables.scenarios import SCENARIOS
from voicerace.verdict import Verdict, judge
from voicerace.wire import realtime

#: The component's own error comes first with these, whatever the proxy does.
ERROR_FIRST = ("void_ref", "void_send")
#: The user types; nobody but the proxy asks for responses.
TYPED = tuple(name for name in SCENARIOS if name not in ("voice", "barge-in", "slow-tool"))
NETWORK = st.sampled_from([0, 7, 20, 60, 200])


@st.composite
def sessions(draw: st.DrawFn, scenarios: tuple[str, ...], release: str = "reference") -> Session:
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
    return Session.of(release=release, scenario=scenario, handler=handler, modality=modality, times=times)


def bad(verdict: Verdict) -> set[str]:
    return {turn.outcome for turn in verdict.turns if turn.bad} | ({"wedged"} if verdict.wedged else set())


@given(sessions(TYPED))
def test_where_the_proxy_is_the_only_writer_nothing_goes_wrong(session: Session) -> None:
    found = bad(judge(simulate(session)))
    if session.handler in ERROR_FIRST:
        assert found <= {"stale"}, "a reply that knows the component's error only: it was asked for before the result"
    else:
        assert found == set()


@given(sessions(("voice", "barge-in")))
@pytest.mark.long
def test_where_the_server_writes_too_a_refusal_is_the_worst(session: Session) -> None:
    found = bad(judge(simulate(session)))
    assert found <= ({"noisy", "stale"} if session.handler in ERROR_FIRST else {"noisy"})


# -- what each rule is for -------------------------------------------------------------------------------------------


def played(rule: Rule | None, **given: Any) -> Recording:
    row = REFERENCE if rule is None else reference_without(rule)
    return simulate(Session.of(release=row.tag, **given))


NEAR: dict[str, Any] = {"gap_ms": 150, "upstream_rtt_ms": 60, "host_rtt_ms": 20}
WITHOUT: dict[Rule, tuple[dict[str, Any], str]] = {
    # The user writes between a reply's text and its response.done.
    "server_events": (
        {"scenario": "inject", "times": {**NEAR, "gap_ms": 8, "reply_gap_ms": 300, "inject_ms": 600, "tool_ms": 100}}, "noisy"
    ),
    "when_free": ({"times": {**NEAR, "tool_ms": 10}}, "noisy"),
    "at_once": ({"times": {**NEAR, "tool_ms": 500}}, "stalled"),
    "coalesce": ({"scenario": "parallel", "times": {**NEAR, "tool_ms": "10,20"}}, "noisy"),
    "every_call": ({"scenario": "parallel", "times": {**NEAR, "tool_ms": "10,900"}}, "duplicated"),
    "once": ({"scenario": "double", "times": {**NEAR, "tool_ms": 300, "repeat_ms": 200}}, "duplicated"),
    # The server's own response begins while the create is on its way, before the result is accepted.
    "retry": (
        {"scenario": "voice", "times": {"gap_ms": 8, "upstream_rtt_ms": 400, "host_rtt_ms": 20, "inject_ms": 20,
                                        "speech_ms": 300, "vad_ms": 200, "frame_ms": 20, "mic_tail_ms": 300, "tool_ms": 620}},
        "stale",
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", WITHOUT)
def test_a_rule_that_is_taken_away_is_missed_at_once(rule: Rule) -> None:
    given_session, outcome = WITHOUT[rule]
    kept = bad(judge(played(None, **given_session)))
    assert kept <= {"noisy"} if rule == "retry" else kept == set()
    assert outcome in bad(judge(played(rule, **given_session)))


def test_every_rule_has_its_case() -> None:
    assert {*WITHOUT, "unless_known"} == set(RULES)


def told(gate: Gate, *events: dict[str, Any]) -> list[int]:
    return [gate.event(event) for event in events]


def created(response_id: str) -> dict[str, Any]:
    body = realtime.response_object(response_id, "conv_1", "text", "in_progress", None, [])
    return realtime.response_event(realtime.RESPONSE_CREATED, "e", body)


def done(response_id: str) -> dict[str, Any]:
    body = realtime.response_object(response_id, "conv_1", "text", "completed", None, [])
    return realtime.response_event(realtime.RESPONSE_DONE, "e", body)


@pytest.mark.parametrize(("rules", "creates"), [(frozenset(RULES), 0), (frozenset(RULES) - {"unless_known"}, 1)])
def test_what_was_refused_is_not_asked_again_of_a_response_that_knows_it(rules: frozenset[Rule], creates: int) -> None:
    """Costs a needless second reply, which no outcome calls bad: every response of the server's own has an input of its own."""
    gate = Gate(rules, GateState())
    call = realtime.call_item("item_1", "call_1", "f", "{}", "completed")
    result = realtime.conversation_item(
        realtime.ITEM_ADDED, "e", None, {**realtime.output_item("call_1", "{}"), "id": "item_2"}
    )
    told(gate, created("resp_1"), realtime.output_event("response.output_item.added", "e", "resp_1", 0, call))
    assert gate.result("call_1") == 0, "the slot is taken"
    assert told(gate, result, done("resp_1")) == [0, 1]
    refused = realtime.refusal("e", "resp_2", realtime.CREATE_ID)
    assert told(gate, created("resp_2"), refused, done("resp_2"))[-1] == creates


def test_a_late_result_of_another_connection_asks_for_nothing() -> None:
    assert Gate(frozenset(RULES), GateState()).result("call_of_yesterday") == 0
