"""Trials in words: on which side of what a release fails, how often, and what that means to the user.

Everything is read off frames of trials; nothing here knows how a release ought to behave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import pandas as pd

from voicerace.analysis.outcomes import TABLE
from voicerace.experiments.rates import outcomes_at
from voicerace.model.catalog.releases import proxy_release
from voicerace.report.blocks import joined
from voicerace.report.plots.style import glyph

__all__ = [
    "HEARS",
    "WEDGED",
    "Side",
    "asks",
    "backend_of",
    "bad_of",
    "bad_sides",
    "faults_of",
    "gap_words",
    "how",
    "means",
    "name_of",
    "phrase",
    "range_of",
]
__all__ += ["same_program", "sides", "wrong_of"]

#: Outcome -> what the user gets, in a few words for the side of a picture.
HEARS: Final = {name: row.short for name, row in TABLE.items()}
#: A session whose turn is answered, and whose next user input is not: no outcome of a turn, and bad all the same.
WEDGED: Final = "wedged"
_WEDGED_MEANS: Final = "the reply, and none to the user's next words"
_EVENTS: Final = {
    "T": "the end of the text",
    "R": "`response.done`",
    "A": "the end of the audio",
    "I": "the result's own confirmation",
}


@dataclass(frozen=True)
class Side:
    """A stretch of tool times with one outcome.

    Attributes:
        low, high: the first and the last computed value.
        until: where the next stretch begins; None behind the last.
        exact: the change is at `until` itself, as a tie there shows; else it is between `high` and `until`.
        cells: how many were computed.
    """

    outcome: str
    low: float
    high: float
    until: float | None
    exact: bool
    cells: int

    @property
    def words(self) -> str:
        """Which tools these are."""
        if self.until is None and self.low <= 0:
            return f"every tool tried (0 to {self.high:g} ms)"
        end = "" if self.until is None else f"faster than {self.until:g} ms" if self.exact else f"of up to {self.high:g} ms"
        begin = "" if self.low <= 0 else f"of {self.low:g} ms or more"
        return "a tool " + (f"{begin}, but {end}" if begin and end else begin or end)


def sides(trials: pd.DataFrame, release: str) -> list[Side]:
    """The outcomes of a release along the tool's time; empty when it is not among the trials."""
    own = trials[trials["release"] == release]
    if own.empty:
        return []
    records = outcomes_at(own).to_dict("records")
    runs = [list(run) for _, run in groupby(records, key=lambda row: row["outcome"])]
    found = []
    for place, run in enumerate(runs):
        following = runs[place + 1][0] if place + 1 < len(runs) else None
        exact = following is not None and following["tie_outcome"] == run[-1]["outcome"]
        until = None if following is None else float(following["tool_ms"])
        found.append(Side(str(run[0]["outcome"]), float(run[0]["tool_ms"]), float(run[-1]["tool_ms"]), until, exact, len(run)))
    return found


def bad_sides(trials: pd.DataFrame, release: str, along: Sequence[Side]) -> list[Side]:
    """Those of a release's `sides` that nobody should ship."""
    bad = wrong_of(trials[trials["release"] == release])
    found = []
    for side in along:
        within = bad["tool_ms"].between(side.low, side.high)
        if (within & (bad["outcome"] == side.outcome)).any():
            found.append(side)
    return found


def phrase(found: Sequence[Side]) -> str:
    """Stretches in one clause."""
    return joined([f"{side.words} is **{glyph(side.outcome)} {side.outcome}**" for side in found])


def bad_of(trials: pd.DataFrame) -> tuple[int, int]:
    """How many sessions nobody should ship, of how many that could be judged."""
    judged = trials[trials["outcome"] != "unknown"]
    return int(judged["bad"].astype(bool).sum()), len(judged)


def wrong_of(trials: pd.DataFrame) -> pd.DataFrame:
    """The sessions that `bad_of` counts as bad."""
    return trials[(trials["outcome"] != "unknown") & trials["bad"].astype(bool)]


def faults_of(trials: pd.DataFrame) -> pd.Series[str]:
    """What went wrong in each session: its outcome; ``wedged`` where the turn was answered and the next words were not."""
    return trials["outcome"].mask(trials["bad"].astype(bool) & trials["outcome"].isin(["answered", "no_result"]), WEDGED)


def asks(release: str) -> str:
    """When a release asks the API for the response behind a result."""
    row = proxy_release(release)
    if row.gate is not None:
        return "asks as soon as the API is free"
    if not row.defers:
        return "asks as soon as the result arrives"
    events = joined([words for letter, words in _EVENTS.items() if letter in row.create_on], "or")
    late = ", at the latest after 20 s" if row.recovery else ""
    return f"waits for {events}, whichever comes next after the result, and asks then{late}"


def means(outcome: str) -> str:
    """An outcome in one line."""
    return _WEDGED_MEANS if outcome == WEDGED else " ".join(HEARS[outcome].split())


def backend_of(release: str) -> str:
    """voice-agent-backend's version, as published."""
    row = proxy_release(release)
    return row.published or row.backend


def name_of(release: str) -> str:
    """A release by both its numbers."""
    return f"{release} / {backend_of(release)}"


def same_program(release: str, recorded: Sequence[str]) -> str:
    """Under which other tag a release's program was recorded; empty where it was recorded under its own, or not at all."""
    return f"recorded under the tag {recorded[0]}, the same program" if recorded and release not in recorded else ""


def range_of(values: pd.Series[float], unit: str = "ms") -> str:
    """The smallest and the largest of some values, in words."""
    low, high = float(values.min()), float(values.max())
    return f"{low:,g} {unit}" if low == high else f"{low:,g} to {high:,g} {unit}"


def how(trials: pd.DataFrame) -> str:
    """The outcomes of sessions with their counts, and what each means, the most frequent first."""
    counts = faults_of(trials).value_counts()
    return joined([f"{count} {name} ({means(str(name))})" for name, count in counts.items()])


def gap_words(trials: pd.DataFrame) -> str:
    """The fixed times of trials: gap and network."""
    first = trials.iloc[0]
    host, upstream = first["host_rtt_ms"], first["upstream_rtt_ms"]
    network = (
        f"round trips of {host:g} ms (browser to proxy) and {upstream:g} ms (proxy to API)"
        if host or upstream
        else "no network"
    )
    return f"a gap of {first['gap_ms']:g} ms and {network}"
