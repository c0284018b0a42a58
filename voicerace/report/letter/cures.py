"""Which workaround in the app helps on a release: read off the run's own sessions."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from voicerace.report.material import Material
from voicerace.tables.workarounds import WORKAROUNDS

__all__ = ["Cure", "best_cure", "cures_of"]


@dataclass(frozen=True)
class Cure:
    """A workaround on a release.

    Attributes:
        name: of `tables.workarounds`.
        bad, of: sessions that went wrong with it, of how many; `without`: of the same times without it.
        heard, heard_without: sessions in which the user hears a reply that knows the result.
        air_ms, air_without_ms: the median time until then; None where that never comes.
    """

    name: str
    bad: int
    of: int
    without: int
    heard: int
    heard_without: int
    air_ms: float | None
    air_without_ms: float | None


def cures_of(material: Material, release: str) -> list[Cure]:
    """Every workaround that can be written for a release; empty where the run did not try any."""
    frame = material.part("cures")
    if frame is None:
        return []
    own = frame[(frame["release"] == release) & frame["possible"]]
    bare = own[own["workaround"] == "none"]
    found = []
    for name in WORKAROUNDS:
        rows = own[own["workaround"] == name]
        if len(rows):
            found.append(Cure(name, _bad(rows), len(rows), _bad(bare), _heard(rows), _heard(bare), _air(rows), _air(bare)))
    return found


def best_cure(material: Material, release: str) -> Cure | None:
    """The one with the fewest sessions that went wrong, then with the shortest silence, where it is better than none."""
    better = [cure for cure in cures_of(material, release) if cure.bad < cure.without]
    return min(better, key=lambda cure: (cure.bad, cure.air_ms if cure.air_ms is not None else 1e9), default=None)


def _bad(rows: pd.DataFrame) -> int:
    return int(rows["bad"].astype(bool).sum())


def _heard(rows: pd.DataFrame) -> int:
    return int(rows["heard_ms"].notna().sum())


def _air(rows: pd.DataFrame) -> float | None:
    known = rows["heard_ms"].dropna()
    return float(known.median()) if len(known) else None
