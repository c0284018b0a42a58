"""Remove the prefixes and JSON that log collectors add to console lines, and read log records in JSON.

- Prefixes: from docker compose (``name-1  | ``), concurrently (``[0] ``), journalctl (``Nov 22 16:35:41 host node[42]: ``) and
  Kubernetes (``2026-11-22T16:35:41.642Z stdout F ``), and times. - JSON objects that contain a line: from docker's json-file
  (key ``log``), journald's export (``MESSAGE``, a text or an array of bytes) and cloud collectors (``message``, ``@message``,
  ``msg`` or ``textPayload``). - Records in JSON: OTLP (``resourceLogs``, as the collector's file exporter writes it), or one
  record per line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from voicerace.captures.log_records import PROXY_ATTRIBUTES
from voicerace.captures.node_inspect import NoValue, Value

__all__ = ["broken_json", "json_object", "otlp_records", "plain", "unwrapped"]

_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_CLOCK: Final = re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.,]{8,}(?:Z|[+-]\d\d:?\d\d)? ")
_SOURCE: Final = re.compile(r"[\w.@/-]{1,80} *\| ?|\[[\w.@: /-]{1,80}\] ")
_SYSLOG: Final = re.compile(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)? [\w.-]{1,80} [\w./@-]{1,80}(?:\[\d+\])?: ")
_KUBERNETES: Final = re.compile(r"(?:stdout|stderr) [FP] ")
_TEXTS: Final = ("log", "MESSAGE", "message", "msg", "textPayload", "@message")
_NAMES: Final = ("CONTAINER_NAME", "container_name", "_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER", "_PID", "stream", "pod")
_KEYS: Final = frozenset({"body", "attributes"})
#: Keys of a JSON line that can contain all or part of a record.
_RECORD_KEY: Final = re.compile(
    r'"(?:resourceLogs|timeUnixNano|timestamp|body|attributes|log|MESSAGE|message|msg|textPayload|@message)"\s*:'
)
#: Integer of at most 20 digits. Without the limit, `int` raises ValueError for thousands of digits.
_INTEGER: Final = re.compile(r"-?[0-9]{1,20}")


def plain(raw: str) -> tuple[str, str]:
    """Split a line into (source, text): the source named in its prefixes, or "", and the line without colours and prefixes."""
    text = _COLOUR.sub("", raw) if "\x1b" in raw else raw
    source = ""
    if text[:1].isspace() or text[:1] in "{}":
        return source, text
    for pattern in (_CLOCK, _SYSLOG, _SOURCE, _CLOCK, _KUBERNETES):
        found = pattern.match(text)
        if found is not None:
            if pattern is _SOURCE:
                source = found[0].rstrip()
            elif pattern is _SYSLOG:
                source = found[0].split(" ", 3)[-1].rpartition(" ")[2] or found[0][16:].rstrip()
            text = text[found.end() :]
    return source, text


def json_object(text: str) -> dict[str, Any] | None:
    """Parse the JSON object in a line; return None for any other line, such as a JavaScript literal."""
    stripped = text.strip()
    if len(stripped) < 3 or stripped[0] != "{" or stripped[-1] != "}" or '"' not in stripped[:16]:
        return None
    try:
        value = json.loads(stripped)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def broken_json(text: str) -> bool:
    """Return whether a line is cut or damaged JSON that may have contained a record."""
    return _RECORD_KEY.search(text) is not None and json_object(text) is None


def unwrapped(value: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return (source, text) of the line in a collector's JSON object; None if the object does not contain a line."""
    if value.keys() >= _KEYS or "resourceLogs" in value:
        return None
    for key in _TEXTS:
        text = value.get(key)
        if key == "MESSAGE" and isinstance(text, list) and all(isinstance(each, int) and 0 <= each < 256 for each in text):
            text = bytes(text).decode("utf-8", "replace")
        if isinstance(text, str):
            return " ".join(str(value[name])[:80] for name in _NAMES if isinstance(value.get(name), (str, int))), text
    return None


def otlp_records(value: Mapping[str, Any]) -> Iterator[dict[str, Value]] | None:
    """Return the records in a JSON object as `console.dir` prints them; None if the object cannot contain records."""
    if isinstance(value.get("resourceLogs"), list):
        return _of_otlp(value["resourceLogs"])
    if not (value.keys() >= _KEYS and "timestamp" in value):
        return None
    return iter([_with_undefined(value)] if _may_be_proxy(value["attributes"]) else [])


def _of_otlp(resources: list[Any]) -> Iterator[dict[str, Value]]:
    for resource in _objects(resources):
        for scope in _objects(resource.get("scopeLogs")):
            for record in _objects(scope.get("logRecords")):
                time_ns = _integer(record.get("timeUnixNano"))
                fields: dict[str, Value] = {
                    "timestamp": None if time_ns is None else time_ns // 1000,
                    "severityNumber": _number(record.get("severityNumber")),
                    "severityText": str(record.get("severityText", "")),
                    "body": _otlp(record.get("body")),
                    "attributes": {
                        str(each.get("key")): _otlp(each.get("value")) for each in _objects(record.get("attributes"))
                    },
                }
                if record.get("traceId"):
                    fields["traceId"] = str(record["traceId"])
                if _may_be_proxy(fields["attributes"]):
                    yield fields


def _may_be_proxy(attributes: object) -> bool:
    """Return whether the proxy can have written a record. A collector's file also contains records of other programs."""
    return not isinstance(attributes, Mapping) or not PROXY_ATTRIBUTES.isdisjoint(attributes)


def _otlp(value: object) -> Value:
    """Return the value of an OTLP AnyValue in JSON; `NoValue.ELIDED` for kinds that the proxy does not use."""
    if not isinstance(value, dict) or len(value) != 1:
        return NoValue.ELIDED
    (kind, content), *_ = value.items()
    if kind == "stringValue" and isinstance(content, str):
        return content
    if kind == "intValue" and (number := _integer(content)) is not None:
        return number
    if kind in ("boolValue", "doubleValue") and isinstance(content, (bool, int, float)):
        return content
    return NoValue.ELIDED


def _with_undefined(value: Mapping[str, Any]) -> dict[str, Value]:
    """Return a JSON record with each null replaced by `NoValue.UNDEFINED`, because `redact` writes undefined as null."""
    return {name: NoValue.UNDEFINED if each is None else each for name, each in value.items()}


def _integer(value: object) -> int | None:
    """Return a 64-bit integer from protobuf's JSON, which writes a text or a number; None for anything else."""
    return int(text) if _INTEGER.fullmatch(text := str(value)) else None


def _number(value: object) -> Value:
    """Return a severity number from protobuf's JSON, which writes the number or its name; `NoValue.ELIDED` if unknown."""
    if isinstance(value, str):
        return {"DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17}.get(value.rpartition("_")[2].rstrip("234"), NoValue.ELIDED)
    return value if isinstance(value, int) else NoValue.ELIDED


def _objects(value: object) -> list[dict[str, Any]]:
    """Return the objects in a JSON array; an empty list for any other value."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
