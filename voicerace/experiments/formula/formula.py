"""The condition of each outcome in the named times, derived from all regions of a box."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final, TypeAlias

import numpy as np

from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError
from voicerace.experiments.formula.cover import Region, regions
from voicerace.experiments.formula.linear import CONSTANT, SCALE, Box, Condition, Form
from voicerace.experiments.formula.polyhedron import Space, negated, opposite

__all__ = ["UNDECIDED", "Formula", "Term", "derive"]

#: Conditions that hold together.
Term: TypeAlias = tuple[Condition, ...]
#: Signs of the forms, by index. A form without a sign has both in the region.
_Cube: TypeAlias = Mapping[int, int]
#: Code of a trial that the formula does not decide.
UNDECIDED: Final = -1
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
    """

    session: SessionConfig
    box: Box
    terms: Mapping[str, tuple[Term, ...]]
    open_ties: frozenset[Form]
    regions: int

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
                    value = self._value(form, given, signs)
                    holds &= value > 0 if strict else value >= 0
                found[holds] = code
        for form, value in signs.items():
            margin = _ROUNDING if any(each % SCALE for name, each in form if name != CONSTANT) else 0
            if margin or form in self.open_ties or opposite(form) in self.open_ties:
                found[np.abs(value) <= margin] = UNDECIDED
        for name, (low, high) in self.box.items():
            found[(given[name] < low) | (given[name] > high)] = UNDECIDED
        return found

    @staticmethod
    def _value(form: Form, given: Mapping[str, Any], known: dict[Form, Any]) -> Any:
        """Return twice the value of a form per trial."""
        if form in known:
            return known[form]
        if opposite(form) in known:
            return -known[opposite(form)]
        found = known[form] = sum(each if name == CONSTANT else each * given[name] for name, each in form)
        return found


def derive(session: SessionConfig, box: Box, most: int = 2000, progress: Callable[[int], object] = lambda _: None) -> Formula:
    """Derive the condition of each outcome of a session in a box of times.

    Args:
        session: the session. Times that are not in the box are constants.
        box: (lowest, highest) value in ns by name of a free time. A lowest value of 0 is replaced by 1 ns.
        most: maximum number of regions.
        progress: called with the number of regions found.

    Raises:
        InputError: the session has other writers than its times, or the box has more than `most` regions.
    """
    box = {name: (max(low, 1), high) for name, (low, high) in box.items()}
    _offered(session, box)
    found = regions(session, box, most, progress)
    forms, cubes = _separating(found, Space(box))
    strict = {form: _strict(form, found) for form in forms}
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
    return Formula(session, box, {each: terms[each] for each in order}, open_ties, len(found))


def _offered(session: SessionConfig, box: Box) -> None:
    if any(each.by != "text" for each in session.scenario.inputs) or session.idle_close or session.forwarder is not None:
        raise InputError("scenario", f"{session.scenario.name}", "one without speech, reconnection, idle close and forwarder")
    if session.times.has("reader_ms") or session.schedule is not None:
        raise InputError("reader_ms", "is set", "a session without reader_ms and schedule")
    for name in box:
        if name in ("deadline_ms", "slot_lag_ms", "reader_ms", "item_done_ms") or not session.times.has(name):
            raise InputError(name, "cannot be free", "a time that the session has, without a limit of its own")


def _literal(form: Form, sign: int, strict: bool | None) -> Condition:
    positive = (form, bool(strict))
    return positive if sign > 0 else negated(positive)


def _strict(form: Form, found: Iterable[Region]) -> bool | None:
    """Return whether the form is above 0 on its positive side, or None if the regions do not say it."""
    above = {strict for region in found for each, strict in region.conditions if each == form}
    below = {strict for region in found for each, strict in region.conditions if each == opposite(form)}
    if above == {True} and below == {False}:
        return True
    return False if above == {False} and below == {True} else None


# -- forms that separate the outcomes ----------------------------------------------------------------------------------


def _separating(found: Sequence[Region], space: Space) -> tuple[list[Form], list[_Cube]]:
    """Return forms that separate every two regions of different outcomes, and the signs of the forms in each region."""
    forms = sorted(
        {min(form, opposite(form)) for region in found for form, _ in region.conditions}, key=lambda each: (len(each), each)
    )
    given = [{form: 1 for form, _ in each.conditions} | {opposite(form): -1 for form, _ in each.conditions} for each in found]
    known: dict[tuple[int, int], int] = {}

    def sign(region: int, index: int) -> int:
        """Return the sign of a form in a region, 0 if it has both."""
        if (region, index) not in known:
            form = forms[index]
            here = given[region].get(form, 0)
            if not here:
                at = found[region].point
                here = 1 if sum(each if name == CONSTANT else each * at[name] for name, each in form) > 0 else -1
                # The greatest value on the other side, above rounding errors of the solver.
                if space.most(form if here < 0 else opposite(form), found[region].conditions) > 1:
                    here = 0
            known[region, index] = here
        return known[region, index]

    pairs = {(a, b) for a, b in combinations(range(len(found)), 2) if found[a].outcome != found[b].outcome}
    chosen: list[int] = []
    while pairs:
        by = {i: {(a, b) for a, b in pairs if sign(a, i) * sign(b, i) < 0} for i in range(len(forms)) if i not in chosen}
        best = max(by, key=lambda i: (len(by[i]), -len(forms[i])))
        if not by[best]:
            raise RuntimeError("two regions of different outcomes are not separated")
        chosen.append(best)
        pairs -= by[best]
    chosen.sort()
    cubes = [{n: sign(region, i) for n, i in enumerate(chosen) if sign(region, i)} for region in range(len(found))]
    return [forms[i] for i in chosen], cubes


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
