"""Draw an overview of sessions: one row per session, from the function call to the reply, with a time axis to scale.

A bar spans the time in which a response holds the slot. Marks above the bars are results, at their arrival at the proxy.
Arrows below the bars are requests for the next response, at their arrival at the API. If an arrow lands inside a bar, the
API refuses the request. For all messages, use a swimlane.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from voicerace.report.plots.canvas import blank_axes
from voicerace.report.plots.style import DEFAULT_ERROR, GREY, INK, REPLY, RESULT, STYLES, TAKEN, WARN, WIDTH, figure_of, rc, tip
from voicerace.report.plots.swimlane_rows import Lanes, lanes_of, spans_of
from voicerace.trace.recording import Recording
from voicerace.units import ms

__all__ = ["OverviewLine", "Strip", "alt_overview", "alt_strips", "plot_overview", "strip_of", "strip_of_lanes"]

_FOOT: Final = 0.5
_LEFT: Final = 0.12
_BAR: Final = 0.2
#: Distance in inches below which two marks share a label.
_NEAR: Final = 0.16


@dataclass(frozen=True)
class _Shape:
    """Sizes in inches: of the figure, of a row, of the legend's part above the rows, and the right end of the axis.

    In a narrow picture the outcome is below the bar, and not beside it.
    """

    width: float
    lane: float
    head: float
    right: float
    narrow: bool = False


_WIDE: Final = _Shape(WIDTH, 1.1, 0.5, 5.35)
_NARROW: Final = _Shape(3.9, 1.75, 0.95, 3.75, narrow=True)


@dataclass(frozen=True)
class OverviewLine:
    """One row of the picture.

    Attributes:
        title: release and scenario.
        recording: the session.
        means: a short text on what the user experiences.
    """

    title: str
    recording: Recording
    means: str


@dataclass(frozen=True)
class Strip:
    """Bars and marks in one row of the picture. All times are in ms since the function call.

    Attributes:
        busy: (begin, end or None, whether the response is a reply) of each response.
        results: (arrival at the proxy, whether the app sent it) of each result.
        requests: (arrival at the API, whether the request was refused) of each `response.create`.
        outcome: outcome of the turn.
    """

    busy: tuple[tuple[float, float | None, bool], ...]
    results: tuple[tuple[float, bool], ...]
    requests: tuple[tuple[float, bool], ...]
    outcome: str


def strip_of(recording: Recording) -> Strip:
    """Return the row for the most severe turn of a session, starting at the turn's function call."""
    return strip_of_lanes(lanes_of(recording))


def strip_of_lanes(lanes: Lanes) -> Strip:
    """Return the row for the turn of a session's lanes."""
    turn = lanes.turn or lanes.verdict.turn
    # the row ends before the next user input
    inputs = [row.sent_ns for row in lanes.rows if row.label.startswith("user") and row.sender == "host" and row.sent_ns > 0]
    until = min(inputs, default=1 << 62)
    rows = [row for row in lanes.rows if row.sent_ns < until]
    results = tuple(
        (ms(row.received_ns), row.kind == "result")
        for row in rows
        if row.sender == "host" and row.kind in ("result", "default_error")
    )
    requests = tuple(
        (ms(row.received_ns), row.kind == "refused")
        for row in rows
        if row.kind in ("create", "refused") and row.receiver == "upstream" and row.received_ns >= 0
    )
    return Strip(tuple(_busy(lanes, ms(until))), results, requests, turn.outcome if turn is not None else "unknown")


def _busy(lanes: Lanes, until_ms: float) -> Iterator[tuple[float, float | None, bool]]:
    for number, (_, begin, end) in enumerate(spans_of(lanes)):
        since = ms(begin) if begin is not None else -1e6
        if since < until_ms:
            yield since, None if end is None else ms(end), number > 0


def plot_overview(lines: Sequence[OverviewLine], until_ms: float | None = None, *, narrow: bool = False) -> Figure:
    """Draw sessions below each other on one time axis.

    Args:
        lines: at least one row.
        until_ms: end of the time axis in ms; None for an axis that ends after the last request.
        narrow: whether the picture is for a phone.
    """
    shape = _NARROW if narrow else _WIDE
    strips = [strip_of(each.recording) for each in lines]
    until = until_ms or _until(strips)
    height = shape.head + shape.lane * len(lines) + _FOOT
    with rc():
        ax = blank_axes(height, width=shape.width)
        pen = _RowPainter(ax, until, shape)
        _legend(ax, shape)
        for number, (line, strip) in enumerate(zip(lines, strips, strict=True)):
            pen.line(shape.head + shape.lane * number, line, strip)
        pen.clock(shape.head + shape.lane * len(lines) + 0.06)
    return figure_of(ax)


def alt_overview(lines: Sequence[OverviewLine]) -> str:
    """Return the alternative text of `plot_overview`, row by row."""
    return alt_strips((line.title, strip_of(line.recording), line.means) for line in lines)


def alt_strips(rows: Iterable[tuple[str, Strip, str]]) -> str:
    """Return the alternative text of rows, given as (title, row, what the user experiences)."""
    sentences = []
    for title, strip, means in rows:
        busy = [
            f"{'busy with the call' if not reply else 'busy with a reply'} "
            f"{'' if low < -1e5 else f'from {low:.0f} '}{'without an end' if high is None else f'until {high:.0f}'}"
            for low, high, reply in strip.busy
        ]
        results = [f"{'the result' if own else 'an error of the component'} at {at:.0f}" for at, own in strip.results]
        requests = [f"a request at {at:.0f} {'is refused' if refused else 'is accepted'}" for at, refused in strip.requests]
        parts = "; ".join([*busy, *results, *(requests or ["no request is sent"])])
        sentences.append(f"{title}: {parts}: {strip.outcome}, {' '.join(means.split())}.")
    return "Sessions on one clock, in ms since the function call. " + " ".join(sentences)


def _until(strips: Sequence[Strip]) -> float:
    ends = [high for strip in strips for _, high, reply in strip.busy if high is not None and not reply]
    marks = [at for strip in strips for at, _ in (*strip.results, *strip.requests)]
    return max([*ends, *marks, 100.0]) * 1.25


def _legend(ax: Axes, shape: _Shape) -> None:
    """Draw the legend: one line, or two lines in a narrow picture."""
    y, second = 0.2, 0.45 if shape.narrow else 0.2
    request = _LEFT if shape.narrow else 4.32
    ax.add_patch(Rectangle((_LEFT, y - 0.08), 0.34, 0.16, facecolor=TAKEN, linewidth=0))
    ax.text(_LEFT + 0.42, y, "the API is busy", fontsize=8.5, va="center")
    ax.plot([1.72], [y], marker="o", markersize=7, color=RESULT)
    ax.text(1.83, y, "result", fontsize=8.5, va="center")
    ax.plot([2.42], [y], marker="^", markersize=7, color=DEFAULT_ERROR)
    ax.text(2.53, y, "component's error" if shape.narrow else "the component's own error", fontsize=8.5, va="center")
    ax.text(request, second, "↑", fontsize=11, va="center", fontweight="bold")
    ax.text(request + 0.14, second, "request for the next response", fontsize=8.5, va="center")
    ax.text(request + 2.08, second, "✗ refused", fontsize=8.5, va="center", color=WARN, fontweight="bold")


class _RowPainter:
    def __init__(self, ax: Axes, until: float, shape: _Shape) -> None:
        self.ax = ax
        self.shape = shape
        self.right = shape.right
        self.since = -0.05 * until
        self.until = until

    def x(self, at_ms: float) -> float:
        at = min(max(at_ms, self.since), self.until)
        return _LEFT + (at - self.since) / (self.until - self.since) * (self.right - _LEFT)

    def line(self, top: float, line: OverviewLine, strip: Strip) -> None:
        ax = self.ax
        ax.plot([_LEFT, self.shape.width - 0.1], [top - 0.02, top - 0.02], color="#D9D9D9", linewidth=0.8)
        title = "\n".join(wrap(line.title, 46)) if self.shape.narrow else line.title
        ax.text(_LEFT, top + 0.06, title, fontsize=9.5, fontweight="bold", va="top", linespacing=1.2, parse_math=False)
        bar = top + (0.82 if self.shape.narrow else 0.56)
        ax.plot([_LEFT, self.right], [bar + _BAR / 2] * 2, color="#D9D9D9", linewidth=1, zorder=1)
        for low, high, reply in strip.busy:
            self.busy(bar, low, high, reply)
        self.results(bar, strip.results)
        self.requests(bar, strip.requests, strip.outcome == "stalled")
        style = STYLES[strip.outcome]
        ax.text(
            *self.beside(bar - 0.1), f"{style.glyph} {strip.outcome}", fontsize=9.5, fontweight="bold", va="center",
            color=style.text, zorder=5,
            bbox={"boxstyle": "round,pad=0.25", "facecolor": style.colour, "edgecolor": INK, "linewidth": 0.6},
        )  # fmt: skip
        x, y = self.beside(bar - 0.1 if self.shape.narrow else bar + 0.12)
        means = " ".join(line.means.split()) if self.shape.narrow else line.means
        x, va = (x + 1.05, "center") if self.shape.narrow else (x - 0.05, "top")
        ax.text(x, y, means, fontsize=8.5, va=va, linespacing=1.25, parse_math=False)

    def beside(self, y: float) -> tuple[float, float]:
        """Return the place of the outcome: to the right of the bar at `y`, or below the bar of a narrow picture."""
        return (_LEFT + 0.06, y + 0.78) if self.shape.narrow else (self.right + 0.15, y)

    def busy(self, y: float, low: float, high: float | None, reply: bool) -> None:
        left, right = self.x(low), self.x(self.until if high is None else high)
        if right - left < 0.01:
            return
        colour = REPLY if reply else TAKEN
        look: dict[str, Any] = {"hatch": "//", "edgecolor": "#3F8F74"} if reply else {"edgecolor": colour}
        until = "the end of the picture" if high is None else f"{high:.0f} ms"
        words = f"the API is busy {'with a reply' if reply else 'with the call'}, {max(low, self.since):.0f} ms to {until}"
        look |= {"facecolor": colour, "linewidth": 0, "zorder": 2}
        self.ax.add_patch(Rectangle((left, y), right - left, _BAR, **look, **tip(words)))
        words = "replies" if reply else "calls the function"
        if right - left > (0.6 if reply else 1.15):
            box = {"facecolor": colour, "edgecolor": "none", "pad": 1}
            self.ax.text(
                left + 0.07,
                y + _BAR / 2,
                words,
                fontsize=8.5,
                color="white",
                va="center",
                zorder=3,
                bbox=box if reply else None,
            )

    def results(self, bar: float, results: Sequence[tuple[float, bool]]) -> None:
        """Draw the results above the bar. Simultaneous results are side by side, in order."""
        for x, those in self.together(results):
            for number, (at, own) in enumerate(those):
                self.ax.plot(
                    [x + _NEAR * number], [bar - 0.12], marker="o" if own else "^", markersize=7,
                    color=RESULT if own else DEFAULT_ERROR, zorder=4,
                    **tip(f"{'result' if own else 'error of the component'} at the proxy, {at:.0f} ms"),
                )  # fmt: skip
            words = ", then ".join("result" if own else "component's error" for _, own in those)
            self.label(x, _NEAR * (len(those) - 1) + 0.1, bar - 0.12, words, INK, "normal")

    def requests(self, bar: float, requests: Sequence[tuple[float, bool]], stalled: bool) -> None:
        """Draw the requests below the bar."""
        if not requests:
            words = "no request is ever sent" + (": the proxy waits for an end that has passed" if stalled else "")
            self.ax.text(_LEFT + 0.05, bar + 0.37, words, fontsize=8.5, fontstyle="italic", color=WARN, va="center")
        for x, those in self.together(requests):
            for number, (at_ms, refused) in enumerate(those):
                at = x + _NEAR * number
                words = f"response.create at the API, {at_ms:.0f} ms: {'refused' if refused else 'accepted'}"
                self.ax.add_patch(
                    FancyArrowPatch(
                        (at, bar + 0.48), (at, bar + _BAR - (0.05 if refused else 0)), arrowstyle="-|>", mutation_scale=10,
                        shrinkA=0, shrinkB=0, color=WARN if refused else INK, linewidth=1.8, zorder=5, **tip(words),
                    )
                )  # fmt: skip
            words = ", ".join("✗ refused" if refused else "request ✓" for _, refused in those)
            bad = any(refused for _, refused in those)
            self.label(x, _NEAR * (len(those) - 1) + 0.07, bar + 0.39, words, WARN if bad else INK, "bold" if bad else "normal")

    def together(self, marks: Sequence[tuple[float, bool]]) -> list[tuple[float, list[tuple[float, bool]]]]:
        """Return (x in inches, marks) for each group of marks with a common label."""
        placed: list[tuple[float, list[tuple[float, bool]]]] = []
        for mark in sorted(marks, key=lambda mark: mark[0]):
            x = self.x(mark[0])
            if placed and x - placed[-1][0] < _NEAR:
                placed[-1][1].append(mark)
            else:
                placed.append((x, [mark]))
        return placed

    def label(self, x: float, right: float, y: float, text: str, colour: str, weight: str) -> None:
        """Write a label to the right of a mark, or to the left of a mark near the end of the row."""
        to_left = x + right + 0.066 * len(text) > self.right
        self.ax.text(
            x - 0.1 if to_left else x + right, y, text, fontsize=8.5, va="center", ha="right" if to_left else "left",
            color=colour, fontweight=weight, zorder=4,
        )  # fmt: skip

    def clock(self, y: float) -> None:
        step = next(each for each in (50, 100, 200, 500, 1000, 2000, 5000, 10_000) if self.until / each <= 9)
        self.ax.plot([self.x(0), self.right], [y, y], color=GREY, linewidth=1)
        for at in range(0, int(self.until) + 1, step):
            self.ax.plot([self.x(at)] * 2, [y, y + 0.05], color=GREY, linewidth=1)
            self.ax.text(self.x(at), y + 0.14, f"{at:,}", fontsize=8, ha="center", va="center", color=GREY)
        x, below = (self.right - 0.95, y + 0.3) if self.shape.narrow else (self.right + 0.1, y + 0.1)
        self.ax.text(x, below, "ms since the call", fontsize=8, va="center", color=GREY)
