"""Compute statistics of each workaround on each release from the sessions of the run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pandas as pd

from voicerace.model.catalog.profiles import WORKAROUND_TIMES
from voicerace.model.catalog.workarounds import WORKAROUNDS
from voicerace.report.context import ReportContext

__all__ = ["Tally", "WorkaroundResult", "best_workaround", "longest_wait_ms", "workaround_results", "worsened"]

_SCENARIO = "single"


@dataclass(frozen=True)
class Tally:
    """Counts of sessions at the same times.

    Attributes:
        bad: number of bad sessions with a workaround.
        without: number of bad sessions without a workaround.
        of: number of sessions.
    """

    bad: int
    without: int
    of: int


@dataclass(frozen=True)
class WorkaroundResult:
    """The counts of one workaround on one release.

    Attributes:
        name: name of the workaround.
        bad: number of bad sessions with one call and one result, at gaps up to the longest wait of any workaround. If all
            gaps are longer, sessions at all gaps count.
        of: number of these sessions.
        without: number of these sessions that are bad without the workaround.
        heard: number of these sessions in which the user hears an informed reply.
        heard_without: number of these sessions in which the user hears an informed reply without the workaround.
        air_ms: median time in ms until an informed reply; None without a reply.
        air_without_ms: median time in ms until an informed reply without the workaround.
        gaps_ms: smallest and largest gap in ms.
        tools_ms: smallest and largest tool time in ms.
        beyond: counts at longer gaps; None without such sessions.
        beyond_ms: smallest gap of `beyond`; None without such sessions.
        stories: name of each other scenario -> its counts.
    """

    name: str
    bad: int
    of: int
    without: int
    heard: int
    heard_without: int
    air_ms: float | None
    air_without_ms: float | None
    gaps_ms: tuple[float, float] = (0, 0)
    tools_ms: tuple[float, float] = (0, 0)
    beyond: Tally | None = None
    beyond_ms: float | None = None
    stories: dict[str, Tally] = field(default_factory=dict)

    @property
    def holds_ms(self) -> float | None:
        """Return the fixed time in ms for which the workaround delays a result; None for other workarounds."""
        return float(WORKAROUND_TIMES["hold_ms"]) if WORKAROUNDS[self.name].holds == "time" else None


def longest_wait_ms() -> float:
    """Return the longest wait of any workaround in ms."""
    return max(float(value) for value in WORKAROUND_TIMES.values())


def workaround_results(context: ReportContext, release: str, names: Iterable[str] = WORKAROUNDS) -> list[WorkaroundResult]:
    """Return the results of the workarounds that a release allows, empty if the run has no workarounds."""
    frame = context.part("cures")
    if frame is None:
        return []
    if "scenario" not in frame.columns:  # runs of earlier versions contain only the scenario `single`
        frame = frame.assign(scenario=_SCENARIO)
    own = frame[(frame["release"] == release) & frame["possible"]]
    bare = own[own["workaround"] == "none"]
    return [_result(name, rows, bare) for name in names if len(rows := own[own["workaround"] == name])]


def best_workaround(context: ReportContext, release: str) -> WorkaroundResult | None:
    """Return the workaround with the fewest bad sessions, then the shortest wait; None if no workaround is an improvement."""
    better = [each for each in workaround_results(context, release) if each.bad < each.without]
    return min(better, key=lambda each: (each.bad, each.air_ms if each.air_ms is not None else 1e9), default=None)


def worsened(context: ReportContext, name: str) -> dict[str, Tally]:
    """Return, by release, the counts of each release on which a workaround increases the number of bad sessions."""
    return {
        release: Tally(each.bad, each.without, each.of)
        for release in context.releases
        for each in workaround_results(context, release, (name,))
        if each.bad > each.without
    }


def _result(name: str, rows: pd.DataFrame, bare: pd.DataFrame) -> WorkaroundResult:
    near, far = (_of(rows, beyond=each) for each in (False, True))
    near_bare, far_bare = (_of(bare, beyond=each) for each in (False, True))
    if near.empty:  # all gaps exceed the longest wait of any workaround
        near, near_bare, far, far_bare = far, far_bare, near, near_bare
    stories = {
        str(scenario): Tally(_bad(own), _bad(bare[bare["scenario"] == scenario]), len(own))
        for scenario, own in rows.groupby("scenario", sort=False)
        if scenario != _SCENARIO
    }
    return WorkaroundResult(
        name, _bad(near), len(near), _bad(near_bare), _heard(near), _heard(near_bare), _air(near), _air(near_bare),
        (float(near["gap_ms"].min()), float(near["gap_ms"].max())), (float(near["tool_ms"].min()), float(near["tool_ms"].max())),
        Tally(_bad(far), _bad(far_bare), len(far)) if len(far) else None, float(far["gap_ms"].min()) if len(far) else None, stories,
    )  # fmt: skip


def _of(rows: pd.DataFrame, *, beyond: bool) -> pd.DataFrame:
    long = rows["gap_ms"] > longest_wait_ms()
    return rows[(rows["scenario"] == _SCENARIO) & (long if beyond else ~long)]


def _bad(rows: pd.DataFrame) -> int:
    return int(rows["bad"].astype(bool).sum())


def _heard(rows: pd.DataFrame) -> int:
    return int(rows["heard_ms"].notna().sum())


def _air(rows: pd.DataFrame) -> float | None:
    known = rows["heard_ms"].dropna()
    return float(known.median()) if len(known) else None
