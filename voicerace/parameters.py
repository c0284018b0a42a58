"""The one grammar of times, grids and distributions, for the command line and the notebooks, and its validation.

``50`` one value · ``50,80`` one per function call · ``0:400:10`` a grid (start, stop, step; the stop is included) ·
``uniform(20,80)``, ``lognormal(4,0.5)`` a distribution · ``@file.csv`` values drawn from a file's first column.
All numbers are milliseconds. Inside, time is integer nanoseconds.
"""

from __future__ import annotations

import csv
import math
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TypeAlias

from voicerace.errors import InputError
from voicerace.tables.profiles import COMPONENT_TIMES_MS, PROFILES, PROXY_TIMES_MS, TIMES, WORKAROUND_TIMES
from voicerace.units import ns

__all__ = ["Fixed", "Grid", "LogNormal", "Sampled", "Times", "Uniform", "Value", "parse"]

GRAMMAR = "a number of ms (50), one per call (50,80), a grid (0:400:10), uniform(a,b), lognormal(mu,sigma) or @file.csv"
#: A day: longer than any session, short enough that nanoseconds stay exact in a float.
_MAX_MS = 86_400_000
_MAX_GRID = 100_000
_CALL = re.compile(r"(uniform|lognormal)\(\s*([^,()]+)\s*,\s*([^,()]+)\s*\)")


@dataclass(frozen=True)
class Fixed:
    """One value, or one per function call; the last serves every call after it."""

    values_ns: tuple[int, ...]

    def draw_ns(self, index: int, rng: random.Random) -> int:
        values = self.values_ns
        return values[index] if index < len(values) else values[-1]

    def __str__(self) -> str:
        return _fixed_text(self.values_ns)


@lru_cache(maxsize=65536)
def _fixed_text(values_ns: tuple[int, ...]) -> str:
    return ",".join(f"{Decimal(value).scaleb(-6).normalize():f}" for value in values_ns)


@dataclass(frozen=True)
class Grid:
    """Values of a sweep, one cell each."""

    values_ns: tuple[int, ...]
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Uniform:
    """A draw between two values, in ms."""

    low: float
    high: float

    def draw_ns(self, index: int, rng: random.Random) -> int:
        return ns(rng.uniform(self.low, self.high))

    def __str__(self) -> str:
        return f"uniform({_shortest(self.low)},{_shortest(self.high)})"


@dataclass(frozen=True)
class LogNormal:
    """exp of a normal draw; mu and sigma are those of the logarithm of milliseconds."""

    mu: float
    sigma: float

    def draw_ns(self, index: int, rng: random.Random) -> int:
        return ns(min(rng.lognormvariate(self.mu, self.sigma), _MAX_MS))

    def __str__(self) -> str:
        return f"lognormal({_shortest(self.mu)},{_shortest(self.sigma)})"


@dataclass(frozen=True)
class Sampled:
    """A draw, each as likely, from measured values."""

    values_ns: tuple[int, ...]
    name: str

    def draw_ns(self, index: int, rng: random.Random) -> int:
        return rng.choice(self.values_ns)

    def __str__(self) -> str:
        return f"@{self.name}"


def _shortest(number: float) -> str:
    """The shortest text that is read as the same number."""
    return repr(number).removesuffix(".0")


Value: TypeAlias = Fixed | Grid | Uniform | LogNormal | Sampled
#: A value that one session can use: everything but a grid.
Duration: TypeAlias = Fixed | Uniform | LogNormal | Sampled


def parse(name: str, text: object) -> Value:
    """The value that `text` says for the time `name`.

    Raises:
        InputError: it is not in the grammar, negative, or longer than a day.
    """
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise InputError(name, f"{text!r} is a {type(text).__name__}", f"allowed is {GRAMMAR}")
    words = str(text).strip()
    if words.startswith("@"):
        return _from_file(name, words[1:])
    if call := _CALL.fullmatch(words):
        kind, first, second = call.groups()
        if kind == "uniform":
            low, high = _number(name, first), _number(name, second)
            if high < low:
                raise InputError(name, f"{words} ends before it begins", "uniform(a,b) with a <= b")
            return Uniform(float(low), float(high))
        mu, sigma = _number(name, first, least=None), _number(name, second)
        return LogNormal(float(mu), float(sigma))
    if ":" in words:
        return _grid(name, words)
    return Fixed(tuple(ns(_number(name, each)) for each in words.split(",")))


def _number(name: str, text: str, least: int | None = 0) -> Decimal:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        raise InputError(name, f"{text.strip()!r} is no number", f"allowed is {GRAMMAR}") from None
    if not number.is_finite():
        raise InputError(name, f"{text.strip()} is no number of ms", f"allowed is {GRAMMAR}")
    if abs(number) > _MAX_MS:
        raise InputError(name, f"{text.strip()} is too long", f"at most {_MAX_MS} ms, one day")
    if least is not None and number < least:
        raise InputError(name, f"{text.strip()} is negative", "a time is 0 ms or more")
    return number


def _grid(name: str, words: str) -> Grid:
    parts = words.split(":")
    if len(parts) != 3:
        raise InputError(name, f"{words!r} is no grid", "start:stop:step, as 0:400:10")
    start, stop, step = (_number(name, part) for part in parts)
    if step <= 0 or stop < start:
        raise InputError(name, f"{words!r} has no values", "start:stop:step with start <= stop and step > 0")
    count = math.floor((stop - start) / step) + 1
    if count > _MAX_GRID:
        raise InputError(name, f"{words!r} has {count} values", f"at most {_MAX_GRID}")
    return Grid(tuple(ns(start + step * index) for index in range(count)), words)


def _from_file(name: str, path: str) -> Sampled:
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            rows = [(number, row[0]) for number, row in enumerate(csv.reader(file), start=1) if row and row[0].strip()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(name, f"@{path}: {getattr(error, 'strerror', None) or error}", "a CSV file of ms") from None
    values = []
    for number, cell in rows:
        try:
            values.append(ns(_number(f"{name}: {path}:{number}", cell)))
        except InputError:
            if number == 1:  # a header
                continue
            raise
    if not values:
        raise InputError(name, f"@{path} holds no values", "a CSV file of ms, one in the first column of each line")
    return Sampled(tuple(values), Path(path).name)


@dataclass(frozen=True)
class Times:
    """A value for every named time of a session. Durations are asked for by name; nobody else keeps numbers.

    Raises (on making one): InputError for an unknown name or a value that does not fit it.
    """

    values: Mapping[str, Duration]

    @classmethod
    def of(cls, given: Mapping[str, object] | None = None, profile: str = "loopback") -> Times:
        """A profile's times, with some of them given otherwise; every value in the grammar, grids excepted."""
        values: dict[str, Duration] = {}
        for name, value in parse_times(given or {}, profile).items():
            if isinstance(value, Grid):
                raise InputError(name, f"{value} is a grid", "one session takes one value; a sweep takes grids")
            values[name] = value
        return cls(values)

    def has(self, name: str) -> bool:
        """Whether an optional time is set."""
        return name in self.values

    def never_positive(self, name: str) -> bool:
        """Whether a time is 0 in every session."""
        value = self.values.get(name)
        return value is None or (isinstance(value, Fixed) and not any(value.values_ns))

    def draws(self) -> bool:
        """Whether any time is drawn, so that sessions differ by their seed."""
        return any(not isinstance(value, Fixed) for value in self.values.values())

    def ns(self, name: str, index: int, seed: int) -> int:
        """The `index`-th duration called `name` of the session with this seed, in ns.

        A draw depends on the seed, the name and the index only: releases that are compared meet the same draws.
        """
        written = _WRITTEN_NS.get(name)
        if written is not None:
            return written
        value = self.values[name]
        if isinstance(value, Fixed):
            return value.draw_ns(index, _NO_RANDOM)
        return value.draw_ns(index, random.Random(f"{seed}:{name}:{index}"))

    def longest_ns(self, seed: int) -> int:
        """The longest of a session's durations: nothing of ours leaves it silent for longer."""
        own = (self.ns(name, index, seed) for name in self.values for index in range(_CALLS))
        return max(*own, *_WRITTEN_NS.values())

    def with_ns(self, name: str, value_ns: int) -> Times:
        """The same times, one of them fixed otherwise."""
        return Times({**self.values, name: Fixed((value_ns,))})

    def to_json(self) -> dict[str, str]:
        """Time name -> its text in the grammar."""
        return dict(self._texts)

    @cached_property
    def _texts(self) -> Mapping[str, str]:
        """Written into the recording of every session of a sweep."""
        return {name: str(value) for name, value in self.values.items()}


_NO_RANDOM = random.Random(0)
_WRITTEN_NS = {name: ns(value) for name, value in {**PROXY_TIMES_MS, **COMPONENT_TIMES_MS}.items()}
_CALLS = 8


def parse_times(given: Mapping[str, object], profile: str) -> dict[str, Value]:
    """Every time of a profile with the given ones in place, grids allowed; names are checked.

    Raises:
        InputError: an unknown profile or name, or a value that does not fit.
    """
    if profile not in PROFILES:
        raise InputError("profile", f"{profile!r} is unknown", f"allowed are {', '.join(PROFILES)}")
    texts: dict[str, object] = {name: text for name, text in PROFILES[profile].values.items() if text is not None}
    for name, text in given.items():
        if name not in TIMES and name not in WORKAROUND_TIMES:
            raise InputError(name, "is no known time", f"allowed are {', '.join(TIMES)}")
        if text is not None:
            texts[name] = text
    values = {name: parse(name, texts[name]) for name in (*TIMES, *WORKAROUND_TIMES) if name in texts}
    for name, value in values.items():
        if isinstance(value, Fixed) and len(value.values_ns) > 1 and not (name in TIMES and TIMES[name].per_call):
            per_call = ", ".join(each for each, time in TIMES.items() if time.per_call)
            raise InputError(name, f"{value} is one value per call", f"one value; per call are {per_call}")
    return values
