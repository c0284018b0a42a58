"""Read a browser's HAR file: one `Recording` of the link between component and proxy per WebSocket connection.

An entry has its frames in `_webSocketMessages`. A frame has ``type`` (send or receive), ``time``, ``opcode`` (1 for text, 2
for binary in base64) and ``data``. Chrome and Edge write ``time`` in seconds since 1970. Playwright writes milliseconds, or
-1 for an unknown time, and writes frames only if it embeds contents. Firefox and Safari write no frames. Headers, cookies and
queries are not read. Only the host of the address is kept.

DevTools (Chromium 156) does not export the close frame of a connection, so a recording's end is uncertain. ``sanitized``
exports lack cookies and headers but contain the text of every frame. Connections opened before DevTools are missing. If a
connection has no Settings message, its first frames are missing, and no link counts as observed.

WebSocket connections without messages of a voice agent are skipped and counted.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from voicerace.errors import InputError
from voicerace.model.protocol.frames import payload_of
from voicerace.trace.recording import COMPONENT_TO_PROXY, PROXY_TO_COMPONENT, Event, Payload, Recording
from voicerace.units import iso_utc

__all__ = ["HarSession", "is_har", "read_har"]

_AGENT_TYPES: Final = frozenset(
    {"Settings", "SettingsApplied", "InjectUserMessage", "FunctionCallRequest", "FunctionCallResponse", "ConversationText"}
)  # fmt: skip
#: Start of a HAR. In Docker's json-file logs the value of ``log`` is a text.
_BEGIN: Final = re.compile(rb"\s*\{\s*\"log\"\s*:\s*\{")
#: Maximum of ``time`` in seconds (the year 5138). Larger numbers are milliseconds.
_SECONDS: Final = 1e11
_LAST_MS: Final = 4_102_444_800_000
_ALLOWED: Final = (
    "a HAR of Chrome or Edge, with DevTools open before the connection is made, or of Playwright (record_har_content embed)"
)
#: Opcodes of ping and pong frames.
_CONTROL: Final = (9, 10)


@dataclass(frozen=True)
class HarSession:
    """One WebSocket connection.

    Attributes:
        name: host name of the address, followed by the session's number in the file.
        recording: the messages with the browser's times.
        unread: number of frames that could not be read.
        first: number of the connection's first frame, counted from 1 over all entries.
    """

    name: str
    recording: Recording
    unread: int
    first: int


def is_har(head: bytes) -> bool:
    """Return whether a file that starts with the bytes `head` is a HAR."""
    return _BEGIN.match(head.removeprefix(b"\xef\xbb\xbf")) is not None


def read_har(data: bytes, where: str) -> tuple[list[HarSession], int]:
    """Return the sessions in a HAR and the number of other WebSocket connections with frames.

    Raises:
        InputError: the data are not a HAR, or contain no frames of a voice agent.
    """
    try:
        entries = json.loads(data.decode("utf-8-sig", "replace"))["log"]["entries"]
    except (ValueError, RecursionError):
        raise InputError(where, "a HAR that is cut or damaged: not JSON", _ALLOWED) from None
    except (KeyError, TypeError):
        raise InputError(where, "not a HAR: log.entries is missing", _ALLOWED) from None
    found: list[HarSession] = []
    others = sockets = frames = 0
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict):
            continue
        sockets += entry.get("_resourceType") == "websocket" or str(_get(entry, "request", "url")).startswith("ws")
        messages = entry.get("_webSocketMessages")
        if not isinstance(messages, list) or not messages:
            continue
        session = _session(entry, messages, frames + 1, len(found) + 1)
        frames += len(messages)
        if any(event.type in _AGENT_TYPES for event in session.recording.events):
            found.append(session)
        else:
            others += 1
    if not frames:
        what = f"{sockets} WebSocket connections, but no frames in this file" if sockets else "no frames in this file"
        raise InputError(where, what, _ALLOWED)
    if not found:
        raise InputError(where, f"{others} WebSocket connections, none of them a voice agent's", "one to the proxy")
    return found, others


def _session(entry: Mapping[str, Any], messages: list[Any], first: int, number: int) -> HarSession:
    times = [at for each in messages if (at := _time_ns(each)) is not None]
    zero = min(times, default=None)
    events: list[Event] = []
    unread = 0
    errors = 0
    for each in messages:
        if isinstance(each, dict) and (each.get("opcode") in _CONTROL or each.get("type") == "error"):
            errors += each.get("type") == "error"  # DevTools adds a text with this type if the connection fails
            continue
        link = {"send": COMPONENT_TO_PROXY, "receive": PROXY_TO_COMPONENT}.get(str(_get(each, "type")))
        payload = _payload(each)
        if link is None or payload is None:
            unread += 1
            continue
        at = _time_ns(each)
        at = None if at is None or zero is None else at - zero
        kind: Literal["message", "close"] = "close" if each.get("opcode") == 8 else "message"
        body: Payload = (
            {"code": each.get("code") if isinstance(each.get("code"), int) else None} if kind == "close" else payload
        )
        sent, received = (at, None) if link is COMPONENT_TO_PROXY else (None, at)
        events.append(Event(len(events), link, kind, sent, received, body, "har"))
    host = urlsplit(str(_get(entry, "request", "url"))).hostname or "a WebSocket"
    closed = any(event.kind == "close" for event in events)
    provenance: dict[str, Any] = {"made_by": "har", "connection": f"{host} {number}"}
    if zero is not None:
        start = iso_utc(zero / 1e9)
        # Event times count from the connection's first frame.
        provenance |= {"file_start_us": zero // 1000, "start_us": zero // 1000, "end_us": max(times) // 1000, "start": start}
    notes = [f"{unread} frames not read"] if unread else []
    notes += [] if times else ["the frames have no times"]
    notes += [f"the browser reports {errors} errors of the connection"] if errors else []
    begun = any(event.type == "Settings" for event in events)
    notes += [] if begun else ["the connection's beginning is not in the file: no Settings was sent"]
    observed = (COMPONENT_TO_PROXY, PROXY_TO_COMPONENT) if begun and not unread else ()
    return HarSession(
        f"{host} {number}", Recording(tuple(events), provenance, "log", observed, closed, tuple(notes)), unread, first
    )


def _payload(message: object) -> Payload:
    """Return the payload of a frame; None if ``data`` is missing or the opcode is unknown."""
    if not isinstance(message, dict) or not isinstance(data := message.get("data"), str):
        return None
    match message.get("opcode"):
        case 1:
            return payload_of(data)
        case 2:
            try:
                return base64.b64decode(data, validate=True)
            except (binascii.Error, ValueError):
                return None
        case 8:
            return ""
    return None


def _time_ns(message: object) -> int | None:
    """Return the time of a frame in ns since 1970, rounded to microseconds; None if the time is missing or invalid."""
    at = message.get("time") if isinstance(message, dict) else None
    if isinstance(at, bool) or not isinstance(at, (int, float)) or not 0 < at < _LAST_MS:
        return None
    return round(at * 1e6 if at < _SECONDS else at * 1e3) * 1000


def _get(value: Mapping[str, Any], *names: str) -> Any:
    found: Any = value
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found
