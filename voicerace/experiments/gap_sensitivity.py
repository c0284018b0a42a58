"""Computes which gaps change the outcome of a tool turn while all other times are as recorded.

No recording of the real API has a gap of more than a few milliseconds (`recorded-2026`). This module computes how long a gap
must be to change an outcome: for each draw of the other times, only the gap varies. The results are not frequencies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Any, Final

import pandas as pd

from voicerace.analysis.verdict import judge
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.experiments.answers import HANDLERS_ASKED, SAME_MESSAGES, Cell, cells, programs
from voicerace.experiments.sweep.chunks import uncollected
from voicerace.experiments.sweep.spec import Plan
from voicerace.model.catalog.profiles import RECORDED
from voicerace.model.parameters import Times, Uniform
from voicerace.units import ms, ns

__all__ = ["GAPS_MS", "LONGEST_RECORDED_MS", "RECORDED_MS", "Sensitivity", "frame_of", "rows_of_sensitivity", "sensitivity"]

_GAP: Final = Times.of({}, RECORDED).values["gap_ms"]
assert isinstance(_GAP, Uniform)  # noqa: S101  # a uniform distribution in the profile
#: (shortest, longest) recorded gap in ms.
RECORDED_MS: Final = (_GAP.low, _GAP.high)
LONGEST_RECORDED_MS: Final = _GAP.high
#: Gaps in ms to play with every draw: the limits of the recorded range, then longer gaps.
GAPS_MS: Final = (_GAP.low, LONGEST_RECORDED_MS, 25.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 450.0, 700.0, 1000.0)
_RESOLUTION_NS: Final = 1_000_000


@dataclass(frozen=True)
class Sensitivity:
    """Effect of the gap on the outcomes of one cell.

    Attributes:
        cell: release, handler style and modality.
        draws: number of draws of all other times.
        bad: number of draws with a bad outcome, by gap in ms.
        to_bad: sorted gaps, to 1 ms, at which the outcome becomes bad: one for each draw with a good outcome at the longest
            recorded gap and a bad outcome at a longer gap.
        to_good: as `to_bad`, with good and bad exchanged.
    """

    cell: Cell
    draws: int
    bad: dict[float, int]
    to_bad: tuple[float, ...]
    to_good: tuple[float, ...]


def sensitivity(selected: Sequence[Cell] | None = None, draws: int = 20) -> Iterator[Sensitivity]:
    """Play every cell at every gap with the same draws of all other times, and yield one result per cell.

    Args:
        selected: cells to play; None for all cells with audio replies.
        draws: number of draws of the other times.
    """
    for cell in cells(modalities=("audio",)) if selected is None else selected:
        with uncollected():
            yield _of(cell, draws)


def _of(cell: Cell, draws: int) -> Sensitivity:
    bad = dict.fromkeys(GAPS_MS, 0)
    changes: dict[bool, list[float]] = {True: [], False: []}
    for _, session in Plan.of(cell.spec).part(0, draws):
        found = {gap: _is_bad(session, ns(gap)) for gap in GAPS_MS}
        for gap, wrong in found.items():
            bad[gap] += wrong
        before = found[LONGEST_RECORDED_MS]
        for low, high in pairwise(GAPS_MS[GAPS_MS.index(LONGEST_RECORDED_MS) :]):
            if found[high] != before:
                changes[before].append(_change(session, ns(low), ns(high)))
                break
    return Sensitivity(cell, draws, bad, tuple(sorted(changes[False])), tuple(sorted(changes[True])))


def _is_bad(session: SessionConfig, gap_ns: int) -> bool:
    return judge(simulate(replace(session, times=session.times.with_ns("gap_ms", gap_ns)))).bad


def _change(session: SessionConfig, low: int, high: int) -> float:
    """Return the gap in ms, to 1 ms, at which the outcome changes between two gaps. `low` and `high` are in ns."""
    last = _is_bad(session, high)
    while high - low > _RESOLUTION_NS:
        middle = (low + high) // 2
        low, high = (low, middle) if _is_bad(session, middle) == last else (middle, high)
    return ms(high)


def frame_of(found: Sequence[Sensitivity]) -> pd.DataFrame:
    """Return one row per cell and gap: ``release``, ``handler``, ``gap_ms``, ``bad``, ``draws`` and ``share`` (bad / draws)."""
    rows: list[dict[str, Any]] = [
        {"release": each.cell.release, "handler": each.cell.handler, "gap_ms": gap, "bad": bad, "draws": each.draws}
        for each in found
        for gap, bad in each.bad.items()
    ]
    frame = pd.DataFrame(rows, columns=["release", "handler", "gap_ms", "bad", "draws"])
    return frame.assign(share=frame["bad"] / frame["draws"])


def rows_of_sensitivity(found: Sequence[Sensitivity]) -> Iterator[tuple[str, str, str, str]]:
    """Yield (releases, handler styles, draws that are bad at the longest recorded gap, gaps that change the outcome) per
    cell."""
    tags = programs()
    for each in found:
        styles = ", ".join(style for style in HANDLERS_ASKED if SAME_MESSAGES.get(style, style) == each.cell.handler)
        wrong = f"{each.bad[LONGEST_RECORDED_MS]} of {each.draws}"
        yield ", ".join(tags[each.cell.release]), styles, wrong, _changes(each)


def _changes(each: Sensitivity) -> str:
    parts = []
    for word, changes, of in (
        ("wrong", each.to_bad, each.draws - each.bad[LONGEST_RECORDED_MS]),
        ("well", each.to_good, each.bad[LONGEST_RECORDED_MS]),
    ):
        if changes:
            half = f", half of them by {median(changes):.0f} ms" if len(changes) > 1 else ""
            parts.append(f"{len(changes)} of {of} end {word} with a longer one, from {changes[0]:.0f} ms{half}")
    return "; ".join(parts) or f"no other end up to {GAPS_MS[-1]:g} ms"
