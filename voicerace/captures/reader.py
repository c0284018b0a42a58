"""A file somebody recorded -> `Capture`: the proxy's console log, or a recording of our own.

A file that holds neither is bad input and ends in one line. A damaged one is read as far as it goes, and what could
not be read is counted and located.
"""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, TypeAlias

from voicerace.captures.console import Record, Unread, read_lines, scan
from voicerace.captures.facts import CapturedSession, capture_session, printable
from voicerace.captures.har import is_har, read_har
from voicerace.captures.proxy_log import LoggedSession, ProxyLog
from voicerace.captures.release_of import Told, told
from voicerace.errors import InputError
from voicerace.recording import CUT, read_recordings
from voicerace.tables.releases import ProxyRelease, proxy_release

__all__ = ["CONSOLE", "HAR", "JSONL", "Capture", "opened", "read_capture"]

CONSOLE: Final = "console log"
JSONL: Final = "jsonl recording"
HAR: Final = "har"
_HAR_LIMIT: Final = 512 << 20
_RECORDINGS: Final = "recordings"
_ALLOWED: Final = "the proxy's console log, a HAR file, a recording (JSONL), or a run's folder"
_NOTHING: Final = "no log record and no recording in it"
#: What every release prints when it is up, whatever the level.
_LISTENS: Final = b"OpenAI proxy listening"
_HEAD: Final = 1 << 16
#: Bytes read, and bytes of the file.
Progress: TypeAlias = Callable[[int, int], None]
_LONGEST_NS: Final = 1 << 63


@dataclass(frozen=True)
class Capture:
    """What one file holds.

    Attributes:
        name: the file's name, without its folder, printable.
        format: `CONSOLE` or `JSONL`.
        records: log records that were read, or events of the recordings.
        sessions: in the order of their first records.
        unread: what could not be read, and where.
        encoding: of the file's text.
    """

    name: str
    format: str
    records: int
    sessions: tuple[CapturedSession, ...]
    unread: tuple[Unread, ...]
    encoding: str = "utf-8-sig"

    @property
    def unread_records(self) -> int:
        return sum(each.records for each in self.unread)


def read_capture(path: Path | str, release: str | None = None, progress: Progress | None = None) -> Capture:
    """Read a capture, whatever made it; of a run's folder, all its recordings.

    Args:
        path: the file or folder.
        release: the proxy's release, where the user knows it; without it, it follows from the capture.
        progress: is told how many bytes of a log were read, and of how many.

    Raises:
        InputError: there is no such file, it is empty or binary, or it holds nothing of either format.
    """
    where = printable(str(path), 200)
    row = None if release is None else proxy_release(release)
    if Path(path).is_dir():
        return _folder(Path(path), row)
    try:
        with opened(Path(path), progress) as file:
            head = file.peek(_HEAD)[:_HEAD]
            if not head.strip():
                raise InputError(where, "empty", _ALLOWED)
            if head.lstrip().startswith(b'{"voicerace_recording"'):
                return _recordings(Path(path), row)
            if is_har(head):
                return _har(printable(Path(path).name, 200), file.read(_HAR_LIMIT + 1), where)
            encoding = _encoding(head)
            if _is_binary(head, encoding):
                raise InputError(where, "a binary file", _ALLOWED)
            # Lines end at \n only: a text may hold any other separator unescaped.
            with io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="\n") as stream:
                capture = replace(_log(printable(Path(path).name, 200), stream, row), encoding=encoding)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(where, getattr(error, "strerror", None) or "cannot be read", _ALLOWED) from None
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(where, "no name of a file", _ALLOWED) from None
    if not capture.sessions and not capture.unread:
        silent = _LISTENS in head
        found = "the proxy's output without a log record: LOG_LEVEL was not set, or let nothing through" if silent else _NOTHING
        raise InputError(where, found, "LOG_LEVEL=info or debug" if silent else _ALLOWED)
    return capture


class _Counted(io.FileIO):
    """A file that tells how far it was read."""

    def __init__(self, path: Path, progress: Progress | None) -> None:
        super().__init__(path)
        self._progress = progress
        self._size = os.fstat(self.fileno()).st_size
        self._done = 0

    def readinto(self, buffer: Any) -> int | None:
        found = super().readinto(buffer)
        self._done += found or 0
        if self._progress is not None:
            self._progress(self._done, self._size)
        return found


@contextmanager
def opened(path: Path, progress: Progress | None = None) -> Iterator[io.BufferedReader[Any]]:
    """A file's bytes, unpacked when it is compressed."""
    raw: io.RawIOBase = _Counted(path, progress)
    with io.BufferedReader(raw, _HEAD) as file:
        if file.peek(2)[:2] != b"\x1f\x8b":
            yield file
            return
        with gzip.GzipFile(fileobj=file) as unpacked, io.BufferedReader(unpacked, _HEAD) as inner:
            yield inner


def _log(name: str, stream: io.TextIOWrapper, release: ProxyRelease | None) -> Capture:
    """The sessions of a console log."""
    log = ProxyLog()
    for each in scan(read_lines(stream)):
        if isinstance(each, Record):
            log.feed(each)
        else:
            log.miss(each)
    logged = log.sessions()
    names = _unique([each.connection for each in logged])
    sessions = tuple(
        capture_session(
            name_of,
            each.recording,
            cannot_say=_unsaid(each, said),
            unread_records=each.unread,
            hidden=each.hidden,
            updates_logged=each.updates_logged,
            told=said,
            line=partial(_line, each.places),
        )
        for name_of, each, said in zip(names, logged, told(logged, release), strict=True)
    )
    return Capture(name, CONSOLE, log.records, sessions, tuple(log.unread))


def _line(places: Sequence[tuple[int, int]], seq: int) -> int:
    return places[seq][0] if 0 <= seq < len(places) else 0


def _unsaid(of: LoggedSession, said: Told) -> list[str]:
    """What the proxy's log never shows, and what this one does not."""
    unsaid = [
        "The response.create behind results and user texts is not logged: their number is derived from the release's model.",
        "What the proxy sends to the host is not logged: what the host was told is derived from the release's model.",
    ]
    if not said.candidates:
        unsaid.append("No release's model fits this log: nothing is derived from one.")
    elif len(said.candidates) > 1:
        unsaid.append(f"The log does not name the release: {', '.join(said.candidates)} would have written the same.")
    if not said.flag_agreed:
        unsaid.append("Whether the flag was cleared before response.done depends on which of these it is: give --release.")
    if said.derived is not None:
        unsaid += [f"Taken for granted: {each}." for each in said.derived.assumed]
    if not of.updates_logged:
        unsaid.append("Call ids and results are not logged: a result sent twice shows only where there are more than calls.")
    if of.elided:
        unsaid.append(f"{of.elided} payloads were cut in the log.")
    if not of.begun:
        unsaid.append("The log does not have the connection's beginning.")
    if of.quiet:
        unsaid.append("Only errors are logged: messages are not, and from 0.10.3 on a refusal is no error to the log.")
    unsaid += [f"Damaged, or mixed up: {each}. No count is certain." for each in of.doubts]
    if of.unread:
        unsaid.append(f"{of.unread} unread records are, or may be, this connection's: what is not seen may have happened.")
    return unsaid


def _har(name: str, data: bytes, where: str) -> Capture:
    """The sessions of a browser's HAR file."""
    if len(data) > _HAR_LIMIT:
        raise InputError(where, f"a HAR of more than {_HAR_LIMIT >> 20} MB", "an export of the WebSocket connection alone")
    found, others = read_har(data, where)
    unsaid = [
        "The browser does not see what passes between proxy and upstream: creates, session.update and the outcome are unknown.",
        "A refusal shows only where the proxy tells the host; from 50420ee on it does not.",
        "Times are the browser's: a delay has no network in it, and a gap shows only where response.done is handed on.",
    ]
    if others:
        unsaid.append(f"{others} other WebSocket connections of the file were left out.")
    sessions = tuple(
        capture_session(
            unique,
            each.recording,
            cannot_say=[*unsaid, *each.recording.notes],
            unread_records=each.unread,
            line=partial(_line_of, each.first - 1),
        )
        for unique, each in zip(_unique([each.name for each in found]), found, strict=True)
    )
    unread = tuple(Unread(each.first, each.first, "frames that cannot be read", each.unread) for each in found if each.unread)
    return Capture(name, HAR, sum(len(each.recording.events) for each in found), sessions, unread)


def _folder(path: Path, release: ProxyRelease | None) -> Capture:
    """The recordings of a run's folder, in the order of their names, as one capture."""
    inside = path / _RECORDINGS if (path / _RECORDINGS).is_dir() else path
    files = sorted(each for each in inside.iterdir() if each.name.endswith((".jsonl", ".jsonl.gz")))
    if not files:
        raise InputError(printable(str(path), 200), "a folder without recordings", _ALLOWED)
    each = [_recordings(file, release) for file in files]
    names = _unique([f"{file.name}: {of.connection}" for file, found in zip(files, each, strict=True) for of in found.sessions])
    sessions = [of for found in each for of in found.sessions]
    return Capture(
        printable(path.name, 200),
        JSONL,
        sum(found.records for found in each),
        tuple(replace(of, connection=name) for of, name in zip(sessions, names, strict=True)),
        tuple(cut for found in each for cut in found.unread),
    )


def _recordings(path: Path, release: ProxyRelease | None) -> Capture:
    """The sessions of a JSONL file of ours."""
    try:
        recordings = read_recordings(path)
        times = [time for each in recordings for event in each.events for time in (event.sent_ns, event.received_ns)]
        if any(time is not None and abs(time) > _LONGEST_NS for time in times):
            raise OverflowError
    except InputError as error:  # it may quote the file
        raise InputError(printable(error.where, 300), printable(error.found, 300), error.allowed) from None
    except OverflowError:
        raise InputError(printable(str(path), 200), "a number beyond all bounds", "times are nanoseconds") from None
    given = [each.provenance.get("connection") for each in recordings]
    names = [each if isinstance(each, str) else f"recording {i}" for i, each in enumerate(given, start=1)]
    cut = any(CUT in note for note in recordings[-1].notes)
    # A header, a line per event, a closing line unless it was cut.
    begins = [1, *accumulate((2 + len(each.events) - (not each.complete) for each in recordings), initial=1)][1:]
    sessions = tuple(
        capture_session(
            name,
            each,
            cannot_say=[printable(note, 300) for note in each.notes if CUT not in note],
            unread_records=sum(CUT in note for note in each.notes),
            line=partial(_line_of, first),
            release=release,
        )
        for name, each, first in zip(_unique(names), recordings, begins, strict=False)
    )
    unread: tuple[Unread, ...] = ()
    if cut:
        with path.open("rb") as file:
            last = sum(1 for _ in file)
        unread = (Unread(last, last, "a line that is cut before its end"),)
    events = sum(len(each.events) for each in recordings)
    return Capture(printable(path.name, 200), JSONL, events, sessions, unread)


def _line_of(header: int, seq: int) -> int:
    return header + 1 + seq


def _unique(names: list[str]) -> list[str]:
    """Names for people: printable, and numbered where a file has one name twice."""
    seen: Counter[str] = Counter()
    unique = []
    for name in map(printable, names):
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return unique


def _encoding(head: bytes) -> str:
    """UTF-8, or UTF-16 where a mark says so: a Windows shell redirects into that."""
    return "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"


def _is_binary(head: bytes, encoding: str) -> bool:
    """Whether a file's beginning is no text: one character in ten is broken or a control that no console prints."""
    text = head.decode(encoding, errors="replace")
    odd = sum(each == "�" or (each < " " and each not in "\t\n\r\x1b\b\f") for each in text)
    return odd * 10 > len(text)
