"""What passed on the links of one session, whoever made it: an engine, a relay or somebody's log.

Times are integer nanoseconds on the recording's own clock. An event keeps the time it was sent and the time it was
received; either may be missing, because a relay or a log sees one place only. JSONL is the file format: a header
line, one line per event, a closing line. A file cut anywhere after its header reads back as what is left of it.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from voicerace.errors import InputError
from voicerace.files import write_bytes
from voicerace.packed import UNPACKED_LIMIT, Progress, Unpacked
from voicerace.values import value

__all__ = [
    "CUT",
    "LINKS",
    "SCHEMA",
    "Event",
    "Link",
    "Payload",
    "Recording",
    "iter_recordings",
    "link",
    "read_recordings",
    "write_recordings",
]

SCHEMA = 1
CUT = "was cut after"  # in the note of a reader that dropped a file's last line

#: JSON messages are mappings, audio frames are bytes, text that is no JSON object stays text.
Payload = Mapping[str, Any] | bytes | str | None


class Link(NamedTuple):
    """One direction between two neighbours."""

    sender: str
    receiver: str

    def __str__(self) -> str:
        return f"{self.sender}>{self.receiver}"


#: Every link of a session. The user and the app are one place and calls inside the host are instant, so only the
#: host link (component, proxy) and the upstream link (proxy, upstream) are wires.
LINKS: tuple[Link, ...] = (
    Link("user", "app"),
    Link("app", "component"),
    Link("component", "app"),
    Link("component", "proxy"),
    Link("proxy", "component"),
    Link("proxy", "upstream"),
    Link("upstream", "proxy"),
)
_LINK_OF_NAME = {str(each): each for each in LINKS}


def link(name: str) -> Link:
    """The link called ``sender>receiver``.

    Raises:
        InputError: there is no such link.
    """
    try:
        return _LINK_OF_NAME[name]
    except KeyError:
        raise InputError("link", f"{name!r} is unknown", f"allowed are {', '.join(_LINK_OF_NAME)}") from None


@value
class Event:
    """One message, the closing of a connection, or a fault, on one link.

    Attributes:
        seq: position in the recording; events of one link stand in the order they were sent.
        link: who sent it to whom.
        kind: ``message``; ``close`` by one of the ends; ``open``: after that, again; ``fault``: not opened, dropped, silence.
        sent_ns: when it left the sender, or None when nobody saw that.
        received_ns: when it reached the receiver, or None when nobody saw that or it never did.
        payload: the message; for a close ``{"code": int | None}``; for a fault ``{"reason": str}``.
        observed_at: where the times were read: ``engine`` (both ends), ``socket`` (our end of a connection with a
            running program; an emulated network delay lies between the two times), ``relay`` (when it came there and
            when it went on), ``log``, ...
    """

    seq: int
    link: Link
    kind: Literal["message", "close", "open", "fault"]
    sent_ns: int | None
    received_ns: int | None
    payload: Payload
    observed_at: str = "engine"

    @property
    def type(self) -> str:
        """The message's type, ``(binary)`` for an audio frame, ``(text)`` for text that is no JSON object."""
        if self.kind != "message":
            return f"({self.kind})"
        if isinstance(self.payload, (dict, Mapping)):
            return str(self.payload.get("type", "(no type)"))
        return "(binary)" if isinstance(self.payload, bytes) else "(text)"

    @property
    def arrived(self) -> bool:
        """False when the far end was watched and nothing came: the connection was closed before."""
        return self.received_ns is not None or self.observed_at not in ("engine", "socket", "relay")

    def at_ns(self, party: str) -> int | None:
        """When the event was at `party`, the nearest known time when that one is missing; None without any."""
        times = (self.sent_ns, self.received_ns) if self.link.sender == party else (self.received_ns, self.sent_ns)
        return times[0] if times[0] is not None else times[1]

    def __reduce__(self) -> tuple[Any, ...]:
        """Events are pickled by the hundred thousand: without the dataclass's own, slower way."""
        return Event, (
            self.seq, self.link, self.kind, self.sent_ns, self.received_ns, self.payload, self.observed_at,
        )  # fmt: skip

    def line(self) -> str:
        """The event as one line of JSONL, without its end."""
        return _dump(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The event as one JSON object, keys in a fixed order."""
        record: dict[str, Any] = {
            "seq": self.seq,
            "link": str(self.link),
            "kind": self.kind,
            "sent_ns": self.sent_ns,
            "received_ns": self.received_ns,
            "observed_at": self.observed_at,
        }
        if isinstance(self.payload, bytes):
            record["binary"] = base64.b64encode(self.payload).decode("ascii")
        elif isinstance(self.payload, str):
            record["text"] = self.payload
        else:
            record["json"] = self.payload
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Event:
        """The event of one parsed line.

        Raises:
            InputError: a field is missing or of the wrong type.
        """
        try:
            kind = record["kind"]
            if kind not in ("message", "close", "open", "fault"):
                raise InputError("kind", f"{kind!r} is unknown", "allowed are message, close, open, fault")
            if "binary" in record:
                payload: Payload = base64.b64decode(record["binary"], validate=True)
            elif "text" in record:
                payload = str(record["text"])
            else:
                payload = record["json"]
            times = (record["sent_ns"], record["received_ns"])
            if any(time is not None and (not isinstance(time, int) or isinstance(time, bool)) for time in times):
                raise InputError("sent_ns, received_ns", f"{times} are no integers", "nanoseconds or null")
            if payload is not None and not isinstance(payload, (dict, bytes, str)):
                raise InputError("json", f"a {type(payload).__name__}", "an object or null")
            return cls(
                seq=int(record["seq"]),
                link=link(record["link"]),
                kind=kind,
                sent_ns=times[0],
                received_ns=times[1],
                payload=payload,
                observed_at=str(record["observed_at"]),
            )
        except KeyError as missing:
            raise InputError("event", f"{missing} is missing") from None
        except (TypeError, ValueError, binascii.Error) as error:
            if isinstance(error, InputError):
                raise
            raise InputError("event", str(error)) from None


@dataclass(frozen=True)
class Recording:
    """All that passed on the observed links of one session.

    Attributes:
        events: in the order of `Event.seq`.
        provenance: who made it, of what: release, component, scenario, parameters, seed, targets by source hash.
        clock: ``virtual``, ``monotonic`` or ``log``; times of two recordings compare only on one clock.
        observed: the links somebody watched. A link that is not here says nothing by its silence.
        complete: False when the file was cut or the session was still open when recording stopped.
        notes: what a reader dropped, and where.
    """

    events: tuple[Event, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    clock: str = "virtual"
    observed: tuple[Link, ...] = LINKS
    complete: bool = True
    notes: tuple[str, ...] = ()

    def on(self, *links: Link) -> tuple[Event, ...]:
        """The events of some links, in order."""
        return tuple(event for event in self.events if event.link in links)

    def observes(self, sender: str, receiver: str) -> bool:
        """Whether somebody watched the link from `sender` to `receiver`."""
        return Link(sender, receiver) in self.observed

    # -- JSONL ---------------------------------------------------------------------------------------------------

    def lines(self) -> Iterator[str]:
        """The recording as JSONL, without line ends; the same bytes for the same recording."""
        header: dict[str, Any] = {
            "voicerace_recording": SCHEMA,
            "clock": self.clock,
            "observed": [str(each) for each in self.observed],
            "provenance": self.provenance,
        }
        if self.notes:
            header["notes"] = self.notes
        yield _dump(header)
        for event in self.events:
            yield event.line()
        if self.complete:
            yield _dump({"end": len(self.events)})

    def write(self, path: Path | str) -> None:
        """Write one JSONL file."""
        write_recordings(path, [self])

    @classmethod
    def read(cls, path: Path | str) -> Recording:
        """The first recording of a JSONL file; see `read_recordings`."""
        for recording in read_recordings(path):
            return recording
        raise InputError(str(path), "holds no recording", "the first line of one is its header")

    # -- pandas --------------------------------------------------------------------------------------------------

    def to_frame(self) -> pd.DataFrame:
        """One row per event: seq, sender, receiver, kind, type, sent_ns, received_ns, observed_at, payload (JSON).

        Times are nullable Int64 nanoseconds. What is not in a row (provenance, clock, ...) travels in ``attrs``.
        """
        records = [event.to_json() for event in self.events]
        frame = pd.DataFrame(
            {
                "seq": pd.array([event.seq for event in self.events], dtype="Int64"),
                "sender": pd.array([event.link.sender for event in self.events], dtype="str"),
                "receiver": pd.array([event.link.receiver for event in self.events], dtype="str"),
                "kind": pd.array([event.kind for event in self.events], dtype="str"),
                # Not Arrow's text, which has no place for half a surrogate pair in somebody's message.
                "type": pd.array([event.type for event in self.events], dtype=pd.StringDtype("python")),
                "sent_ns": pd.array([event.sent_ns for event in self.events], dtype="Int64"),
                "received_ns": pd.array([event.received_ns for event in self.events], dtype="Int64"),
                "observed_at": pd.array([event.observed_at for event in self.events], dtype=pd.StringDtype("python")),
                "payload": pd.array(
                    [_dump({key: record[key] for key in ("json", "binary", "text") if key in record})
                     for record in records],
                    dtype="str",
                ),
            }
        )  # fmt: skip
        frame.attrs["voicerace"] = {
            "clock": self.clock,
            "observed": [str(each) for each in self.observed],
            "provenance": dict(self.provenance),
            "complete": self.complete,
            "notes": list(self.notes),
        }
        return frame

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Recording:
        """The recording of a frame made by `to_frame`.

        Raises:
            InputError: a column or the frame's attrs are missing.
        """
        try:
            attrs = frame.attrs["voicerace"]
            rows: list[dict[str, Any]] = frame.astype(object).to_dict("records")  # type: ignore[assignment]
            events = tuple(
                Event.from_json(
                    {
                        "seq": int(row["seq"]),
                        "link": f"{row['sender']}>{row['receiver']}",
                        "kind": row["kind"],
                        "sent_ns": None if pd.isna(row["sent_ns"]) else int(row["sent_ns"]),
                        "received_ns": None if pd.isna(row["received_ns"]) else int(row["received_ns"]),
                        "observed_at": row["observed_at"],
                        **json.loads(row["payload"]),
                    }
                )
                for row in rows
            )
        except KeyError as missing:
            raise InputError("frame", f"{missing} is missing", "columns and attrs as made by Recording.to_frame") from None
        return cls(
            events=events,
            provenance=attrs["provenance"],
            clock=attrs["clock"],
            observed=tuple(link(name) for name in attrs["observed"]),
            complete=attrs["complete"],
            notes=tuple(attrs["notes"]),
        )


def write_recordings(path: Path | str, recordings: Iterable[Recording]) -> None:
    """Write recordings one behind the other into one JSONL file, compressed when its name ends in ``.gz``."""
    text = "".join(line + "\n" for recording in recordings for line in recording.lines()).encode("ascii")
    # No time stamp in a compressed file: the same recordings are the same bytes.
    write_bytes(Path(path), gzip.compress(text, mtime=0) if Path(path).suffix == ".gz" else text)


def read_recordings(path: Path | str) -> list[Recording]:
    """All recordings of a JSONL file, in order; see `iter_recordings`."""
    return list(iter_recordings(path))


def iter_recordings(path: Path | str, progress: Progress | None = None) -> Iterator[Recording]:
    """The recordings of a JSONL file, compressed or not, in order, one at a time.

    A last line that was cut is dropped and reported in `Recording.notes`; the rest is kept and `complete` is False.

    Args:
        path: the file.
        progress: is told how many of the file's bytes were read, and of how many.

    Raises:
        InputError: the file cannot be read, does not begin with a header, a line before the last is broken, or it is a
            compressed file of more than `packed.UNPACKED_LIMIT` bytes.
    """
    reading = _Reading()
    ahead: tuple[int, str] | None = None
    for number, line in enumerate(_lines(Path(path), progress), start=1):
        if ahead is not None:
            yield from reading.line(*ahead, f"{path}:{ahead[0]}", last=False)
        ahead = number, line
    if ahead is not None:
        yield from reading.line(*ahead, f"{path}:{ahead[0]}", last=True)
    if reading.open is None:
        raise InputError(str(path), "empty", "a recording begins with a header line")
    yield from reading.close()


class _Reading:
    """The recording whose lines are being read."""

    def __init__(self) -> None:
        self.open: Recording | None = None
        self.events: list[Event] = []
        self.ended = True  # no recording is open: none began, or the last one had its closing line

    def close(self) -> Iterator[Recording]:
        """The recording read so far, with its events."""
        if self.open is not None:
            yield replace(self.open, events=tuple(self.events), complete=self.ended)
        self.open = None
        self.events.clear()

    def line(self, number: int, line: str, where: str, *, last: bool) -> Iterator[Recording]:
        """One more line; a recording that it ends."""
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise InputError(where, f"a {type(record).__name__}", "every line is a JSON object")
            if "voicerace_recording" in record:
                header = _header(record, where)
                yield from self.close()
                self.open, self.ended = header, False
            elif self.ended:
                raise InputError(where, "no header", "a recording begins with a line that has voicerace_recording")
            elif "end" in record:
                if record["end"] != len(self.events):
                    raise InputError(where, f"{record['end']!r} events announced, {len(self.events)} found")
                self.ended = True
            else:
                self.events.append(Event.from_json(record))
        except (ValueError, RecursionError) as error:
            if last and self.open is not None and not isinstance(error, InputError):
                # Behind a closing line it was the header of one more recording that was cut.
                note = f"line {number} {CUT} {len(line)} characters and is dropped"
                self.open = replace(self.open, notes=(*self.open.notes, note))
            elif not isinstance(error, InputError):
                raise InputError(where, f"no JSON ({error})", "a recording is JSONL") from None
            elif error.where.startswith(where):
                raise
            else:
                raise InputError(where, f"{error.where}: {error.found}", error.allowed) from None


def _lines(path: Path, progress: Progress | None = None) -> Iterator[str]:
    """The file's lines without their ends; a compressed file that was cut gives what can be had of it."""
    rest: list[bytes] = []
    try:
        with Unpacked(path, progress, UNPACKED_LIMIT) as file:
            for piece in file.pieces():
                *whole, last = piece.split(b"\n")
                for each in whole:
                    rest.append(each)
                    yield b"".join(rest).decode("utf-8", "replace")
                    rest.clear()
                rest.append(last)
    except OSError as error:
        raise InputError(str(path), error.strerror or "cannot be read") from None
    if left := b"".join(rest):
        yield left.decode("utf-8", "replace")


def _header(record: Mapping[str, Any], where: str) -> Recording:
    version = record["voicerace_recording"]
    if version != SCHEMA:
        raise InputError(where, f"recording schema {version!r}", f"this version reads {SCHEMA}")
    try:
        return Recording(
            events=(),
            provenance=dict(record["provenance"]),
            clock=str(record["clock"]),
            observed=tuple(link(name) for name in record["observed"]),
            complete=False,
            notes=tuple(str(note) for note in record.get("notes", ())),
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(where, f"header: {error} is missing or wrong") from None


# ASCII only: a lone surrogate in somebody's text must not make a file that cannot be written or read.
_dump = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
