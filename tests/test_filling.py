"""Test the imputation of ids and items in logs, which leaves the recording unchanged, and requests without an answer."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from support.played import play

from voicerace.captures.derive import derive, derive_all
from voicerace.captures.imputation import impute
from voicerace.model.catalog.releases import PROXIES
from voicerace.model.protocol import realtime
from voicerace.trace.recording import Event, Link, Recording
from voicerace.units import ns

HOST, CAME, SENT = Link("component", "proxy"), Link("upstream", "proxy"), Link("proxy", "upstream")


def logged(*messages: tuple[int, Link, Mapping[str, Any]]) -> Recording:
    """Return a recording in the form of a log, from (ms, link, payload) messages."""
    events = [
        Event(seq, link, "message", None if link is not SENT else ns(at), ns(at) if link is not SENT else None, payload, "log")
        for seq, (at, link, payload) in enumerate(messages)
    ]
    return Recording(tuple(events), {}, "log", (HOST, CAME))


ADDED = {"type": "response.output_item.added", "item": {"type": "function_call", "name": "weather"}}


def test_imputation_does_not_change_its_input() -> None:
    recording = logged(
        (0, CAME, {"type": realtime.RESPONSE_CREATED, "response": {"status": "in_progress"}}),
        (1, CAME, ADDED),
        (2, CAME, {"type": realtime.ARGUMENTS_DONE}),
        (3, HOST, {"type": "FunctionCallResponse"}),
        (4, CAME, {"type": realtime.ITEM_ADDED}),
        (5, CAME, {"type": realtime.RESPONSE_DONE, "response": {}}),
    )
    before = copy.deepcopy(recording)
    filled = impute(recording).recording
    assert filled.events[1].payload["item"]["call_id"] == filled.events[2].payload["call_id"] == "derived_call_1"  # type: ignore[index, call-overload]
    assert recording == before
    for row in PROXIES.values():
        derive_all(recording, row)
    assert recording == before


@pytest.mark.parametrize("release", ["0.9.1", "0.9.4", "0.10.2", "0.11.1"])
def test_derivation_does_not_change_a_simulated_recording(release: str) -> None:
    """The recording has payloads like a log, but no ids of calls."""
    recording = play(release=release, handler="async_ref", tool_ms=50)
    events = []
    for event in recording.events:
        payload = copy.deepcopy(event.payload)
        if event.link == CAME and isinstance(payload, dict):
            for part in (payload, payload.get("item", {})):
                part.pop("call_id", None)
        events.append(replace(event, payload=payload))
    bare = replace(recording, events=tuple(events))
    before = copy.deepcopy(bare)
    for row in PROXIES.values():
        derive_all(bare, row)
    assert bare == before


def test_items_are_named_after_their_message_of_the_host() -> None:
    """Each message of the host increments the number, so the names are unique."""
    recording = logged(
        (0, HOST, {"type": "Settings"}),
        (1, HOST, {"type": "InjectUserMessage"}),
        (2, CAME, {"type": realtime.ITEM_ADDED}),
        (3, CAME, {"type": realtime.ITEM_DONE}),
        (4, CAME, {"type": realtime.RESPONSE_CREATED}),
        (5, CAME, {"type": "response.output_item.added"}),
        (6, CAME, {"type": realtime.ITEM_ADDED}),
        (7, CAME, {"type": realtime.ARGUMENTS_DONE}),
        (8, HOST, {"type": "FunctionCallResponse"}),
        (9, HOST, {"type": "InjectUserMessage"}),
        (10, CAME, {"type": realtime.ITEM_ADDED}),
        (11, CAME, {"type": realtime.ITEM_ADDED}),
        (12, CAME, {"type": realtime.ITEM_DONE}),
        (13, CAME, {"type": realtime.ITEM_DONE}),
    )
    items = {
        each.seq: (item.get("id"), item.get("type"), item.get("call_id"))
        for each in impute(recording).recording.on(CAME)
        if each.type in (realtime.ITEM_ADDED, realtime.ITEM_DONE) and (item := realtime.item_of(each.payload))  # type: ignore[arg-type]
    }
    text, result, more = (
        ("derived_item_2", "message", None),
        ("derived_item_3", "function_call_output", "derived_call_1"),
        ("derived_item_4", "message", None),
    )
    # No logged message contains the item id of the response's own call.
    assert items == {2: text, 3: text, 10: result, 11: more, 12: result, 13: more}


def test_an_item_announced_by_a_response_is_not_the_pending_user_text() -> None:
    recording = logged(
        (0, CAME, {"type": realtime.RESPONSE_CREATED}),
        (1, HOST, {"type": "InjectUserMessage"}),
        (2, CAME, {"type": "response.output_item.added"}),
        (3, CAME, {"type": realtime.ITEM_ADDED}),
        (4, CAME, {"type": realtime.ITEM_ADDED}),
    )
    kinds = {each.seq: realtime.item_of(each.payload).get("role") for each in impute(recording).recording.on(CAME)}  # type: ignore[arg-type]
    assert (kinds[3], kinds[4]) == (None, "user")


@pytest.mark.parametrize(("after_ms", "contradicted"), [(1_000, False), (1_002, True), (5_000, True)])
def test_an_unanswered_request_contradicts_a_release_after_one_second(after_ms: int, contradicted: bool) -> None:
    """The API answers within 0.1 s. If the log ends shortly after the request, the answer can still be in flight."""
    row = PROXIES["0.9.1"]
    recording = logged(
        (0, HOST, {"type": "Settings"}),
        (1, CAME, {"type": "session.created"}),
        (2, CAME, {"type": realtime.SESSION_UPDATED}),
        (10, HOST, {"type": "InjectUserMessage"}),
        (10, CAME, {"type": realtime.ITEM_ADDED}),
        (10, CAME, {"type": realtime.ITEM_DONE}),
        (10 + after_ms, CAME, {"type": "rate_limits.updated"}),
    )
    derived = derive(recording, row)
    (create,) = derived.creates
    assert create.sent_ns == ns(10)
    said = [each.what for each in derived.contradictions]
    assert said == (["0.9.1 sends a response.create here, but no answer follows"] if contradicted else [])
