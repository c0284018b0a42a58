"""Test a connection that is lost while the tool runs: the state of the next connection, and the effect of a late result."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from voicerace.analysis.verdict import judge
from voicerace.engine.live.play import Live
from voicerace.engine.live.targets import ProxyTarget
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.model.actors.actor import Close, Open, Send, SetTimer
from voicerace.model.actors.component import Component
from voicerace.model.catalog.releases import component
from voicerace.model.protocol import realtime
from voicerace.model.protocol.ledger import Ledger
from voicerace.trace.recording import Recording, read_recordings

#: Tool times in ms. The connection is lost 20 ms after the call, and the user's next text follows 300 ms later.
#: Settings are sent 50 ms after this text, and the text itself 100 ms after.
BEFORE_THE_LOSS, WITHOUT_CONNECTION, BEFORE_THE_TEXT, BEHIND_THE_TEXT = 10, 200, 395, 600


def session(tool_ms: int, release: str = "0.9.4", handler: str = "return", **times: int) -> SessionConfig:
    given = {"gap_ms": 150, "inject_ms": 20, "offline_ms": 300, "deadline_ms": 3000, **times, "tool_ms": tool_ms}
    return SessionConfig.of(release=release, scenario="reconnect", handler=handler, times=given)


def types(recording: Recording, sender: str, receiver: str) -> list[str]:
    return [event.type for event in recording.events if event.link == (sender, receiver)]


def test_a_session_reconnects_with_new_settings_and_a_new_api_session() -> None:
    recording = simulate(session(WITHOUT_CONNECTION))
    assert types(recording, "component", "proxy") == [
        "Settings", "InjectUserMessage", "(close)", "(open)", "Settings", "InjectUserMessage", "InjectUserMessage", "(close)",
    ]  # fmt: skip
    assert types(recording, "upstream", "proxy").count("session.created") == 2
    assert types(recording, "proxy", "upstream").count("session.update") == 2
    ids = [e.payload["response"]["id"] for e in recording.events if e.type == "response.created" and "upstream" in e.link]
    assert len(ids) == len(set(ids)) == 3, "ids are unique across sessions"


@pytest.mark.parametrize("release", ["0.9.1", "0.9.4", "0.10.2", "0.10.3", "0.11.1"])
@pytest.mark.parametrize("tool_ms", [BEFORE_THE_LOSS, WITHOUT_CONNECTION, BEFORE_THE_TEXT, BEHIND_THE_TEXT])
def test_the_turn_is_abandoned_unless_a_refusal_came_before_the_loss(release: str, tool_ms: int) -> None:
    recording = simulate(session(tool_ms, release))
    verdict = judge(recording)
    late = tool_ms in (BEFORE_THE_TEXT, BEHIND_THE_TEXT)
    codes = [e.payload["error"]["code"] for e in recording.events if e.type == "error" and e.link.sender == "upstream"]
    assert codes.count("invalid_tool_call_id") == late, "the new session has no calls of the old one"
    # On 0.9.4 the request for the result is sent and refused before the loss. The loss does not change that outcome.
    refused = (
        {"0.9.1": "rejected", "0.10.2": "rejected", "0.10.3": "lost", "0.11.1": "lost"} if tool_ms == BEFORE_THE_LOSS else {}
    )
    assert verdict.outcome == refused.get(release, "abandoned")


def test_a_late_result_leaves_0_9_4_stuck() -> None:
    """The item of the result is refused, so no event releases the response.create that waits for the item.

    The response.create for the text waits as well.
    """
    assert judge(simulate(session(BEFORE_THE_TEXT))).wedged is True
    assert judge(simulate(session(WITHOUT_CONNECTION))).wedged is False
    assert judge(simulate(session(BEFORE_THE_TEXT, "0.10.3", deadline_ms=30_000))).wedged is False, "20 s later it is sent"


def test_messages_in_flight_at_the_loss_are_lost() -> None:
    far = session(BEHIND_THE_TEXT, upstream_rtt_ms=2000, host_rtt_ms=0, offline_ms=10, first_item_ms=1)
    recording = simulate(far)
    lost = [e for e in recording.events if e.link == ("upstream", "proxy") and e.kind == "message" and e.received_ns is None]
    opened = next(e.seq for e in recording.events if e.kind == "open")
    assert lost
    assert all(e.seq < opened for e in lost)


@pytest.mark.parametrize("tool_ms", [WITHOUT_CONNECTION, BEFORE_THE_TEXT])
def test_real_sockets_give_the_same_session_as_virtual_time(tool_ms: int, tmp_path: Path) -> None:
    played = session(tool_ms, deadline_ms=600)

    async def play() -> Recording:
        async with Live(ProxyTarget.of("model:0.9.4")) as live:
            return await live.play(played)

    recording = asyncio.run(play())
    recording.write(tmp_path / "r.jsonl")
    [read] = read_recordings(tmp_path / "r.jsonl")
    expected = judge(simulate(played))
    assert read.complete
    assert (judge(read).outcome, judge(read).wedged) == (expected.outcome, expected.wedged)
    assert types(read, "component", "proxy") == types(simulate(played), "component", "proxy")


def test_a_text_opens_the_connection_and_waits_for_settings() -> None:
    """`tests/test_component_conformance.py` compares the model with the running component ("a second connection")."""
    actor = Component(component("0.11.1"))
    actor.start()
    lost = actor.message("app", {"type": "offline"})
    assert lost[0] == Close("proxy", 1006)
    result = {"type": "sendFunctionCallResponse", "id": "call_1", "name": "f", "content": "1"}
    assert actor.message("app", result) == [], "without a connection sendJSON sends nothing"
    opened = actor.message("app", {"type": "injectUserMessage", "content": "hello"})
    assert opened[0] == Open("proxy")
    assert SetTimer("opened", "settings_open_ms") in opened
    assert SetTimer("text", "settings_poll_ms") in opened
    sent = [e.payload for name in ("opened", "text") for e in actor.timer(name) if isinstance(e, Send) and e.to == "proxy"]
    assert [each["type"] for each in sent] == ["Settings", "InjectUserMessage"]


def test_the_ledger_of_two_connections_starts_anew() -> None:
    ledger = Ledger()
    ledger.feed("upstream", realtime.session_event(realtime.SESSION_CREATED, "e1", {}), 1)
    ledger.feed("proxy", realtime.create_response(), 2)
    body = realtime.response_object("resp_1", "conv_1", "text", "in_progress", None, [])
    ledger.feed("upstream", realtime.response_event(realtime.RESPONSE_CREATED, "e2", body), 3)
    ledger.feed("proxy", realtime.create_item(realtime.output_item("call_1", "{}")), 4)
    ledger.feed("proxy", realtime.create_response(), 5)
    ledger.feed("upstream", realtime.session_event(realtime.SESSION_CREATED, "e3", {}), 6)
    assert ledger.active == []
    assert ledger.unanswered == []
    assert ledger.creates[1].answer == "closed"
    assert (ledger.outputs[0].lost, ledger.outputs[0].refused) == (6, False)
    assert (ledger.responses["resp_1"].done, ledger.responses["resp_1"].reason) == (6, "connection_closed")
    ledger.feed("proxy", realtime.create_response(), 7)
    ledger.feed("upstream", realtime.response_event(realtime.RESPONSE_CREATED, "e4", {**body, "id": "resp_2"}), 8)
    assert not ledger.informed(ledger.responses["resp_2"], ["call_1"]), "the result belongs to the other session"


def test_an_idle_close_drops_a_late_result() -> None:
    """The handler returns nothing, so the component's error is the result. The connection is closed 10 s after the reply."""
    slow = {"release": "0.9.1", "handler": "void_ref", "times": {"tool_ms": 12_000, "gap_ms": 150}}
    kept, closed = simulate(SessionConfig.of(**slow)), simulate(SessionConfig.of(**slow, idle_close=True))
    assert types(kept, "component", "proxy").count("FunctionCallResponse") == 2
    assert types(closed, "component", "proxy").count("FunctionCallResponse") == 1
    assert types(closed, "component", "proxy").count("(open)") >= 1, "the user's next text opens another"
    assert (judge(kept).outcome, judge(closed).outcome) == ("noisy", "stale")
    awaited = SessionConfig.of(release="0.9.1", handler="return", times={"tool_ms": 12_000}, idle_close=True)
    assert judge(simulate(awaited)).outcome == "answered", "a call that the component waits for keeps it open"
