"""Table of the proxy's log records by body: meaning, fingerprint, and the text that a redacted copy keeps.

The modules `proxy_log`, `fingerprints`, `derive` and `redact` of `voicerace.captures` use this table. Source: the proxy's
source at the tags 0.9.0 to 0.11.1, and logs of the running proxies (`data/logs`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NamedTuple

from pydantic_core import from_json

from voicerace.captures.node_inspect import CutText
from voicerace.model.protocol import input_audio, realtime

__all__ = [
    "LOGGED_LATER", "PROXY_ATTRIBUTES", "RECORDS", "RECORD_KEYS", "YEAR_2100_US", "LogRecord", "LoggedPayload", "RecordKind",
    "json_of", "logged_payload", "record_of",
]  # fmt: skip

YEAR_2100_US: Final = 4_102_444_800_000_000
#: Keys of a log record.
RECORD_KEYS: Final = frozenset(
    {
        "resource", "timestamp", "severityText", "severityNumber", "body", "attributes", "instrumentationScope", "traceId",
        "spanId", "traceFlags",
    }
)  # fmt: skip
#: Attributes of the proxy's JSON records. A record with none of these attributes comes from another program.
PROXY_ATTRIBUTES: Final = frozenset({"connection_id", "direction", "message_type"})


class RecordKind(Enum):
    """Meaning of a record."""

    MESSAGE = "an incoming message; its type is the attribute message_type"
    PAYLOAD = "the payload of the upstream event in the previous record, or an event of its own"
    CLOSE = "a connection was closed; its code is the attribute <direction>.close_code"
    QUEUED = "a user text waits for session.updated and is logged again when it is handled"
    SENDS = "messages that the proxy sends upstream"
    DETAIL = "more about the upstream event in the previous record, which has the same type"
    INTERNAL = "an action inside the proxy or towards the host"
    BEGINS = "a connection begins"


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One row of the table.

    Attributes:
        prefix: first part of the body.
        kind: meaning of the record.
        exact: True if the body equals `prefix`; False if untrusted text may follow `prefix`.
        direction: value of the attribute ``direction``, if the meaning depends on it.
        sends: messages that the record reports as sent, with their logged fields.
        mark: key of the record's fingerprint in `captures.fingerprints.FINGERPRINTS`; empty if the record has none.
        variants: tuples (text in the body's first 200 characters, mark of such a body, text that a redacted copy keeps after
            the prefix). The first match applies.
    """

    prefix: str
    kind: RecordKind = RecordKind.INTERNAL
    exact: bool = False
    direction: str | None = None
    sends: tuple[Mapping[str, Any], ...] = ()
    mark: str = ""
    variants: tuple[tuple[str, str, str], ...] = ()

    def variant(self, body: str) -> tuple[str, str]:
        """Return (mark, kept text) of a body of this kind. The mark is empty if the body has no fingerprint."""
        found = ((mark, self.prefix + kept) for text, mark, kept in self.variants if text in body[:200])
        return next(found, (self.mark, self.prefix))


#: Rows of the table. The first match applies, so longer prefixes precede shorter prefixes of the same text.
RECORDS: Final = (
    LogRecord("client → upstream", RecordKind.MESSAGE, exact=True, direction="client→upstream"),
    LogRecord("upstream → client", RecordKind.MESSAGE, exact=True, direction="upstream→client"),
    LogRecord("client connected", RecordKind.BEGINS, exact=True),
    LogRecord("upstream open", RecordKind.BEGINS, exact=True),
    LogRecord("upstream closed", RecordKind.CLOSE, exact=True, direction="upstream"),
    LogRecord("client WebSocket closed (", RecordKind.CLOSE, direction="client", mark="host close"),
    LogRecord("InjectUserMessage deferred (waiting for session.updated)", RecordKind.QUEUED, exact=True, mark="queued"),
    LogRecord("conversation.item.* raw (debug): ", RecordKind.PAYLOAD, mark="items"),
    LogRecord("Unmapped upstream event: ", RecordKind.PAYLOAD, variants=(
        ("sending Error to client", "error", "sending Error to client"), ("log only", "log", "log only"),
    )),
    LogRecord("input_audio_buffer.commit + response.create", RecordKind.SENDS, sends=(
        {"type": input_audio.COMMIT}, {"type": realtime.RESPONSE_CREATE},
    )),
    LogRecord("input_audio_buffer.append deferred"),
    LogRecord("input_audio_buffer.append", RecordKind.SENDS, sends=({"type": input_audio.APPEND},)),
    LogRecord("session.update sent to upstream", RecordKind.SENDS, sends=({"type": realtime.SESSION_UPDATE},), mark="sends"),
    LogRecord("FunctionCallResponse from client → function_call_output sent", RecordKind.SENDS, mark="sends", sends=(
        {"type": realtime.ITEM_CREATE, "item": {"type": "function_call_output"}},
    )),
    # The 20 s timer (0.10.3 and later) sends a response.create.
    LogRecord("Required upstream contract violated", RecordKind.SENDS, mark="timer", sends=(
        {"type": realtime.RESPONSE_CREATE},
    )),
    LogRecord("upstream→client: response.function_call_arguments.done", RecordKind.DETAIL, mark="call only", variants=(
        ("only", "call only", ""), ("ConversationText", "call text", " → ConversationText"),
    )),
    LogRecord("upstream→client: ", RecordKind.DETAIL),
    LogRecord("TTS ", RecordKind.DETAIL),
    LogRecord("client KeepAlive ignored", mark="keepalive"),
    LogRecord("Disallowed client message type ", mark="keepalive"),
    LogRecord("upstream: response.output_text.delta (accumulate", mark="deltas"),
    LogRecord("response.output_text.done → control only", mark="control only"),
    *map(LogRecord, (
        "greeting ", "session.created received (", "Received response.done from upstream", "upstream: ",
        "Upstream closed before session ready", "response.output_text.done → ", "input_audio_transcription.completed → ",
        "conversation.item.* assistant ",
    )),
)  # fmt: skip
_EXACT: Final = {row.prefix: row for row in RECORDS if row.exact}
_PREFIXES: Final = tuple(row for row in RECORDS if not row.exact)
#: Types of sent messages that are logged by releases from 0.10.0 on (`ProxyRelease.context_in` is ``instructions``).
LOGGED_LATER: Final = tuple(message["type"] for row in RECORDS if row.mark == "sends" for message in row.sends)

_ITEMS: Final = frozenset({realtime.ITEM_CREATED, realtime.ITEM_ADDED, realtime.ITEM_DONE})
#: Number at the end of a cut text, which may be incomplete.
_NUMBER: Final = re.compile(r"[-+.\deE]+$")


def record_of(body: str) -> LogRecord | None:
    """Return the row of the table that matches a body; None if no row matches."""
    return _EXACT.get(body) or next((row for row in _PREFIXES if body.startswith(row.prefix)), None)


class LoggedPayload(NamedTuple):
    """The message payload in a record's body.

    Attributes:
        marker: text before the payload; empty if the body has no payload.
        payload: complete values of the payload; None if the body has none.
        complete: whether the payload was logged to its end.
    """

    marker: str
    payload: dict[str, Any] | None
    complete: bool


def logged_payload(body: str, kind: object) -> LoggedPayload:
    """Return the payload in the body of a `RecordKind.PAYLOAD` record with the message type `kind`."""
    marker = " payload=" if kind in _ITEMS else "Full payload (truncated): "
    _, found, text = body.partition(marker)
    payload = json_of(text) if found and not isinstance(body, CutText) else None
    complete = payload is not None
    return LoggedPayload(found, payload if complete or not found else _beginning_of(text), complete)


def json_of(text: str) -> dict[str, Any] | None:
    """Parse a text as one JSON object; return None if the text is not one complete object."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _beginning_of(text: str) -> dict[str, Any] | None:
    """Return the complete values in the first part of a cut payload; None if the payload is not an object."""
    try:
        value = from_json(_NUMBER.sub("", text.rstrip("…")), allow_partial=True)
    except ValueError:
        return None
    return {name: each for name, each in value.items() if each != {}} if isinstance(value, dict) else None
