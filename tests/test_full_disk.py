"""Test full disks and read-only folders: one error line, exit status 2, and no partial file."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from voicerace import files
from voicerace.cli import main
from voicerace.engine.live.recorder import Recorder
from voicerace.trace.recording import Link, Recording

ROOT = Path(__file__).parents[1]
LOG = str(ROOT / "data" / "logs" / "levels" / "0.9.1-info.log.gz")
WIRE = str(ROOT / "data" / "logs" / "levels" / "0.9.1-info.jsonl.gz")
FINDINGS = str(ROOT / "data" / "explore" / "0.9.4.json")
SAMPLE = str(ROOT / "data" / "sample-run")
#: Verb -> arguments before the name of the output.
VERBS = {
    "run": ["run", "--out"],
    "again": ["again", SAMPLE, "3", "--out"],
    "redact": ["redact", WIRE, "--out"],
    "redact a log": ["redact", LOG, "--out"],
    "export": ["export", WIRE, "--to", "perfetto", "--out"],
    "explore": ["explore", "--scenario", "single", "--handler", "return", "--max-states", "20", "--out"],
    "sweep": ["sweep", "--tool-ms", "10", "--out"],
    "times": ["inspect", WIRE, "--times"],
    "serve": ["serve", "upstream", "--listen", "0", "--out"],
    "sweep live": ["sweep", "--live", "--no-canary", "--tool-ms", "10", "--gap-ms", "10", "--out"],
    "capture": ["capture", "--host", "0=ws://127.0.0.1:9", "--out"],
    "check": ["check", "--proxy", "model:0.9.1", "--junit"],
    "replay": ["replay", FINDINGS, "--out"],
}
#: Verb -> arguments after the name of the output.
AFTER = {"capture": ["--", "true"]}
#: Verbs that overwrite a file only with --force.
FORCED = ("run", "again", "redact", "redact a log", "export")
FOLDERS = ("sweep", "times", "serve", "sweep live", "capture")


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("verb", VERBS)
def test_a_full_disk_is_one_line_and_leaves_no_file(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("voicerace.files.os.fsync", full)
    out = tmp_path / "out.jsonl"
    assert main([*VERBS[verb], str(out), *AFTER.get(verb, ())]) == 2
    [line] = [each for each in capsys.readouterr().err.splitlines() if each.startswith("voicerace: error")]
    assert "No space left on device" in line
    left = [each for each in tmp_path.rglob("*") if each.is_file() and each.name != ".lock"]
    assert not left, "no partial and no temporary file"


@pytest.mark.parametrize("verb", sorted({*VERBS} - {*FOLDERS}))
def test_a_full_disk_does_not_change_an_existing_file(verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicerace.files.os.fsync", full)
    out = tmp_path / "out.jsonl"
    out.write_text("before\n")
    assert main([*VERBS[verb], str(out), *AFTER.get(verb, ()), *(["--force"] if verb in FORCED else [])]) == 2
    assert out.read_text() == "before\n"
    assert [*tmp_path.iterdir()] == [out]


@pytest.mark.parametrize("verb", VERBS)
def test_an_invalid_folder_is_one_line(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file in place of the folder causes an error for every user, including root."""
    (tmp_path / "file").write_text("")
    assert main([*VERBS[verb], str(tmp_path / "file" / "out.jsonl"), *AFTER.get(verb, ())]) == 2
    assert "Not a directory" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_standard_output_on_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full_disk:
        command = [sys.executable, "-m", "voicerace", "releases"]
        done = subprocess.run(command, stdout=full_disk, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "voicerace: error: output: No space left on device\n")


def test_a_recording_that_cannot_be_written_is_written_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, link = tmp_path / "r.jsonl", Link("proxy", "upstream")
    recorder = Recorder({}, (link,), sink=file)
    with monkeypatch.context() as patched:
        patched.setattr(recorder, "_sink", open("/dev/full", "w", buffering=1) if Path("/dev/full").exists() else None)  # noqa: SIM115
        recorder.fault(link, "one")
    recorder.fault(link, "two")
    recording = recorder.close()
    assert [event.kind for event in recording.events] == ["fault", "fault"]
    assert not recording.complete
    assert Recording.read(file).events == recording.events


def test_a_device_is_written_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    files.write_text(pipe, "said")
    files.try_to_write(pipe)
    assert os.read(reader, 9) == b"said"
    os.close(reader)
    assert pipe.is_fifo()


def test_the_target_of_a_link_is_written_and_the_link_kept(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for text in ("one", "two"):
        files.write_text(tmp_path / "link", text)
        assert (tmp_path / "file").read_text() == text
    assert (tmp_path / "link").is_symlink()


def test_a_file_name_of_255_characters_is_written(tmp_path: Path) -> None:
    files.write_text(tmp_path / ("x" * 255), "x")
    assert [len(each.name) for each in tmp_path.iterdir()] == [255]
