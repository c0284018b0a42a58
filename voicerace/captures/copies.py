"""Files in other shapes: a redacted copy, and a session for other tools. Reads as `reader` does, writes nothing itself."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from voicerace.captures.console import Record, read_lines, scan
from voicerace.captures.export import mermaid, perfetto
from voicerace.captures.reader import CONSOLE, HAR, Capture, opened, read_capture
from voicerace.captures.redact import Redactor, redacted_har, redacted_jsonl, redacted_log
from voicerace.errors import InputError

__all__ = ["FORMATS", "exported", "redacted"]

FORMATS: Final = ("perfetto", "mermaid")


def redacted(path: Path, *, keep_text: bool = False) -> Iterator[str]:
    """The lines of a copy of a capture that is safe to send.

    Raises:
        InputError: it is no capture, or a folder.
    """
    if path.is_dir():
        raise InputError(str(path), "a folder", "one file at a time")
    capture = read_capture(path)  # refuses what is none
    by = Redactor(keep_text=keep_text)
    try:
        yield from _redacted(path, capture, by)
    except (EOFError, OSError, zlib.error):
        # A compressed file that is cut: `read_capture` gave what can be had of it, and so does the copy.
        return


def _redacted(path: Path, capture: Capture, by: Redactor) -> Iterator[str]:
    with opened(path) as file:
        if capture.format == HAR:
            yield redacted_har(json.loads(file.read().decode("utf-8-sig", "replace"))["log"]["entries"], by)
            return
        with io.TextIOWrapper(file, encoding=capture.encoding, errors="replace", newline="\n") as stream:
            if capture.format == CONSOLE:
                yield from redacted_log((each for each in scan(read_lines(stream)) if isinstance(each, Record)), by)
            else:
                yield from redacted_jsonl(stream, by)


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
