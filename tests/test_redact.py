"""Test that a redacted copy contains only allowed values and is read like the original."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.planted import FORMATS, Markers, message, write

from voicerace.captures import Capture, inspect_json, read_capture
from voicerace.captures.allowed import is_time_text, known_note, known_reason, without_fault
from voicerace.captures.copies import FORMATS as EXPORTS
from voicerace.captures.copies import exported, redacted
from voicerace.captures.known_fields import FIELDS, SERVER_TYPES, known_close, known_type
from voicerace.captures.log_records import RECORDS
from voicerace.captures.log_scanner import Unread, scan
from voicerace.captures.redact import NOT_READ, Redactor
from voicerace.cli import main
from voicerace.report.capture_view import order_rows, session_rows
from voicerace.report.context import LetterParameters, ReportContext
from voicerace.report.letter import capture_section

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "sample-run"
FILES = [
    *sorted((ROOT / "data" / "logs").rglob("*.gz")),
    *sorted((ROOT / "tests" / "data").glob("*.log")),
    *sorted((ROOT / "tests" / "data").glob("*.har")),
]
#: Names of logs without a message record. Neither these logs nor their copies are captures.
EMPTY = ("0.9.1-unset.log.gz", "0.11.1-error.log.gz")


def inspected(capture: Capture) -> Any:
    """Return the output of `inspect --json` without connection names and line numbers."""
    found = inspect_json(capture)
    found["unread"] = sum(each["records"] for each in found["unread"])
    found.pop("file")
    return _without_places(found)


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        places = ("connection", "line", "lines", "done_line", "session_update_lines")
        return {name: _without_places(each) for name, each in value.items() if name not in places}
    return [_without_places(each) for each in value] if isinstance(value, list) else value


def copy_of(path: Path, to: Path, *, keep_text: bool = False) -> Path:
    to.write_text("".join(f"{line}\n" for line in redacted(path, keep_text=keep_text)), "utf-8")
    return to


@pytest.mark.parametrize("path", [each for each in FILES if each.name not in EMPTY], ids=lambda path: path.name)
@pytest.mark.long
def test_a_copy_is_inspected_with_the_same_result(path: Path, tmp_path: Path) -> None:
    original = inspected(read_capture(path))
    assert original["sessions"]
    assert inspected(read_capture(copy_of(path, tmp_path / "copy"))) == original
    assert inspected(read_capture(copy_of(path, tmp_path / "with-text", keep_text=True))) == original


@pytest.mark.parametrize("name", ["0.9.4.log.gz", "0.11.1.log.gz"])
def test_a_copy_of_a_damaged_log_has_the_uncertainty_of_the_log(name: str, tmp_path: Path) -> None:
    lines = gzip.decompress((ROOT / "data" / "logs" / name).read_bytes()).decode().splitlines()
    bodies = [number for number, line in enumerate(lines) if line.startswith("  body: ")]
    for number in (bodies[len(bodies) // 2], bodies[-1]):
        damaged = tmp_path / "damaged.log"
        damaged.write_text("\n".join([*lines[:number], "  body: 'open", *lines[number + 1 :]]))
        original = inspected(read_capture(damaged))
        assert original["unread"] > 0
        copied = inspected(read_capture(copy_of(damaged, tmp_path / "copy")))
        for of, other in zip(original["sessions"], copied["sessions"], strict=True):
            assert (of["outcome"], of["counts"], of["gap_ms"]) == (other["outcome"], other["counts"], other["gap_ms"])
        assert copied["unread"] == original["unread"]


def test_longer_prefixes_of_a_body_are_matched_before_shorter_ones() -> None:
    begins = [row.prefix for row in RECORDS if not row.exact]
    for number, begin in enumerate(begins):
        assert not any(begin.startswith(before) for before in begins[:number])


def test_an_unread_record_is_one_unread_record_of_the_copy() -> None:
    assert list(scan([NOT_READ])) == [Unread(1, 1, "a line of JSON that is cut or damaged")]


_KINDS = st.lists(st.sampled_from(sorted(FIELDS)), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    to=st.sampled_from(sorted(FORMATS)),
    kinds=_KINDS,
    strange=st.booleans(),
    word=st.sampled_from(
        ["qmarker{}x", "qword{}", "q_key_{}_z", "q{}.Name", "qmail{}@example.org", '{{"q": "k{}v"}}', "Q {} street"]
    ),
    number=st.sampled_from([733_100_000, 19_840_317_000, 4_915_551_234_000, 70_012_345]),
)
@pytest.mark.long
def test_no_marker_of_any_message_field_is_in_a_copy(
    tmp_path: Path, to: str, kinds: list[str], strange: bool, word: str, number: int
) -> None:
    markers = Markers(word, number)
    path = write(to, tmp_path / "a", kinds, markers, strange=strange)
    text = "\n".join(redacted(path))
    assert read_capture(path).records > len(kinds)
    escaped = text.replace("\\", "")
    assert [each for each in markers.given if each in text or each in escaped] == []


@pytest.mark.parametrize("kind", sorted(FIELDS))
@pytest.mark.parametrize("strange", [False, True])
def test_no_marker_of_any_message_field_remains(kind: str, strange: bool) -> None:
    markers = Markers()
    given = message(kind, markers, strange=strange)
    copied = Redactor().message(given)
    assert copied["type"] == kind
    assert len(copied) == len(given)
    assert markers.left_in(json.dumps(copied)) == []


def test_none_of_125_markers_is_in_a_copy_a_report_or_an_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The markers of each format are counted once. Every output is searched for all of them."""
    planted = 0
    left: list[str] = []
    kinds = ["Settings", "FunctionCallRequest", "error", "response.done", "conversation.item.done", "conversation.item.added"]
    for to in FORMATS:
        markers = Markers()
        path = write(to, tmp_path / f"a.{to}", kinds, markers)
        planted += len(markers.given)
        assert len(markers.given) >= 125
        outputs = {"redact": "\n".join(redacted(path)), "report": report_of(path)}
        capture = read_capture(path)
        assert capture.records > 2 * len(kinds)
        for each in EXPORTS:
            outputs[each] = exported(capture, each)
        assert all(outputs.values())
        left += [f"{to}: {each} in {name}" for name, text in outputs.items() for each in markers.left_in(text)]
    with capsys.disabled():
        print(f"\n{planted} markers planted in {len(FORMATS)} formats, {len(left)} left after redact, report and export")
    assert left == []


def report_of(path: Path) -> str:
    """Return the text of a report's capture section and of the notebook tables of a capture."""
    material = ReportContext.of(LetterParameters(run=str(SAMPLE), release="0.9.4", capture=str(path)))
    assert material.capture is not None
    frames = [
        session_rows(material.capture),
        *(order_rows(material.capture, n + 1) for n in range(len(material.capture.sessions))),
    ]
    return "\n".join(_shown(each) for each in (*capture_section.blocks(material), *frames))


def _shown(value: Any) -> str:
    if isinstance(value, pd.DataFrame):
        return value.to_csv()
    if dataclasses.is_dataclass(value):
        return "\n".join(_shown(getattr(value, each.name)) for each in dataclasses.fields(value))
    return "\n".join(map(_shown, value)) if isinstance(value, (list, tuple)) else str(value)


# -- values that are kept --------------------------------------------------------------------------------------------


def test_an_id_has_the_same_token_everywhere() -> None:
    by = Redactor()
    done = by.message(
        {"type": "response.done", "response": {"id": "resp_1", "output": [{"type": "function_call", "call_id": "call_1"}]}}
    )
    answer = by.message({"type": "FunctionCallResponse", "id": "call_1", "content": "{}"})
    refused = by.message(
        {"type": "error", "error": {"message": "Conversation already has an active response in progress: resp_1. Wait."}}
    )
    assert done["response"]["output"][0]["call_id"] == answer["id"] == by.name("call_1")
    assert done["response"]["id"] == by.name("resp_1")
    assert by.name("resp_1") in refused["error"]["message"]
    assert Redactor().name("resp_1") != by.name("resp_1")


@pytest.mark.parametrize(
    ("field", "kept", "gone"),
    [
        ("output_index", 3, 19840317),
        ("content_index", 0, 4711),
        ("response_id", None, "jane"),
        ("type", "response.output_text.done", "jane.doe"),
    ],
)
def test_a_field_keeps_its_known_values_only(field: str, kept: object, gone: object) -> None:
    by = Redactor()
    assert by.message({"type": "response.output_text.done", field: kept})[field] == kept
    assert str(gone) not in json.dumps(by.message({"type": "response.output_text.done", field: gone}))


def test_unknown_codes_keep_the_prefix_that_decides_which_request_they_answer() -> None:
    by = Redactor()
    assert by.code("conversation_already_has_active_response") == "conversation_already_has_active_response"
    assert by.code("session_jane").startswith("session_#")
    assert "jane" not in by.code("session_jane") + by.code("jane")
    assert known_type("jane") == "(unknown type)"
    assert (known_close(1000), known_close(4711), known_close(3456), known_close(10**9), known_close("1000")) == (
        1000, 4000, 3999, None, None,
    )  # fmt: skip
    assert "error" in SERVER_TYPES


@pytest.mark.parametrize("text", ["50", "50,80", "0:400:10", "uniform(20, 80)", "uniform(20,80)", "lognormal(4,0.5)", 1000])
def test_times_of_a_session_are_kept(text: object) -> None:
    assert is_time_text(text)


@pytest.mark.parametrize(
    "text", ["jane", "@/srv/jane/gap.csv", "19840317", "0.19840317", "uniform(1,4915551)", "normal(1,2)", True, None, 19840317]
)
def test_other_values_are_not_kept_as_times(text: object) -> None:
    assert not is_time_text(text)


def test_a_default_error_with_a_duplicate_key_is_rewritten() -> None:
    own = '{"error": "Jane", "error": "Handler completed without sending a response"}'
    assert Redactor().text(own) == '{"error":"Handler completed without sending a response"}'


def test_known_notes_and_reasons_are_kept_and_others_removed() -> None:
    assert known_reason("proxy dropped the connection without closing it (1006)").startswith("proxy dropped")
    assert "Jane" not in known_reason("Jane dropped the connection") + known_note("Jane")
    assert "4711" not in known_note("line 4711 was cut after 99 characters and is dropped")
    assert without_fault("no function call: Jane", "Jane") == "no function call: a fault whose reason is not shown"
    assert without_fault("no function call", None) == "no function call"


# -- secrets in kept texts -------------------------------------------------------------------------------------------


def test_secrets_are_removed_from_a_copy_that_keeps_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYMENT_KEY_PROD", "zebra-crossing-77")
    secrets = (
        "zebra-crossing-77 sk-abcdefghijkl jane@example.org 10.1.2.3 +49 151 555 1234 or (555) 010-2345 AKIAABCDEFGHIJKLMNOP é"
    )
    path = write("jsonl", tmp_path / "a.jsonl", ["InjectUserMessage"], Markers(secrets + " qmarker{}"))
    text = "\n".join(redacted(path, keep_text=True))
    assert "qmarker" in text
    assert [each for each in secrets.split()[:-1] if each in text and len(each) > 4] == []
    assert read_capture(copy_of(path, tmp_path / "copy", keep_text=True)).sessions


def test_the_environments_key_is_in_no_code_or_type_of_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "plainword_key_of_ours")
    markers = Markers("plainword_key_of_ours")
    for to in FORMATS:
        path = write(to, tmp_path / f"a.{to}", ["error", "Settings"], markers)
        assert main(["redact", str(path)]) == 0
        out = capsys.readouterr().out
        assert out
        assert "plainword" not in out
