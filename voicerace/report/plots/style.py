"""The one style of all pictures: an outcome's colour, hatch, marker and glyph; figures; images with an alternative text.

An outcome is never told by its colour alone. No pyplot: a figure belongs to whoever made it and shows once.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from voicerace.analysis.outcomes import OUTCOMES, TABLE
from voicerace.errors import InputError

__all__ = [
    "DEFAULT_ERROR",
    "GREY",
    "INK",
    "REPLY",
    "RESULT",
    "STYLES",
    "TAKEN",
    "WARN",
    "OutcomeStyle",
    "figure_of",
    "glyph",
    "legend",
    "new_axes",
    "rc",
    "to_image",
]

INK: Final = "#1A1A1A"
GREY: Final = "#595959"
FAINT: Final = "#D9D9D9"
#: The refusal, and everything else that should stop the eye.
WARN: Final = "#B03A00"
#: What holds the slot; a result, the component's own error, and a reply on their way.
TAKEN: Final = "#33658A"
RESULT: Final = "#0B5C8A"
DEFAULT_ERROR: Final = "#8A4B00"
REPLY: Final = "#0F6B4F"
#: Width of a picture at column width, in inches; at 100 dots per inch that is about 700 pixels.
WIDTH: Final = 7.1
#: An SVG larger than this becomes a PNG.
_SVG_LIMIT: Final = 200_000
_DPI: Final = 100


@dataclass(frozen=True)
class OutcomeStyle:
    """How one outcome looks. `text` is what can be read on `colour`."""

    colour: str
    hatch: str
    marker: str
    glyph: str
    text: str = INK


STYLES: Final[dict[str, OutcomeStyle]] = {
    name: OutcomeStyle(row.colour, row.hatch, row.marker, row.glyph, "#FFFFFF" if row.light_text else INK)
    for name, row in TABLE.items()
}

_RC: Final[dict[str, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.titlelocation": "left",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "hatch.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "voicerace",
}


def rc() -> Any:
    """The style as a context: everything drawn inside it looks alike, and nobody's settings are touched."""
    # What a notebook set for itself must not change the bytes of a picture.
    settings: dict[Any, Any] = {key: value for key, value in mpl.rcParamsDefault.items() if key not in _KEEP}
    return mpl.rc_context(settings | _RC)


_KEEP: Final = frozenset({"backend", "backend_fallback", "toolbar", "interactive", "webagg.port", "date.epoch", "timezone"})


def new_axes(height: float, ax: Axes | None = None, width: float = WIDTH) -> Axes:
    """`ax`, or the axes of a new figure of column width.

    Args:
        height: in inches.
        width: in inches.
    """
    return ax if ax is not None else Figure(figsize=(width, height), dpi=_DPI, layout="constrained").add_subplot()


def figure_of(picture: Axes | Figure) -> Figure:
    """The figure that a picture is drawn in."""
    figure = picture if isinstance(picture, Figure) else picture.get_figure(root=True)
    if figure is None:
        raise InputError("picture", "its figure is gone", "axes that still belong to a figure")
    return figure


def glyph(outcome: str) -> str:
    """An outcome as one sign, for tables."""
    return STYLES[outcome].glyph


def legend(ax: Axes, outcomes: set[str], *, own_figure: bool) -> None:
    """A legend of these outcomes, in the order of the verdict: under the figure, or right of axes among others."""
    handles = [patch_of(outcome) for outcome in OUTCOMES if outcome in outcomes]
    look = {"frameon": False, "handlelength": 2.4, "handleheight": 1.4}
    if own_figure:
        figure_of(ax).legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5) or 1, **look)
    else:
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, **look)


def patch_of(outcome: str) -> Patch:
    """A sample of an outcome's area, for legends."""
    style = STYLES[outcome]
    return Patch(facecolor=style.colour, hatch=style.hatch, edgecolor=INK, linewidth=0.6, label=f"{style.glyph} {outcome}")


def to_image(picture: Axes | Figure, alt: str) -> tuple[str, bytes]:
    """A picture as a file's type and bytes: SVG where that is small, else PNG at twice the size. Same bytes each time.

    Args:
        alt: what the picture shows, in words and numbers; an SVG carries it as its label.

    Raises:
        InputError: there is no alternative text.
    """
    if not alt.strip():
        raise InputError("alt", "empty", "what the picture shows, with the numbers")
    figure = figure_of(picture)
    with rc():
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
        if file.tell() <= _SVG_LIMIT:
            return "image/svg+xml", _labelled(file.getvalue().decode("utf-8"), alt).encode("utf-8")
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=2 * _DPI, metadata={"Software": None})
        return "image/png", file.getvalue()


def _labelled(svg: str, alt: str) -> str:
    """An SVG that says what it shows, without the parts that name an address or a document type."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"\s*<metadata>.*?</metadata>", "", body, count=1, flags=re.DOTALL)
    return body.replace("<svg ", f'<svg role="img" aria-label="{escape(" ".join(alt.split()))}" ', 1)
