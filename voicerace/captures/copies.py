"""Convert a capture to a redacted copy, or one session to another tool's format."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from voicerace.captures.cassette import read_cassette
from voicerace.captures.export import mermaid, perfetto
from voicerace.captures.har import read_har
from voicerace.captures.log_scanner import read_lines, scan
from voicerace.captures.reader import CASSETTE, HAR, JSONL, Capture, bounded, har_bytes, nothing_in, recognised
from voicerace.captures.redact import NOT_READ, Redactor, redacted_har, redacted_log, redacted_recording
from voicerace.errors import InputError, one_of
from voicerace.scrubber import SecondNet, printable
from voicerace.trace.gzip_reader import Unpacked
from voicerace.trace.recording import iter_recordings

__all__ = ["FORMATS", "exported", "redacted"]

FORMATS: Final = ("perfetto", "mermaid")


def redacted(path: Path, *, keep_text: bool = False) -> Iterator[str]:
    """Yield the lines of a redacted copy. A truncated compressed file is copied up to the damage.

    `captures.redact` redacts each line. Then secrets from environment variables and texts that look like a key, an address or a
    telephone number are removed.

    Raises:
        InputError: the path is a folder, or the file is not a capture or cannot be read.
    """
    where = printable(str(path), 200)
    if path.is_dir():
        raise InputError(where, "a folder", "one file at a time")
    net = SecondNet.of_environment()
    lines = 0
    for line in _redacted(path, where, Redactor(keep_text=keep_text)):
        lines += 1
        yield net.line(line)
    if not lines:
        raise nothing_in(path)


def _redacted(path: Path, where: str, by: Redactor) -> Iterator[str]:
    with recognised(path) as (kind, encoding, file):
        if kind == HAR:
            data = har_bytes(path, file)
            read_har(data, where)  # raises InputError if the file is not a HAR
            yield redacted_har(json.loads(data.decode("utf-8-sig", "replace"))["log"]["entries"], by)
        elif kind == CASSETTE:  # the copy is a voicerace recording
            yield from redacted_recording(read_cassette(file, where).recording, by).lines()
        elif kind == JSONL:
            for recording in iter_recordings(path):
                bounded(recording, path)
                yield from redacted_recording(recording, by).lines()
        else:
            with io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="\n") as stream:
                yield from redacted_log(scan(read_lines(stream)), by)
            if isinstance(file.raw, Unpacked) and file.raw.cut:
                yield NOT_READ


def exported(capture: Capture, to: str, session: int = 1) -> str:
    """Return one session of a capture in another tool's format.

    Args:
        capture: the capture.
        to: one of `FORMATS`.
        session: number of the session, from 1.

    Raises:
        InputError: the format is unknown, or the session does not exist.
    """
    one_of("to", to, FORMATS)
    if not 1 <= session <= len(capture.sessions):
        raise InputError("session", str(session), f"1 to {len(capture.sessions)}")
    recording = capture.sessions[session - 1].completed
    kind: Literal["perfetto", "mermaid"] = "perfetto" if to == "perfetto" else "mermaid"
    if kind == "perfetto":
        return json.dumps(perfetto(recording), indent=1)
    return "\n".join(mermaid(recording))
