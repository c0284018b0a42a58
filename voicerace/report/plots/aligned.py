"""Plot the share of bad sessions along the tool's time, and along the measure that determines the outcome.

With drawn network times and gaps, the curves over the tool's time rise or fall gradually. The curves of generations A and D
over the margin have one step at 0, as do the curves of B and C over the lead (docs/protocol-facts.md#closed-forms).
"""

from __future__ import annotations

from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from voicerace.errors import InputError
from voicerace.experiments.comparison import shares_along
from voicerace.model.catalog.releases import PROXIES
from voicerace.report.plots.style import DPI, GREY, LINES, WIDTH, rc

__all__ = ["MEASURES", "alt_aligned", "plot_aligned"]

#: Measure -> (generations whose outcome the measure determines, label of the axis, labels below and above 0).
MEASURES: Final = {
    "margin_ms": (("A", "D"), "request at the API minus slot free, ms", ("request too early", "slot is free")),
    "lead_ms": (("B", "C"), "result minus response.done at the proxy, ms", ("result before it", "after it")),
}


def plot_aligned(trials: pd.DataFrame, width_ms: float = 10.0, reach_ms: float = 200.0) -> Figure:
    """Draw one row per measure: the share of bad sessions along the tool's time and along the measure, with 95 % intervals.

    Args:
        trials: trials of a sweep with drawn times, including the tool's time.
        width_ms: width of a bin in ms.
        reach_ms: maximum absolute value of the measure in the picture, in ms.

    Raises:
        InputError: no trial has a release of the catalogue.
    """
    rows = [(measure, tags) for measure in MEASURES if (tags := _tags(trials, measure))]
    if not rows:
        raise InputError("trials", "no release of the table", f"some of {', '.join(PROXIES)}")
    with rc():
        figure = Figure(figsize=(WIDTH, 2.6 * len(rows) + 0.3), dpi=DPI, layout="constrained")
        axes = figure.subplots(len(rows), 2, squeeze=False, sharey=True)
        for (measure, tags), (left, right) in zip(rows, axes, strict=True):
            own = trials[trials["release"].isin(tags)]
            _curves(left, shares_along(own, "tool_ms", width_ms), tags)
            left.set(xlabel="tool_ms", ylabel="share that goes wrong")
            left.set_title("the tool's time does not decide alone", fontsize="medium")
            _curves(right, shares_along(own[own[measure].abs() <= reach_ms], measure, width_ms), tags)
            right.set(xlabel=MEASURES[measure][1])
            right.set_title(f"the same sessions: {measure.removesuffix('_ms')} decides", fontsize="medium")
            right.axvline(0, color=GREY, linewidth=0.8)
            for label, offset, side in zip(MEASURES[measure][2], (-8, 8), ("right", "left"), strict=True):
                right.text(offset, 0.5, label, ha=side, va="center", color=GREY)
            left.legend(frameon=False, loc="center right")
    return figure


def alt_aligned(trials: pd.DataFrame) -> str:
    """Return the alternative text of `plot_aligned`: the bad sessions of each release below and above 0.

    Args:
        trials: as for `plot_aligned`.
    """
    sentences = []
    for measure in MEASURES:
        for tag in _tags(trials, measure):
            known = trials[(trials["release"] == tag) & (trials["outcome"] != "unknown")].dropna(subset=[measure])
            sides = (("below 0", known[known[measure] < 0]), ("above 0", known[known[measure] > 0]))
            counts = ", ".join(f"{int(each['bad'].sum())} of {len(each)} {where}" for where, each in sides)
            sentences.append(f"{tag} (generation {PROXIES[tag].generation}) by {measure}: bad sessions {counts}.")
    return "Share of bad sessions along the tool's time and along the measure that decides. " + " ".join(sentences)


def _tags(trials: pd.DataFrame, measure: str) -> list[str]:
    """Return the releases whose outcome a measure determines, in the order of the trials."""
    found = [str(tag) for tag in trials["release"].unique() if tag in PROXIES]
    return [tag for tag in found if PROXIES[tag].generation[0] in MEASURES[measure][0]]


def _curves(ax: Axes, shares: pd.DataFrame, tags: list[str]) -> None:
    for number, tag in enumerate(tags):
        own = shares[shares["release"] == tag]
        colour, line, marker = LINES[number % len(LINES)]
        middle = (own["from_ms"] + own["to_ms"]) / 2
        label = f"{tag} ({PROXIES[tag].generation})"
        ax.plot(middle, own["share"], color=colour, linestyle=line, marker=marker, markersize=3, linewidth=1.2, label=label)
        ax.fill_between(middle, own["low"], own["high"], color=colour, alpha=0.15, linewidth=0)
    ax.set_ylim(-0.03, 1.03)
