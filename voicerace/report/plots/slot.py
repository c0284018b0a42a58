"""Draw the state diagram of the slot from the mock upstream's transition table."""

from __future__ import annotations

from typing import Final

from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch

from voicerace.model.catalog.slot import SLOT, Occurrence, SlotState
from voicerace.report.plots.style import GREY, INK, TAKEN, WARN, new_axes, rc

__all__ = ["alt_slot", "arrows", "plot_slot"]

_PLACES: Final[dict[SlotState, tuple[float, float]]] = {
    "free": (1.6, 3.2),
    "taken": (5.5, 3.2),
    "active": (5.5, 0.9),
    "draining": (1.6, 0.9),
}
_RADIUS: Final = 0.47
_WORDS: Final[dict[Occurrence, str]] = {
    "create": "response.create",
    "server_begins": "the server begins a response",
    "created": "response.created",
    "done": "response.done",
    "done_lagging": "response.done, slot_lag_ms > 0",
    "lag_over": "slot_lag_ms over",
    "cancel": "response.cancel",
}
#: (From, to) -> (bend of the arrow; horizontal and vertical offset of its label from the arrow's middle, in inches).
_BENDS: Final[dict[tuple[SlotState, SlotState], tuple[float, float, float]]] = {
    ("free", "taken"): (0.0, 0.0, 0.24),
    ("taken", "active"): (0.0, 0.78, 0.0),
    ("active", "free"): (0.0, 0.1, 0.26),
    ("active", "draining"): (0.0, 0.0, -0.2),
    ("draining", "free"): (0.0, -0.82, 0.0),
}
#: State -> horizontal and vertical offset of a refusal's label from the state, in inches.
_LOOPS: Final[dict[SlotState, tuple[float, float]]] = {
    "free": (0.0, 0.82),
    "taken": (0.0, 0.82),
    "active": (0.0, -0.86),
    "draining": (0.0, -0.86),
}


def arrows() -> dict[tuple[SlotState, SlotState, bool], list[tuple[Occurrence, str]]]:
    """Map (from, to, refused) of each arrow to a list of (event, kind of evidence)."""
    found: dict[tuple[SlotState, SlotState, bool], list[tuple[Occurrence, str]]] = {}
    for (state, event), row in SLOT.items():
        found.setdefault((state, row.next, row.refused), []).append((event, row.mark))
    return found


def plot_slot(ax: Axes | None = None) -> Axes:
    """Draw the slot's states, transitions and refusals, on `ax` or on new axes."""
    with rc():
        ax = new_axes(4.7, ax)
        ax.set_xlim(0, 7.1)
        ax.set_ylim(-0.55, 4.3)
        ax.set_aspect("equal")
        ax.axis("off")
        for state, (x, y) in _PLACES.items():
            holds = state in ("taken", "active")
            look = {"facecolor": TAKEN if holds else "white", "edgecolor": INK, "linewidth": 1.5, "zorder": 3}
            ax.add_patch(Circle((x, y), _RADIUS, **look))
            ax.text(x, y, state, ha="center", va="center", fontweight="bold", color="white" if holds else INK, zorder=4)
        for (state, to, refused), events in arrows().items():
            words = "\n".join(f"{_WORDS[event]} ({mark})" for event, mark in events)
            if refused:
                _refused(ax, state, words)
            else:
                _arrow(ax, state, to, words)
        ax.text(
            0.1, -0.5,
            "✗ refused, the state stays.  doc: the API's reference · trace: in a real log · open: not documented",
            fontsize=8, color=GREY, va="bottom",
        )  # fmt: skip
    return ax


def alt_slot() -> str:
    """Return the alternative text of `plot_slot`, one sentence per row of the transition table."""
    parts = []
    for (state, to, refused), events in arrows().items():
        for event, mark in events:
            parts.append(f"{state}: {_WORDS[event]} " + ("is refused" if refused else f"leads to {to}") + f" ({mark})")
    return "State diagram of the slot, the one active response. " + "; ".join(parts) + "."


def _arrow(ax: Axes, state: SlotState, to: SlotState, words: str) -> None:
    bend, right, up = _BENDS.get((state, to), (0.2, 0.0, 0.2))
    start, stop = _PLACES[state], _PLACES[to]
    ax.add_patch(
        FancyArrowPatch(
            start, stop, arrowstyle="-|>", mutation_scale=14, linewidth=1.6, color=INK, zorder=2,
            connectionstyle=f"arc3,rad={bend}", shrinkA=36, shrinkB=36,
        )
    )  # fmt: skip
    x, y = (start[0] + stop[0]) / 2 + right, (start[1] + stop[1]) / 2 + up
    ax.text(
        x, y, words, fontsize=8.5, ha="center", va="center", zorder=5, linespacing=1.3,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
    )  # fmt: skip


def _refused(ax: Axes, state: SlotState, words: str) -> None:
    x, y = _PLACES[state]
    right, up = _LOOPS[state]
    lines = "\n".join(f"✗ {line}" for line in words.split("\n"))
    ax.plot([x, x], [y + (_RADIUS if up > 0 else -_RADIUS), y + up], color=WARN, linewidth=1.6, linestyle="--", zorder=1)
    ax.text(
        x + right, y + up, lines, fontsize=8.5, color=WARN, ha="center", va="center", zorder=5, linespacing=1.3,
        bbox={"boxstyle": "round,pad=0.25", "facecolor": "#FFF1E8", "edgecolor": WARN, "linewidth": 0.8},
    )  # fmt: skip
