"""Test the seconds in the API's ids: they agree with the recordings, and inconsistent ids are not decoded."""

from __future__ import annotations

import random
import string
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from voicerace.captures.api import api_recordings
from voicerace.captures.id_clock import LIFETIME_S, IdClock, read_ids, second_of
from voicerace.trace.recording import Event, Link, Recording

CAME, SENT = Link("upstream", "proxy"), Link("proxy", "upstream")
DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
START = 1_785_214_055  # 2026-07-28T04:47:35Z


def identifier(family: str, second: int, tail: str = "x" * 16) -> str:
    """Return an id in the API's format, created at `second` (Unix time in seconds)."""
    rest, code = second - 1_576_800_000, ""
    for _ in range(5):
        rest, digit = divmod(rest, 62)
        code = DIGITS[digit] + code
    return f"{family}_{code}{tail}"


def recording(*messages: dict[str, Any], sent: tuple[dict[str, Any], ...] = (), **provenance: Any) -> Recording:
    every = [(SENT, each) for each in sent] + [(CAME, each) for each in messages]
    events = tuple(Event(n, link, "message", None, None, each, "cassette") for n, (link, each) in enumerate(every))
    return Recording(events, provenance, "log", (CAME, SENT), False)


def created(second: int, event: int | None = None) -> dict[str, Any]:
    return {
        "type": "response.created",
        "event_id": identifier("event", second if event is None else event),
        "response": {"id": identifier("resp", second)},
    }


def refusal(second: int, named: str) -> dict[str, Any]:
    message = f"Conversation already has an active response in progress: {named}. Wait until the response is finished."
    error = {"type": "invalid_request_error", "code": "conversation_already_has_active_response", "message": message}
    return {"type": "error", "event_id": identifier("event", second, "y" * 16), "error": error}


def test_the_seconds_in_session_ids_are_expires_at_minus_an_hour() -> None:
    found: Counter[int] = Counter()
    for each in api_recordings("openai", "azure", "gateway-openai"):
        for event in each.events:
            message: Any = event.payload
            if event.type == "session.created" and "expires_at" in message.get("session", {}):
                made = second_of(message["session"]["id"])
                assert made is not None
                found[message["session"]["expires_at"] - made - LIFETIME_S] += 1
    assert found == {0: 24, 1: 5}


def test_sessions_of_openai_and_azure_are_decoded_and_those_of_xai_and_voice_live_are_not() -> None:
    decoded: Counter[tuple[str, bool]] = Counter()
    for each in api_recordings():
        if not each.provenance["connection"].startswith("log__"):
            decoded[each.provenance["provider"], read_ids(each) is not None] += 1
    # One recording of a sideband socket contains only one id.
    assert decoded == {
        ("openai", True): 19, ("openai", False): 1, ("azure", True): 9, ("gateway-openai", True): 5, ("openai-live", True): 2,
        ("azure-voice-live", False): 14, ("xai", False): 16,
    }  # fmt: skip


def test_decoded_seconds_agree_with_the_date_of_the_recording() -> None:
    for each in api_recordings("openai", "azure", "gateway-openai"):
        clock = read_ids(each)
        if clock is not None:
            assert clock.end - clock.start < 60
            assert abs(clock.start - _midnight(each.provenance["date"])) < 36 * 3600


def _midnight(date: str) -> float:
    return datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp()


def test_decoded_seconds_follow_the_recorders_clock() -> None:
    """The offset between the clocks varies by less than the resolution of the ids plus the network delay."""
    (session,) = [each for each in api_recordings("openai") if "idle_timeout" in each.provenance["connection"]]
    clock = read_ids(session)
    assert clock is not None
    offsets = [
        event.received_ns / 1e9 - clock.seconds[event.seq]
        for event in session.events
        if event.received_ns is not None and event.seq in clock.seconds
    ]
    assert max(offsets) - min(offsets) < 1.5


def test_a_wrong_client_clock_is_detected() -> None:
    (session,) = [each for each in api_recordings() if "longcw" in each.provenance["connection"]]
    clock = read_ids(session)
    assert clock is not None
    assert clock.offset_s == pytest.approx(98, abs=1)


@pytest.mark.parametrize("age", [0, 1, 7, 3000])
def test_a_refusal_has_the_age_of_the_active_response(age: int) -> None:
    named = identifier("resp", START)
    clock = read_ids(recording(created(START), refusal(START + age, named)))
    assert clock is not None
    assert [(each.seq, each.age_s) for each in clock.refused] == [(1, age)]


def test_a_response_newer_than_its_refusal_or_of_another_session_has_no_age() -> None:
    for named in (identifier("resp", START + 60), identifier("resp", START - 90_000), "resp_1", "item_" + "0" * 21):
        clock = read_ids(recording(created(START), refusal(START, named)))
        assert clock is not None
        assert clock.refused == ()


@pytest.mark.parametrize(
    "messages",
    [
        [created(START, event=START - 20)],  # the response id is 20 s later than the event id
        [created(START), created(START - 3)],  # the second id is 3 s earlier than the first
        [created(START), created(START + 4000)],  # the ids span more than a session
        [{"type": "x", "event_id": identifier("event", START)}],  # a single id
        [created(START), {"type": "x", "event_id": "event_" + "z" * 21}],  # a date in 2049
        [created(START), {"type": "x", "event_id": "event_" + "0" * 21}],  # a date before the API existed
        [
            created(START),
            {"type": "x", "event_id": identifier("event", START, "a" * 16), "item_id": identifier("item", START + 10)},
        ],  # the item id is later than the event id
        [created(START - 4000), {"type": "x", "item_id": identifier("item", START - 9000)}],
        [],
        [{"type": "response.created", "event_id": 5, "response": {"id": [1]}}],
    ],
)
def test_inconsistent_ids_are_not_decoded(messages: list[dict[str, Any]]) -> None:
    assert read_ids(recording(*messages)) is None


def test_an_older_item_and_a_second_of_disorder_are_allowed() -> None:
    item = {
        "type": "conversation.item.added",
        "event_id": identifier("event", START),
        "item": {"id": identifier("item", START - 30)},
    }
    clock = read_ids(recording(created(START + 1), item))
    assert clock == IdClock({0: START + 1, 1: START}, 4, (), None)


def test_random_ids_are_never_decoded() -> None:
    rng = random.Random(1)
    for _ in range(3000):
        ids = ["event_" + "".join(rng.choices(DIGITS, k=21)) for _ in range(3)]
        assert read_ids(recording(*({"type": "x", "event_id": each} for each in ids))) is None


def test_ids_of_the_client_are_ignored() -> None:
    own = identifier("item", START - 500_000)
    sent = ({"type": "conversation.item.create", "event_id": identifier("event", 1_600_000_000), "item": {"id": own}},)
    echo = {"type": "conversation.item.added", "event_id": identifier("event", START, "w" * 16), "item": {"id": own}}
    clock = read_ids(recording(created(START), echo, sent=sent))
    assert clock is not None
    assert clock.start == START
    assert read_ids(recording(created(START), echo)) is None  # the id is not known to be the client's
