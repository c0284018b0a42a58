"""Convert the proxy's log records into one `Recording` per connection.

The meaning of the records is from the proxy's source at the tags 0.9.0 to 0.11.1 and from its output:

- ``client → upstream``: the proxy handles a host message. Messages that arrive before the upstream is open are logged
  later. From 0.10.5, a user text that was queued until session.updated is logged twice; the two records count as one message.
- ``upstream → client``: an upstream event arrived. The proxy may or may not forward it. Events after the host's close are not
  logged. A second record can contain an error's text, or the payload of an item (0.10.0 on) or of an unknown event.
- Sends to the upstream are logged for audio and ``input_audio_buffer.commit + response.create``, from 0.10.0 for
  ``session.update`` and the item of a result, and from 0.10.3 for the timer's response.create. **The response.create after a
  result or a user text is never logged.** Messages to the host are not logged either, so the links from the proxy are not
  observed.

Payloads contain only logged fields, in most cases only the type. An error's message can look like the body of any record, so
attributes of a record are checked before its body.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from voicerace.captures.fingerprints import fingerprints_of
from voicerace.captures.integrity import clear_doubts, doubts_of, missing
from voicerace.captures.log_records import LOGGED_LATER, RECORD_KEYS, YEAR_2100_US, RecordKind, logged_payload, record_of
from voicerace.captures.log_scanner import Record, Unread
from voicerace.captures.logged import Connections, LoggedConnection, LoggedSession, UnreadRanges
from voicerace.captures.node_inspect import CutText, Value
from voicerace.model.protocol import input_audio, realtime
from voicerace.trace.recording import COMPONENT_TO_PROXY, PROXY_TO_UPSTREAM, UPSTREAM_TO_PROXY, Event, Link, Recording
from voicerace.units import iso_utc

__all__ = ["LoggedSession", "ProxyLog"]

#: Maximum number of unread ranges in a session's notes: of its own connection, and of unknown connections.
_NOTED: Final = 20


@dataclass(frozen=True, slots=True)
class _Head:
    """The fields that every record of the proxy has; `name` is the name of the record's connection."""

    name: str
    time_us: int
    body: str
    attributes: Mapping[str, Value]


class ProxyLog:
    """Collects the records of one file in the order of their lines, and converts them into sessions after the last line."""

    def __init__(self) -> None:
        self.records = 0
        self.last_line = 0
        self.unread: list[Unread] = []
        self.marks: set[str] = set()
        self._start_us: int | None = None
        self._connections = Connections()
        self._current: dict[str, int] = {}
        self._owners: dict[str, int] = {}

    def miss(self, unread: Unread) -> None:
        """Store a range of unread lines, merged with an adjacent range of the same reason and connection."""
        self.last_line = max(self.last_line, unread.line_last)
        last = self.unread[-1] if self.unread else None
        if last is not None and (last.reason, last.connection, last.line_last + 1) == (
            unread.reason, unread.connection, unread.line_first,
        ):  # fmt: skip
            merged = replace(last, line_last=unread.line_last, records=last.records + unread.records)
            self.unread[-1] = merged
        else:
            self.unread.append(unread)

    def feed(self, record: Record) -> None:
        """Add the next record to its connection, or store it as unread."""
        self.last_line = record.line_last
        if record.fields and not RECORD_KEYS.intersection(record.fields):
            return  # an object that another program printed
        head = _head(record.fields)
        if isinstance(head, str):
            self.miss(Unread(record.line_first, record.line_last, head))
            return
        self._start_us = head.time_us if self._start_us is None else self._start_us
        number, connection = self._connection(head, record)
        known = len(connection.events)
        reason = self._take(connection, head, (head.time_us - self._start_us) * 1000)
        connection.event_lines += [(record.line_first, record.line_last)] * (len(connection.events) - known)
        if reason is not None:
            self.miss(Unread(record.line_first, record.line_last, reason, 1, connection.name))
            return
        self.records += 1
        for mark in fingerprints_of(record.fields, head.body, head.attributes):
            connection.marks.setdefault(mark, record.line_first)
        self.marks.update(connection.marks)
        for doubt in doubts_of(connection, head.time_us, head.body, head.attributes, connection.events[known:]):
            connection.doubts.setdefault(doubt, record.line_first)
        if isinstance(trace := head.attributes.get("trace_id"), str):
            owner = self._owners.setdefault(trace, number)
            if owner != number and not connection.begun:
                # If the connection's name is damaged, the record belongs to the connection with this trace id.
                for each in (self._connections.use(owner), connection):
                    each.doubts.setdefault(
                        "a record of a connection without a beginning has the same trace id", record.line_first
                    )
        connection.previous = (head.time_us, head.body, head.attributes)
        self._connections.evict()

    def __len__(self) -> int:
        """Return the number of connections."""
        return len(self._connections)

    def sessions(self) -> Iterator[LoggedSession]:
        """Yield the sessions in the order of their first records."""
        unread: dict[str | None, list[Unread]] = {}
        for each in self.unread:
            unread.setdefault(each.connection, []).append(each)
        ranges = {name: UnreadRanges(of) for name, of in unread.items()}
        last = max((each.line_last for each in self.unread), default=0)
        for connection in self._connections:
            yield self._session(connection, ranges, last)

    # -- one record ----------------------------------------------------------------------------------------------------

    def _connection(self, head: _Head, record: Record) -> tuple[int, LoggedConnection]:
        """Return (number, connection) for a record, and update the connection's last line and time.

        ``client connected`` adds a new connection, even if its name is in use, since a restarted proxy reuses names.
        """
        begins = head.body == "client connected" and head.attributes.get("direction") == "client"
        number = self._current.get(head.name)
        if number is None or begins:
            connection = LoggedConnection(head.name, record.line_first, head.time_us, begun=begins, last_us=head.time_us)
            number = self._current[head.name] = self._connections.add(connection)
        else:
            connection = self._connections.use(number)
        if head.time_us < connection.last_us:
            connection.doubts.setdefault("a time before that of the previous record", record.line_first)
        connection.last_line, connection.last_us = record.line_last, head.time_us
        severity = record.fields.get("severityNumber")
        connection.info = connection.info or (isinstance(severity, int) and severity < 13)
        return number, connection

    def _take(self, to: LoggedConnection, head: _Head, at_ns: int) -> str | None:
        """Add the events of one record to its connection; return the reason if the record is unusable, else None."""
        body, attributes, row = head.body, head.attributes, record_of(head.body)
        kind = attributes.get("message_type")
        detail, to.open_detail = to.open_detail, None
        if "error.message" in attributes:
            return self._error(to, head, detail, at_ns)
        if row is None or (row.kind is RecordKind.CLOSE and attributes.get("direction") != row.direction):
            return "an unknown kind of record"
        to.audio_sent |= row.prefix.startswith(input_audio.APPEND)
        match row.kind:
            case RecordKind.MESSAGE:
                if not isinstance(kind, str) or isinstance(kind, CutText):
                    return "a message without its type"
                self._message(to, row.direction == "client→upstream", kind, at_ns)
            case RecordKind.PAYLOAD:
                if not isinstance(kind, str):
                    return "a message without its type"
                self._payload(to, body, kind, detail, at_ns)
            case RecordKind.CLOSE:
                to.closed = True
                code = _code(attributes.get(f"{row.direction}.close_code"))
                _add(to, COMPONENT_TO_PROXY if row.direction == "client" else UPSTREAM_TO_PROXY, at_ns, {"code": code}, "close")
            case RecordKind.QUEUED:
                to.waiting_texts += 1
            case RecordKind.SENDS:
                for payload in row.sends:
                    to.updates_logged |= payload["type"] in LOGGED_LATER
                    _add(to, PROXY_TO_UPSTREAM, at_ns, payload)
            case RecordKind.DETAIL | RecordKind.INTERNAL:
                to.open_detail = detail
                if row.kind is RecordKind.DETAIL and (detail is None or to.events[detail].type != kind):
                    to.doubts.setdefault("a record about a message that is missing", self.last_line)
        return None

    def _message(self, to: LoggedConnection, from_host: bool, kind: str, at_ns: int) -> None:
        """Add a host message or an upstream event with the type `kind`."""
        # The proxy logs JSON without a type as "(binary)". It logs audio frames as input_audio_buffer.append.
        payload = {} if kind == "(binary)" else {"type": kind}
        if from_host:
            if kind == "InjectUserMessage" and to.configured and to.waiting_texts:
                to.waiting_texts -= 1  # already logged when it was queued
                return
            _add(to, COMPONENT_TO_PROXY, at_ns, payload)
            return
        to.configured |= kind == realtime.SESSION_UPDATED
        to.open_detail = len(to.events)
        _add(to, UPSTREAM_TO_PROXY, at_ns, payload)

    def _error(self, to: LoggedConnection, head: _Head, detail: int | None, at_ns: int) -> str | None:
        """Add an upstream error's text to its event, or add a new event; return the reason if the record is unusable."""
        direction = head.attributes.get("direction")
        if direction == "upstream":
            return None  # a socket error; the record of the close follows
        if direction != "upstream→client" or "error.code" not in head.attributes:
            return "an error without its code or direction"  # every release logs both, so this error may be a refusal
        code, message = head.attributes["error.code"], head.attributes["error.message"]
        error = {
            # Releases 0.9 log a missing code as an empty text.
            "code": str(code) if isinstance(code, str) and code else None,
            "message": str(message) if isinstance(message, str) else None,
        }
        payload = {"type": realtime.ERROR, "error": error}
        if detail is None or to.events[detail].type != realtime.ERROR:
            detail = len(to.events)
            _add(to, UPSTREAM_TO_PROXY, at_ns, payload)
        else:
            to.events[detail] = replace(to.events[detail], payload=payload)
        if realtime.is_refusal(payload) and head.body.endswith("not forwarded to client"):
            to.hidden.add(detail)
        return None

    def _payload(self, to: LoggedConnection, body: str, kind: str, detail: int | None, at_ns: int) -> None:
        """Add a payload to the preceding upstream event, or add a new event with the payload."""
        to.updates_logged = True
        if detail is None or to.events[detail].type != kind:
            detail = len(to.events)
            _add(to, UPSTREAM_TO_PROXY, at_ns, {"type": kind})
        to.open_detail = detail
        _, payload, complete = logged_payload(body, kind)
        if payload is not None and payload.get("type") == kind:
            to.events[detail] = replace(to.events[detail], payload=payload)
        to.elided += not complete

    # -- one session ---------------------------------------------------------------------------------------------------

    def _session(self, of: LoggedConnection, ranges: Mapping[str | None, UnreadRanges], last: int) -> LoggedSession:
        clear_doubts(of)
        for doubt, line in missing(of):
            of.doubts.setdefault(doubt, line)
        # If the connection has no close, any later unread line may belong to it.
        last = of.last_line if of.closed else max(of.last_line, last)
        nearby = [ranges[name] for name in (None, of.name) if name in ranges]
        unread = sum(each.records(of.first_line, last) for each in nearby)
        noted = [unread_range for each in nearby for unread_range in each.first(_NOTED, of.first_line, last)]
        complete = of.begun and of.info and not unread and not of.doubts
        incoming = (UPSTREAM_TO_PROXY,) if of.audio_sent else (COMPONENT_TO_PROXY, UPSTREAM_TO_PROXY)
        observed = incoming if complete else ()
        notes = [f"lines {each.line_first} to {each.line_last} not read: {each.reason}" for each in noted]
        if (more := unread - sum(each.records for each in noted)) > 0:
            notes.append(f"{more} more records not read")
        if of.elided:
            notes.append(f"{of.elided} payloads were cut in the log")
        notes += [f"line {line}: {doubt}" for doubt, line in of.doubts.items()]
        provenance = {
            "made_by": "console log",
            "connection": of.name,
            "file_start_us": self._start_us,
            "start_us": of.first_us,
            "start": iso_utc(of.first_us / 1_000_000),
            "end_us": of.last_us,
            "lines": [of.first_line, of.last_line],
        }
        return LoggedSession(
            connection=of.name,
            recording=Recording(tuple(of.events), provenance, "log", observed, of.closed, tuple(notes)),
            begun=of.begun,
            errors_only=not of.info,
            updates_logged=of.updates_logged,
            elided=of.elided,
            hidden=frozenset(of.hidden),
            unread=unread,
            event_lines=tuple(of.event_lines),
            marks=dict(of.marks),
            doubts=tuple(f"line {line}: {doubt}" for doubt, line in of.doubts.items()),
            audio=of.audio,
        )


def _head(fields: Mapping[str, Value]) -> _Head | str:
    """Return the fields that every record of the proxy has, or the reason why the record is unusable."""
    time_us, body, attributes = fields.get("timestamp"), fields.get("body"), fields.get("attributes")
    if not RECORD_KEYS.intersection(fields):
        return "an empty object"
    if not isinstance(time_us, int) or isinstance(time_us, bool) or not 0 < time_us < YEAR_2100_US:
        return "a log record without a usable time"
    if not isinstance(body, str):
        return "a log record without a body"
    name = attributes.get("connection_id") if isinstance(attributes, dict) else None
    if not isinstance(attributes, dict) or not isinstance(name, str) or isinstance(name, CutText) or not name:
        return "a log record without a connection"
    return _Head(name, time_us, body, attributes)


def _add(
    to: LoggedConnection, link: Link, at_ns: int, payload: Mapping[str, Any], kind: Literal["message", "close"] = "message"
) -> None:
    """Append an event; `at_ns` is the event's send time if the proxy sent the message, else its receive time."""
    sent, received = (at_ns, None) if link is PROXY_TO_UPSTREAM else (None, at_ns)
    to.events.append(Event(len(to.events), link, kind, sent, received, payload, "log"))


def _code(value: Value) -> int | None:
    """Return a close code as an integer, or None if invalid. The proxy logs the host's code as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 5:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
