"""Test the log records about the API's audio that `OPENAI_PROXY_TTS_BOUNDARY_DEBUG=1` adds (data/logs/audio)."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest
from support.wire import CAME, SENT, types

from voicerace.analysis.verdict import judge
from voicerace.captures import inspect_json, inspect_lines, read_capture
from voicerace.captures.audio_chunks import ChunkRecord, chunk_record
from voicerace.captures.copies import redacted
from voicerace.captures.log_scanner import Record, scan
from voicerace.trace.recording import read_recordings

LOGS = Path(__file__).parents[1] / "data" / "logs"
TAGS = ("0.9.1", "0.11.1")


def log(tag: str) -> Path:
    return LOGS / "audio" / f"{tag}.log.gz"


@pytest.mark.parametrize("tag", TAGS)
def test_the_log_names_the_bytes_of_the_wire(tag: str) -> None:
    capture, wire = read_capture(log(tag)), read_recordings(LOGS / "audio" / f"{tag}.jsonl.gz")
    assert (len(capture.sessions), capture.unread) == (2, ())
    for of in capture.sessions:
        passed = next(each for each in wire if types(each, CAME) == types(of.recording, CAME))
        sizes = [
            len(base64.b64decode(event.payload["delta"]))
            for event in passed.on(CAME)
            if event.type == "response.output_audio.delta" and isinstance(event.payload, dict)
        ]
        audio = of.counts["audio_bytes"]
        assert sizes
        assert (audio.value, audio.kind) == (sum(sizes), "observed")
        assert types(of.completed, SENT) == types(passed, SENT)
        assert of.outcome == judge(passed).outcome
        assert not any("damaged" in each for each in of.cannot_say)
    text = "\n".join(inspect_lines(capture))
    assert "audio of the API: 192 bytes, 4 ms at 24 kHz" in text


@pytest.mark.parametrize("tag", TAGS)
def test_a_recording_of_the_wire_has_the_same_bytes(tag: str) -> None:
    logged = {of.counts["audio_bytes"].value for of in read_capture(log(tag)).sessions}
    assert {of.counts["audio_bytes"].value for of in read_capture(LOGS / "audio" / f"{tag}.jsonl.gz").sessions} == logged


def test_without_the_setting_a_log_does_not_name_the_bytes(tmp_path: Path) -> None:
    lines = gzip.decompress(log("0.11.1").read_bytes()).decode().splitlines()
    plain = without(lines, *(n for n, each in enumerate(bodies(lines)) if each.startswith("TTS ")))
    for of in inspect_json(read_capture(written(tmp_path, plain)))["sessions"]:
        assert of["counts"]["audio_bytes"] == {"value": None, "kind": "unknown"}
        assert of["outcome"] in ("answered", "lost")  # the records about audio decide nothing else


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("lost", ["TTS boundary", "response.output_audio.delta"])
def test_a_lost_record_of_audio_is_noticed(tmp_path: Path, tag: str, lost: str) -> None:
    lines = gzip.decompress(log(tag).read_bytes()).decode().splitlines()
    records = [each for each in scan(lines) if isinstance(each, Record)]
    at = next(
        n
        for n, each in enumerate(records)
        if str(each.fields.get("body")).startswith(lost)
        or (each.fields.get("body") == "upstream → client" and each.fields["attributes"]["message_type"] == lost)
    )
    capture = read_capture(written(tmp_path, without(lines, at)))
    doubts = [each for of in capture.sessions for each in of.cannot_say if "No count is certain" in each]
    assert len(doubts) >= 1
    assert any("about audio" in each for each in doubts)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            "TTS boundary after chunk 0: lengths 96, 95; last A (LE: 0); first B (LE: -12)",
            ChunkRecord(0, (96, 95), last=False),
        ),
        (
            "TTS boundary after chunk 11: lengths 95, 1; last A (LE: 7); first B (LE: n/a); carried+first: 300",
            ChunkRecord(11, (95, 1), last=False),
        ),
        ("TTS chunk lengths (first 2): 96, 95", ChunkRecord(0, (96, 95), last=True)),
        (f"TTS chunk lengths (first 10): {', '.join('9' * 10)}...", ChunkRecord(0, (9,) * 10, last=True, more=True)),
        ("TTS chunk lengths (first 3): 96, 95", None),
        ("TTS chunk lengths (first 2): 96, 95...", None),
        ("TTS boundary after chunk x: lengths 96, 95; last A (LE: 0)", None),
        ("upstream → client", None),
    ],
)
def test_the_numbers_of_a_record(body: str, expected: ChunkRecord | None) -> None:
    assert chunk_record(body) == expected
    if expected is not None:
        assert chunk_record(expected.body) == expected


@pytest.mark.parametrize("count", [1, 2, 10, 11, 30])
def test_audio_of_any_number_of_chunks_is_followed(tmp_path: Path, count: int) -> None:
    sizes = [96 + n for n in range(count)]
    capture = read_capture(written(tmp_path, audio_log(sizes, sizes)))
    assert capture.unread == ()
    audio = capture.sessions[0].counts["audio_bytes"]
    assert audio.value == sum(sizes) * 2
    assert not any("about audio" in each for each in capture.sessions[0].cannot_say)


@pytest.mark.parametrize("count", [3, 10, 11, 30])
def test_every_lost_boundary_of_a_long_audio_is_noticed(tmp_path: Path, count: int) -> None:
    lines = audio_log([96 + n for n in range(count)])
    for at in [n for n, each in enumerate(lines) if "TTS boundary" in each]:
        capture = read_capture(written(tmp_path, lines[:at] + lines[at + 1 :]))
        assert any("about audio" in each for each in capture.sessions[0].cannot_say), at


def test_a_redacted_copy_keeps_the_bytes_but_no_sample(tmp_path: Path) -> None:
    path = written(tmp_path, [line.replace("LE: 0", "LE: -31999") for line in audio_log([96, 95, 94])])
    assert "-31999" in path.read_text()
    copy = tmp_path / "copy.log"
    copy.write_text("".join(f"{line}\n" for line in redacted(path)), "utf-8")
    assert "31999" not in copy.read_text()
    shown, of = inspect_json(read_capture(copy))["sessions"][0], inspect_json(read_capture(path))["sessions"][0]
    assert shown["counts"] == of["counts"]
    assert of["counts"]["audio_bytes"]["value"] == 96 + 95 + 94


def bodies(lines: list[str]) -> list[str]:
    return [str(each.fields.get("body")) for each in scan(lines) if isinstance(each, Record)]


def without(lines: list[str], *numbers: int) -> list[str]:
    """Return the lines of a log without the records of these numbers."""
    records = [each for each in scan(lines) if isinstance(each, Record)]
    dropped = {line for n in numbers for line in range(records[n].line_first, records[n].line_last + 1)}
    return [each for number, each in enumerate(lines, 1) if number not in dropped]


def written(folder: Path, lines: list[str]) -> Path:
    path = folder / "proxy.log"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def audio_log(*replies: list[int]) -> list[str]:
    """Return the lines of a log in JSON with audio of chunks of these sizes, as `server.ts` writes it."""
    rows: list[tuple[str, dict[str, str]]] = [("client connected", {"direction": "client"})]
    for sizes in replies:
        for n, size in enumerate(sizes):
            of = {"direction": "upstream→client", "message_type": "response.output_audio.delta"}
            rows.append(("upstream → client", of))
            if n:
                lengths = f"lengths {sizes[n - 1]}, {size}"
                rows.append((f"TTS boundary after chunk {n - 1}: {lengths}; last A (LE: 0); first B (LE: 0)", of))
        of = {"direction": "upstream→client", "message_type": "response.output_audio.done"}
        listed = ", ".join(map(str, sizes[:10]))
        more = "..." if len(sizes) > 10 else ""
        rows += [
            ("upstream → client", of),
            (f"TTS chunk lengths (first {min(len(sizes), 10)}): {listed}{more}", of),
        ]
    rows.append(("client WebSocket closed (1000)", {"direction": "client", "client.close_code": "1000"}))
    attributes = {"connection_id": "c1", "trace_id": "c1"}
    return [
        json.dumps(
            {
                "timestamp": 1_795_394_940_675_000 + 1000 * n, "severityText": "INFO", "severityNumber": 9, "body": body,
                "attributes": attributes | of,
            },
            ensure_ascii=False,
        )
        for n, (body, of) in enumerate(rows)
    ]  # fmt: skip
