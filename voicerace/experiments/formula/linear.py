"""Integers that know how they depend on the named times of a session, and conditions on these times.

A session in virtual time adds and compares times. With `Linear` numbers as times, the session computes the same as with
integers, and every sum keeps its coefficients. A comparison that is recorded is a linear condition on the times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import numpy as np

__all__ = ["CONSTANT", "Box", "Condition", "Form", "Linear", "before", "form_of", "least", "overlaps", "recorded", "value_of"]

#: A linear form: coefficient by name of a time, without zeros, sorted by name. `CONSTANT` is the constant in ns.
Form: TypeAlias = tuple[tuple[str, int], ...]
#: (form, strict): the form is above 0, or, if it is not strict, 0 or above.
Condition: TypeAlias = tuple[Form, bool]
#: (lowest, highest) value in ns of each free time.
Box: TypeAlias = Mapping[str, tuple[int, int]]
#: Coefficients are multiples of a half, because one direction takes half of a round trip. Forms store twice the coefficients.
SCALE: Final = 2
CONSTANT: Final = ""

_recording: list[set[Condition]] = []


@contextmanager
def recorded() -> Iterator[set[Condition]]:
    """Collect the conditions that comparisons of `Linear` numbers establish inside the context."""
    found: set[Condition] = set()
    _recording.append(found)
    try:
        yield found
    finally:
        _recording.pop()


def form_of(number: int) -> Mapping[str, int]:
    """Return twice the coefficients of a number."""
    return number.form if isinstance(number, Linear) else {CONSTANT: SCALE * number}


def before(first: int, second: int, *, strict: bool) -> Condition | None:
    """Return the condition under which `first` is before `second`, or None if their difference is a constant."""
    form = form_of(second)
    difference = dict(form)
    for name, coefficient in form_of(first).items():
        difference[name] = difference.get(name, 0) - coefficient
    found = tuple(sorted((name, value) for name, value in difference.items() if value))
    return (found, strict) if any(name for name, _ in found) else None


def overlaps(times: Sequence[int], box: Box) -> list[int]:
    """Return, for each time, the set of later ones in the list that can be before it somewhere in the box, as a bit mask."""
    names = [CONSTANT, *box]
    low = np.array([1, *(box[name][0] for name in box)])
    high = np.array([1, *(box[name][1] for name in box)])
    forms = np.array([[form_of(time).get(name, 0) for name in names] for time in times], dtype=np.int64).reshape(-1, len(names))
    found = []
    for first, form in enumerate(forms):
        ahead = forms[first + 1 :] - form
        crossing = np.minimum(ahead * low, ahead * high).sum(axis=1) < 0
        found.append(sum(1 << first + 1 + int(index) for index in np.flatnonzero(crossing)))
    return found


def value_of(form: Form, values_ns: Mapping[str, Any]) -> Any:
    """Return twice the value of a form, of a number or of an array per time."""
    return sum(each if name == CONSTANT else each * values_ns[name] for name, each in form)


def least(form: Form, box: Box) -> int:
    """Return twice the least value of a form in a box."""
    return sum(value if name == CONSTANT else min(value * box[name][0], value * box[name][1]) for name, value in form)


def _record(first: int, second: int, *, strict: bool) -> None:
    ranks = [number.rank for number in (first, second) if isinstance(number, Linear) and number.rank is not None]
    if len(ranks) == 1:
        return  # The other number is no position.
    if ranks:
        strict = ranks[0] > ranks[1]
    if _recording and (condition := before(first, second, strict=strict)) is not None:
        _recording[-1].add(condition)


class Linear(int):
    """An integer with its coefficients over the named times.

    Attributes:
        form: twice the coefficient by name of a time; `CONSTANT` for the constant.
        rank: for the position of an event, its order among events of the same nanosecond. None for a time.
    """

    form: Mapping[str, int]
    rank: int | None = None

    @classmethod
    def of(cls, value: int, form: Mapping[str, int]) -> Linear:
        """Return a number with a value in ns and twice its coefficients."""
        number = cls(value)
        number.form = form
        return number

    @classmethod
    def named(cls, name: str, value: int) -> Linear:
        """Return the time `name`, whose value is `value` ns."""
        return cls.of(value, {name: SCALE})

    @classmethod
    def position(cls, value: int, time: int, rank: int) -> Linear:
        """Return the position of an event. A comparison of two positions records the comparison of their times."""
        number = cls.of(value, form_of(time))
        number.rank = rank
        return number

    def _plus(self, other: int, sign: int) -> Linear:
        form = dict(self.form)
        for name, coefficient in form_of(other).items():
            form[name] = form.get(name, 0) + sign * coefficient
        return Linear.of(int(self) + sign * int(other), form)

    def __add__(self, other: int) -> Linear:
        return self._plus(other, 1)

    __radd__ = __add__

    def __sub__(self, other: int) -> Linear:
        return self._plus(other, -1)

    def __rsub__(self, other: int) -> Linear:
        return Linear.of(int(other), form_of(other))._plus(self, -1)

    def __floordiv__(self, other: int) -> Linear:
        """Return half of a round trip. With an odd number of ns, the form is wrong by half a nanosecond."""
        if other != SCALE or any(coefficient % SCALE for coefficient in self.form.values()):
            raise ValueError(f"{self.form} divided by {other} has no form")
        return Linear.of(int(self) // other, {name: coefficient // SCALE for name, coefficient in self.form.items()})

    def __bool__(self) -> bool:
        if int(self):
            _record(0, self, strict=True)
            return True
        return False

    def __lt__(self, other: int) -> bool:
        holds = int(self) < int(other)
        _record(*((self, other) if holds else (other, self)), strict=holds)
        return holds

    def __le__(self, other: int) -> bool:
        return not self > other

    def __gt__(self, other: int) -> bool:
        holds = int(self) > int(other)
        _record(*((other, self) if holds else (self, other)), strict=holds)
        return holds

    def __ge__(self, other: int) -> bool:
        return not self < other

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, int) or int(self) == int(other):
            return isinstance(other, int)
        _record(*((self, other) if int(self) < int(other) else (other, self)), strict=True)
        return False

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = int.__hash__

    def __reduce__(self) -> tuple[Any, ...]:
        return Linear.of, (int(self), dict(self.form))
