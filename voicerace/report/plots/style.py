"""Style of all pictures: colour, hatch, marker and glyph of each outcome, and image files with alternative text.

Outcomes are never distinguished by colour alone. Figures are created without pyplot so that a notebook displays each figure
once.
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
    "TIP",
    "WARN",
    "OutcomeStyle",
    "figure_of",
    "glyph",
    "legend",
    "new_axes",
    "rc",
    "tip",
    "to_image",
]

INK: Final = "#1A1A1A"
GREY: Final = "#595959"
FAINT: Final = "#D9D9D9"
#: Colour of refusals and warnings.
WARN: Final = "#B03A00"
#: Colours of the taken slot, a result, the component's own error, and a reply, in this order.
TAKEN: Final = "#33658A"
RESULT: Final = "#0B5C8A"
DEFAULT_ERROR: Final = "#8A4B00"
REPLY: Final = "#0F6B4F"
#: Width of a picture in inches.
WIDTH: Final = 7.1
DPI: Final = 100
#: (Colour, line style, marker) of the curves in a picture, in order.
LINES: Final = (
    (INK, "-", "o"), (WARN, "--", "s"), ("#0072B2", "-.", "^"), (GREY, ":", "D"), (DEFAULT_ERROR, "-", "v"), (REPLY, "--", "P"),
    ("#6A3D9A", "-.", "X"),
)  # fmt: skip
#: Maximum size of an SVG in bytes. Larger pictures are stored as PNG.
_SVG_LIMIT: Final = 200_000


@dataclass(frozen=True)
class OutcomeStyle:
    """Style of one outcome. `text` is the colour of text on an area with the colour `colour`."""

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


#: Beginning of the gid of an artist with a tooltip.
TIP: Final = "tip: "


def rc() -> Any:
    """Return a context manager that applies the style and restores the settings of matplotlib afterwards."""
    # a notebook's settings must not change the bytes of a picture
    settings: dict[Any, Any] = {key: value for key, value in mpl.rcParamsDefault.items() if key not in _KEEP}
    return mpl.rc_context(settings | _RC)


_KEEP: Final = frozenset({"backend", "backend_fallback", "toolbar", "interactive", "webagg.port", "date.epoch", "timezone"})


def new_axes(height: float, ax: Axes | None = None, width: float = WIDTH) -> Axes:
    """Return `ax`, or the axes of a new figure if `ax` is None. Height and width are in inches."""
    return ax if ax is not None else Figure(figsize=(width, height), dpi=DPI, layout="constrained").add_subplot()


def figure_of(picture: Axes | Figure) -> Figure:
    """Return the figure of a picture.

    Raises:
        InputError: the axes have no figure.
    """
    figure = picture if isinstance(picture, Figure) else picture.get_figure(root=True)
    if figure is None:
        raise InputError("picture", "has no figure", "axes that belong to a figure")
    return figure


def glyph(outcome: str) -> str:
    """Return the one-character sign of an outcome."""
    return STYLES[outcome].glyph


def legend(ax: Axes, outcomes: set[str], *, own_figure: bool) -> None:
    """Add a legend of outcomes in the order of `OUTCOMES`.

    The legend is below the figure if `own_figure` is true, else to the right of the axes.
    """
    handles = [patch_of(outcome) for outcome in OUTCOMES if outcome in outcomes]
    look = {"frameon": False, "handlelength": 2.4, "handleheight": 1.4}
    if own_figure:
        figure_of(ax).legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5) or 1, **look)
    else:
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, **look)


def patch_of(outcome: str) -> Patch:
    """Return the legend patch of an outcome."""
    style = STYLES[outcome]
    return Patch(facecolor=style.colour, hatch=style.hatch, edgecolor=INK, linewidth=0.6, label=f"{style.glyph} {outcome}")


def tip(text: str, link: str = "") -> dict[str, Any]:
    """Return keyword arguments of an artist that give it a tooltip in an SVG, and a link to an anchor such as ``#name``."""
    return {"gid": f"{TIP}{text}", **({"url": link} if link else {})}


def to_image(picture: Axes | Figure, alt: str, kind: str | None = None) -> tuple[str, bytes]:
    """Return the MIME type and the reproducible bytes of a picture: SVG if small, else PNG at twice the resolution.

    Args:
        picture: axes or a figure.
        alt: the alternative text, with the numbers that the picture shows. An SVG contains the text as its label.
        kind: ``svg`` or ``png``; None to select it by size.

    Raises:
        InputError: there is no alternative text.
    """
    if not alt.strip():
        raise InputError("alt", "empty", "the picture as text, with its numbers")
    figure = figure_of(picture)
    with rc():
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
        if kind == "svg" or (kind is None and file.tell() <= _SVG_LIMIT):
            return "image/svg+xml", _labelled(file.getvalue().decode("utf-8"), alt).encode("utf-8")
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=2 * DPI, metadata={"Software": None})
        return "image/png", file.getvalue()


def _labelled(svg: str, alt: str) -> str:
    """Return an SVG with the label `alt`, without metadata and document type."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"\s*<metadata>.*?</metadata>", "", body, count=1, flags=re.DOTALL)
    body = re.sub(rf'<g id="{TIP}([^"]*)">', r'<g class="tip"><title>\1</title>', body)
    return body.replace("<svg ", f'<svg role="img" aria-label="{escape(" ".join(alt.split()))}" ', 1)
