"""What changed between two captures or runs: shares of sessions with intervals, and times at their quantiles.

A share's difference has Newcombe's interval (hybrid score, his method 10): sessions are taken as independent draws.
Where that is not so (a log of one user's day), it is too narrow; that is said with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from voicerace.captures.facts import CapturedSession
from voicerace.captures.reader import Capture
from voicerace.captures.show import quantiles, times_of
from voicerace.statistics import newcombe, wilson
from voicerace.verdict import OUTCOMES

__all__ = ["ASSUMPTION", "compare_captures", "compare_lines"]

ASSUMPTION: Final = "intervals (95 %) take sessions as independent draws; with a few users or one load they are too narrow"
#: What a session can have; None where the capture does not say, which leaves the session out of the share.
_HAVING: Final[dict[str, Callable[[CapturedSession], bool | None]]] = {
    "a refusal": lambda of: _positive(of, "refusals"),
    "a result beyond one per call": lambda of: _positive(of, "repeated_results"),
    "the component's default error": lambda of: _positive(of, "default_errors"),
    "a second session.update": lambda of: _positive(of, "session_updates", 2),
}


def compare_captures(a: Capture, b: Capture) -> dict[str, Any]:
    """The two side by side: per row the counts, denominators, shares, their difference and its interval."""
    rows = []
    judged = [[of for of in each.sessions if of.outcome != "unknown"] for each in (a, b)]
    for outcome in OUTCOMES:
        counts = [sum(of.outcome == outcome for of in each) for each in judged]
        if any(counts) and outcome != "unknown":
            rows.append(_row(f"outcome {outcome}", counts[0], len(judged[0]), counts[1], len(judged[1])))
    for name, has in _HAVING.items():
        known = [[found for of in each.sessions if (found := has(of)) is not None] for each in (a, b)]
        if any(map(any, known)):
            rows.append(_row(name, sum(known[0]), len(known[0]), sum(known[1]), len(known[1])))
    return {
        "schema": 1,
        "a": {"file": a.name, "sessions": len(a.sessions), "judged": len(judged[0]), "releases": _releases(a)},
        "b": {"file": b.name, "sessions": len(b.sessions), "judged": len(judged[1]), "releases": _releases(b)},
        "shares": rows,
        "times": {
            name: {"a": quantiles(times_of(a, name)), "b": quantiles(times_of(b, name))}
            for name in ("result_delay_ms", "gap_ms")
        },
        "assumption": ASSUMPTION,
    }


def compare_lines(found: dict[str, Any]) -> list[str]:
    """The same for a person."""
    lines = []
    for side in ("a", "b"):
        of = found[side]
        proxy = ", ".join(of["releases"]) or "unknown"
        lines.append(f"{side.upper()}: {of['file']}, {of['sessions']} sessions, {of['judged']} judged, proxy {proxy}")
    for row in found["shares"]:
        change = "no share without a session on both sides"
        if row["difference"] is not None:
            sure = "changed" if row["low"] > 0 or row["high"] < 0 else "no change shown"
            change = f"{row['difference']:+.0%} ({row['low']:+.0%} to {row['high']:+.0%}): {sure}"
        lines.append(f"  {row['what']}: {row['a']} of {row['of_a']} -> {row['b']} of {row['of_b']}; {change}")
    for name, both in found["times"].items():
        for key in ("median", "p90"):
            before, after = both["a"], both["b"]
            if before["count"] and after["count"]:
                counts = f"{before['count']} and {after['count']} times"
                lines.append(f"  {name} {key}: {before[key]:g} -> {after[key]:g} ms ({counts})")
    return [*lines, f"  {found['assumption']}"]


def _row(what: str, a: int, of_a: int, b: int, of_b: int) -> dict[str, Any]:
    row: dict[str, Any] = {"what": what, "a": a, "of_a": of_a, "b": b, "of_b": of_b}
    row |= {"a_interval": wilson(a, of_a) if of_a else None, "b_interval": wilson(b, of_b) if of_b else None}
    if not of_a or not of_b:
        return row | {"difference": None, "low": None, "high": None}
    low, high = newcombe(a, of_a, b, of_b)
    return row | {"difference": b / of_b - a / of_a, "low": low, "high": high}


def _positive(of: CapturedSession, name: str, least: int = 1) -> bool | None:
    count = of.counts[name]
    if count.value is None or count.kind == "unknown":
        return None
    # "At least none" says nothing; "at least one" does.
    return True if count.value >= least else None if count.kind == "at least" else False


def _releases(of: Capture) -> list[str]:
    return sorted({each.release for each in of.sessions if each.release is not None})
