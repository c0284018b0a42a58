"""Test the zones of the exploration: they are exact and canonical, and a covered zone allows no further event."""

from __future__ import annotations

from itertools import combinations_with_replacement, product
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voicerace.experiments.explore.search import zone_after
from voicerace.experiments.explore.state_store import LATE_US, Move, StateStep
from voicerace.experiments.explore.zone import (
    FREE,
    NEW,
    START,
    Advance,
    Matrix,
    advance,
    at_most,
    covered,
    less_than,
    picked,
    plus,
    tightened,
)

#: Walks, as lists of (back, least, more, apart). An event follows the `back`-th newest moment by `least` to
#: `least + more`. If `apart` is true, the event is later than the previous event.
EVENTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 4), st.booleans()), min_size=1, max_size=5)


def walked(events: list[tuple[int, int, int, bool]]) -> tuple[Matrix, list[tuple[int, int, int, bool]]] | None:
    """Return the zone after a walk, and its events as (moment, least, most, apart); None if the walk is impossible."""
    zone = picked(START, Advance((0,), (0,)), [NEW, NEW])
    taken = []
    for back, least, more, apart in events:
        moments = len(zone) - 1
        moment = moments - min(back, moments - 1)
        step = advance(zone, [(moment, least + more)], moment, least, apart=apart)
        if step is None:
            return None
        taken.append((moment, least, least + more, apart))
        zone = picked(zone, step, [NEW, *range(1, moments + 1), NEW])
    return zone, taken


def times_of(taken: list[tuple[int, int, int, bool]], most: int) -> set[tuple[int, ...]]:
    """Return the tuples of integer times, up to `most`, that the events of a walk allow. They are found by enumeration."""
    found = set()
    for rest in product(range(most + 1), repeat=len(taken)):
        times = (0, *rest)
        if all(
            low <= times[n + 1] - times[moment - 1] <= high and times[n + 1] >= times[n] + apart
            for n, (moment, low, high, apart) in enumerate(taken)
        ):
            found.add(times)
    return found


def holds(zone: Matrix, times: tuple[int, ...]) -> bool:
    """Return whether a zone contains these times of its moments. The last time is the current time."""
    moments = (times[-1], *times)
    pairs = product(range(len(zone)), repeat=2)
    return all(zone[i][k] >= FREE or 2 * (moments[i] - moments[k]) <= zone[i][k] for i, k in pairs)


def included(inner: Matrix, outer: Matrix) -> bool:
    """Return whether a canonical zone is a subset of another zone over the same moments."""
    return all(bound <= limit for row, other in zip(inner, outer, strict=True) for bound, limit in zip(row, other, strict=True))


@given(EVENTS.filter(lambda events: len(events) <= 3))
def test_a_zone_contains_exactly_the_allowed_times(events: list[tuple[int, int, int, bool]]) -> None:
    found = walked(events)
    if found is None:
        return
    zone, taken = found
    allowed = times_of(taken, 12)
    for rest in product(range(9), repeat=len(taken)):
        assert holds(zone, (0, *rest)) == ((0, *rest) in allowed)


@given(EVENTS)
def test_a_zone_is_canonical(events: list[tuple[int, int, int, bool]]) -> None:
    found = walked(events)
    if found is not None:
        zone = found[0]
        for i, j, k in product(range(len(zone)), repeat=3):
            assert zone[i][k] <= plus(zone[i][j], zone[j][k])
        assert all(zone[i][i] == 0 for i in range(len(zone)))


@given(EVENTS, st.integers(0, 5), st.integers(0, 5), st.integers(-9, 9), st.booleans())
def test_a_tightened_zone_is_the_part_within_the_bound(
    events: list[tuple[int, int, int, bool]], first: int, second: int, bound: int, strict: bool
) -> None:
    found = walked(events)
    if found is None:
        return
    zone = found[0]
    first, second = first % len(zone), second % len(zone)
    limit = less_than(bound) if strict else at_most(bound)
    part = tightened(zone, first, second, limit) if first != second else zone
    if part is None:
        assert plus(zone[second][first], limit) < 0
        return
    assert included(part, zone)
    for i, j, k in product(range(len(part)), repeat=3):
        assert part[i][k] <= plus(part[i][j], part[j][k])
    if first != second:
        assert part[first][second] <= limit


def test_bounds_are_added_with_their_strictness() -> None:
    assert plus(less_than(2), less_than(3)) == less_than(5)
    assert plus(less_than(2), at_most(3)) == less_than(5)
    assert plus(at_most(-2), at_most(3)) == at_most(1)
    assert plus(FREE, less_than(-7)) == FREE


def test_an_event_cannot_happen_after_an_overdue_one() -> None:
    zone = picked(START, Advance((0,), (0,)), [NEW, NEW])
    assert advance(zone, [(1, 5), (1, 3)], 1, 4, apart=False) is None
    assert advance(zone, [(1, 5), (1, 3)], 1, 3, apart=False) is not None


def test_events_at_one_instant_cannot_be_separated() -> None:
    zone = picked(START, Advance((0,), (0,)), [NEW, NEW])
    first = advance(zone, [(1, 4)], 1, 4, apart=True)
    assert first is not None
    then = picked(zone, first, [NEW, 1])
    assert advance(then, [(1, 4)], 1, 4, apart=True) is None
    assert advance(then, [(1, 4)], 1, 4, apart=False) is not None


@given(EVENTS, EVENTS, st.lists(st.integers(0, 6), min_size=6, max_size=6), st.lists(st.integers(0, 6), min_size=6, max_size=6))
def test_a_covered_zone_allows_no_further_event(
    one: list[tuple[int, int, int, bool]], other: list[tuple[int, int, int, bool]], leasts: list[int], mores: list[int]
) -> None:
    """Every event that can follow in the covered zone can also follow in the covering zone."""
    found, wider = walked(one), walked(other)
    if found is None or wider is None or len(found[0]) != len(wider[0]):
        return
    inner, outer = found[0], wider[0]
    size = len(inner)
    least, most = [0, *leasts[: size - 1]], [0, *(a + b for a, b in zip(leasts, mores, strict=True))][:size]
    if included(inner, outer):
        assert covered(inner, outer, least, most)
    if not covered(inner, outer, least, most):
        return
    due = [(moment, most[moment]) for moment in range(1, size)]
    for moment in range(1, size):
        for apart in (False, True):
            if advance(inner, due, moment, least[moment], apart=apart) is not None:
                assert advance(outer, due, moment, least[moment], apart=apart) is not None


#: Ages of one moment, from 0 to 4 in steps of a quarter.
AGES = [each / 4 for each in range(17)]
#: Intervals of ages, as (low, high, whether low is excluded, whether high is excluded).
SPANS = [
    (low, high, above, below)
    for low, high in combinations_with_replacement(range(4), 2)
    for above, below in product((False, True), repeat=2)
    if low < high or not (above or below)
]


def aged(span: tuple[int, int, bool, bool]) -> tuple[Matrix, list[float]]:
    """Return the zone of one moment with an age in the interval, and the members of `AGES` in the interval."""
    low, high, above, below = span
    zone = ((0, less_than(high) if below else at_most(high)), (less_than(-low) if above else at_most(-low), 0))
    return zone, [age for age in AGES if (low < age if above else low <= age) and (age < high if below else age <= high)]


@pytest.mark.parametrize(("least", "most"), [*combinations_with_replacement(range(4), 2)])
def test_covered_follows_the_theorem_for_one_moment(least: int, most: int) -> None:
    """The expected relation is a≼LU: each age in the inner zone has a counterpart in the outer zone.

    A counterpart is an equal age, a smaller age if both exceed `least`, or a larger age if both exceed `most`.
    """
    for one, other in product(SPANS, repeat=2):
        (inner, ages), (outer, others) = aged(one), aged(other)
        expected = all(any(each == age or least < each < age or most < age < each for each in others) for age in ages)
        assert covered(inner, outer, (0, least), (0, most)) == expected, (one, other)


def test_a_reply_after_exactly_5_s_is_not_late() -> None:
    """A reply is late after more than 5 s, as in the verdict. The zones of late and timely replies are disjoint."""
    wait = 9_000_000
    before = ((0, at_most(wait)), (0, 0))
    put = advance(before, [(1, wait)], 1, 0, apart=False)
    assert put is not None
    step = StateStep((), 1, None, None)
    late, timely = (zone_after(before, put, step, Move(None, (NEW, 1), late)) for late in (True, False))  # type: ignore[arg-type]
    assert late == ((0, at_most(wait)), (less_than(-LATE_US), 0))
    assert timely == ((0, at_most(LATE_US)), (0, 0))


def test_the_first_event_is_its_duration_after_the_start() -> None:
    step = advance(START, [(0, 5)], 0, 3, apart=False)
    assert step is not None
    assert picked(START, step, [NEW, 0]) == ((0, at_most(5)), (at_most(-3), 0))


#: Encoded bounds of any kind: no bound, at most, or less than.
BOUNDS = st.one_of(st.just(FREE), st.integers(-12, 12))


@st.composite
def matrices(draw: st.DrawFn) -> Matrix:
    """Draw bounds between the current time and up to three moments, canonical or not."""
    size = draw(st.integers(1, 4))
    return tuple(tuple(0 if i == k else draw(BOUNDS) for k in range(size)) for i in range(size))


@given(st.data(), matrices(), st.integers(0, 4), st.booleans())
def test_advance_equals_the_direct_computation(data: st.DataObject, zone: Matrix, least: int, apart: bool) -> None:
    """The test computes the same bounds one by one, without the shortcuts of `advance`."""
    moments = st.integers(0, len(zone) - 1)
    due = data.draw(st.lists(st.tuples(moments, st.integers(0, 5)), max_size=3))
    moment = data.draw(moments)
    every = range(len(zone))
    after = tuple(min((plus(zone[set_at][k], at_most(most)) for set_at, most in due), default=FREE) for k in every)
    later_than_now = less_than(0) if apart else at_most(0)
    before = tuple(min(plus(zone[k][moment], at_most(-least)), plus(zone[k][0], later_than_now)) for k in every)
    possible = all(plus(first, second) >= 0 for first, second in zip(before, after, strict=True))
    assert advance(zone, due, moment, least, apart=apart) == (Advance(after, before) if possible else None)


@given(st.data(), matrices())
def test_picked_equals_the_direct_computation(data: st.DataObject, zone: Matrix) -> None:
    bounds = st.lists(BOUNDS, min_size=len(zone), max_size=len(zone)).map(tuple)
    step = Advance(data.draw(bounds), data.draw(bounds))
    kept = [NEW, *data.draw(st.lists(st.integers(-1, len(zone) - 1), max_size=3))]

    def bound(first: int, second: int) -> int:
        if first == NEW or second == NEW:
            return 0 if first == second else step.after[second] if first == NEW else step.before[first]
        return min(zone[first][second], plus(step.before[first], step.after[second]))

    assert picked(zone, step, kept) == tuple(tuple(bound(first, second) for second in kept) for first in kept)


#: Lists of (first, second, bound), which restrict a zone of two moments that are 0 to 4 µs old.
PARTS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(-8, 8)).filter(lambda each: each[0] != each[1]), max_size=4
)


def part_of(bounds: list[tuple[int, int, int]]) -> Matrix | None:
    zone: Matrix | None = ((0, at_most(4), at_most(4)), (0, 0, at_most(4)), (0, at_most(4), 0))
    for first, second, bound in bounds:
        zone = None if zone is None else tightened(zone, first, second, bound)
    return zone


def ages_in(zone: Matrix, steps: int) -> np.ndarray[Any, Any]:
    """Return the pairs of ages in µs that a zone of two moments contains, with `steps` values per µs; shape (n, 2)."""
    ages = np.stack(np.meshgrid(*[np.arange(4 * steps + 1)] * 2), -1).reshape(-1, 2) / steps
    times = np.concatenate([np.zeros((len(ages), 1)), -ages], 1)
    holding = np.ones(len(ages), bool)
    for i, k in product(range(3), repeat=2):
        apart, bound = times[:, i] - times[:, k], zone[i][k]
        holding &= 2 * apart < bound + 1 if bound % 2 else 2 * apart <= bound
    return ages[holding]


@given(PARTS, PARTS, st.tuples(*[st.integers(0, 4)] * 4))
# A limiting case that is covered. In the inner zone the first moment is more than 1 µs old.
# In the outer zone it is at most 1 µs later than the second moment.
@example([(1, 0, less_than(-1))], [(1, 2, at_most(1))], (0, 2, 4, 4))
def test_covered_follows_the_theorem_for_two_moments(
    one: list[tuple[int, int, int]], other: list[tuple[int, int, int]], constants: tuple[int, int, int, int]
) -> None:
    inner, outer = part_of(one), part_of(other)
    if inner is None or outer is None:
        return
    least, most = np.sort(np.array(constants).reshape(2, 2), axis=0)
    age, each = ages_in(inner, 3)[:, None, :], ages_in(outer, 6)[None, :, :]
    same = (each == age) | ((least < each) & (each < age)) | ((most < age) & (age < each))
    expected = same.all(axis=2).any(axis=1).all()
    assert covered(inner, outer, (0, *least.tolist()), (0, *most.tolist())) == expected
