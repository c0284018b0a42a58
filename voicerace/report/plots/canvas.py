"""Canvases for swimlanes: matplotlib axes, or SVG.

Drawing on the SVG canvas takes a few milliseconds, but the width of its labels depends on the reader's fonts. Pages that
must look the same everywhere use axes. Coordinates are in inches from the left and from the top.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final, Protocol

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from voicerace.report.plots.style import DPI, INK, TIP, WIDTH

__all__ = ["AxesCanvas", "Canvas", "SvgCanvas", "blank_axes"]

Point = tuple[float, float]
_PX: Final = 100
_PT_PX: Final = _PX / 72
#: Mean width of a DejaVu letter relative to the font size, for the boxes around labels.
_LETTER: Final = 0.54
_BOLD: Final = 0.67
_ANCHOR: Final = {"left": "start", "center": "middle", "right": "end"}
#: Distance from a label's y coordinate to its baseline, relative to the height of the text.
_DOWN: Final = {"center": 0.36, "bottom": -0.22}
_DASHES: Final = {"--": "6 3", ":": "1.5 2.5"}
_UNPRINTABLE: Final = re.compile(r"[^\t\n -\ud7ff\ue000-\U0010ffff]")


def blank_axes(height: float, ax: Axes | None = None, width: float = WIDTH) -> Axes:
    """Return axes in inches from the top left, without a frame: `ax`, or those of a new figure if `ax` is None."""
    ax = ax if ax is not None else Figure(figsize=(width, height), dpi=DPI).add_axes((0, 0, 1, 1))
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)
    ax.axis("off")
    return ax


class Canvas(Protocol):
    """The drawing operations of a swimlane. `look` contains keyword arguments of matplotlib."""

    def text(self, x: float, y: float, words: str, **look: Any) -> object: ...
    def line(self, xs: Sequence[float], ys: Sequence[float], **look: Any) -> object: ...
    def box(self, corner: Point, width: float, height: float, **look: Any) -> object: ...
    def arrow(self, start: Point, stop: Point, **look: Any) -> object: ...


class AxesCanvas:
    """A canvas on matplotlib axes."""

    def __init__(self, ax: Axes) -> None:
        self.ax = ax

    def text(self, x: float, y: float, words: str, **look: Any) -> object:
        return self.ax.text(x, y, words, parse_math=False, **look)

    def line(self, xs: Sequence[float], ys: Sequence[float], **look: Any) -> object:
        return self.ax.plot(xs, ys, **look)

    def box(self, corner: Point, width: float, height: float, **look: Any) -> object:
        return self.ax.add_patch(Rectangle(corner, width, height, **look))

    def arrow(self, start: Point, stop: Point, **look: Any) -> object:
        style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 9, "shrinkA": 0, "shrinkB": 0}
        return self.ax.add_patch(FancyArrowPatch(start, stop, **style, **look))


class SvgCanvas:
    """A canvas that writes SVG. All text is escaped. A box or an arrow can have a `title`, which browsers show as a tooltip."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self._parts: list[tuple[float, str]] = []

    def svg(self, alt: str) -> str:
        """Return the SVG source of the picture, with the alternative text `alt`."""
        width, height = _n(self.width), _n(self.height)
        body = "".join(part for _, part in sorted(self._parts, key=lambda each: each[0]))
        hatch = (
            '<pattern id="vr-hatch" width="5" height="5" patternUnits="userSpaceOnUse">'
            '<path d="M0,5 5,0" stroke="#33658A" stroke-width=".8"/></pattern>'
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{_escaped(" ".join(alt.split()))}" '
            f'viewBox="0 0 {width} {height}" width="{width}" height="{height}" style="max-width:100%;height:auto" '
            f'font-family="DejaVu Sans,Verdana,sans-serif"><defs>{hatch}</defs>'
            f'<rect width="100%" height="100%" fill="#FFFFFF"/>{body}</svg>'
        )

    def text(self, x: float, y: float, words: str, **look: Any) -> None:
        size = look.get("fontsize", 9) * _PT_PX
        bold = look.get("fontweight") == "bold"
        lines = words.split("\n")
        spacing = look.get("linespacing", 1.2) * size
        anchor = look.get("ha", "left")
        top = y * _PX + _DOWN[look.get("va", "center")] * size - spacing * (len(lines) - 1) / 2
        if box := look.get("bbox"):
            wide = max(len(each) for each in lines) * size * (_BOLD if bold else _LETTER)
            self._label_box(x * _PX, top, wide, size, anchor, box, look.get("zorder", 3))
        shape = ' font-weight="bold"' * bold + ' font-style="italic"' * (look.get("fontstyle") == "italic")
        place = f'text-anchor="{_ANCHOR[anchor]}" font-size="{size:.1f}" fill="{look.get("color", INK)}"'
        spans = "".join(
            f'<tspan x="{x * _PX:.1f}" y="{top + number * spacing:.1f}">{_escaped(each)}</tspan>'
            for number, each in enumerate(lines)
        )
        self._add(look.get("zorder", 3), f"<text {place}{shape}>{spans}</text>")

    def line(self, xs: Sequence[float], ys: Sequence[float], **look: Any) -> None:
        z = look.get("zorder", 2)
        if look.get("marker") == "X":
            x, y = xs[0] * _PX, ys[0] * _PX
            cross = f"M{x - 5:.1f},{y - 5:.1f} l10,10 m0,-10 l-10,10"
            for colour, width in ((look["markeredgecolor"], 6), (look["color"], 4)):
                self._add(z, f'<path d="{cross}" stroke="{colour}" stroke-width="{width}" fill="none"/>')
            return
        points = " ".join(f"{x * _PX:.1f},{y * _PX:.1f}" for x, y in zip(xs, ys, strict=True))
        self._add(z, f'<polyline points="{points}" fill="none" {_stroke(look)}/>')

    def box(self, corner: Point, width: float, height: float, **look: Any) -> None:
        place = f'x="{_n(corner[0])}" y="{_n(corner[1])}" width="{_n(width)}" height="{_n(height)}"'
        z = look.get("zorder", 1)
        width_pt = look.get("linewidth", 1.0) if "edgecolor" in look else 0
        edge = f'stroke="{look["edgecolor"]}" stroke-width="{width_pt}"' if width_pt else ""
        self._add(z, _titled(f'<rect {place} fill="{look["facecolor"]}" {edge}/>', _title(look)))
        if look.get("hatch"):
            self._add(z, f'<rect {place} fill="url(#vr-hatch)"/>')

    def arrow(self, start: Point, stop: Point, **look: Any) -> None:
        (x, y), (to_x, to_y) = ((each[0] * _PX, each[1] * _PX) for each in (start, stop))
        length = ((to_x - x) ** 2 + (to_y - y) ** 2) ** 0.5 or 1.0
        along, across = ((to_x - x) / length, (to_y - y) / length), (-(to_y - y) / length, (to_x - x) / length)
        back = (to_x - 9 * along[0], to_y - 9 * along[1])
        head = " ".join(
            f"{px:.1f},{py:.1f}"
            for px, py in (
                (to_x, to_y),
                (back[0] + 3.4 * across[0], back[1] + 3.4 * across[1]),
                (back[0] - 3.4 * across[0], back[1] - 3.4 * across[1]),
            )
        )
        z = look.get("zorder", 1)
        shaft = f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{back[0]:.1f}" y2="{back[1]:.1f}" {_stroke(look)}/>'
        self._add(z, _titled(f'{shaft}<polygon points="{head}" fill="{look["color"]}"/>', _title(look)))

    def _label_box(
        self, x: float, baseline: float, wide: float, size: float, anchor: str, box: Mapping[str, Any], zorder: float
    ) -> None:
        """Draw the box around a label."""
        pad = 4.0 if "round" in box.get("boxstyle", "") else 1.5
        left = x - {"left": 0.0, "center": wide / 2, "right": wide}[anchor]
        corner = ((left - pad) / _PX, (baseline - 0.92 * size - pad) / _PX)
        look = {"facecolor": box["facecolor"], "linewidth": box.get("linewidth", 0.8), "zorder": zorder}
        if box.get("edgecolor", "none") != "none":
            look["edgecolor"] = box["edgecolor"]
        self.box(corner, (wide + 2 * pad) / _PX, (1.14 * size + 2 * pad) / _PX, **look)

    def _add(self, zorder: float, part: str) -> None:
        self._parts.append((zorder, part))


def _title(look: Mapping[str, Any]) -> str | None:
    """Return the tooltip of an artist: that of `style.tip`, or `title`."""
    return str(look.get("gid", "")).removeprefix(TIP) or look.get("title")


def _n(inches: float) -> str:
    return f"{inches * _PX:.1f}".removesuffix(".0")


def _titled(parts: str, title: str | None) -> str:
    """Return parts of a picture with a title, which browsers show as a tooltip."""
    return parts if title is None else f"<g><title>{_escaped(title)}</title>{parts}</g>"


def _stroke(look: Mapping[str, Any]) -> str:
    dashes = _DASHES.get(look.get("linestyle", "-"))
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'stroke="{look["color"]}" stroke-width="{look.get("linewidth", 1.0) * _PT_PX:.2f}"{dashed}'


def _escaped(text: str) -> str:
    """Return text escaped for SVG. Characters that are invalid in XML are replaced."""
    return escape(_UNPRINTABLE.sub("�", text))
