"""Test proxy logs that were wrapped by a log collector, exported as OTLP, or written at a higher log level."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from support.collectors import WRAPPERS, docker, otlp, otlp_document

from voicerace.analysis.verdict import judge
from voicerace.captures import Capture, inspect_json, read_capture
from voicerace.captures.copies import redacted
from voicerace.captures.log_scanner import Record, scan
from voicerace.errors import InputError
from voicerace.trace.recording import Link, read_recordings

LOGS = Path(__file__).parents[1] / "data" / "logs"
TAGS = ("0.9.4", "0.11.1")


def lines_of(tag: str) -> list[str]:
    return gzip.decompress((LOGS / f"{tag}.log.gz").read_bytes()).decode().splitlines()


def records_of(lines: Iterable[str]) -> list[Record]:
    return [each for each in scan(lines) if isinstance(each, Record)]


def summary(capture: Capture) -> list[Any]:
    return [
        (
            of.connection,
            of.outcome,
            of.inference.candidates if of.inference else (),
            of.response_creates,
            of.refusals,
            of.gap_ms,
        )
        for of in capture.sessions
    ]


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.long
def test_a_log_from_a_collector_is_read_like_the_original(tmp_path: Path, tag: str, name: str) -> None:
    path = tmp_path / "proxy.log"
    # Each line is followed by a line of another container. The braces in that line must be ignored.
    other = WRAPPERS[name]("x").replace("proxy-1", "web-1").replace('"42"', '"7"')
    path.write_text("".join(f"{WRAPPERS[name](line)}\n{other if 'web-1' in other else ''}\n" for line in lines_of(tag)))
    capture = read_capture(path)
    assert capture.unread == ()
    assert summary(capture) == summary(read_capture(LOGS / f"{tag}.log.gz"))


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("shape", ["batches", "one a line", "one pretty file"])
def test_otlp_is_read_like_the_log(tmp_path: Path, tag: str, shape: str) -> None:
    records = [otlp(each, name=shape == "batches") for each in records_of(lines_of(tag))]
    size = {"batches": 50, "one a line": 1, "one pretty file": len(records)}[shape]
    batches = [records[at : at + size] for at in range(0, len(records), size)]
    documents = [otlp_document(each) for each in batches]
    path = tmp_path / "logs.json"
    path.write_text("\n".join(json.dumps(each, indent=1 if shape == "one pretty file" else None) for each in documents))
    capture = read_capture(path)
    assert (capture.records, capture.unread) == (len(records), ())
    expected = summary(read_capture(LOGS / f"{tag}.log.gz"))
    # OTLP omits undefined trace ids, so the set of candidate releases may be larger.
    for exported, logged in zip(summary(capture), expected, strict=True):
        assert (exported[0], exported[1], *exported[3:]) == (logged[0], logged[1], *logged[3:])
        assert set(exported[2]) >= set(logged[2])


def one_a_line(tag: str) -> list[str]:
    records = [otlp(each) for each in records_of(lines_of(tag))]
    return [json.dumps(otlp_document([each])) for each in records]


def test_otlp_records_of_other_programs_are_ignored(tmp_path: Path) -> None:
    other = {"timeUnixNano": "1795563808934026000", "severityNumber": 9, "body": {"stringValue": "up"}}
    more = {**other, "attributes": [{"key": "http.route", "value": {"stringValue": "/"}}]}
    line = json.dumps(otlp_document([other, more]))
    path = tmp_path / "logs.json"
    path.write_text("".join(f"{each}\n{line}\nGET / 200\n" for each in one_a_line("0.11.1")))
    capture = read_capture(path)
    assert capture.unread == ()
    assert [each[:2] for each in summary(capture)] == [each[:2] for each in summary(read_capture(LOGS / "0.11.1.log.gz"))]


@pytest.mark.parametrize("shape", ["otlp", "docker", "redacted"])
def test_a_truncated_line_of_json_is_reported(tmp_path: Path, shape: str) -> None:
    """The truncated line is the last line or one in the middle of the file."""
    lines = {
        "otlp": lambda: one_a_line("0.9.4"),
        "docker": lambda: [docker(each) for each in lines_of("0.9.4")],
        "redacted": lambda: [*redacted(LOGS / "0.9.4.log.gz")],
    }[shape]()
    path = tmp_path / "logs.json"
    for number in (len(lines) // 2, len(lines) - 1):
        left = [*lines[:number], lines[number][: len(lines[number]) * 2 // 3], *lines[number + 1 :]]
        path.write_text("\n".join(left))
        capture = read_capture(path)
        reasons = [(each.line_first, each.reason) for each in capture.unread]
        assert (number + 1, "a line of JSON that is cut or damaged") in reasons
        if number < len(lines) - 1:
            assert all(count.kind in ("at least", "unknown") for of in capture.sessions for count in of.counts.values())


@pytest.mark.parametrize("tag", ["0.9.1", "0.10.5", "0.11.1"])
@pytest.mark.parametrize("least", [13, 17])
def test_a_log_at_a_higher_level_has_no_certain_count(tmp_path: Path, tag: str, least: int) -> None:
    lines = lines_of(tag)
    kept = [each for each in records_of(lines) if int(str(each.fields["severityNumber"])) >= least]
    path = tmp_path / "proxy.log"
    path.write_text("quiet\n" + "".join("\n".join(lines[e.line_first - 1 : e.line_last]) + "\n" for e in kept))
    if not kept:
        with pytest.raises(ValueError, match="no log record"):
            read_capture(path)
        return
    for of in read_capture(path).sessions:
        assert of.outcome == "unknown"
        assert {count.kind for count in of.counts.values()} <= {"at least", "unknown"}


def test_a_docker_log_with_a_long_first_line_is_not_a_har(tmp_path: Path) -> None:
    path = tmp_path / "proxy.log"
    path.write_text("".join(docker(line) + "\n" for line in ["x" * 500, *lines_of("0.9.4")]))
    assert read_capture(path).format == "console log"


def test_lines_of_other_json_are_no_records() -> None:
    lines = [
        '{"level":"info","msg":"up"}',
        '{"a":1}',
        "{}",
        '{"message":"{"}',
        '{"message":"}"}',
        '{"log":{"x":1}}',
        "{broken",
        "[1]",
    ]
    assert [each for each in scan(lines) if isinstance(each, Record) and each.fields] == []


LEVELS = sorted(path.name.removesuffix(".log.gz") for path in (LOGS / "levels").glob("*.log.gz"))


@pytest.mark.parametrize("name", [each for each in LEVELS if each.endswith("-info")])
def test_a_real_log_at_level_info_agrees_with_the_wire(name: str) -> None:
    """The logged proxies served two concurrent sessions, with one and two results. Their sockets were recorded as well."""
    sent, came = Link("proxy", "upstream"), Link("upstream", "proxy")
    capture, wire = read_capture(LOGS / "levels" / f"{name}.log.gz"), read_recordings(LOGS / "levels" / f"{name}.jsonl.gz")
    assert len(capture.sessions) == len(wire) == 2
    for session in capture.sessions:
        types = [event.type for event in session.recording.on(came) if event.kind == "message"]
        passed = next(each for each in wire if types == [e.type for e in each.on(came) if e.kind == "message" and e.arrived])
        creates = [e for e in passed.on(sent) if e.type == "response.create" and e.arrived]
        assert (session.response_creates.value, session.response_creates.kind) == (len(creates), "derived")
        assert (session.refusals.value, session.refusals.kind) == (sum(t.refusals for t in judge(passed).turns), "observed")
        assert session.session_updates.value == 1
        assert session.outcome == judge(passed).outcome


@pytest.mark.parametrize(("name", "refusals"), [
    ("0.9.1-error", [1, 2]), ("0.10.2-warn", [1, 2]), ("0.11.1-warn", [0, 0]), ("0.9.1-unset", None), ("0.11.1-error", None),
])  # fmt: skip
def test_a_real_log_at_a_higher_level_has_refusals_only(name: str, refusals: list[int] | None) -> None:
    """Up to 0.10.2 a refusal is logged as an error; later releases do not log it. Without LOG_LEVEL the log is empty."""
    path = LOGS / "levels" / f"{name}.log.gz"
    if refusals is None:
        with pytest.raises(InputError, match="LOG_LEVEL is not set"):
            read_capture(path)
        return
    capture = read_capture(path)
    assert [(of.refusals.value, of.refusals.kind) for of in capture.sessions] == [(each, "at least") for each in refusals]
    for of, shown in zip(capture.sessions, inspect_json(capture)["sessions"], strict=True):
        assert of.outcome == "unknown"
        assert shown["contradictions"] == []  # records omitted by the log level are not a contradiction
        assert shown["response_creates"] is None
        assert any("Only errors are logged" in each for each in of.cannot_say)


@pytest.mark.parametrize("value", ["--5", "\u00b2", "9" * 5_000, "-", "", "5.0", "\u0663", None, True, [], 10**30])
@pytest.mark.parametrize("where", ["intValue", "timeUnixNano", "severityNumber"])
@pytest.mark.long
def test_invalid_integers_in_otlp_do_not_stop_the_reader(tmp_path: Path, where: str, value: Any) -> None:
    records = [otlp(each) for each in records_of(lines_of("0.9.4"))]
    if where == "intValue":
        records[5]["attributes"].append({"key": "x", "value": {"intValue": value}})
    else:
        records[5][where] = value
    path = tmp_path / "logs.json"
    path.write_text("".join(json.dumps(otlp_document([each])) + "\n" for each in records), "utf-8")
    capture = read_capture(path)
    # The attribute is ignored. The record without a time is counted, and its line is reported.
    assert [each.line_first for each in capture.unread] == ([6] if where == "timeUnixNano" else [])
    assert capture.records == len(records) - len(capture.unread)
