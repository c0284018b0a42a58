"""Zones: sets of times as exact difference-bound matrices over integers.

A zone bounds the difference of each pair of moments. Moment 0 is now. Every other moment is the time of a step that set a
pending timer or sent a pending message. Bounds have the usual encoding: ``2c`` is "at most c", ``2c - 1`` is "less than c".
Strict bounds keep independent events apart, so no order depends on a coincidence. Times are in µs.

`advance` adds the moment of the next event to a canonical matrix, and `picked` returns a canonical matrix again. No full
closure is needed, only n² additions per event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

__all__ = [
    "FREE", "NEW", "START", "Advance", "Matrix", "advance", "at_most", "covered", "less_than", "picked", "plus", "tightened",
]  # fmt: skip

#: Rows of bounds on (row's moment minus column's moment).
Matrix: TypeAlias = tuple[tuple[int, ...], ...]

#: No bound.
FREE: Final = 1 << 60
#: Index that stands for the new moment.
NEW: Final = -1
#: Zone at the start of a session: only the moment now, with nothing pending.
START: Final[Matrix] = ((0,),)


def at_most(time_us: int) -> int:
    return 2 * time_us


def less_than(time_us: int) -> int:
    return 2 * time_us - 1


def plus(first: int, second: int) -> int:
    """Return the sum of two bounds, which is strict if either bound is strict."""
    if first >= FREE or second >= FREE:
        return FREE
    return first + second + (first & second & 1)


class Advance(NamedTuple):
    """Bounds between the moment of the next event and the old moments.

    Attributes:
        after: bounds on (new moment minus old moment).
        before: bounds on (old moment minus new moment).
    """

    after: tuple[int, ...]
    before: tuple[int, ...]


def advance(zone: Matrix, due: Sequence[tuple[int, int]], moment: int, least_us: int, *, apart: bool) -> Advance | None:
    """Return the bounds of an event as the next event, or None if it cannot be the next event.

    Args:
        zone: the zone.
        due: (moment, maximum duration in µs) of each pending message and timer, including this event. Nothing may be overdue.
        moment: moment at which the event was set or sent.
        least_us: minimum duration of the event in µs.
        apart: whether the event must be strictly later than now.
    """
    size = len(zone)
    latest = [FREE] * size
    for set_at, most_us in due:
        limit, row = 2 * most_us, zone[set_at]
        for index in range(size):
            bound = row[index]
            if bound < FREE:
                bound += limit  # `limit` is even, so the row determines strictness
                if bound < latest[index]:
                    latest[index] = bound
    earliest = []
    least, gap = -2 * least_us, -1 if apart else 0
    for index in range(size):
        row = zone[index]
        since_set, since_now = row[moment], row[0]
        bound = since_set + least if since_set < FREE else FREE
        if since_now < FREE:
            bound = min(bound, since_now + gap + (since_now & gap & 1))
        if bound + latest[index] < 0:  # same sign as `plus`: odd + odd is even, and `FREE` dominates
            return None
        earliest.append(bound)
    return Advance(tuple(latest), tuple(earliest))


def picked(zone: Matrix, step: Advance, kept: Sequence[int]) -> Matrix:
    """Return the zone after `step`, over the moments `kept`. The first kept moment is the new now."""
    after, before = step
    rows = []
    for first in kept:
        if first == NEW:
            rows.append(tuple(0 if each == NEW else after[each] for each in kept))
            continue
        back, old = before[first], zone[first]
        row = []
        for second in kept:
            if second == NEW:
                row.append(back)
                continue
            bound, ahead = old[second], after[second]
            if back < FREE and ahead < FREE:
                bound = min(bound, back + ahead + (back & ahead & 1))
            row.append(bound)
        rows.append(tuple(row))
    return tuple(rows)


def tightened(zone: Matrix, first: int, second: int, bound: int) -> Matrix | None:
    """Return the part of the zone in which (first minus second) satisfies a bound, or None if that part is empty."""
    if plus(zone[second][first], bound) < 0:
        return None
    if zone[first][second] <= bound:
        return zone
    size = range(len(zone))
    return tuple(tuple(min(zone[i][k], plus(plus(zone[i][first], bound), zone[second][k])) for k in size) for i in size)


def covered(inner: Matrix, outer: Matrix, least: Sequence[int], most: Sequence[int]) -> bool:
    """Return whether `outer` allows every continuation that `inner` allows.

    The time since a moment matters only until its events can happen (`least`) and must happen (`most`), both in µs by moment
    and 0 for now. This is the inclusion in the abstraction a≼LU, which is exact for automata that, like these, only compare
    clocks with constants (Herbreteau, Srivathsan, Walukiewicz, "Better abstractions for timed automata", 2012, theorem 3).
    """
    size = range(len(inner))
    for first in size:
        row, other, passed = inner[first], outer[first], inner[first][0]
        if passed < -2 * most[first]:
            continue
        for second in size:
            limit = other[second]
            if limit < row[second] and limit - 2 * least[second] - 1 + (limit & 1) < passed:
                return False
    return True
