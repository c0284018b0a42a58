"""Image files of pictures. `result_cache` stores the images, so that equal pictures are drawn once."""

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
    """Return the MIME type and the bytes of a picture, see `to_image`.

    Args:
        plot: a `partial` of a plot function and its arguments. Its pickle identifies the image in the cache.
        alt: the alternative text, with the numbers that the picture shows.
    """
    shown = hashlib.sha256(pickle.dumps((plot, alt))).hexdigest()
    ((_, image),) = cached_map(lambda _: to_image(plot(), alt), {0: ["image", shown]})
    return image
