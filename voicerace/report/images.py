"""Image files of pictures, kept in `result_cache` so that equal pictures are drawn once."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from voicerace.experiments.result_cache import cached_map
from voicerace.report.plots.style import to_image

__all__ = ["image_of"]


def image_of(plot: Callable[[], Axes | Figure], alt: str) -> tuple[str, bytes]:
    """Return a picture's file type and bytes; see `to_image`.

    Args:
        plot: draws it; a `partial` of a plot function and its arguments. Its pickle identifies the image in the cache.
        alt: the picture as text, with its numbers.
    """
    shown = hashlib.sha256(pickle.dumps((plot, alt))).hexdigest()
    ((_, image),) = cached_map(lambda _: to_image(plot(), alt), {0: ["image", shown]})
    return image
