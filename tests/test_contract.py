"""Test the contract suite on the mock, on misbehaving mocks, and on a strict stand-in for the API."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.bench import mock
from support.standin import StandIn
from support.strictly import CLIENT_EVENTS, SERVER_EVENTS, faults
from websockets.asyncio.server import ServerConnection, serve

from voicerace.cli import main
from voicerace.conformance.contract import FACTS, Contract, apis, check_contract, sessions_needed, steps
from voicerace.conformance.contract.asked_upstream import AskedUpstream
from voicerace.conformance.contract.client import Client, Patience
from voicerace.conformance.contract.show import contract_lines
from voicerace.conformance.contract.times import Spread, done_before_result
from voicerace.engine.live.targets import UpstreamTarget
from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError
from voicerace.model.actors.actor import Close, Effect, Send, SetTimer
from voicerace.model.protocol import input_audio, realtime
from voicerace.trace.recording import Recording

#: Timeouts that keep the order of events on a busy machine, and that complete a full run in about a second.
TIMES = {"gap_ms": 120, "first_item_ms": 60, "reply_ms": 50, "reply_gap_ms": 70}
PATIENCE = Patience(3.0, 0.15)
UNTRIED = {fact.name for fact in FACTS if fact.untried}
TRIED = {fact.name for fact in FACTS} - UNTRIED


def on_mock(*facts: str, knobs: Mapping[str, str] | None = None, repeats: int = 0, **times: Any) -> Contract:
    session = SessionConfig.of(times=TIMES | times, knobs_given=knobs)
    return check_contract(UpstreamTarget("mock"), session, facts=facts, repeats=repeats, at_once=40, patience=PATIENCE)


def at(url: str, *facts: str, key_from: str | None = None, patience: Patience = PATIENCE) -> Contract:
    """Check the given facts, or all facts, of the API at an address."""
    return check_contract(UpstreamTarget.of(url, key_from=key_from), facts=facts, repeats=0, at_once=40, patience=patience)


#: Maximum number of runs on the real clock, which can fail on a busy machine.
TRIES = 3


def one_of(run: Callable[[], Contract], right: Callable[[Contract], bool]) -> Contract:
    """Return the first acceptable contract of at most `TRIES` runs, or the last contract."""
    for _ in range(TRIES):
        if right(found := run()):
            break
    return found


def all_held(found: Contract) -> bool:
    return {name for name, state in found.states.items() if state != "held"} == UNTRIED


@pytest.fixture(scope="module")
def plain() -> Contract:
    """Return the contract of the mock with default knobs."""
    return one_of(lambda: on_mock(repeats=2), all_held)


def changed(found: Contract, before: Contract) -> dict[str, str]:
    return {name: state for name, state in found.states.items() if state != before.states[name]}


# -- mock and knobs --------------------------------------------------------------------------------------------------


def test_the_mock_keeps_every_tested_fact(plain: Contract) -> None:
    assert {name for name, state in plain.states.items() if state == "held"} == TRIED, [
        (row.fact.name, row.seen) for row in plain.rows if row.state != "held"
    ]
    assert {name for name, state in plain.states.items() if state == "unknown"} == UNTRIED
    assert plain.sessions == len(plain.recordings) == sessions_needed(2)


def test_untested_facts_have_a_reason(plain: Contract) -> None:
    assert {row.fact.name for row in plain.rows if row.state == "unknown"} == {
        "server_vad_response", "vad_commit", "barge_in", "idle_timeout", "speed_and_model", "session_expires",
    }  # fmt: skip
    assert all(row.seen and row.fact.experiment is None and not row.trace for row in plain.rows if row.fact.untried)


NO_RESPONSE = TRIED - {
    "session_opens", "item_confirmed", "cancel_idle", "binary_frames", "empty_commit", "commit_no_response", "create_free",
}  # fmt: skip

#: Tuples of knobs, times, and the answers that change with them.
KNOBS: list[tuple[dict[str, str], dict[str, Any], dict[str, str]]] = [
    ({}, {"item_done_ms": 40}, {}),
    ({}, {"upstream_rtt_ms": 20, "ack_ms": 10}, {}),
    ({"function_output": "item_done"}, {"item_done_ms": 40}, {"output_at_arguments_done": "broken"}),
    ({"function_output": "response_done"}, {"item_done_ms": 40}, {"output_at_arguments_done": "broken"}),
    ({"session_update_active": "refuse"}, {}, {"session_update_active": "broken"}),
    ({"item_before_output": "no"}, {}, {"item_before_output": "broken"}),
    ({"items_close": "singly"}, {"call_gap_ms": 60}, {"two_calls": "broken"}),
    ({"cancel_before_created": "ends"}, {}, {"cancel_before_created": "broken"}),
    ({"binary_frames": "refuse"}, {}, {"binary_frames": "broken"}),
    ({}, {"slot_lag_ms": 150}, {"slot_at_response_done": "broken", "cancel_then_create": "broken"}),
    ({}, {"gap_ms": 400}, {"done_before_result": "broken"}),
    # A request that is always late has no answer.
    ({}, {"gap_ms": 0}, {"slot_at_arguments_done": "unknown", "output_at_arguments_done": "unknown"}),
    ({}, {"reply_gap_ms": 0}, {"slot_at_text_done": "unknown"}),
    (
        {"reply_status": "failed"},
        {},
        {"reply_completed": "broken"}
        | dict.fromkeys(
            (
                "slot_at_text_done",
                "cut_off_text_done",
                "text_order",
                "audio_no_text_done",
                "voice_after_audio",
                "cancel_then_create",
            ),
            "unknown",
        ),
    ),
    (
        {"reply_status": "incomplete"},
        {},
        {"reply_completed": "broken"} | dict.fromkeys(("slot_at_text_done", "text_order"), "unknown"),
    ),
    (
        {"error_after_create": "server_error"},
        {},
        {"create_free": "broken"} | dict.fromkeys(sorted(NO_RESPONSE), "unknown"),
    ),
]


@pytest.mark.parametrize(("knobs", "times", "expected"), KNOBS, ids=lambda each: json.dumps(each)[:40])
def test_a_knob_changes_only_its_answers(
    plain: Contract, knobs: dict[str, str], times: dict[str, Any], expected: dict[str, str]
) -> None:
    found = one_of(lambda: on_mock(knobs=knobs, **times), lambda each: changed(each, plain) == expected)
    assert changed(found, plain) == expected, [(row.fact.name, row.seen) for row in found.rows if row.state != "held"]


@pytest.mark.parametrize(("knob", "moment"), [("item_done", "conversation.item.done"), ("response_done", "response.done")])
def test_the_answer_has_the_event_from_which_a_result_is_accepted(knob: str, moment: str) -> None:
    (row,) = on_mock("output_at_arguments_done", knobs={"function_output": knob}, item_done_ms=40).rows
    assert row.seen == f"refused with invalid_tool_call_id; accepted at {moment}"


def test_a_broken_fact_has_its_events() -> None:
    (row,) = on_mock("session_update_active", knobs={"session_update_active": "refuse"}).rows
    assert [event.type for event in row.trace] == ["response.created", "session.update", "error"]
    trace = row.to_json()["trace"]
    assert [each["sender"] for each in trace] == ["upstream", "proxy", "upstream"]
    assert [each["ms"] for each in trace] == sorted(each["ms"] for each in trace)
    assert realtime.ACTIVE_RESPONSE in trace[2]["what"]


def test_an_answer_without_its_own_trace_has_the_last_events() -> None:
    (row,) = on_mock("reply_completed", knobs={"error_after_create": "server_error"}).rows
    assert row.seen == "there is no response: response.create was answered by error server_error"
    assert [event.type for event in row.trace][-3:] == ["response.create", "error", "(close)"]


@pytest.mark.parametrize(
    ("gap_ms", "rtt_ms", "seen"),
    [(400, 0, "refused: sent "), (0, 100, "accepted, response.created "), (3, 120, "accepted, response.created ")],
)
def test_the_answer_to_an_early_request_has_its_margin(gap_ms: int, rtt_ms: int, seen: str) -> None:
    """The machine must be late by 100 ms or more for a case to fail on the real clock."""
    (row,) = on_mock("result_and_create", gap_ms=gap_ms, upstream_rtt_ms=rtt_ms).rows
    assert row.state == "held"
    assert row.seen.startswith(seen)
    assert re.search(r"sent \d+\.\d ms after arguments\.done and \d+\.\d ms (before|after) response\.done came", row.seen)
    assert [event.type for event in row.trace if event.link.sender == "proxy"] == [
        "conversation.item.create",
        "response.create",
    ]


def test_a_slot_that_is_freed_late_refuses_a_request_after_response_done() -> None:
    (row,) = on_mock("result_and_create", gap_ms=0, upstream_rtt_ms=60, slot_lag_ms=400).rows
    assert (row.state, row.seen.partition(":")[0]) == ("broken", "refused, although response.done had come")


def test_the_answer_for_two_calls_has_the_order_of_their_ends_and_each_gap() -> None:
    (row,) = on_mock("two_calls", gap_ms=40).rows
    order = "arguments.done 1, arguments.done 2, item.done 1, output_item.done 1, item.done 2, output_item.done 2"
    assert row.seen.startswith(f"{order}; from each arguments.done to response.done ")
    assert len(re.findall(r"\d+\.\d ms", row.seen)) == 2


# -- order of the facts ----------------------------------------------------------------------------------------------


def test_open_facts_come_first_then_bounded_ones(plain: Contract) -> None:
    states = [fact.state for fact in FACTS]
    assert states == sorted(states, key=["open", "bounded", "settled"].index)
    assert [each["state"] for each in plain.to_json()["facts"]] == states
    assert [*plain.recordings][: len(TRIED) - 1] == [fact.name for fact in FACTS if fact.experiment is not None]
    shown = [line for line in contract_lines(plain) if re.search(r"  (open|bounded|settled) +(held|broken|unknown) ", line)]
    assert [re.findall(r"  (open|bounded|settled) ", line)[0] for line in shown] == states


# -- misbehaving APIs ------------------------------------------------------------------------------------------------


class Twisted(AskedUpstream):
    """A mock whose effects are modified before they are applied."""

    def twist(self, effects: list[Effect], cause: str) -> list[Effect]:
        raise NotImplementedError

    def message(self, sender: str, payload: Any) -> list[Effect]:
        return self.twist([*super().message(sender, payload)], payload["type"] if isinstance(payload, Mapping) else "")

    def timer(self, name: str) -> list[Effect]:
        return self.twist([*super().timer(name)], "")


def types_of(effects: list[Effect]) -> list[str]:
    return [str(each.payload["type"]) for each in effects if isinstance(each, Send) and isinstance(each.payload, Mapping)]


def sends(kind: str, **fields: Any) -> Send:
    return Send("proxy", {"type": kind, "event_id": "event_x", **fields})


def stray(kind: str, status: str) -> Send:
    return sends(kind, response=realtime.response_object("resp_stray", "conv_0001", "text", status))


def add_on(trigger: str, *extra: Effect) -> type[Twisted]:
    """Return a mock that sends extra messages after each event of type `trigger`."""

    class Added(Twisted):
        def twist(self, effects: list[Effect], cause: str) -> list[Effect]:
            return [*effects, *extra] if trigger in types_of(effects) else effects

    return Added


def without(kind: str) -> type[Twisted]:
    """Return a mock that omits all events of one type."""

    class Without(Twisted):
        def twist(self, effects: list[Effect], cause: str) -> list[Effect]:
            return [each for each in effects if not (isinstance(each, Send) and types_of([each]) == [kind])]

    return Without


def swapped(first: str, second: str) -> type[Twisted]:
    """Return a mock that swaps two consecutive events."""

    class Swapped(Twisted):
        def twist(self, effects: list[Effect], cause: str) -> list[Effect]:
            kinds = [types_of([each]) for each in effects]
            for at in range(len(effects) - 1):
                if kinds[at : at + 2] == [[first], [second]]:
                    effects[at : at + 2] = reversed(effects[at : at + 2])
                    break
            return effects

    return Swapped


def instead(cause: str, *answer: Effect) -> type[Twisted]:
    """Return a mock that sends only `answer` to client events of type `cause`."""

    class Instead(AskedUpstream):
        def message(self, sender: str, payload: Any) -> Any:
            asked = payload.get("type") if isinstance(payload, Mapping) else "(binary)"
            return [*answer] if asked == cause else super().message(sender, payload)

    return Instead


class NoSlot(AskedUpstream):
    """A mock that accepts any number of concurrent responses."""

    def _slot(self, event: Any) -> bool:
        return True


class NoIds(AskedUpstream):
    """A mock that omits the client's event_id in refusals."""

    def _create_response(self, event: Mapping[str, Any]) -> None:
        super()._create_response({name: value for name, value in event.items() if name != "event_id"})


class Chatty(AskedUpstream):
    """A mock that starts a response to a result without a request."""

    def _accept(self, item_id: str, item: Mapping[str, Any]) -> None:
        super()._accept(item_id, item)
        if item["type"] == "function_call_output" or "input_audio" in str(item):
            self._slot("create")
            self._begin(self._next_plan({}))


class Deaf(AskedUpstream):
    """A mock that ignores binary frames."""

    def message(self, sender: str, payload: Any) -> Any:
        return () if isinstance(payload, bytes) else super().message(sender, payload)


class Alone(AskedUpstream):
    """A mock that refuses other client events while a response is active."""

    def message(self, sender: str, payload: Any) -> Any:
        busy = self.state.slot != "free" and payload.get("type") not in ("session.update", "response.cancel")
        return [ERROR] if busy else super().message(sender, payload)


class AnyVoice(AskedUpstream):
    """A mock that accepts a new voice at any time."""

    def _update_session(self, event: Mapping[str, Any]) -> None:
        self.state.spoke = False
        super()._update_session(event)


class LastFirst(AskedUpstream):
    """A mock that ends the items of a response in reverse order."""

    def _items_done(self, response: Any) -> None:
        for position in sorted(response.finished - response.done_items, reverse=True):
            self._item_done(response, position, response.plan.outputs[position].text, "completed")


class BusyAfterCancel(AskedUpstream):
    """A mock that takes 50 ms to cancel a response; the slot stays taken during this time."""

    def _cancel(self, event: Mapping[str, Any]) -> None:
        self.waiting = event
        self._out.append(SetTimer("cancel", "reply_ms", 0))

    def timer(self, name: str) -> Any:
        if name != "cancel":
            return super().timer(name)
        super()._cancel(self.waiting)
        return self._effects()


class NoSlotAfterCancel(BusyAfterCancel, NoSlot):
    """A mock that takes 50 ms to cancel a response; a second response can start during this time."""


class OtherReason(AskedUpstream):
    """A mock that reports `turn_detected` as the reason of every cancelled response."""

    def _cut_off(self, response: Any, status: str, reason: str) -> None:
        super()._cut_off(response, status, "turn_detected")


ERROR = sends(
    "error", error={"type": "invalid_request_error", "code": "odd", "message": "No.", "param": None, "event_id": None}
)

MISBEHAVIOURS: list[tuple[type[AskedUpstream], str, str]] = [
    (NoSlot, "create_active", "a second response began before the first was done"),
    (NoSlot, "slot_at_text_done", "a second response began before the first was done"),
    (NoSlot, "slot_at_arguments_done", "a second response began before the first was done"),
    (add_on("error", stray("response.done", "failed")), "create_active", "response.done of another response followed"),
    (add_on("error", stray("response.created", "in_progress")), "create_active", "response.created of another response"),
    (add_on("error", Close("proxy", 1008)), "create_active", "closed the connection with 1008"),
    (Alone, "create_active", "answered by error odd, not by conversation_already_has_active_response"),
    (Alone, "out_of_band", "answered by error odd"),
    (Alone, "item_active", "answered by error odd"),
    (Alone, "output_at_arguments_done", "refused with odd; accepted at conversation.item.done"),
    (NoSlot, "result_and_create", "accepted before response.done: sent "),
    (NoSlotAfterCancel, "cancel_then_create", "a second response began before the first was done"),
    (BusyAfterCancel, "cancel_then_create", "the response ended cancelled"),
    (instead("response.cancel", ERROR), "cancel_then_create", "answered by error odd"),
    (LastFirst, "two_calls", "not in the order of their items"),
    (without("response.output_item.done"), "two_calls", "4 events end 2 calls"),
    (NoIds, "refusal_event_id", "error.event_id is null"),
    (instead("response.create", ERROR), "create_free", "answered by error odd"),
    (without("conversation.item.added"), "item_confirmed", "without conversation.item.added before it"),
    (swapped("conversation.item.added", "conversation.item.done"), "item_confirmed", "without conversation.item.added"),
    (instead("conversation.item.create", ERROR), "item_confirmed", "answered by error odd"),
    (instead("(binary)", Close("proxy", 1003)), "binary_frames", "closed the connection with 1003"),
    (Deaf, "binary_frames", "nothing came, and a text frame behind it was read"),
    (instead("response.cancel"), "cancel_idle", "no error came"),
    (instead("response.cancel", ERROR), "cancel_idle", "answered by error odd"),
    (add_on("error", Close("proxy", 1011)), "cancel_idle", "closed the connection with 1011"),
    (instead("response.cancel", ERROR), "cancel_active", "answered by error odd"),
    (OtherReason, "cancel_active", "reason turn_detected"),
    (without("response.output_text.done"), "cut_off_text_done", "without response.output_text.done before it"),
    (Chatty, "output_starts_nothing", "nobody had asked for it"),
    (Chatty, "commit_no_response", "nobody had asked for it"),
    (instead("input_audio_buffer.commit", ERROR), "commit_no_response", "answered by error odd"),
    (instead("input_audio_buffer.commit", ERROR), "empty_commit", "answered by error odd"),
    (instead("input_audio_buffer.commit", Send("proxy", input_audio.committed("e", None, "i"))), "empty_commit", "committed"),
    (AnyVoice, "voice_after_audio", "accepted"),
    (add_on("response.output_audio.done", sends("response.output_text.done", response_id="resp_0001", item_id="item_0001",
            output_index=0, content_index=0, text="")), "audio_no_text_done", "came in a spoken reply"),
    (swapped("response.output_item.added", "conversation.item.added"), "call_order", "conversation.item.added where"),
    (without("response.function_call_arguments.delta"), "call_order", "response.function_call_arguments.done where"),
    (without("conversation.item.done"), "item_before_output", ""),
    (without("response.content_part.done"), "text_order", "response.output_item.done where response.content_part.done"),
]  # fmt: skip


@pytest.mark.parametrize(("api", "fact", "seen"), MISBEHAVIOURS)
def test_a_misbehaving_api_is_detected(monkeypatch: pytest.MonkeyPatch, api: type[AskedUpstream], fact: str, seen: str) -> None:
    monkeypatch.setattr(apis, "AskedUpstream", api)
    session = SessionConfig.of(times={"gap_ms": 60, "first_item_ms": 20, "reply_ms": 50, "reply_gap_ms": 60})
    found = check_contract(UpstreamTarget("mock"), session, facts=[fact], repeats=0, patience=Patience(0.6, 0.1))
    (row,) = found.rows
    # Without item.done the session cannot be prepared, so this fact is unknown.
    expected = "unknown" if not seen else "broken"
    assert (row.state, seen in row.seen) == (expected, True), row.seen


class Server:
    """A WebSocket server that uses the same handler for every connection."""

    def __init__(self, serving: Callable[[ServerConnection], Awaitable[None]]) -> None:
        self.serving = serving

    def contract(self, *facts: str) -> Contract:
        """Check the given facts of this server."""

        async def both() -> Contract:
            async with serve(self.serving, "127.0.0.1", 0) as server:
                url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
                return await asyncio.to_thread(at, url, *facts, patience=Patience(0.2, 0.1))

        return asyncio.run(both())


async def says_nothing(connection: ServerConnection) -> None:
    await connection.wait_closed()


async def hangs_up(connection: ServerConnection) -> None:
    await connection.close(1013)


async def is_gone(connection: ServerConnection) -> None:
    connection.transport.abort()


async def talks_nonsense(connection: ServerConnection) -> None:
    for frame in ("", "[]", b"\xff", '{"type":7}', '{"type":"session.created","session":3}', '{"type":"error","error":"x"}'):
        await connection.send(frame)
    await connection.wait_closed()


@pytest.mark.parametrize(
    ("serving", "reason"),
    [
        (says_nothing, "no session.created within 0.2 s"),
        (hangs_up, "the API closed the connection with 1013"),
        (is_gone, "the API dropped the connection without closing it (1006)"),
        (talks_nonsense, "no session.updated or error within 0.2 s"),
    ],
)
def test_a_fault_makes_one_answer_unknown(serving: Callable[[ServerConnection], Awaitable[None]], reason: str) -> None:
    found = Server(serving).contract("session_opens", "empty_commit")
    # An invalid message after the update is mistaken for the answer to the update.
    nonsense = {"session.update was answered by error without a code"} if serving is talks_nonsense else set()
    assert {row.seen for row in found.rows} <= {reason} | nonsense
    assert {row.state for row in found.rows} == {"unknown"}
    assert found.sessions == len(found.recordings) == 2


def test_without_a_first_connection_all_facts_are_unknown() -> None:
    found = at("ws://127.0.0.1:1/")
    assert {row.seen for row in found.rows if not row.fact.untried} == {
        "not reachable: Connection refused", "0 gaps were measured, 3 are needed",
    }  # fmt: skip
    assert {row.state for row in found.rows} == {"unknown"}
    assert (found.sessions, [*found.recordings]) == (0, [FACTS[0].name])


# -- measured times --------------------------------------------------------------------------------------------------


@pytest.mark.quiet
def test_times_are_measured_over_all_sessions(plain: Contract) -> None:
    assert {name for name, spread in plain.times.items() if spread.with_rtt} == {"ack_ms", "create_ms"}
    gap = plain.times["gap_ms"]
    assert gap.count >= 5
    assert gap.median == pytest.approx(TIMES["gap_ms"], abs=30)
    assert all(spread.count for spread in plain.times.values())


def spread(count: int, most: float) -> Spread:
    return Spread(count, most - 1, most - 0.5, most, False)


@pytest.mark.parametrize(
    ("gaps", "state"),
    [(spread(3, 299.9), "held"), (spread(3, 300.0), "broken"), (spread(2, 8.0), "unknown")],
)
def test_one_gap_above_the_tool_time_breaks_done_before_result(gaps: Spread, state: str) -> None:
    assert done_before_result(gaps).state == state
    assert str(gaps.count) in done_before_result(gaps).seen


# -- events of the experiments ---------------------------------------------------------------------------------------


def test_every_event_of_an_experiment_fits_the_reference(plain: Contract) -> None:
    wrong = set()
    sent_types = set()
    for recording in plain.recordings.values():
        for event in recording.events:
            if event.kind == "message":
                sent = event.link.sender == "proxy"
                payload = json.loads(event.payload) if isinstance(event.payload, bytes) else event.payload
                wrong |= {(payload["type"], fault) for fault in faults(CLIENT_EVENTS if sent else SERVER_EVENTS, payload)}
                sent_types |= {payload["type"]} if sent else set()
    assert not wrong
    assert sent_types == {
        "session.update", "conversation.item.create", "response.create", "response.cancel", "input_audio_buffer.append",
        "input_audio_buffer.commit",
    }  # fmt: skip


COMMIT = {"type": "input_audio_buffer.commit"}


def test_the_audio_buffer_of_the_mock_follows_the_reference() -> None:
    some = input_audio.append(bytes(4))
    bench = mock().tell(some, {"type": "input_audio_buffer.clear"}, COMMIT)
    assert bench.types() == ["session.created", "input_audio_buffer.cleared", "error"]
    bench.tell(
        some, {"type": "input_audio_buffer.append", "audio": "?"}, COMMIT, COMMIT, {"type": "input_audio_buffer.swallow"}
    )
    empty = "input_audio_buffer_commit_empty"
    assert bench.settle().codes() == [empty, "invalid_value", empty, "invalid_value"]
    (committed,) = bench.messages("input_audio_buffer.committed")
    confirmed = [each for each in bench.messages() if each["type"].startswith("conversation.item")]
    assert [each["item"]["id"] for each in confirmed] == [committed["item_id"]] * 2
    assert [each["type"] for each in confirmed] == ["conversation.item.added", "conversation.item.done"]
    assert not [each for each in bench.messages() if faults(SERVER_EVENTS, each)]


def test_committed_audio_is_user_input() -> None:
    bench = mock(("reply",), ("calls",)).tell(realtime.create_item(realtime.user_item("Hello.")))
    bench.tell(input_audio.append(bytes(4)), COMMIT, realtime.create_response()).settle()
    assert "response.function_call_arguments.done" in bench.types()


# -- stand-in for the API --------------------------------------------------------------------------------------------

KEY = "sk-standin-0123456789abcdef"


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with StandIn(KEY, tmp_path_factory.mktemp("tls"), SessionConfig.of(times=TIMES)) as serving:
        yield serving


@pytest.fixture
def trusted(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Trust the stand-in's certificate authority and set its key in the environment; return the stand-in."""
    monkeypatch.setenv("SSL_CERT_FILE", str(stand_in.certificate))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return stand_in


def test_a_strict_api_refuses_no_event_of_an_experiment(trusted: StandIn) -> None:
    before = 0

    def run() -> Contract:
        nonlocal before
        before = len(trusted.gates)
        return at(trusted.url, key_from="OPENAI_API_KEY")

    found = one_of(run, all_held)
    assert all_held(found), [(row.fact.name, row.seen) for row in found.rows if row.state != "held"]
    gates = trusted.gates[before:]
    assert len(gates) == found.sessions == sessions_needed(0)
    assert not [each for gate in gates for each in (*gate.refused, *gate.unofficial)]
    assert not any(KEY in line for recording in found.recordings.values() for line in recording.lines())
    assert found.upstream.startswith("wss://localhost:")
    assert "model=" not in json.dumps(found.to_json())


@pytest.mark.parametrize("key", ["sk-standin-another-key", None])
def test_without_a_valid_key_all_facts_are_unknown(trusted: StandIn, monkeypatch: pytest.MonkeyPatch, key: str | None) -> None:
    if key is not None:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    found = at(trusted.url, *sorted(TRIED - {"done_before_result"}), key_from="OPENAI_API_KEY" if key else None)
    assert {(row.state, row.seen) for row in found.rows} == {("unknown", "the handshake was refused with HTTP 401")}
    assert found.sessions == 0


def test_an_untrusted_authority_makes_all_facts_unknown(trusted: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    (row,) = at(trusted.url, "session_opens", key_from="OPENAI_API_KEY").rows
    assert row.state == "unknown"
    assert row.seen.startswith("TLS failed: ")


def test_without_tls_the_stand_in_is_unreachable(trusted: StandIn) -> None:
    (row,) = at(trusted.url.replace("wss:", "ws:"), "session_opens").rows
    assert row.state == "unknown"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"type": "realtime", "colour": "red"}, "unknown_parameter"),
        ({"instructions": "Hello."}, "missing_required_parameter"),
        ({"type": "transcription"}, "invalid_value"),
    ],
)
def test_the_stand_in_refuses_fields_outside_the_reference(
    trusted: StandIn, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], code: str
) -> None:
    monkeypatch.setattr(steps, "update", lambda **_: realtime.update_session(fields))
    before = len(trusted.gates)
    (row,) = at(trusted.url, "item_confirmed", key_from="OPENAI_API_KEY").rows
    assert (row.state, row.seen) == ("unknown", f"session.update was answered by error {code}")
    assert [kind for gate in trusted.gates[before:] for kind, _ in gate.refused] == ["session.update"]


def test_the_stand_in_refuses_events_before_session_update(trusted: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(client: Client, modality: str = "text") -> None:
        await client.until("session.created")

    monkeypatch.setattr(steps, "set_up", nothing)
    (row,) = at(trusted.url, "item_confirmed", key_from="OPENAI_API_KEY").rows
    assert (row.state, row.seen) == ("broken", "answered by error invalid_value")


# -- command line ----------------------------------------------------------------------------------------------------


def verb(*arguments: str) -> int:
    return main(["contract", *(() if "--repeats" in arguments else ("--repeats", "0")), *arguments])


def test_the_verb_prints_a_table_times_and_traces(capsys: pytest.CaptureFixture[str]) -> None:
    assert verb("--fact", "empty_commit", "--fact", "session_expires", "--trace") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["fact", "state", "answer", "what", "was", "seen"]
    column = lines[0].index("answer")
    assert [line[column:].split()[0] for line in lines[1:3]] == ["unknown", "held"]
    assert "not tried: takes an hour" in lines[1]
    assert "1 held, 0 broken, 1 unknown; upstream mock, sessions 1" in lines
    assert any(line.split()[:2] == ["gap_ms", "0"] for line in lines)
    assert any("nothing of an API" in line for line in lines)
    assert "<- error input_audio_buffer_commit_empty" in lines[-1]


def test_the_verb_exits_1_for_a_broken_fact_and_prints_one_object(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "found"
    status = verb("--fact", "binary_frames", "--knob", "binary_frames=refuse", "--ack-ms", "7", "--out", str(out), "--json")
    assert status == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["upstream"], found["knobs"]) == (1, "mock", {"binary_frames": "refuse"})
    assert found["times"]["ack_ms"] == "7"
    assert found["measured"]["ack_ms"] == {"count": 0, "min": None, "median": None, "max": None, "with_rtt": True}
    assert [each["answer"] for each in found["facts"]] == ["broken"]
    assert found["files"] == ["binary_frames.jsonl", "contract.json"]
    recording = Recording.read(out / "binary_frames.jsonl")
    assert recording.complete
    assert {event.observed_at for event in recording.events} == {"socket"}
    assert recording.provenance["times"]["ack_ms"] == "7"
    kept = json.loads((out / "contract.json").read_text("ascii"))
    assert kept == {name: value for name, value in found.items() if name != "files"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--upstream", "ws://127.0.0.1:1/", "--knob", "binary_frames=refuse"], "knob: given for ws://127.0.0.1:1"),
        (["--upstream", "ws://127.0.0.1:1/", "--gap-ms", "8"], "gap_ms: given for ws://127.0.0.1:1"),
        (["--upstream", "ws://127.0.0.1:1/", "--profile", "loopback"], "profile: given for"),
        (["--upstream", "wss://api.example/v1/realtime"], "max_sessions: is missing for wss://api.example, which may cost"),
        (["--upstream", "wss://api.example/v1/realtime", "--max-sessions", "3"], "max_sessions: 3, but 29 are needed"),
        (["--max-sessions", "2", "--repeats", "2", "--fact", "empty_commit"], "max_sessions: 2, but 3 are needed"),
        (["--fact", "colour"], "fact: 'colour' is unknown"),
        (["--tool-ms", "50"], "tool_ms: is not a time of the API"),
        (["--upstream", "openai"], "OPENAI_API_KEY: is not in the environment"),
        (["--upstream", "mock", "--key-from", "OPENAI_API_KEY"], "key_from: given for the mock; only for an upstream"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert verb(*arguments) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert message in printed.err


def test_an_invalid_folder_is_refused_before_the_first_session(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert verb("--fact", "session_opens", "--out", str(tmp_path / "file")) == 2
    assert "session" not in capsys.readouterr().out


def test_an_interrupted_run_keeps_its_recordings(tmp_path: Path) -> None:
    def interrupt(done: int, of: int) -> None:
        if done == 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        check_contract(UpstreamTarget("mock"), at_once=1, patience=PATIENCE, folder=tmp_path, progress=interrupt)
    kept = {path.stem: Recording.read(path) for path in tmp_path.iterdir()}
    assert {*kept} == {fact.name for fact in FACTS[:2]}
    assert all(recording.complete for recording in kept.values())


def test_too_many_sessions_are_refused_before_the_first() -> None:
    with pytest.raises(InputError) as refused:
        check_contract(UpstreamTarget("mock"), max_sessions=sessions_needed(5) - 1)
    assert str(sessions_needed(5)) in str(refused.value)
