"""A map of outcomes for JupyterLab: tooltips on the cells, a range per axis to zoom, and the session of the picked cell.

A cell is picked with two sliders, or with a click if the package `ipyevents` is installed (the extra ``lab``): ipywidgets alone
do not report clicks. Tooltips are titles in the SVG, so hovering needs neither scripts nor the kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from html import escape
from typing import Any, Final

import ipywidgets as widgets
import pandas as pd
from IPython.display import display

from voicerace.analysis.outcomes import TABLE
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.errors import InputError
from voicerace.report.plots.canvas import SvgCanvas
from voicerace.report.plots.gap_map import alt_map, cells_of
from voicerace.report.plots.outcome import axis_label
from voicerace.report.plots.style import GREY, INK, STYLES
from voicerace.report.plots.time_axis import svg_time_axis
from voicerace.trace.recording import Recording
from voicerace.units import ns

__all__ = ["OutcomeMap"]

#: Size of the picture and its margins, in inches of 100 pixels.
_SIZE: Final = (7.6, 4.8)
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.8, 7.45, 0.35, 4.2
#: Number of labels of an axis, at most.
_LABELS: Final = 11
_FULL: Final = {"width": "99%"}
_LABEL: Final = {"description_width": "8em"}


class OutcomeMap:
    """Widgets for the map of one release's outcomes over two times.

    Args:
        trials: trials over a grid of both times, as for `voicerace.plots.plot_map`.
        session: session of the map's release, with the trials' settings and other times.
        x, y: names of the times.
        earlier_ms: the picked session is also drawn with a result that is earlier by this time.

    Attributes:
        picked: (x, y) of the picked cell in ms.
        recording: session of the picked cell.
        map: widget with the map as HTML.
        picture: widget with the session of the picked cell as HTML.
        zoom: name of a time -> widget with the visible range.
        choose: name of a time -> widget with the value of the picked cell.

    Raises:
        InputError: `trials` are not a map of the session's release.
    """

    def __init__(
        self, trials: pd.DataFrame, session: SessionConfig, x: str = "gap_ms", y: str = "tool_ms", earlier_ms: float = 40
    ) -> None:
        self.session, self.x, self.y, self.earlier_ms = session, x, y, earlier_ms
        self.cells = cells_of(trials, x, y, session.release.tag)
        self._alt = alt_map(trials, x, y, session.release.tag)
        values = {name: sorted(float(each) for each in self.cells[name].unique()) for name in (x, y)}
        self.zoom = {
            name: widgets.SelectionRangeSlider(
                description=f"show {name}", options=_options(those), index=(0, len(those) - 1), style=_LABEL, layout=_FULL
            )
            for name, those in values.items()
        }
        self.choose = {
            name: widgets.SelectionSlider(
                description=f"session {name}", options=_options(those), index=len(those) // 2, style=_LABEL, layout=_FULL
            )
            for name, those in values.items()
        }
        self.map = widgets.HTML(layout={"width": f"{_SIZE[0] * 100:.0f}px"})
        self.picture = widgets.HTML(layout=_FULL)
        ranges = widgets.VBox([*self.zoom.values(), *self.choose.values()], layout={"flex": "1 1 20em", "min_width": "20em"})
        top = widgets.HBox([self.map, ranges], layout={"flex_flow": "row wrap"})
        self.widget = widgets.VBox([top, self.picture], layout=_FULL)
        for each in self.zoom.values():
            each.observe(self._draw_map, "value")
        for each in self.choose.values():
            each.observe(self._chosen, "value")
        self._listen()
        self._chosen()

    @property
    def picked(self) -> tuple[float, float]:
        return self.choose[self.x].value, self.choose[self.y].value

    def pick(self, x_ms: float, y_ms: float) -> None:
        """Pick the cell that is nearest to two times, in ms."""
        for name, at in ((self.x, x_ms), (self.y, y_ms)):
            slider = self.choose[name]
            slider.value = min((value for _, value in slider.options), key=lambda value: abs(value - at))

    def _listen(self) -> None:
        """Pick a cell at a click if ipyevents is installed."""
        try:
            from ipyevents import Event
        except ImportError:
            return
        self._event = Event(source=self.map, watched_events=["click"])
        self._event.on_dom_event(self._clicked)

    def _clicked(self, event: Mapping[str, Any]) -> None:
        """Pick the cell at the position of a click, in pixels from the top left of the map."""
        across = (event["relativeX"] / 100 - _LEFT) / (_RIGHT - _LEFT)
        up = (_BOTTOM - event["relativeY"] / 100) / (_BOTTOM - _TOP)
        if 0 <= across <= 1 and 0 <= up <= 1:
            (left, right), (low, high) = self._limits()
            self.pick(left + across * (right - left), low + up * (high - low))

    def _chosen(self, _: object = None) -> None:
        x_ms, y_ms = self.picked
        times = self.session.times.with_ns(self.x, ns(x_ms)).with_ns(self.y, ns(y_ms))
        self._draw_map()
        try:
            session = replace(self.session, times=times)
            earlier = min(self.earlier_ms, session.times.ns("tool_ms", 0, session.seed) / 1e6)
            self.recording: Recording | None = simulate(session)
            title = f"{self.x} {x_ms:g}, {self.y} {y_ms:g}"
            pair = {title: self.recording, f"result {earlier:g} ms earlier": simulate(session.shifted(tool_ms=-earlier))}
            self.picture.value = svg_time_axis(pair)
        except InputError as error:
            self.recording = None
            self.picture.value = f'<p role="alert"><strong>This cannot be played.</strong> {escape(str(error))}</p>'

    def _visible(self) -> pd.DataFrame:
        shown = self.cells
        for name, widget in self.zoom.items():
            low, high = widget.value
            shown = shown[shown[name].between(low, high)]
        return shown

    def _limits(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return the (left, right) and (low, high) limits of the visible part, in ms."""
        shown = self._visible()
        return (shown["left"].min(), shown["right"].max()), (shown["low"].min(), shown["high"].max())

    def _draw_map(self, _: object = None) -> None:
        (left, right), (low, high) = self._limits()

        def x(at_ms: float) -> float:
            return float(_LEFT + (_RIGHT - _LEFT) * (at_ms - left) / (right - left))

        def y(at_ms: float) -> float:
            return float(_BOTTOM - (_BOTTOM - _TOP) * (at_ms - low) / (high - low))

        canvas = SvgCanvas(*_SIZE)
        shown = self._visible()
        names = {"x": self.x, "y": self.y, "left": "left", "right": "right", "low": "low", "high": "high", "outcome": "outcome"}
        for row in ({key: record[name] for key, name in names.items()} for record in shown.to_dict("records")):
            style = STYLES[row["outcome"]]
            title = f"{self.x} {row['x']:g}, {self.y} {row['y']:g}: {row['outcome']}, {TABLE[row['outcome']].meaning}"
            corner = (x(row["left"]), y(row["high"]))
            # The edges have the cell's colour, because a gap between two cells would show the background.
            canvas.box(
                corner, x(row["right"]) - corner[0], y(row["low"]) - corner[1],
                facecolor=style.colour, edgecolor=style.colour, linewidth=0.3, title=title,
            )  # fmt: skip
        self._labels(canvas, shown, x, y)
        self.map.value = canvas.svg(self._alt)

    def _labels(self, canvas: SvgCanvas, shown: pd.DataFrame, x: Any, y: Any) -> None:
        """Draw the names of the outcomes, the axes, and the picked cell."""
        for outcome, group in shown.groupby("outcome", sort=False):
            if len(group) >= 0.04 * len(shown):
                at_x, at_y = _middle(group, self.x, self.y)
                canvas.text(
                    x(at_x), y(at_y), f"{STYLES[str(outcome)].glyph} {outcome}", ha="center", fontweight="bold", zorder=5,
                    bbox={"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": INK, "linewidth": 0.6},
                )  # fmt: skip
        for name, at in ((self.x, x), (self.y, y)):
            values = sorted(shown[name].unique())
            for value in values[:: -(-len(values) // _LABELS)]:
                if name == self.x:
                    canvas.text(at(value), _BOTTOM + 0.14, f"{value:g}", fontsize=8.5, ha="center", color=GREY)
                else:
                    canvas.text(_LEFT - 0.07, at(value), f"{value:g}", fontsize=8.5, ha="right", color=GREY)
        canvas.text((_LEFT + _RIGHT) / 2, _BOTTOM + 0.4, axis_label(self.x), fontsize=9, ha="center")
        canvas.text(0.1, 0.16, f"{axis_label(self.y)}; proxy {self.session.release.tag}", fontsize=9)
        x_ms, y_ms = self.picked
        cell = shown[(shown[self.x] == x_ms) & (shown[self.y] == y_ms)]
        for row in cell.to_dict("records"):
            xs, ys = (x(row["left"]), x(row["right"])), (y(row["low"]), y(row["high"]))
            outline = [xs[0], xs[1], xs[1], xs[0], xs[0]], [ys[0], ys[0], ys[1], ys[1], ys[0]]
            canvas.line(*outline, color="white", linewidth=3.5, zorder=6)
            canvas.line(*outline, color="black", linewidth=2, zorder=7)

    def _ipython_display_(self) -> None:
        """Display the widgets. Pages without widgets show the text of the map, and need the picture of `plot_map`."""
        bundle: dict[str, Any] = dict(self.widget._repr_mimebundle_() or {})
        display({**bundle, "text/plain": self._alt}, raw=True)  # type: ignore[no-untyped-call]


def _options(values: list[float]) -> list[tuple[str, float]]:
    return [(f"{value:g} ms", value) for value in values]


def _middle(group: pd.DataFrame, x: str, y: str) -> tuple[float, float]:
    """Return (x, y) of the cell nearest to the mean of a group of cells."""
    distance = (group[x] - group[x].mean()) ** 2 + (group[y] - group[y].mean()) ** 2
    row = group.loc[distance.idxmin()]
    return float(row[x]), float(row[y])
