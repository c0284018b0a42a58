"""The records of the proxy's log by their bodies: what each says, what it names of the release, what a redacted copy keeps.

Read in the proxy's source at the tags 0.9.0 to 0.11.1 and seen in the logs of the running proxies (`data/logs`). The reader
(`captures.proxy_log`), the release's marks (`captures.fingerprints`), the derivation (`captures.derive`) and the redaction
(`captures.redact`) use this table only.
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
    "LOGGED_LATER", "PROXY_ATTRIBUTES", "RECORDS", "RECORD_KEYS", "YEAR_2100_US", "LogRecord", "LoggedPayload", "Says",
    "json_of", "logged_payload", "record_of",
]  # fmt: skip

YEAR_2100_US: Final = 4_102_444_800_000_000
#: Keys of a record.
RECORD_KEYS: Final = frozenset(
    {
        "resource", "timestamp", "severityText", "severityNumber", "body", "attributes", "instrumentationScope", "traceId",
        "spanId", "traceFlags",
    }
)  # fmt: skip
#: Attributes of which every record of the proxy in JSON has one; JSON without them is another program's.
PROXY_ATTRIBUTES: Final = frozenset({"connection_id", "direction", "message_type"})


class Says(Enum):
    """What a record reports."""

    MESSAGE = "a message that came in; its type is the attribute message_type"
    PAYLOAD = "the payload of the upstream event in the record before, or an event of its own"
    CLOSE = "a connection was closed; its code is the attribute <direction>.close_code"
    QUEUED = "a user text waits for session.updated and is logged again when it is handled"
    SENDS = "what the proxy sends upstream"
    REPEATS = "more about the upstream event in the record before, whose type it has"
    ASIDE = "what the proxy did inside or towards the host"
    BEGINS = "a connection begins"


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One kind of record.

    Attributes:
        begins: how its body begins.
        says: what it reports.
        whole: the body is `begins` and nothing else. Else what follows may be a text of others.
        direction: the value of the attribute of that name, where the record's meaning needs it.
        sends: the messages that it says are sent, as far as they are logged.
        mark: its mark in `captures.fingerprints.MARKS`, or empty.
        words: words in the body's first 200 characters, their mark, and what a redacted copy keeps of them; the first that
            are there apply.
    """

    begins: str
    says: Says = Says.ASIDE
    whole: bool = False
    direction: str | None = None
    sends: tuple[Mapping[str, Any], ...] = ()
    mark: str = ""
    words: tuple[tuple[str, str, str], ...] = ()

    def variant(self, body: str) -> tuple[str, str]:
        """Of a body of this kind: its mark, or an empty text, and the part that is the proxy's own text."""
        found = ((mark, self.begins + kept) for words, mark, kept in self.words if words in body[:200])
        return next(found, (self.mark, self.begins))


#: Longer beginnings stand before those that they begin with.
RECORDS: Final = (
    LogRecord("client → upstream", Says.MESSAGE, whole=True, direction="client→upstream"),
    LogRecord("upstream → client", Says.MESSAGE, whole=True, direction="upstream→client"),
    LogRecord("client connected", Says.BEGINS, whole=True),
    LogRecord("upstream open", Says.BEGINS, whole=True),
    LogRecord("upstream closed", Says.CLOSE, whole=True, direction="upstream"),
    LogRecord("client WebSocket closed (", Says.CLOSE, direction="client", mark="host close"),
    LogRecord("InjectUserMessage deferred (waiting for session.updated)", Says.QUEUED, whole=True, mark="queued"),
    LogRecord("conversation.item.* raw (debug): ", Says.PAYLOAD, mark="items"),
    LogRecord("Unmapped upstream event: ", Says.PAYLOAD, words=(
        ("sending Error to client", "error", "sending Error to client"), ("log only", "log", "log only"),
    )),
    LogRecord("input_audio_buffer.commit + response.create", Says.SENDS, sends=(
        {"type": input_audio.COMMIT}, {"type": realtime.RESPONSE_CREATE},
    )),
    LogRecord("input_audio_buffer.append deferred"),
    LogRecord("input_audio_buffer.append", Says.SENDS, sends=({"type": input_audio.APPEND},)),
    LogRecord("session.update sent to upstream", Says.SENDS, sends=({"type": realtime.SESSION_UPDATE},), mark="sends"),
    LogRecord("FunctionCallResponse from client → function_call_output sent", Says.SENDS, mark="sends", sends=(
        {"type": realtime.ITEM_CREATE, "item": {"type": "function_call_output"}},
    )),
    # The 20 s timer of 0.10.3 and later, logged as it sends its create.
    LogRecord("Required upstream contract violated", Says.SENDS, sends=({"type": realtime.RESPONSE_CREATE},), mark="timer"),
    LogRecord("upstream→client: response.function_call_arguments.done", Says.REPEATS, mark="call only", words=(
        ("only", "call only", ""), ("ConversationText", "call text", " → ConversationText"),
    )),
    LogRecord("upstream→client: ", Says.REPEATS),
    LogRecord("client KeepAlive ignored", mark="keepalive"),
    LogRecord("Disallowed client message type ", mark="keepalive"),
    LogRecord("upstream: response.output_text.delta (accumulate", mark="deltas"),
    LogRecord("response.output_text.done → control only", mark="control only"),
    *map(LogRecord, (
        "greeting ", "session.created received (", "Received response.done from upstream", "TTS ", "upstream: ",
        "Upstream closed before session ready", "response.output_text.done → ", "input_audio_transcription.completed → ",
        "conversation.item.* assistant ",
    )),
)  # fmt: skip
_WHOLE: Final = {row.begins: row for row in RECORDS if row.whole}
_BEGINNINGS: Final = tuple(row for row in RECORDS if not row.whole)
#: Types of the sends that releases with `context_in` instructions (0.10.0 on) log.
LOGGED_LATER: Final = tuple(message["type"] for row in RECORDS if row.mark == "sends" for message in row.sends)

_ITEMS: Final = frozenset({realtime.ITEM_CREATED, realtime.ITEM_ADDED, realtime.ITEM_DONE})
#: The end of a text may be the beginning of a number only.
_NUMBER: Final = re.compile(r"[-+.\deE]+$")


def record_of(body: str) -> LogRecord | None:
    """The kind of record that a body is of; None when the table has none."""
    return _WHOLE.get(body) or next((row for row in _BEGINNINGS if body.startswith(row.begins)), None)


class LoggedPayload(NamedTuple):
    """The payload in a body: the words before it (empty: there is none), its values, and whether they are all of it."""

    marker: str
    payload: dict[str, Any] | None
    whole: bool


def logged_payload(body: str, kind: object) -> LoggedPayload:
    """The payload that a body of `Says.PAYLOAD` has; `kind` is the record's message type."""
    marker = " payload=" if kind in _ITEMS else "Full payload (truncated): "
    _, found, text = body.partition(marker)
    payload = json_of(text) if found and not isinstance(body, CutText) else None
    whole = payload is not None
    return LoggedPayload(found, payload if whole or not found else _beginning_of(text), whole)


def json_of(text: str) -> dict[str, Any] | None:
    """A text as a JSON object; None when it is no whole one."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _beginning_of(text: str) -> dict[str, Any] | None:
    """The whole values before the place where a payload was cut, never the value that was cut."""
    try:
        value = from_json(_NUMBER.sub("", text.rstrip("…")), allow_partial=True)
    except ValueError:
        return None
    return {name: each for name, each in value.items() if each != {}} if isinstance(value, dict) else None
