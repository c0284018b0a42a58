"""Recordings: the events of one session, recorded by an engine, a relay or another program's log.

The file format is JSONL: a header line, one line per event, a closing line. A file truncated after its header is readable.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voicerace.errors import InputError
from voicerace.files import path_of, write_bytes
from voicerace.trace.event import (
    APP_TO_COMPONENT,
    COMPONENT_TO_APP,
    COMPONENT_TO_FORWARDER,
    COMPONENT_TO_PROXY,
    DIRECT_LINKS,
    FORWARDER_LINKS,
    FORWARDER_TO_COMPONENT,
    HOST_LINKS,
    LINKS,
    PROXY_TO_COMPONENT,
    PROXY_TO_UPSTREAM,
    UPSTREAM_LINKS,
    UPSTREAM_TO_PROXY,
    USER_TO_APP,
    WIRES,
    Event,
    Link,
    Payload,
    dump,
    link,
)
from voicerace.trace.gzip_reader import UNPACKED_LIMIT, Progress, Unpacked

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "APP_TO_COMPONENT", "COMPONENT_TO_APP", "COMPONENT_TO_FORWARDER", "COMPONENT_TO_PROXY", "CUT", "DIRECT_LINKS",
    "FORWARDER_LINKS", "FORWARDER_TO_COMPONENT", "HOST_LINKS", "LINKS", "PROXY_TO_COMPONENT",
    "PROXY_TO_UPSTREAM", "SCHEMA", "UPSTREAM_LINKS", "UPSTREAM_TO_PROXY", "USER_TO_APP", "WIRES", "Event", "Link", "Payload",
    "Recording", "iter_recordings", "link", "read_recordings", "write_recordings",
]  # fmt: skip

SCHEMA = 1
CUT = "was cut after"  # Part of the note about a dropped last line.


@dataclass(frozen=True)
class Recording:
    """The events on the observed links of one session.

    Attributes:
        events: events in the order of `Event.seq`.
        provenance: configuration of the session: release, component, scenario, parameters, seed, and the source hashes of the
            programs.
        clock: ``virtual``, ``monotonic`` or ``log``. Times of two recordings are comparable only if one clock measured both.
        observed: observed links. On other links, missing events do not mean that there were none.
        complete: False if the file was truncated or the session was open when the recording stopped.
        notes: number and length of each line that a reader dropped.
    """

    events: tuple[Event, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    clock: str = "virtual"
    observed: tuple[Link, ...] = LINKS
    complete: bool = True
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Describe the recording by its origin, number of events and clock."""
        made = " ".join(str(self.provenance[name]) for name in ("release", "scenario") if name in self.provenance)
        cut = "" if self.complete else ", cut off"
        return f"<Recording {made or 'of unknown origin'}: {len(self.events)} events, {self.clock} clock{cut}>"

    @property
    def without_forwarder(self) -> Recording:
        """The recording without the links between component and forwarder, as a session without a forwarder has it."""
        if not set(self.observed).intersection(FORWARDER_LINKS):
            return self
        # The forwarder's first connection to the proxy is no reconnection.
        first = next((each.seq for each in self.events if each.kind == "open" and each.link == COMPONENT_TO_PROXY), None)
        kept = tuple(event for event in self.events if event.link not in FORWARDER_LINKS and event.seq != first)
        return replace(self, events=kept, observed=tuple(each for each in self.observed if each not in FORWARDER_LINKS))

    def on(self, *links: Link | str) -> tuple[Event, ...]:
        """Return the events on the given links, in order.

        Args:
            links: links, link names (``proxy>upstream``) or pairs of actor names.

        Raises:
            InputError: a link is unknown.
        """
        wanted = {link(each) for each in links}
        return tuple(event for event in self.events if event.link in wanted)

    def ordered(self, actor: str, events: Iterable[Event] | None = None) -> list[Event]:
        """Return events sorted by their time at an actor, and by `Event.seq` at equal times.

        The events of a log keep the order in which the proxy handled them, because the log's clock can jump.

        Args:
            actor: name of the actor, for example ``proxy``.
            events: events to sort. None sorts all events of the recording.
        """
        given = self.events if events is None else events
        if self.clock == "log":
            return sorted(given, key=lambda event: event.seq)
        return sorted(given, key=lambda event: (event.at_ns(actor) or 0, event.seq))

    def observes(self, sender: str, receiver: str) -> bool:
        """Return whether the link from `sender` to `receiver` was observed.

        Raises:
            InputError: the link is unknown.
        """
        return link((sender, receiver)) in self.observed

    def lines(self) -> Iterator[str]:
        """Yield the lines of the JSONL file, without line ends. Equal recordings have equal lines."""
        header: dict[str, Any] = {
            "voicerace_recording": SCHEMA,
            "clock": self.clock,
            "observed": [str(each) for each in self.observed],
            "provenance": self.provenance,
        }
        if self.notes:
            header["notes"] = self.notes
        yield dump(header)
        for event in self.events:
            yield event.line()
        if self.complete:
            yield dump({"end": len(self.events)})

    def write(self, path: Path | str) -> None:
        """Write a JSONL file at `path`."""
        write_recordings(path, [self])

    @classmethod
    def read(cls, path: Path | str) -> Recording:
        """Return the first recording in the JSONL file at `path`. See `read_recordings`."""
        for recording in read_recordings(path):
            return recording
        raise InputError(str(path), "holds no recording", "the first line of one is its header")

    def to_frame(self) -> pd.DataFrame:
        """Return a data frame with one row per event.

        The columns are seq, sender, receiver, kind, type, sent_ns, received_ns, observed_at and payload (JSON). Times are
        nullable Int64 nanoseconds.
        """
        import pandas as pd  # Imported here because the import is slow.

        text = pd.StringDtype("python")  # Arrow strings cannot contain a lone surrogate.
        records = [event.to_json() for event in self.events]
        payloads = [dump({key: each[key] for key in ("json", "binary", "text") if key in each}) for each in records]
        return pd.DataFrame(
            {
                "seq": pd.array([event.seq for event in self.events], dtype="Int64"),
                "sender": pd.array([event.link.sender for event in self.events], dtype="str"),
                "receiver": pd.array([event.link.receiver for event in self.events], dtype="str"),
                "kind": pd.array([event.kind for event in self.events], dtype="str"),
                "type": pd.array([event.type for event in self.events], dtype=text),
                "sent_ns": pd.array([event.sent_ns for event in self.events], dtype="Int64"),
                "received_ns": pd.array([event.received_ns for event in self.events], dtype="Int64"),
                "observed_at": pd.array([event.observed_at for event in self.events], dtype=text),
                "payload": pd.array(payloads, dtype="str"),
            }
        )


def write_recordings(path: Path | str, recordings: Iterable[Recording]) -> None:
    """Write recordings in order into one JSONL file, compressed if its name ends in ``.gz``."""
    path = path_of("path", path)
    text = "".join(line + "\n" for recording in recordings for line in recording.lines()).encode("ascii")
    # A gzip header without a time stamp makes the files of equal recordings equal.
    write_bytes(path, gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)


def read_recordings(path: Path | str) -> list[Recording]:
    """Return all recordings in the JSONL file at `path`, in order. See `iter_recordings`."""
    return list(iter_recordings(path))


def iter_recordings(path: Path | str, progress: Progress | None = None) -> Iterator[Recording]:
    """Yield the recordings in a JSONL file, compressed or not, in order.

    A truncated last line is dropped and reported in `Recording.notes`. An unfinished recording has `complete` False.

    Args:
        path: path of the file.
        progress: called with the number of bytes read and the size of the file in bytes.

    Raises:
        InputError: the file cannot be read or does not start with a header, a line before the last line is invalid, or a
            compressed file decompresses to more than `gzip_reader.UNPACKED_LIMIT` bytes.
    """
    reading = _Reading()
    ahead: tuple[int, str] | None = None
    for number, line in enumerate(_lines(path_of("path", path), progress), start=1):
        if ahead is not None:
            yield from reading.line(*ahead, f"{path}:{ahead[0]}", last=False)
        ahead = number, line
    if ahead is not None:
        yield from reading.line(*ahead, f"{path}:{ahead[0]}", last=True)
    if reading.open is None:
        raise InputError(str(path), "empty", "a recording begins with a header line")
    yield from reading.close()


class _Reading:
    """The state while a JSONL file is read: the current recording and its events so far."""

    def __init__(self) -> None:
        self.open: Recording | None = None
        self.events: list[Event] = []
        self.ended = True  # True before the first header and after a closing line.

    def close(self) -> Iterator[Recording]:
        """Yield the current recording with its events, if there is one, and clear the state."""
        if self.open is not None:
            yield replace(self.open, events=tuple(self.events), complete=self.ended)
        self.open = None
        self.events.clear()

    def line(self, number: int, line: str, where: str, *, last: bool) -> Iterator[Recording]:
        """Process the next line. If the line is a header, yield the recording before it."""
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
                # A truncated line after a closing line is another recording's header, so this recording stays complete.
                note = f"line {number} {CUT} {len(line)} characters and is dropped"
                self.open = replace(self.open, notes=(*self.open.notes, note))
            elif not isinstance(error, InputError):
                raise InputError(where, f"no JSON ({error})", "a recording is JSONL") from None
            elif error.where.startswith(where):
                raise
            else:
                raise InputError(where, f"{error.where}: {error.found}", error.allowed) from None


def _lines(path: Path, progress: Progress | None = None) -> Iterator[str]:
    """Yield the lines of a file without line ends. A truncated compressed file is read up to its end."""
    rest: list[bytes] = []
    try:
        with Unpacked(path, progress, UNPACKED_LIMIT) as file:
            for piece in file.pieces():
                *lines, last = piece.split(b"\n")
                for each in lines:
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
