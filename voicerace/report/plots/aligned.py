"""What a generation turns on: the share of findings along the tool's time, and along the one measure that decides.

With drawn networks and gaps the tool's time decides nothing by itself: the curves are slopes. Along the margin those of the
generations A and D become one step at 0, along the lead those of B and C (docs/protocol-facts.md#closed-forms).
"""

from __future__ import annotations

from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from voicerace.errors import InputError
from voicerace.experiments.comparison import shares_along
from voicerace.model.catalog.releases import PROXIES
from voicerace.report.plots.style import GREY, INK, WARN, WIDTH, rc

__all__ = ["MEASURES", "alt_aligned", "plot_aligned"]

#: Which measure the generations turn on, what it says, and what stands on both sides of 0.
MEASURES: Final = {
    "margin_ms": (("A", "D"), "create at the API minus slot free, ms", ("create too early", "slot is free")),
    "lead_ms": (("B", "C"), "result minus response.done at the proxy, ms", ("result before it", "behind it")),
}
_LINES: Final = ((INK, "-", "o"), (WARN, "--", "s"), ("#0072B2", "-.", "^"), (GREY, ":", "D"))
_DPI: Final = 100


def plot_aligned(trials: pd.DataFrame, width_ms: float = 10.0, reach_ms: float = 200.0) -> Figure:
    """Two rows, a measure each: the releases that turn on it, along the tool's time and along the measure; shaded: 95 %.

    Args:
        trials: of a sweep with drawn times, among them the tool's.
        width_ms: of a bin.
        reach_ms: how far from 0 the measures are shown.

    Raises:
        InputError: no release of the table is in it.
    """
    rows = [(measure, tags) for measure in MEASURES if (tags := _tags(trials, measure))]
    if not rows:
        raise InputError("trials", "no release of the table", f"some of {', '.join(PROXIES)}")
    with rc():
        figure = Figure(figsize=(WIDTH, 2.6 * len(rows) + 0.3), dpi=_DPI, layout="constrained")
        axes = figure.subplots(len(rows), 2, squeeze=False, sharey=True)
        for (measure, tags), (left, right) in zip(rows, axes, strict=True):
            own = trials[trials["release"].isin(tags)]
            _curves(left, shares_along(own, "tool_ms", width_ms), tags)
            left.set(xlabel="tool_ms", ylabel="share that goes wrong")
            left.set_title("the tool's time decides nothing alone", fontsize="medium")
            _curves(right, shares_along(own[own[measure].abs() <= reach_ms], measure, width_ms), tags)
            right.set(xlabel=MEASURES[measure][1])
            right.set_title(f"the same sessions: {measure.removesuffix('_ms')} decides", fontsize="medium")
            right.axvline(0, color=GREY, linewidth=0.8)
            for words, beside, side in zip(MEASURES[measure][2], (-8, 8), ("right", "left"), strict=True):
                right.text(beside, 0.5, words, ha=side, va="center", color=GREY)
            left.legend(frameon=False, loc="center right")
    return figure


def alt_aligned(trials: pd.DataFrame) -> str:
    """The picture of `trials` in words: how the findings of each release lie on both sides of 0."""
    words = []
    for measure in MEASURES:
        for tag in _tags(trials, measure):
            known = trials[(trials["release"] == tag) & (trials["outcome"] != "unknown")].dropna(subset=[measure])
            sides = (("below 0", known[known[measure] < 0]), ("above 0", known[known[measure] > 0]))
            counts = ", ".join(f"{int(each['bad'].sum())} of {len(each)} {where}" for where, each in sides)
            words.append(f"{tag} (generation {PROXIES[tag].generation}) by {measure}: findings in {counts}.")
    return "Share of findings along the tool's time and along the measure that decides. " + " ".join(words)


def _tags(trials: pd.DataFrame, measure: str) -> list[str]:
    """The releases whose generation turns on a measure, in the order of the trials."""
    found = [str(tag) for tag in trials["release"].unique() if tag in PROXIES]
    return [tag for tag in found if PROXIES[tag].generation[0] in MEASURES[measure][0]]


def _curves(ax: Axes, shares: pd.DataFrame, tags: list[str]) -> None:
    for number, tag in enumerate(tags):
        own = shares[shares["release"] == tag]
        colour, line, marker = _LINES[number % len(_LINES)]
        middle = (own["from_ms"] + own["to_ms"]) / 2
        label = f"{tag} ({PROXIES[tag].generation})"
        ax.plot(middle, own["share"], color=colour, linestyle=line, marker=marker, markersize=3, linewidth=1.2, label=label)
        ax.fill_between(middle, own["low"], own["high"], color=colour, alpha=0.15, linewidth=0)
    ax.set_ylim(-0.03, 1.03)
