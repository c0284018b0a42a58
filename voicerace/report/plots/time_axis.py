"""Draw sessions as SVG below each other on one time axis to scale, in a few milliseconds per session.

Each session has the lanes host, proxy and API. A bar on the API's lane is a response that holds the slot, an arrow is a
message. The titles of bars and arrows (tooltips in a browser) have their times. For all messages in order, use a swimlane.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from voicerace.analysis.outcomes import TABLE
from voicerace.report.plots.canvas import SvgCanvas
from voicerace.report.plots.overview import alt_strips, strip_of_lanes
from voicerace.report.plots.style import DEFAULT_ERROR, GREY, INK, REPLY, RESULT, STYLES, TAKEN, WARN
from voicerace.report.plots.swimlane_rows import Lanes, MessageRow, lanes_of, spans_of
from voicerace.trace.recording import Recording
from voicerace.units import ms

__all__ = ["axis_end_ms", "svg_time_axis"]

#: Sizes in inches.
_WIDTH: Final = 11.0
_LEFT: Final = 0.75
_RIGHT: Final = 10.85
_TITLE: Final = 0.3
#: Lane -> its distance from the top of a session.
_LANES: Final = {"host": 1.0, "proxy": 1.38, "upstream": 1.76}
_NAMES: Final = {"host": "host", "proxy": "proxy", "upstream": "API"}
_BAR: Final = 0.2
_SESSION: Final = 2.55
_FOOT: Final = 0.55
#: Distance between rows of labels.
_ROW: Final = 0.19
#: Part of the axis before the function call.
_BEFORE: Final = 0.06
#: Mean width of a letter in inches.
_LETTER: Final = 0.068
_ENDS: Final = (50, 100, 150, 200, 300, 400, 500, 600, 800, 1_000, 1_500, 2_000, 3_000, 5_000, 8_000, 10_000)
_STEPS: Final = (5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
_INKS: Final = {
    "plain": ("#B8B8B8", 1.0),
    "call": (INK, 1.4),
    "result": (RESULT, 2.2),
    "default_error": (DEFAULT_ERROR, 2.2),
    "create": (INK, 2.0),
    "refused": (WARN, 2.2),
    "refusal": (WARN, 1.6),
    "notice": (WARN, 1.6),
    "reply": (REPLY, 1.4),
}


def svg_time_axis(sessions: Mapping[str, Recording], end_ms: float | None = None) -> str:
    """Return the picture of sessions on one time axis, as SVG.

    Args:
        sessions: title -> recording, from top to bottom.
        end_ms: end of the axis in ms after the function call; None for `axis_end_ms` of the sessions.
    """
    lanes = {title: lanes_of(each) for title, each in sessions.items()}
    end = end_ms or _end_ms([*lanes.values()])
    canvas = SvgCanvas(_WIDTH, _SESSION * len(lanes) + _FOOT)
    for number, (title, each) in enumerate(lanes.items()):
        _SessionPainter(canvas, _SESSION * number, end).draw(title, each)
    _axis(canvas, _SESSION * len(lanes), end)
    return canvas.svg(alt_strips((title, strip_of_lanes(each), TABLE[_outcome(each)].meaning) for title, each in lanes.items()))


def axis_end_ms(*recordings: Recording) -> float:
    """Return the end of an axis for sessions: a round number of ms, so that small changes of a time do not change it."""
    return _end_ms([lanes_of(each) for each in recordings])


def _end_ms(sessions: list[Lanes]) -> float:
    last = 0.0
    for lanes in sessions:
        marks = [
            row.received_ns for row in lanes.rows if row.kind in ("result", "default_error", "create", "refused", "refusal")
        ]
        spans = [*spans_of(lanes)]
        marks += [end for _, _, end in spans[:1] if end is not None]
        # Of a reply, its beginning is enough.
        marks += [begin for _, begin, _ in spans[1:] if begin is not None]
        last = max(last, ms(max(_within_turn(lanes, marks), default=0)))
    return next((end for end in _ENDS if end >= 1.15 * last), 1.15 * last)


def _within_turn(lanes: Lanes, marks: list[int]) -> list[int]:
    """Return the times before the next user input."""
    inputs = (row.sent_ns for row in lanes.rows if row.sender == "host" and row.label.startswith("user") and row.sent_ns > 0)
    until = min(inputs, default=None)
    return [each for each in marks if until is None or each < until]


def _outcome(lanes: Lanes) -> str:
    turn = lanes.turn or lanes.verdict.turn
    return turn.outcome if turn is not None else "unknown"


def _clock(time_ns: int) -> str:
    """Return a time in ms as text, with at most one decimal."""
    return f"{ms(time_ns):,.1f}".removesuffix(".0")


def _x(at_ms: float, end_ms: float) -> float:
    since = -_BEFORE * end_ms
    return _LEFT + (_RIGHT - _LEFT) * (at_ms - since) / (end_ms - since)


def _axis(canvas: SvgCanvas, y: float, end_ms: float) -> None:
    step = next((each for each in _STEPS if end_ms / each <= 12), end_ms / 10)
    canvas.line([_LEFT, _RIGHT], [y, y], color=GREY, linewidth=1)
    at = 0.0
    while at <= end_ms:
        canvas.line([_x(at, end_ms)] * 2, [y, y + 0.06], color=GREY, linewidth=1)
        canvas.text(_x(at, end_ms), y + 0.16, f"{at:,g}", fontsize=8.5, ha="center", color=GREY)
        at += step
    canvas.text((_LEFT + _RIGHT) / 2, y + 0.37, "ms after the function call, to scale", fontsize=8.5, ha="center", color=GREY)


class _SessionPainter:
    """Draws one session.

    Args:
        canvas: the canvas.
        top: top of the session in inches.
        end_ms: end of the axis in ms.
    """

    def __init__(self, canvas: SvgCanvas, top: float, end_ms: float) -> None:
        self.canvas = canvas
        self.top = top
        self.end_ms = end_ms
        #: Right ends of the labels in each row of labels, above and below the lanes.
        self.taken: dict[str, list[float]] = {"above": [], "below": []}

    def draw(self, title: str, lanes: Lanes) -> None:
        outcome = _outcome(lanes)
        style = STYLES[outcome]
        self.canvas.text(
            0.12, self.top + _TITLE - 0.08, f"{style.glyph} {outcome}", fontsize=10.5, fontweight="bold", color=style.text,
            bbox={"boxstyle": "round,pad=0.3", "facecolor": style.colour, "edgecolor": INK, "linewidth": 0.6},
        )  # fmt: skip
        self.canvas.text(1.35, self.top + _TITLE - 0.08, f"{title}: {TABLE[outcome].meaning}", fontsize=10, fontweight="bold")
        for name, down in _LANES.items():
            y = self.top + down
            self.canvas.text(_LEFT - 0.12, y, _NAMES[name], fontsize=9, ha="right")
            self.canvas.line([_LEFT, _RIGHT], [y, y], color=GREY, linewidth=1, zorder=1)
        self.bars(lanes)
        for row in sorted(lanes.rows, key=lambda each: (each.kind != "plain", each.sent_ns)):
            self.message(row)

    def bars(self, lanes: Lanes) -> None:
        """Draw the responses in the slot."""
        y = self.top + _LANES["upstream"]
        for number, (_, begin_ns, end_ns) in enumerate(spans_of(lanes)):
            begin = -_BEFORE * self.end_ms if begin_ns is None else max(ms(begin_ns), -_BEFORE * self.end_ms)
            end = self.end_ms if end_ns is None else min(ms(end_ns), self.end_ms)
            if begin >= self.end_ms or end <= begin:
                continue
            what = "response with the call" if number == 0 else "reply"
            until = "its end is not in the picture" if end_ns is None else f"until {_clock(end_ns)} ms"
            since = "" if begin_ns is None else f" from {_clock(begin_ns)}"
            left, right = _x(begin, self.end_ms), _x(end, self.end_ms)
            colour = TAKEN if number == 0 else REPLY
            self.canvas.box(
                (left, y - _BAR / 2), right - left, _BAR, facecolor=colour, zorder=3, title=f"{what}: slot taken{since} {until}"
            )
            # Right of the call's arrow, which begins at 0.
            words = max(left + 0.1, _x(0, self.end_ms) + 0.3 if number == 0 else 0)
            if right - words > _LETTER * len(what) + 0.1:
                self.canvas.text(words, y, what, fontsize=8.5, color="white", zorder=4)
            if number == 0 and end_ns is not None and end < self.end_ms:
                self.label("below", right, f"response.done at {_clock(end_ns)}", TAKEN)

    def message(self, row: MessageRow) -> None:
        start, stop = ms(row.sent_ns), ms(row.received_ns)
        if stop < -_BEFORE * self.end_ms or start > self.end_ms:
            return
        colour, width = _INKS[row.kind]
        below, z = row.receiver == "upstream", 2 if row.kind == "plain" else 5
        ys = [self.top + _LANES[name] for name in (row.sender, row.receiver)]
        ends = [(_x(start, self.end_ms), ys[0]), (_x(stop, self.end_ms), ys[1])]
        times = f"sent at {_clock(row.sent_ns)}, arrives at {_clock(row.received_ns)} ms"
        if not row.arrived:
            times = f"sent at {_clock(row.sent_ns)} ms, not delivered"
        words = f"{row.label}: {row.sender} to {row.receiver}, {times}" + (f"; {row.note}" if row.note else "")
        self.canvas.arrow(
            *ends, color=colour, linewidth=width, zorder=z, title=words, linestyle="--" if row.kind == "default_error" else "-"
        )
        if row.kind in ("create", "refused") and below:
            self.label(
                "below",
                ends[1][0],
                f"request at {_clock(row.received_ns)}{' ✗ refused' if row.kind == 'refused' else ''}",
                colour,
            )
        elif row.kind in ("result", "default_error", "call", "notice") and "host" in (row.sender, row.receiver):
            at_ns, x = (row.sent_ns, ends[0][0]) if row.sender == "host" else (row.received_ns, ends[1][0])
            name = {"result": "● result", "default_error": "▲ the component's error", "call": "call", "notice": "✗ error"}[
                row.kind
            ]
            self.label("above", x, f"{name} at {_clock(at_ns)}", colour)

    def label(self, side: str, x: float, text: str, colour: str) -> None:
        """Write a label beside a lane, in the first row where it covers no other label."""
        width = _LETTER * len(text) + 0.1
        left = min(max(x - 0.05, _LEFT), _RIGHT - width)
        rows = self.taken[side]
        number = next((number for number, right in enumerate(rows) if right <= left), len(rows))
        if number == len(rows):
            rows.append(0.0)
        rows[number] = left + width
        lane = self.top + (_LANES["host"] - 0.13 if side == "above" else _LANES["upstream"] + 0.26)
        y = lane - number * _ROW if side == "above" else lane + number * _ROW
        look: dict[str, Any] = {"fontsize": 8.5, "color": colour, "fontweight": "bold", "zorder": 6}
        self.canvas.text(left, y, text, **look)
