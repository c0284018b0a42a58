"""Test the pairing of the connections of a session, also of concurrent ones; an ambiguous pairing is marked as a guess."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from voicerace.captures.live.pairing import GUESSED, MISFIT, SharedContent, Trace, joined, pair, trace
from voicerace.trace.recording import Event, Link, Recording

HOST = (Link("component", "proxy"), Link("proxy", "component"))
UPSTREAM = (Link("proxy", "upstream"), Link("upstream", "proxy"))


def host(name: str, opened: int, ended: int | None = None, **contents: Any) -> Trace:
    return made("host", name, opened, ended, contents)


def upstream(name: str, opened: int, ended: int | None = None, **contents: Any) -> Trace:
    return made("upstream", name, opened, ended, contents)


def made(side: str, name: str, opened: int, ended: int | None, contents: dict[str, Any]) -> Trace:
    """Return a trace with contents given as ``text={time: text}``."""
    found = [(at, SharedContent(kind, key)) for kind, each in contents.items() for at, key in each.items()]
    return Trace(Path(name), side, opened, ended, tuple(sorted(found)))


def names(*traces: Trace) -> list[str]:
    """Return the names of the traces of each session, joined as in ``h1+u1``."""
    return ["+".join(each.path.name for each in session.traces) for session in pair(traces)]


def notes(*traces: Trace) -> list[str | None]:
    return [session.note for session in pair(traces)]


def test_consecutive_sessions_are_paired_without_contents() -> None:
    found = (host("h1", 0, 10), upstream("u1", 1, 11), host("h2", 20, 30), upstream("u2", 21, 31))
    assert names(*found) == ["h1+u1", "h2+u2"]
    assert notes(*found) == [None, None]


def test_an_upstream_connection_goes_to_the_oldest_unpaired_host() -> None:
    found = (host("h1", 0, 50), upstream("u1", 1, 50), host("h2", 10, 60), upstream("u2", 11, 60))
    assert names(*found) == ["h1+u1", "h2+u2"]
    assert notes(*found) == [None, None]


def test_two_hosts_waiting_at_once_are_a_guess_without_contents() -> None:
    found = (host("h1", 0), host("h2", 1), upstream("u1", 2), upstream("u2", 3))
    assert names(*found) == ["h1+u1", "h2+u2"]
    assert notes(*found) == [GUESSED, GUESSED]


@pytest.mark.parametrize("kind", ["text", "result"])
def test_contents_correct_the_order(kind: str) -> None:
    found = (
        host("h1", 0, **{kind: {10: "a"}}),
        host("h2", 1, **{kind: {11: "b"}}),
        upstream("u1", 2, **{kind: {12: "b"}}),
        upstream("u2", 3, **{kind: {13: "a"}}),
    )
    assert names(*found) == ["h1+u2", "h2+u1"]
    assert notes(*found) == [None, None]


def test_a_call_is_matched_from_upstream_to_host() -> None:
    found = (
        host("h1", 0, call={21: "a"}),
        host("h2", 1, call={20: "b"}),
        upstream("u1", 2, call={18: "b"}),
        upstream("u2", 3, call={19: "a"}),
    )
    assert names(*found) == ["h1+u2", "h2+u1"]


def test_equal_contents_are_paired_so_that_effect_follows_cause() -> None:
    # The mock uses the same call ids in every session, so only the times distinguish the sessions.
    found = (
        host("h1", 0, text={10: "x"}, call={31: "call_1"}, result={40: "call_1"}),
        host("h2", 1, text={20: "x"}, call={26: "call_1"}, result={60: "call_1"}),
        upstream("u2", 2, text={21: "x"}, call={25: "call_1"}, result={61: "call_1"}),
        upstream("u1", 3, text={11: "x"}, call={30: "call_1"}, result={41: "call_1"}),
    )
    assert names(*found) == ["h1+u1", "h2+u2"]
    assert notes(*found) == [None, None]


def test_without_a_contradiction_the_shorter_delay_decides_and_is_a_guess() -> None:
    found = (
        host("h1", 0, text={10: "x"}),
        host("h2", 1, text={20: "x"}),
        upstream("u1", 2, text={21: "x"}),
        upstream("u2", 3, text={22: "x"}),
    )
    assert notes(*found) == [GUESSED, GUESSED]


def test_a_proxy_that_connects_late_or_early_is_paired() -> None:
    late = (host("h1", 0), host("h2", 1, text={5: "b"}), upstream("u2", 2, text={6: "b"}), upstream("u1", 90))
    assert names(*late) == ["h1+u1", "h2+u2"]
    early = (upstream("u1", 0, text={11: "a"}), host("h1", 10, text={10: "a"}))
    assert names(*early) == ["h1+u1"]
    assert names(upstream("u1", 0), host("h1", 10)) == ["u1", "h1"]


def test_a_proxy_that_reconnects_stays_one_session() -> None:
    found = (
        host("h1", 0, 100, text={10: "a", 60: "b"}),
        host("h2", 1, 100, text={11: "c"}),
        upstream("u2", 2, 100, text={12: "c"}),
        upstream("u1", 3, 50, text={11: "a"}),
        upstream("u3", 55, 100, text={61: "b"}),
    )
    assert names(*found) == ["h1+u1+u3", "h2+u2"]
    empty_first = (host("h1", 0, 100, text={10: "a"}), upstream("u1", 1, 5), upstream("u2", 6, 100, text={11: "a"}))
    assert names(*empty_first) == ["h1+u1+u2"]


def test_a_connection_without_a_counterpart_is_a_session() -> None:
    assert names(host("h1", 0, 10)) == ["h1"]
    assert names(upstream("u1", 0, 10)) == ["u1"]
    assert names(host("h1", 0, 10), upstream("u1", 20, 30)) == ["h1", "u1"]


def test_contents_that_do_not_fit_are_noted() -> None:
    found = (host("h1", 0, call={9: "a", 10: "b"}), upstream("u1", 1, text={11: "z"}))
    assert names(*found) == ["h1+u1"]
    assert notes(*found) == [MISFIT]


@pytest.mark.parametrize("seed", range(20))
def test_many_concurrent_sessions_with_distinct_texts_are_all_paired(seed: int) -> None:
    draw = random.Random(seed)
    traces = []
    for number in range(30):
        opened, sent_at, connects = draw.randrange(100), 200 + draw.randrange(100), draw.randrange(1, 90)
        traces.append(host(f"h{number}", opened, 900, text={sent_at: f"words {number}"}))
        traces.append(upstream(f"u{number}", opened + connects, 901, text={sent_at + draw.randrange(50): f"words {number}"}))
    draw.shuffle(traces)
    assert sorted(names(*traces)) == sorted(f"h{number}+u{number}" for number in range(30))


def recorded(side: str, opened: int, *messages: tuple[int, Link, Any], complete: bool = True) -> Recording:
    return Recording(
        events=tuple(
            Event(seq, link, "message", at, at + 1, payload, "relay") for seq, (at, link, payload) in enumerate(messages)
        ),
        provenance={"side": side, "opened_ns": opened, "connection": side, "engine": "relay", "start": f"at {opened}"},
        clock="monotonic",
        observed=HOST if side == "host" else UPSTREAM,
        complete=complete,
    )


def test_a_trace_holds_the_signs_that_pass_between_the_sides() -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}
    output = {"type": "function_call_output", "call_id": "c", "output": "{}"}
    context = {
        "agent": {"context": {"messages": [{"role": "user", "content": "before"}, {"role": "assistant", "content": "x"}]}}
    }
    of_host = recorded(
        "host", 1000,
        (1, HOST[0], {"type": "Settings", **context}),
        (3, HOST[0], {"type": "InjectUserMessage", "content": "Hello"}),
        (5, HOST[1], {"type": "FunctionCallRequest", "functions": [{"id": "c", "name": "f"}]}),
        (7, HOST[0], {"type": "FunctionCallResponse", "id": "c", "content": "{}"}),
        (8, HOST[0], b"audio"),
    )  # fmt: skip
    of_upstream = recorded(
        "upstream", 1000,
        (3, UPSTREAM[0], {"type": "conversation.item.create", "item": {**item, "content": [{"text": "before"}]}}),
        (4, UPSTREAM[0], {"type": "conversation.item.create", "item": item}),
        (4, UPSTREAM[1], {"type": "response.function_call_arguments.done", "call_id": "c"}),
        (8, UPSTREAM[0], {"type": "conversation.item.create", "item": output}),
    )  # fmt: skip
    expected = [("text", "before"), ("text", "Hello"), ("call", "c"), ("result", "c")]
    assert [content for _, content in trace(Path("h"), of_host).contents] == expected
    assert [content for _, content in trace(Path("u"), of_upstream).contents] == expected
    # The expected times are those at the proxy: forwarding times of messages to it, arrival times of messages from it.
    assert [at for at, _ in trace(Path("h"), of_host).contents] == [1002, 1004, 1005, 1008]
    assert trace(Path("h"), of_host).ended_ns is None


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "Settings", "agent": {"context": {"messages": ["x", 3]}}},
        {"type": "Settings", "agent": []},
        {"type": "FunctionCallRequest", "functions": [None, {"id": []}]},
        {"type": "conversation.item.create", "item": {"role": "user", "content": [None]}},
        {"type": "conversation.item.create", "item": []},
        {"type": ["x"]},
    ],
)
def test_malformed_messages_give_no_signs_and_no_error(payload: Any) -> None:
    for each in (*HOST, *UPSTREAM):
        trace(Path("x"), recorded("host", 0, (1, each, payload)))


def test_a_joined_recording_has_one_time_axis_and_keeps_each_links_order() -> None:
    of_host = recorded("host", 5_000, (0, HOST[0], {"type": "a"}), (100, HOST[1], {"type": "d"}))
    of_upstream = recorded("upstream", 5_040, (10, UPSTREAM[0], {"type": "b"}), (20, UPSTREAM[1], {"type": "c"}))
    recording = joined([of_host, of_upstream], 7, "a guess")
    assert [(event.seq, event.type, event.sent_ns, event.received_ns) for event in recording.events] == [
        (0, "a", 0, 1), (1, "b", 50, 51), (2, "c", 60, 61), (3, "d", 100, 101),
    ]  # fmt: skip
    assert set(recording.observed) == {*HOST, *UPSTREAM}
    assert recording.complete
    assert recording.notes == ("a guess",)
    assert recording.provenance == {
        "engine": "relay",
        "start": "at 5000",
        "connection": "session 7",
        "connections": [{"side": "host", "opened_ns": 0}, {"side": "upstream", "opened_ns": 40}],
    }
    cut = recorded("upstream", 5_000, complete=False)
    assert not joined([of_host, cut], 1).complete


def test_events_written_late_are_sorted_by_time() -> None:
    out_of_order = recorded("host", 0, (50, HOST[0], {"type": "b"}), (10, HOST[1], {"type": "a"}))
    assert [event.type for event in joined([out_of_order], 1).events] == ["a", "b"]
