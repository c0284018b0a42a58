"""Draw the swimlane of a session: host, proxy and upstream are lanes, time runs downward, the slot is a bar.

Time is not to scale: simultaneous messages have separate rows, and long silences are shortened. `swimlane_rows` selects the
rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from matplotlib.axes import Axes

from voicerace.report.plots.canvas import AxesCanvas, Canvas, SvgCanvas, blank_axes
from voicerace.report.plots.style import DEFAULT_ERROR, FAINT, GREY, INK, REPLY, RESULT, STYLES, TAKEN, WARN, WIDTH, rc, tip
from voicerace.report.plots.swimlane_forwarder import FORWARDER, with_forwarder
from voicerace.report.plots.swimlane_rows import Lanes, MessageRow, Window, lanes_of, spans_of
from voicerace.trace.recording import Recording
from voicerace.units import ms

__all__ = ["alt_swimlane", "plot_swimlane", "svg_swimlane"]

# Horizontal positions of the lanes in inches from the left.
_X: Final = {"host": 0.9, "proxy": 3.38, "upstream": 5.86}
_FORWARDER_X: Final = (_X["host"] + _X["proxy"]) / 2
_X_DIRECT: Final = {"proxy": 0.9, "upstream": 5.86}
_TIME_X: Final = 0.78
_BAR: Final = 0.13
_PITCH: Final = 0.265
_HEAD: Final = 1.02
_FOOT: Final = 0.48
_LABEL_PT: Final = 8.5
_SILENCE_NS: Final = 1_000_000_000
_INKS: Final = {
    "plain": (GREY, 1.0),
    "call": (INK, 1.2),
    "result": (RESULT, 1.8),
    "default_error": (DEFAULT_ERROR, 1.8),
    "create": (INK, 1.6),
    "refused": (WARN, 1.8),
    "refusal": (WARN, 2.0),
    "notice": (WARN, 2.0),
    "reply": (REPLY, 1.6),
}
_SIGNS: Final = {"result": "● ", "default_error": "▲ "}


@dataclass(frozen=True)
class _Layout:
    """Vertical positions in rows from the top.

    Attributes:
        sent: seq of a message -> position of its sending.
        received: seq of a message -> position of its arrival.
        instants: (time in ns, first position, last position) of each group of messages sent at the same time.
        silences: (position, duration in ns) of each shortened silence.
        height: height of the picture.
    """

    sent: dict[int, float]
    received: dict[int, float]
    instants: list[tuple[int, float, float]]
    silences: list[tuple[float, int]]
    height: float


def plot_swimlane(recording: Recording, ax: Axes | None = None, window: Window = "turn") -> Axes:
    """Draw one session.

    Args:
        recording: a computed or recorded session.
        ax: axes to draw on; None for a new figure.
        window: ``turn`` for the most severe tool turn, starting at its user input; ``all`` for the complete session.
    """
    lanes = _lanes(recording, window)
    layout = _layout(lanes)
    height = _HEAD + _FOOT + layout.height * _PITCH
    with rc():
        ax = blank_axes(height, ax)
        _SwimlanePainter(AxesCanvas(ax), lanes, layout, height).draw()
    return ax


def svg_swimlane(recording: Recording, window: Window = "turn") -> str:
    """Return the picture of `plot_swimlane` as SVG, within a few milliseconds. The font depends on the reader's computer.

    Args:
        recording, window: as for `plot_swimlane`.
    """
    lanes = _lanes(recording, window)
    layout = _layout(lanes)
    height = _HEAD + _FOOT + layout.height * _PITCH
    canvas = SvgCanvas(WIDTH, height)
    _SwimlanePainter(canvas, lanes, layout, height).draw()
    return canvas.svg(_alt(lanes))


def alt_swimlane(recording: Recording, window: Window = "turn") -> str:
    """Return the alternative text of `plot_swimlane`: messages with times, responses in the slot, and the outcome.

    Args:
        recording, window: as for `plot_swimlane`.
    """
    return _alt(_lanes(recording, window))


def _lanes(recording: Recording, window: Window) -> Lanes:
    return with_forwarder(lanes_of(recording, window), recording)


def _alt(lanes: Lanes) -> str:
    messages = [
        f"{_clock(row.sent_ns)} {_actor(row.sender, lanes)} to {_actor(row.receiver, lanes)}: "
        + row.label.replace(" ✗", " (refused)").removeprefix("✗ ")
        + (f" ({row.note})" if row.note else "")
        for row in lanes.rows
        if row.kind != "plain" or row.note
    ]
    slot = []
    for bar, begin, end in spans_of(lanes):
        since = "before the picture" if begin is None else _clock(begin)
        slot.append(f"{bar.response_id} from {since} to {'its end unseen' if end is None else _clock(end)}")
    what = f"Swimlane of {lanes.names}. {_headline(lanes)}."
    times = f"Times in ms from {lanes.origin}: " + "; ".join(messages) + "."
    held = f"The slot was held by {', '.join(slot)} ms." if slot else "No response held the slot."
    return " ".join([what, times, held])


def _tip(row: MessageRow) -> str:
    """Return the tooltip of an arrow: the message and its times."""
    arrives = "not delivered" if not row.arrived else f"received at {_clock(row.received_ns)} ms"
    return f"{row.label}, {row.sender} to {row.receiver}: sent at {_clock(row.sent_ns)} ms, {arrives}"


def _actor(lane: str, lanes: Lanes) -> str:
    return "client" if lanes.direct and lane == "proxy" else lane


def _headline(lanes: Lanes) -> str:
    turn = lanes.turn or lanes.verdict.turn
    if turn is None:
        return f"{STYLES['unknown'].glyph} unknown: no function call was seen"
    stuck = "; the session stays stuck" if lanes.verdict.wedged else ""
    return f"{STYLES[turn.outcome].glyph} {turn.outcome}: {turn.why}{stuck}"


def _clock(time_ns: int) -> str:
    """Return a time in ms as text, with one decimal unless the decimal is 0."""
    value = ms(time_ns)
    text = f"{value:,.0f}" if abs(value - round(value)) < 0.05 else f"{value:,.1f}"
    return "0" if text == "-0" else text.replace("-", "−")


# -- layout ----------------------------------------------------------------------------------------------------------


def _column(row: MessageRow) -> str:
    return "upstream" if "upstream" in (row.sender, row.receiver) else "host"


def _layout(lanes: Lanes) -> _Layout:
    """Return the layout: later messages are lower, and labels in the same column are at least one row apart."""
    points: list[tuple[int, int, int, MessageRow]] = []
    for row in lanes.rows:
        points.append((row.sent_ns, 1, row.seq, row))
        if row.received_ns != row.sent_ns:
            points.append((row.received_ns, 0, row.seq, row))
    points.sort(key=lambda point: point[:3])
    sent: dict[int, float] = {}
    received: dict[int, float] = {}
    instants: list[tuple[int, float, float]] = []
    silences: list[tuple[float, int]] = []
    labels = {"host": -1.0, "upstream": -1.0}
    heads = {"host": -1.0, "upstream": -1.0}
    y, clock_y = 0.0, -1.0
    now = last = points[0][0] if points else 0
    for time, is_sending, seq, row in points:
        if time - last >= _SILENCE_NS:
            silences.append((y + 0.95, time - last))
            y += 1.6
        elif time > last:
            y += 0.16 + 0.12 * math.log10(1 + ms(time - last))
        last = time
        if is_sending:
            y = max(y + 0.5, labels[_column(row)] + 1.0, heads[_column(row)] + 0.85)
            if time > now or clock_y < 0:
                y = max(y, clock_y + 0.62)
                clock_y = y
                instants.append((time, y, y))
            labels[_column(row)] = y
            if row.note:
                other = "upstream" if _column(row) == "host" else "host"
                y = max(y, labels[other] + 1.0)
                labels[_column(row)] = labels[other] = y
            instants[-1] = (instants[-1][0], instants[-1][1], y)
            sent[seq] = y
            if row.received_ns == row.sent_ns:
                received[seq] = y
        else:
            y += 0.3
            received[seq] = heads[_column(row)] = y
        now = time if is_sending else now
    return _Layout(sent, received, instants, silences, y + 0.6)


# -- drawing ---------------------------------------------------------------------------------------------------------


class _SwimlanePainter:
    def __init__(self, canvas: Canvas, lanes: Lanes, layout: _Layout, height: float) -> None:
        self.canvas = canvas
        self.lanes = lanes
        self.layout = layout
        self.height = height
        self.x = dict(_X_DIRECT if lanes.direct else _X)
        if lanes.forwarder:
            self.x[FORWARDER] = _FORWARDER_X

    def draw(self) -> None:
        self.head(self.lanes)
        self.instants()
        self.bars(self.lanes)
        for row in self.lanes.rows:
            self.row(row)
        self.silences()

    def y(self, row: float) -> float:
        return _HEAD + (row + 0.15) * _PITCH

    def head(self, lanes: Lanes) -> None:
        turn = lanes.turn or lanes.verdict.turn
        outcome = turn.outcome if turn is not None else "unknown"
        style = STYLES[outcome]
        self.canvas.text(
            0.1, 0.2, f"{style.glyph} {outcome}", fontsize=10.5, fontweight="bold", va="center", color=style.text,
            bbox={"boxstyle": "round,pad=0.3", "facecolor": style.colour, "edgecolor": INK, "linewidth": 0.6},
        )  # fmt: skip
        self.canvas.text(1.25, 0.2, _clip(lanes.names, 70), fontsize=10, fontweight="bold", va="center")
        why = _headline(lanes).partition(": ")[2]
        self.canvas.text(0.1, 0.5, _clip("; ".join([why, *lanes.unseen]), 104), fontsize=_LABEL_PT, va="center")
        self.canvas.text(_TIME_X - 0.15, 0.84, "ms", fontsize=_LABEL_PT, ha="right", va="center", color=GREY)
        for name, x in self.x.items():
            self.canvas.text(x, 0.84, _actor(name, lanes), fontsize=9.5, fontweight="bold", ha="center", va="center")
            self.canvas.line([x, x], [_HEAD, self.height - _FOOT], color=GREY, linewidth=1.0, zorder=1)
        self.canvas.text(
            self.x["upstream"] + 0.45, 0.84, "slot", fontsize=9.5, fontweight="bold", ha="left", va="center", color=TAKEN
        )
        host = "" if lanes.direct else " The host is the app and the component."
        self.canvas.text(
            0.1, self.height - 0.22,
            f"Time runs down, in order and not to scale; 0 is {lanes.origin}.{host}\n"
            "Bar: the response that holds the slot, hatched until response.created.",
            fontsize=8, color=GREY, va="center", linespacing=1.3,
        )  # fmt: skip

    def instants(self) -> None:
        """Draw the times at the left, and a band around simultaneous messages."""
        for number, (time, first, last) in enumerate(self.layout.instants):
            self.canvas.text(_TIME_X, self.y(first), _clock(time), fontsize=_LABEL_PT, ha="right", va="center", color=INK)
            if last > first:
                top, bottom = self.y(first - 0.72), self.y(last + 0.2)
                shade = "#F1F3F5" if number % 2 else "#F7F8F9"
                width = self.x["upstream"] - _X["host"]
                self.canvas.box((_X["host"], top), width, bottom - top, facecolor=shade, zorder=0, linewidth=0)

    def bars(self, lanes: Lanes) -> None:
        """Draw the slot: hatched from the request to `response.created`, solid until `response.done`."""
        x = self.x["upstream"]
        for bar in lanes.bars:
            top = self.y(-0.6)
            created = self.y(self.layout.sent[bar.created]) if bar.created is not None else top
            taken = self.y(self.layout.received[bar.create]) if bar.create is not None else created
            done = self.y(self.layout.sent[bar.done]) if bar.done is not None else self.height - _FOOT
            if taken < created:
                pale: dict[str, Any] = {"facecolor": "#CFE0EC", "edgecolor": TAKEN, "hatch": "////", "linewidth": 0.8}
                self.canvas.box((x, taken), _BAR, created - taken, zorder=3, **pale)
            self.canvas.box((x, created), _BAR, done - created, facecolor=TAKEN, edgecolor=TAKEN, zorder=3)
            held = "" if bar.held_ns is None else f"\nheld {_clock(bar.held_ns)} ms"
            if bar.open:
                held = "\nnot done"
            tall = done - taken > 0.3
            self.canvas.text(
                x + _BAR + 0.05, max((taken + done) / 2 if done - taken < 1 else taken + 0.3, taken),
                bar.response_id + (held if tall else ""),
                fontsize=8, va="center", ha="left", color=TAKEN, linespacing=1.25,
            )  # fmt: skip

    def row(self, row: MessageRow) -> None:
        colour, width = _INKS[row.kind]
        start, stop = self.x[row.sender], self.x[row.receiver]
        top, bottom = self.y(self.layout.sent[row.seq]), self.y(self.layout.received[row.seq])
        if row.sender == "upstream" and row.kind == "refusal":
            self.canvas.line([start + _BAR / 2], [top], marker="X", markersize=9, color=WARN, markeredgecolor="white", zorder=6)
        if not row.arrived:
            stop = start + (stop - start) * 0.55
            self.canvas.text(stop, bottom, "✗ not delivered", fontsize=8, color=GREY, va="center", ha="center", zorder=6)
        style = "--" if row.kind == "default_error" else "-"
        if row.receiver == FORWARDER:
            self.canvas.line([stop], [top], marker="X", markersize=9, color=WARN, markeredgecolor="white", zorder=6)
        begin = (start, top)
        if row.held:
            # The message waits at the forwarder, and leaves it at the opening.
            begin = (self.x[FORWARDER], bottom)
            self.canvas.line([start, *begin[:1] * 2], [top, top, bottom], color=colour, linewidth=width, zorder=4)
        self.canvas.arrow(begin, (stop, bottom), color=colour, linewidth=width, linestyle=style, zorder=4, **tip(_tip(row)))
        slanted = bottom > top
        to_right = stop > start
        x = (start + stop) / 2 if not slanted else start + (0.09 if to_right else -0.09)
        loud = row.kind in ("refusal", "notice", "refused")
        folded = f" (×{row.folded})" if row.folded > 1 and row.kind != "reply" else ""
        self.canvas.text(
            x, top - 0.03, _SIGNS.get(row.kind, "") + _clip(row.label + folded, 34),
            fontsize=_LABEL_PT, color=colour if row.kind != "plain" else INK, va="bottom",
            ha="center" if not slanted else "left" if to_right else "right",
            fontweight="bold" if loud or row.kind in ("result", "default_error") else "normal",
            bbox={"boxstyle": "square,pad=0.06", "facecolor": "#FFF1E8" if loud else "white", "linewidth": 0.8 if loud else 0,
                  "edgecolor": WARN if loud else "none"},
            zorder=5,
        )  # fmt: skip
        if row.note:
            left, right = ("proxy", "upstream") if _column(row) == "host" or self.lanes.direct else ("host", "proxy")
            self.canvas.text(
                (self.x[left] + self.x[right]) / 2, top - 0.03, row.note, fontsize=_LABEL_PT, fontstyle="italic", color=WARN,
                ha="center", va="bottom", zorder=5, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )  # fmt: skip

    def silences(self) -> None:
        for position, lasting_ns in self.layout.silences:
            y = self.y(position)
            for x in self.x.values():
                self.canvas.line([x, x], [y - 0.12, y + 0.12], color="white", linewidth=3, zorder=2)
                self.canvas.line([x, x], [y - 0.1, y + 0.1], color=GREY, linewidth=1.4, linestyle=":", zorder=2)
            self.canvas.text(
                _X["proxy"], y, f"nothing for {lasting_ns / 1e9:,.1f} s", fontsize=_LABEL_PT, fontstyle="italic", color=INK,
                ha="center", va="center", zorder=5, bbox={"facecolor": "white", "edgecolor": FAINT, "pad": 2},
            )  # fmt: skip


def _clip(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
