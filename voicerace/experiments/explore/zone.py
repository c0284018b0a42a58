"""Zones: sets of times as difference-bound matrices, exactly, over integers.

A zone holds for each pair of moments how far one may lie behind the other. Moment 0 is now; every other is the moment in
which something was set that is still pending (the one clock of all that was set in one step). Bounds are encoded as in
every such tool: ``2c`` is "at most c", ``2c - 1`` is "less than c", so that two events that have nothing to do with each
other can be kept strictly apart and no order is found that rests on a coincidence. Times are µs.

The only operation is `advance`: the next event happens. It puts one moment into a canonical matrix, and what is read off
afterwards is canonical again, so nothing is ever closed from scratch: n² additions per event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

__all__ = [
    "FREE",
    "NEW",
    "START",
    "Advance",
    "Matrix",
    "advance",
    "at_most",
    "covered",
    "less_than",
    "picked",
    "plus",
    "tightened",
]

#: Row by row: bound on (moment of the row minus moment of the column).
Matrix: TypeAlias = tuple[tuple[int, ...], ...]

#: No bound.
FREE: Final = 1 << 60
#: Stands for the new moment where moments are named by their index.
NEW: Final = -1
#: Now, and nothing pending.
START: Final[Matrix] = ((0,),)


def at_most(time_us: int) -> int:
    return 2 * time_us


def less_than(time_us: int) -> int:
    return 2 * time_us - 1


def plus(first: int, second: int) -> int:
    """The bound that follows from two in a row; strict where one of them is."""
    if first >= FREE or second >= FREE:
        return FREE
    return first + second + (first & second & 1)


class Advance(NamedTuple):
    """The next event, put into a zone: the bounds between its moment and the old ones.

    Attributes:
        after: bound on (the new moment minus each old one).
        before: bound on (each old one minus the new moment).
    """

    after: tuple[int, ...]
    before: tuple[int, ...]


def advance(zone: Matrix, due: Sequence[tuple[int, int]], moment: int, least_us: int, *, apart: bool) -> Advance | None:
    """What happens next was set at `moment` and lasts `least_us` or more; None when it cannot be next.

    Args:
        due: (moment, most µs) of everything pending, this one too: nothing may be overdue when the event happens.
        apart: the event is strictly later than now.
    """
    size = len(zone)
    latest = [FREE] * size
    for set_at, most_us in due:
        limit, row = 2 * most_us, zone[set_at]
        for index in range(size):
            bound = row[index]
            if bound < FREE:
                bound += limit  # `limit` is even: strictness is the row's
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
        if bound + latest[index] < 0:  # as `plus` says it: two odd bounds add up to an even one, and `FREE` outweighs any other
            return None
        earliest.append(bound)
    return Advance(tuple(latest), tuple(earliest))


def picked(zone: Matrix, step: Advance, kept: Sequence[int]) -> Matrix:
    """The zone in which `step` has happened, over these moments; the first of `kept` is the new now."""
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
    """The part of the zone in which (first minus second) keeps a bound; None when there is none."""
    if plus(zone[second][first], bound) < 0:
        return None
    if zone[first][second] <= bound:
        return zone
    size = range(len(zone))
    return tuple(tuple(min(zone[i][k], plus(plus(zone[i][first], bound), zone[second][k])) for k in size) for i in size)


def covered(inner: Matrix, outer: Matrix, least: Sequence[int], most: Sequence[int]) -> bool:
    """Whether all that can follow from `inner` can follow from `outer`: inclusion, as far as anything depends on it.

    How long ago something was set matters only until it may happen (`least`), and until it must (`most`), both in µs by
    moment, 0 for now. Once more time has passed than that, more makes no difference. This is the inclusion in the abstraction
    a≼LU, which is exact for automata that compare clocks with constants only (Herbreteau, Srivathsan, Walukiewicz, "Better
    abstractions for timed automata", 2012, theorem 3), as these do.
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
