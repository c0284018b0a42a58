"""The condition of each outcome in the named times, derived from all regions of a box."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final, TypeAlias

import numpy as np

from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError
from voicerace.experiments.formula.cover import Region, regions
from voicerace.experiments.formula.linear import CONSTANT, SCALE, Box, Condition, Form, value_of
from voicerace.experiments.formula.polyhedron import Space, negated, opposite
from voicerace.experiments.formula.setting import constants
from voicerace.experiments.formula.traced import trace

__all__ = ["UNDECIDED", "Formula", "Term", "derive"]

#: Conditions that hold together.
Term: TypeAlias = tuple[Condition, ...]
#: Signs of the forms, by index. A form without a sign has both in the region.
_Cube: TypeAlias = Mapping[int, int]
#: Code of a trial that the formula does not decide.
UNDECIDED: Final = -1
#: Number of random points that show the signs of forms.
_DRAWS: Final = 20_000
#: Number of sessions at each border of each region.
_TIES: Final = 2
#: Forms with an odd number of half round trips are wrong by half a nanosecond per direction.
_ROUNDING: Final = 16


@dataclass(frozen=True)
class Formula:
    """The conditions of the outcomes of a session.

    Attributes:
        session: the session; times outside the box are constants.
        box: (lowest, highest) value in ns by name of a free time.
        terms: by outcome, terms of which at least one holds.
        open_ties: forms at whose zeros the outcome is not known.
        regions: number of regions of the box.
        bad: whether each outcome is bad.
    """

    session: SessionConfig
    box: Box
    terms: Mapping[str, tuple[Term, ...]]
    open_ties: frozenset[Form]
    regions: int
    bad: Mapping[str, bool]

    @property
    def outcomes(self) -> tuple[str, ...]:
        return tuple(self.terms)

    def codes(self, values_ns: Mapping[str, Any]) -> np.ndarray[Any, Any]:
        """Return the index in `outcomes` of each trial, or `UNDECIDED` outside the box and at an open tie.

        Args:
            values_ns: for each free time, an array with a value in ns per trial, or one value.

        Raises:
            InputError: a free time has no values.
        """
        if missing := [name for name in self.box if name not in values_ns]:
            raise InputError(missing[0], "has no values", f"values for {', '.join(self.box)}")
        given = dict(
            zip(self.box, np.broadcast_arrays(*(np.asarray(values_ns[name], np.int64) for name in self.box)), strict=True)
        )
        found = np.full(next(iter(given.values())).shape, UNDECIDED, np.int64)
        signs: dict[Form, np.ndarray[Any, Any]] = {}
        for code, terms in enumerate(self.terms.values()):
            for term in terms:
                holds = np.ones(found.shape, bool)
                for form, strict in term:
                    if form not in signs:
                        signs[form] = -signs[opposite(form)] if opposite(form) in signs else value_of(form, given)
                    value = signs[form]
                    holds &= value > 0 if strict else value >= 0
                found[holds] = code
        for form, value in signs.items():
            margin = _ROUNDING if any(each % SCALE for name, each in form if name != CONSTANT) else 0
            if margin or form in self.open_ties or opposite(form) in self.open_ties:
                found[np.abs(value) <= margin] = UNDECIDED
        for name, (low, high) in self.box.items():
            found[(given[name] < low) | (given[name] > high)] = UNDECIDED
        return found


def derive(
    session: SessionConfig,
    box: Box,
    most: int = 2000,
    progress: Callable[[int], object] = lambda _: None,
    several: frozenset[str] = frozenset(),
) -> Formula:
    """Derive the condition of each outcome of a session in a box of times.

    Args:
        session: the session. Times that are not in the box are constants.
        box: (lowest, highest) value in ns by name of a free time. A lowest value of 0 is replaced by 1 ns.
        most: maximum number of regions.
        progress: called with the number of regions found.
        several: free times with one value per use (`traced.trace`).

    Raises:
        InputError: the session has other writers than its times, or the box has more than `most` regions.
    """
    box = {name: (max(low, 1), high) for name, (low, high) in box.items()}
    _offered(session, box)
    constants(session, box)
    found = regions(session, box, most, progress, several)
    space = Space(box)
    forms, cubes = _separating(found, space)
    strict = {form: _strict(number, form, found, cubes, session, space, several) for number, form in enumerate(forms)}
    terms = {}
    for outcome in dict.fromkeys(each.outcome for each in found):
        on = [cube for cube, each in zip(cubes, found, strict=True) if each.outcome == outcome]
        off = [cube for cube, each in zip(cubes, found, strict=True) if each.outcome != outcome]
        terms[outcome] = tuple(
            tuple(_literal(forms[index], sign, strict[forms[index]]) for index, sign in sorted(cube))
            for cube in _minimal(on, off)
        )
    order = sorted(terms, key=lambda each: (sum(map(len, terms[each])), each))
    open_ties = frozenset(form for form, each in strict.items() if each is None)
    return Formula(session, box, {each: terms[each] for each in order}, open_ties, len(found), _bad(found))


def _bad(found: Sequence[Region]) -> dict[str, bool]:
    kinds = {(each.outcome, each.bad) for each in found}
    if len(bad := dict(kinds)) < len(kinds):
        raise InputError("scenario", "one outcome is bad and not bad", "times in which each outcome has one cause")
    return bad


def _offered(session: SessionConfig, box: Box) -> None:
    if any(each.by != "text" for each in session.scenario.inputs) or session.idle_close or session.forwarder is not None:
        raise InputError("scenario", f"{session.scenario.name}", "one without speech, reconnection, idle close and forwarder")
    if session.times.has("reader_ms") or session.schedule is not None:
        raise InputError("reader_ms", "is set", "a session without reader_ms and schedule")
    for name in box:
        if name in ("deadline_ms", "slot_lag_ms", "reader_ms", "item_done_ms") or not session.times.has(name.partition(":")[0]):
            raise InputError(name, "cannot be free", "a time that the session has, without a limit of its own")


def _literal(form: Form, sign: int, strict: bool | None) -> Condition:
    positive = (form, bool(strict))
    return positive if sign > 0 else negated(positive)


def _strict(
    number: int,
    form: Form,
    found: Sequence[Region],
    cubes: Sequence[_Cube],
    session: SessionConfig,
    space: Space,
    several: frozenset[str],
) -> bool | None:
    """Return whether a form is above 0, and not 0, on its positive side, or None if this differs.

    Sessions at the border of every region are played with the form equal to 0.
    """
    sides = set()
    for region, cube in zip(found, cubes, strict=True):
        neighbours = {
            each.outcome
            for each, other in zip(found, cubes, strict=True)
            if other.get(number) == -cube.get(number, 0)
            and all(other.get(i, sign) == sign for i, sign in cube.items() if i != number)
        }
        if not cube.get(number) or not neighbours - {region.outcome}:
            continue
        others = [each for each in region.conditions if each[0] not in (form, opposite(form))]
        for _ in range(_TIES):
            point = space.point(others, zero=form)
            if point is None:
                break
            outcome = trace(session, point, space.box, several).outcome
            if (outcome == region.outcome) == (outcome in neighbours):
                return None
            sides.add(cube[number] if outcome == region.outcome else -cube[number])
    return sides.pop() < 0 if len(sides) == 1 else None


# -- forms that separate the outcomes ----------------------------------------------------------------------------------


def _separating(found: Sequence[Region], space: Space) -> tuple[list[Form], list[_Cube]]:
    """Return forms that separate every two regions of different outcomes, and the signs of the forms in each region."""
    forms = sorted(
        {min(form, opposite(form)) for region in found for form, _ in region.conditions}, key=lambda each: (len(each), each)
    )
    signs = _signs(found, forms, space)
    sure: set[tuple[int, int]] = set()
    pairs = [(a, b) for a, b in combinations(range(len(found)), 2) if found[a].outcome != found[b].outcome]
    while True:
        chosen: list[int] = []
        left = np.array(pairs).reshape(-1, 2)
        while len(left):
            apart = (signs[left[:, 0]] * signs[left[:, 1]] < 0).sum(axis=0)
            best = max(range(len(forms)), key=lambda i: (apart[i], -len(forms[i])))
            if not apart[best]:
                raise RuntimeError("two regions of different outcomes are not separated")
            chosen.append(best)
            left = left[signs[left[:, 0], best] * signs[left[:, 1], best] >= 0]
        unsure = [(r, i) for r in range(len(found)) for i in sorted(chosen) if signs[r, i] and (r, i) not in sure]
        if not unsure:
            break
        for region, index in unsure:
            sure.add((region, index))
            form = forms[index] if signs[region, index] < 0 else opposite(forms[index])
            # Values of 1 ns and below are rounding errors of the solver.
            if form not in {opposite(each) for each, _ in found[region].conditions}:
                signs[region, index] *= space.most(form, found[region].conditions) <= 1
    chosen.sort()
    cubes: list[_Cube] = [
        {n: int(signs[region, i]) for n, i in enumerate(chosen) if signs[region, i]} for region in range(len(found))
    ]
    return [forms[i] for i in chosen], cubes


def _signs(found: Sequence[Region], forms: Sequence[Form], space: Space) -> np.ndarray[Any, Any]:
    """Return the sign of each form in each region at random points, or 0 if it has both."""
    draws = np.vstack([space.draws(_DRAWS), [[each.point[name] for name in space.names] for each in found]])
    given = dict(zip(space.names, draws.T, strict=True))
    values = {form: value_of(form, given) for form in forms} | {opposite(form): -value_of(form, given) for form in forms}
    signs = np.zeros((len(found), len(forms)), dtype=np.int64)
    for number, region in enumerate(found):
        inside = np.ones(len(draws), bool)
        for form, _ in region.conditions:
            inside &= values[form] >= 0
        inside[_DRAWS + number] = True
        for index, form in enumerate(forms):
            above = values[form][inside]
            signs[number, index] = int((above > 0).all()) - int((above < 0).all())
    return signs


# -- shortest terms ----------------------------------------------------------------------------------------------------


def _minimal(on: Sequence[_Cube], off: Sequence[_Cube]) -> list[frozenset[tuple[int, int]]]:
    """Return few cubes with few literals that contain every cube of `on` and meet none of `off`."""
    primes = {prime for cube in on for prime in _primes(cube, off)}
    left = {number: {prime for prime in primes if prime <= frozenset(cube.items())} for number, cube in enumerate(on)}
    found: list[frozenset[tuple[int, int]]] = []
    while left:
        best = max(sorted(primes, key=sorted), key=lambda prime: (sum(prime in each for each in left.values()), -len(prime)))
        found.append(best)
        left = {number: each for number, each in left.items() if best not in each}
    return found


def _primes(cube: _Cube, off: Sequence[_Cube]) -> list[frozenset[tuple[int, int]]]:
    """Return the smallest sets of literals of a cube that exclude every cube of `off`."""
    for size in range(len(cube) + 1):
        found = [
            frozenset(literals)
            for literals in combinations(cube.items(), size)
            if all(any(other.get(index) == -sign for index, sign in literals) for other in off)
        ]
        if found:
            return found
    raise RuntimeError("a region has the signs of a region with another outcome")
