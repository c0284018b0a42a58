"""Computes statistics of trials as data frames: counts, shares and intervals per cell, and times at which an outcome changes.

Shares with fixed times are computed and have no interval. Shares with drawn times are estimates with Wilson's interval.
Sessions with the outcome `unknown` are counted, but are not part of any share.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist
from typing import Any, Final

import pandas as pd

from voicerace.analysis.verdict import OUTCOMES
from voicerace.errors import InputError
from voicerace.model.catalog.profiles import FORWARDER_TIMES, TIMES

__all__ = [
    "cell_columns",
    "differing",
    "drawn_times",
    "findings",
    "flips",
    "newcombe",
    "outcomes_at",
    "summarise",
    "time_columns",
    "wilson",
]

_STORY: Final = ("release", "component", "scenario", "handler", "modality", "calls", "profile", "knobs")
_FURTHER_CALL: Final = re.compile(r"^(\w+_ms)_\d+$")


def wilson(count: int, of: int, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's interval (low, high) of a share.

    Args:
        count: number of draws in which the event occurred.
        of: number of independent draws; at least one.
        level: coverage.

    Raises:
        InputError: a number is out of range.
    """
    if not 0 <= count <= of or of < 1:
        raise InputError("count", f"{count} of {of}", "0 to all of 1 or more draws")
    if not 0 < level < 1:
        raise InputError("level", str(level), "a share between 0 and 1")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = count / of
    middle = share + z * z / (2 * of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    scale = 1 + z * z / of
    # The limit is exactly 0 or 1 here, but the formula has rounding errors.
    low = 0.0 if count == 0 else (middle - half) / scale
    high = 1.0 if count == of else (middle + half) / scale
    return low, high


def newcombe(count_a: int, of_a: int, count_b: int, of_b: int, level: float = 0.95) -> tuple[float, float]:
    """Return the interval (low, high) of the difference between two independent shares, B minus A (Newcombe 1998, method
    10)."""
    a, b = count_a / of_a, count_b / of_b
    (low_a, high_a), (low_b, high_b) = wilson(count_a, of_a, level), wilson(count_b, of_b, level)
    return b - a - math.hypot(b - low_b, high_a - a), b - a + math.hypot(high_b - b, a - low_a)


def time_columns(trials: pd.DataFrame) -> list[str]:
    """Return the columns of configured times: names of times, and numbered names for further calls (``tool_ms_2``)."""
    return [str(name) for name in trials.columns if _time_of(str(name)) in (*TIMES, *FORWARDER_TIMES)]


def cell_columns(trials: pd.DataFrame) -> list[str]:
    """Return the columns that identify a cell: the configuration and every time that is not drawn.

    Raises:
        InputError: the trials have different drawn times.
    """
    if "outcome" not in trials.columns:
        raise InputError("trials", "no column outcome", "a frame of trials")
    drawn = set(drawn_times(trials))
    story = [name for name in _STORY if name in trials.columns]
    return story + [name for name in time_columns(trials) if _time_of(name) not in drawn]


def summarise(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the count and share of each outcome per cell.

    Returns:
        One row per cell and outcome that occurs in any cell: the cell's columns, ``outcome``, ``count``, ``sessions``,
        ``judged`` (sessions with another outcome than `unknown`), ``ties`` (sessions with a tie that have this outcome in one
        order), ``share`` (of ``judged``; NaN for `unknown` and if ``judged`` is 0), ``low`` and ``high`` (Wilson, 95 %, drawn
        times only) and ``kind``: computed, estimated or unknown.

    Raises:
        InputError: `trials` is not a table of trials, or a cell with drawn times has a seed twice.
    """
    seen = [outcome for outcome in OUTCOMES if (trials.get("outcome", pd.Series(dtype="str")) == outcome).any()]
    return _per_cell(trials, [(outcome, trials["outcome"] == outcome) for outcome in seen], "outcome")


def findings(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the count and share of bad outcomes per cell, with the columns of `summarise` except ``outcome``."""
    return _per_cell(trials, [("bad", trials["bad"].astype(bool))], None) if len(trials) else summarise(trials)


def _per_cell(trials: pd.DataFrame, masks: Sequence[tuple[str, pd.Series[bool]]], label: str | None) -> pd.DataFrame:
    keys = cell_columns(trials)
    estimated = bool(drawn_times(trials))
    tied = _tied(trials)
    rows: list[dict[str, Any]] = []
    groups = trials.groupby(keys, sort=False, dropna=False, observed=True).indices if keys and len(trials) else {}
    for positions in groups.values():
        group = trials.iloc[positions]
        if estimated and group["seed"].duplicated().any():
            raise InputError("trials", "duplicate seed in a cell", "one seed per trial")
        known = group["outcome"] != "unknown"
        judged = int(known.sum())
        cell = {name: group[name].iloc[0] for name in keys}
        for name, mask in masks:
            count = int(mask.iloc[positions].sum())
            row = cell | ({label: name} if label else {}) | {"count": count, "sessions": len(group), "judged": judged}
            row["ties"] = int((tied.iloc[positions] & (mask.iloc[positions] | (group.get("tie_outcome") == name))).sum())
            share, low, high = math.nan, math.nan, math.nan
            if judged and name != "unknown":
                counted = int((mask.iloc[positions] & known).sum())
                share = counted / judged
                if estimated:
                    low, high = wilson(counted, judged)
            kind = "unknown" if not judged else "estimated" if estimated else "computed"
            rows.append(row | {"share": share, "low": low, "high": high, "kind": kind})
    columns = [*keys, *([label] if label else []), "count", "sessions", "judged", "ties", "share", "low", "high", "kind"]
    return pd.DataFrame(rows, columns=columns)


def outcomes_at(trials: pd.DataFrame, axis: str = "tool_ms") -> pd.DataFrame:
    """Return the outcome of every trial, ordered along one time. All times are fixed.

    Returns:
        One row per trial: the columns of `differing`, `axis`, ``outcome``, ``tie_outcome`` (or None) and ``margin_ms``.
        Rows are sorted by configuration, in the order of the trials, then by `axis`.

    Raises:
        InputError: the axis is not a column, a time is drawn, or two trials of one cell differ.
    """
    keys = cell_columns(trials)
    if axis not in trials.columns:
        raise InputError("axis", f"{axis!r} is no column", f"allowed are {', '.join(time_columns(trials))}")
    if drawn := drawn_times(trials):
        raise InputError("trials", f"{', '.join(drawn)} is drawn", "fixed times; for shares of drawn ones see summarise")
    keep = differing(trials, keys, axis)
    frame = pd.DataFrame(trials[[*keep, axis, "outcome"]])
    for name in ("tie_outcome", "margin_ms"):
        frame[name] = trials[name] if name in trials.columns else None
    frame = frame.drop_duplicates()
    if frame.duplicated([*keep, axis]).any():
        raise InputError("trials", f"two outcomes at one {axis}", "one trial per cell")
    order = frame.groupby(keep, sort=False, dropna=False).ngroup() if keep else pd.Series(0, index=frame.index)
    sorted_ = frame.assign(_order=order).sort_values(["_order", axis], kind="stable").drop(columns="_order")
    return sorted_.reset_index(drop=True)


def flips(trials: pd.DataFrame, axis: str = "tool_ms") -> pd.DataFrame:
    """Return the values of a time between which the outcome changes, per configuration.

    Returns:
        One row per change: the columns of `differing`, ``from_ms`` and ``to_ms`` (neighbouring values of the time),
        ``before`` and ``after`` (their outcomes), and ``at_ms``, the exact value if a tie has both outcomes.

    Raises:
        InputError: as `outcomes_at`.
    """
    frame = outcomes_at(trials, axis)
    keep = list(frame.columns[: frame.columns.get_loc(axis)])
    rows: list[dict[str, Any]] = []
    groups = [frame] if not keep else [group for _, group in frame.groupby(keep, sort=False, dropna=False)]
    for group in groups:
        records = group.to_dict("records")
        for left, right in pairwise(records):
            if left["outcome"] == right["outcome"]:
                continue
            exact = math.nan
            if right["tie_outcome"] == left["outcome"]:
                exact = right[axis]
            elif left["tie_outcome"] == right["outcome"]:
                exact = left[axis]
            rows.append(
                {name: left[name] for name in keep}
                | {"from_ms": left[axis], "to_ms": right[axis], "at_ms": exact}
                | {"before": left["outcome"], "after": right["outcome"]}
            )
    return pd.DataFrame(rows, columns=[*keep, "from_ms", "to_ms", "at_ms", "before", "after"])


def differing(frame: pd.DataFrame, columns: Sequence[str], axis: str) -> list[str]:
    """Return the columns, except `axis`, that distinguish cells: ``release``, and columns with more than one value."""
    keep = [name for name in columns if name != axis and (name == "release" or frame[name].nunique(dropna=False) > 1)]
    # The release determines the component unless the sweep sets the component.
    if "release" in keep and "component" in keep and not frame.groupby("release")["component"].nunique().gt(1).any():
        keep.remove("component")
    return keep


def _time_of(column: str) -> str:
    """Return the name of the time in a column, without the number of the call."""
    further = _FURTHER_CALL.match(column)
    return further.group(1) if further else column


def _tied(trials: pd.DataFrame) -> pd.Series[bool]:
    if "tie_outcome" not in trials.columns:
        return pd.Series(False, index=trials.index)
    return trials["tie_outcome"].notna()


def drawn_times(trials: pd.DataFrame) -> list[str]:
    """Return the names of the drawn times, which must be the same in every trial."""
    if "drawn" not in trials.columns or not len(trials):
        return []
    found = trials["drawn"].fillna("").unique()
    if len(found) > 1:
        raise InputError("trials", f"drawn times differ: {', '.join(map(repr, found))}", "trials of one kind at a time")
    return str(found[0]).split(",") if found[0] else []
