"""Maps of several releases side by side: outcome over the gap and the tool's time, with what was observed marked on them.

One picture, one scale, one legend: whoever compares releases compares places. A cell is one computed session; a point is a
session of a running proxy at these times, ringed where the model has it otherwise. What was observed is told with its
source, and never drawn as if it were measured where it was not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from voicerace.analysis.verdict import OUTCOMES
from voicerace.report.plots.gap_map import cells_of, draw_fields, observed_gap_ms
from voicerace.report.plots.style import INK, STYLES, WARN, WIDTH, patch_of, rc

__all__ = ["CLAIMED_MS", "alt_maps", "plot_maps"]

#: An integrator's claim without a trace (docs/protocol-facts.md#claimed-gaps): tools of 300 to 500 ms beat response.done.
CLAIMED_MS: Final = (300.0, 500.0)
_X, _Y = "gap_ms", "tool_ms"


def plot_maps(
    trials: pd.DataFrame,
    releases: Sequence[str],
    real: pd.DataFrame | None = None,
    points: pd.DataFrame | None = None,
    claimed: bool = True,
) -> Figure:
    """Draw a map for each release.

    Args:
        trials: grids of `gap_ms` and `tool_ms`, one session per cell and release.
        releases: of the maps, in order.
        real: sessions of running proxies: release, gap_ms, tool_ms, outcome, model_outcome.
        points: a customer's sessions: gap_ms, tool_ms.
        claimed: mark the tools that are said to have beaten response.done.
    """
    columns = 2 if len(releases) > 1 else 1
    rows = math.ceil(len(releases) / columns)
    seen: set[str] = set()
    with rc():
        figure = Figure(figsize=(WIDTH, 0.75 + 2.75 * rows), dpi=100, layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for number, ax in enumerate(axes.flat):
            if number >= len(releases):
                ax.axis("off")
                continue
            cells = cells_of(trials, _X, _Y, releases[number])
            seen |= set(cells["outcome"])
            _map(ax, cells, claimed)
            if real is not None and len(real):
                seen |= _real(ax, real[real["release"] == releases[number]])
            if points is not None and len(points):
                ax.plot(points[_X], points[_Y], linestyle="none", marker="o", markersize=7, markerfacecolor="white",
                        markeredgecolor="black", markeredgewidth=1.8, zorder=8)  # fmt: skip
            ax.set_title(f"proxy {releases[number]}", fontweight="bold")
            if number % columns == 0:
                ax.set_ylabel("tool_ms: the tool takes (ms)")
            if number + columns >= len(releases):
                ax.set_xlabel("gap_ms: call → response.done (ms)")
                ax.tick_params(labelbottom=True)
        handles = [patch_of(outcome) for outcome in OUTCOMES if outcome in seen]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5), frameon=False, handlelength=2.4,
                      handleheight=1.4)  # fmt: skip
    return figure


def alt_maps(
    trials: pd.DataFrame,
    releases: Sequence[str],
    real: pd.DataFrame | None = None,
    points: pd.DataFrame | None = None,
    claimed: bool = True,
) -> str:
    """The picture in words: cells of each outcome per release, and where the outcome changes in three columns."""
    words = []
    for release in releases:
        cells = cells_of(trials, _X, _Y, release)
        counts = ", ".join(f"{count} {name}" for name, count in cells["outcome"].value_counts().items())
        words.append(f"Proxy {release}, {len(cells)} computed sessions: {counts}.")
        gaps = sorted(cells[_X].unique())
        for gap in dict.fromkeys([gaps[0], observed_gap_ms(), gaps[len(gaps) // 2], gaps[-1]]):
            column = cells[cells[_X] == gap].sort_values(_Y).to_dict("records")
            steps = [(name, next(run)[_Y]) for name, run in groupby(column, key=lambda row: row["outcome"])]
            if steps:
                words.append(f"At a gap of {gap:g} ms: " + ", ".join(f"{name} from {at:g} ms" for name, at in steps) + ".")
        if real is not None and len(mine := real[real["release"] == release]):
            same = int((mine["outcome"] == mine["model_outcome"]).sum())
            words.append(f"{len(mine)} sessions of the running proxy as points, {same} as computed.")
    words.append(f"Marked: the published gap of {observed_gap_ms():g} ms.")
    if claimed:
        words.append(f"Marked: tools of {CLAIMED_MS[0]:g} to {CLAIMED_MS[1]:g} ms, said to have beaten response.done.")
    if points is not None and len(points):
        told = ", ".join(f"({gap:g}, {tool:g})" for gap, tool in points[[_X, _Y]].itertuples(index=False))
        words.append(f"{len(points)} recorded sessions (gap, tool): {told}.")
    return f"Maps of the outcome over {_X} and {_Y}. " + " ".join(words)


def _map(ax: Axes, cells: pd.DataFrame, claimed: bool) -> None:
    draw_fields(ax, cells)
    ax.axvline(observed_gap_ms(), color="black", linewidth=1.8, linestyle=(0, (4, 2)), zorder=5)
    if claimed and cells[_Y].max() >= CLAIMED_MS[1]:
        for at in CLAIMED_MS:
            ax.axhline(at, color="black", linewidth=1.1, linestyle=(0, (1, 2)), zorder=5)
    for outcome, group in cells.groupby("outcome", sort=False):
        if len(group) >= 0.06 * len(cells):
            x, y = _middle(group)
            ax.text(
                x, y, f"{STYLES[str(outcome)].glyph} {outcome}", ha="center", va="center", fontweight="bold", zorder=6,
                bbox={"boxstyle": "round,pad=0.22", "facecolor": "white", "edgecolor": INK, "linewidth": 0.6},
            )  # fmt: skip


def _middle(group: pd.DataFrame) -> tuple[float, float]:
    """The cell of an outcome that is nearest to the middle of its cells."""
    x, y = group[_X].mean(), group[_Y].mean()
    near = int(((group[_X] - x) ** 2 + (group[_Y] - y) ** 2).to_numpy().argmin())
    return float(group[_X].iloc[near]), float(group[_Y].iloc[near])


def _real(ax: Axes, real: pd.DataFrame) -> set[str]:
    for row in real.to_dict("records"):
        if row["outcome"] != row["model_outcome"]:
            ax.plot(
                [row[_X]], [row[_Y]], marker="o", markersize=14, fillstyle="none", color=WARN, markeredgewidth=2.2, zorder=7
            )
        ax.plot(
            [row[_X]], [row[_Y]], linestyle="none", marker=STYLES[row["outcome"]].marker, markersize=5.5, zorder=8,
            markerfacecolor="white", markeredgecolor="black", markeredgewidth=1,
        )  # fmt: skip
    return set(real["outcome"])
