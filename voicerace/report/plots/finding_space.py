"""Draw the space of times of a finding: the outcome over two times, and the border of the finding itself."""

from __future__ import annotations

from matplotlib.axes import Axes

from voicerace.experiments.explore.finding import sentence_of
from voicerace.experiments.explore.space import FindingSpace
from voicerace.report.plots.gap_map import cells_of, draw_fields
from voicerace.report.plots.outcome import axis_label
from voicerace.report.plots.style import INK, legend, new_axes, rc

__all__ = ["alt_space", "plot_space"]


def plot_space(space: FindingSpace, ax: Axes | None = None) -> Axes:
    """Draw the outcome of each session of a finding's space. A line surrounds the sessions that have the finding.

    Args:
        space: result of `space_of`.
        ax: axes to draw on; None for a new figure.
    """
    cells, own = space.cells, ax is None
    with rc():
        ax = new_axes(5.0, ax)
        draw_fields(ax, cells_of(cells.assign(release=space.finding.release, tie_outcome=None), space.x, space.y))
        met = cells.pivot_table(index=space.y, columns=space.x, values="met", aggfunc="max").astype(float)
        if 0 < met.to_numpy().mean() < 1:
            ax.contour(met.columns, met.index, met.to_numpy(), levels=[0.5], colors=[INK], linewidths=2.4, zorder=5)
        ax.plot(*space.own, linestyle="none", marker="*", markersize=14, color="white", markeredgecolor=INK, zorder=6)
        ax.set_xlabel(axis_label(space.x))
        ax.set_ylabel(axis_label(space.y))
        ax.set_title(
            f"Proxy {space.finding.release}: {space.finding.name}; inside the line: this finding; star: its stored times"
        )
        legend(ax, set(cells["outcome"]), own_figure=own)
    return ax


def alt_space(space: FindingSpace) -> str:
    """Return the alternative text of `plot_space`.

    Args:
        space: as for `plot_space`.
    """
    cells = space.cells
    met = cells[cells["met"]]
    where = (
        f"between {met[space.x].min():g} and {met[space.x].max():g} ms of {space.x} and between {met[space.y].min():g} and "
        f"{met[space.y].max():g} ms of {space.y}"
        if len(met)
        else "in none of them"
    )
    counts = ", ".join(f"{count} {name}" for name, count in cells["outcome"].value_counts().items())
    return (
        f"Map of {len(cells)} sessions over {space.x} and {space.y}. All other times are as in a finding of "
        f"{space.finding.release}: {sentence_of(space.finding.signature)} {len(met)} sessions have this finding, {where}. "
        f"Outcomes: {counts}."
    )
