"""Summarises a sweep by merging equal neighbouring cells along each grid into ranges.

Two cells are equal if every outcome has the same count in both. A range never includes a cell that was not played.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from voicerace.experiments.sweep.table import STORY

__all__ = ["cell_ranges", "ms_text", "share_text"]

_OUTCOME: Final = ("outcome", "trials", "of", "judged", "share", "low", "high", "kind")


@dataclass(frozen=True)
class _Box:
    """Range of equal cells.

    Attributes:
        spans: (first, last) index on each axis.
        cells: number of cells.
        ties: total number of trials with a tie in these cells.
        outcomes: values of the columns `_OUTCOME` for each outcome.
    """

    spans: tuple[tuple[int, int], ...]
    cells: int
    ties: int
    outcomes: tuple[tuple[Any, ...], ...]

    def joined(self, after: _Box, axis: int) -> _Box | None:
        """Return the union of two ranges if `after` follows along `axis` and is otherwise equal, else None."""
        own, other = self.spans, after.spans
        if own[:axis] + own[axis + 1 :] != other[:axis] + other[axis + 1 :] or own[axis][1] + 1 != other[axis][0]:
            return None
        if [each[:4] for each in self.outcomes] != [each[:4] for each in after.outcomes]:
            return None
        spans = (*own[:axis], (own[axis][0], other[axis][1]), *own[axis + 1 :])
        return _Box(spans, self.cells + after.cells, self.ties + after.ties, self.outcomes)


def cell_ranges(outcomes: pd.DataFrame, axes: Sequence[str], *, by_proxy: bool = False) -> pd.DataFrame:
    """Return the outcomes per range of equal cells.

    Args:
        outcomes: result of `table.outcome_counts`.
        axes: names of the times that are grids.
        by_proxy: whether to use the column ``proxy`` instead of ``release``.

    Returns:
        One row per range and outcome: ``release`` (or ``proxy``) and the other differing columns of `STORY`; every axis as
        text, for example ``0–120``; ``cells`` (number of cells); ``outcome``, ``trials``, ``of``, ``judged``, ``share``,
        ``low``, ``high`` and ``kind`` of each cell; ``ties`` (sum over all cells, in the first row of a range).
    """
    target = "proxy" if by_proxy else "release"
    keep = [target, *(name for name in STORY if name not in ("release", "proxy") and _varies(outcomes, name, target))]
    # Cells are merged first along the axis with the most values. Of several such axes, the first is used, often `tool_ms`.
    backwards = [*reversed(axes)]
    order = sorted(backwards, key=lambda name: outcomes[name].nunique(dropna=False))
    rows: list[dict[str, Any]] = []
    for _, story in outcomes.groupby(list(STORY), sort=False, dropna=False):
        found = [pd.factorize(story[name], sort=True, use_na_sentinel=False) for name in order]
        places = list(zip(*(codes for codes, _ in found), strict=True)) if order else [()] * len(story)
        settings = {name: story[name].iloc[0] for name in keep}
        for box in _boxes(story, places):
            ranges = [_range(values, place) for (_, values), place in zip(found, box.spans, strict=True)]
            for number, each in enumerate(box.outcomes):
                row = settings | dict(zip(order, ranges, strict=True)) | {"cells": box.cells}
                rows.append(row | dict(zip(_OUTCOME, each, strict=True)) | {"ties": 0 if number else box.ties})
    return pd.DataFrame(rows, columns=[*keep, *order, "cells", *_OUTCOME, "ties"])


def _varies(outcomes: pd.DataFrame, name: str, target: str) -> bool:
    """Return whether a column has several values or, for ``component``, several values within one value of `target`."""
    if name == "component":
        return bool(outcomes.groupby(target)[name].nunique().gt(1).any())
    return bool(outcomes[name].nunique(dropna=False) > 1)


def _boxes(story: pd.DataFrame, places: Sequence[tuple[int, ...]]) -> list[_Box]:
    """Return the ranges of one configuration. `places`: indices of each row on the axes."""
    cells: dict[tuple[int, ...], _Box] = {}
    for place, row in zip(places, story.to_dict("records"), strict=True):
        before = cells.get(place, _Box(tuple((each, each) for each in place), 1, 0, ()))
        outcomes = (*before.outcomes, tuple(row[name] for name in _OUTCOME))
        # The most frequent outcome is first.
        ordered = tuple(sorted(outcomes, key=lambda each: (-each[1], each[0])))
        cells[place] = _Box(before.spans, 1, before.ties + row["ties"], ordered)
    boxes = list(cells.values())
    for axis in reversed(range(len(places[0]) if places else 0)):
        boxes.sort(key=lambda box: (box.spans[:axis] + box.spans[axis + 1 :], box.spans[axis]))  # bound in this iteration
        joined: list[_Box] = []
        for box in boxes:
            more = joined[-1].joined(box, axis) if joined else None
            joined[len(joined) - (more is not None) :] = [more or box]
        boxes = joined
    return sorted(boxes, key=lambda box: box.spans)


def _range(values: Any, place: tuple[int, int]) -> str:
    first, last = (values[each] for each in place)
    return ms_text(first) if first == last else f"{ms_text(first)}–{ms_text(last)}"  # an en dash


def ms_text(value: float) -> str:
    """Return milliseconds as text with up to six decimals, without trailing zeros."""
    return "-" if pd.isna(value) else f"{value:.6f}".rstrip("0").rstrip(".")


def share_text(share: float) -> str:
    """Return a share as text in percent. Only exactly 0 and 1 are shown as 0 % and 100 %."""
    if pd.isna(share):
        return "-"
    if 0 < share < 0.001:
        return "<0.1 %"
    if 0.999 < share < 1:
        return ">99.9 %"
    return f"{share * 100:.1f}".removesuffix(".0") + " %"
