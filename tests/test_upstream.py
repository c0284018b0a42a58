"""Test that the mock upstream is as strict as the evidence, and that each knob changes only its own response."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.realtime.realtime_client_event import RealtimeClientEvent
from support.bench import Bench, mock

from voicerace.model.actors.actor import Send
from voicerace.model.actors.upstream import Knobs, Upstream
from voicerace.model.catalog.providers import SESSION
from voicerace.model.catalog.slot import SLOT, Occurrence, SlotState
from voicerace.model.protocol import realtime

CREATE = realtime.create_response()
CANCEL = {"type": "response.cancel"}
OUT_OF_BAND = realtime.create_response(response={"conversation": "none"})
QUESTION = realtime.create_item(realtime.user_item("What is the weather?"))
RESULT = realtime.create_item(realtime.output_item("call_0001", '{"temperature_c":21}'))
UPDATE = realtime.update_session({"type": "realtime", "instructions": "Be brief."})
VOICE = realtime.update_session({"type": "realtime", "audio": {"output": {"voice": "cedar"}}})

Scene = Callable[[], Bench]


def idle(**given_words: Any) -> Bench:
    return mock(**given_words)


def taken(**given_words: Any) -> Bench:
    """Return a bench on which a response was accepted but not yet announced."""
    return idle(**given_words).tell(QUESTION, CREATE)


def active(**given_words: Any) -> Bench:
    """Return a bench on which a response was announced."""
    return taken(**given_words).until("response.created")


def draining(**given_words: Any) -> Bench:
    """Return a bench on which response.done was sent but the slot is not yet free."""
    return taken(slot_lag_ms=20, **given_words).until("response.done")


def reply(**given_words: Any) -> Bench:
    """Return a bench on which a reply was requested that makes no call."""
    return idle(**given_words).tell(CREATE)


def state_of(bench: Bench) -> SlotState:
    state: SlotState = bench.actor.state.slot  # type: ignore[attr-defined]
    return state


# -- the slot --------------------------------------------------------------------------------------------------------

#: (state, event) -> (function that creates the state, function that triggers the event), for each reachable row.
SCENES: dict[tuple[SlotState, Occurrence], tuple[Scene, Callable[[Bench], object]]] = {
    ("free", "create"): (idle, lambda bench: bench.tell(CREATE)),
    ("free", "cancel"): (idle, lambda bench: bench.tell(CANCEL)),
    ("taken", "create"): (taken, lambda bench: bench.tell(CREATE)),
    ("taken", "created"): (taken, lambda bench: bench.until("response.created")),
    ("active", "create"): (active, lambda bench: bench.tell(CREATE)),
    ("active", "done"): (active, lambda bench: bench.until("response.done")),
    ("active", "done_lagging"): (lambda: active(slot_lag_ms=20), lambda bench: bench.until("response.done")),
    ("draining", "create"): (draining, lambda bench: bench.tell(CREATE)),
    ("draining", "lag_over"): (draining, lambda bench: bench.wait(20)),
    ("draining", "cancel"): (draining, lambda bench: bench.tell(CANCEL)),
}
#: Rows that no input to this mock reaches, since it has no server VAD and no idle timeout.
NOT_PLAYED = {("free", "server_begins")}


def test_every_row_of_the_slot_table_is_played_or_listed_as_not_played() -> None:
    assert set(SCENES) | NOT_PLAYED == set(SLOT)


@pytest.mark.parametrize(("state", "event"), SCENES)
def test_the_mock_follows_each_row_of_the_slot_table(state: SlotState, event: Occurrence) -> None:
    scene, happens = SCENES[state, event]
    row = SLOT[state, event]
    bench = scene()
    assert state_of(bench) == state
    errors = len(bench.messages("error"))
    happens(bench)
    assert state_of(bench) == row.next
    assert len(bench.messages("error")) - errors == row.refused


@pytest.mark.parametrize(("key", "row"), SLOT.items())
def test_a_row_has_evidence_and_a_refusal_changes_nothing(key: tuple[SlotState, Occurrence], row: Any) -> None:
    assert row.evidence
    assert row.mark in ("doc", "trace", "claim", "open")
    assert not row.refused or row.next == key[0]


@pytest.mark.parametrize("scene", [taken, active, draining])
@pytest.mark.parametrize("event_id", [None, "evt_mine"])
def test_the_refusal_equals_the_recorded_one(scene: Scene, event_id: str | None) -> None:
    bench = scene()
    bench.tell(realtime.create_response(event_id))
    (refusal,) = bench.messages("error")
    assert refusal == {
        "type": "error",
        "event_id": refusal["event_id"],
        "error": {
            "type": "invalid_request_error",
            "code": "conversation_already_has_active_response",
            "message": "Conversation already has an active response in progress: resp_0001. "
            "Wait until the response is finished before creating a new one.",
            "param": None,
            "event_id": event_id,
        },
    }
    assert refusal["event_id"].startswith("event_")


def test_a_refusal_starts_no_response() -> None:
    bench = active().tell(CREATE, CREATE).settle()
    assert bench.codes() == [realtime.ACTIVE_RESPONSE] * 2
    assert bench.types().count("response.created") == bench.types().count("response.done") == 1


def test_a_refusal_leaves_the_session_open() -> None:
    bench = active().tell(CREATE).settle().tell(RESULT, CREATE).settle()
    assert [each["response"]["id"] for each in bench.messages("response.done")] == ["resp_0001", "resp_0002"]


@pytest.mark.parametrize("lag_ms", [0, 20])
def test_the_slot_is_free_after_response_done_and_the_lag(lag_ms: int) -> None:
    def asked_after(wait_ms: float) -> list[str | None]:
        return active(slot_lag_ms=lag_ms).until("response.done").wait(wait_ms).tell(CREATE).codes()

    assert asked_after(lag_ms) == []
    if lag_ms:
        assert asked_after(lag_ms - 0.001) == [realtime.ACTIVE_RESPONSE]


def test_the_slot_is_taken_at_acceptance_not_at_response_created() -> None:
    bench = taken(create_ms=100).wait(50).tell(CREATE)
    assert bench.codes() == [realtime.ACTIVE_RESPONSE]
    assert "response.created" not in bench.types()


# -- the order of events ---------------------------------------------------------------------------------------------

CALL = [
    "response.output_item.added",
    "conversation.item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
]
CALL_DONE = ["conversation.item.done", "response.output_item.done"]
TEXT = [
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
]
AUDIO = [
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
]
END = ["response.done", "rate_limits.updated"]


def from_created(bench: Bench) -> list[str]:
    types = bench.settle().types()
    return types[types.index("response.created") + 1 :]


def test_a_call_has_its_order_of_events() -> None:
    assert from_created(active()) == [*CALL, *CALL_DONE, *END]


def test_a_text_has_its_order_of_events() -> None:
    assert from_created(reply()) == [*TEXT, *END]


def test_speech_has_its_order_of_events() -> None:
    assert from_created(reply(modality="audio")) == [*AUDIO, *END]


def test_speech_has_no_text_done() -> None:
    bench = active(modality="audio").settle().tell(RESULT, CREATE).settle()
    assert "response.output_text.done" not in bench.types()


@pytest.mark.parametrize("calls", [1, 2, 3, 4])
def test_calls_of_one_response_are_sequential_and_done_together(calls: int) -> None:
    bench = active(calls=calls)
    begun, ended = CALL[:-1], CALL[-1:]
    assert ended == ["response.function_call_arguments.done"]
    assert from_created(bench) == [*begun * calls, *ended * calls, *CALL_DONE * calls, *END]
    done = bench.messages("response.function_call_arguments.done")
    assert [each["output_index"] for each in done] == list(range(calls))
    assert len({each["call_id"] for each in done}) == len({each["item_id"] for each in done}) == calls
    assert {each["response_id"] for each in done} == {"resp_0001"}


@pytest.mark.parametrize(("modality", "spoken"), [("text", TEXT), ("audio", AUDIO)])
def test_a_preamble_is_a_separate_item_before_the_call(modality: str, spoken: list[str]) -> None:
    bench = active(preamble=True, modality=modality, knobs=Knobs(items_close="singly"))
    assert from_created(bench) == [*spoken, *CALL, *CALL_DONE, *END]
    assert [each["output_index"] for each in bench.messages("response.output_item.added")] == [0, 1]


@pytest.mark.parametrize(("modality", "spoken"), [("text", TEXT), ("audio", AUDIO)])
def test_items_close_together_with_that_knob(modality: str, spoken: list[str]) -> None:
    bench = active(preamble=True, modality=modality, calls=2, knobs=Knobs(items_close="together"))
    ends = next(index for index, kind in enumerate(spoken) if kind.endswith(".done"))
    begun, ended = CALL[:-1], CALL[-1:]
    assert from_created(bench) == [*spoken[:ends], *begun * 2, *spoken[ends:], *ended * 2, *CALL_DONE * 2, *END]


def test_an_item_with_complete_deltas_is_cut_off_with_all_of_them() -> None:
    bench = active(preamble=True, knobs=Knobs(items_close="together"), preamble_ms=50, call_gap_ms=20, arguments_ms=50)
    bench.until("response.output_item.added").until("response.output_item.added")
    bench.tell({"type": "response.cancel"})
    text = "".join(each["delta"] for each in bench.messages("response.output_text.delta"))
    assert [each["text"] for each in bench.messages("response.output_text.done")] == [text]


def test_after_a_response_nothing_is_sent_until_a_request() -> None:
    bench = active().settle()
    before = len(bench.sent)
    bench.tell(RESULT).settle().wait(60_000)
    assert bench.types()[before:] == ["conversation.item.added", "conversation.item.done"]


@pytest.mark.parametrize("item", [QUESTION, RESULT], ids=["user", "output"])
def test_an_item_is_confirmed_with_two_events_after_ack_ms(item: dict[str, Any]) -> None:
    bench = active(ack_ms=35).settle()
    at = bench.now_ns / 1e6
    bench.tell(item).settle()
    added, done = bench.messages("conversation.item.added")[-1], bench.messages("conversation.item.done")[-1]
    assert (bench.when("conversation.item.added")[-1], bench.when("conversation.item.done")[-1]) == (at + 35, at + 35)
    assert added["item"] == done["item"]
    assert item["item"].items() <= done["item"].items()


def test_both_confirmations_of_an_item_name_the_previous_item() -> None:
    bench = active(calls=2).settle().tell(RESULT, QUESTION).settle()
    before = {each["item"]["id"]: each["previous_item_id"] for each in bench.messages("conversation.item.added")}
    done = {each["item"]["id"]: each["previous_item_id"] for each in bench.messages("conversation.item.done")}
    assert list(before.values()) == [None, *list(before)[:-1]]
    first, second = list(before)[:2]
    # The recordings have null for output that follows the first item of the conversation.
    assert done == {**before, second: None}
    assert before[second] == first


def test_deltas_add_up_to_the_done_event() -> None:
    bench = active(modality="text", preamble=True).settle()
    (text,) = bench.messages("response.output_text.done")
    assert "".join(each["delta"] for each in bench.messages("response.output_text.delta")) == text["text"]
    (arguments,) = bench.messages("response.function_call_arguments.done")
    deltas = bench.messages("response.function_call_arguments.delta")
    assert "".join(each["delta"] for each in deltas) == arguments["arguments"]
    assert json.loads(arguments["arguments"]) == {"city": "Lisbon"}


def test_response_done_has_every_item_as_last_sent() -> None:
    bench = active(preamble=True, calls=2).settle()
    (done,) = bench.messages("response.done")
    assert done["response"]["output"] == [each["item"] for each in bench.messages("response.output_item.done")]
    assert {item["status"] for item in done["response"]["output"]} == {"completed"}


def test_a_reply_mentions_the_results_it_knew() -> None:
    def reply_text(*before: dict[str, Any]) -> str:
        bench = active().settle().tell(*before, CREATE).settle()
        text: str = bench.messages("response.output_text.done")[-1]["text"]
        return text

    assert reply_text() == "I have no result yet."
    assert reply_text(RESULT) == 'The tool says: {"temperature_c":21}'
    assert "sunny" in reply_text(RESULT, realtime.create_item(realtime.output_item("call_0001", "sunny")))


def test_a_later_reply_mentions_every_result_call_by_call() -> None:
    bench = active(calls=2).settle().tell(RESULT, RESULT).settle()
    bench.tell(realtime.create_item(realtime.user_item("Thank you.")), CREATE).settle()
    text = bench.messages("response.output_text.done")[-1]["text"]
    result = '{"temperature_c":21}'
    assert text == f"You are welcome. The tool says: {result}, then {result} and (no result yet)"


# -- times -----------------------------------------------------------------------------------------------------------


def test_each_stage_of_a_call_has_its_time() -> None:
    times = {"create_ms": 1, "first_item_ms": 10, "arguments_ms": "100,200", "call_gap_ms": 1000, "gap_ms": 10_000}
    bench = taken(calls=2, knobs=Knobs(items_close="singly"), **times).settle()
    assert bench.when("response.created") == [1]
    assert bench.when("response.output_item.added") == [11, 1111]
    assert bench.when("response.function_call_arguments.done") == [111, 1311]
    assert bench.when("response.done") == bench.when("rate_limits.updated") == [11_311]
    assert bench.when("conversation.item.done")[1:] == [11_311, 11_311]


def test_each_stage_of_a_reply_has_its_time() -> None:
    bench = reply(create_ms=1, first_item_ms=10, reply_ms=100, reply_gap_ms=1000).settle()
    assert bench.when("response.output_item.added") == [11]
    assert bench.when("response.output_text.delta") == [11, 111]
    assert bench.when("response.output_text.done") == [111]
    assert bench.when("response.done") == [1111]


def test_rate_limits_follow_response_done_and_a_create_before_them_is_accepted() -> None:
    bench = active(rate_limits_ms=30, create_ms=10, reply_ms=5).until("response.done")
    done_ms = bench.when("response.done")[0]
    assert bench.when("rate_limits.updated") == []
    bench.wait(1).tell(RESULT, CREATE).settle()
    assert bench.codes() == []
    assert bench.when("response.created")[1:] == [done_ms + 11]
    assert bench.when("rate_limits.updated") == [each + 30 for each in bench.when("response.done")]


@given(st.integers(0, 300), st.integers(0, 300))
def test_item_done_ms_places_the_call_items_within_the_gap(gap_ms: int, within: int) -> None:
    item_done_ms = min(within, gap_ms)
    bench = active(calls=2, gap_ms=gap_ms, item_done_ms=item_done_ms).settle()
    last = bench.when("response.function_call_arguments.done")[-1]
    assert bench.when("response.output_item.done") == [last + item_done_ms] * 2
    assert bench.when("response.done") == [last + gap_ms]
    assert bench.types().count("conversation.item.done") == 3


def test_without_item_done_ms_the_call_items_are_done_at_the_end_of_the_gap() -> None:
    bench = active(gap_ms=150).settle()
    assert bench.when("response.output_item.done") == bench.when("response.done")


# -- cancel ----------------------------------------------------------------------------------------------------------


def ending(bench: Bench) -> dict[str, Any]:
    response: dict[str, Any] = bench.messages("response.done")[-1]["response"]
    return response


@pytest.mark.parametrize("stop_at", ["response.created", "response.output_item.added", "response.output_text.delta"])
def test_cancel_ends_the_active_response_at_once(stop_at: str) -> None:
    bench = reply().until(stop_at).tell(CANCEL)
    assert ending(bench)["status"] == "cancelled"
    assert ending(bench)["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert state_of(bench) == "free"
    assert bench.settle().types().count("response.done") == 1


def test_a_response_cancelled_before_its_announcement_is_announced_and_ended() -> None:
    bench = taken(create_ms=100, knobs=Knobs(cancel_before_created="ends")).tell(CANCEL).settle()
    assert [kind for kind in bench.types() if kind.startswith("response.")] == ["response.created", "response.done"]
    assert ending(bench)["status"] == "cancelled"


def test_a_cancel_before_response_created_only_gives_an_error() -> None:
    bench = taken(create_ms=100).tell(CANCEL).settle()
    assert bench.codes() == ["response_cancel_not_active"]
    assert ending(bench)["status"] == "completed"


def test_open_content_is_ended_before_a_cancelled_response() -> None:
    bench = active(first_item_ms=0, arguments_ms=50).until("conversation.item.added").wait(1)
    before = len(bench.types())
    bench.tell(CANCEL)
    kinds = ["response.function_call_arguments.done", *CALL_DONE, *END]
    assert bench.types()[before:] == kinds
    assert ending(bench)["output"][0]["status"] == "incomplete"


def test_the_slot_can_be_taken_right_after_a_cancel() -> None:
    bench = active().tell(CANCEL, CREATE).settle()
    assert bench.codes() == []
    assert [each["response"]["status"] for each in bench.messages("response.done")] == ["cancelled", "completed"]


@pytest.mark.parametrize("scene", [idle, draining, lambda: active().settle()], ids=["idle", "draining", "done"])
def test_a_cancel_without_an_active_response_only_gives_an_error(scene: Scene) -> None:
    bench = scene().tell(CANCEL, {**CANCEL, "event_id": "evt_1"})
    assert bench.codes() == ["response_cancel_not_active"] * 2
    assert bench.messages("error")[1]["error"]["event_id"] == "evt_1"
    bench.settle().tell(CREATE).settle()
    assert ending(bench)["status"] == "completed"


def test_there_is_no_response_cancelled_event() -> None:
    assert "response.cancelled" not in active().tell(CANCEL).settle().types()


# -- out of band -----------------------------------------------------------------------------------------------------


def test_an_out_of_band_response_runs_beside_an_active_one() -> None:
    bench = active(gap_ms=10_000).tell(OUT_OF_BAND, OUT_OF_BAND).wait(5000)
    ended = [each["response"] for each in bench.messages("response.done")]
    assert [response["id"] for response in ended] == ["resp_0002", "resp_0003"]
    assert {response["conversation_id"] for response in ended} == {None}
    assert (bench.codes(), state_of(bench)) == ([], "active")


def test_an_out_of_band_response_neither_takes_nor_frees_the_slot() -> None:
    bench = idle(reply_ms=20).tell(OUT_OF_BAND).until("response.created")
    assert state_of(bench) == "free"
    bench.tell(QUESTION, CREATE).until("response.done")
    assert state_of(bench) == "active"
    assert bench.settle().codes() == []


def test_an_out_of_band_response_adds_no_item_to_the_conversation() -> None:
    bench = idle().tell(OUT_OF_BAND).settle()
    assert [kind for kind in bench.types() if kind.startswith("conversation.")] == []
    assert "response.output_item.done" in bench.types()


def test_a_cancel_with_the_id_of_an_out_of_band_response_ends_it() -> None:
    bench = active().tell(OUT_OF_BAND, {**CANCEL, "response_id": "resp_0002"})
    assert ending(bench)["id"] == "resp_0002"
    assert state_of(bench) == "active"


# -- other client events ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", [idle, taken, active, draining])
def test_session_update_is_accepted_at_any_time(scene: Scene) -> None:
    bench = scene().tell(UPDATE)
    assert bench.messages("session.updated")[-1]["session"]["instructions"] == "Be brief."
    assert bench.codes() == []


def test_the_voice_cannot_change_once_audio_was_output() -> None:
    bench = reply(modality="audio").tell(VOICE)
    assert bench.codes() == []
    other = realtime.update_session({"type": "realtime", "audio": {"output": {"voice": "marin"}}})
    bench.settle().tell(other)
    assert bench.codes() == ["cannot_update_voice"]
    bench.tell(VOICE)
    assert bench.codes() == ["cannot_update_voice"], "setting the same voice changes nothing"


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", b"\xff", None])
def test_a_frame_that_is_no_event_is_an_error(text: Any) -> None:
    bench = idle().tell(text)
    assert bench.codes() == ["invalid_json"]
    assert bench.tell(CREATE).settle().types().count("response.done") == 1


def test_an_unknown_event_is_an_error_that_names_it() -> None:
    bench = idle().tell({"type": "KeepAlive", "event_id": "evt_1"})
    (error,) = bench.messages("error")
    assert (error["error"]["code"], error["error"]["event_id"]) == ("invalid_value", "evt_1")
    assert "KeepAlive" in error["error"]["message"]


def test_an_output_for_an_unknown_call_is_an_error() -> None:
    bench = idle().tell(RESULT).settle()
    assert bench.codes() == ["invalid_tool_call_id"]
    assert "conversation.item.added" not in bench.types()


def test_the_same_output_twice_is_accepted_twice() -> None:
    bench = active().until("response.function_call_arguments.done").tell(RESULT, RESULT).settle()
    assert bench.codes() == []
    outputs = [each for each in bench.messages("conversation.item.done") if each["item"]["type"] == "function_call_output"]
    assert len({each["item"]["id"] for each in outputs}) == 2


# -- the knobs -------------------------------------------------------------------------------------------------------


def talk(knobs: Knobs | None = None, **given_words: Any) -> list[dict[str, Any]]:
    """Return the messages of a conversation that depends on every knob: early and late results, updates, binary frames."""
    bench = active(knobs=knobs, gap_ms=100, item_done_ms=50, **given_words)
    bench.tell(UPDATE).until("response.function_call_arguments.done").tell(RESULT)
    bench.until("response.output_item.done").wait(1).tell(RESULT)
    bench.until("response.done").wait(1).tell(RESULT, UPDATE, json.dumps(UPDATE).encode())
    return bench.tell(CREATE).settle().messages()


def shape(messages: list[dict[str, Any]]) -> list[str]:
    """Return the type, error code, response status and item type of each message as one line."""
    return [
        " ".join(
            str(word)
            for word in (
                each["type"],
                realtime.error_of(each).get("code", ""),
                realtime.response_of(each).get("status", ""),
                realtime.item_of(each).get("type", ""),
            )
            if word
        )
        for each in messages
    ]


def changes(knobs: Knobs) -> tuple[list[str], list[str]]:
    """Return the lines that a knob removes from the conversation, and the lines that it adds."""
    usual, turned = shape(talk()), shape(talk(knobs))
    gone, come = list(usual), []
    for each in turned:
        if each in gone:
            gone.remove(each)
        else:
            come.append(each)
    return gone, come


CONFIRMED = ["conversation.item.added function_call_output", "conversation.item.done function_call_output"]
NOT_FOUND = "error invalid_tool_call_id"


@pytest.mark.parametrize(
    ("knobs", "gone", "come"),
    [
        (Knobs(), [], []),
        (Knobs(function_output="item_done"), CONFIRMED, [NOT_FOUND]),
        (Knobs(function_output="response_done"), CONFIRMED * 2, [NOT_FOUND] * 2),
        (Knobs(session_update_active="refuse"), ["session.updated"], ["error conversation_already_has_active_response"]),
        (Knobs(item_before_output="no"), [], []),
        (Knobs(binary_frames="refuse"), ["session.updated"], ["error invalid_request"]),
    ],
    ids=["none", "output at item", "output at done", "update refused", "item after output", "binary refused"],
)
def test_a_knob_changes_only_its_own_response(knobs: Knobs, gone: list[str], come: list[str]) -> None:
    taken_away, added = changes(knobs)
    assert (sorted(taken_away), sorted(added)) == (sorted(gone), sorted(come))


def test_item_before_output_decides_the_order() -> None:
    assert from_created(active(knobs=Knobs(item_before_output="no"))) == [*CALL, *CALL_DONE[::-1], *END]


@pytest.mark.parametrize(
    ("status", "kinds", "reason"),
    [
        ("completed", TEXT, None),
        ("failed", [], None),
        ("incomplete", [*TEXT[:4], *TEXT[5:]], "max_output_tokens"),
    ],
)
def test_a_reply_ends_with_the_status_of_the_knob(status: Any, kinds: list[str], reason: str | None) -> None:
    bench = reply(knobs=Knobs(reply_status=status))
    assert from_created(bench) == [*kinds, *END]
    details = ending(bench)["status_details"] or {}
    assert (ending(bench)["status"], details.get("reason")) == (status, reason)
    assert (details.get("error") is not None) == (status == "failed")
    assert state_of(bench) == "free"


def test_reply_status_does_not_affect_calls() -> None:
    assert from_created(active(knobs=Knobs(reply_status="failed"))) == [*CALL, *CALL_DONE, *END]


def test_a_create_can_be_answered_with_another_error() -> None:
    bench = reply(knobs=Knobs(error_after_create="server_error")).settle()
    assert bench.codes() == ["server_error"]
    assert "response.created" not in bench.types()
    assert state_of(bench) == "free"


@pytest.mark.parametrize("scene", [taken, active, draining])
def test_an_update_during_a_response_is_refused_with_that_knob(scene: Scene) -> None:
    bench = scene(knobs=Knobs(session_update_active="refuse")).tell({**UPDATE, "event_id": "evt_1"})  # type: ignore[call-arg]
    assert bench.messages("error") == [realtime.refusal(bench.messages("error")[0]["event_id"], "resp_0001", "evt_1")]
    assert "session.updated" not in bench.types()
    assert bench.settle().tell(UPDATE).types()[-1] == "session.updated"


# -- properties ------------------------------------------------------------------------------------------------------

MESSAGES = st.sampled_from([CREATE, CANCEL, OUT_OF_BAND, QUESTION, RESULT, UPDATE, VOICE, b"{}", "x", {"type": "?"}])


@given(
    st.lists(st.tuples(MESSAGES, st.integers(0, 60)), max_size=12), st.sampled_from([0, 3]), st.sampled_from(["text", "audio"])
)
def test_created_and_done_balance_for_any_input(sent: list[tuple[Any, int]], lag_ms: int, modality: str) -> None:
    words: dict[str, Any] = {"slot_lag_ms": lag_ms} if lag_ms else {}
    bench = idle(modality=modality, reply_ms=30, gap_ms=30, **words)
    for message, wait_ms in sent:
        bench.tell(message).wait(wait_ms)
    bench.settle()
    created = [each["response"]["id"] for each in bench.messages("response.created")]
    done = [each["response"]["id"] for each in bench.messages("response.done")]
    assert sorted(created) == sorted(done)
    assert len(set(created)) == len(created)
    asked = sum(message in (CREATE, OUT_OF_BAND) for message, _ in sent)
    refused = bench.codes().count(realtime.ACTIVE_RESPONSE)
    assert len(created) + refused == asked
    assert state_of(bench) == "free"
    event_ids = [each["event_id"] for each in bench.messages()]
    assert len(set(event_ids)) == len(event_ids)


@given(st.lists(st.tuples(st.sampled_from([CREATE, CANCEL, QUESTION, RESULT]), st.integers(0, 60)), max_size=12))
def test_at_most_one_response_in_the_conversation_is_open(sent: list[tuple[Any, int]]) -> None:
    bench = idle(reply_ms=30, gap_ms=30)
    for message, wait_ms in sent:
        bench.tell(message).wait(wait_ms)
    open_now: set[str] = set()
    for each in bench.settle().messages():
        if each["type"] == "response.created":
            assert not open_now
            open_now.add(each["response"]["id"])
        elif each["type"] == "response.done":
            open_now.remove(each["response"]["id"])
    assert not open_now


# -- facts from recordings of the real API and from its reference ------------------------------------------------------


def test_the_metadata_of_a_create_is_returned_with_its_response() -> None:
    bench = idle().tell(realtime.create_response(response={"metadata": {"topic": "weather"}})).settle()
    bench.tell(realtime.create_response()).settle()
    seen = [each["response"]["metadata"] for each in bench.messages() if "response" in each]
    assert seen == [{"topic": "weather"}] * 2 + [None] * 2


def test_an_invalid_assistant_part_is_an_error_before_earlier_confirmations() -> None:
    wrong = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hello."}]}
    bench = idle().tell(QUESTION, realtime.create_item(wrong), QUESTION).settle()
    kinds = [each["type"] for each in bench.messages()][-5:]
    assert kinds == ["error"] + ["conversation.item.added", "conversation.item.done"] * 2
    error = realtime.error_of(bench.messages("error")[0])
    assert (error["code"], error["param"]) == ("invalid_value", "item.content[0].type")


def test_an_item_can_be_retrieved_truncated_and_deleted() -> None:
    bench = active(modality="audio").settle()
    bench.tell(realtime.create_item({"id": "mine", **realtime.user_item("Hello.")}), realtime.create_response()).settle()
    bench.tell({"type": "conversation.item.retrieve", "item_id": "mine"})
    assert bench.messages()[-1]["item"]["role"] == "user"
    reply = [each["item"]["id"] for each in bench.messages("response.output_item.done")][-1]
    bench.tell({"type": "conversation.item.truncate", "item_id": reply, "content_index": 0, "audio_end_ms": 120})
    assert {**bench.messages()[-1], "event_id": ""} == {
        "type": "conversation.item.truncated", "event_id": "", "item_id": reply, "content_index": 0, "audio_end_ms": 120,
    }  # fmt: skip
    bench.tell({"type": "conversation.item.delete", "item_id": "mine"})
    assert bench.types()[-1] == "conversation.item.deleted"
    for what in ("retrieve", "truncate", "delete"):
        bench.tell({"type": f"conversation.item.{what}", "item_id": "mine", "event_id": "evt_1"})
    assert bench.codes() == [f"item_{what}_invalid_item_id" for what in ("retrieve", "truncate", "delete")]
    texts = [realtime.error_of(each)["message"] for each in bench.messages("error")]
    error_text = "Error {}ing item: the item with id 'mine' does not exist."
    assert texts == [error_text.format(what) for what in ("retriev", "truncat", "delet")]


def test_only_a_spoken_item_of_the_model_can_be_truncated() -> None:
    bench = active().settle()
    item_id = bench.messages("conversation.item.done")[0]["item"]["id"]
    bench.tell({"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0, "audio_end_ms": 0})
    assert bench.codes() == ["unsupported_content_type"]


#: Type of a client event -> the types of the events that answer it on a session with audio in the buffer and the item `mine`.
#: `output_audio_buffer.clear` is documented for WebRTC and SIP only.
ANSWERS: dict[str, list[str]] = {
    "conversation.item.create": ["conversation.item.added", "conversation.item.done"],
    "conversation.item.delete": ["conversation.item.deleted"],
    "conversation.item.retrieve": ["conversation.item.retrieved"],
    "conversation.item.truncate": ["error unsupported_content_type"],
    "input_audio_buffer.append": [],
    "input_audio_buffer.clear": ["input_audio_buffer.cleared"],
    "input_audio_buffer.commit": ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"],
    "output_audio_buffer.clear": ["error invalid_value"],
    "response.cancel": ["error response_cancel_not_active"],
    "response.create": ["response.created"],
    "session.update": ["session.updated"],
}


def test_every_client_event_of_the_reference_has_its_documented_answer() -> None:
    known = [get_args(each.model_fields["type"].annotation)[0] for each in get_args(get_args(RealtimeClientEvent)[0])]
    assert sorted(known) == sorted(ANSWERS)
    fields: dict[str, dict[str, Any]] = {
        "conversation.item.create": {"item": realtime.user_item("Hello.")},
        "session.update": {"session": {"type": "realtime"}},
        "input_audio_buffer.append": {"audio": "AAAA"},
        **{f"conversation.item.{what}": {"item_id": "mine"} for what in ("retrieve", "delete")},
        "conversation.item.truncate": {"item_id": "mine", "content_index": 0, "audio_end_ms": 0},
    }
    for kind, answers in ANSWERS.items():
        bench = idle().tell(realtime.create_item({"id": "mine", **realtime.user_item("Hello.")}))
        bench.tell({"type": "input_audio_buffer.append", "audio": "AAAA"}).settle()
        before = len(bench.messages())
        bench.tell({"type": kind, "event_id": "evt_1", **fields.get(kind, {})}).settle()
        seen = bench.messages()[before:]
        found = [f"error {realtime.error_of(each)['code']}" if each["type"] == "error" else each["type"] for each in seen]
        assert found[: len(answers)] == answers, kind
        assert answers or not found
        assert all(realtime.error_of(each)["event_id"] == "evt_1" for each in seen if each["type"] == "error")


def test_an_item_is_inserted_after_the_named_one_or_first() -> None:
    def place(item_id: str, after: str | None) -> dict[str, Any]:
        event = realtime.create_item({"id": item_id, **realtime.user_item(item_id)})
        return event if after is None else {**event, "previous_item_id": after}

    bench = (
        idle(ack_ms=5).tell(place("b", "root"), place("c", "b"), place("a", "root"), place("x", "b"), place("d", None)).settle()
    )
    added = {each["item"]["id"]: each["previous_item_id"] for each in bench.messages("conversation.item.added")}
    assert added == {"b": None, "c": "b", "a": None, "x": "b", "d": "c"}
    assert bench.codes() == []


def test_an_item_after_an_unknown_one_is_an_error_and_not_added() -> None:
    bench = active().until("response.function_call_arguments.done")
    call = bench.messages("response.output_item.added")[0]["item"]["id"]
    bench.tell({**RESULT, "previous_item_id": "no-such-item", "event_id": "evt_1"})
    (error,) = bench.messages("error")
    assert realtime.error_of(error) == {
        **realtime.error_of(error), "code": "item_create_invalid_previous_item_id", "event_id": "evt_1",
        "message": "Error adding item: the previous item with id 'no-such-item' does not exist.",
    }  # fmt: skip
    bench.tell({**RESULT, "previous_item_id": call}).settle()
    assert len(bench.messages("error")) == 1
    results = [each for each in bench.messages("conversation.item.added") if each["item"]["type"] == "function_call_output"]
    assert [each["previous_item_id"] for each in results] == [call]


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({}, "get_weather"),
        ({"tool_choice": "auto", "tools": None}, "get_weather"),
        ({"tool_choice": "none"}, None),
        ({"tools": []}, None),
        ({"tools": [{"type": "function", "name": "get_time", "parameters": {}}]}, "get_time"),
    ],
)
def test_tools_of_a_request_replace_those_of_the_session(asked: dict[str, Any], name: str | None) -> None:
    bench = idle().tell(QUESTION, realtime.create_response(response=asked)).settle()
    (done,) = bench.messages("response.done")
    assert done["response"]["output"][0].get("name") == name
    assert bench.tell({**CREATE, "response": {"tools": "all"}}).codes() == ["invalid_type"]


def test_a_session_without_tool_choice_makes_no_call() -> None:
    bench = idle().tell(realtime.update_session({"tool_choice": "none"}), QUESTION, CREATE).settle()
    assert bench.messages("response.done")[0]["response"]["output"][0]["type"] == "message"


def test_a_new_session_has_audio_server_vad_and_no_tools_as_recorded() -> None:
    actor = Upstream((("reply",),))
    (sent,) = actor.start()
    assert isinstance(sent, Send)
    assert isinstance(sent.payload, dict)
    session = sent.payload["session"]
    assert session == SESSION
    detection = session["audio"]["input"]["turn_detection"]
    assert (session["output_modalities"], session["tools"]) == (["audio"], [])
    assert [detection[key] for key in ("type", "create_response", "interrupt_response")] == ["server_vad", True, True]


def test_an_update_is_merged_into_the_session_and_null_turns_server_vad_off() -> None:
    bench = idle()
    for update in (
        {"turn_detection": {"type": "semantic_vad"}},
        {"transcription": {"model": "whisper-1"}},
        {"turn_detection": None},
    ):
        bench.tell(realtime.update_session({"type": "realtime", "audio": {"input": update}}))
    first, second, third = (each["session"]["audio"]["input"] for each in bench.messages("session.updated"))
    assert first["turn_detection"]["type"] == "semantic_vad"
    assert first["turn_detection"]["create_response"] is True
    assert second["transcription"] == {"model": "whisper-1", "language": None, "prompt": None}
    assert third["turn_detection"] is None
    assert third["transcription"] == second["transcription"]
    assert SESSION["audio"]["input"]["transcription"] is None, "sessions do not share state"


@pytest.mark.parametrize(
    ("fixed", "asked", "wished", "seen"),
    [
        (None, None, None, "audio"),
        (None, ["text"], None, "text"),
        (None, ["audio"], ["text"], "text"),
        ("text", ["audio"], ["audio"], "text"),
        ("audio", ["text"], None, "audio"),
    ],
)
def test_replies_use_the_fixed_modality_or_else_the_requested_one(fixed: Any, asked: Any, wished: Any, seen: str) -> None:
    bench = mock(("reply",), modality=fixed).tell(QUESTION)
    if asked:
        bench.tell(realtime.update_session({"type": "realtime", "output_modalities": asked}))
    bench.tell(realtime.create_response(response={"output_modalities": wished} if wished else None)).settle()
    done = bench.messages("response.done")[0]["response"]
    assert done["output_modalities"] == [seen]
    assert ("response.output_text.done" in bench.types()) == (seen == "text")
