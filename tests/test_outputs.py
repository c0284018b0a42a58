"""Test that commands never overwrite a recording or replace a stream, and report an unwritable output in one line."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from voicerace.captures import read_capture
from voicerace.captures.copies import redacted
from voicerace.cli import main
from voicerace.errors import InputError
from voicerace.files import takes_a_file, write_text
from voicerace.trace.recording import read_recordings

ROOT = Path(__file__).parents[1]
WIRE = str(ROOT / "data" / "logs" / "levels" / "0.9.1-info.jsonl.gz")
SAMPLE = str(ROOT / "data" / "sample-run")
#: Verb -> arguments before the name of the file that the verb writes.
VERBS = {
    "run": ["run", "--out"],
    "again": ["again", SAMPLE, "3", "--out"],
    "redact": ["redact", WIRE, "--out"],
    "export": ["export", WIRE, "--out"],
}
MORE = {
    "repro": ["repro", "--out"],
    "explore": ["explore", "--scenario", "single", "--handler", "return", "--max-states", "20", "--out"],
    "check": ["check", "--proxy", "model:0.9.1", "--junit"],
    "replay": ["replay", str(ROOT / "data" / "explore" / "0.9.4.json"), "--out"],
}
#: Arguments of verbs that read a capture, before the name of the capture.
READERS = (["inspect"], ["redact"], ["export"], ["compare", WIRE], ["report", "--capture"], ["inspect", WIRE, "--with"])


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = [each for each in capsys.readouterr().err.splitlines() if each.startswith("voicerace: error")]
    return line


@pytest.mark.parametrize("verb", [*VERBS, "repro"])
def test_an_existing_file_is_overwritten_only_with_force(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("before\n")
    words = [*{**VERBS, **MORE}[verb], str(out)]
    assert main(words) == 2
    assert f"{out} exists and is not empty" in one_line(capsys)
    assert out.read_text() == "before\n"
    if verb in VERBS:
        assert main([*words, "--force"]) == 0
        assert out.read_text() != "before\n"


def test_a_capture_is_never_overwritten_by_its_own_copy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = tmp_path / "a.jsonl.gz"
    capture.write_bytes(Path(WIRE).read_bytes())
    link = tmp_path / "b.jsonl.gz"
    link.symlink_to(capture)
    for words in (["redact", str(capture), "--out", str(link)], ["export", str(link), "--out", str(capture)]):
        assert main([*words, "--force"]) == 2
        assert "is the capture itself" in one_line(capsys)
    assert capture.read_bytes() == Path(WIRE).read_bytes()


@pytest.mark.parametrize("verb", [*VERBS, *MORE])
def test_circular_links_are_refused_as_an_output(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loop, back = tmp_path / "loop", tmp_path / "back"
    loop.symlink_to(back)
    back.symlink_to(loop)
    assert main([*{**VERBS, **MORE}[verb], str(loop)]) == 2
    assert "Too many levels of symbolic links" in one_line(capsys)


@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_circular_links_are_refused_as_a_capture(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert main([*words, str(loop)]) == 2
    assert "Too many levels of symbolic links" in one_line(capsys)


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="the system has no /dev/stdout")
@pytest.mark.parametrize("verb", ["run", "redact"])
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.long
def test_standard_output_by_its_path_is_written_to_and_not_replaced(tmp_path: Path, verb: str, name: str) -> None:
    """If the shell redirects standard output to a file, these paths refer to that file."""
    if not Path(name).exists():
        pytest.skip("the system has no such name")
    kept = tmp_path / "kept.txt"
    command = [sys.executable, "-m", "voicerace", *VERBS[verb], name]
    with kept.open("wb") as out:
        before = os.fstat(out.fileno()).st_ino
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert kept.stat().st_ino == before
    assert [*tmp_path.iterdir()] == [kept]
    lines = kept.read_text().splitlines()
    first = next(at for at, line in enumerate(lines) if line.startswith('{"voicerace_recording"'))
    json.loads(lines[first + 5])
    assert ("outcome " in kept.read_text()) == (verb == "run"), "the output of the command is in the file too"
    assert not takes_a_file(Path(name))


def test_a_live_session_neither_creates_nor_deletes_a_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A named pipe replaces a device, since neither stores content."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        assert main(["repro", "--tool-ms", "5", "--gap-ms", "5", "--deadline-ms", "300", "--out", str(pipe)]) == 0
        taken = reader.stdout.read() if reader.stdout is not None else b""
    assert pipe.is_fifo()
    kept = tmp_path / "kept.jsonl"
    kept.write_bytes(taken)
    assert read_recordings(kept)[0].complete


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_text(tmp_path / "link", "x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.parametrize("compressed", [True, False])
def test_every_reader_refuses_a_har_over_the_limit_before_storing_it(
    tmp_path: Path, compressed: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("voicerace.captures.reader._HAR_LIMIT", 8 << 20)
    path = tmp_path / "a.har"
    data = b'{"log":{"entries":[' + b" " * (64 << 20) + b"]}}"
    path.write_bytes(gzip.compress(data, 1) if compressed else data)
    for read in (lambda: read_capture(path), lambda: [*redacted(path)]):
        tracemalloc.start()
        with pytest.raises(InputError, match="a HAR of more than 8 MB"):
            read()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4 << 20
    for words in (["inspect"], ["redact"], ["export"], ["compare", WIRE], ["report", "--capture"]):
        assert main([*words, str(path)]) == 2
        assert "a HAR of more than 8 MB" in one_line(capsys)
