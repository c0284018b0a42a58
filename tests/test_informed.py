"""Compare two sources of the results that a response knew: the ledger, and the text of the mock's replies.

The text names the results that the mock had accepted when it decided on the reply. The ledger reads only the order of
events, and the verdict reads no text.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.played import play, said

from voicerace.analysis.trace_index import TraceIndex
from voicerace.analysis.verdict import judge
from voicerace.model.actors.responses import NO_RESULT
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.releases import PROXIES, REFERENCE
from voicerace.model.catalog.scenarios import SCENARIOS
from voicerace.model.protocol import agent, realtime
from voicerace.trace.recording import Recording

_DELAY = st.sampled_from([0, 1, 20, 60, 149, 150, 151, 300, 700])
#: Parameters of sessions of every scenario, release and handler. The times are close to those of the scenario.
PLAYED = st.fixed_dictionaries(
    {
        "release": st.sampled_from([*sorted(PROXIES), REFERENCE.tag]),
        "scenario": st.sampled_from(sorted(SCENARIOS)),
        "handler": st.sampled_from(sorted(HANDLERS)),
        "modality": st.sampled_from(["text", "audio"]),
        "preamble": st.booleans(),
        "tool_end": st.sampled_from(["result", "result", "error", "reject", "none"]),
        "knobs_given": st.fixed_dictionaries(
            {},
            optional={
                "server_turn_taken": st.just("waits"),
                "function_output": st.sampled_from(["item_done", "response_done"]),
                "reply_status": st.just("incomplete"),
            },
        ),
        "times": st.fixed_dictionaries(
            {
                "tool_ms": _DELAY | st.integers(1800, 2700) | st.just("10,200,30"),
                "gap_ms": _DELAY,
                "create_ms": st.sampled_from([0, 5, 150, 300]),
                "host_rtt_ms": st.sampled_from([0, 20]),
                "upstream_rtt_ms": st.sampled_from([0, 30, 140]),
                "ack_ms": st.sampled_from([0, 35, 200]),
                "reply_ms": st.sampled_from([0, 100, 1500]),
                "inject_ms": _DELAY,
                "speech_ms": st.sampled_from([100, 1500]),
                "vad_ms": st.sampled_from([0, 100, 500]),
                "deadline_ms": st.just(8000),
            },
            optional={
                "idle_timeout_ms": st.sampled_from([50, 500]),
                "repeat_ms": _DELAY,
                "slot_lag_ms": st.sampled_from([3, 60]),
            },
        ),
    }
).filter(
    # If the server's turn waits for a slot that is freed after response.done, no message reveals the decision.
    lambda words: not ("slot_lag_ms" in words["times"] and words["knobs_given"].get("server_turn_taken") == "waits")
)
#: Sessions whose result arrives after the commit and before the announcement of the server's response.
LATE_RESULTS = [
    {"release": "0.11.1", "scenario": "voice", "times": {"create_ms": 150, "gap_ms": 300, "tool_ms": tool}}
    for tool in (2120, 2140, 2160)
]


def knew(recording: Recording) -> list[tuple[str, list[bool], list[bool]]]:
    """Return (id, known by text, known by ledger) of each reply with text.

    Both lists have one boolean per call: whether the reply knew the call's own result.
    """
    index = TraceIndex(recording)
    texts = {
        each["response_id"]: each.get("text") or each.get("transcript")
        for kind in (realtime.TEXT_DONE, realtime.TRANSCRIPT_DONE)
        for each in said(recording, "upstream>proxy", kind)
    }
    found = []
    calls: list[str] = []
    first = 0
    for response in index.ledger.responses.values():
        if response.known_from != first:
            first, calls = response.known_from, []
        text = texts.get(response.id)
        if text is not None and response.message and not response.calls and response.status == "completed":
            results = text.partition("The tool says: ")[2]
            parts = results.split(" and ") if results else [NO_RESULT] * len(calls)
            assert len(parts) == len(calls), (text, calls)
            by_text = [
                any(not agent.is_default_error(each) for each in part.split(", then ")) and part != NO_RESULT for part in parts
            ]
            found.append((response.id, by_text, [index.ledger.informed(response, [call]) for call in calls]))
        calls += response.calls
    return found


@settings(max_examples=300, deadline=None)
@given(PLAYED)
@example(LATE_RESULTS[0])
@example({**LATE_RESULTS[0], "knobs_given": {"server_turn_taken": "waits"}})
@pytest.mark.long
def test_ledger_and_text_agree_on_the_known_results(words: dict[str, Any]) -> None:
    for response, by_text, by_ledger in knew(play(**words)):
        assert by_text == by_ledger, response


def test_some_replies_know_results_and_some_do_not() -> None:
    """Both cases occur in the comparison above, also for the server's own responses."""
    own: dict[bool, set[bool]] = {True: set(), False: set()}
    spoken = [play(release="0.11.1", scenario="voice", tool_ms=tool, create_ms=150, gap_ms=300) for tool in range(0, 4000, 200)]
    for recording in (*spoken, play(release="0.9.1", handler="void_ref", tool_ms=300, gap_ms=0)):
        ledger = TraceIndex(recording).ledger
        for response, by_text, _ in knew(recording):
            own[ledger.responses[response].create is None].update(by_text)
    assert own == {True: {True, False}, False: {True, False}}


@pytest.mark.parametrize("words", LATE_RESULTS, ids=["2120", "2140", "2160"])
def test_a_result_that_arrives_after_the_servers_decision_does_not_inform_its_response(words: dict[str, Any]) -> None:
    recording = play(**words)
    judged = judge(recording)
    assert "I have no result yet." in said(recording, "upstream>proxy", realtime.TRANSCRIPT_DONE)[0]["transcript"]
    assert judged.outcome == "stale", judged.why
