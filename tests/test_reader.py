"""Test a host whose reader is blocked while its tool runs: it reads messages late, and times on the wire do not change."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.played import play, session, with_tie

from voicerace.analysis.verdict import judge
from voicerace.cli import main
from voicerace.engine.live.background import play as play_live
from voicerace.engine.live.play import Live
from voicerace.engine.live.targets import ProxyTarget
from voicerace.trace.recording import Recording, link

#: Times in ms with the recorded gap of 6 ms, and a release that forwards the API's events to the host.
SLOW: dict[str, Any] = {"release": "0.9.1", "gap_ms": 6, "tool_ms": 300, "host_rtt_ms": 20, "upstream_rtt_ms": 60}


def gap_ms(recording: Recording, *, read: bool) -> float:
    """Return the ms between the first function call and response.done at the host.

    With `read` the times are those at which the host read the messages, otherwise those at which the proxy sent them.
    """
    at = {}
    for event in recording.on(link("proxy>component")):
        moment = event.received_ns if read else event.sent_ns
        if moment is not None and event.type in ("FunctionCallRequest", "response.done"):
            at.setdefault(event.type, moment)
    return (at["response.done"] - at["FunctionCallRequest"]) / 1e6


def reads_ms(recording: Recording) -> list[float]:
    return [event.received_ns / 1e6 for event in recording.on(link("proxy>component")) if event.received_ns is not None]


def test_a_blocked_host_sees_the_tool_time_as_the_gap_while_the_wire_has_6_ms() -> None:
    blocked = play(**SLOW, reader_ms=300)
    assert (gap_ms(blocked, read=False), gap_ms(blocked, read=True)) == (6, 300)
    assert (gap_ms(play(**SLOW), read=False), gap_ms(play(**SLOW), read=True)) == (6, 6)


def test_messages_that_arrive_meanwhile_are_read_in_order_afterwards() -> None:
    free, blocked = play(**SLOW), play(**SLOW, reader_ms=300)
    types = [[event.type for event in each.on(link("proxy>component"))] for each in (free, blocked)]
    assert types[0] == types[1]
    read = reads_ms(blocked)
    assert read == sorted(read)
    call = types[1].index("FunctionCallRequest")
    over = read[call] + 300
    # A host that is not blocked reads these messages on arrival, before the tool ends.
    arrived = [each for each in reads_ms(free)[call + 1 :] if each < over]
    assert len(set(arrived)) > 1
    assert read[call + 1 :][: len(arrived)] == [over] * len(arrived)
    assert read[call + 1 + len(arrived)] > over


def test_a_blocked_host_still_sends() -> None:
    def results_ms(recording: Recording) -> list[int | None]:
        return [each.sent_ns for each in recording.on(link("component>proxy")) if each.type == "FunctionCallResponse"]

    slower = {**SLOW, "tool_ms": 100}
    assert results_ms(play(**slower, reader_ms=300)) == results_ms(play(**slower)) != []


def test_a_reader_time_of_0_ms_equals_none() -> None:
    assert play(**SLOW, reader_ms=0).events == play(**SLOW).events


def test_each_call_blocks_the_reader_for_its_own_time_in_turn() -> None:
    blocked = play(scenario="parallel", calls=2, tool_ms=10, gap_ms=6, reader_ms="200,50")
    calls = [each for each in blocked.on(link("proxy>component")) if each.type == "FunctionCallRequest"]
    read = [each.received_ns or 0 for each in calls]
    assert read[1] - read[0] == 200_000_000
    later = [each for each in reads_ms(blocked) if each * 1e6 > read[1]]
    assert later[0] * 1e6 == read[1] + 50_000_000


def test_a_reopened_connection_is_read_at_once() -> None:
    """The connection is lost 20 ms after the call and reopened 300 ms later, while the reader would still be blocked."""
    blocked = play(scenario="reconnect", reader_ms=5_000)
    applied = [each for each in blocked.on(link("proxy>component")) if each.type == "SettingsApplied"]
    assert len(applied) == 2
    assert applied[1].received_ns == applied[1].sent_ns


@pytest.mark.parametrize("release", ["0.9.1", "0.11.1"])
def test_sessions_with_a_blocked_reader_end_and_their_ties_are_found(release: str) -> None:
    given = {"release": release, "gap_ms": 150, "tool_ms": 150, "reader_ms": 150}
    assert judge(play(**given)).fault is None
    assert with_tie(**given) == with_tie(release=release, gap_ms=150, tool_ms=150)


def test_a_live_host_with_a_blocked_reader_sees_the_tool_time_as_the_gap() -> None:
    blocked = session(**{**SLOW, "reply_ms": 60, "deadline_ms": 700}, reader_ms=300)
    recording = play_live(lambda: Live(ProxyTarget.of("model:0.9.1")), blocked)
    assert judge(recording).fault is None
    # The limits are wide, since the machine can be busy. The host's gap is the tool time; the wire's gap is much shorter.
    assert 0.95 <= gap_ms(recording, read=True) / 300 < 1.6
    assert gap_ms(recording, read=False) < 0.5 * gap_ms(recording, read=True)
    read = reads_ms(recording)
    assert read == sorted(read)
    assert [event.type for event in recording.on(link("proxy>component"))] == [
        event.type for event in play(**{**SLOW, "reply_ms": 60, "deadline_ms": 700}, reader_ms=300).on(link("proxy>component"))
    ]


def test_the_command_line_accepts_the_reader_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--release", "0.9.1", "--reader-ms", "300", "--gap-ms", "6", "--json"]) == 0
    assert "outcome" in json.loads(capsys.readouterr().out)
    assert main(["run", "--reader-ms", "-1"]) == 2
    assert "reader_ms" in capsys.readouterr().err
