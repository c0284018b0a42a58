"""Test large captures: memory use is independent of the file size, and excessively large unpacked data is refused."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
import zlib
from pathlib import Path

import pytest
from support.played import play
from support.repeated import repeated

from voicerace.captures import disk_list, inspect_json, inspect_lines, logged, read_capture
from voicerace.captures.disk_list import DiskBackedList
from voicerace.captures.show import inspect_json_text
from voicerace.cli import main
from voicerace.errors import InputError
from voicerace.trace.gzip_reader import Unpacked
from voicerace.trace.recording import iter_recordings, read_recordings, write_recordings

LOG = Path(__file__).parents[1] / "data" / "logs" / "0.11.1.log.gz"
TEXT = gzip.decompress(LOG.read_bytes()).decode()


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the memory limits, so that almost all data is stored on disk."""
    monkeypatch.setattr(disk_list, "_IN_MEMORY", 1 << 12)
    monkeypatch.setattr(logged, "_IN_MEMORY", 120)


def test_a_log_is_read_the_same_with_its_sessions_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.log"
    path.write_text(repeated(TEXT, 3))
    whole = inspect_json(read_capture(path))
    assert [of["connection"] for of in whole["sessions"]] == [f"c{number}" for number in range(1, 10)]
    one = inspect_json(read_capture(LOG))["sessions"]
    assert [(of["outcome"], of["counts"]) for of in whole["sessions"]] == [(of["outcome"], of["counts"]) for of in one] * 3
    monkeypatch.setattr(disk_list, "_IN_MEMORY", 1 << 12)
    monkeypatch.setattr(logged, "_IN_MEMORY", 120)
    assert inspect_json(read_capture(path)) == whole


@pytest.mark.usefixtures("little_memory")
def test_peak_memory_is_the_same_for_a_log_of_four_times_the_size(tmp_path: Path) -> None:
    peaks = []
    for times in (2, 3, 12):  # the first pass loads the modules
        path = tmp_path / f"{times}.log"
        path.write_text(repeated(TEXT, times))
        tracemalloc.start()
        try:
            size = sum(len(piece) for piece in inspect_json_text(read_capture(path)))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert size > times * 15_000
    assert peaks[2] < peaks[1] * 1.2


def test_the_streamed_json_equals_the_object(tmp_path: Path) -> None:
    recordings = tmp_path / "a.jsonl"
    write_recordings(recordings, [play()])
    for path in (LOG, recordings):
        capture = read_capture(path)
        more = {"aligned": []}
        text = "".join(inspect_json_text(capture, more))
        assert text == json.dumps({**inspect_json(capture), **more}, indent=2) + "\n"


def test_a_disk_backed_list_returns_its_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_list, "_IN_MEMORY", 10)
    items = [{"a": [number] * number} for number in range(20)]
    kept = DiskBackedList(items)
    assert (len(kept), kept[3], kept[-1], kept[2:4], [*kept]) == (20, items[3], items[-1], tuple(items[2:4]), items)
    assert kept == items
    assert kept != items[1:]
    with pytest.raises(IndexError):
        kept[20]


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk_list.tempfile, "SpooledTemporaryFile", lambda size: Full())
    assert main(["inspect", str(LOG)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


# -- compressed files --------------------------------------------------------------------------------------------------


def bomb(path: Path, head: bytes, line: bytes, megabytes: int) -> None:
    """Write a small compressed file that unpacks to `megabytes`."""
    packer = zlib.compressobj(1, wbits=31)
    block = line * ((1 << 20) // len(line))
    with path.open("wb") as file:
        file.write(packer.compress(head))
        for _ in range(megabytes):
            file.write(packer.compress(block))
        file.write(packer.flush())


def test_a_compressed_file_with_too_much_content_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("voicerace.trace.recording.UNPACKED_LIMIT", 4 << 20)
    recording = play()
    header, first, *_ = recording.lines()
    path = tmp_path / "run" / "b.jsonl.gz"
    path.parent.mkdir()
    bomb(path, header.encode() + b"\n" + first.encode()[:-1], b" ", 8)
    assert path.stat().st_size < 100_000
    with pytest.raises(InputError, match=r"more than 4 MB when it is unpacked; a compressed file of at most 4 MB"):
        read_recordings(path)
    for verb in ("inspect", "export"):
        assert main([verb, str(path)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    # In a folder, the valid files are read and the invalid file is reported.
    recording.write(path.parent / "a.jsonl")
    capture = read_capture(path.parent)
    assert len(capture.sessions) == 1
    assert [each.reason.partition(":")[0] for each in capture.unread] == ["b.jsonl.gz"]
    assert any("b.jsonl.gz: more than 4 MB" in line for line in inspect_lines(capture))


def test_a_log_of_any_size_is_read(tmp_path: Path) -> None:
    """A console log is read in pieces. Its size is not limited, and an endless line uses no additional memory."""
    path = tmp_path / "a.log.gz"
    bomb(path, TEXT.encode(), b"x", 8)
    assert len(read_capture(path).sessions) == 3


def test_a_damaged_compressed_log_is_read_up_to_the_damage(tmp_path: Path) -> None:
    data = LOG.read_bytes()
    path = tmp_path / "a.log.gz"
    for left in (data[:2500], data[:2500] + b"\xff" * 60 + data[2560:]):
        path.write_bytes(left)
        capture = read_capture(path)
        assert capture.sessions
        assert capture.unread[-1].reason == "the compressed file is cut or damaged here"
        assert not any(of.recording.observed for of in capture.sessions if not of.recording.complete)
    path.write_bytes(data[:3] + b"\xff" * 9)
    with pytest.raises(InputError, match="cannot be unpacked"):
        read_capture(path)


def test_concatenated_compressed_files_are_read_as_one(tmp_path: Path) -> None:
    first, second = play(), play(tool_ms=50)
    write_recordings(tmp_path / "a.jsonl.gz", [first])
    write_recordings(tmp_path / "b.jsonl.gz", [second])
    both = tmp_path / "c.jsonl"  # compression is detected by content, not by file name
    both.write_bytes(b"".join((tmp_path / f"{name}.jsonl.gz").read_bytes() for name in "ab") + b"\0" * 100)
    assert read_recordings(both) == [first, second]
    assert [*iter_recordings(both)] == [first, second]
    assert len(read_capture(both).sessions) == 2


def test_unpacking_returns_the_original_bytes(tmp_path: Path) -> None:
    data = TEXT.encode() * 2
    path = tmp_path / "a"
    for written in (data, gzip.compress(data), gzip.compress(data[:99]) + gzip.compress(data[99:])):
        path.write_bytes(written)
        progress: list[tuple[int, int]] = []
        with Unpacked(path, lambda *each, progress=progress: progress.append(each)) as file, io.BufferedReader(file) as whole:
            assert whole.read() == data
            assert not file.cut
        assert progress[-1] == (len(written), len(written))
