"""Pictures as files, kept in `result_cache`: what shows the same is drawn once."""

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
    """A picture as a file's type and bytes; see `to_image`.

    Args:
        plot: draws it: a `partial` of a plot and all that it shows. Its pickle names the image in the cache.
        alt: what the picture shows, in words and numbers.
    """
    shown = hashlib.sha256(pickle.dumps((plot, alt))).hexdigest()
    ((_, image),) = cached_map(lambda _: to_image(plot(), alt), {0: ["image", shown]})
    return image
