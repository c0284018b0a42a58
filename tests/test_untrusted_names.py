"""Test that names and ids in a capture, and its file name, never become a path or move a terminal's cursor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.played import play
from test_har import frames, har

from voicerace.cli import main
from voicerace.trace.recording import Recording

#: Hostile values of an id or a name.
NAMES = ("../../outside", "/outside", "a\x1b[31mb", "a\r\nvoicerace: error: not ours", "..", "\x9b2J", "a\u202eb")


def renamed(name: str, file: Path) -> Recording:
    """Return a session whose ids, names and provenance are replaced by `name`."""
    header, *lines = map(json.loads, play(release="0.9.1", tool_ms=10, gap_ms=50).lines())
    header["provenance"] |= dict.fromkeys(("connection", "session", "release", "scenario", "proxy", "command"), name)
    for line in lines:
        if isinstance(line.get("payload"), dict):
            line["payload"] |= dict.fromkeys(("id", "session_id", "item_id", "name", "event_id"), name)
    file.write_text("".join(json.dumps(line) + "\n" for line in (header, *lines)))
    return Recording.read(file)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_a_capture_is_neither_a_path_nor_a_terminal_command(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    recording = renamed(name, inside / "given.jsonl")
    browser = har(inside / "given.har", frames(recording, "s"))
    browser.write_text(browser.read_text().replace('"wss://proxy.example', json.dumps(name)[:-1]))
    for given in ("given.jsonl", "given.har"):
        statuses = [
            main(["inspect", given]),
            main(["inspect", given, "--times", f"times-{given}"]),
            main(["redact", given, "--out", f"copy-{given}"]),
            main(["export", given, "--to", "mermaid", "--out", f"{given}.mmd"]),
            main(["export", given, "--to", "perfetto", "--out", f"{given}.trace"]),
            main(["compare", given, given]),
        ]
        assert {*statuses} <= {0, 2}
        assert statuses[0] == 0
    assert {each.name for each in tmp_path.iterdir()} == {"a"}
    assert {each.name for each in (tmp_path / "a").iterdir()} == {"b"}
    assert not Path("/outside").exists()
    printed = capfd.readouterr()
    moves = {char for char in printed.out + printed.err if not char.isprintable()} - {"\n"}
    assert moves == set()
    assert "\nvoicerace: error: not ours" not in printed.out + printed.err


@pytest.mark.parametrize("name", ["a\x1b[31mb.jsonl", "a\nvoicerace: error: not ours.jsonl", "a\u202eb.jsonl"])
def test_a_file_name_is_printed_on_one_line_without_control_characters(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    play(release="0.9.1", tool_ms=10, gap_ms=50).write(tmp_path / name)
    assert main(["inspect", name]) == 0
    assert main(["inspect", f"none-{name}"]) == 2
    assert main(["compare", name, name]) == 0
    assert main(["run", "--out", f"{name}/no-folder"]) == 2
    assert main(["export", name, "--to", "mermaid", "--out", f"{name}.mmd"]) == 0
    printed = capfd.readouterr()
    moves = {char for char in printed.out + printed.err if not char.isprintable()} - {"\n"}
    assert moves == set()
    assert "\nvoicerace: error: not ours" not in printed.out + printed.err
