"""Draw maps of several releases side by side: the outcome over the gap and the tool's time, with the published gap marked.

All maps share one scale and one legend. A cell is one computed session. A point is a session of a running proxy. A ring
marks a session with another outcome than the model's at the same times.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from voicerace.analysis.verdict import OUTCOMES
from voicerace.report.plots.gap_map import cells_of, draw_fields, observed_gap_ms
from voicerace.report.plots.style import INK, STYLES, WARN, WIDTH, patch_of, rc, tip

__all__ = ["CLAIMED_MS", "alt_maps", "plot_maps"]

#: Range of tool times in ms for which an integrator reported, without a trace, that the tool ended before `response.done`.
#: Source: docs/protocol-facts.md#claimed-gaps.
CLAIMED_MS: Final = (300.0, 500.0)
_X, _Y = "gap_ms", "tool_ms"


def plot_maps(
    trials: pd.DataFrame,
    releases: Sequence[str],
    real: pd.DataFrame | None = None,
    width: float = WIDTH,
    links: Mapping[str, str] = MappingProxyType({}),
) -> Figure:
    """Draw one map per release.

    Args:
        trials: trials over a grid of `gap_ms` and `tool_ms`, one session per cell and release.
        releases: the releases to draw, in order.
        real: sessions of running proxies: release, gap_ms, tool_ms, outcome, model_outcome.
        width: width of the figure in inches.
        links: anchor of a drawn session, by outcome.
    """
    columns = 2 if len(releases) > 1 else 1
    rows = math.ceil(len(releases) / columns)
    seen: set[str] = set()
    with rc():
        figure = Figure(figsize=(width, 0.75 + 2.75 * rows), dpi=100, layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for number, ax in enumerate(axes.flat):
            if number >= len(releases):
                ax.axis("off")
                continue
            cells = cells_of(trials, _X, _Y, releases[number])
            seen |= set(cells["outcome"])
            _map(ax, cells, links)
            if real is not None and len(real):
                seen |= _real(ax, real[real["release"] == releases[number]])
            ax.set_title(f"proxy {releases[number]}", fontweight="bold")
            if number % columns == 0:
                ax.set_ylabel("tool_ms: the tool takes (ms)")
            if number + columns >= len(releases):
                ax.set_xlabel("gap_ms: call → response.done (ms)")
                ax.tick_params(labelbottom=True)
        handles = [patch_of(outcome) for outcome in OUTCOMES if outcome in seen]
        columns = min(len(handles), 2 * columns + 1)
        figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, handlelength=2.4,
                      handleheight=1.4)  # fmt: skip
    return figure


def alt_maps(trials: pd.DataFrame, releases: Sequence[str], real: pd.DataFrame | None = None) -> str:
    """Return the alternative text of `plot_maps`: the cells per release and outcome, and the outcomes in some columns."""
    sentences = []
    for release in releases:
        cells = cells_of(trials, _X, _Y, release)
        counts = ", ".join(f"{count} {name}" for name, count in cells["outcome"].value_counts().items())
        sentences.append(f"Proxy {release}, {len(cells)} computed sessions: {counts}.")
        gaps = sorted(cells[_X].unique())
        for gap in dict.fromkeys([gaps[0], observed_gap_ms(), gaps[len(gaps) // 2], gaps[-1]]):
            column = cells[cells[_X] == gap].sort_values(_Y).to_dict("records")
            steps = [(name, next(run)[_Y]) for name, run in groupby(column, key=lambda row: row["outcome"])]
            if steps:
                sentences.append(f"At a gap of {gap:g} ms: " + ", ".join(f"{name} from {at:g} ms" for name, at in steps) + ".")
        if real is not None and len(mine := real[real["release"] == release]):
            same = int((mine["outcome"] == mine["model_outcome"]).sum())
            sentences.append(f"{len(mine)} sessions of the running proxy as points, {same} with the model's outcome.")
    sentences.append(f"Marked: the published gap of {observed_gap_ms():g} ms.")
    sentences.append(f"Marked: tools of {CLAIMED_MS[0]:g} to {CLAIMED_MS[1]:g} ms, reported to end before response.done.")
    return f"Maps of the outcome over {_X} and {_Y}. " + " ".join(sentences)


def _map(ax: Axes, cells: pd.DataFrame, links: Mapping[str, str]) -> None:
    draw_fields(ax, cells, links)
    ax.axvline(observed_gap_ms(), color="black", linewidth=1.8, linestyle=(0, (4, 2)), zorder=5)
    if cells[_Y].max() >= CLAIMED_MS[1]:
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
    """Return (x, y) of the cell nearest to the mean of a group of cells."""
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
            **tip(f"running proxy: {_X} {row[_X]:g}, {_Y} {row[_Y]:g}, {row['outcome']}"),
        )  # fmt: skip
    return set(real["outcome"])
