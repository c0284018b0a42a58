"""Draw a map of one release's outcomes over two times, with the measured gap marked.

Each cell is one computed session. Recorded sessions are points. A profile provides the measured gap and its source.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from types import MappingProxyType
from typing import Any, Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from voicerace.errors import InputError
from voicerace.experiments.rates import outcomes_at
from voicerace.model.catalog.profiles import PROFILES
from voicerace.report.plots.outcome import axis_label, edges
from voicerace.report.plots.style import INK, STYLES, legend, new_axes, rc, tip

__all__ = ["alt_map", "cells_of", "draw_fields", "merged_cells", "observed_gap_ms", "plot_map"]

#: Name of the profile from the only published trace with times in ms (docs/protocol-facts.md#measured-times).
_OBSERVED: Final = "observed-2025"


def plot_map(
    trials: pd.DataFrame,
    x: str = "gap_ms",
    y: str = "tool_ms",
    release: str | None = None,
    observed: bool = True,
    points: pd.DataFrame | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the outcome of each session over two times.

    Args:
        trials: trials of `sweep` with a grid of both times. All other settings must be equal within the release.
        x, y: names of the times.
        release: release of the map; None if the trials have one release.
        observed: whether to mark the measured gap, if one axis is ``gap_ms``.
        points: recorded sessions, with one column per axis and optionally ``outcome``.
        ax: axes to draw on; None for a new figure.

    Raises:
        InputError: a column is missing, or a cell has more than one session.
    """
    cells = cells_of(trials, x, y, release)
    own = ax is None
    with rc():
        ax = new_axes(5.0, ax)
        draw_fields(ax, cells)
        ties = cells[cells["tie_outcome"].notna()]
        ax.plot(ties[x], ties[y], linestyle="none", marker=".", markersize=3, color="black", zorder=4)
        if observed:
            _mark(ax, x, y)
        if points is not None and len(points):
            _points(ax, points, x, y)
        _names(ax, cells)
        ax.set_xlabel(axis_label(x))
        ax.set_ylabel("\n".join(wrap(axis_label(y), 58)))
        ax.set_title(
            f"Proxy {cells['release'].iloc[0]}: outcome of each computed session" + ("; dots: ties" if len(ties) else "")
        )
        legend(ax, set(cells["outcome"]), own_figure=own)
    return ax


def alt_map(
    trials: pd.DataFrame,
    x: str = "gap_ms",
    y: str = "tool_ms",
    release: str | None = None,
    observed: bool = True,
    points: pd.DataFrame | None = None,
) -> str:
    """Return the alternative text of `plot_map`: the cells per outcome, and the outcomes in up to three columns.

    Args:
        trials, x, y, release, observed, points: as for `plot_map`.
    """
    cells = cells_of(trials, x, y, release)
    counts = cells["outcome"].value_counts()
    sentences = [
        f"Map of outcomes of proxy {cells['release'].iloc[0]} over {x} from {cells[x].min():g} to {cells[x].max():g} ms "
        f"and {y} from {cells[y].min():g} to {cells[y].max():g} ms, {len(cells)} sessions: "
        + ", ".join(f"{count} {name}" for name, count in counts.items())
        + "."
    ]
    columns = sorted(cells[x].unique())
    for value in dict.fromkeys([columns[0], columns[len(columns) // 2], columns[-1]]):
        group = cells[cells[x] == value].sort_values(y)
        change = group["outcome"] != group["outcome"].shift()
        steps = ", ".join(f"{row[y]:g} ms {row['outcome']}" for row in group[change].to_dict("records"))
        sentences.append(f"At {x} {value:g} ms, {y} from {steps}.")
    if observed and "gap_ms" in (x, y):
        gap, source = _observed_gap()
        sentences.append(f"Marked: the measured gap of {gap:g} ms ({source}).")
    if points is not None and len(points):
        sentences.append(f"{len(points)} recorded sessions as points.")
    return " ".join(sentences)


# -- data ------------------------------------------------------------------------------------------------------------


def cells_of(trials: pd.DataFrame, x: str = "gap_ms", y: str = "tool_ms", release: str | None = None) -> pd.DataFrame:
    """Return one row per cell: release, x, y, outcome, tie_outcome, and the edges left, right, low and high."""
    if missing := {x, y, "release"} - set(trials.columns):
        raise InputError("trials", f"no column {', '.join(sorted(missing))}", f"trials with {x} and {y}")
    names = list(trials["release"].unique())
    if release is None and len(names) != 1:
        raise InputError("release", "not given", f"one of {', '.join(map(str, names))}")
    if release is not None and release not in names:
        raise InputError("release", f"{release!r} is not among the trials", f"one of {', '.join(map(str, names))}")
    own = trials if release is None else trials[trials["release"] == release]
    frame = outcomes_at(own, y).assign(release=names[0] if release is None else release)
    if x not in frame.columns:
        frame[x] = own[x].iloc[0]
    if frame.duplicated([x, y]).any():
        others = [name for name in frame.columns[: frame.columns.get_loc(y)] if name not in (x, "release")]
        raise InputError("trials", f"differ by {', '.join(others)} as well", "one session per cell of the map")
    for axis, low, high in ((x, "left", "right"), (y, "low", "high")):
        values = sorted(frame[axis].unique())
        borders = edges([float(value) for value in values])
        frame[low] = frame[axis].map(dict(zip(values, borders[:-1], strict=True)))
        frame[high] = frame[axis].map(dict(zip(values, borders[1:], strict=True)))
    columns = ["release", x, y, "outcome", "tie_outcome", "left", "right", "low", "high"]
    return frame[columns].sort_values([x, y], kind="stable").reset_index(drop=True)


def observed_gap_ms() -> float:
    """Return the only published gap in ms."""
    return float(PROFILES[_OBSERVED].values["gap_ms"] or 0)


def _observed_gap() -> tuple[float, str]:
    return observed_gap_ms(), PROFILES[_OBSERVED].sentence.partition(": ")[2]


# -- drawing ---------------------------------------------------------------------------------------------------------


def merged_cells(cells: pd.DataFrame) -> list[dict[Any, Any]]:
    """Merge cells of equal outcome within each column, then across neighbouring columns. Return the rectangles."""
    runs: list[dict[Any, Any]] = []
    for row in cells.to_dict("records"):
        last = runs[-1] if runs else None
        if last is not None and all(last[name] == row[name] for name in ("left", "outcome")) and last["high"] == row["low"]:
            last["high"] = row["high"]
        else:
            runs.append(dict(row))
    wide: list[dict[Any, Any]] = []
    for run in runs:
        alike = (each for each in wide if all(each[name] == run[name] for name in ("outcome", "low", "high")))
        if (last := next((each for each in alike if each["right"] == run["left"]), None)) is not None:
            last["right"] = run["right"]
        else:
            wide.append(run)
    return wide


def draw_fields(ax: Axes, cells: pd.DataFrame, links: Mapping[str, str] = MappingProxyType({})) -> None:
    """Draw each cell in the colour and hatching of its outcome, and set the limits of the axes.

    Args:
        ax: the axes.
        cells: a table of `cells_of`.
        links: anchor of a drawn session, by outcome.
    """
    x, y = (str(name) for name in cells.columns[1:3])
    for row in merged_cells(cells):
        style = STYLES[row["outcome"]]
        box = (row["left"], row["low"]), row["right"] - row["left"], row["high"] - row["low"]
        spans = [
            f"{name} {max(0.0, low):g} to {high:g}"
            for name, low, high in ((x, row["left"], row["right"]), (y, row["low"], row["high"]))
        ]
        words = f"{row['release']}: {' and '.join(spans)} is {row['outcome']}"
        look: dict[str, Any] = {"facecolor": style.colour, "hatch": style.hatch, "edgecolor": INK, "linewidth": 0, "zorder": 2}
        corner, width, height = box
        ax.add_patch(Rectangle(corner, width, height, **look, **tip(words, links.get(row["outcome"], ""))))
    # the first cell extends half a step below zero, but times are not negative
    ax.set_xlim(max(0.0, cells["left"].min()), cells["right"].max())
    ax.set_ylim(max(0.0, cells["low"].min()), cells["high"].max())


def _names(ax: Axes, cells: pd.DataFrame) -> None:
    """Write the name of each outcome into the middle one of its tallest columns if the name fits."""
    width = cells["right"].max() - cells["left"].min()
    height = cells["high"].max() - cells["low"].min()
    for outcome, group in cells.groupby("outcome", sort=False):
        tallest = group.groupby("left")[["low", "high"]].agg({"low": "min", "high": "max"})
        size = tallest["high"] - tallest["low"]
        # the name is in the middle of the columns that are nearly as tall as the tallest column
        near = size[size >= 0.9 * size.max()].index
        left = near[len(near) // 2]
        if size.max() < 0.1 * height or len(group["left"].unique()) < 3:
            continue
        x = min(max(left, cells["left"].min() + 0.09 * width), cells["right"].max() - 0.09 * width)
        low, high = tallest.loc[left]
        ax.text(
            x, (low + high) / 2, f"{STYLES[str(outcome)].glyph} {outcome}", ha="center", va="center",
            fontweight="bold", zorder=5,
            bbox={"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": INK, "linewidth": 0.6},
        )  # fmt: skip


def _mark(ax: Axes, x: str, y: str) -> None:
    """Draw the measured gap as a line."""
    if "gap_ms" not in (x, y):
        return
    gap, source = _observed_gap()
    label = f"measured gap: {gap:g} ms ({source})"
    if x == "gap_ms":
        ax.axvline(gap, color="black", linewidth=1.6, linestyle=(0, (5, 3)), zorder=4)
        anchor: tuple[float, float] = (gap, 0.97)
        transform = ax.get_xaxis_transform()
    else:
        ax.axhline(gap, color="black", linewidth=1.6, linestyle=(0, (5, 3)), zorder=4)
        anchor, transform = (0.03, gap), ax.get_yaxis_transform()
    ax.annotate(
        label, anchor, xycoords=transform, xytext=(6, 0 if x == "gap_ms" else 6), textcoords="offset points", fontsize=8.5,
        va="top" if x == "gap_ms" else "bottom", zorder=6,
        bbox={"facecolor": "white", "edgecolor": INK, "linewidth": 0.6, "pad": 2},
    )  # fmt: skip


def _points(ax: Axes, points: pd.DataFrame, x: str, y: str) -> None:
    if missing := {x, y} - set(points.columns):
        raise InputError("points", f"no column {', '.join(sorted(missing))}", f"{x}, {y} and, where known, outcome")
    for row in points.to_dict("records"):
        outcome = row.get("outcome")
        style = STYLES[outcome if isinstance(outcome, str) and outcome in STYLES else "unknown"]
        ax.plot(
            [row[x]], [row[y]], linestyle="none", marker=style.marker, markersize=9, markerfacecolor="white",
            markeredgecolor="black", markeredgewidth=1.5, zorder=7,
            **tip(f"recorded: {x} {row[x]:g}, {y} {row[y]:g}, {outcome}"),
        )  # fmt: skip
