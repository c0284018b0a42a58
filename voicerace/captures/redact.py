"""A copy of a capture that is safe to send: what is said, asked and answered is replaced, what decides a race stays.

Every text that is not on a short list of protocol words is replaced by a name made of it and of a key that is drawn per
file and thrown away: equal things stay equal in one file, nothing compares between two, and nothing can be guessed back.
Kept: types, roles, states, error codes, times, lengths of audio, and the component's default error, which is a finding
and nobody's secret. A console log becomes one JSON record a line; output that is no record of the proxy is left out, and
so is all of a HAR but its frames.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pydantic_core import from_json

from voicerace.captures.console import Record
from voicerace.captures.literal import Mark
from voicerace.wire.results import placeholder_in

__all__ = ["Redactor", "redacted_har", "redacted_jsonl", "redacted_log"]

#: Keys whose texts are words of the protocols.
_PLAIN: Final = frozenset(
    {
        "type", "role", "object", "status", "link", "kind", "observed_at", "clock", "code", "error.code", "reason",
        "direction", "message_type", "severityText", "output_modalities", "release", "component", "scenario", "handler",
        "modality", "engine", "profile", "tool_end", "proxy", "upstream", "source", "observed", "encoding", "language",
        "model", "start", "made_by", "service.name", "telemetry.sdk.language", "telemetry.sdk.name", "telemetry.sdk.version",
    }
)  # fmt: skip
_WORD: Final = re.compile(r"[A-Za-z0-9_.:>→+/-]{1,60}|the proxy|console log")
#: A word of the protocols that is somebody's all the same: a path, an address, a model that was made for one customer.
_PRIVATE: Final = re.compile(r".*//.*|.*[\\/].*/.*|ft:.*|unknown_service:.*/.*")
#: What the tool was asked and what it answered, when it is no text: all of it is somebody's, its keys and numbers too.
_OPAQUE: Final = frozenset({"result", "arguments", "metadata", "value", "variables", "default", "examples"})
#: Settings of a run: times and knobs as numbers, and distributions of them.
_SETTINGS: Final = frozenset({"times", "knobs"})
_SETTING: Final = re.compile(r"[\w.,:() +-]{1,80}")
_ID: Final = re.compile(r"(?:^|_|\.)ids?$|^connection$|Id$")
_PREFIX: Final = re.compile(r"^(?:(?:resp|item|call|event|sess|conv|derived)_|c(?=\d+$))")
_NAMED: Final = re.compile(r"(in progress: )(\S+?)(\.(?:\s|$))")
_AUDIO: Final = frozenset({"response.output_audio.delta", "input_audio_buffer.append"})
#: A record's body, as far as it is the proxy's own words.
_BODY: Final = re.compile(
    r"client connected|upstream open|upstream closed|client → upstream|upstream → client|client WebSocket closed \(code=\d+"
    r"|input_audio_buffer\.(?:append|commit \+ response\.create)(?: deferred| \(silence pad| \(flushed)?"
    r"|session\.created received \(|session\.update sent to upstream \(tools=\d+\)|greeting (?:sent|not sent)"
    r"|FunctionCallResponse from client → function_call_output sent to upstream"
    r"|InjectUserMessage deferred \(waiting for session\.updated\)|client KeepAlive ignored|Disallowed client message type "
    r"|Required upstream contract violated|Received response\.done from upstream|Upstream closed before session ready"
    r"|upstream→client: [a-z_.]+(?: → (?:sending FunctionCallRequest \+ ConversationText|FunctionCallRequest only))?"
    r"|upstream: [a-z_.]+ \((?:no client message|accumulate)|response\.output_text\.done → (?:control only|control \+)"
    r"|input_audio_transcription\.completed → |conversation\.item\.\* assistant |TTS "
)
_PAYLOAD: Final = re.compile(r"(conversation\.item\.\* raw \(debug\): type=[a-z_.]+ )item_id=\S+( payload=)(.*)", re.DOTALL)
_UNMAPPED: Final = re.compile(
    r"(Unmapped upstream event: [a-z_.]+ (?:— sending Error to client|\(payload length \d+\) — log only))"
    r".*?(?:(Full payload \(truncated\): )(.*))?",
    re.DOTALL,
)


class Redactor:
    """Replaces what is somebody's, the same way within one file.

    Args:
        keep_text: leave everything as it is but ids of connections, headers, cookies and queries.
    """

    def __init__(self, *, keep_text: bool = False) -> None:
        self.keep_text = keep_text
        self._key = secrets.token_bytes(32)

    def name(self, text: str) -> str:
        """What stands for an id: its family stays."""
        family = _PREFIX.match(text)
        return f"{family[0] if family else 'id_'}{self._hash(text)}"

    def text(self, text: str) -> str:
        """What stands for a text: how long it was, and whether it is the same as another."""
        if self.keep_text or not text or placeholder_in(text) is not None:
            return text
        if (named := _NAMED.search(text)) is not None and "already has an active response" in text:
            return f"Conversation already has an active response in progress: {self.name(named[2])}. (redacted)"
        shown = f"[{len(text)} characters #{self._hash(text)}]"
        # Arguments and results are JSON in a text: who reads them as JSON must find some.
        return json.dumps({"redacted": shown}) if text.lstrip()[:1] in "{[" else shown

    def value(self, value: Any, key: str = "", kind: str = "") -> Any:
        """Any JSON value under a key."""
        if key in _OPAQUE and not isinstance(value, str):
            return self._opaque(value)
        if isinstance(value, Mapping):
            own = str(value.get("type", kind))
            if key in _SETTINGS:
                return {str(name): self._setting(each) for name, each in value.items()}
            if key == "properties":  # of a tool's schema: the keys are the tool's words
                return {self._hash(str(name)): self.value(each, "", kind) for name, each in value.items()}
            return {self._key_name(name): self.value(each, str(name), own) for name, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(each, key, kind) for each in value]
        if not isinstance(value, str) or value == "":
            return value
        if key in _PLAIN and _WORD.fullmatch(value) and not _PRIVATE.fullmatch(value):
            return value
        if key == "binary" or (key in ("delta", "audio") and kind in _AUDIO):
            return self._silence(value)
        return self.name(value) if _ID.search(key) else self.text(value)

    def _opaque(self, value: Any) -> Any:
        """A result or arguments as JSON: `null` and truth stay, and who a result answers."""
        if self.keep_text or value is None or isinstance(value, bool):
            return value
        if isinstance(value, Mapping) and isinstance(value.get("id"), str) and "result" in value:
            return {"id": self.name(value["id"]), "result": self._opaque(value["result"])}
        if placeholder_in(json.dumps(value)) is not None:
            return value
        return {"redacted": f"[{type(value).__name__} #{self._hash(json.dumps(value, sort_keys=True))}]"}

    def _setting(self, value: Any) -> Any:
        known = isinstance(value, (bool, int, float)) or (isinstance(value, str) and _SETTING.fullmatch(value))
        return value if known else self.value(value)

    def body(self, body: str) -> str:
        """A log record's body."""
        if (found := _PAYLOAD.fullmatch(body)) is not None:
            return f"{found[1]}item_id=n/a{found[2]}{self._payload(found[3])}"
        if (found := _UNMAPPED.fullmatch(body)) is not None:
            return found[1] + (f". {found[2]}{self._payload(found[3])}" if found[2] else "")
        known = _BODY.match(body)
        if known is not None:
            return known[0]
        told = " — not forwarded to client" if body.endswith("not forwarded to client") else ""
        return self.text(body) + told

    def _payload(self, text: str) -> str:
        try:
            return json.dumps(self.value(json.loads(text)))
        except (ValueError, RecursionError):
            pass
        try:
            return json.dumps(self.value(from_json(text.rstrip("…"), allow_partial=True)))[:-1] + "…"
        except ValueError:
            return "…"

    def _silence(self, value: str) -> str:
        if self.keep_text:
            return value
        return base64.b64encode(bytes(len(value) * 3 // 4 - value[-2:].count("="))).decode("ascii")

    def _key_name(self, name: object) -> str:
        """A key is the protocol's, unless it is no word: then it is somebody's data."""
        text = str(name)
        return text if re.fullmatch(r"[A-Za-z_][\w.]{0,40}", text) else self._hash(text)

    def _hash(self, text: str) -> str:
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=5).hexdigest()


def redacted_log(records: Iterable[Record], by: Redactor) -> Iterator[str]:
    """The records of a console log, one JSON object a line."""
    for record in records:
        fields: dict[str, Any] = {}
        for name, value in record.fields.items():
            if name == "body" and isinstance(value, str):
                fields[name] = value if by.keep_text else by.body(value)
            elif name == "traceId" or not isinstance(value, Mark):
                fields[name] = None if isinstance(value, Mark) else by.value(_jsonable(value), name)
        yield json.dumps(fields)


def redacted_jsonl(lines: Iterable[str], by: Redactor) -> Iterator[str]:
    """Our own recording, line by line; a line that is cut is left out."""
    for line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            for name in ("text",):
                if isinstance(record.get(name), str):
                    record[name] = by.text(record[name])
            kept = {name: record[name] for name in ("voicerace_recording", "times", "knobs") if name in record}
            yield json.dumps({**by.value(record), **kept})


def redacted_har(entries: Iterable[Mapping[str, Any]], by: Redactor) -> str:
    """A HAR with its frames and nothing else: no header, no cookie, no query, no name of a host."""
    found = []
    for entry in entries:
        frames = entry.get("_webSocketMessages") if isinstance(entry, dict) else None
        if isinstance(frames, list):
            found.append(
                {
                    "request": {"url": "wss://redacted.invalid/"},
                    "_resourceType": "websocket",
                    "_webSocketMessages": [_frame(each, by) for each in frames if isinstance(each, dict)],
                }
            )
    return json.dumps({"log": {"version": "1.2", "creator": {"name": "voicerace redact"}, "entries": found}})


def _frame(frame: Mapping[str, Any], by: Redactor) -> dict[str, Any]:
    # Nothing but what they are there for: a text in one of these fields is somebody's.
    kept = {name: frame[name] for name in ("time", "opcode", "code") if isinstance(frame.get(name), (int, float))}
    kept |= {"type": frame["type"]} if frame.get("type") in ("send", "receive") else {}
    data = frame.get("data")
    if not isinstance(data, str):
        return kept
    if frame.get("opcode") != 1:
        return {**kept, "data": by.value(data, "binary")}
    try:
        return {**kept, "data": json.dumps(by.value(json.loads(data)))}
    except (ValueError, RecursionError):
        return {**kept, "data": by.text(data)}


def _jsonable(value: Any) -> Any:
    """A literal's value as JSON: what was not printed is left out."""
    if isinstance(value, dict):
        return {name: _jsonable(each) for name, each in value.items() if not isinstance(each, Mark)}
    if isinstance(value, list):
        return [_jsonable(each) for each in value if not isinstance(each, Mark)]
    return value
