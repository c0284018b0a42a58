"""Zones: are they canonical, exact, and is what they leave out really nobody's business?"""

from __future__ import annotations

from itertools import combinations_with_replacement, product
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voicerace.experiments.explore.search import Search
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

#: A walk: each event was set at the n-th newest moment, lasts (least, least + more), and is apart from the one before.
EVENTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 4), st.booleans()), min_size=1, max_size=5)


def walked(events: list[tuple[int, int, int, bool]]) -> tuple[Matrix, list[tuple[int, int, int, bool]]] | None:
    """The zone behind events, over now and all their moments; None when they cannot happen. Everything else is free."""
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
    """All integer times of a walk's moments, from what its events say, by trying them."""
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
    """Whether a zone has these times of its moments; now is the last of them."""
    moments = (times[-1], *times)
    pairs = product(range(len(zone)), repeat=2)
    return all(zone[i][k] >= FREE or 2 * (moments[i] - moments[k]) <= zone[i][k] for i, k in pairs)


def included(inner: Matrix, outer: Matrix) -> bool:
    """Whether every time of one is one of the other; both canonical, over the same moments."""
    return all(bound <= limit for row, other in zip(inner, outer, strict=True) for bound, limit in zip(row, other, strict=True))


@given(EVENTS.filter(lambda events: len(events) <= 3))
def test_a_zone_has_the_times_that_its_events_allow_and_no_others(events: list[tuple[int, int, int, bool]]) -> None:
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
def test_a_tightened_zone_is_the_part_that_keeps_the_bound(
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


def test_less_than_and_less_than_is_less_than() -> None:
    assert plus(less_than(2), less_than(3)) == less_than(5)
    assert plus(less_than(2), at_most(3)) == less_than(5)
    assert plus(at_most(-2), at_most(3)) == at_most(1)
    assert plus(FREE, less_than(-7)) == FREE


def test_an_event_cannot_wait_for_what_is_overdue() -> None:
    zone = picked(START, Advance((0,), (0,)), [NEW, NEW])
    assert advance(zone, [(1, 5), (1, 3)], 1, 4, apart=False) is None
    assert advance(zone, [(1, 5), (1, 3)], 1, 3, apart=False) is not None


def test_two_that_end_at_the_same_instant_only_are_kept_apart() -> None:
    zone = picked(START, Advance((0,), (0,)), [NEW, NEW])
    first = advance(zone, [(1, 4)], 1, 4, apart=True)
    assert first is not None
    then = picked(zone, first, [NEW, 1])
    assert advance(then, [(1, 4)], 1, 4, apart=True) is None
    assert advance(then, [(1, 4)], 1, 4, apart=False) is not None


@given(EVENTS, EVENTS, st.lists(st.integers(0, 6), min_size=6, max_size=6), st.lists(st.integers(0, 6), min_size=6, max_size=6))
def test_what_is_covered_can_do_nothing_more(
    one: list[tuple[int, int, int, bool]], other: list[tuple[int, int, int, bool]], leasts: list[int], mores: list[int]
) -> None:
    """Whatever single event the covered zone allows next, by these constants, the covering one allows too."""
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


#: Ages of one moment, in quarters, and the constants that are compared with.
AGES = [each / 4 for each in range(17)]
#: An interval of ages: from, to, and which of its ends are left out.
SPANS = [
    (low, high, above, below)
    for low, high in combinations_with_replacement(range(4), 2)
    for above, below in product((False, True), repeat=2)
    if low < high or not (above or below)
]


def aged(span: tuple[int, int, bool, bool]) -> tuple[Matrix, list[float]]:
    """One moment of such an age, and the ages themselves."""
    low, high, above, below = span
    zone = ((0, less_than(high) if below else at_most(high)), (less_than(-low) if above else at_most(-low), 0))
    return zone, [age for age in AGES if (low < age if above else low <= age) and (age < high if below else age <= high)]


@pytest.mark.parametrize(("least", "most"), [*combinations_with_replacement(range(4), 2)])
def test_covered_is_what_the_theorem_says_of_one_moment(least: int, most: int) -> None:
    """Every age of the one has an age of the other that is the same; or younger, when it may happen at both anyway; or older,
    when it must have happened by both anyway (a≼LU, word for word)."""
    for one, other in product(SPANS, repeat=2):
        (inner, ages), (outer, others) = aged(one), aged(other)
        expected = all(any(each == age or least < each < age or most < age < each for each in others) for age in ages)
        assert covered(inner, outer, (0, least), (0, most)) == expected, (one, other)


def test_a_reply_after_just_5_s_is_not_late_yet() -> None:
    """As the verdict has it: later than that. The two places that a response may lead to share no time, and leave none out."""
    wait = 9_000_000
    before = ((0, at_most(wait)), (0, 0))
    put = advance(before, [(1, wait)], 1, 0, apart=False)
    assert put is not None
    step = StateStep((), 1, None, None)
    late, timely = (Search._zone(before, put, step, Move(None, (NEW, 1), late)) for late in (True, False))  # type: ignore[arg-type]
    assert late == ((0, at_most(wait)), (less_than(-LATE_US), 0))
    assert timely == ((0, at_most(LATE_US)), (0, 0))


def test_the_first_event_is_as_far_from_the_start_as_it_lasts() -> None:
    step = advance(START, [(0, 5)], 0, 3, apart=False)
    assert step is not None
    assert picked(START, step, [NEW, 0]) == ((0, at_most(5)), (at_most(-3), 0))


#: Bounds of any kind: none, at most, less than.
BOUNDS = st.one_of(st.just(FREE), st.integers(-12, 12))


@st.composite
def matrices(draw: st.DrawFn) -> Matrix:
    """Bounds between now and up to three moments, canonical or not."""
    size = draw(st.integers(1, 4))
    return tuple(tuple(0 if i == k else draw(BOUNDS) for k in range(size)) for i in range(size))


@given(st.data(), matrices(), st.integers(0, 4), st.booleans())
def test_the_next_event_is_bound_by_all_that_is_due_by_its_own_duration_and_by_now(
    data: st.DataObject, zone: Matrix, least: int, apart: bool
) -> None:
    """The same bounds, one by one, without the steps that `advance` leaves out."""
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
def test_a_zone_after_an_event_has_the_bounds_that_lead_over_its_moment(data: st.DataObject, zone: Matrix) -> None:
    bounds = st.lists(BOUNDS, min_size=len(zone), max_size=len(zone)).map(tuple)
    step = Advance(data.draw(bounds), data.draw(bounds))
    kept = [NEW, *data.draw(st.lists(st.integers(-1, len(zone) - 1), max_size=3))]

    def bound(first: int, second: int) -> int:
        if first == NEW or second == NEW:
            return 0 if first == second else step.after[second] if first == NEW else step.before[first]
        return min(zone[first][second], plus(step.before[first], step.after[second]))

    assert picked(zone, step, kept) == tuple(tuple(bound(first, second) for second in kept) for first in kept)


#: (First, second, bound): parts of the zone in which two moments are 0 to 4 µs old.
PARTS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(-8, 8)).filter(lambda each: each[0] != each[1]), max_size=4
)


def part_of(bounds: list[tuple[int, int, int]]) -> Matrix | None:
    zone: Matrix | None = ((0, at_most(4), at_most(4)), (0, 0, at_most(4)), (0, at_most(4), 0))
    for first, second, bound in bounds:
        zone = None if zone is None else tightened(zone, first, second, bound)
    return zone


def ages_in(zone: Matrix, steps: int) -> np.ndarray[Any, Any]:
    """The ages of both moments that a zone has, by trying them: a row of two for each, in so many steps per µs."""
    ages = np.stack(np.meshgrid(*[np.arange(4 * steps + 1)] * 2), -1).reshape(-1, 2) / steps
    times = np.concatenate([np.zeros((len(ages), 1)), -ages], 1)
    holding = np.ones(len(ages), bool)
    for i, k in product(range(3), repeat=2):
        apart, bound = times[:, i] - times[:, k], zone[i][k]
        holding &= 2 * apart < bound + 1 if bound % 2 else 2 * apart <= bound
    return ages[holding]


@given(PARTS, PARTS, st.tuples(*[st.integers(0, 4)] * 4))
# Later than 1 µs against at most 1 µs before what may happen after 2 µs: just covered.
@example([(1, 0, less_than(-1))], [(1, 2, at_most(1))], (0, 2, 4, 4))
def test_covered_is_what_the_theorem_says_of_two_moments(
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
