"""Read a file as a `Capture`: the proxy's console log, a browser's HAR, a cassette, or voicerace recordings.

A file of any other format raises InputError. A damaged file is read as far as possible, and its unreadable parts are
reported. Sessions are read one by one and stored on disk to limit memory.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from voicerace.captures.allowed import is_own_error, known_note
from voicerace.captures.cassette import is_cassette, read_cassette
from voicerace.captures.disk_list import DiskBackedList
from voicerace.captures.har import is_har, read_har
from voicerace.captures.log_scanner import Unread
from voicerace.captures.log_sessions import log_sessions, read_log
from voicerace.captures.session_summary import NAME_LIMIT, CapturedSession, Names, capture_session
from voicerace.errors import InputError
from voicerace.experiments.checksums import listed, refuse_damaged
from voicerace.model.catalog.releases import ProxyRelease, proxy_release
from voicerace.scrubber import printable
from voicerace.trace.gzip_reader import UNPACKED_LIMIT, Unpacked
from voicerace.trace.recording import CUT, Recording, iter_recordings

__all__ = [
    "CASSETTE", "CONSOLE", "HAR", "JSONL", "Capture", "Progress", "bounded", "har_bytes", "nothing_in", "read_capture",
    "recognised",
]  # fmt: skip

CONSOLE: Final = "console log"
JSONL: Final = "jsonl recording"
HAR: Final = "har"
CASSETTE: Final = "websocket cassette"
_HAR_LIMIT: Final = 512 << 20
_RECORDINGS: Final = "recordings"
_ALLOWED: Final = "the proxy's console log, a HAR file, a WebSocket cassette (YAML), a recording (JSONL), or a run's folder"
#: Text that every release of the proxy prints at its start, at any log level.
_LISTENS: Final = b"OpenAI proxy listening"
_HEAD: Final = 1 << 16
#: Function that is called with the activity ("reading" bytes or files, or "deriving" sessions), the amount done, and the total.
Progress: TypeAlias = Callable[[str, int, int], object]
_LONGEST_NS: Final = 1 << 63


@dataclass(frozen=True)
class Capture:
    """The content of one file.

    Attributes:
        name: printable name of the file, without its folder.
        format: `CONSOLE`, `HAR`, `CASSETTE` or `JSONL`.
        records: number of log records of a console log, or of events in any other format.
        sessions: sessions in the order of their first records. Each access may load a new object from disk.
        unread: parts of the file that could not be read.
        encoding: text encoding of the file.
    """

    name: str
    format: str
    records: int
    sessions: Sequence[CapturedSession]
    unread: tuple[Unread, ...]
    encoding: str = "utf-8-sig"

    @property
    def unread_records(self) -> int:
        return sum(each.records for each in self.unread)


def read_capture(path: Path | str, release: str | None = None, progress: Progress | None = None) -> Capture:
    """Read a capture of any format, or all recordings in a run's folder as one capture.

    Args:
        path: file or folder.
        release: the proxy's release; None infers it from the capture.
        progress: function that is called during reading, see `Progress`.

    Raises:
        InputError: the file is missing, unreadable, empty, binary, or of an unknown format.
    """
    where, path = printable(str(path), 200), Path(path)
    row = None if release is None else proxy_release(release)
    if _is_folder(path):
        return _folder(path, row, progress)
    name = printable(path.name, 200)
    with recognised(path, progress) as (kind, encoding, file):
        if kind == JSONL:
            return _recordings(path, row, progress)
        if kind == HAR:
            return _har(name, har_bytes(path, file), where)
        if kind == CASSETTE:
            return _cassette(name, file, where)
        silent = _LISTENS in file.peek(_HEAD)
        # Only \n ends a line, because texts in records can contain other line separators.
        with io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="\n") as stream:
            log = read_log(stream)
        if isinstance(file.raw, Unpacked) and file.raw.cut:
            log.miss(Unread(log.last_line + 1, log.last_line + 1, "the compressed file is cut or damaged here"))
    if not log and not log.unread:
        raise nothing_in(path, silent=silent)
    sessions = log_sessions(log, row, None if progress is None else partial(progress, "deriving"))
    return Capture(name, CONSOLE, log.records, sessions, tuple(log.unread), encoding)


@contextmanager
def recognised(path: Path, progress: Progress | None = None) -> Iterator[tuple[str, str, io.BufferedReader[Unpacked]]]:
    """Open a capture, and yield its format, its text encoding, and a reader of its decompressed bytes.

    Raises:
        InputError: the file cannot be read, or its format is unknown.
    """
    where = printable(str(path), 200)
    try:
        raw = Unpacked(path, None if progress is None else partial(progress, "reading"))
    except ValueError:
        raise InputError(where, "not a file name", _ALLOWED) from None
    except OSError as error:
        raise InputError(where, error.strerror or "cannot be read", _ALLOWED) from None
    try:
        with io.BufferedReader(raw, _HEAD) as file:
            head = file.peek(_HEAD)[:_HEAD]
            encoding = _encoding(head)
            if not head.strip():
                raise InputError(where, "empty", _ALLOWED)
            if head.lstrip().startswith(b'{"voicerace_recording"'):
                raw.limit = UNPACKED_LIMIT
                yield JSONL, encoding, file
            elif is_har(head):
                yield HAR, encoding, file
            elif is_cassette(head):
                raw.limit = UNPACKED_LIMIT
                yield CASSETTE, encoding, file
            elif _is_binary(head, encoding):
                raise InputError(where, "a binary file", _ALLOWED)
            else:
                yield CONSOLE, encoding, file
    except InputError as error:  # the error may contain unprintable text from the path
        raise InputError(printable(error.where, 300), printable(error.found, 300), error.allowed) from None
    except OSError as error:
        raise InputError(where, error.strerror or "cannot be read", _ALLOWED) from None


def har_bytes(path: Path, file: io.BufferedReader[Unpacked]) -> bytes:
    """Return all bytes of a HAR, decompressed. The size is counted before bytes are stored, because a small compressed file can
    exceed the memory.

    Raises:
        InputError: the HAR is larger than 512 MB.
    """
    size = 0
    if path.is_file():  # a pipe can be read only once
        with Unpacked(path) as counted:
            for piece in counted.pieces():
                size += len(piece)
                if size > _HAR_LIMIT:
                    break
    data = b"" if size > _HAR_LIMIT else file.read(_HAR_LIMIT + 1)
    if max(size, len(data)) > _HAR_LIMIT:
        found = f"a HAR of more than {_HAR_LIMIT >> 20} MB"
        raise InputError(printable(str(path), 200), found, "an export of the WebSocket connection alone")
    return data


def nothing_in(path: Path, *, silent: bool = False) -> InputError:
    """Return the error for a file without records; `silent` tells whether the proxy wrote the file."""
    if silent:
        found = "the proxy's output without a log record: LOG_LEVEL is not set, or too high"
        return InputError(printable(str(path), 200), found, "LOG_LEVEL=info or debug")
    return InputError(printable(str(path), 200), "no log record and no recording", _ALLOWED)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except ValueError:  # not a file name
        return False


def _har(name: str, data: bytes, where: str) -> Capture:
    """Return the sessions of a HAR as a capture."""
    found, others = read_har(data, where)
    limits = [
        "A browser does not see the link between proxy and API: response.create, session.update and the outcome are unknown.",
        "A refusal is visible only if the proxy forwards it to the host; from 50420ee on it does not.",
        "Times are the browser's: delays exclude the network, and a gap is visible only if response.done is forwarded.",
    ]
    if others:
        limits.append(f"{others} other WebSocket connections of the file were left out.")
    names = Names()
    sessions = tuple(
        capture_session(
            names.unique(each.name),
            each.recording,
            cannot_say=[*limits, *each.recording.notes],
            unread_records=each.unread,
            line=partial(_line_of, each.first - 1),
        )
        for each in found
    )
    unread = tuple(Unread(each.first, each.first, "frames that cannot be read", each.unread) for each in found if each.unread)
    return Capture(name, HAR, sum(len(each.recording.events) for each in found), sessions, unread)


def _cassette(name: str, file: io.BufferedReader[Unpacked], where: str) -> Capture:
    """Return the session of a WebSocket cassette as a capture."""
    found = read_cassette(file, where)
    session = capture_session(
        printable(name, NAME_LIMIT),
        found.recording,
        cannot_say=[*found.limitations, *found.recording.notes],
        unread_records=sum(each.records for each in found.unread),
        line=found.lines.__getitem__,
    )
    return Capture(name, CASSETTE, len(found.recording.events), (session,), found.unread)


def _folder(path: Path, release: ProxyRelease | None, progress: Progress | None) -> Capture:
    """Return the recordings in a run's folder, sorted by file name, as one capture; unreadable files are in `unread`."""
    inside = path / _RECORDINGS if (path / _RECORDINGS).is_dir() else path
    files = sorted(each for each in inside.iterdir() if each.name.endswith((".jsonl", ".jsonl.gz")))
    if not files:
        raise InputError(printable(str(path), 200), "a folder without recordings", _ALLOWED)
    names = Names()
    sessions: DiskBackedList[CapturedSession] = DiskBackedList()
    records, unread, refused = 0, [], []
    known = listed(path)  # read after the file list, because a checksum is stored before its file
    for number, file in enumerate(files, start=1):
        try:
            if known is not None:
                refuse_damaged(path, known, f"{_RECORDINGS}/{file.name}")
            found = _recordings(file, release)
        except InputError as error:
            refused.append(error)
            # Any other error may quote untrusted text of the file.
            reason = error.found if is_own_error(error.found) else "no recording that can be read"
            unread.append(Unread(0, 0, printable(f"{file.name}: {reason}", 300)))
            continue
        for each in found.sessions:
            sessions.append(replace(each, connection=names.unique(f"{file.name}: {each.connection}")))
        records += found.records
        unread += found.unread
        if progress is not None:
            progress("reading", number, len(files))
    if len(refused) == len(files):
        raise refused[0]
    return Capture(printable(path.name, 200), JSONL, records, sessions, tuple(unread))


def _recordings(path: Path, release: ProxyRelease | None, progress: Progress | None = None) -> Capture:
    """Return the recordings in a JSONL file of voicerace as a capture."""
    names = Names()
    sessions: DiskBackedList[CapturedSession] = DiskBackedList()
    records, header = 0, 1
    unread: tuple[Unread, ...] = ()
    try:
        for each in iter_recordings(path, None if progress is None else partial(progress, "reading")):
            bounded(each, path)
            sessions.append(_recording(names, len(sessions) + 1, each, header, release))
            records += len(each.events)
            # A recording has a header, one line per event, and an end line if it is complete.
            header += 1 + len(each.events) + each.complete
            if any(CUT in note for note in each.notes):
                unread = (Unread(header, header, "a line that is cut before its end"),)
    except InputError as error:  # the error may contain unprintable text from the file
        raise InputError(printable(error.where, 300), printable(error.found, 300), error.allowed) from None
    return Capture(printable(path.name, 200), JSONL, records, sessions, unread)


def bounded(recording: Recording, path: Path) -> None:
    """Raise an error if a time of a recording needs more than 63 bits.

    Raises:
        InputError: a time is too large.
    """
    times = (at for event in recording.events for at in (event.sent_ns, event.received_ns))
    if any(abs(at) > _LONGEST_NS for at in times if at is not None):
        raise InputError(str(path), "a time of more than 63 bits", "times are nanoseconds")


def _recording(names: Names, number: int, of: Recording, header: int, release: ProxyRelease | None) -> CapturedSession:
    """Return the session of one recording as a capture; `header` is the line number of the recording's header."""
    given = of.provenance.get("connection")
    return capture_session(
        names.unique(given if isinstance(given, str) else f"recording {number}"),
        of,
        cannot_say=[known_note(note) for note in of.notes if CUT not in note],
        unread_records=sum(CUT in note for note in of.notes),
        line=partial(_line_of, header),
        release=release,
    )


def _line_of(header: int, seq: int) -> int:
    return header + 1 + seq


def _encoding(head: bytes) -> str:
    """Return the text encoding: UTF-16 if `head` has its byte order mark, which Windows shells write, else UTF-8."""
    return "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"


def _is_binary(head: bytes, encoding: str) -> bool:
    """Return whether more than 10 % of the characters are undecodable or control characters that consoles do not print."""
    text = head.decode(encoding, errors="replace")
    odd = sum(each == "�" or (each < " " and each not in "\t\n\r\x1b\b\f") for each in text)
    return odd * 10 > len(text)
