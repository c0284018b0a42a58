"""Which workaround in the app helps on a release, with which story, and which it makes worse: read off the run's own sessions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pandas as pd

from voicerace.model.catalog.profiles import WORKAROUND_TIMES
from voicerace.model.catalog.workarounds import WORKAROUNDS
from voicerace.report.context import ReportContext

__all__ = ["Cure", "Tally", "best_cure", "cures_of", "longest_wait_ms", "worsened"]

_STORY = "single"


@dataclass(frozen=True)
class Tally:
    """Sessions that went wrong with a workaround, and at the same times without it, of how many."""

    bad: int
    without: int
    of: int


@dataclass(frozen=True)
class Cure:
    """A workaround on a release.

    Attributes:
        name: of `model.catalog.workarounds`.
        bad, of: sessions with one call and one result that went wrong with it, of how many; `without`: of the same times
            without it. Only gaps that are shorter than what any workaround waits.
        heard, heard_without: sessions in which the user hears a reply that knows the result.
        air_ms, air_without_ms: the median time until then; None where that never comes.
        gaps_ms, tools_ms: the shortest and the longest that were tried.
        beyond: the same at gaps that are longer than that, `beyond_ms` the shortest of them; None where none was tried.
        stories: of the other stories, by name.
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
        """How long it holds a result back, where that is one time; it outlasts every gap below it by its making."""
        return float(WORKAROUND_TIMES["hold_ms"]) if WORKAROUNDS[self.name].holds == "time" else None


def longest_wait_ms() -> float:
    """The longest that any workaround waits."""
    return max(float(value) for value in WORKAROUND_TIMES.values())


def cures_of(material: ReportContext, release: str, names: Iterable[str] = WORKAROUNDS) -> list[Cure]:
    """Those of some workarounds that can be written for a release; empty where the run did not try any."""
    frame = material.part("cures")
    if frame is None:
        return []
    if "scenario" not in frame.columns:  # a run of an earlier version has this story alone
        frame = frame.assign(scenario=_STORY)
    own = frame[(frame["release"] == release) & frame["possible"]]
    bare = own[own["workaround"] == "none"]
    return [_cure(name, rows, bare) for name in names if len(rows := own[own["workaround"] == name])]


def best_cure(material: ReportContext, release: str) -> Cure | None:
    """The one with the fewest sessions that went wrong, then with the shortest silence, where it is better than none."""
    better = [cure for cure in cures_of(material, release) if cure.bad < cure.without]
    return min(better, key=lambda cure: (cure.bad, cure.air_ms if cure.air_ms is not None else 1e9), default=None)


def worsened(material: ReportContext, name: str) -> dict[str, Tally]:
    """Releases of the run on which more sessions go wrong with a workaround than without it."""
    found = {}
    for release in material.releases:
        for cure in cures_of(material, release, (name,)):
            if cure.bad > cure.without:
                found[release] = Tally(cure.bad, cure.without, cure.of)
    return found


def _cure(name: str, rows: pd.DataFrame, bare: pd.DataFrame) -> Cure:
    near, far = (_of(rows, _STORY, beyond=each) for each in (False, True))
    near_bare, far_bare = (_of(bare, _STORY, beyond=each) for each in (False, True))
    if near.empty:  # the capture's gaps are all longer than any workaround waits
        near, near_bare, far, far_bare = far, far_bare, near, near_bare
    stories = {
        str(story): Tally(_bad(own), _bad(bare[bare["scenario"] == story]), len(own))
        for story, own in rows.groupby("scenario", sort=False)
        if story != _STORY
    }
    return Cure(
        name, _bad(near), len(near), _bad(near_bare), _heard(near), _heard(near_bare), _air(near), _air(near_bare),
        (float(near["gap_ms"].min()), float(near["gap_ms"].max())), (float(near["tool_ms"].min()), float(near["tool_ms"].max())),
        Tally(_bad(far), _bad(far_bare), len(far)) if len(far) else None, float(far["gap_ms"].min()) if len(far) else None, stories,
    )  # fmt: skip


def _of(rows: pd.DataFrame, story: str, *, beyond: bool = False) -> pd.DataFrame:
    long = rows["gap_ms"] > longest_wait_ms()
    return rows[(rows["scenario"] == story) & (long if beyond else ~long)]


def _bad(rows: pd.DataFrame) -> int:
    return int(rows["bad"].astype(bool).sum())


def _heard(rows: pd.DataFrame) -> int:
    return int(rows["heard_ms"].notna().sum())


def _air(rows: pd.DataFrame) -> float | None:
    known = rows["heard_ms"].dropna()
    return float(known.median()) if len(known) else None
