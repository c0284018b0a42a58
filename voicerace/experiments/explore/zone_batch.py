"""The operations of `experiments.explore.zone` for many zones of one size at once, with NumPy.

A stack of zones is an array of shape (zones, n, n). All times and bounds are integers as in `zone`, so results are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from voicerace.experiments.explore.zone import FREE

__all__ = ["Pool", "Stack", "compared", "earliest", "latest", "picked_stack", "thresholds"]

Stack: TypeAlias = NDArray[np.int64]
#: Sums of bounds above this are no bound, because one of them is `FREE`.
_HALF = FREE // 2
#: Number of pairs of zones that are compared together.
_PAIRS = 4096


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


def thresholds(zones: Stack, least: Stack, most: Stack) -> Stack:
    """Return for each zone the bounds that a zone that covers it must reach (`zone.covered`).

    Both conditions of `zone.covered` on a bound of the other zone say that it is less than a number; this is the lesser number,
    or -`FREE` where the time since the row's moment no longer matters.

    Args:
        zones: the zones.
        least: for each zone and moment, the longest minimum duration in µs of the events set then.
        most: the longest maximum durations.
    """
    passed = zones[:, :, 0]
    limits = (passed + 1 - (passed & 1))[:, :, None] + 2 * least[:, None, :]
    return np.where((passed < -2 * most)[:, :, None], -FREE, np.minimum(zones, limits))


def compared(
    zones: Stack, needed: Stack, new: NDArray[np.intp], first: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Compare each new zone with the zones before it.

    Args:
        zones: known and new zones; those of one state are consecutive.
        needed: their `thresholds`.
        new: positions of the new zones, in order.
        first: for each new zone, the position of the first zone of its state.

    Returns:
        Numbers of the new zones that no zone before covers, and positions of the zones that one of these covers. Because
        covering is transitive, a zone that is covered by a dropped zone is covered by a zone that is not dropped.
    """
    counts = new - first
    which = np.repeat(np.arange(len(new)), counts)
    other = np.arange(len(which)) + np.repeat(first - np.cumsum(counts) + counts, counts)
    covered = np.zeros(len(new), dtype=np.bool_)
    covered[which[_covers(zones, needed, other, new[which])]] = True
    remaining = ~covered[which]
    other, after = other[remaining], new[which[remaining]]
    return np.flatnonzero(~covered), other[_covers(zones, needed, after, other)]


def _covers(zones: Stack, needed: Stack, outer: NDArray[np.intp], inner: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return for each pair of positions whether the first zone covers the second."""
    flat, lowest = zones.reshape(len(zones), -1), needed.reshape(len(zones), -1)
    found = np.empty(len(outer), dtype=np.bool_)
    for begin in range(0, len(outer), _PAIRS):
        part = slice(begin, begin + _PAIRS)
        np.logical_and.reduce(flat[outer[part]] >= lowest[inner[part]], axis=1, out=found[part])
    return found


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
