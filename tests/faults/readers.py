"""Read damaged captures: console logs, logs in the format of a collector, HAR files, recordings and cassettes."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.faults.mutate import deep, mutated_bytes, mutated_json
from tests.support.collectors import JSON_WRAPPERS, WRAPPERS, otlp, otlp_document
from voicerace.captures import inspect_json, inspect_lines, read_capture
from voicerace.captures.compare import compare_captures, compare_lines
from voicerace.captures.copies import FORMATS, exported, redacted
from voicerace.captures.log_scanner import Record, scan
from voicerace.errors import InputError
from voicerace.trace.recording import Link, read_recordings

__all__ = ["cassette", "collected", "har", "jsonl", "log"]

ROOT = Path(__file__).parents[2]
#: Maximum length of a reader's error in characters.
_LONGEST = 1_500


@cache
def logs() -> tuple[bytes, ...]:
    """Return the records of one connection of every sample log, as one log each."""
    found = []
    for path in sorted((ROOT / "data" / "logs").glob("*.log.gz")):
        records = gzip.decompress(path.read_bytes()).split(b"\n{\n")
        own = [each for each in records[1:] if b"'c1'" in each]
        found.append(b"{\n" + b"\n{\n".join(own or records[1:40]))
    return (*found, (ROOT / "tests" / "data" / "console-0.9.1-refused.log").read_bytes())


@cache
def recordings() -> tuple[bytes, ...]:
    """Return some recordings of the sample logs and of the conformance cases, as the bytes of one file each."""
    found = []
    for path in sorted((ROOT / "data").glob("*/*[0-9].jsonl.gz")):
        each = read_recordings(path)
        found += ["".join(line + "\n" for line in one.lines()).encode() for one in each[:: max(1, len(each) // 4)][:4]]
    return tuple(found)


@cache
def hars() -> tuple[Any, ...]:
    """Return the content of a HAR file that Playwright wrote, and recordings of the host's side in the same form."""
    found = [json.loads((ROOT / "tests" / "data" / "playwright-chromium.har").read_bytes())]
    host = {Link("component", "proxy"): "send", Link("proxy", "component"): "receive"}
    for path in sorted((ROOT / "data" / "logs").glob("*.jsonl.gz"))[::3]:
        one = read_recordings(path)[0]
        messages = [
            {"type": host[event.link], "time": 1.7e9 + (event.at_ns("proxy") or 0) / 1e9, "opcode": 1,
             "data": json.dumps(event.payload)}
            for event in one.on(*host)
            if isinstance(event.payload, dict) and event.kind == "message"
        ]  # fmt: skip
        entry = {"_resourceType": "websocket", "request": {"url": "ws://localhost:8080/openai"}, "_webSocketMessages": messages}
        found.append({"log": {"version": "1.2", "entries": [entry]}})
    return tuple(found)


@cache
def cassettes() -> tuple[Any, ...]:
    """Return sessions of `data/api` in the form of cassettes, with and without times."""
    found = []
    for path in sorted((ROOT / "data" / "api").glob("*.jsonl.gz")):
        for one in read_recordings(path)[:2]:
            interactions: list[dict[str, Any]] = []
            for event in one.events[:40]:
                if event.kind == "close":
                    interactions.append({"kind": "close", "code": 1011, "reason": "", "ok": False})
                    continue
                direction = "sent" if event.link.receiver == "upstream" else "received"
                at = event.at_ns("proxy")
                more = {} if at is None else {"at": at / 1e9}
                interactions.append({"kind": "message", "direction": direction, **more, "data": dict(event.payload or {})})
            found.append({"version": 1, "interactions": interactions})
    return tuple(found)


@cache
def cassette_files() -> tuple[bytes, ...]:
    return tuple(_yaml(each) for each in cassettes())


def shown(path: Path, rng: random.Random) -> str:
    """Read a file, format it in every form, and return ``read``, ``read, with gaps`` or ``refused``.

    Any exception other than `InputError` is a failure of the reader, which the caller records.
    """
    try:
        capture = read_capture(path)
        json.dumps(inspect_json(capture), allow_nan=False)
        lines = [*inspect_lines(capture)]
        if rng.random() < 0.2:
            lines += compare_lines(compare_captures(capture, capture))
        assert all(line.isprintable() for line in lines), "a line that does not print"
        if rng.random() < 0.2:
            for line in redacted(path):
                line.encode()
        if rng.random() < 0.2 and capture.sessions:
            exported(capture, rng.choice(FORMATS), rng.randint(1, len(capture.sessions))).encode()
    except InputError as error:
        said = str(error)
        assert said.isprintable(), f"an error that does not print: {said!r}"
        assert len(said) <= _LONGEST, f"an error of {len(said)} characters"
        return "refused"
    return "read, with gaps" if capture.unread else "read"


def _reading(name: str, make: Callable[[random.Random], bytes]) -> Callable[[random.Random, Path], str]:
    def one(rng: random.Random, folder: Path) -> str:
        path = folder / name
        data = make(rng)
        # Some files are compressed, and some compressed files are damaged after the compression.
        if rng.random() < 0.05:
            data, path = gzip.compress(data, 1), folder / f"{name}.gz"
            data = data if rng.random() < 0.5 else mutated_bytes(data, rng, most=1)
        path.write_bytes(data)
        return shown(path, rng)

    return one


def _log(rng: random.Random) -> bytes:
    return mutated_bytes(rng.choice(logs()), rng, logs())


@cache
def records() -> tuple[tuple[dict[str, Any], ...], ...]:
    """Return the records of each sample log in OTLP form."""
    lines = (each.decode().split("\n") for each in logs())
    return tuple(tuple(otlp(record) for record in scan(of) if isinstance(record, Record)) for of in lines)


#: Valid and invalid representations of numbers in JSON of other programs.
_NUMBERS = ("--5", "\u00b2", "9" * 5_000, "-", "1e5", "0x10", " 7", "NaN", 1.5, -1, 2**64, True, None, [], {})


def _collected(rng: random.Random) -> bytes:
    """Return a log in a collector's format or as OTLP, with damage in the log, in the JSON or in the bytes."""
    name = rng.choice(("otlp", "otlp", "one a line", *WRAPPERS))
    if name in ("otlp", "one a line"):
        lines = _documents(rng, name)
    else:
        wrap = WRAPPERS[name]
        data = rng.choice(logs())
        data = mutated_bytes(data, rng, logs()) if rng.random() < 0.3 else data
        lines = [wrap(line) for line in data.decode("utf-8", "replace").split("\n")]
        if name in JSON_WRAPPERS:
            for _ in range(rng.randint(1, 3)):
                at = rng.randrange(len(lines))
                lines[at] = deep(rng) if rng.random() < 0.02 else json.dumps(mutated_json(json.loads(lines[at]), rng))
    made = "\n".join(lines).encode("utf-8", "surrogatepass")
    return mutated_bytes(made, rng, logs()) if rng.random() < 0.3 else made


def _documents(rng: random.Random, name: str) -> list[str]:
    """Return lines of OTLP batches or of one JSON record each, with some damaged records. A batch can have several lines."""
    own: list[Any] = [*rng.choice(records())]
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(own))
        if rng.random() < 0.4:
            number, where = rng.choice(_NUMBERS), rng.choice(("timeUnixNano", "severityNumber", "attributes", "body"))
            wrong = {"attributes": [{"key": "connection_id", "value": {"intValue": number}}], "body": {"intValue": number}}
            own[at] = {**own[at], where: wrong.get(where, number)}
        else:
            own[at] = mutated_json(own[at], rng, records()[0])
            own[at] = own[at] if isinstance(own[at], dict) else {}
    if name == "one a line":
        return [json.dumps(_plain_record(each)) for each in own]
    size = rng.choice((1, 20, len(own)))
    documents = [otlp_document(own[at : at + size]) for at in range(0, len(own), size)]
    if rng.random() < 0.3:
        at = rng.randrange(len(documents))
        documents[at] = mutated_json(documents[at], rng)
    return [json.dumps(each, indent=rng.choice((None, None, 1))) for each in documents]


def _bare(value: Any) -> Any:
    return next(iter(value.values())) if isinstance(value, dict) and len(value) == 1 else value


def _micros(time_ns: Any) -> Any:
    return int(time_ns) // 1000 if isinstance(time_ns, str) and time_ns.isdecimal() and len(time_ns) < 25 else time_ns


def _plain_record(record: Any) -> Any:
    """Return an OTLP record with the field names of the console log."""
    attributes, body = record.get("attributes"), record.get("body")
    pairs = attributes if isinstance(attributes, list) else []
    return {
        "timestamp": _micros(record.get("timeUnixNano")),
        "body": body.get("stringValue") if isinstance(body, dict) else body,
        "attributes": {str(each.get("key")): _bare(each.get("value")) for each in pairs if isinstance(each, dict)},
        "severityNumber": record.get("severityNumber"),
    }


def _jsonl(rng: random.Random) -> bytes:
    data = rng.choice(recordings())
    if rng.random() < 0.4:
        return mutated_bytes(data, rng, recordings())
    lines = data.splitlines()
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(lines))
        record = json.loads(lines[at])
        if rng.random() < 0.02:
            lines[at] = deep(rng).encode()
            break
        if isinstance(inner := record.get("json", record.get("provenance")), dict) and rng.random() < 0.7:
            # The damage is within a message, so that every line is still an event.
            inner = mutated_json(inner, rng)
            record["json" if "json" in record else "provenance"] = inner if isinstance(inner, dict) else {}
        else:
            record = mutated_json(record, rng)
        lines[at] = _dumped(record)
        if not isinstance(record, dict):
            break
    return b"\n".join(lines) + b"\n"


def _har(rng: random.Random) -> bytes:
    value = rng.choice(hars())
    if rng.random() < 0.3:
        return mutated_bytes(json.dumps(value).encode(), rng, [json.dumps(each).encode() for each in hars()])
    if rng.random() < 0.02:
        return b'{"log":{"entries":' + deep(rng).encode() + b"}}"
    changed = mutated_json(value, rng, hars(), most=6)
    messages = _messages(changed)
    if messages and rng.random() < 0.5:
        each = rng.choice(messages)
        if isinstance(each.get("data"), str) and each["data"].startswith("{"):
            try:
                each["data"] = json.dumps(mutated_json(json.loads(each["data"]), rng))
            except ValueError:
                each["data"] = deep(rng)
    return _dumped(changed)


def _cassette(rng: random.Random) -> bytes:
    files = cassette_files()
    chosen = rng.randrange(len(files))
    if rng.random() < 0.02:
        return b"version: 1\ninteractions:\n- " + deep(rng).encode()
    if rng.random() < 0.1:
        return _multiplied(files[chosen], rng)
    if rng.random() < 0.5:
        return mutated_bytes(files[chosen], rng, files)
    changed = mutated_json(cassettes()[chosen], rng, cassettes(), most=6)
    # JSON is valid YAML. The first line stays unchanged, because a reader recognises a cassette by its beginning.
    return _yaml(changed) if rng.random() < 0.7 else b"interactions:\n" + _dumped(changed)


def _multiplied(data: bytes, rng: random.Random) -> bytes:
    """Return a cassette whose YAML aliases refer to each other or to themselves."""
    levels = rng.randint(1, 40)
    lines = ["- kind: message", "  direction: received", "  data:", "    type: error", "    a0: &a0 [x, x, x, x]"]
    lines += [f"    a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, levels)]
    lines += [f"    last: {rng.choice(['*a0', '*none', '&self [*self]', '{<<: *a0}', '!!python/object:os.system x'])}"]
    return data + "\n".join(lines).encode() + b"\n"


def _yaml(value: Any) -> bytes:
    try:
        return yaml.dump(value, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True).encode("utf-8", "replace")
    except (yaml.YAMLError, RecursionError, UnicodeError):
        return _dumped(value)


def _messages(value: Any) -> list[dict[str, Any]]:
    try:
        return [each for entry in value["log"]["entries"] for each in entry["_webSocketMessages"] if isinstance(each, dict)]
    except (KeyError, TypeError):
        return []


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


log = _reading("a.log", _log)
collected = _reading("a.json", _collected)
jsonl = _reading("a.jsonl", _jsonl)
har = _reading("a.har", _har)
cassette = _reading("a.yaml", _cassette)
