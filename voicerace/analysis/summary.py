"""One session as one flat JSON object: what `voicerace run --json` prints. Its schema is docs/run.schema.json."""

from __future__ import annotations

from typing import Any

from voicerace.analysis.verdict import Verdict
from voicerace.trace.recording import Recording

__all__ = ["SCHEMA", "summary"]

SCHEMA = 1
_FLAT = ("response_creates", "refusals", "host_errors", "replies")
_TIMES = ("margin_ms", "lead_ms", "dead_air_ms")


def summary(recording: Recording, verdict: Verdict, tie_outcome: str | None = None) -> dict[str, Any]:
    """The verdict on a recording with where it comes from.

    The flat counts and times are those of the worst tool turn, null without one; `session_updates` is of the whole
    session; `tie_outcome` is what the other order of two simultaneous events gives, or null.
    """
    origin = recording.provenance
    turn = verdict.turn
    return {
        "schema": SCHEMA,
        "release": origin.get("release"),
        "component": origin.get("component"),
        "scenario": origin.get("scenario"),
        "handler": origin.get("handler"),
        "modality": origin.get("modality"),
        "calls": origin.get("calls"),
        "proxy": origin.get("proxy"),
        "upstream": origin.get("upstream"),
        "seed": origin.get("seed"),
        "times": origin.get("times"),
        "outcome": verdict.outcome,
        "why": verdict.why,
        "fault": verdict.fault,
        "wedged": verdict.wedged,
        "tie_outcome": tie_outcome,
        **{name: getattr(turn, name, None) for name in _FLAT},
        "session_updates": verdict.session_updates,
        **{name: getattr(turn, name, None) for name in _TIMES},
        "counts": dict(verdict.kinds),
        "turns": [each.to_json() for each in verdict.turns],
    }
