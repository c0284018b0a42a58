"""Compares drawn trials: differences between two releases on the same draws, and shares along a measured time.

Releases of one sweep use the same draws, so they are compared draw by draw. The interval of a difference is then much narrower
than with independent draws.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any, Final

import numpy as np
import pandas as pd

from voicerace.errors import InputError
from voicerace.experiments.rates import cell_columns, wilson

__all__ = ["differences", "paired_interval", "shares_along"]

#: Columns of a cell that can differ between the compared releases.
_OWN: Final = ("release", "component")


def paired_interval(both: int, first: int, second: int, neither: int, level: float = 0.95) -> tuple[float, float]:
    """Return the interval (low, high) of the difference between two shares of the same draws, first minus second.

    Wilson's limits of both shares are combined with their correlation phi, which has a continuity correction if its numerator
    is positive. Source: method 10 of Newcombe, "Improved confidence intervals for the difference between binomial proportions
    based on paired data", Statistics in Medicine 17 (1998) 2635-2650.

    Args:
        both: number of draws with the event in both samples.
        first: number of draws with the event only in the first sample.
        second: number of draws with the event only in the second sample.
        neither: number of draws without the event. The four numbers must not all be 0.
        level: coverage.
    """
    of = both + first + second + neither
    one, other = (both + first) / of, (both + second) / of
    (low_1, high_1), (low_2, high_2) = wilson(both + first, of, level), wilson(both + second, of, level)
    product = math.prod((both + first, second + neither, both + second, first + neither))
    common: float = both * neither - first * second
    common = max(common - of / 2, 0) if common > 0 else common
    phi = common / math.sqrt(product) if product else 0.0

    def reach(a: float, b: float) -> float:
        return math.sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0))

    difference = one - other
    return difference - reach(one - low_1, high_2 - other), difference + reach(high_1 - one, other - low_2)


def differences(trials: pd.DataFrame, of: str = "bad", level: float = 0.95) -> pd.DataFrame:
    """Return the difference between the shares of an outcome for each pair of releases, on their common draws.

    Args:
        trials: trials of one sweep. The seed identifies a draw.
        of: ``bad`` for all bad outcomes, or an outcome.
        level: coverage of each pair's interval, without a correction for several pairs.

    Returns:
        One row per cell and pair of releases: the cell's columns except those of the release, ``release``, ``other``,
        ``pairs`` (draws judged in both), ``both``, ``only``, ``only_other``, ``neither``, ``difference`` (share of the release
        minus that of the other), ``low`` and ``high`` (`paired_interval`), ``p`` (exact McNemar test) and ``kind``: estimated,
        or computed if all times are fixed. Computed differences have no interval and no ``p``.

    Raises:
        InputError: `trials` is not a table of trials, or a release has a draw twice.
    """
    keys = [name for name in cell_columns(trials) if name not in _OWN]
    estimated = bool((trials.get("drawn", pd.Series(dtype="str")) != "").any())
    columns = [
        *keys,
        "release",
        "other",
        "pairs",
        "both",
        "only",
        "only_other",
        "neither",
        "difference",
        "low",
        "high",
        "p",
        "kind",
    ]
    judged = trials[trials["outcome"] != "unknown"]
    happened = judged["bad"].astype(bool) if of == "bad" else judged["outcome"] == of
    judged = judged.assign(_happened=happened)
    rows: list[dict[str, Any]] = []
    groups: Any = judged.groupby(keys, sort=False, dropna=False) if keys else [((), judged)]
    for cell, group in groups:
        if group.duplicated(["release", "seed"]).any():
            raise InputError("trials", "a release meets one draw twice in a cell", "the trials of one sweep")
        by_draw = group.pivot(index="seed", columns="release", values="_happened")
        for one, other in combinations(group["release"].unique(), 2):
            pairs = by_draw[[one, other]].dropna().astype(bool)
            if len(pairs):
                counts = _counts(pairs[one], pairs[other])
                row = dict(zip(keys, cell, strict=True)) | {"release": one, "other": other, "pairs": len(pairs)} | counts
                rows.append(row | _difference(*counts.values(), level=level, estimated=estimated))
    return pd.DataFrame(rows, columns=columns)


def _counts(one: pd.Series[bool], other: pd.Series[bool]) -> dict[str, int]:
    cases = {"both": one & other, "only": one & ~other, "only_other": ~one & other, "neither": ~one & ~other}
    return {name: int(mask.sum()) for name, mask in cases.items()}


def _difference(both: int, only: int, only_other: int, neither: int, *, level: float, estimated: bool) -> dict[str, Any]:
    difference = (only - only_other) / (both + only + only_other + neither)
    if not estimated:
        return {"difference": difference, "low": math.nan, "high": math.nan, "p": math.nan, "kind": "computed"}
    # Imported here, because this import would take a third of the program's start time.
    from scipy.stats import binomtest

    low, high = paired_interval(both, only, only_other, neither, level)
    p = float(binomtest(only, only + only_other).pvalue) if only + only_other else 1.0
    return {"difference": difference, "low": low, "high": high, "p": p, "kind": "estimated"}


def shares_along(trials: pd.DataFrame, column: str, width_ms: float = 10.0) -> pd.DataFrame:
    """Return the share of bad outcomes along a measured or drawn time, in bins.

    Args:
        trials: independent draws. Trials without a value in `column` or with the outcome `unknown` are left out.
        column: name of the time: ``margin_ms``, ``lead_ms``, ``tool_ms``, ...
        width_ms: width of a bin. 0 is an edge of bins, so that no bin has values of both signs.

    Returns:
        One row per release and non-empty bin: ``release``, ``from_ms``, ``to_ms``, ``bad``, ``draws``, ``share``,
        ``low``, ``high`` (Wilson, 95 %).

    Raises:
        InputError: the column does not exist, or the width is not positive.
    """
    if column not in trials.columns:
        raise InputError("column", f"{column!r} is no column", "a time of the table")
    if not width_ms > 0:
        raise InputError("width_ms", str(width_ms), "more than 0")
    known = trials[(trials["outcome"] != "unknown") & trials[column].notna()]
    rows = []
    for (release, at), group in known.groupby([known["release"], np.floor(known[column] / width_ms)], sort=True):
        index = float(str(at))
        bad, draws = int(group["bad"].astype(bool).sum()), len(group)
        low, high = wilson(bad, draws)
        edges = {"from_ms": index * width_ms, "to_ms": (index + 1) * width_ms}
        rows.append({"release": release, **edges, "bad": bad, "draws": draws, "share": bad / draws, "low": low, "high": high})
    return pd.DataFrame(rows, columns=["release", "from_ms", "to_ms", "bad", "draws", "share", "low", "high"])
