"""Test redacted copies, exports and comparisons of captures: a copy has no private text and the same counts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.played import play
from test_har import frames, har

from voicerace.captures import Capture, inspect_json, read_capture
from voicerace.captures.allowed import PROVENANCE
from voicerace.captures.compare import compare_captures, partly_kept
from voicerace.captures.copies import exported, redacted
from voicerace.captures.redact import Redactor, redacted_har
from voicerace.cli import main
from voicerace.errors import InputError
from voicerace.model.protocol.results import PLACEHOLDERS, placeholder_in
from voicerace.trace.recording import read_recordings, write_recordings

LOGS = Path(__file__).parents[1] / "data" / "logs"
TAGS = ("0.9.1", "0.10.5", "0.11.1")


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)
    elif isinstance(value, str):
        yield value
        try:
            inner = json.loads(value)
        except ValueError:
            return
        if isinstance(inner, (dict, list)):
            yield from strings(inner)


def private_texts(tag: str) -> set[str]:
    """Return every text and id of the sessions. A redacted copy must contain none of them."""
    private: set[str] = set()
    for recording in read_recordings(LOGS / f"{tag}.jsonl.gz"):
        for event in recording.events:
            if isinstance(event.payload, dict):
                private |= {text for text in strings(event.payload) if " " in text or "_0" in text}
    return {text for text in private if len(text) >= 6 and "active response" not in text}


def facts(capture: Capture) -> list[Any]:
    names = ("refusals", "response_creates", "session_updates", "default_errors", "repeated_results")
    return [
        (
            of.outcome,
            [of.counts[name] for name in names],
            (of.result_delay_ms, of.gap_ms, of.release),
            [(each.results, each.by) for each in of.answers.submissions],
        )
        for of in capture.sessions
    ]


@pytest.mark.parametrize("name", [f"{tag}{end}" for tag in TAGS for end in (".log.gz", ".jsonl.gz")])
def test_a_redacted_copy_has_the_same_counts_and_no_text(tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy.txt"
    copy.write_text("".join(f"{line}\n" for line in redacted(LOGS / name)), "utf-8")
    assert facts(read_capture(copy)) == facts(read_capture(LOGS / name))
    text = copy.read_text("utf-8")
    private = private_texts(name.split(".log")[0].split(".jsonl")[0])
    assert len(private) > 20
    # A replacement id can start with a removed id, followed by hexadecimal digits.
    assert [each for each in private if re.search(re.escape(each) + "(?![0-9a-f])", text)] == []


def test_a_redacted_har_keeps_only_its_frames(tmp_path: Path) -> None:
    played = play(release="0.9.1", handler="async_ref", tool_ms=50)
    path = har(tmp_path / "a.har", frames(played, "s"))
    copy = tmp_path / "b.har"
    copy.write_text("\n".join(redacted(path)))
    assert facts(read_capture(copy)) == facts(read_capture(path))
    text = copy.read_text()
    assert not [word for word in ("s3cret", "Cookie", "proxy.example", "Lisbon", "call_0001") if word in text]
    assert "Lisbon" in "\n".join(redacted(path, keep_text=True))
    assert "s3cret" not in "\n".join(redacted(path, keep_text=True))


def test_replaced_names_are_stable_within_a_file_and_differ_between_files() -> None:
    one, other = Redactor(), Redactor()
    assert one.name("call_1") == one.name("call_1") != one.name("call_2")
    assert one.name("call_1") != other.name("call_1")
    assert one.text("hello there") == one.text("hello there") != other.text("hello there")
    think = {"functions": [{"name": "pay", "parameters": {"type": "object", "properties": {"card_no": {"type": "string"}}}}]}
    copied = one.message({"type": "Settings", "agent": {"think": think}})
    assert not [word for word in ("pay", "card_no") if word in json.dumps(copied)]
    assert one.message({"type": "my dog's name"})["type"] != "my dog's name"


def test_keys_and_numbers_of_an_object_result_are_redacted() -> None:
    by = Redactor()
    result = {"type": "resolved", "id": "call_1", "value": {"id": "call_1", "result": {"balance_eur": 4711, "open": True}}}
    copied = by.message(result)
    assert (copied["id"], copied["value"]["id"]) == (by.name("call_1"), by.name("call_1"))
    for given in (result, {"arguments": {"iban": [12345678]}}, {"metadata": {"customer": 99}}, {"result": [4711]}):
        assert not re.search(r"4711|balance|iban|12345678|customer|99\b|open|rue", json.dumps(by.message(given)))
    assert by.message({"result": {"a": 1}}) == by.message({"result": {"a": 1}}) != by.message({"result": {"a": 2}})
    own = {"type": "resolved", "value": {"id": "call_1", "result": {"error": "Handler completed without sending a response"}}}
    assert by.message(own)["value"]["result"] == own["value"]["result"]


def test_paths_addresses_and_model_names_are_redacted() -> None:
    by = Redactor()
    given = {
        "profile": "unknown_service:/srv/alice/bin/node", "proxy": "ws://10.0.0.7:8080", "component": "ft:gpt-4o:acme::9x",
        "source": "C:\\Users\\alice/x", "upstream": "wss://eu.acme.example/v1", "alice": 8080,
    }  # fmt: skip
    assert not re.search(r"alice|10\.0|acme|8080", json.dumps(by.fields(given, PROVENANCE)))
    kept = {"profile": "loopback", "proxy": "backend:0.9.1", "upstream": "mock", "release": "0.9.1", "knobs": {}}
    assert by.fields(kept, PROVENANCE) == kept
    # A verdict needs the times of a run. File names are removed.
    times = {"times": {"deadline_ms": "1000", "tool_ms": "uniform(20, 80)", "gap_ms": "@/srv/alice/gap.csv"}}
    copied = by.fields(times, PROVENANCE)["times"]
    assert (copied["deadline_ms"], copied["tool_ms"]) == ("1000", "uniform(20, 80)")
    assert "alice" not in copied["gap_ms"]


@pytest.mark.parametrize("tag", TAGS)
def test_an_exported_session_is_complete_and_has_no_texts(tag: str) -> None:
    capture = read_capture(LOGS / f"{tag}.log.gz")
    trace = json.loads(exported(capture, "perfetto"))["traceEvents"]
    messages = [each for each in trace if each["ph"] == "X" and "cat" in each]
    assert len(messages) == sum(e.arrived for e in capture.sessions[0].completed.events)
    slots = [each for each in trace if each["ph"] == "X" and "cat" not in each]
    assert len(slots) == capture.sessions[0].counts["responses"].value
    assert all(each["ts"] >= 0 and each["dur"] >= 0 for each in messages + slots)
    diagram = exported(capture, "mermaid")
    assert diagram.startswith("sequenceDiagram\n")
    assert diagram.count("response.create\n") == capture.sessions[0].response_creates.value
    assert "Lisbon" not in diagram + json.dumps(trace)


@pytest.mark.parametrize("tag", ["0.9.1", "0.11.1"])
def test_slices_of_one_row_of_a_trace_do_not_overlap(tag: str) -> None:
    """Perfetto drops a slice that starts within another slice of its row and ends after it."""
    capture = read_capture(LOGS / f"{tag}.jsonl.gz")
    for number in (1, 2, 3):
        trace = json.loads(exported(capture, "perfetto", number))["traceEvents"]
        named = {each["tid"] for each in trace if each["ph"] == "M"}
        slices = sorted((each for each in trace if each["ph"] == "X"), key=lambda each: each["ts"])
        ends: dict[int, int] = {}
        for each in slices:
            start = round(each["ts"] * 1000)
            assert ends.get(each["tid"], 0) <= start
            ends[each["tid"]] = start + round(each["dur"] * 1000)
        assert set(ends) <= named
        assert max(ends) == 6000
        assert len(ends) > 6  # some messages of this recording overlap


def test_exports_and_copies_refuse_invalid_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = read_capture(LOGS / "0.9.1.log.gz")
    for to, session in (("svg", 1), ("mermaid", 4), ("mermaid", 0)):
        with pytest.raises(InputError):
            exported(capture, to, session)
    there = tmp_path / "there"
    there.write_text("x")
    for args in (["redact", str(there)], ["redact", str(LOGS / "0.9.1.log.gz"), "--out", str(there)], ["compare", "x", "y"]):
        assert main(args) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert there.read_text() == "x"


def test_redact_prints_the_number_of_sessions_and_messages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture, copy = tmp_path / "capture.jsonl", tmp_path / "copy.jsonl"
    recordings = [play(release="0.9.1", tool_ms=tool_ms) for tool_ms in (50, 250)]
    write_recordings(capture, recordings)
    assert main(["redact", str(capture), "--out", str(copy)]) == 0
    messages = sum(event.kind == "message" for each in recordings for event in each.events)
    assert capsys.readouterr().out == f"wrote {copy}; sessions: 2, messages: {messages}\n"
    assert main(["redact", str(capture), "--out", "/dev/stdout"]) == 0
    assert "wrote" not in capsys.readouterr().out


def test_a_comparison_has_differences_with_intervals(tmp_path: Path) -> None:
    for name, tool_ms in (("a", 50), ("b", 250)):
        write_recordings(tmp_path / f"{name}.jsonl", [play(release="0.9.1", tool_ms=tool_ms) for _ in range(10)])
    found = compare_captures(read_capture(tmp_path / "a.jsonl"), read_capture(tmp_path / "b.jsonl"))
    rows = {row["what"]: row for row in found["shares"]}
    assert (rows["outcome rejected"]["a"], rows["outcome rejected"]["b"]) == (10, 0)
    assert (rows["a refusal"]["difference"], rows["a refusal"]["high"] < 0) == (-1.0, True)
    assert found["times"]["result_delay_ms"]["a"]["median"] == 50
    same = compare_captures(read_capture(tmp_path / "a.jsonl"), read_capture(tmp_path / "a.jsonl"))
    assert all(row["low"] <= 0 <= row["high"] for row in same["shares"])


def test_a_run_that_kept_some_recordings_is_counted_from_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad sessions are stored first, so the shares in the stored recordings differ from the shares in the run."""
    for name, keep in (("all", 200), ("some", 5)):
        arguments = ["sweep", "--releases", "0.9.1", "--tool-ms", "0:300:20", "--gap-ms", "150", "--keep", str(keep)]
        assert main([*arguments, "--out", str(tmp_path / name)]) == 0
    assert partly_kept(tmp_path / "all") is None
    assert len([*(tmp_path / "some" / "recordings").iterdir()]) < 16
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "all"), str(tmp_path / "some"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["a"]["sessions"] == found["b"]["sessions"] == 16
    assert found["shares"]
    for row in found["shares"]:
        assert (row["a"], row["of_a"]) == (row["b"], row["of_b"])
    assert {row["what"] for row in found["shares"]} >= {"outcome rejected", "outcome answered", "a refusal"}
    assert found["times"]["gap_ms"]["b"]["count"] == 0
    assert main(["inspect", str(tmp_path / "some")]) == 0
    assert " of 16 trials: bad sessions are kept before others" in capsys.readouterr().out
    settings = tmp_path / "some" / "run.json"
    settings.write_text(json.dumps(json.loads(settings.read_text("utf-8")) | {"end": None, "complete": False}), "utf-8")
    assert main(["inspect", str(tmp_path / "some")]) == 0, "the state after a killed sweep"
    assert "The run has not ended" in capsys.readouterr().out


def test_a_comparison_names_every_release_that_fits_a_log() -> None:
    found = compare_captures(read_capture(LOGS / "0.11.1.log.gz"), read_capture(LOGS / "0.11.1.log.gz", "0.11.1"))
    assert (found["a"]["releases"], found["b"]["releases"]) == (["0.11.0 or 0.11.1"], ["0.11.1"])


def test_a_truncated_compressed_recording_is_copied_up_to_the_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    whole = (LOGS / "0.9.1.jsonl.gz").read_bytes()
    path.write_bytes(whole[: len(whole) * 4 // 5])
    assert sum(1 for _ in redacted(path)) > 10


def test_a_call_id_that_is_not_a_string_is_accepted(tmp_path: Path) -> None:
    recording = play(scenario="double")
    lines = [
        line.replace('"call_id":"call_0001"', '"call_id":["x"]') if "arguments.done" in line else line
        for line in recording.lines()
    ]
    assert any('"call_id":["x"]' in line for line in lines)
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
    assert inspect_json(read_capture(tmp_path / "a.jsonl"))["sessions"]


def test_unknown_keys_are_redacted() -> None:
    copied = Redactor().message({"type": "Welcome", "Jane Roe, account 4711": {"jane@example.org": True}})
    assert copied["type"] == "Welcome"
    assert len(copied) == 2
    assert not {"Jane", "4711", "example"} & set(re.split(r"\W", json.dumps(copied)))


def test_private_text_in_the_fields_of_har_frames_is_redacted() -> None:
    frame = {"type": "Jane Roe", "time": "Jane Roe", "opcode": 1, "data": "{}"}
    assert "Jane" not in redacted_har([{"_webSocketMessages": [frame]}], Redactor())


def test_a_redacted_copy_keeps_placeholder_results_only() -> None:
    by = Redactor()
    for row in PLACEHOLDERS:
        sent = {"type": "FunctionCallResponse", "id": "call_1", "content": json.dumps(row.value)}
        assert placeholder_in(by.message(sent)["content"]) is row
    assert "SHIPPED" not in json.dumps(by.message({"type": "FunctionCallResponse", "content": '"SHIPPED"'}))
