"""The result of a contract run (facts, measured times, recordings), with conversion to JSON and files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voicerace.conformance.contract.facts import Fact, FactState
from voicerace.conformance.contract.times import Spread
from voicerace.files import write_text
from voicerace.model.protocol import realtime
from voicerace.trace.recording import Event, Recording
from voicerace.units import ms

__all__ = ["Contract", "FactResult", "at_ms", "keep", "what"]


@dataclass(frozen=True)
class FactResult:
    """A fact and its answer.

    Attributes:
        fact: row of the table.
        state: ``held``, ``broken`` or ``unknown``.
        seen: the observation, or the reason why there is no observation.
        trace: the events of the fact's recording that decide the state.
    """

    fact: Fact
    state: FactState
    seen: str
    trace: tuple[Event, ...] = ()

    def to_json(self) -> dict[str, Any]:
        trace = [{"ms": at_ms(event), "sender": event.link.sender, "what": what(event)} for event in self.trace]
        fact = {name: getattr(self.fact, name) for name in ("name", "statement", "state", "where")}
        tried = not self.fact.untried
        return {**fact, "tried": tried, "answer": self.state, "seen": self.seen, "trace": trace}


@dataclass(frozen=True)
class Contract:
    """The result of a run.

    Attributes:
        upstream: name of the target, without path and query.
        provenance: provenance of all recordings.
        sessions: number of connections that opened.
        rows: one row per fact, in the table's order: open, bounded, settled.
        times: name of a time -> statistics in ms.
        recordings: name -> recording. The name is a fact's, or ``call_N`` for a session that only measures times.
    """

    upstream: str
    provenance: Mapping[str, Any]
    sessions: int
    rows: tuple[FactResult, ...]
    times: Mapping[str, Spread]
    recordings: Mapping[str, Recording]

    def count(self, state: FactState) -> int:
        return sum(row.state == state for row in self.rows)

    @property
    def states(self) -> dict[str, FactState]:
        """Name of a fact -> state of its answer."""
        return {row.fact.name: row.state for row in self.rows}

    def to_json(self) -> dict[str, Any]:
        """Return the result as one JSON object, with the names of the printed tables."""
        return {
            "schema": 1,
            **self.provenance,
            "sessions": self.sessions,
            "held": self.count("held"),
            "broken": self.count("broken"),
            "unknown": self.count("unknown"),
            "facts": [row.to_json() for row in self.rows],
            "measured": {name: spread.to_json() for name, spread in self.times.items()},
        }

    def write(self, folder: Path) -> list[Path]:
        """Write ``NAME.jsonl`` for each recording, and ``contract.json``. Return the paths."""
        folder.mkdir(parents=True, exist_ok=True)
        files = [keep(folder, name, recording) for name, recording in self.recordings.items()]
        files.append(folder / "contract.json")
        write_text(files[-1], json.dumps(self.to_json(), indent=2) + "\n")
        return files


def keep(folder: Path, name: str, recording: Recording) -> Path:
    """Write one recording as ``NAME.jsonl`` and return its path."""
    file = folder / f"{name}.jsonl"
    recording.write(file)
    return file


def at_ms(event: Event) -> float | None:
    """Return the time of an event at the client's socket in ms since the start of its session."""
    at_ns = event.at_ns("proxy")
    return None if at_ns is None else round(ms(at_ns), 1)


def what(event: Event) -> str:
    """Return a short description of an event: its type, ids, codes and statuses."""
    payload = event.payload
    if isinstance(payload, bytes):
        return f"(binary) {len(payload)} bytes"
    if not isinstance(payload, Mapping):
        return event.type
    if event.kind != "message":
        return f"{event.type} {payload.get('code', payload.get('reason'))}"
    item, response, error = (read(payload) for read in (realtime.item_of, realtime.response_of, realtime.error_of))
    details = response.get("status_details")
    parts = [
        event.type,
        item.get("type"),
        item.get("id"),
        payload.get("response_id"),
        response.get("id"),
        response.get("conversation") and f"conversation={response['conversation']}",
        response.get("status"),
        details.get("reason") if isinstance(details, Mapping) else None,
        error.get("code"),
        event.link.sender == "proxy" and payload.get("event_id"),
        error.get("event_id"),
    ]
    return " ".join(str(part) for part in parts if part)
