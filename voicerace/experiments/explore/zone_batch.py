"""The operations of `experiments.explore.zone` for many zones of one size at once, with NumPy.

A stack of zones is an array of shape (zones, n, n). All times and bounds are integers as in `zone`, so results are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from voicerace.experiments.explore.zone import FREE

__all__ = ["Pool", "Stack", "covered_pairs", "earliest", "latest", "picked_stack"]

Stack: TypeAlias = NDArray[np.int64]
#: Sums of bounds above this are no bound, because one of them is `FREE`.
_HALF = FREE // 2


def _clamped(bounds: Stack) -> Stack:
    bounds[bounds > _HALF] = FREE
    return bounds


def latest(zones: Stack, limits: Stack) -> Stack:
    """Return the bounds on (next event minus old moment), one row per zone.

    Args:
        zones: the zones.
        limits: for each zone and moment, twice the least of the maximum durations in µs set then; `FREE` without one.
    """
    return _clamped((zones + limits[:, :, None]).min(axis=1))


def earliest(zones: Stack, moments: Stack, least: Stack, apart: NDArray[np.bool_]) -> Stack:
    """Return the bounds on (old moment minus next event), one row per event.

    Args:
        zones: the zone of each event.
        moments: the moment at which each event was set.
        least: minimum duration of each event in µs.
        apart: whether each event is strictly later than now.
    """
    since_set = zones[np.arange(len(zones)), :, moments] - 2 * least[:, None]
    since_now = zones[:, :, 0]
    gap = apart.astype(np.int64)[:, None]
    return _clamped(np.minimum(since_set, since_now - gap + (since_now & gap)))


def picked_stack(zones: Stack, before: Stack, after: Stack, kept: NDArray[np.intp]) -> Stack:
    """Return the zone after each event.

    Args:
        zones: the zone of each event.
        before: bounds of `earliest`.
        after: bounds of `latest`.
        kept: for each event the moments kept, first `NEW`.
    """
    count, size = before.shape
    grown = np.empty((count, size + 1, size + 1), dtype=np.int64)
    row, column = before[:, :, None], after[:, None, :]
    _clamped(np.minimum(zones, row + column + (row & column & 1), out=grown[:, :size, :size]))
    grown[:, size, :size], grown[:, :size, size], grown[:, size, size] = after, before, 0
    return grown[np.arange(count)[:, None, None], kept[:, :, None], kept[:, None, :]]


def covered_pairs(inner: Stack, outer: Stack, least: Stack, most: Stack) -> NDArray[np.bool_]:
    """Return `zone.covered` for each pair of zones; `least` and `most` have one row per pair."""
    passed = inner[:, :, 0]
    wider = (outer < inner) & (outer - 2 * least[:, None, :] - 1 + (outer & 1) < passed[:, :, None])
    matters = (passed >= -2 * most)[:, :, None]
    covered: NDArray[np.bool_] = ~np.logical_or.reduce(wider & matters, axis=(1, 2))
    return covered


class Pool:
    """A growing stack of zones of one size."""

    def __init__(self, size: int) -> None:
        self._zones: Stack = np.empty((64, size, size), dtype=np.int64)
        self._count = 0

    def add(self, zones: Stack) -> range:
        """Add zones; return their rows."""
        begin, self._count = self._count, self._count + len(zones)
        if self._count > len(self._zones):
            grown = np.empty((max(self._count, len(self._zones) * 3 // 2), *self._zones.shape[1:]), dtype=np.int64)
            grown[:begin] = self._zones[:begin]
            self._zones = grown
        self._zones[begin : self._count] = zones
        return range(begin, self._count)

    def take(self, rows: Sequence[int]) -> Stack:
        return self._zones[np.asarray(rows, dtype=np.intp)]
