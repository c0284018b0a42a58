"""Files in other shapes: a redacted copy, and a session for other tools. Reads as `reader` does, writes nothing itself."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from voicerace.captures.cassette import read_cassette
from voicerace.captures.console import Record, read_lines, scan
from voicerace.captures.export import mermaid, perfetto
from voicerace.captures.facts import printable
from voicerace.captures.har import read_har
from voicerace.captures.reader import CASSETTE, CONSOLE, HAR, Capture, har_bytes, nothing_in, recognised
from voicerace.captures.redact import Redactor, redacted_har, redacted_jsonl, redacted_log
from voicerace.errors import InputError

__all__ = ["FORMATS", "exported", "redacted"]

FORMATS: Final = ("perfetto", "mermaid")


def redacted(path: Path, *, keep_text: bool = False) -> Iterator[str]:
    """The lines of a copy of a capture that is safe to send. A compressed file that is cut gives what can be had of it.

    Raises:
        InputError: it is no capture, or a folder.
    """
    where = printable(str(path), 200)
    if path.is_dir():
        raise InputError(where, "a folder", "one file at a time")
    by = Redactor(keep_text=keep_text)
    lines = 0
    with recognised(path) as (kind, encoding, file):
        if kind == HAR:
            data = har_bytes(path, file)
            read_har(data, where)  # refuses what is none
            yield redacted_har(json.loads(data.decode("utf-8-sig", "replace"))["log"]["entries"], by)
            return
        if kind == CASSETTE:  # its copy is a recording of ours: one shape for what passed on a link
            yield from redacted_jsonl(read_cassette(file, where).recording.lines(), by)
            return
        with io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="\n") as stream:
            for line in _redacted(kind, stream, by):
                lines += 1
                yield line
    if not lines:
        raise nothing_in(path)


def _redacted(kind: str, stream: io.TextIOWrapper, by: Redactor) -> Iterator[str]:
    if kind == CONSOLE:
        return redacted_log((each for each in scan(read_lines(stream)) if isinstance(each, Record)), by)
    return redacted_jsonl(stream, by)


def exported(capture: Capture, to: str, session: int = 1) -> str:
    """One session of a capture, numbered from 1, in another tool's format.

    Raises:
        InputError: no such format or session.
    """
    if to not in FORMATS:
        raise InputError("to", f"{to!r} is unknown", f"allowed are {', '.join(FORMATS)}")
    if not 1 <= session <= len(capture.sessions):
        raise InputError("session", str(session), f"1 to {len(capture.sessions)}")
    recording = capture.sessions[session - 1].completed
    kind: Literal["perfetto", "mermaid"] = "perfetto" if to == "perfetto" else "mermaid"
    if kind == "perfetto":
        return json.dumps(perfetto(recording), indent=1)
    return "\n".join(mermaid(recording))
