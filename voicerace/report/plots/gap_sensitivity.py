"""Plot the share of bad turns along the gap, per handler style and release. The range of recorded gaps is shaded."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from voicerace.errors import InputError
from voicerace.report.plots.style import DPI, FAINT, LINES, WIDTH, rc

__all__ = ["alt_gap_sensitivity", "plot_gap_sensitivity"]


def plot_gap_sensitivity(shares: pd.DataFrame, recorded_ms: tuple[float, float]) -> Figure:
    """Draw one panel per handler style. Releases with the same shares at every gap have one curve.

    Args:
        shares: one row per release, handler and gap: ``release``, ``handler``, ``gap_ms``, ``share``.
        recorded_ms: the smallest and the largest recorded gap in ms.

    Raises:
        InputError: there are no rows.
    """
    if shares.empty:
        raise InputError("shares", "no rows", "at least one")
    handlers = [str(each) for each in shares["handler"].unique()]
    with rc():
        figure = Figure(figsize=(WIDTH, 2.3 * len(handlers) + 0.3), dpi=DPI, layout="constrained")
        axes = figure.subplots(len(handlers), 1, squeeze=False, sharex=True)[:, 0]
        for ax, handler in zip(axes, handlers, strict=True):
            _panel(ax, shares[shares["handler"] == handler], recorded_ms)
            ax.set_title(handler, fontsize="medium")
        axes[-1].set(xlabel="gap_ms (shaded: recorded)")
    return figure


def alt_gap_sensitivity(shares: pd.DataFrame) -> str:
    """Return the alternative text of `plot_gap_sensitivity`: the shares at the smallest and at the largest gap."""
    sentences = []
    for (handler, releases), own in _alike(shares):
        first, last = own.iloc[0], own.iloc[-1]
        ends = ", ".join(f"{each['share']:.0%} at {each['gap_ms']:g} ms" for each in (first, last))
        sentences.append(f"{handler}, {releases}: {ends}.")
    return "Share of turns that go wrong along the gap. " + " ".join(sentences)


def _alike(shares: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    """Group releases with equal shares per handler. Return ((handler, releases), rows of the first of these releases)."""
    found: dict[tuple[str, tuple[float, ...]], list[str]] = {}
    rows: dict[tuple[str, tuple[float, ...]], pd.DataFrame] = {}
    for (handler, release), own in shares.groupby(["handler", "release"], sort=False):
        key = (str(handler), tuple(own["share"]))
        found.setdefault(key, []).append(str(release))
        rows.setdefault(key, own.sort_values("gap_ms"))
    return [((key[0], ", ".join(tags)), rows[key]) for key, tags in found.items()]


def _panel(ax: Axes, shares: pd.DataFrame, recorded_ms: tuple[float, float]) -> None:
    ax.axvspan(*recorded_ms, color=FAINT, linewidth=0)
    for number, ((_, releases), own) in enumerate(_alike(shares)):
        colour, line, marker = LINES[number % len(LINES)]
        ax.plot(
            own["gap_ms"],
            own["share"],
            color=colour,
            linestyle=line,
            marker=marker,
            markersize=3,
            linewidth=1.2,
            label=releases,
        )
    ax.set(xscale="log", ylim=(-0.05, 1.05), ylabel="share that goes wrong")
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")
