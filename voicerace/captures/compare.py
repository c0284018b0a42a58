"""Compare two captures or runs by shares of sessions with confidence intervals and by quantiles of times.

The difference of two shares has Newcombe's hybrid score interval (method 10). It assumes that sessions are independent draws.
If sessions depend on each other, as in a log of one user's day, the interval is too narrow. The output states the assumption.

A sweep that keeps only some recordings prefers those of bad sessions. The shares of such a run are computed from its table of
trials.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from voicerace.analysis.verdict import OUTCOMES
from voicerace.captures.reader import Capture
from voicerace.captures.session_summary import CapturedSession
from voicerace.captures.show import quantiles, times_of
from voicerace.experiments.rates import newcombe, wilson
from voicerace.experiments.sweep.folder import RUN, TABLE
from voicerace.experiments.sweep.result import SweepResult
from voicerace.scrubber import printable

__all__ = ["ASSUMPTION", "Trials", "compare_captures", "compare_lines", "partly_kept"]

ASSUMPTION: Final = "intervals (95 %) take sessions as independent draws; with a few users or one load they are too narrow"
_TIMES: Final = ("result_delay_ms", "gap_ms")
#: Property -> function that returns whether a session has the property, or None if the capture does not show this. Sessions
#: with None are excluded from the share.
_HAVING: Final[dict[str, Callable[[CapturedSession], bool | None]]] = {
    "a refusal": lambda of: _positive(of, "refusals"),
    "a result beyond one per call": lambda of: _positive(of, "repeated_results"),
    "the component's default error": lambda of: _positive(of, "default_errors"),
    "a second session.update": lambda of: _positive(of, "session_updates", 2),
}
#: Property of `_HAVING` -> (column of a run's table, minimum value of a session with the property).
_COLUMNS: Final = {"a refusal": ("refusals", 1), "a second session.update": ("session_updates", 2)}


@dataclass(frozen=True)
class Trials:
    """A run of which only some recordings were kept.

    Attributes:
        name: printable name of the run's folder.
        table: table with one row per trial and the columns ``release``, ``outcome``, ``refusals``, ``session_updates``.
    """

    name: str
    table: pd.DataFrame


def partly_kept(path: Path) -> Trials | None:
    """Return the trials of a run's folder if some recordings were not kept; None for any other path.

    Raises:
        InputError: the run is incomplete, or its table is damaged.
    """
    if not (path / TABLE).is_dir() or not (path / RUN).is_file():
        return None
    table = SweepResult.open(path).columns("release", "outcome", "refusals", "session_updates", "recording")
    return Trials(printable(path.name, 200), table) if (table["recording"].fillna("") == "").any() else None


def compare_captures(a: Capture | Trials, b: Capture | Trials) -> dict[str, Any]:
    """Compare two captures and return the comparison as a JSON object.

    Each row of ``shares`` has counts, denominators, the difference of the shares (b minus a), and the difference's interval.
    """
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
        "a": before.summary(),
        "b": after.summary(),
        "shares": rows,
        "times": {name: {"a": quantiles(before.times[name]), "b": quantiles(after.times[name])} for name in _TIMES},
        "assumption": ASSUMPTION,
    }


class _Tally:
    """Counts and times of one capture.

    Attributes:
        outcomes: outcome -> number of sessions.
        having: property of `_HAVING` -> number of sessions that have the property.
        known: property of `_HAVING` -> number of sessions for which the property is not None.
        times: name of a time -> values in ms; empty for a run with recordings missing.
    """

    def __init__(self, capture: Capture | Trials) -> None:
        self.name = capture.name
        self.outcomes: Counter[str] = Counter()
        self.having: Counter[str] = Counter()
        self.known: Counter[str] = Counter()
        self.releases: set[str] = set()
        self.times: dict[str, list[float]] = {name: [] for name in _TIMES}
        if isinstance(capture, Trials):
            self._count(capture.table)
            return
        self.times = {name: times_of(capture, name) for name in _TIMES}
        for each in capture.sessions:
            self.outcomes[each.outcome] += 1
            self.releases.add(_proxy(each))
            for name, has in _HAVING.items():
                found = has(each)
                self.having[name] += found is True
                self.known[name] += found is not None

    def _count(self, table: pd.DataFrame) -> None:
        self.outcomes.update(table["outcome"].dropna().astype(str))
        self.releases.update(table["release"].dropna().astype(str))
        for name, (column, least) in _COLUMNS.items():
            known = table[column].dropna()
            self.having[name], self.known[name] = int((known >= least).sum()), len(known)

    @property
    def judged(self) -> int:
        """Return the number of sessions with a known outcome."""
        return self.outcomes.total() - self.outcomes["unknown"]

    def summary(self) -> dict[str, Any]:
        sessions = self.outcomes.total()
        return {"file": self.name, "sessions": sessions, "judged": self.judged, "releases": sorted(filter(None, self.releases))}


def _proxy(of: CapturedSession) -> str:
    """Return the release of a session as text: all candidates if inferred, empty if unknown."""
    return " or ".join(of.inference.candidates) if of.inference is not None else of.release or ""


def compare_lines(found: dict[str, Any]) -> list[str]:
    """Format the result of `compare_captures` as lines of text."""
    lines = []
    for side in ("a", "b"):
        of = found[side]
        proxy = ", ".join(of["releases"]) or "unknown"
        lines.append(f"{side.upper()}: {of['file']}, {of['sessions']} sessions, {of['judged']} judged, proxy {proxy}")
    for row in found["shares"]:
        change = "no shares: one side has no sessions"
        if row["difference"] is not None:
            sure = "changed" if row["low"] > 0 or row["high"] < 0 else "no change shown"
            change = f"{row['difference']:+.0%} ({row['low']:+.0%} to {row['high']:+.0%}): {sure}"
        lines.append(f"  {row['what']}: {row['a']} of {row['of_a']} -> {row['b']} of {row['of_b']}; {change}")
    for name, both in found["times"].items():
        for key in ("median", "p90"):
            before, after = both["a"], both["b"]
            if before["count"] and after["count"]:
                counts = f"{before['count']} and {after['count']} values"
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
    # A lower bound can prove that a session has the property, but not that it lacks the property.
    return True if count.value >= least else None if count.kind == "at least" else False
