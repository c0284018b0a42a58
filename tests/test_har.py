"""Test HAR files of browsers: the host link of a session, unreadable frames, and files without frames."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from support.played import play

from voicerace.captures import Capture, inspect_json, read_capture
from voicerace.errors import InputError
from voicerace.trace.recording import Link, Recording

HOST_LINKS = (Link("component", "proxy"), Link("proxy", "component"))
START_S = 1_800_000_000


def frames(recording: Recording, unit: str) -> list[dict[str, Any]]:
    """Return the WebSocket messages of a recording's host link, as in a browser's HAR file."""
    found = []
    for event in sorted(recording.on(*HOST_LINKS), key=lambda e: (e.at_ns("component") or 0, e.seq)):
        if event.kind != "message":
            continue
        binary = isinstance(event.payload, bytes)
        data = base64.b64encode(event.payload).decode() if isinstance(event.payload, bytes) else json.dumps(event.payload)
        seconds = START_S + (event.at_ns("component") or 0) / 1e9
        time = {"s": seconds, "ms": seconds * 1000, "none": -1}[unit]
        kind = "send" if event.link == HOST_LINKS[0] else "receive"
        found.append({"type": kind, "time": time, "opcode": 2 if binary else 1, "data": data})
    return found


def har(path: Path, *messages: list[dict[str, Any]] | None) -> Path:
    entries: list[dict[str, Any]] = [{"request": {"url": "https://shop.example/", "headers": []}, "_resourceType": "document"}]
    for each in messages:
        request = {"url": "wss://proxy.example/openai?token=s3cret", "headers": [{"name": "Cookie", "value": "s3cret"}]}
        entries.append(
            {"request": request, "_resourceType": "websocket"} | ({} if each is None else {"_webSocketMessages": each})
        )
    path.write_text(json.dumps({"log": {"version": "1.2", "creator": {"name": "x"}, "entries": entries}}))
    return path


@pytest.mark.parametrize(("unit", "clock"), [("s", True), ("ms", True), ("none", False)])
def test_frames_of_chrome_and_playwright_are_read(tmp_path: Path, unit: str, clock: bool) -> None:
    played = play(release="0.9.1", handler="async_ref", times={"tool_ms": "50"})
    other = [{"type": "send", "time": 1, "opcode": 1, "data": "{}"}]
    capture: Capture = read_capture(har(tmp_path / "a.har", frames(played, unit), other))
    (session,) = capture.sessions
    assert capture.format == "har"
    passed = [e.type for e in session.recording.on(HOST_LINKS[0])]
    assert passed == [e.type for e in played.on(HOST_LINKS[0]) if e.kind == "message"]
    errors = [e for e in played.on(HOST_LINKS[1]) if e.type == "Error"]
    assert (session.refusals.value, session.refusals.kind) == (len(errors), "at least")
    assert session.counts["default_errors"].value == 1
    (twice,) = session.answers.submissions
    assert (twice.results, twice.by.split(":")[0]) == (2, "the component")
    assert session.outcome == "unknown"
    assert session.result_delay_ms[0] == (pytest.approx(50, abs=0.01) if clock else None)
    assert "s3cret" not in json.dumps(inspect_json(capture))
    assert any("1 other WebSocket" in each for each in session.cannot_say)


@pytest.mark.parametrize(("messages", "message"), [
    ((), "no frames in this file"), ((None,), "1 WebSocket connections, but no frames in this file"),
    (([{"type": "send", "time": 1, "opcode": 1, "data": "{}"}],), "none of them a voice agent's"),
])  # fmt: skip
def test_a_har_without_frames_of_a_voice_agent_is_refused(tmp_path: Path, messages: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_capture(har(tmp_path / "a.har", *messages))


@pytest.mark.parametrize("broken", [
    {}, 5, {"type": "send", "opcode": 2, "data": "*", "time": 1}, {"type": "x", "opcode": 1, "data": "{}", "time": 1},
    {"type": "send", "opcode": 1, "time": 1}, {"type": "send", "opcode": 3, "data": "", "time": 1},
])  # fmt: skip
def test_an_unreadable_frame_is_counted_and_no_count_is_certain(tmp_path: Path, broken: Any) -> None:
    capture = read_capture(har(tmp_path / "a.har", [*frames(play(), "s"), broken]))
    (session,) = capture.sessions
    assert (capture.unread_records, session.unread_records) == (1, 1)
    assert {count.kind for count in session.counts.values()} <= {"at least", "unknown"}


def test_a_truncated_har_is_one_line(tmp_path: Path) -> None:
    path = har(tmp_path / "a.har", frames(play(), "s"))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match="cut or damaged"):
        read_capture(path)


def test_a_har_of_playwright_is_read() -> None:
    """The file was recorded by Playwright 1.65 (record_har_content embed). The page used the model of 0.9.1.

    The gap was 150 ms. The servers recorded the same session: rejected, one refusal, one result 50 ms after its call.
    """
    capture = read_capture(Path(__file__).with_name("data") / "playwright-chromium.har")
    assert capture.format == "har"
    [session] = capture.sessions
    assert len(session.recording.events) == 20
    errors = [event.payload for event in session.recording.events if event.type == "Error"]
    assert [each["code"] for each in errors if isinstance(each, dict)] == ["conversation_already_has_active_response"]


def test_a_har_of_devtools_is_read() -> None:
    """The file was exported from the DevTools of Chromium 156. The page used the real proxy 0.9.1.

    The mock API had a gap of 300 ms, which is visible to the browser. The result arrived before the end of the gap.
    """
    capture = read_capture(Path(__file__).with_name("data") / "devtools-chromium.har")
    [session] = capture.sessions
    assert (capture.unread, len(session.recording.events)) == ((), 21)
    assert [event.type for event in session.recording.on(HOST_LINKS[0])] == [
        "Settings", "InjectUserMessage", "FunctionCallResponse", "(binary)",
    ]  # fmt: skip
    assert session.gap_ms == (pytest.approx(300, abs=10),)
    assert session.result_delay_ms[0] is not None
    assert session.result_delay_ms[0] < session.gap_ms[0]
    assert (session.refusals.value, session.refusals.kind) == (1, "at least")  # DevTools does not record the close


@pytest.mark.parametrize("added", [
    {"type": "receive", "opcode": 9, "data": "", "time": 1}, {"type": "send", "opcode": 10, "data": "", "time": 1},
    {"type": "error", "opcode": -1, "data": "net::ERR_CONNECTION_REFUSED", "time": 1},
])  # fmt: skip
def test_control_frames_and_errors_are_not_unread(tmp_path: Path, added: Any) -> None:
    (session,) = read_capture(har(tmp_path / "a.har", [*frames(play(), "s"), added])).sessions
    assert session.unread_records == 0
    assert any("errors of the connection" in each for each in session.cannot_say) == (added["type"] == "error")


def test_a_connection_without_its_beginning_has_no_certain_count(tmp_path: Path) -> None:
    (session,) = read_capture(har(tmp_path / "a.har", frames(play(), "s")[3:])).sessions
    assert {count.kind for count in session.counts.values()} <= {"at least", "unknown"}
    assert any("beginning is not in the file" in each for each in session.cannot_say)
