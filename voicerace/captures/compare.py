"""What changed between two captures or runs: shares of sessions with intervals, and times at their quantiles.

A share's difference has Newcombe's interval (hybrid score, his method 10): sessions are taken as independent draws.
Where that is not so (a log of one user's day), it is too narrow; that is said with it.
"""

from __future__ import annotations

from collections import Counter
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
    before, after = _Tally(a), _Tally(b)
    for outcome in OUTCOMES:
        counts = before.outcomes[outcome], after.outcomes[outcome]
        if any(counts) and outcome != "unknown":
            rows.append(_row(f"outcome {outcome}", counts[0], before.judged, counts[1], after.judged))
    for name in _HAVING:
        if before.having[name] or after.having[name]:
            rows.append(_row(name, before.having[name], before.known[name], after.having[name], after.known[name]))
    return {
        "schema": 1,
        "a": before.told(),
        "b": after.told(),
        "shares": rows,
        "times": {
            name: {"a": quantiles(times_of(a, name)), "b": quantiles(times_of(b, name))}
            for name in ("result_delay_ms", "gap_ms")
        },
        "assumption": ASSUMPTION,
    }


class _Tally:
    """What is counted of one side.

    Attributes:
        outcomes: how many sessions came to each.
        having: name of `_HAVING` -> how many sessions have it, of `known` of which that can be said.
    """

    def __init__(self, capture: Capture) -> None:
        self.name = capture.name
        self.outcomes: Counter[str] = Counter()
        self.having: Counter[str] = Counter()
        self.known: Counter[str] = Counter()
        self.releases: set[str] = set()
        for each in capture.sessions:
            self.outcomes[each.outcome] += 1
            self.releases.add(_proxy(each))
            for name, has in _HAVING.items():
                found = has(each)
                self.having[name] += found is True
                self.known[name] += found is not None

    @property
    def judged(self) -> int:
        """How many sessions have an outcome."""
        return self.outcomes.total() - self.outcomes["unknown"]

    def told(self) -> dict[str, Any]:
        sessions = self.outcomes.total()
        return {"file": self.name, "sessions": sessions, "judged": self.judged, "releases": sorted(filter(None, self.releases))}


def _proxy(of: CapturedSession) -> str:
    """Its release; the tags that a log allows are told together, those of one program among them."""
    return " or ".join(of.told.candidates) if of.told is not None else of.release or ""


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
