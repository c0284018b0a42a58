"""Test the reading of captures: counts and their certainty, damaged files, and the displayed text."""

from __future__ import annotations

import gzip
import io
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.played import play

from voicerace.analysis.verdict import judge
from voicerace.captures import Capture, CapturedSession, inspect_json, inspect_lines, read_capture
from voicerace.captures.log_scanner import LINE_LIMIT, RECORD_LIMIT, Record, Unread, read_lines, scan
from voicerace.captures.node_inspect import CutText, LiteralError, NoValue, parse_literal
from voicerace.errors import InputError
from voicerace.trace.recording import Link, Recording, write_recordings

DATA = Path(__file__).with_name("data")
LOGS = Path(__file__).parents[1] / "data" / "logs"
#: The log of one session of the real proxy 0.9.1 with a mock upstream: one call, whose request was refused.
REFUSED = Path(__file__).parent / "data" / "console-0.9.1-refused.log"
SAMPLES = Path(__file__).parents[2] / "shared" / "captures"
HOST, CAME, SENT = Link("component", "proxy"), Link("upstream", "proxy"), Link("proxy", "upstream")
ACTIVE = "conversation_already_has_active_response"


# -- logs in Node's format -------------------------------------------------------------------------------------------


def literal(value: Any, indent: int = 0) -> str:
    """Return a value in the format of `console.dir`, always on several lines."""
    if isinstance(value, dict):
        inner = ",\n".join(f"{' ' * (indent + 2)}{_quoted(k)}: {literal(v, indent + 2)}" for k, v in value.items())
        return "{\n" + inner + "\n" + " " * indent + "}" if value else "{}"
    if isinstance(value, list):
        return "[ " + ", ".join(literal(each, indent + 2) for each in value) + " ]" if value else "[]"
    if isinstance(value, str):
        return (" +\n" + " " * (indent + 2)).join(map(_quoted, value.splitlines(keepends=True) or [""]))
    return {None: "undefined", True: "true", False: "false"}[value] if value is None or value in (True, False) else str(value)


def _quoted(text: str) -> str:
    if text.isascii() and text.isidentifier():
        return text if text[0].islower() and len(text) < 30 and "'" not in text and text in KEYS else f"'{text}'"
    quote = next((each for each in "'\"`" if each not in text), "'")
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\x1b", "\\x1B")
    return quote + (escaped.replace("'", "\\'") if quote == "'" else escaped) + quote


KEYS = {
    "resource", "attributes", "timestamp", "body", "severityText", "severityNumber", "connection_id", "direction",
    "message_type", "traceId",
}  # fmt: skip


def record(at_ms: int, body: str, connection: str = "c1", severity: int = 9, **attributes: Any) -> dict[str, Any]:
    names = {"to": "message_type", "code": "error.code", "message": "error.message"}
    return {
        "resource": {"attributes": {"service.name": "x"}},
        "timestamp": 1_800_000_000_000_000 + at_ms * 1000,
        "traceId": None,
        "severityNumber": severity,
        "body": body,
        "attributes": {"connection_id": connection, **{names.get(k, k): v for k, v in attributes.items()}},
    }


def host(at_ms: int, kind: str, connection: str = "c1") -> dict[str, Any]:
    return record(at_ms, "client → upstream", connection, to=kind, direction="client→upstream")


def came(at_ms: int, kind: str, connection: str = "c1") -> dict[str, Any]:
    return record(at_ms, "upstream → client", connection, to=kind, direction="upstream→client")


def item(at_ms: int, payload: Mapping[str, Any] | str, kind: str = "conversation.item.done") -> list[dict[str, Any]]:
    """Return the log records of an item event, as 0.10.0 and later releases write them."""
    text = payload if isinstance(payload, str) else json.dumps({"type": kind, "item": payload})
    body = f"conversation.item.* raw (debug): type={kind} item_id=n/a payload={text}"
    return [came(at_ms, kind), record(at_ms, body, to=kind, direction="upstream→client")]


def opened(at_ms: int = 0, connection: str = "c1") -> dict[str, Any]:
    return record(at_ms, "client connected", connection, direction="client")


def closed(at_ms: int, connection: str = "c1") -> dict[str, Any]:
    return record(at_ms, "upstream closed", connection, direction="upstream", **{"upstream.close_code": 1005})


def refused(at_ms: int, connection: str = "c1") -> list[dict[str, Any]]:
    message = "Conversation already has an active response in progress: resp_2."
    return [
        came(at_ms, "error", connection),
        record(at_ms, message, connection, 17, to="error", direction="upstream→client", code=ACTIVE, message=message),
    ]


def log_text(records: Iterable[Mapping[str, Any]]) -> str:
    return "".join(literal(each) + "\n" for each in records)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of one file that all tests of this module overwrite."""
    return tmp_path_factory.mktemp("captures") / "proxy.log"


def read(path: Path, records: Iterable[Mapping[str, Any]] | str | bytes) -> Capture:
    data = records if isinstance(records, bytes | str) else log_text(records)
    path.write_bytes(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)
    return read_capture(path)


def only(capture: Capture) -> CapturedSession:
    assert len(capture.sessions) == 1
    return capture.sessions[0]


def types(session: CapturedSession, link: Link) -> list[str]:
    return [event.type for event in session.recording.on(link)]


def assert_count(session: CapturedSession, name: str, value: int | None, kind: str) -> None:
    count = session.counts[name]
    assert (count.value, count.kind) == (value, kind), name


# -- real logs -------------------------------------------------------------------------------------------------------


def sample(name: str) -> Capture:
    if not (SAMPLES / name).exists():
        pytest.skip("the sample logs are absent")
    return read_capture(SAMPLES / name)


def test_the_log_of_0_9_1_has_three_refusals_with_times() -> None:
    capture = sample("proxy-0.9.1-single.log")
    assert (capture.format, capture.records, capture.unread) == ("console log", 126, ())
    assert [each.connection for each in capture.sessions] == ["c1", "c2", "c3", "c4", "c5"]
    assert [each.refused_at_ms for each in capture.sessions] == [(50.0,), (82.0,), (152.0,), (), ()]
    assert [each.result_delay_ms for each in capture.sessions] == [(7.0,), (52.0,), (121.0,), (192.0,), (302.0,)]
    assert [each.gap_ms for each in capture.sessions] == [(150.0,), (152.0,), (154.0,), (152.0,), (151.0,)]
    assert [each.recording.complete for each in capture.sessions] == [True, True, True, True, False]
    # The model of the release adds the messages missing in the log. The last session has no close.
    assert [each.outcome for each in capture.sessions] == ["rejected", "rejected", "rejected", "answered", "unknown"]
    assert {each.counts["refusals_hidden"].value for each in capture.sessions} == {0}


def test_the_log_of_0_11_1_has_refusals_hidden_from_the_host() -> None:
    capture = sample("proxy-0.11.1-single.log")
    assert (capture.records, capture.unread) == (185, ())
    assert [each.refused_at_ms for each in capture.sessions] == [(40.0,), (81.0,), (152.0,), (), ()]
    assert [each.counts["refusals_hidden"].value for each in capture.sessions] == [1, 1, 1, 0, 0]
    assert [each.result_delay_ms for each in capture.sessions] == [(1.0,), (52.0,), (121.0,), (192.0,), (302.0,)]
    first, last = capture.sessions[0], capture.sessions[-1]
    assert_count(first, "session_updates", 1, "observed")
    assert_count(first, "repeated_results", 0, "observed")
    assert_count(first, "default_errors", 0, "observed")
    assert_count(last, "session_updates", 1, "at least")  # the log ends before the connection is closed
    # In this log the host closed the connection first.
    assert [(str(e.link), e.payload) for e in first.recording.events if e.kind == "close"] == [
        ("component>proxy", {"code": 1000}), ("upstream>proxy", {"code": 1005}),
    ]  # fmt: skip


def test_a_log_under_jest_has_one_session_and_its_unknowns() -> None:
    session = only(capture := sample("jest-0.9.1-function-call.log"))
    assert (capture.records, capture.unread, session.recording.complete) == (10, (), True)
    assert session.start == "2026-02-16T05:55:48.510Z"
    assert_count(session, "calls", 1, "observed")
    assert_count(session, "submissions", 1, "observed")
    assert_count(session, "refusals", 0, "observed")
    assert_count(session, "response_creates", 1, "derived")
    assert (session.result_delay_ms, session.gap_ms) == ((2.0,), ())
    assert any("response.done" in each and "unknown" in each for each in session.cannot_say)


def test_one_refused_session_has_its_events_counts_and_outcome() -> None:
    session = only(capture := read_capture(REFUSED))
    recording = session.recording
    assert (capture.name, capture.records, capture.unread) == (REFUSED.name, 23, ())
    assert types(session, HOST) == ["Settings", "InjectUserMessage", "FunctionCallResponse"]
    assert types(session, SENT) == []
    errors = [event for event in recording.on(CAME) if event.type == "error"]
    assert [event.payload["error"]["code"] for event in errors] == [ACTIVE]  # type: ignore[index,call-overload]
    assert errors[0].received_ns == 50_000_000
    assert {event.observed_at for event in recording.events} == {"log"}
    assert (recording.clock, recording.complete, recording.observed) == ("log", True, (HOST, CAME))
    assert recording.provenance["start"] == session.start == "2026-11-22T16:35:41.642Z"
    assert (session.refused_at_ms, session.result_delay_ms, session.gap_ms) == ((50.0,), (7.0,), (150.0,))
    assert_count(session, "refusals", 1, "observed")
    assert_count(session, "session_updates", 1, "derived")
    assert_count(session, "response_creates", 2, "derived")
    assert_count(session, "default_errors", None, "unknown")
    assert (session.outcome, judge(recording).outcome) == ("rejected", "unknown")


# -- interpretation of records -----------------------------------------------------------------------------------------


def test_alternating_records_belong_to_their_connections(path: Path) -> None:
    capture = read(path, [
        opened(0, "c1"), opened(5, "c2"), host(6, "Settings", "c2"), *refused(10, "c1"), closed(11, "c2"), *refused(20, "c2"),
    ])  # fmt: skip
    assert [(each.connection, each.refused_at_ms, each.recording.complete) for each in capture.sessions] == [
        ("c1", (10.0,), False), ("c2", (15.0,), True),
    ]  # fmt: skip
    assert types(capture.sessions[0], HOST) == []


def test_a_connection_name_used_after_a_restart_is_a_new_session(path: Path) -> None:
    capture = read(path, [opened(0), closed(1), opened(50), *refused(60), closed(61)])
    assert [(each.connection, each.refused_at_ms) for each in capture.sessions] == [("c1", ()), ("c1 (2)", (10.0,))]


def test_an_error_logged_alone_is_counted_once(path: Path) -> None:
    session = only(read(path, refused(5)[1:]))
    assert_count(session, "refusals", 1, "at least")
    assert any("Only errors" in each for each in session.cannot_say)
    assert session.recording.observed == ()


def test_a_deferred_text_is_one_message(path: Path) -> None:
    waits = record(1, "InjectUserMessage deferred (waiting for session.updated)", direction="client→upstream")
    session = only(read(path, [
        opened(), host(0, "Settings"), host(1, "InjectUserMessage"), waits, host(2, "InjectUserMessage"), waits,
        came(3, "session.updated"), host(3, "InjectUserMessage"), host(3, "InjectUserMessage"), host(9, "InjectUserMessage"),
    ]))  # fmt: skip
    assert [ns // 10**6 for e in session.recording.on(HOST) if (ns := e.received_ns) is not None] == [0, 1, 2, 9]


def test_the_messages_to_the_api_that_a_log_shows_are_read(path: Path) -> None:
    session = only(read(path, [
        opened(),
        record(1, "session.update sent to upstream (tools=1)"),
        record(2, "input_audio_buffer.append deferred (waiting for session.updated)"),
        record(3, "input_audio_buffer.append"),
        record(4, "input_audio_buffer.commit + response.create"),
        record(5, "FunctionCallResponse from client → function_call_output sent to upstream"),
        record(6, "Required upstream contract violated: …", severity=17, to="contract_violation"),
        closed(7),
    ]))  # fmt: skip
    assert types(session, SENT) == [
        "session.update", "input_audio_buffer.append", "input_audio_buffer.commit", "response.create",
        "conversation.item.create", "response.create",
    ]  # fmt: skip
    assert_count(session, "response_creates", 2, "at least")
    # No release sends session.update without Settings, so records are missing.
    assert_count(session, "session_updates", 1, "at least")
    assert session.recording.observed == (CAME,)  # the log does not contain the host's audio frames


def test_truncated_payloads_are_dropped(path: Path) -> None:
    output = {"id": "i1", "type": "function_call_output", "call_id": "k", "output": '{"error": "x"}'}
    session = only(
        read(path, [opened(), *item(1, output), *item(2, '{"type":"conversation.item.done","item":{"id…'), closed(3)])
    )
    assert [event.payload for event in session.recording.on(CAME) if event.kind == "message"] == [
        {"type": "conversation.item.done", "item": output}, {"type": "conversation.item.done"},
    ]  # fmt: skip
    assert any("1 payloads were cut" in each for each in session.cannot_say)


def test_the_default_error_of_the_component_is_recognised(path: Path) -> None:
    def result(name: str, text: str) -> dict[str, str]:
        return {"id": name, "type": "function_call_output", "call_id": "k", "output": text}

    session = only(capture := read(path, [
        opened(), came(1, "response.function_call_arguments.done"), host(1, "FunctionCallResponse"),
        *item(2, result("a", '{"error":"Handler completed without sending a response"}')),
        host(51, "FunctionCallResponse"), *item(52, result("b", "{}")), came(60, "response.done"), closed(70),
    ]))  # fmt: skip
    assert session.result_delay_ms == (0.0, 50.0)
    # The log has the end of a response without its start, so records are missing.
    assert_count(session, "repeated_results", 1, "at least")
    assert_count(session, "default_errors", 1, "at least")
    assert any("component's own error" in line for line in inspect_lines(capture))


@pytest.mark.parametrize(
    ("calls", "results", "expected"), [(1, 2, (1, "derived")), (2, 3, (1, "at least")), (0, 1, (None, "unknown"))]
)
def test_certainty_of_repeated_results_without_ids(path: Path, calls: int, results: int, expected: tuple[int, str]) -> None:
    called = [came(1, "response.function_call_arguments.done")] * calls
    session = only(read(path, [opened(), *called, *[host(2 + n, "FunctionCallResponse") for n in range(results)], closed(9)]))
    assert_count(session, "repeated_results", *expected)


def test_a_result_is_not_assigned_to_one_of_several_calls(path: Path) -> None:
    called = [came(at, "response.function_call_arguments.done") for at in (10, 20)]
    session = only(read(path, [opened(), *called, host(30, "FunctionCallResponse"), came(90, "response.done"), closed(99)]))
    assert (session.result_delay_ms, session.gap_ms) == ((None,), (70.0,))
    assert any("one of several calls" in each for each in session.cannot_say)


def test_the_text_of_an_error_is_not_read_as_another_record(path: Path) -> None:
    bodies = ["client connected", "upstream closed", "upstream → client", "input_audio_buffer.commit + response.create"]
    errors = [record(i, b, severity=17, direction="upstream→client", code="", message=b) for i, b in enumerate(bodies)]
    session = only(read(path, [opened(), *errors]))
    assert (types(session, CAME), types(session, SENT), session.recording.complete) == (["error"] * 4, [], False)


@pytest.mark.parametrize(("broken", "reason"), [
    ({"spanId": "1"}, "a log record without a usable time"),
    ({**opened(), "timestamp": -5}, "a log record without a usable time"),
    ({**opened(), "body": None}, "a log record without a body"),
    ({**opened(), "attributes": {}}, "a log record without a connection"),
    (record(1, "client → upstream"), "a message without its type"),
    (record(1, "x", direction="upstream→client", message="x"), "an error without its code or direction"),
    (record(1, "something new"), "an unknown kind of record"),
])  # fmt: skip
def test_an_unknown_record_is_counted_and_located(path: Path, broken: dict[str, Any], reason: str) -> None:
    capture = read(path, "npm warn\n" + log_text([opened(), broken, closed(9)]))
    first = 2 + literal(opened()).count("\n") + 1
    assert [(each.line_first, each.line_last, each.reason) for each in capture.unread] == [
        (first, first + literal(broken).count("\n"), reason)
    ]
    assert (capture.records, only(capture).unread_records, only(capture).recording.observed) == (2, 1, ())


def test_a_gap_is_not_measured_to_the_end_of_another_response(path: Path) -> None:
    """Without the end of the response that contains the call, the next end in the log is that of the following response."""
    call, end = came(10, "response.function_call_arguments.done"), came(60, "response.done")
    more = [came(100, "response.created"), came(900, "response.done"), closed(999)]
    assert only(read(path, [opened(), came(1, "response.created"), call, end, *more])).gap_ms == (50.0,)
    assert only(read(path, [opened(), came(1, "response.created"), call, *more])).gap_ms == ()


def test_a_contradiction_after_a_gap_in_the_log_is_not_reported(path: Path) -> None:
    """Other output interrupts the Settings record. The model of every release then lacks Settings."""
    settings = log_text([host(1, "Settings")])
    rest = log_text([record(2, "session.update sent to upstream (tools=1)"), came(3, "session.updated"), closed(9)])
    whole = only(read(path, log_text([opened()]) + settings + rest))
    gap = only(read(path, log_text([opened()]) + settings.replace("\n", "\nGET /health\n", 2) + rest))
    none = only(read(path, log_text([opened()]) + rest))
    assert whole.inference is not None
    assert gap.inference is not None
    assert none.inference is not None
    assert (whole.inference.contradictions, whole.inference.missed) == ((), False)
    assert_count(whole, "session_updates", 1, "observed")
    assert (gap.inference.contradictions, bool(gap.inference.lost)) == ((), True)
    assert any("cannot follow the log at line" in each for each in gap.cannot_say)
    # Without a known gap this is a contradiction, and no count is certain.
    assert (bool(none.inference.contradictions), none.inference.missed) == (True, True)
    for session in (gap, none):
        assert_count(session, "session_updates", 1, "at least")
        assert_count(session, "calls", 0, "at least")


def test_the_nearest_release_is_one_that_the_records_allow() -> None:
    """A log of 0.11.1 lacks one result. The nearest release must be a release with trace ids."""
    lines = gzip.decompress((LOGS / "0.11.1.log.gz").read_bytes()).decode().split("\n{\n")
    gone = next(each for each in lines if "'FunctionCallResponse'" in each and "'c1'" in each)
    lines.remove(gone)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.log").write_text("\n{\n".join(lines))
        told = read_capture(Path(folder) / "a.log").sessions[0].inference
    assert told is not None
    assert told.contradictions
    assert not any(": not 0." in each.what for each in told.contradictions)


def test_times_are_shown_with_their_precision_and_observer(path: Path) -> None:
    call = [came(10, "response.function_call_arguments.done"), host(30, "FunctionCallResponse")]
    lines = [*inspect_lines(read(path, [opened(), *call, closed(99)]))]
    assert "outcome unknown: a function call was seen, but not its response" in lines[1]
    assert "Delay, result after its call, at the proxy: once, 20 ms" in lines
    browser = [*inspect_lines(read_capture(DATA / "devtools-chromium.har"))]
    assert any(each.startswith("Delay, result after its call, in the browser: once, ") for each in browser)
    ours = "\n".join(inspect_lines(read_capture(LOGS / "0.9.1.jsonl.gz")))
    assert " ms" in ours
    assert re.search(r"\.\d{4,} ms", ours) is None  # no capture has a clock with nanosecond resolution


def test_objects_printed_by_other_programs_are_ignored(path: Path) -> None:
    """Under Jest, or in a shared container, the app prints its own objects. An empty object may be the end of a record."""
    capture = read(path, log_text([opened(), {"user": "x", "tags": ["a"]}, {"a": {"body": 1}}, closed(9)]))
    assert (capture.records, capture.unread, only(capture).recording.observed) == (2, (), (HOST, CAME))
    capture = read(path, log_text([opened()]) + "{\n}\n" + log_text([closed(9)]))
    assert [each.reason for each in capture.unread] == ["an empty object"]
    assert only(capture).recording.observed == ()


@pytest.mark.parametrize(
    ("records", "doubt"),
    [
        ([came(1, "error")], "an error whose text is not in the next record"),
        ([came(1, "response.done")], "a response.done without its beginning"),
        ([came(1, "conversation.item.done")], "a conversation.item.done without its beginning"),
        (
            [record(1, "upstream→client: response.function_call_arguments.done → FunctionCallRequest only",
                    to="response.function_call_arguments.done")],
            "a record about a message that is missing",
        ),
    ],
)  # fmt: skip
def test_a_missing_companion_record_is_reported(path: Path, records: list[dict[str, Any]], doubt: str) -> None:
    session = only(read(path, [opened(), *records, closed(9)]))
    assert session.recording.observed == ()
    assert any(doubt in each for each in session.cannot_say)
    assert_count(session, "refusals", 0, "at least")


def test_damage_after_a_closed_connection_does_not_affect_it(path: Path) -> None:
    text = (
        log_text([opened(0, "c1"), closed(1, "c1"), opened(2, "c2")]) + "{\n  body: 'x\n}\n" * 3 + log_text([closed(9, "c2")])
    )
    capture = read(path, text)
    assert [(each.unread_records, each.recording.observed) for each in capture.sessions] == [(0, (HOST, CAME)), (3, ())]
    assert [(each.records, each.line_last - each.line_first + 1) for each in capture.unread] == [(3, 9)]


# -- other log formats -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [
    lambda text: text.replace("\n", "\r\n"),
    lambda text: "".join(f"proxy-1  | {line}\n" for line in text.splitlines()),
    lambda text: "".join(f"[0] {line}\n" for line in text.splitlines()),
    lambda text: "".join(f"2026-11-22T16:35:41.6420000Z {line}\n" for line in text.splitlines()),
    lambda text: "".join(f"web-1 | {{\nproxy-1 | {line}\n" for line in text.splitlines()) + "web-1 | }\n",
    lambda text: text.replace("'c1'", "\x1b[32m'c1'\x1b[39m"),
    lambda text: text.encode("utf-16"),
    lambda text: b"\xef\xbb\xbf" + text.encode(),
])  # fmt: skip
def test_logs_from_shells_and_containers_are_read(path: Path, change: Any) -> None:
    session = read(path, change(REFUSED.read_text("utf-8"))).sessions[0]
    assert (session.refused_at_ms, session.result_delay_ms, session.gap_ms) == ((50.0,), (7.0,), (150.0,))


def test_recordings_are_read(path: Path) -> None:
    played = [play(), play()]
    write_recordings(path, played)
    capture = read_capture(path)
    assert (capture.format, [each.connection for each in capture.sessions]) == (
        "jsonl recording",
        ["recording 1", "recording 2"],
    )
    assert capture.records == sum(len(each.events) for each in played)
    for session, recording in zip(capture.sessions, played, strict=True):
        verdict = judge(recording)
        assert (session.recording, session.outcome) == (recording, verdict.outcome)
        assert session.counts["response_creates"].kind == "observed"
        assert len(session.result_delay_ms) == session.submissions.value
        assert session.session_updates.value == verdict.session_updates
    json.dumps(inspect_json(capture), allow_nan=False)


def test_a_truncated_recording_is_read_up_to_the_cut(path: Path) -> None:
    play().write(path)
    lines = path.read_text().splitlines()
    capture = read(path, "\n".join([*lines[:-1], lines[-2][:9]]))
    assert [(each.line_first, each.reason) for each in capture.unread] == [(len(lines), "a line that is cut before its end")]
    assert not only(capture).recording.complete


# -- files that are not captures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [b"", b" \n\n", b"\x00" * 5000, bytes(range(256)) * 40, b"hello\n", b'{"voicerace_recording":9}\n']
)
def test_a_file_that_is_no_capture_is_one_line(path: Path, data: bytes) -> None:
    with pytest.raises(InputError) as caught:
        read(path, data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["absent", "", "line\nbreak", "nul\0"])
def test_a_file_that_cannot_be_opened_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        read_capture(tmp_path / name)
    assert "\n" not in str(caught.value)


# -- damage ------------------------------------------------------------------------------------------------------------

LINES = REFUSED.read_text("utf-8").splitlines(keepends=True)
FUZZ = settings(max_examples=60)


def one_line(error: InputError) -> None:
    assert str(error).isprintable()


def read_damaged(path: Path, data: bytes) -> Capture | None:
    """Return the capture read from damaged data, or None if it is refused; check that the capture can be shown."""
    path.write_bytes(data)
    try:
        capture = read_capture(path)
    except InputError as caught:
        return one_line(caught)
    json.dumps(inspect_json(capture), allow_nan=False)
    assert all(line.isprintable() for line in inspect_lines(capture))
    for session in capture.sessions:
        assert list(session.recording.lines())
    return capture


@FUZZ
@given(st.integers(0, len("".join(LINES).encode())))
def test_a_log_truncated_at_any_byte_is_read_up_to_the_cut(path: Path, at: int) -> None:
    data = "".join(LINES).encode()[:at]
    capture = read_damaged(path, data)
    whole = data.count(b"\n}\n")  # the last record may lack only its line end
    if capture is not None:
        assert capture.records in (whole, whole + 1)
        assert capture.records + capture.unread_records in (whole, whole + 1)


@FUZZ
@given(st.integers(1, len(LINES) - 1), st.booleans())
def test_a_missing_or_duplicated_line_is_detected_or_harmless(path: Path, at: int, twice: bool) -> None:
    lines = [*LINES[:at], LINES[at], *LINES[at:]] if twice else [*LINES[:at], *LINES[at + 1 :]]
    capture = read_damaged(path, "".join(lines).encode())
    assert capture is not None
    if capture.records == 23:  # the line has no effect: it is a trace id or a repeated closing brace
        assert sum(each.refusals.value or 0 for each in capture.sessions) == 1
    else:
        assert capture.records == 22
        assert 1 <= capture.unread_records <= 2
        assert all(abs(each.line_first - at) < 60 for each in capture.unread)
        assert not any(CAME in each.recording.observed for each in capture.sessions if each.unread_records)


@FUZZ
@given(st.lists(st.tuples(st.integers(0, len("".join(LINES).encode()) - 1), st.integers(0, 255)), max_size=12))
def test_changed_bytes_are_counted_and_never_crash_the_reader(path: Path, flips: list[tuple[int, int]]) -> None:
    data = bytearray("".join(LINES).encode())
    for at, byte in flips:
        data[at] = byte
    capture = read_damaged(path, bytes(data))
    assert capture is not None
    assert capture.records >= 23 - len(flips) * 2
    assert capture.records == 23 or capture.unread_records or len(capture.sessions) > 1 or capture.records > 23


@FUZZ
@given(st.binary(max_size=400), st.sampled_from([b"", b"{\n", b"{\n  body: '", b'{"voicerace_recording":1', b"\xff\xfe"]))
def test_arbitrary_bytes_never_crash_the_reader(path: Path, data: bytes, before: bytes) -> None:
    read_damaged(path, before + data)


@FUZZ
@given(st.data())
def test_a_damaged_recording_never_crashes_the_reader(path: Path, data: st.DataObject) -> None:
    lines = list(play().lines())
    at = data.draw(st.integers(0, len(lines) - 1))
    fields = json.loads(lines[at])
    target = fields.get("json") if isinstance(fields.get("json"), dict) and data.draw(st.booleans()) else fields
    worst = st.sampled_from([[], {}, {"type": []}, None, -1, 10**30, 1e999, "\x1b[2J", True, [{}]])
    target[data.draw(st.sampled_from(sorted(target)))] = data.draw(worst)
    read_damaged(path, "\n".join([*lines[:at], json.dumps(fields), *lines[at + 1 :]]).encode())


def test_memory_is_limited_by_the_size_of_a_record() -> None:
    def found(text: str) -> list[Record | Unread]:
        return list(scan(read_lines(io.StringIO(text, newline="\n"))))

    long, small = "{\n  a: '" + "x" * LINE_LIMIT + "'\n}\n", "{\n  a: 1\n}\n"
    assert found(long + small) == [Unread(1, 2, "a line that is too long"), Record(4, 6, {"a": 1})]
    big = "{\n" + "  a: 1,\n" * (RECORD_LIMIT // 7) + "}\n"
    last = big.count("\n")
    assert found(big + small) == [Unread(1, last, "a record that is too big"), Record(last + 1, last + 3, {"a": 1})]


def test_records_interrupted_by_other_output_are_unread() -> None:
    text = "{\n  a: 1,\nwarning\n  b: 2\n}\n{\n  a: 1\n{\n  a: 1\n}\n}\n  body: 'x',\n  traceId: undefined\n"
    assert list(scan(text.splitlines())) == [
        Unread(1, 5, "other output inside a record"),
        Unread(6, 7, "a record that is cut before its end"),
        Record(8, 10, {"a": 1}),
        Unread(12, 13, "a piece of a record without its beginning"),
    ]


# -- output ------------------------------------------------------------------------------------------------------------


def test_control_characters_of_a_capture_are_escaped(path: Path) -> None:
    evil = "c1\x1b[2J\u202e\ud800" + "x" * 100
    capture = read(path, [opened(0, evil), host(1, "\x1b]0;title\x07", evil), *refused(2, evil), closed(3, evil)])
    lines = inspect_lines(capture)
    assert all(line.isprintable() for line in lines)
    assert len(only(capture).connection) < 80
    assert not any("title" in line or "in progress" in line for line in lines)


def test_the_json_has_the_documented_shape() -> None:
    shown = inspect_json(read_capture(REFUSED))
    assert list(shown) == ["schema", "file", "format", "records", "sessions", "unread", "times"]
    session = shown["sessions"][0]
    assert list(session) == [
        "connection", "release", "release_given", "outcome", "why", "start", "duration_ms", "server_time", "refusals",
        "session_updates", "response_creates", "counts", "result_delay_ms", "gap_ms", "submissions", "unread_records",
        "cannot_say", "refused_at_ms", "release_candidates", "evidence", "contradictions", "session_update_lines", "turns",
        "submitted_twice", "flag_cleared_early", "order",
    ]  # fmt: skip
    for name, value, kind in (
        ("refusals", 1, "observed"), ("submissions", 1, "observed"), ("response_creates", 2, "derived"),
        ("session_updates", 1, "derived"),
    ):  # fmt: skip
        assert session[name] == value
        assert session["counts"][name] == {"value": value, "kind": kind}
    assert (session["release"], session["release_given"]) == (None, False)
    assert session["release_candidates"] == ["0.9.0", "0.9.1", "0.9.2", "0.9.3"]
    assert [(each["outcome"], each["response_creates"], each["lines"]) for each in session["turns"]] == [
        ("rejected", 1, (263, 309, 378))
    ]
    assert (session["duration_ms"], session["refused_at_ms"], session["unread_records"]) == (1209.0, [50.0], 0)


def test_the_lines_have_the_refusal_its_time_and_the_unknowns(path: Path) -> None:
    text = "\n".join(inspect_lines(read(path, "".join(LINES[:-1]))))
    for part in ("1 refusal, at 50 ms", "2026-11-22T16:35:41.642Z", "outcome unknown", "response.create", "lines 495 to 517"):
        assert part in text, part


# -- JavaScript literals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "value"), [
    ("{}", {}), ("[]", []), ("{ a: [ 1, -2, 1.5, 1e+21 ], 'b-c': null }", {"a": [1, -2, 1.5, 1e21], "b-c": None}),
    ("{ a: undefined, b: [Object] }", {"a": NoValue.UNDEFINED, "b": NoValue.ELIDED}),
    ("[ 1, ... 3 more items ]", [1, NoValue.ELIDED]),
    ("""{ a: "it's", b: `"it's"`, c: 'a\\'"`' }""", {"a": "it's", "b": "\"it's\"", "c": "a'\"`"}),
    ("{ a: 'one\\n' +\n    `it's \"two\"` }", {"a": "one\nit's \"two\""}),
    (r"'\x1B\x85\ud800\\n'", "\x1b\x85\ud800\\n"), ("'a'... 12 more characters", "a"), ("-Infinity", float("-inf")),
])  # fmt: skip
def test_literals_of_node_are_parsed(text: str, value: Any) -> None:
    assert parse_literal(text) == value


def test_a_truncated_text_is_marked_as_cut() -> None:
    cut = parse_literal("'a\\n' +\n  'b'... 12 more characters")
    assert isinstance(cut, CutText)
    assert (cut, cut.missing) == ("a\nb", 12)


@pytest.mark.parametrize("text", [
    "", "{", "{ a }", "{ a: }", "{ a: 1 b: 2 }", "{ a: 1, a: 2 }", "{ a: 1, }", "'a", "'a' +", "'\\q'", "[ 1", "{} {}", "10n",
    "Symbol(x)", "1970-01-01T00:00:00.000Z", "Map(1) { 1 => 2 }", "<ref *1> {}", "[Function: f]", "[" * 5000, "{ 'a: 1 }", "١",
])  # fmt: skip
def test_invalid_literals_are_refused(text: str) -> None:
    with pytest.raises(LiteralError) as caught:
        parse_literal(text)
    assert caught.value.offset <= len(text)


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on this machine")
def test_output_of_node_is_parsed() -> None:
    texts = [
        "it's\n",
        'say "it\'s"\nand `more` of it, long enough to be split\n',
        "\x00\x1b\x7f\x85\u2028é💬\\",
        "",
        "`${x}'\"",
    ]
    values = {"texts": texts, "a-b": {"n": -1.5, "deep": {"x": [1, True, None]}}, "long": "line\n" * 30, "né": 1}
    script = f"console.dir({json.dumps(values)}, {{depth: 3}})"
    printed = subprocess.run(["node", "-e", script], capture_output=True, check=True).stdout.decode()
    assert [each.fields for each in scan(printed.split("\n")) if isinstance(each, Record)] == [values]


def test_the_recording_of_a_log_can_be_written_and_read(path: Path) -> None:
    recording = only(read_capture(REFUSED)).recording
    recording.write(path)
    again = only(read_capture(path))
    assert Recording.read(path) == recording
    assert (again.connection, again.refused_at_ms, again.gap_ms, again.duration_ms) == ("c1", (50.0,), (150.0,), 1209.0)
