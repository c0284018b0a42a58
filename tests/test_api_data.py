"""Test the recordings of the real API in `data/api`: their contents, their redaction, and the times computed from them."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from voicerace.captures import read_capture
from voicerace.captures.api import api_recordings, row_of
from voicerace.captures.api_times import ApiTime, api_times, api_times_frame, api_times_summary
from voicerace.trace.recording import Event, Link, Recording

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data" / "api"
RECORDINGS = tuple(api_recordings())
OPENAI = tuple(each for each in RECORDINGS if each.provenance["protocol"] == "GA")
SENT, CAME = Link("proxy", "upstream"), Link("upstream", "proxy")


def named(name: str) -> Recording:
    (found,) = [each for each in RECORDINGS if each.provenance["connection"] == name]
    return found


def with_all_fields(*protocols: str) -> Iterator[Recording]:
    """Yield the recordings of the given protocols that contain every field."""
    return (each for each in RECORDINGS if each.provenance["fields"] == "all" and each.provenance["protocol"] in protocols)


def texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from texts(each, name)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each, key)
    elif isinstance(value, str):
        yield key, value


# -- contents --------------------------------------------------------------------------------------------------------


def test_every_source_has_one_recording_with_its_provenance() -> None:
    with (DATA / "sources.tsv").open(newline="") as file:
        sources = {each["name"]: each for each in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)}
    assert sorted(sources) == sorted(each.provenance["connection"] for each in RECORDINGS)
    assert len(sources) == 73
    for each in RECORDINGS:
        provenance = each.provenance
        for key in ("provider", "protocol", "model", "date", "repository", "path", "commit", "times", "license", "note"):
            assert provenance[key] == (sources[provenance["connection"]][key] or None)
        assert provenance["provider"]
        assert provenance["date"]
        assert provenance["license"]
        timed = any(event.at_ns("proxy") is not None for event in each.events)
        assert timed == (provenance["times"] is not None)


def test_the_files_are_smaller_than_400_kb() -> None:
    assert sum(each.stat().st_size for each in DATA.iterdir()) < 400_000


def test_the_sessions_that_the_facts_cite_are_included() -> None:
    names = " ".join(each.provenance["connection"] for each in RECORDINGS)
    for kind in ("openai__openai_ws.tool_call_round@90bb8907", "text_tool_round_parity_openai-current_", "audio_in_server_vad",
                 "idle_timeout", "message_history_seeding@90bb8907", "sideband", "gateway_openai", "log__livekit"):  # fmt: skip
        assert kind in names
    tools = [each for each in OPENAI if any(e.type == "response.function_call_arguments.done" for e in each.events)]
    assert Counter(each.provenance["provider"] for each in tools if each.provenance["fields"] == "all") == {
        "openai": 4, "azure": 3, "gateway-openai": 1,
    }  # fmt: skip


def test_recordings_have_no_text_no_audio_and_no_original_id() -> None:
    word = re.compile(r"[\w.:/\[\]+-]{1,60}|…|\{\}|")
    original = re.compile(r"[0-9A-Za-z]{12,}|[0-9a-f]{8}-")
    for each in RECORDINGS:
        for event in each.events:
            for key, text in texts(event.payload):
                assert word.fullmatch(text) or key == "message", (each.provenance["connection"], key, text)
                if key.endswith("id"):
                    assert not original.search(text), (key, text)
                if key in (
                    "delta",
                    "text",
                    "transcript",
                    "instructions",
                    "audio",
                    "output",
                    "description",
                    "name",
                    "obfuscation",
                ):
                    assert text in ("", "…")


def test_api_recordings_can_be_inspected() -> None:
    for each in RECORDINGS:
        assert set(each.observed) == {SENT, CAME}
        assert [event.seq for event in each.events] == list(range(len(each.events)))
    capture = read_capture(DATA / "openai.jsonl.gz")
    assert len(capture.sessions) == 20
    (round_trip,) = [of for of in capture.sessions if of.connection.startswith("openai__openai_ws.tool_call_round@")]
    assert round_trip.server is not None


# -- facts of docs/protocol-facts.md in the recordings ------------------------------------------------------------------------


def types(recording: Recording) -> list[str]:
    return [event.type for event in recording.events]


def test_the_last_events_of_a_call_have_one_order() -> None:
    rounds = 0
    for each in with_all_fields("GA"):
        events = [e for e in each.events if e.link == CAME]
        for event in events:
            if event.type == "response.function_call_arguments.done":
                item = _payload(event)["item_id"]
                after = [e.type for e in events if e.seq > event.seq and _item(e) == item][:2]
                assert after == ["conversation.item.done", "response.output_item.done"]
                assert "name" in _payload(event)
                rounds += 1
    assert rounds == 8


def test_a_session_starts_with_audio_server_vad_and_no_tools() -> None:
    sessions = 0
    for each in with_all_fields("GA"):
        if each.provenance["note"]:
            assert types(each)[0] == "session.update"  # a sideband socket receives no session.created
            continue
        session = _payload(each.events[0])["session"]
        detection = session["audio"]["input"]["turn_detection"]
        assert session["output_modalities"] == ["audio"]
        assert session["tools"] == []
        assert (detection["type"], detection["create_response"], detection["interrupt_response"]) == ("server_vad", True, True)
        sessions += 1
    assert sessions == 27  # includes the session that was copied as a table


def test_an_audio_reply_has_no_output_text_done() -> None:
    seen: Counter[bool] = Counter()
    for each in OPENAI:
        audio = {_payload(e).get("response_id") for e in each.events if e.type == "response.output_audio.done"} - {None}
        text = {_payload(e).get("response_id") for e in each.events if e.type == "response.output_text.done"}
        for response in audio:
            seen[response in text] += 1
    assert seen == {False: 17}


def test_an_error_can_arrive_before_the_confirmation_of_an_earlier_item() -> None:
    seeding = named("openai__openai_ws.message_history_seeding@90bb8907")
    error = types(seeding).index("error")
    assert types(seeding)[3:7] == ["conversation.item.create"] * 3 + ["response.create"]
    assert _payload(seeding.events[error])["error"]["event_id"] is None
    assert error < types(seeding).index("conversation.item.added")


def test_a_message_next_to_a_call_ends_with_the_response() -> None:
    both = types(named("openai__parity_ws.text_tool_round_parity_openai-current_"))
    done = both.index("response.done")
    first = both[:done]
    assert first.count("response.output_item.added") == 2
    assert first.index("response.output_text.done") > max(i for i, t in enumerate(first) if t.endswith(".delta"))


def _payload(event: Event) -> dict[str, Any]:
    assert isinstance(event.payload, dict)
    return event.payload


def _item(event: Event) -> object:
    return _payload(event).get("item", {}).get("id")


# -- times -----------------------------------------------------------------------------------------------------------

#: A row of the hand-made table that ends at the confirmation of another item (row 56).
#: The computed row ends at the confirmation of its own item.
OTHER = ("conversation.item.create(message) sent -> added/created", "xai__xai_ws.reconnect_replays_a_tool_round@6906fadd", "59")


def by_hand() -> Counter[tuple[str, ...]]:
    lines = (ROOT / "tests" / "data" / "api-gaps.tsv").read_text("utf-8").splitlines()[2:]
    return Counter(tuple(line.split("\t")) for line in lines)


def test_computed_times_equal_those_measured_by_hand() -> None:
    hand = by_hand()
    whats = {row[0] for row in hand}
    computed = Counter(
        (each.what, each.session, *("~" if row is None else str(row) for row in (each.row_from, each.row_to)), str(each.ms))
        for each in api_times()
        if each.what in whats
    )
    assert set(hand - computed) == {(*OTHER, "63", "62.0")}
    assert set(computed - hand) == {(*OTHER, "66", "62.0")}
    assert sum(hand.values()) == 141


def test_every_time_is_the_difference_of_its_rows() -> None:
    of = {each.provenance["connection"]: each for each in RECORDINGS}
    for each in api_times():
        if each.row_from is None or each.row_to is None:
            continue
        rows = {row_of(of[each.session], event.seq): event for event in of[each.session].events}
        since, until = rows[each.row_from].at_ns("proxy"), rows[each.row_to].at_ns("proxy")
        assert since is not None
        assert until is not None
        assert each.ms == pytest.approx((until - since) / 1e6, abs=1e-3)


def test_the_summary_has_every_measured_gap() -> None:
    found = {(each.provider, each.protocol): each.ms for each in api_times() if each.time == "gap_ms"}
    assert found == {("azure-voice-live", "beta"): 4, ("azure", "GA"): 12, ("xai", "xai"): 1, ("openai-live", "live"): 181}
    summary = api_times_summary()
    openai = summary[(summary["provider"] == "openai") & (summary["protocol"] == "GA")].set_index("time")
    assert openai.loc["reply_gap_ms", "values"] == (4, 5)
    assert openai.loc["rate_limits_ms", "values"] == (29, 33)
    assert set(api_times_frame().columns) == set(ApiTime._fields)


def test_no_time_spans_missing_rows_or_a_lost_connection() -> None:
    create, created = {"type": "response.create"}, {"type": "response.created", "response": {"id": "r1"}}
    events = (Event(0, SENT, "message", 0, None, create, "x"), Event(1, CAME, "message", None, 5_000_000, created, "x"))
    provenance = {"provider": "p", "connection": "c"}
    (one,) = api_times([Recording(events, provenance)])
    assert (one.time, one.ms, one.row_from, one.row_to) == ("create_ms", 5.0, 1, 2)
    assert list(api_times([Recording(events, {**provenance, "breaks": [1]})])) == []
    lost = (events[0], Event(1, CAME, "close", None, 1, {"code": 1006}, "x"), Event(2, *events[1].__reduce__()[1][1:]))
    assert list(api_times([Recording(lost, provenance)])) == []


def test_a_refused_request_starts_no_response() -> None:
    error = {"type": "error", "error": {"code": "conversation_already_has_active_response"}}
    script = [(SENT, {"type": "response.create"}), (CAME, error), (CAME, {"type": "input_audio_buffer.committed"}),
              (CAME, {"type": "response.created", "response": {"id": "r1"}})]  # fmt: skip
    events = tuple(
        Event(n, link, "message", n * 1_000_000 if link == SENT else None, None if link == SENT else n * 1_000_000, each, "x")
        for n, (link, each) in enumerate(script)
    )
    assert [(each.time, each.ms) for each in api_times([Recording(events, {})])] == [("committed_ms", 1.0)]
