"""Summarises a session in a JSON object, which `voicerace run --json` prints. Its schema is docs/run.schema.json."""

from __future__ import annotations

from typing import Any

from voicerace.analysis.verdict import Verdict
from voicerace.trace.recording import Recording

__all__ = ["SCHEMA", "earlier_summary", "summary"]

SCHEMA = 1
_ORIGIN = ("release", "component", "scenario", "handler", "modality", "calls", "proxy", "upstream", "seed", "times")
_COUNTS = ("response_creates", "refusals", "host_errors", "replies")
_TIMES = ("margin_ms", "lead_ms", "dead_air_ms")


def summary(recording: Recording, verdict: Verdict, tie_outcome: str | None = None) -> dict[str, Any]:
    """Return the verdict on a recording and the recording's provenance as a JSON object.

    The counts and times at the top level are those of the worst tool turn. Without a tool turn they are null.
    `session_updates` counts the session.update messages of the session. `tie_outcome` is the outcome if two simultaneous
    events are swapped, or null.
    """
    turn = verdict.turn
    return {
        "schema": SCHEMA,
        **{name: recording.provenance.get(name) for name in _ORIGIN},
        "outcome": verdict.outcome,
        "why": verdict.why,
        "fault": verdict.fault,
        "wedged": verdict.wedged,
        "tie_outcome": tie_outcome,
        **{name: getattr(turn, name, None) for name in _COUNTS},
        "session_updates": verdict.session_updates,
        **{name: getattr(turn, name, None) for name in _TIMES},
        "counts": dict(verdict.kinds),
        "turns": [each.to_json() for each in verdict.turns],
    }


def earlier_summary(verdict: Verdict) -> dict[str, Any]:
    """Return the verdict on the session whose result is earlier (`voicerace run --earlier`) as a JSON object."""
    judged = {"outcome": verdict.outcome, "why": verdict.why, "wedged": verdict.wedged}
    return judged | {name: getattr(verdict.turn, name, None) for name in (*_COUNTS, *_TIMES)}
