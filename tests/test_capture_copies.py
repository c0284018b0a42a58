"""Is a redacted copy safe to send and does it still tell the same? Do exports and comparisons hold what they claim?"""

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
#: Protocol words and the run's own settings: what a copy may keep of a session.
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


def said(tag: str) -> set[str]:
    """Every text and id of the sessions: what must not be in a copy."""
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
def test_does_a_redacted_copy_tell_the_same_and_hold_no_text(tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy.txt"
    copy.write_text("".join(f"{line}\n" for line in redacted(LOGS / name)), "utf-8")
    assert facts(read_capture(copy)) == facts(read_capture(LOGS / name))
    text = copy.read_text("utf-8")
    private = said(name.split(".log")[0].split(".jsonl")[0])
    assert len(private) > 20
    # A name that stands for an id may begin as one does: it goes on in hexadecimal.
    assert [each for each in private if re.search(re.escape(each) + "(?![0-9a-f])", text)] == []


def test_is_a_redacted_har_its_frames_and_nothing_else(tmp_path: Path) -> None:
    played = play(release="0.9.1", handler="async_ref", tool_ms=50)
    path = har(tmp_path / "a.har", frames(played, "s"))
    copy = tmp_path / "b.har"
    copy.write_text("\n".join(redacted(path)))
    assert facts(read_capture(copy)) == facts(read_capture(path))
    text = copy.read_text()
    assert not [word for word in ("s3cret", "Cookie", "proxy.example", "Lisbon", "call_0001") if word in text]
    assert "Lisbon" in "\n".join(redacted(path, keep_text=True))
    assert "s3cret" not in "\n".join(redacted(path, keep_text=True))


def test_are_names_the_same_within_a_file_and_never_between_two() -> None:
    one, other = Redactor(), Redactor()
    assert one.name("call_1") == one.name("call_1") != one.name("call_2")
    assert one.name("call_1") != other.name("call_1")
    assert one.text("hello there") == one.text("hello there") != other.text("hello there")
    think = {"functions": [{"name": "pay", "parameters": {"type": "object", "properties": {"card_no": {"type": "string"}}}}]}
    copied = one.message({"type": "Settings", "agent": {"think": think}})
    assert not [word for word in ("pay", "card_no") if word in json.dumps(copied)]
    assert one.message({"type": "my dog's name"})["type"] != "my dog's name"


def test_is_nothing_of_a_result_that_is_an_object_left_its_keys_and_numbers_neither() -> None:
    by = Redactor()
    result = {"type": "resolved", "id": "call_1", "value": {"id": "call_1", "result": {"balance_eur": 4711, "open": True}}}
    copied = by.message(result)
    assert (copied["id"], copied["value"]["id"]) == (by.name("call_1"), by.name("call_1"))
    for given in (result, {"arguments": {"iban": [12345678]}}, {"metadata": {"customer": 99}}, {"result": [4711]}):
        assert not re.search(r"4711|balance|iban|12345678|customer|99\b|open|rue", json.dumps(by.message(given)))
    assert by.message({"result": {"a": 1}}) == by.message({"result": {"a": 1}}) != by.message({"result": {"a": 2}})
    own = {"type": "resolved", "value": {"id": "call_1", "result": {"error": "Handler completed without sending a response"}}}
    assert by.message(own)["value"]["result"] == own["value"]["result"]


def test_are_paths_addresses_and_a_customers_model_no_words_of_the_protocol() -> None:
    by = Redactor()
    given = {
        "profile": "unknown_service:/srv/alice/bin/node", "proxy": "ws://10.0.0.7:8080", "component": "ft:gpt-4o:acme::9x",
        "source": "C:\\Users\\alice/x", "upstream": "wss://eu.acme.example/v1", "alice": 8080,
    }  # fmt: skip
    assert not re.search(r"alice|10\.0|acme|8080", json.dumps(by.fields(given, PROVENANCE)))
    kept = {"profile": "loopback", "proxy": "backend:0.9.1", "upstream": "mock", "release": "0.9.1", "knobs": {}}
    assert by.fields(kept, PROVENANCE) == kept
    # What a verdict needs of a run's settings; a file's name is none.
    times = {"times": {"deadline_ms": "1000", "tool_ms": "uniform(20, 80)", "gap_ms": "@/srv/alice/gap.csv"}}
    copied = by.fields(times, PROVENANCE)["times"]
    assert (copied["deadline_ms"], copied["tool_ms"]) == ("1000", "uniform(20, 80)")
    assert "alice" not in copied["gap_ms"]


@pytest.mark.parametrize("tag", TAGS)
def test_is_an_exported_session_whole_and_without_texts(tag: str) -> None:
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
def test_does_no_slice_of_a_trace_overlap_another_of_its_row(tag: str) -> None:
    """Perfetto drops a slice that begins within another one of its row and ends behind it."""
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
        assert len(ends) > 6  # messages of this recording do overlap


def test_do_exports_and_copies_refuse_what_they_cannot_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = read_capture(LOGS / "0.9.1.log.gz")
    for to, session in (("svg", 1), ("mermaid", 4), ("mermaid", 0)):
        with pytest.raises(InputError):
            exported(capture, to, session)
    there = tmp_path / "there"
    there.write_text("x")
    for words in (["redact", str(there)], ["redact", str(LOGS / "0.9.1.log.gz"), "--out", str(there)], ["compare", "x", "y"]):
        assert main(words) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert there.read_text() == "x"


def test_does_a_comparison_count_what_changed_with_its_interval(tmp_path: Path) -> None:
    for name, tool_ms in (("a", 50), ("b", 250)):
        write_recordings(tmp_path / f"{name}.jsonl", [play(release="0.9.1", tool_ms=tool_ms) for _ in range(10)])
    found = compare_captures(read_capture(tmp_path / "a.jsonl"), read_capture(tmp_path / "b.jsonl"))
    rows = {row["what"]: row for row in found["shares"]}
    assert (rows["outcome rejected"]["a"], rows["outcome rejected"]["b"]) == (10, 0)
    assert (rows["a refusal"]["difference"], rows["a refusal"]["high"] < 0) == (-1.0, True)
    assert found["times"]["result_delay_ms"]["a"]["median"] == 50
    same = compare_captures(read_capture(tmp_path / "a.jsonl"), read_capture(tmp_path / "a.jsonl"))
    assert all(row["low"] <= 0 <= row["high"] for row in same["shares"])


def test_is_a_run_that_kept_some_recordings_counted_from_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad sessions are kept before others: shares of what was kept are not those of the run."""
    for name, keep in (("all", 200), ("some", 5)):
        words = ["sweep", "--releases", "0.9.1", "--tool-ms", "0:300:20", "--gap-ms", "150", "--keep", str(keep)]
        assert main([*words, "--out", str(tmp_path / name)]) == 0
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
    told = tmp_path / "some" / "run.json"
    told.write_text(json.dumps(json.loads(told.read_text("utf-8")) | {"end": None, "complete": False}), "utf-8")
    assert main(["inspect", str(tmp_path / "some")]) == 0, "as a killed sweep leaves it"
    assert "The run has not ended" in capsys.readouterr().out


def test_does_a_comparison_name_every_release_that_a_log_allows() -> None:
    found = compare_captures(read_capture(LOGS / "0.11.1.log.gz"), read_capture(LOGS / "0.11.1.log.gz", "0.11.1"))
    assert (found["a"]["releases"], found["b"]["releases"]) == (["0.11.0 or 0.11.1"], ["0.11.1"])


def test_a_compressed_recording_that_is_cut_gives_a_copy_of_what_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    whole = (LOGS / "0.9.1.jsonl.gz").read_bytes()
    path.write_bytes(whole[: len(whole) * 4 // 5])
    assert sum(1 for _ in redacted(path)) > 10


def test_a_call_id_that_is_no_text_is_counted_like_any(tmp_path: Path) -> None:
    recording = play(scenario="double")
    lines = [
        line.replace('"call_id":"call_0001"', '"call_id":["x"]') if "arguments.done" in line else line
        for line in recording.lines()
    ]
    assert any('"call_id":["x"]' in line for line in lines)
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
    assert inspect_json(read_capture(tmp_path / "a.jsonl"))["sessions"]


def test_is_a_key_that_is_no_word_of_a_protocol_somebodys_data() -> None:
    copied = Redactor().message({"type": "Welcome", "Jane Roe, account 4711": {"jane@example.org": True}})
    assert copied["type"] == "Welcome"
    assert len(copied) == 2
    assert not {"Jane", "4711", "example"} & set(re.split(r"\W", json.dumps(copied)))


def test_is_nothing_of_a_har_kept_that_is_somebodys_in_a_field_of_the_protocol() -> None:
    frame = {"type": "Jane Roe", "time": "Jane Roe", "opcode": 1, "data": "{}"}
    assert "Jane" not in redacted_har([{"_webSocketMessages": [frame]}], Redactor())


def test_a_redacted_copy_keeps_a_placeholder_for_a_result_and_no_other_result() -> None:
    by = Redactor()
    for row in PLACEHOLDERS:
        sent = {"type": "FunctionCallResponse", "id": "call_1", "content": json.dumps(row.value)}
        assert placeholder_in(by.message(sent)["content"]) is row
    assert "SHIPPED" not in json.dumps(by.message({"type": "FunctionCallResponse", "content": '"SHIPPED"'}))
