"""Test WebSocket cassettes in YAML: reading, inspection, redaction, and the location of errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from benchmarks.condense import condensed
from voicerace.captures import Capture, inspect_json, inspect_lines, read_capture
from voicerace.captures.api import api_recordings
from voicerace.captures.cassette import is_cassette
from voicerace.captures.copies import redacted
from voicerace.cli import main
from voicerace.errors import InputError
from voicerace.trace.recording import LINKS, Event, Link, Recording

SENT, RECEIVED = Link("proxy", "upstream"), Link("upstream", "proxy")
SCHEMA = json.loads((Path(__file__).parents[1] / "docs" / "inspect.schema.json").read_text("utf-8"))

ROUND = """\
version: 1
interactions:
- kind: message
  direction: received
  at: 0.0
  data:
    type: session.created
    event_id: event_E6U11oE4PwyJSvJ9e3mzM
    session: {id: sess_E6U1105MHBiPou6PkKs3c, model: gpt-realtime, tools: [], expires_at: 1785217655}
- kind: message
  direction: sent
  at: 0.1
  data: {type: response.create}
- kind: message
  direction: received
  at: 0.2
  data: {type: response.created, event_id: event_E6U110000000000000000, response: {id: resp_E6U110000000000000000}}
- kind: message
  direction: sent
  at: 7.0
  data: {type: response.create}
- kind: message
  direction: received
  at: 7.1
  data:
    type: error
    event_id: event_E6U180000000000000000
    error:
      type: invalid_request_error
      code: conversation_already_has_active_response
      message: 'Conversation already has an active response in progress: resp_E6U110000000000000000. Wait
        until the response is finished before creating a new one.'
- kind: close
  code: 1011
  reason: a secret reason
  ok: false
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def cassette_of(recording: Recording) -> str:
    """Return a recording of the link to the API as a cassette."""
    interactions: list[dict[str, Any]] = []
    for event in recording.events:
        at = event.at_ns("proxy")
        more = {} if at is None else {"at": at / 1e9}
        if event.kind == "close":
            interactions.append({"kind": "close", "code": 1000, "reason": "", "ok": True, **more})
        else:
            direction = "sent" if event.link == SENT else "received"
            interactions.append({"kind": "message", "direction": direction, **more, "data": event.payload})
    return yaml.safe_dump({"version": 1, "interactions": interactions}, sort_keys=False, allow_unicode=True)


def test_a_cassette_is_read_as_the_link_between_client_and_api(tmp_path: Path) -> None:
    capture: Capture = read_capture(write(tmp_path / "a.yaml", ROUND))
    assert capture.format == "websocket cassette"
    (session,) = capture.sessions
    recording = session.recording
    assert recording.observed == (SENT, RECEIVED)
    assert set(recording.observed) < set(LINKS)
    assert [(e.kind, e.link, e.type) for e in recording.events[:2]] == [
        ("message", RECEIVED, "session.created"),
        ("message", SENT, "response.create"),
    ]
    assert [e.at_ns("proxy") for e in recording.events] == [0, 100_000_000, 200_000_000, 7_000_000_000, 7_100_000_000, None]
    assert (recording.events[-1].kind, recording.events[-1].payload) == ("close", {"code": 1011})
    assert recording.complete
    assert (session.refusals.value, session.refusals.kind) == (1, "observed")
    assert (session.response_creates.value, session.response_creates.kind) == (2, "observed")
    assert session.refused_at_ms == (7100.0,)
    assert any("no app, no component, no proxy" in each for each in session.cannot_say)


def test_inspection_has_line_numbers_and_the_age_of_the_active_response(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", ROUND)
    capture = read_capture(path)
    shown = inspect_json(capture)
    jsonschema.Draft202012Validator(SCHEMA).validate(shown)
    line = ROUND.splitlines().index("    type: error") - 3
    assert shown["sessions"][0]["server_time"] == {
        "basis": "from ids, ±1 s", "start": "2026-07-28T04:47:35Z", "end": "2026-07-28T04:47:42Z", "ids": 5,
        "clock_offset_s": None, "refused": [{"line": line, "response_age_s": 7}],
    }  # fmt: skip
    lines = list(inspect_lines(capture))
    assert "  server time: 2026-07-28T04:47:35Z to 2026-07-28T04:47:42Z, 7 s (from ids, ±1 s; 5 ids agree)" in lines
    assert f"  refusal at line {line}: the active response was 7 s old (from ids, ±1 s)" in lines


@pytest.mark.parametrize("name", ["tool_call_round@90bb8907", "idle_timeout", "seeding@90bb8907", "reconnect_replays"])
def test_a_recording_survives_a_round_trip_through_a_cassette(tmp_path: Path, name: str) -> None:
    (recorded,) = [each for each in api_recordings() if name in each.provenance["connection"]][:1]
    capture = read_capture(write(tmp_path / "a.yaml", cassette_of(recorded)))
    (session,) = capture.sessions

    def seen(events: tuple[Event, ...]) -> list[Any]:
        return [(e.link, e.kind, e.at_ns("proxy"), e.payload if e.kind == "message" else None) for e in events]

    assert seen(session.recording.events) == seen(recorded.events)
    untimed = "The cassette has no times: the order of the messages is known, and nothing of how long anything took."
    assert (untimed in session.cannot_say) == all(e.at_ns("proxy") is None for e in recorded.events)


def test_the_results_of_a_client_and_their_delays_are_counted(tmp_path: Path) -> None:
    (recorded,) = [
        each for each in api_recordings("azure-voice-live") if "tool_call_round@6589" in each.provenance["connection"]
    ]
    path = write(tmp_path / "a.yaml", cassette_of(recorded))
    (session,) = read_capture(path).sessions
    assert (session.submissions.value, session.counts["repeated_results"].value) == (1, 0)
    assert session.result_delay_ms == (5.0,)
    assert session.gap_ms == (4.0,)
    shown = list(inspect_lines(read_capture(path)))
    assert "Gap, response.done after the last call, at the client: once, 4 ms" in shown
    assert not any("server time" in each for each in shown)  # event ids of Voice Live contain no time


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version: 1\ninteractions:\n- kind: [message\n", r"a\.yaml:4: not YAML: did not find expected ',' or '\]'"),
        ("version: 1\ninteractions: 5\n", r"a\.yaml:2: interactions is not a list"),
        ("version: 1\ninteractions: []\n", "no message with a type"),
        ("interactions:\n- request: {method: POST}\n  response: {}\n", "HTTP interactions, no messages of the Realtime API"),
        ("interactions:\n- kind: message\n  direction: sent\n  data: {setup: {}}\n", "no message with a type"),
        ("interactions:\n- " + "[" * 100_000, "nested more than 100 deep"),
        ("interactions:\n- " + "{a: " * 100_000, "nested more than 100 deep"),
        ("interactions:\n- *none\n", "an unknown alias"),
        ("interactions:\n- a: &a [*a]\n", "an unknown alias"),
        ("interactions:\n- {a: &a [x, x], " + ", ".join(f"b{n}: &b{n} [*{'a' if n == 0 else f'b{n - 1}'}, *a, *{'a' if n == 0 else f'b{n - 1}'}]" for n in range(40)) + "}\n", "more than 100000 values"),  # noqa: E501
    ],
    ids=["cut", "no list", "empty", "http", "other protocol", "brackets", "braces", "alias", "itself", "bomb"],
)  # fmt: skip
def test_an_invalid_cassette_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        read_capture(write(tmp_path / "a.yaml", text))
    assert str(refused.value).isprintable()


def test_inspecting_an_invalid_cassette_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(write(tmp_path / "a.yaml", "interactions:\n- {a\n"))]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "not YAML" in line


@pytest.mark.parametrize("cut", range(3, 10))
def test_a_truncated_cassette_is_read_up_to_the_cut(tmp_path: Path, cut: int) -> None:
    text = ROUND[: len(ROUND) * cut // 10] + "\n- {broken"
    capture = read_capture(write(tmp_path / "a.yaml", text))
    whole = read_capture(write(tmp_path / "b.yaml", ROUND))
    before = [event.payload for event in whole.sessions[0].recording.events]
    after = [event.payload for event in capture.sessions[0].recording.events]
    assert before[: len(after) - 1] == after[:-1]
    assert capture.unread
    assert capture.sessions[0].recording.observed == ()  # no link was observed completely


@pytest.mark.parametrize(
    "interaction",
    ["5", "{kind: other}", "{kind: message, direction: up, data: {}}", "{kind: message, direction: sent, data: text}", "[]"],
)
def test_an_unknown_interaction_is_counted_and_located(tmp_path: Path, interaction: str) -> None:
    capture = read_capture(write(tmp_path / "a.yaml", f"{ROUND}- {interaction}\n"))
    (unread,) = capture.unread
    assert unread.line_first == len(ROUND.splitlines()) + 1
    assert capture.sessions[0].refusals.kind == "at least"


def test_yaml_values_become_json_values(tmp_path: Path) -> None:
    """YAML dates, bytes, infinities and keys other than strings become strings."""
    data = "{type: x, a: 2026-01-01, b: .inf, c: 1:30, d: !!binary aGk=, e: yes, f: ~, 1: g, h: 0x10, i: " + "9" * 5000 + "}"
    capture = read_capture(write(tmp_path / "a.yaml", f"{ROUND}- {{kind: message, direction: sent, data: {data}}}\n"))
    last = capture.sessions[0].recording.events[-1].payload
    assert last == {
        "type": "x", "a": "2026-01-01", "b": ".inf", "c": 90, "d": "aGk=", "e": True, "f": None, "1": "g", "h": 16,
        "i": "9" * 5000,
    }  # fmt: skip
    json.dumps(inspect_json(capture), allow_nan=False)


def test_an_alias_is_replaced_by_its_value(tmp_path: Path) -> None:
    text = ROUND.replace("data: {type: response.create}", "data: &c {type: response.create}", 1)
    text = text.replace("data: {type: response.create}", "data: *c")
    assert read_capture(write(tmp_path / "a.yaml", text)).sessions[0].response_creates.value == 2


@pytest.mark.parametrize("head", ["", "# a comment\n", "---\n", "\ufeff", "---\n# x\n\n"])
def test_a_cassette_is_recognised_by_its_beginning(head: str) -> None:
    assert is_cassette((head + ROUND).encode())
    assert not is_cassette(b"openapi: 3.0\ninteractions: []")
    assert not is_cassette(b"{ 'version': 1 }")


def test_a_redacted_copy_is_a_recording_without_texts(tmp_path: Path) -> None:
    lines = list(redacted(write(tmp_path / "a.yaml", ROUND.replace("gpt-realtime,", "gpt-realtime, instructions: my secret,"))))
    assert not any("secret" in each for each in lines)
    copy = write(tmp_path / "b.jsonl", "\n".join(lines) + "\n")
    (session,) = read_capture(copy).sessions
    assert (session.refusals.value, session.response_creates.value) == (1, 2)


def test_a_condensed_session_has_every_key_and_no_text(tmp_path: Path) -> None:
    secrets = ["Berlin", "be brief", "get_weather", "AAAA", "cust_7", "what is it"]
    messages = [
        (RECEIVED, {"type": "session.created", "session": {"instructions": "be brief", "tools": [{"name": "get_weather", "parameters": {"properties": {"Berlin": {}}}}]}}),  # noqa: E501
        (SENT, {"type": "conversation.item.create", "item": {"id": "cust_7", "type": "message", "content": [{"type": "input_text", "text": "what is it"}]}}),  # noqa: E501
        (RECEIVED, {"type": "conversation.item.added", "event_id": "event_E6U11oE4PwyJSvJ9e3mzM", "item": {"id": "cust_7", "type": "message"}}),  # noqa: E501
        (RECEIVED, {"type": "response.output_audio.delta", "delta": "AAAA", "obfuscation": "", "item_id": "item_E6U11oE4PwyJSvJ9e3mzM"}),  # noqa: E501
        (RECEIVED, {"type": "response.function_call_arguments.done", "name": "get_weather", "arguments": '{"city": "Berlin"}', "call_id": "call_gjzQgB58ZBkvkAhK"}),  # noqa: E501
        (RECEIVED, {"type": "response.done", "response": {"metadata": {"who": "cust_7"}, "usage": {"total_tokens": 5}}}),
        (RECEIVED, {"type": "error", "error": {"code": "x", "message": "in progress: item_E6U11oE4PwyJSvJ9e3mzM."}}),
    ]  # fmt: skip
    events = tuple(Event(n, link, "message", None, None, each, "cassette") for n, (link, each) in enumerate(messages))
    made = condensed(Recording(events, {}, "log", (SENT, RECEIVED), False))
    text = json.dumps([event.payload for event in made.events], ensure_ascii=False)
    assert not [each for each in secrets if each in text]
    payloads: list[Any] = [event.payload for event in made.events]
    assert payloads[1]["item"]["id"] == payloads[2]["item"]["id"] == "c1"
    assert payloads[2]["event_id"] == "event_E6U11_e3"
    assert payloads[3] == {"type": "response.output_audio.delta", "delta": "…", "obfuscation": "", "item_id": "item_E6U11_i1"}
    assert payloads[6]["error"]["message"] == "in progress: item_E6U11_i1."
    assert (payloads[4]["arguments"], payloads[4]["call_id"]) == ("{}", "call1")
    assert payloads[5]["response"] == {"metadata": {"who": "…"}, "usage": {"total_tokens": 5}}
