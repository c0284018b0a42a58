"""Test the achieved times: they equal the configured times in virtual time, and are absent for unobserved links."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.played import on_wire, play, session
from support.tape import Tape, asked

from voicerace.engine.sim.virtual import simulate
from voicerace.experiments.achieved_times import measured, measurements
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.profiles import TIMES
from voicerace.model.catalog.releases import PROXIES
from voicerace.model.protocol import agent, realtime
from voicerace.trace.recording import LINKS, Event, Link, Recording, link

MS = st.integers(0, 400) | st.just("uniform(0,400)")
FEW = st.sampled_from([0, 1, 35, "uniform(0,60)"])
SESSIONS = st.fixed_dictionaries(
    {
        "release": st.sampled_from(sorted(PROXIES)),
        "handler": st.sampled_from(sorted(HANDLERS)),
        "modality": st.sampled_from(["text", "audio"]),
        "preamble": st.booleans(),
        "tool_end": st.sampled_from(["result", "result", "error", "reject"]),
        "seed": st.integers(0, 5),
        "times": st.fixed_dictionaries(
            {
                "tool_ms": MS | st.just("10,200,30"),
                "gap_ms": st.integers(60, 400),
                "host_rtt_ms": FEW,
                "upstream_rtt_ms": FEW,
                "create_ms": FEW,
                "first_item_ms": FEW,
                "preamble_ms": FEW,
                "arguments_ms": FEW | st.just("5,7,11"),
                "call_gap_ms": FEW | st.just("3,2"),
                "reply_ms": MS,
                "reply_gap_ms": FEW,
                "ack_ms": st.sampled_from([0, 1, 35]),
                "repeat_ms": FEW,
            },
            optional={"item_done_ms": st.integers(0, 60)},
        ),
    }
)
SCENARIOS = st.sampled_from([{}, {"scenario": "double"}, *({"scenario": "parallel", "calls": count} for count in (1, 2, 4))])


# -- in virtual time -------------------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(SESSIONS, SCENARIOS)
def test_achieved_times_in_virtual_time_equal_the_configured_times(words: dict[str, Any], scenario: dict[str, Any]) -> None:
    played = session(**words, **scenario)
    for each in measurements(simulate(played)):
        name = each.name
        if name == "item_done_ms" and not played.times.has(name):
            name = "gap_ms"  # the call item is confirmed at the end of the gap
        expected = played.times.ns(name, each.index, played.seed)
        if name == "tool_ms" and HANDLERS[played.handler].at_once:
            expected = 0
        assert each.ns == expected, each


@settings(max_examples=100)
@given(SESSIONS, SCENARIOS)
def test_every_completed_interval_is_measured(words: dict[str, Any], scenario: dict[str, Any]) -> None:
    recording = play(**words, **scenario)
    found = {name: len(values) for name, values in measured(recording).items()}
    kinds = Counter(event.type for event in recording.on(link("upstream>proxy")))
    requests = Counter(event.type for event in recording.on(link("component>app")))["onFunctionCallRequest"]
    assert found["create_ms"] == kinds["response.created"]
    assert found["arguments_ms"] == found["tool_ms"] == requests == kinds[realtime.ARGUMENTS_DONE]
    assert found["gap_ms"] == found["item_done_ms"] == 1
    assert found["gap_ms"] + found.get("reply_gap_ms", 0) == kinds["response.done"]
    assert found["call_gap_ms"] if words["preamble"] or requests > 1 else "call_gap_ms" not in found
    assert ("preamble_ms" in found) == words["preamble"]
    assert ("repeat_ms" in found) == (scenario.get("scenario") == "double")
    assert found["host_rtt_ms"] == found["upstream_rtt_ms"] == 1


def test_achieved_times_have_the_names_of_time_parameters_and_are_in_milliseconds() -> None:
    found = measured(play(tool_ms="12.5,80", scenario="parallel", calls=2, gap_ms=300, host_rtt_ms=20, upstream_rtt_ms=61))
    assert set(found) <= set(TIMES)
    assert found["tool_ms"] == [12.5, 80]
    assert found["gap_ms"] == [300]
    assert (found["host_rtt_ms"], found["upstream_rtt_ms"]) == ([20], [61])


def test_a_tool_without_a_result_has_no_tool_time() -> None:
    found = measured(play(tool_end="none", deadline_ms=1000))
    assert "tool_ms" not in found
    assert found["gap_ms"] == [150]


def test_a_call_without_a_result_does_not_shift_the_index_of_the_next_call() -> None:
    recording = play(scenario="parallel", calls=2, tool_ms="900,40", gap_ms=300)
    requests = on_wire(recording, "component>app", "onFunctionCallRequest")
    until = requests[0].sent_ns + 500_000_000  # type: ignore[operator]
    cut = replace(recording, events=tuple(event for event in recording.events if event.sent_ns < until))  # type: ignore[operator]
    assert [(each.index, each.ns) for each in measurements(cut) if each.name == "tool_ms"] == [(1, 40_000_000)]


@pytest.mark.parametrize("status", ["failed", "incomplete"])
def test_a_reply_that_was_not_completed_has_no_length(status: str) -> None:
    found = measured(play(knobs_given={"reply_status": status}, deadline_ms=1000))
    assert found["gap_ms"] == [150]
    assert "reply_ms" not in found
    assert "reply_gap_ms" not in found


# -- observed at other endpoints -------------------------------------------------------------------------------------

NETWORK = {"host_rtt_ms": 20, "upstream_rtt_ms": 60, "tool_ms": 100, "gap_ms": 300, "create_ms": 40, "ack_ms": 35}


def seen_at_proxy(recording: Recording) -> Recording:
    """Return the recording as a relay at the proxy observes it.

    Each event has one time. The links of the app and the user are omitted.
    """
    observed = tuple(each for each in LINKS if "proxy" in each)

    def there(event: Event) -> Event:
        moment = event.at_ns("proxy")
        return replace(event, sent_ns=moment, received_ns=moment, observed_at="relay")

    return replace(recording, events=tuple(map(there, recording.on(*observed))), observed=observed)


def test_times_observed_at_the_proxy_include_the_round_trip() -> None:
    found = measured(seen_at_proxy(play(**NETWORK)))
    assert found["tool_ms"] == [100 + 20]
    assert set(found["create_ms"]) == {40 + 60}
    assert set(found["ack_ms"]) == {35 + 60}
    assert found["gap_ms"] == [300]
    assert not {"host_rtt_ms", "upstream_rtt_ms"} & set(found)


def test_without_the_apps_links_the_tool_is_timed_at_the_component() -> None:
    recording = play(**NETWORK, handler="void_send")  # the component sends its own error at once; this error is not a result
    observed = tuple(each for each in LINKS if "app" not in each)
    found = measured(replace(recording, events=recording.on(*observed), observed=observed))
    assert found["tool_ms"] == [100]


@pytest.mark.parametrize(
    ("place", "names"),
    [
        ("upstream", {"gap_ms", "create_ms", "ack_ms", "upstream_rtt_ms", "reply_ms"}),
        ("component", {"tool_ms", "host_rtt_ms"}),
    ],
)
def test_an_unobserved_link_gives_no_times(place: str, names: set[str]) -> None:
    recording = play(**NETWORK)
    observed = tuple(each for each in LINKS if place in each and "proxy" in each)
    found = measured(replace(recording, events=recording.on(*observed), observed=observed))
    assert names <= set(found)
    others = {"upstream": {"tool_ms", "host_rtt_ms"}, "component": {"gap_ms", "create_ms", "ack_ms", "upstream_rtt_ms"}}
    assert not others[place] & set(found)


def test_an_empty_recording_has_no_times() -> None:
    assert measured(Recording(())) == {}


# -- hand-written recordings -------------------------------------------------------------------------------------------


def test_a_refused_result_is_not_confirmed_by_the_confirmation_of_the_next() -> None:
    tape = asked(0).result(10, content='{"n":1}', confirm=False)
    tape.server(11, realtime.error_event("event_x", "invalid_tool_call_id", "Tool call ID 'call_1' not found."))
    tape.result(50, content='{"n":1}', confirm=False).confirmed(85, content='{"n":1}')
    assert measured(tape.recording())["ack_ms"] == [35]


def test_a_second_result_is_a_repeat_and_the_default_error_is_not_a_result() -> None:
    observed = tuple(Link(*each) for each in LINKS if "app" not in each)
    tape = asked(0).default_error(1).result(40).result(65)
    found = measured(tape.recording(observed=observed))
    assert (found["tool_ms"], found["repeat_ms"]) == ([40], [25])


def test_a_cancelled_response_gives_no_times() -> None:
    found = measured(asked(0).done(30, "resp_1", "cancelled").recording())
    assert not {"gap_ms", "arguments_ms", "create_ms"} & set(found)


def test_a_gap_that_had_not_ended_is_not_measured() -> None:
    found = measured(asked(0).recording(complete=False))
    assert "gap_ms" not in found
    assert found["arguments_ms"] == [0]


def test_malformed_messages_give_no_times() -> None:
    tape = Tape().put("proxy>component", 0, {"type": "FunctionCallRequest", "functions": None})
    tape.put("component>proxy", 1, {"type": "FunctionCallResponse"}).client(2, {"type": realtime.ITEM_CREATE, "item": {}})
    tape.server(3, {"type": realtime.ITEM_DONE, "item": {"type": "message", "content": [None]}}).put(
        "proxy>component", 3, agent.agent_thinking()
    )
    found = measured(tape.recording(observed=tuple(each for each in LINKS if "app" not in each)))
    assert set(found) <= {"host_rtt_ms", "upstream_rtt_ms"}
