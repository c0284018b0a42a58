"""Plot the outcome over a delay, with one band per release.

Each computed value is a cell as wide as the step of the grid. Sessions of running proxies are points on their release's
band. Sessions outside the grid are not drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from voicerace.errors import InputError
from voicerace.experiments.rates import differing, drawn_times, flips, outcomes_at, summarise
from voicerace.model.catalog.profiles import TIMES
from voicerace.report.plots.style import GREY, INK, STYLES, WARN, legend, new_axes, rc, tip

__all__ = ["alt_outcome", "axis_label", "bands", "compared", "edges", "margin_offset", "plot_outcome"]

_HALF: Final = 0.36


def plot_outcome(trials: pd.DataFrame, axis: str = "tool_ms", real: pd.DataFrame | None = None, ax: Axes | None = None) -> Axes:
    """Draw the outcome of each trial over one time.

    Args:
        trials: trials of `sweep`. With drawn times, a cell is split by the share of each outcome.
        axis: name of the time.
        real: recorded sessions of running proxies: ``release``, `axis`, ``outcome``. A ring marks a difference from the model.
        ax: axes to draw on; None for a new figure.

    Raises:
        InputError: `axis` is not a column, or its values are drawn.
    """
    cells = bands(trials, axis)
    labels = list(dict.fromkeys(cells["band"]))
    own = ax is None
    with rc():
        ax = new_axes(1.7 + 0.42 * len(labels), ax)
        seen = set(cells["outcome"])
        for row in _merged(cells):
            _cell(ax, row, labels.index(row["band"]))
        _flips(ax, trials, axis, labels)
        if real is not None and len(real):
            seen |= _real(ax, compared(real, trials, axis), labels)
        ax.set_ylim(len(labels) - 0.45, -0.62)
        ax.set_xlim(cells["low"].min(), cells["high"].max())
        ax.set_yticks(range(len(labels)), labels)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.set_xlabel(axis_label(axis))
        _margin(ax, trials, axis)
        legend(ax, seen, own_figure=own)
    return ax


def alt_outcome(trials: pd.DataFrame, axis: str = "tool_ms", real: pd.DataFrame | None = None) -> str:
    """Return the alternative text of `plot_outcome`: the ranges of equal outcome of each band.

    Args:
        trials, axis, real: as for `plot_outcome`.
    """
    cells = bands(trials, axis)
    parts = []
    for band, group in cells.groupby("band", sort=False):
        if (group["share"] < 1).any() and not (group["kind"] == "tie").any():
            total = group.groupby("outcome", sort=False)["count"].sum()
            parts.append(f"{band}: " + ", ".join(f"{count} of {total.sum()} {name}" for name, count in total.items()))
        else:
            parts.append(f"{band}: {' then '.join(_runs(group))}")
    words = f"Outcome over {axis_label(axis)}, one band per release. " + "; ".join(parts) + "."
    if real is not None and len(real):
        both = compared(real, trials, axis)
        other = both[~both["agrees"]]
        words += f" {len(both)} sessions of running proxies, {len(both) - len(other)} as computed"
        words += "".join(f"; {row.band} at {row.at:g} ms was {row.outcome}" for row in other.itertuples()) + "."
    return words


def axis_label(axis: str) -> str:
    """Return the label of a time: its name and meaning."""
    return f"{axis} ({TIMES[axis].meaning.replace('->', '→')})" if axis in TIMES else axis


# -- data ------------------------------------------------------------------------------------------------------------


def edges(values: Sequence[float]) -> list[float]:
    """Return the n + 1 edges of cells around n sorted values. Inner edges are halfway between neighbours. The first and the
    last cell are symmetric around their values.
    """
    if len(values) < 2:
        width = 0.5 if not values else max(abs(values[0]) * 0.05, 0.5)
        return [value + sign * width for value in values for sign in (-1, 1)]
    middle = [(left + right) / 2 for left, right in pairwise(values)]
    return [values[0] - (middle[0] - values[0]), *middle, values[-1] + (values[-1] - middle[-1])]


def bands(trials: pd.DataFrame, axis: str = "tool_ms") -> pd.DataFrame:
    """Return one row per drawn area.

    Returns:
        Columns: band (label of the band); the settings that differ between bands (such as release); at, low, high (the
            cell's value and borders); outcome; share and bottom (0 to 1); count; kind. A tie has two rows with share
        0.5 and kind ``tie``. Cells with drawn times have one row per outcome, with kind ``estimated``.

    Raises:
        InputError: `axis` is not a column, or its values are drawn.
    """
    if "drawn" in trials.columns and any(axis in str(each).split(",") for each in trials["drawn"].unique()):
        raise InputError("axis", f"{axis} is drawn", "a time that has a grid")
    found, names = _shares(trials, axis) if drawn_times(trials) else _computed(trials, axis)
    rows: list[dict[str, Any]] = []
    for band, group in found.groupby("band", sort=False):
        values = sorted(group[axis].unique())
        borders = edges([float(value) for value in values])
        span = {value: (borders[index], borders[index + 1]) for index, value in enumerate(values)}
        bottom: dict[float, float] = {}
        for row in group.to_dict("records"):
            at = row[axis]
            low, high = span[at]
            begin = bottom.get(at, 0.0)
            bottom[at] = begin + row["share"]
            rows.append(
                {"band": band, **{name: row[name] for name in names}, "at": at, "low": low, "high": high}
                | {"outcome": row["outcome"], "share": row["share"], "bottom": begin}
                | {"count": row["count"], "kind": row["kind"]}
            )
    columns = ["band", *names, "at", "low", "high", "outcome", "share", "bottom", "count", "kind"]
    return pd.DataFrame(rows, columns=columns)


def _computed(trials: pd.DataFrame, axis: str) -> tuple[pd.DataFrame, list[str]]:
    frame = outcomes_at(trials, axis)
    names = [str(name) for name in frame.columns[: frame.columns.get_loc(axis)]]
    rows = []
    for row in frame.to_dict("records"):
        tie = row["tie_outcome"]
        both = [row["outcome"], tie] if isinstance(tie, str) else [row["outcome"]]
        kind = "tie" if len(both) == 2 else "computed"
        same = {"band": _band(row, names), **{name: row[name] for name in names}, axis: row[axis]}
        rows += [same | {"outcome": name, "share": 1 / len(both), "count": 1, "kind": kind} for name in both]
    return pd.DataFrame(rows), names


def _shares(trials: pd.DataFrame, axis: str) -> tuple[pd.DataFrame, list[str]]:
    frame = summarise(trials)
    if axis not in frame.columns:
        raise InputError("axis", f"{axis!r} is not a column", "a time of the sweep")
    names = differing(frame, [str(name) for name in frame.columns[: frame.columns.get_loc("outcome")]], axis)
    rows = []
    for row in frame[frame["count"] > 0].to_dict("records"):
        same = {"band": _band(row, names), **{name: row[name] for name in names}, axis: row[axis]}
        rows.append(
            same
            | {"outcome": row["outcome"], "share": row["count"] / row["sessions"], "count": row["count"], "kind": row["kind"]}
        )
    return pd.DataFrame(rows), names


def _band(row: dict[Any, Any], names: Sequence[str]) -> str:
    """Return the label of a band: the settings that differ between bands."""
    parts = [str(row[name]) if not name.endswith("_ms") else f"{name} {row[name]:g}" for name in names]
    return " · ".join(parts) or "all"


def compared(real: pd.DataFrame, trials: pd.DataFrame, axis: str = "tool_ms") -> pd.DataFrame:
    """Compare each recorded session with the computed outcomes at its time, or at the two neighbouring times.

    If the neighbouring times have different outcomes, the exact boundary is unknown. Either outcome then agrees.

    Returns:
        Columns: band, at, outcome, computed (the list of computed outcomes), agrees. Sessions outside the computed
        bands are omitted.

    Raises:
        InputError: `real` lacks a column by which the bands differ.
    """
    cells = bands(trials, axis)
    names = [str(name) for name in cells.columns[1 : cells.columns.get_loc("at")]]
    if missing := {*names, axis, "outcome"} - set(real.columns):
        raise InputError("real", f"no column {', '.join(sorted(missing))}", "a column for all that the bands differ by")
    grouped = cells.groupby(names, sort=False) if names else [((), cells)]
    known = {key: (own["at"].to_numpy(), own["outcome"].to_numpy(), own["band"].iloc[0]) for key, own in grouped if len(own)}
    rows = []
    for row in real.to_dict("records"):
        key, value = tuple(row[name] for name in names), float(row[axis])
        if key not in known:
            continue
        at, outcomes, band = known[key]
        before, after = at[at <= value], at[at >= value]
        if not len(before) or not len(after):
            continue
        computed = sorted(set(outcomes[(at == before.max()) | (at == after.min())]))
        found = {"band": band, "at": value, "outcome": row["outcome"]}
        rows.append(found | {"computed": computed, "agrees": row["outcome"] in computed})
    return pd.DataFrame(rows, columns=["band", "at", "outcome", "computed", "agrees"]).astype({"agrees": bool})


def margin_offset(trials: pd.DataFrame, axis: str = "tool_ms") -> tuple[float, list[str]] | None:
    """Return (margin minus `axis` in ms, the releases with this constant difference).

    Releases whose request depends on an event are omitted because their difference varies. Return None if the difference is not
    equal for all other releases.
    """
    if "margin_ms" not in trials.columns or drawn_times(trials):
        return None
    found: dict[float, list[str]] = {}
    for release, group in trials.dropna(subset=["margin_ms"]).groupby("release", sort=False):
        shifts = (group["margin_ms"] - group[axis]).round(6).unique()
        if len(shifts) == 1 and len(group) > 1:
            found.setdefault(float(shifts[0]), []).append(str(release))
    return next(iter(found.items())) if len(found) == 1 else None


def _runs(group: pd.DataFrame) -> list[str]:
    """Return one phrase per range of equal outcome in a band, in order. The phrase of a tie names both outcomes."""
    runs: list[tuple[str, float, float]] = []
    for at, here in group.groupby("at", sort=True):
        name = " or ".join(here["outcome"]) + (" (a tie)" if len(here) > 1 else "")
        if runs and runs[-1][0] == name:
            runs[-1] = (name, runs[-1][1], float(at))  # type: ignore[arg-type]  # the key of a group is a number
        else:
            runs.append((name, float(at), float(at)))  # type: ignore[arg-type]
    return [f"{name} at {low:g} ms" if low == high else f"{name} from {low:g} to {high:g} ms" for name, low, high in runs]


# -- drawing ---------------------------------------------------------------------------------------------------------


def _merged(cells: pd.DataFrame) -> list[dict[Any, Any]]:
    """Return the areas to draw. Neighbouring cells of equal outcome are merged."""
    merged: list[dict[Any, Any]] = []
    for row in cells.to_dict("records"):
        last = merged[-1] if merged else None
        alike = last is not None and all(last[name] == row[name] for name in ("band", "outcome", "share", "kind"))
        if last is not None and alike and row["share"] == 1 and last["high"] == row["low"]:
            last["high"] = row["high"]
        else:
            merged.append(dict(row))
    return merged


def _cell(ax: Axes, row: dict[Any, Any], band: int) -> None:
    style = STYLES[row["outcome"]]
    top = band - _HALF + 2 * _HALF * row["bottom"]
    box = (row["low"], top), row["high"] - row["low"], 2 * _HALF * row["share"]
    words = f"{row['band']}: {max(0.0, row['low']):g} to {row['high']:g} ms is {row['outcome']}"
    look: dict[str, Any] = {"facecolor": style.colour, "hatch": style.hatch, "edgecolor": INK, "linewidth": 0, "zorder": 2}
    corner, width, height = box
    ax.add_patch(Rectangle(corner, width, height, **look, **tip(words)))
    if row["kind"] == "tie":
        ax.add_patch(Rectangle(*box, fill=False, edgecolor=INK, linewidth=1.0, zorder=3))


def _flips(ax: Axes, trials: pd.DataFrame, axis: str, labels: list[str]) -> None:
    """Label each change of outcome with the two values around it."""
    if drawn_times(trials):
        return
    found = flips(trials, axis)
    names = [str(name) for name in found.columns[: found.columns.get_loc("from_ms")]]
    for row in found.to_dict("records"):
        band = labels.index(_band(row, names))
        exact = not math.isnan(row["at_ms"])
        x = row["at_ms"] if exact else (row["from_ms"] + row["to_ms"]) / 2
        text = f"{x:g}" if exact else f"{row['from_ms']:g}–{row['to_ms']:g}"
        ax.plot([x, x], [band - _HALF, band + _HALF], color=INK, linewidth=1.6, zorder=4)
        ax.text(
            x, band, text, fontsize=8.5, fontweight="bold", ha="center", va="center", zorder=5,
            bbox={"boxstyle": "round,pad=0.18", "facecolor": "white", "edgecolor": INK, "linewidth": 0.8},
        )  # fmt: skip


def _real(ax: Axes, both: pd.DataFrame, labels: list[str]) -> set[str]:
    for row in both.to_dict("records"):
        style = STYLES[row["outcome"]]
        y = labels.index(row["band"]) + 0.22
        if not row["agrees"]:
            ax.plot([row["at"]], [y], marker="o", markersize=16, fillstyle="none", color=WARN, markeredgewidth=2.5, zorder=7)
        ax.plot(
            [row["at"]], [y], marker=style.marker, markersize=8, color="none", zorder=8, linestyle="none",
            markerfacecolor="white", markeredgecolor="black", markeredgewidth=1.4,
            **tip(f"{row['band']}, running proxy: {row['at']:g} ms is {row['outcome']}"),
        )  # fmt: skip
    agreed = int(both["agrees"].sum())
    ax.set_title(
        f"Points: {len(both)} sessions of the running proxies, {agreed} as computed"
        + (f", {len(both) - agreed} not (ringed)" if agreed < len(both) else ""),
        fontsize=9, color=INK if agreed == len(both) else WARN, pad=8,
    )  # fmt: skip
    return set(both["outcome"])


def _margin(ax: Axes, trials: pd.DataFrame, axis: str) -> None:
    """Draw the margin as an upper axis if it differs from the lower axis by a constant."""
    found = margin_offset(trials, axis)
    if found is None:
        return
    shift, releases = found

    def to_margin(value: Any) -> Any:
        return value + shift

    def to_axis(value: Any) -> Any:
        return value - shift

    top = ax.secondary_xaxis("top", functions=(to_margin, to_axis))
    every = len(releases) == trials["release"].nunique()
    whose = "" if every else f" of {', '.join(releases)}" if len(releases) < 4 else f" of {len(releases)} of the releases"
    top.set_xlabel(f"margin{whose}: request at the API minus slot free (ms)", fontsize=8.5, color=GREY)
    top.tick_params(colors=GREY)
    top.spines["top"].set_color(GREY)
