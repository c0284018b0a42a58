"""What a run of the contract came to: one row per fact, the times, the recordings; as JSON, and as files."""

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
        fact: the row of the table.
        state: held, broken or unknown.
        seen: what was seen, or why nothing can be said.
        trace: the events that decide it, as they are in the fact's recording.
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
    """All of it.

    Attributes:
        upstream: the target's name; never its path or query.
        provenance: what every recording says of the run.
        sessions: connections that opened.
        rows: one per fact, in the table's order: open, bounded, settled.
        times: by name, in ms.
        recordings: by the fact's name, or ``call_N`` for a session that was for the times only.
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
        """Fact -> answer."""
        return {row.fact.name: row.state for row in self.rows}

    def to_json(self) -> dict[str, Any]:
        """One object; its parts are named as in the printed tables."""
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
        """``NAME.jsonl`` per recording and ``contract.json``; gives the files."""
        folder.mkdir(parents=True, exist_ok=True)
        files = [keep(folder, name, recording) for name, recording in self.recordings.items()]
        files.append(folder / "contract.json")
        write_text(files[-1], json.dumps(self.to_json(), indent=2) + "\n")
        return files


def keep(folder: Path, name: str, recording: Recording) -> Path:
    """Write one recording; gives its file."""
    file = folder / f"{name}.jsonl"
    recording.write(file)
    return file


def at_ms(event: Event) -> float | None:
    """When an event was at our socket, in ms since its session began."""
    at_ns = event.at_ns("proxy")
    return None if at_ns is None else round(ms(at_ns), 1)


def what(event: Event) -> str:
    """An event in a few words: its type, and the ids, codes and statuses that decide something."""
    payload = event.payload
    if isinstance(payload, bytes):
        return f"(binary) {len(payload)} bytes"
    if not isinstance(payload, Mapping):
        return event.type
    if event.kind != "message":
        return f"{event.type} {payload.get('code', payload.get('reason'))}"
    item, response, error = (read(payload) for read in (realtime.item_of, realtime.response_of, realtime.error_of))
    details = response.get("status_details")
    words = [
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
    return " ".join(str(word) for word in words if word)
