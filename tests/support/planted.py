"""Write captures of every format with a marker in each field.

A marker in an output shows that a redacted copy contains the value of that field.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from voicerace.captures.allowed import ATTRIBUTES, PROVENANCE
from voicerace.captures.known_fields import COMMON, FIELDS, Kind
from voicerace.captures.log_records import RECORDS, RecordKind
from voicerace.trace.recording import LINKS, Event, Link, Recording

__all__ = ["FORMATS", "Markers", "message", "write"]

#: Time of the first log record and frame in µs since the epoch: 2026-11-23.
START_US = 1_795_395_032_931_000


class Markers:
    """A source of unique markers of the kinds that a rule could let through: words, numbers, and keys of objects.

    Args:
        word: format of a text marker, with a placeholder for the marker's number.
        number: the first number marker.
    """

    def __init__(self, word: str = "qmarker{}x", number: int = 733_100_000) -> None:
        self._word, self._number = word, number
        self.given: list[str] = []

    def text(self) -> str:
        self.given.append(self._word.format(len(self.given)))
        return self.given[-1]

    def number(self) -> int:
        self.given.append(str(self._number + len(self.given)))
        return int(self.given[-1])

    def any(self, depth: int = 0) -> Any:
        """Return the next value: a word, a number, an object or a list."""
        kind = len(self.given) % 7
        if kind == 5 and depth < 2:
            return {self.text(): self.any(depth + 1), "code": self.text(), "id": self.number()}
        if kind == 6 and depth < 2:
            return [self.any(depth + 1), self.number()]
        return self.number() if kind in (1, 4) else self.text()

    def left_in(self, text: str) -> list[str]:
        """Return the markers that occur in `text`."""
        return [each for each in self.given if each in text]


def message(kind: str, markers: Markers, *, strange: bool = False) -> dict[str, Any]:
    """Return a message with a marker in each field named by its rules, and in unknown fields and keys.

    Args:
        kind: type of the message.
        markers: source of the markers.
        strange: whether values have types that the rules do not name.
    """
    fields = {**COMMON, **FIELDS.get(kind, {})}
    made = {name: _value(rule, markers, strange=strange) for name, rule in fields.items() if name != "type"}
    return {"type": kind, **made, markers.text(): markers.any(), "code": markers.text(), "times": {"tool_ms": markers.number()}}


def _value(rule: Any, markers: Markers, *, strange: bool) -> Any:
    if strange:
        return markers.any()
    if isinstance(rule, Mapping):
        made = {name: _value(each, markers, strange=strange) for name, each in rule.items()}
        return {**made, markers.text(): markers.any(), "reason": markers.text(), "status": markers.number()}
    if isinstance(rule, list):
        return [_value(rule[0], markers, strange=strange), markers.any()]
    if rule in (Kind.INDEX, Kind.WAIT_MS, Kind.CLOSE, Kind.FLAG):
        return markers.number()
    return f"in progress: {markers.text()}. '{markers.text()}'" if rule is Kind.ERROR_TEXT else markers.text()


def write(to: str, path: Path, kinds: Iterable[str], markers: Markers, *, strange: bool = False) -> Path:
    """Write a capture in the format `to` and return its path.

    It has one message of each type in `kinds`, and a message of an unknown type after each of them.
    """
    every = [made for kind in kinds for made in (message(kind, markers, strange=strange), message(markers.text(), markers))]
    path.write_text(FORMATS[to](every, markers), "utf-8")
    return path


def _recording(every: list[dict[str, Any]], markers: Markers) -> str:
    provenance = {name: _value(rule, markers, strange=False) for name, rule in PROVENANCE.items()}
    provenance |= {
        "times": {"deadline_ms": markers.text(), "tool_ms": markers.number(), "gap_ms": f"uniform(1,{markers.number()})"},
        "knobs": {"reply_status": markers.text(), markers.text(): markers.text()},
        "start": markers.text(),
        markers.text(): markers.any(),
    }
    events = [
        Event(seq, LINKS[seq % len(LINKS)], "message", seq * 1000, seq * 1000, payload, markers.text())
        for seq, payload in enumerate(every)
    ]
    more: list[tuple[Any, Any]] = [
        ("close", {"code": markers.number(), markers.text(): markers.text()}),
        ("fault", {"reason": markers.text(), markers.text(): 1}),
        ("message", markers.text()),
        ("message", markers.text().encode()),
    ]
    for kind, payload in more:
        events.append(Event(len(events), Link("upstream", "proxy"), kind, None, len(events) * 1000, payload, "log"))
    notes = (markers.text(), f"line {markers.number()} was cut after {markers.number()} characters and is dropped")
    return "".join(f"{line}\n" for line in Recording(tuple(events), provenance, markers.text(), LINKS, False, notes).lines())


def _records(every: list[dict[str, Any]], markers: Markers) -> list[dict[str, Any]]:
    """Return the records of a log. Each known prefix of a proxy's log body is followed by a payload, a text or a marker."""
    begins = [row.prefix for row in RECORDS if not row.exact and row.kind is not RecordKind.PAYLOAD]
    bodies = [f"{begin}{markers.text()}" for begin in (*begins, "", "client connected ")]
    bodies += [f"conversation.item.* raw (debug): type=x item_id={markers.text()} payload={json.dumps(e)}" for e in every[::2]]
    bodies += [
        f"Unmapped upstream event: {markers.text()} — log only. Full payload (truncated): {json.dumps(each)[: 40 * number]}"
        for number, each in enumerate(every[1::2])
    ]
    records = [_record("client connected", {"connection_id": markers.text(), "direction": "client"}, markers)]
    for each in every:
        records.append(_record("upstream → client", {"connection_id": "c1", "message_type": each["type"]}, markers))
    for number, body in enumerate(bodies):
        kind = "conversation.item.done" if number % 2 else markers.text()
        records.append(_record(body, {"connection_id": "c1", "message_type": kind, markers.text(): markers.any()}, markers))
    attributes = {name: _value(rule, markers, strange=False) for name, rule in ATTRIBUTES.items()}
    records.append(_record(markers.text(), {**attributes, "direction": "upstream→client"}, markers))
    return [{**each, "timestamp": START_US + number * 1000} for number, each in enumerate(records)]


def _record(body: str, attributes: dict[str, Any], markers: Markers) -> dict[str, Any]:
    return {
        "resource": {"attributes": {"service.name": markers.text(), markers.text(): markers.number()}},
        "severityText": markers.text(),
        "severityNumber": 9,
        "body": body,
        "attributes": attributes,
        "traceId": markers.text(),
        "spanId": markers.text(),
        "traceFlags": markers.number(),
    }


def _console(every: list[dict[str, Any]], markers: Markers) -> str:
    """Return the log in the format of `console.dir`, between other output."""
    lines = [markers.text()]
    for record in _records(every, markers):
        *fields, last = (f"  {name}: {json.dumps(value)}," for name, value in record.items())
        lines += ["{", *fields, last[:-1], "}", f"GET /{markers.text()} 200"]
    return "\n".join(lines)


def _docker(every: list[dict[str, Any]], markers: Markers) -> str:
    wrapped = [
        {"log": f"{line}\n", "stream": markers.text(), "time": markers.text(), "attrs": {markers.text(): markers.text()}}
        for line in _console(every, markers).split("\n")
    ]
    # All lines of a record have the same stream, since the stream identifies the source of a line.
    return "".join(f"{json.dumps({**each, 'stream': 'stdout'})}\n" for each in wrapped)


def _otlp(every: list[dict[str, Any]], markers: Markers) -> str:
    def pairs(given: Mapping[str, Any]) -> list[dict[str, Any]]:
        kinds = {int: "intValue", str: "stringValue"}
        return [{"key": key, "value": {kinds.get(type(value), "kvlistValue"): value}} for key, value in given.items()]

    made = [
        {
            "timeUnixNano": str(each["timestamp"] * 1000),
            "severityNumber": 9,
            "severityText": each["severityText"],
            "body": {"stringValue": each["body"]},
            "attributes": pairs(each["attributes"]),
            "traceId": each["traceId"],
        }
        for each in _records(every, markers)
    ]
    resource = {"attributes": pairs({"service.name": markers.text(), markers.text(): markers.number()})}
    scope = {"scope": {"name": markers.text()}, "logRecords": made}
    return json.dumps({"resourceLogs": [{"resource": resource, "scopeLogs": [scope], "schemaUrl": markers.text()}]})


def _har(every: list[dict[str, Any]], markers: Markers) -> str:
    def frame(data: str, **more: Any) -> dict[str, Any]:
        return {"type": "receive", "opcode": 1, "time": START_US / 1e6, "data": data, markers.text(): markers.any(), **more}

    frames = [frame(json.dumps(each)) for each in every]
    frames += [frame('{"type": "Settings"}', type="send"), frame(markers.text()), frame(f'["{markers.text()}"]')]
    frames += [frame("", opcode=8, code=markers.number()), frame(markers.text(), type=markers.text(), opcode=markers.number())]
    request = {"url": f"wss://{markers.text()}.example/?token={markers.text()}", "headers": [{"name": markers.text()}]}
    entry = {"request": request, "_webSocketMessages": frames, "comment": markers.text(), markers.text(): markers.any()}
    return json.dumps(
        {"log": {"version": "1.2", "creator": {"name": markers.text()}, "entries": [entry], "pages": [markers.text()]}}
    )


def _cassette(every: list[dict[str, Any]], markers: Markers) -> str:
    """Return a cassette as YAML with JSON values."""
    made: list[dict[str, Any]] = [
        {"kind": "message", "direction": "received", "at": number, "data": each, markers.text(): markers.any()}
        for number, each in enumerate(every)
    ]
    made.append({"kind": "close", "code": markers.number(), "reason": markers.text(), "at": len(made)})
    lines = [f"# {markers.text()}", "version: 1", "interactions:", *(f"- {json.dumps(each)}" for each in made)]
    return "\n".join(lines) + "\n"


FORMATS: dict[str, Callable[[list[dict[str, Any]], Markers], str]] = {
    "jsonl": _recording,
    "log": _console,
    "docker": _docker,
    "otlp": _otlp,
    "har": _har,
    "cassette": _cassette,
}
