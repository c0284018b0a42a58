"""Redact a capture: replace the texts of the conversation, and keep the values that affect a race.

Kept values are on an allow list (`voicerace.captures.known_fields`, `captures.allowed`): known message types and fields, known
values of fields, small indices, and times. Any other text, number or key is replaced by a token: a hash of the value with a
random key, which is discarded after the copy. Equal values therefore have equal tokens within one copy, but not in two copies.
A value cannot be guessed from its token.

The copy contains only parsed content. A console log becomes one JSON record per line, without the JSON of collectors. A HAR
keeps only its frames. An unreadable record becomes an unreadable line, so that the certainty of counts does not change.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from voicerace.captures import allowed, known_fields
from voicerace.captures.audio_chunks import chunk_record
from voicerace.captures.known_fields import Kind
from voicerace.captures.log_records import (
    PROXY_ATTRIBUTES,
    RECORD_KEYS,
    YEAR_2100_US,
    RecordKind,
    json_of,
    logged_payload,
    record_of,
)  # fmt: skip
from voicerace.captures.log_scanner import Record, Unread
from voicerace.captures.node_inspect import CutText, NoValue
from voicerace.model.protocol import agent, realtime
from voicerace.model.protocol.results import placeholder_in
from voicerace.trace.recording import Event, Payload, Recording

__all__ = ["NOT_READ", "Redactor", "redacted_har", "redacted_log", "redacted_recording"]

#: Line that the reader of console logs counts as one unreadable record.
NOT_READ: Final = '{"body": not read'
_PREFIX: Final = re.compile(r"(?:(?:resp|item|call|event|sess|conv|msg|derived)_|c(?=\d+$))")
_QUOTED: Final = re.compile(r"'([^']{1,100})'")
_IN_PROGRESS: Final = "in progress: "
_ACTIVE: Final = "Conversation already has an active response"
_HIDDEN: Final = "not forwarded to client"
_CLOCKS: Final = ("virtual", "monotonic", "log")
_EVENT_RULES: Final[Mapping[str, Mapping[str, Any]]] = {"close": {"code": Kind.CLOSE}, "open": {}}


class Redactor:
    """Replaces values that are not on the allow list. Equal values in one copy have equal tokens.

    Args:
        keep_text: whether messages and bodies of records stay unchanged. Audio frames always become silence.
    """

    def __init__(self, *, keep_text: bool = False) -> None:
        self.keep_text = keep_text
        self._key = secrets.token_bytes(32)

    # -- tokens --------------------------------------------------------------------------------------------------------

    def name(self, text: str) -> str:
        """Return the token of an id, with the prefix of the id (``resp_``, ``call_``)."""
        family = _PREFIX.match(text)
        return f"{family[0] if family else 'id_'}{self._hash(text)}" if text else text

    def text(self, text: str) -> str:
        """Return the token of a text, with its length in characters. Placeholder results (`voicerace.model.protocol.results`)
        and the prefix `agent.CALL_TEXT_PREFIX` are kept.
        """
        if not text:
            return text
        if (placeholder := placeholder_in(text)) is not None:
            return json.dumps(placeholder.value, separators=(",", ":"))  # serialized again, because the text may repeat a key
        shown = self._shown(text)
        if text.startswith(agent.CALL_TEXT_PREFIX):
            return agent.CALL_TEXT_PREFIX + shown
        # Readers parse arguments and results, so the token of a JSON text is also JSON.
        return json.dumps({"redacted": shown}) if text.lstrip().startswith(("{", "[")) else shown

    def error_text(self, text: str) -> str:
        """Return the token of an error's text, followed by the tokens of the ids in it."""
        if not text:
            return text
        named = realtime.response_named_by({"error": {"message": text}})
        ids = "".join(f" '{self.name(each)}'" for each in _QUOTED.findall(text)[:3])
        shown = _ACTIVE if _ACTIVE[len("Conversation ") :] in text else self._shown(text)
        return f"{shown} {_IN_PROGRESS}{self.name(named)}.{ids}" if named else f"{shown}.{ids}"

    def type(self, kind: str) -> str:
        """Return a known message type unchanged, else the type's token with the prefix and suffix that readers use."""
        if kind in known_fields.TYPES or not kind:
            return kind
        begins = "response." if kind.startswith("response.") else ""
        ends = next((each for each in (".delta", ".append") if kind.endswith(each)), "")
        return f"{begins}#{self._hash(kind)}{ends}"

    def code(self, code: str) -> str:
        """Return a known error code or type unchanged, else its token with the code's prefix in `CODE_FAMILIES`."""
        if code in known_fields.CODES or not code:
            return code
        family = next((each for each in known_fields.CODE_FAMILIES if code.startswith(each)), "")
        return f"{family}#{self._hash(code)}"

    def opaque(self, value: Any) -> Any:
        """Return the token of a JSON value; null, zero, false and empty values are returned unchanged."""
        if not value:
            return value
        if isinstance(value, str):
            return self._shown(value)
        try:
            text = json.dumps(value, sort_keys=True)
        except RecursionError:
            text = ""
        return {"redacted": f"[{type(value).__name__} #{self._hash(text)}]"}

    def _shown(self, text: str) -> str:
        return f"[{len(text)} characters #{self._hash(text)}]"

    def _hash(self, text: str) -> str:
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=5).hexdigest()

    # -- values by their rules -----------------------------------------------------------------------------------------

    def message(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Return a message of either protocol, redacted unless `keep_text` is set."""
        if self.keep_text:
            return dict(payload)
        kind = payload.get("type")
        fields = known_fields.FIELDS.get(kind, {}) if isinstance(kind, str) else {}
        return self.fields(payload, {**known_fields.COMMON, **fields})

    def fields(self, given: Mapping[str, Any], rules: Mapping[str, Any]) -> dict[str, Any]:
        """Redact an object: fields with a rule by that rule, the keys and values of other fields by tokens."""
        return {
            name if name in rules else f"#{self._hash(str(name))}": self.value(value, rules[name])
            if name in rules
            else self.opaque(value)
            for name, value in given.items()
        }

    def value(self, value: Any, rule: Any) -> Any:
        """Redact a value by a rule; return its token if the rule does not apply to the value's type."""
        if not value:
            return value
        if isinstance(rule, Mapping):
            return self.fields(value, rule) if isinstance(value, Mapping) else self.opaque(value)
        if isinstance(rule, list):
            return [self.value(each, rule[0]) for each in value] if isinstance(value, list) else self.opaque(value)
        if isinstance(rule, frozenset):
            return value if type(value) in (str, int) and value in rule else self.opaque(value)
        if isinstance(value, str):
            return self._text_by(value, rule)
        if rule is Kind.RESULT:
            return value if isinstance(value, dict) and placeholder_in(json.dumps(value)) is not None else self.opaque(value)
        if (rule is Kind.FLAG and value is True) or (rule is allowed.Setting.TIME and allowed.is_time_text(value)):
            return value
        if rule is Kind.WAIT_MS and isinstance(value, (int, float)) and value is not True:
            return min(max(-1, int(value)), known_fields.LONGEST_WAIT_MS) if math.isfinite(value) else self.opaque(value)
        if type(value) is not int:
            return self.opaque(value)
        if rule is Kind.CLOSE:
            return known_fields.known_close(value)
        fits = (rule is Kind.INDEX and 0 < value < 1000) or (rule is allowed.Setting.CLOCK_US and 0 < value < YEAR_2100_US)
        return value if fits else self.opaque(value)

    def _text_by(self, text: str, rule: Any) -> Any:
        match rule:
            case Kind.ID:
                return self.name(text)
            case Kind.TEXT | Kind.RESULT:
                return self.text(text)
            case Kind.ERROR_TEXT:
                return self.error_text(text)
            case Kind.CODE:
                return self.code(text)
            case Kind.TYPE:
                return self.type(text)
            case Kind.AUDIO:
                return base64.b64encode(bytes(max(1, len(text) * 3 // 4 - text[-2:].count("=")))).decode("ascii")
            case Kind.CLOSE if text.isascii() and text.isdigit() and len(text) <= 5:
                return str(known_fields.known_close(int(text)) or "")
            case allowed.Setting.START if allowed.is_start(text):
                return text
            case allowed.Setting.TIME if allowed.is_time_text(text):
                return text
        return self.opaque(text)

    def payload(self, event: Event) -> Payload:
        """Redact the payload of an event. Audio in bytes becomes silence of the same length."""
        given = event.payload
        if isinstance(given, bytes):
            return bytes(len(given))
        if self.keep_text or given is None:
            return given
        if isinstance(given, str):
            return self.opaque(given)  # type: ignore[no-any-return]
        if event.kind == "message":
            return self.message(given)
        if event.kind == "fault":
            return {"reason": allowed.known_reason(given["reason"])} if "reason" in given else {}
        return self.fields(given, _EVENT_RULES[event.kind])

    # -- records of a log ----------------------------------------------------------------------------------------------

    def body(self, body: str, kind: object = None, *, error: bool = False) -> str:
        """Redact all text of the conversation in the body of a log record.

        Args:
            body: body of the record.
            kind: message type of the record, which determines the text before a payload.
            error: whether the body is the text of an error.
        """
        if self.keep_text:
            return str(body)
        hidden = f" — {_HIDDEN}" if body.endswith(_HIDDEN) else ""
        if error:
            return self.error_text(body) + hidden
        if (row := record_of(body)) is None:
            return self._shown(body) + hidden
        if (audio := chunk_record(body)) is not None:
            return audio.body
        _, kept = row.variant(body)
        marker, payload, complete = logged_payload(body, kind) if row.kind is RecordKind.PAYLOAD else ("", None, False)
        if not marker:
            return kept
        text = json.dumps(self.message(payload)) if payload is not None and (payload or complete) else "…"
        if payload and not complete:
            # The complete values of a cut payload are redacted and kept. The comma marks a last number as complete.
            text = f"{text[:-1]},…"
        return f"{kept}{marker}{text}"


def redacted_recording(recording: Recording, by: Redactor) -> Recording:
    """Return a redacted copy of a recording, with seqs counted from 0."""
    seqs = {seq: number for number, seq in enumerate(sorted({event.seq for event in recording.events}))}
    return Recording(
        tuple(
            replace(
                event,
                seq=seqs[event.seq],
                payload=by.payload(event),
                observed_at=allowed.known_place(event.observed_at),
            )
            for event in recording.events
        ),
        by.fields(recording.provenance, allowed.PROVENANCE),
        recording.clock if recording.clock in _CLOCKS else "other",
        recording.observed,
        recording.complete,
        tuple(allowed.known_note(note) for note in recording.notes),
    )


def redacted_log(found: Iterable[Record | Unread], by: Redactor) -> Iterator[str]:
    """Yield one JSON line for each record of a console log, redacted, and `NOT_READ` for each unreadable record."""
    for each in found:
        if isinstance(each, Unread):
            yield from [NOT_READ] * each.records
            continue
        if each.fields and not RECORD_KEYS.intersection(each.fields):
            continue  # an object that another program printed
        attributes = each.fields.get("attributes")
        if isinstance(attributes, Mapping) and PROXY_ATTRIBUTES.isdisjoint(attributes):
            yield NOT_READ
        else:
            yield json.dumps(_record(each.fields, by))


def _record(fields: Mapping[str, Any], by: Redactor) -> dict[str, Any]:
    """Redact a log record. Missing fields that the reader needs become null."""
    given = fields.get("attributes")
    attributes: dict[str, Any] | None = None
    if isinstance(given, Mapping):
        plain = {name: _jsonable(value) for name, value in given.items()}
        attributes = by.fields(plain, allowed.ATTRIBUTES) if not by.keep_text else plain
        for name in ("message_type", "connection_id"):
            if isinstance(given.get(name), CutText):
                attributes[name] = None
    body, time_us = fields.get("body"), fields.get("timestamp")
    kind = given.get("message_type") if isinstance(given, Mapping) else None
    error = isinstance(given, Mapping) and "error.message" in given
    record: dict[str, Any] = {
        "timestamp": time_us if type(time_us) is int and 0 < time_us < YEAR_2100_US else None,
        "body": by.body(body, kind, error=error) if isinstance(body, str) else None,
        "attributes": attributes,
    }
    severity, trace = fields.get("severityNumber"), fields.get("traceId")
    if isinstance(severity, int):
        record["severityNumber"] = min(max(int(severity), 1), 24)
    if trace is NoValue.UNDEFINED:
        record["traceId"] = None  # releases before 0.11 print undefined, and the reader converts null to undefined
    elif isinstance(trace, str) and trace:
        record["traceId"] = by.name(trace)
    return record


def redacted_har(entries: Iterable[Mapping[str, Any]], by: Redactor) -> str:
    """Return a HAR with redacted frames, without headers, cookies, queries and host names."""
    found = []
    for entry in entries:
        frames = entry.get("_webSocketMessages") if isinstance(entry, dict) else None
        if isinstance(frames, list):
            found.append(
                {
                    "request": {"url": "wss://redacted.invalid/"},
                    "_resourceType": "websocket",
                    "_webSocketMessages": [_frame(each, by) if isinstance(each, dict) else None for each in frames],
                }
            )
    return json.dumps({"log": {"version": "1.2", "creator": {"name": "voicerace redact"}, "entries": found}})


def _frame(frame: Mapping[str, Any], by: Redactor) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    at, opcode, kind, data = (frame.get(name) for name in ("time", "opcode", "type", "data"))
    if isinstance(at, (int, float)) and not isinstance(at, bool) and 0 < at < YEAR_2100_US / 1000:
        kept["time"] = at
    if type(opcode) is int and 0 <= opcode <= 15:
        kept["opcode"] = opcode
    if kind in ("send", "receive", "error"):
        kept["type"] = kind
    if "code" in frame:
        kept["code"] = known_fields.known_close(frame["code"])
    if not isinstance(data, str):
        return kept
    if opcode == 1:
        message = json_of(data)
        kept["data"] = json.dumps(by.message(message)) if message is not None else data if by.keep_text else by.opaque(data)
    elif opcode == 2:
        try:
            audio = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            return kept  # the frame stays unreadable
        kept["data"] = base64.b64encode(bytes(len(audio))).decode("ascii")
    elif opcode == 8:
        kept["data"] = ""
    return kept


def _jsonable(value: Any) -> Any:
    """Convert a parsed literal to JSON. Undefined and unprinted values become null."""
    if isinstance(value, dict):
        return {name: _jsonable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_jsonable(each) for each in value]
    return None if isinstance(value, NoValue) else value
