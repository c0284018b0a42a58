"""Draw the test set-up: parts, messages, times, and the tested programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from voicerace.report.plots.canvas import blank_axes
from voicerace.report.plots.style import GREY, INK, RESULT, WIDTH, figure_of, rc

__all__ = ["PARTS", "alt_setup", "plot_setup"]

#: Key of a part -> (name, description, name of its time or "").
PARTS: Final = {
    "app": ("your app", "handler\nand tool", "tool_ms"),
    "component": ("component", "voice-agent-\nreact", ""),
    "proxy": ("proxy", "voice-agent-\nbackend", ""),
    "api": ("Realtime API", "one active\nresponse", "gap_ms"),
}
#: For each pair of neighbours: (messages to the right, messages to the left, name of the round-trip time or "").
_BETWEEN: Final = (
    ("result", "onFunction-\nCallRequest,\nonError", ""),
    ("FunctionCall-\nResponse", "FunctionCall-\nRequest,\nError", "host_rtt_ms"),
    ("the result,\nresponse.create", "function call,\nresponse.done,\nerror (refusal)", "upstream_rtt_ms"),
)
_WIDE: Final = 0.98
_TALL: Final = 1.15
_TOP: Final = 0.62


def plot_setup(roles: Mapping[str, Sequence[str]]) -> Figure:
    """Draw the set-up.

    Args:
        roles: key of `PARTS` -> the programs tested in the role of this part, one per line.
    """
    lines = max((len(each) for each in roles.values()), default=0)
    height = _TOP + _TALL + 0.72 + 0.19 * lines
    with rc():
        ax = blank_axes(height)
        step = (WIDTH - 0.2 - _WIDE) / (len(PARTS) - 1)
        lefts = [0.1 + step * number for number in range(len(PARTS))]
        for x, (key, (name, what, time)) in zip(lefts, PARTS.items(), strict=True):
            _part(ax, x, name, what, time)
            for number, line in enumerate(roles.get(key, ())):
                ax.text(x + _WIDE / 2, _TOP + _TALL + 0.62 + 0.19 * number, line, fontsize=7.5, ha="center", va="center")
        for x, (right, left, time) in zip(lefts, _BETWEEN, strict=False):
            _between(ax, x + _WIDE, x + step, right, left, time)
        ax.plot([0.1, WIDTH - 0.1], [_TOP + _TALL + 0.42] * 2, color="#D9D9D9", linewidth=0.8)
        ax.text(0.1, _TOP + _TALL + 0.32, "In the tests", fontsize=8, color=GREY, va="center")
        host = (lefts[0] - 0.05, lefts[1] + _WIDE + 0.05)
        ax.plot(host, [0.2, 0.2], color=GREY, linewidth=1)
        ax.text(sum(host) / 2, 0.2, " your browser (the host) ", fontsize=8, color=GREY, ha="center", va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
    return figure_of(ax)


def alt_setup(roles: Mapping[str, Sequence[str]]) -> str:
    """Return the alternative text of `plot_setup`."""
    chain = " to ".join(f"{name} ({' '.join(what.split()).replace('- ', '-')})" for name, what, _ in PARTS.values())
    tests = "; ".join(f"{PARTS[key][0]}: {', '.join(lines)}" for key, lines in roles.items() if lines)
    return (
        f"The set-up, from left to right: {chain}. The API sends the function call and response.done to the left, the result "
        f"and response.create go to the right. Times: tool_ms in the app, host_rtt_ms and upstream_rtt_ms on the links, gap_ms "
        f"in the API. In the tests: {tests}."
    )


def _part(ax: Axes, x: float, name: str, what: str, time: str) -> None:
    ax.add_patch(
        FancyBboxPatch((x, _TOP), _WIDE, _TALL, boxstyle="round,pad=0,rounding_size=0.07", facecolor="#F3F5F8", edgecolor=INK)
    )
    ax.text(x + _WIDE / 2, _TOP + 0.4, name, fontsize=9, fontweight="bold", ha="center", va="center")
    ax.text(x + _WIDE / 2, _TOP + 0.76, what, fontsize=7.5, linespacing=1.2, ha="center", va="center")
    if time:
        ax.text(
            x + _WIDE / 2, _TOP - 0.1, time, fontsize=8, fontfamily="DejaVu Sans Mono", ha="center", va="center", color=RESULT
        )


def _between(ax: Axes, start: float, stop: float, right: str, left: str, time: str) -> None:
    middle = (start + stop) / 2
    for y, words, begin, end, beside in (
        (_TOP + 0.47, right, start, stop, "bottom"), (_TOP + 0.63, left, stop, start, "top"),
    ):  # fmt: skip
        ax.add_patch(
            FancyArrowPatch(
                (begin, y), (end, y), arrowstyle="-|>", mutation_scale=9, shrinkA=2, shrinkB=2, color=INK, linewidth=1.2
            )
        )
        away = -0.05 if beside == "bottom" else 0.06
        ax.text(middle, y + away, words, fontsize=7, ha="center", va=beside, linespacing=1.15)
    if time:
        ax.text(middle, _TOP - 0.1, time, fontsize=8, fontfamily="DejaVu Sans Mono", ha="center", va="center", color=RESULT)
