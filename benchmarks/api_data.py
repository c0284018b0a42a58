"""Make `data/api` from recordings of the Realtime API: one file of condensed sessions per provider.

    git clone https://github.com/pydantic/pydantic-ai CLONE
    python benchmarks/api_data.py --clone CLONE

The same sources give the same files. `data/api/sources.tsv` names each session's file and commit. A session of form ``table``
was copied by hand from a newer file or a log, as a table of its messages without their texts. The script reads the session from
the clone if the clone has the file, else from a folder of tables (`--tables`), else from the existing `data/api`.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from condense import condensed

from voicerace.captures.api import API, api_recordings
from voicerace.captures.cassette import read_cassette
from voicerace.trace.recording import UPSTREAM_LINKS, Event, Recording, write_recordings

_SENT, _RECEIVED = UPSTREAM_LINKS
_NUMBERS = ("output_index", "content_index", "audio_start_ms", "audio_end_ms")
_KEPT = ("provider", "protocol", "model", "date", "repository", "path", "commit", "times", "license", "note")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clone", type=Path, help="a clone of the repository of most sources")
    parser.add_argument("--tables", type=Path, help="a folder of tables, NAME.tsv")
    parser.add_argument("--out", type=Path, default=Path("data/api"), help="[data/api]")
    given = parser.parse_args(arguments)
    with (given.out / "sources.tsv").open(newline="") as file:
        sources = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    before = {each.provenance["connection"]: each for each in api_recordings()} if list(given.out.glob("*.jsonl.gz")) else {}
    files: dict[str, list[Recording]] = {}
    for source in sources:
        made = _made(source, given.clone, given.tables) or before.get(source["name"])
        if made is None:
            print(f"{source['name']}: neither the clone nor a table has it", file=sys.stderr)
            return 2
        files.setdefault("logs" if source["name"].startswith("log__") else source["provider"], []).append(made)
    for name, recordings in files.items():
        write_recordings(given.out / f"{name}.jsonl.gz", recordings)
        print(f"{name}: {len(recordings)} sessions, {(given.out / f'{name}.jsonl.gz').stat().st_size} bytes")
    return 0


def _made(source: Mapping[str, str], clone: Path | None, tables: Path | None) -> Recording | None:
    """Return a session from the clone or from its table, or None if neither exists."""
    if clone is not None and source["commit"] and source["path"].endswith(".yaml"):
        name = f"{source['commit']}:{source['path']}"
        shown = subprocess.run(["git", "-C", clone, "cat-file", "blob", name], capture_output=True)
        if shown.returncode == 0:
            return _with_source(condensed(read_cassette(io.BytesIO(shown.stdout), name).recording), source, {"fields": "all"})
    table = None if tables is None else tables / f"{source['name']}.tsv"
    if table is None or not table.is_file():
        return None
    events, more = _of_table(table.read_text("utf-8").splitlines())
    recording = Recording(tuple(events), {}, "log", (_SENT, _RECEIVED), False)
    return _with_source(condensed(recording), source, {"fields": "some", **more})


def _with_source(recording: Recording, source: Mapping[str, str], more: Mapping[str, Any]) -> Recording:
    provenance: dict[str, Any] = {"made_by": API, "connection": source["name"]}
    provenance |= {key: source[key] or None for key in _KEPT} | more
    if source["start"]:
        provenance["start"] = source["start"]
        provenance["file_start_us"] = round(datetime.fromisoformat(source["start"]).timestamp() * 1e6)
    return Recording(recording.events, provenance, "log", recording.observed, recording.complete, recording.notes)


# -- tables ----------------------------------------------------------------------------------------------------------


def _of_table(lines: Sequence[str]) -> tuple[list[Event], dict[str, Any]]:
    """Return (events, provenance) of a table with the columns of `_message`.

    The provenance contains ``rows``, the numbers of the rows, if they differ from those of the events, and ``breaks``, the
    numbers of the events before which rows are missing.
    """
    events: list[Event] = []
    rows: list[int | None] = []
    breaks: list[int] = []
    shared: tuple[str, ...] = ()
    for line in lines[2:]:
        row = (line.split("\t") + [""] * 12)[:12]
        if row[0] == "#gap":
            breaks.append(len(events))
            continue
        direction, at, kind = row[1:4]
        if "condensed)" in row[11] or at in shared:
            at = ""  # the time in the row applies to several messages
        elif row[11].endswith("on one line)"):
            shared = (at,)
        at_ns = round(float(at) * 1e9) if at else None
        if kind == "<close>":
            code = re.search(r"code=(\d+)", row[11])
            payload: dict[str, Any] = {"code": int(code[1]) if code else None}
            events.append(Event(len(events), _RECEIVED, "close", None, at_ns, payload, "table"))
        elif direction == "sent":
            events.append(Event(len(events), _SENT, "message", at_ns, None, _message(row), "table"))
        elif direction == "received" and not kind.startswith("<"):
            events.append(Event(len(events), _RECEIVED, "message", None, at_ns, _message(row), "table"))
        else:
            continue  # the row is a log line of the client or an HTTP exchange
        rows.append(int(row[0]) if row[0] else None)
    more: dict[str, Any] = {} if rows == list(range(1, len(rows) + 1)) else {"rows": rows}
    return events, {**more, **({"breaks": breaks} if breaks else {})}


def _message(row: Sequence[str]) -> dict[str, Any]:
    kind, event_id, response_id, item_id, item_type, call_id, role, status, detail = row[3:]
    said = dict(_details(detail))
    message: dict[str, Any] = {"type": kind}
    if event_id:
        message["event_id"] = event_id
    if "prev" in said and kind.startswith(("conversation.item.", "input_audio_buffer.")):
        message["previous_item_id"] = None if said["prev"] == "None" else said["prev"]
    message |= {key: int(said[key]) for key in _NUMBERS if key in said}
    if item_type:
        own = {"id": item_id, "type": item_type, "status": status, "role": role, "call_id": call_id, "phase": said.get("phase")}
        message["item"] = {key: value for key, value in own.items() if value}
        if response_id:
            message["response_id"] = response_id
    elif kind.rpartition("/")[2] in ("response.created", "response.done", "response.completed", "response.in_progress"):
        own = {"id": response_id, "status": status}
        message["response"] = {key: value for key, value in own.items() if value} | _output(said)
    elif kind.startswith("session."):
        message["session"] = _session(said)
    elif kind == "error":
        message["error"] = {key: said.get(key) for key in ("type", "code", "message")}
    else:
        own = {"response_id": response_id, "item_id": item_id, "call_id": call_id}
        message |= {key: value for key, value in own.items() if value}
        if "part" in said and kind.startswith("response.content_part."):
            message["part"] = {"type": said["part"].split(" ")[0]}
    return message


def _details(text: str) -> Iterator[tuple[str, str]]:
    """Yield the (key, value) pairs of a row's last column. The message of an error can contain any text."""
    text, _, message = text.partition("message=")
    if message:
        yield "message", message.split("; event_id=")[0]
    for found in re.finditer(r"(\w+)=([^;\s]+(?: \([^)]*\))?)", text):
        yield found[1], found[2]


def _output(said: Mapping[str, str]) -> dict[str, Any]:
    if "output" not in said or said["output"] == "[]":
        return {"output": []} if "output" in said else {}
    items = [each.split(":") for each in said["output"].split(",")]
    return {"output": [{"type": each[0], **({"status": each[1]} if len(each) > 1 else {})} for each in items]}


def _session(said: Mapping[str, str]) -> dict[str, Any]:
    session: dict[str, Any] = {key: said[key] for key in ("id", "model") if key in said}
    if said.get("expires_at", "").isdigit():
        session["expires_at"] = int(said["expires_at"])
    if "modalities" in said:
        session["output_modalities"] = said["modalities"].split("+")
    if "vad" in said:
        vad: dict[str, Any] = {"type": None if said["vad"] == "None" else said["vad"]}
        vad |= {key: said[key] == "True" for key in ("create_response",) if said.get(key) in ("True", "False")}
        vad |= {key: int(said[key]) for key in ("idle_timeout_ms",) if said.get(key, "").isdigit()}
        if said.get("silence_ms", "").isdigit():
            vad["silence_duration_ms"] = int(said["silence_ms"])
        session["turn_detection"] = vad
    if said.get("tools", "").isdigit():
        session["tools"] = [{"type": "function"}] * int(said["tools"])
    return session


if __name__ == "__main__":
    sys.exit(main())
