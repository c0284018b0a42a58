"""The grammar of times for the command line and the notebooks. All numbers are milliseconds.

- ``50``: one value.
- ``50,80``: one value per function call. For a time without values per call: the values of a sweep.
- ``0:400:10``: a grid (start, stop and step, including the stop).
- ``uniform(20,80)``: a uniform distribution.
- ``lognormal(median=400,sigma=0.5)``, ``p50=400,p95=900`` (the median and a percentile from 51 to 99) or
  ``lognormal(4,0.5)`` (mean and standard deviation of the logarithm of ms): a log-normal distribution.
- ``choice(4,8,12)``: a uniform draw from the listed values.
- ``@file.csv``: a uniform draw from the values in the first column of a file.

Python code can also pass numbers, lists, tuples, NumPy arrays and pandas Series.
"""

from __future__ import annotations

import csv
import math
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path
from statistics import NormalDist
from typing import Any

from voicerace.errors import InputError, one_of
from voicerace.model.catalog.profiles import (
    CLIENT_TIMES_MS,
    COMPONENT_TIMES_MS,
    FORWARDER_TIMES,
    PROFILES,
    PROXY_TIMES_MS,
    TIMES,
    WORKAROUND_TIMES,
)
from voicerace.model.durations import (
    MAX_MS,
    Choice,
    Duration,
    Fixed,
    Grid,
    LogNormal,
    Sampled,
    Uniform,
    Value,
    continuous,
    shortest,
)
from voicerace.units import ns

__all__ = [
    "MAX_CALLS", "MAX_WHOLE", "Choice", "Fixed", "Grid", "LogNormal", "Sampled", "Times", "Uniform", "Value", "assumed_times",
    "continuous", "grammar_text", "number_of", "parse", "parse_times", "plain_value", "whole_number",
]  # fmt: skip

GRAMMAR = (
    "a number of ms (50), one per call (50,80), a grid (0:400:10), uniform(a,b), lognormal(median=400,sigma=0.5), "
    "p50=400,p95=900, lognormal(mu,sigma), choice(4,8,12) or @file.csv"
)
_MAX_GRID = 100_000
#: Maximum number of function calls in a response, and of values in a list with one value per call.
MAX_CALLS = 8
_LEAST_STEP = Decimal("0.000001")
#: Maximum integer in a parameter. The result tables store 64-bit integers.
MAX_WHOLE = 2**63 - 1
_CHOICE = re.compile(r"choice\(([^()]+)\)")
_CALL = re.compile(r"(uniform|lognormal)\(\s*([^,()=]+)\s*,\s*([^,()=]+)\s*\)")
#: Pattern of a log-normal distribution with a given median and a given sigma or percentile.
_MEDIAN = re.compile(r"(lognormal\()?\s*(?:median|p50)\s*=([^,()=]+),\s*(sigma|p\d\d)\s*=([^,()=]+)(?(1)\))")
_UNIT = re.compile(r"[0-9.]+\s*(ms|s|sec|seconds)")


def parse(name: str, given: object) -> Value:
    """Parse a value of the time `name`: text in the grammar, a number, or a sequence of numbers, one per call.

    Raises:
        InputError: the value is not in the grammar, or it is negative or longer than a day.
    """
    text = grammar_text(name, given)
    if text.startswith("@"):
        return _from_file(name, text[1:])
    if call := _CALL.fullmatch(text):
        kind, first, second = call.groups()
        if kind == "uniform":
            low, high = number_of(name, first), number_of(name, second)
            if high < low:
                raise InputError(name, f"{text} ends before it begins", "uniform(a,b) with a <= b")
            return Uniform(float(low), float(high))
        return _log_normal(name, text, float(number_of(name, first, least=None)), float(number_of(name, second)))
    if named := _MEDIAN.fullmatch(text):
        return _by_median(name, text, *named.groups()[1:])
    if listed := _CHOICE.fullmatch(text):
        return Choice(tuple(ns(number_of(name, each)) for each in listed[1].split(",")))
    if ":" in text:
        return _grid(name, text)
    return Fixed(tuple(ns(number_of(name, each)) for each in text.split(",")))


def _log_normal(name: str, text: str, mu: float, sigma: float) -> LogNormal:
    if mu > math.log(MAX_MS):
        raise InputError(
            name,
            f"{text} has a median above one day: mu is a logarithm",
            f"lognormal(median={shortest(mu)},sigma={shortest(sigma)})",
        )
    return LogNormal(mu, sigma)


def _by_median(name: str, text: str, median_text: str, kind: str, second_text: str) -> LogNormal:
    """Return the log-normal distribution with a given median and a given sigma or percentile (`kind`)."""
    median, second = float(number_of(name, median_text)), float(number_of(name, second_text))
    if median <= 0:
        raise InputError(name, f"{text} has no positive median", "a median above 0 ms")
    if kind == "sigma":
        return _log_normal(name, text, math.log(median), second)
    percent = int(kind[1:])
    if percent <= 50 or second < median:
        raise InputError(name, f"{text} does not rise", "p50=MEDIAN and p51 to p99 with a value that is not smaller")
    return _log_normal(name, text, math.log(median), math.log(second / median) / NormalDist().inv_cdf(percent / 100))


def plain_value(value: Any) -> Any:
    """Return the plain Python value of a NumPy scalar, NumPy array or pandas Series. Return other values unchanged."""
    tolist = getattr(value, "tolist", None)
    return tolist() if callable(tolist) else value


def grammar_text(name: str, given: object) -> str:
    """Return a value of the time `name` as text in the grammar.

    Raises:
        InputError: the value is not text, a number or a sequence of numbers.
    """
    value = plain_value(given)
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (list, tuple, range)):
        if not 1 <= len(value) <= (MAX_CALLS if _per_call(name) else _MAX_GRID):
            allowed = f"1 to {MAX_CALLS} numbers, one per function call; a sweep takes a grid as text, start:stop:step"
            raise InputError(name, f"{len(value)} values", allowed)
        return ",".join(_number_text(name, plain_value(each)) for each in value)
    return _number_text(name, value)


def _number_text(name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise InputError(name, f"{value!r:.60} is a {type(value).__name__}", f"allowed is {GRAMMAR}")
    # Python refuses to convert an integer of thousands of digits to text.
    if isinstance(value, int):
        return str(value) if abs(value) <= MAX_WHOLE else f"{Decimal(value):.6e}"
    return shortest(value) if isinstance(value, float) else str(value)


def number_of(name: str, given: object, least: int | None = 0) -> Decimal:
    """Return `given`, which is text or a number, as a number of ms.

    Raises:
        InputError: the value is not a number, not finite, less than `least`, or longer than a day.
    """
    text = given.strip() if isinstance(given, str) else _number_text(name, plain_value(given))
    try:
        number = Decimal(text)
    except InvalidOperation:
        if _UNIT.fullmatch(text):
            raise InputError(name, f"{text[:60]!r} has a unit", "the number alone, in ms") from None
        raise InputError(name, f"{text[:60]!r} is no number", f"allowed is {GRAMMAR}") from None
    if not number.is_finite():
        raise InputError(name, f"{text} is no number of ms", f"allowed is {GRAMMAR}")
    if abs(number) > MAX_MS:
        raise InputError(name, f"{text[:60]} is too long", f"at most {MAX_MS} ms, one day")
    if least is not None and number < least:
        raise InputError(name, f"{text[:60]} is negative", "a time is 0 ms or more")
    return number


def whole_number(name: str, given: object, least: int, most: int = MAX_WHOLE) -> int:
    """Return a Python or NumPy integer as an int.

    Raises:
        InputError: the value is not an integer, or it is not between `least` and `most`.
    """
    value = plain_value(given)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(name, f"{value!r:.60} is a {type(value).__name__}", f"a whole number from {least} to {most}")
    if not least <= value <= most:
        found = str(value) if abs(value) <= MAX_WHOLE else f"{Decimal(value):.6e}"
        raise InputError(name, found, f"allowed are {least} to {most}")
    return value


def _grid(name: str, text: str) -> Grid:
    parts = text.split(":")
    if len(parts) != 3:
        raise InputError(name, f"{text!r:.60} is no grid", "start:stop:step, as 0:400:10")
    start, stop, step = (number_of(name, part) for part in parts)
    if step <= 0 or stop < start:
        raise InputError(name, f"{text!r} has no values", "start:stop:step with start <= stop and step > 0")
    if step < _LEAST_STEP:
        raise InputError(name, f"{text!r:.60} has a step below 1 ns", "a step of 0.000001 ms or more")
    count = math.floor((stop - start) / step) + 1
    if count > _MAX_GRID:
        raise InputError(name, f"{text!r} has {count} values", f"at most {_MAX_GRID}")
    return _grid_of(name, [ns(start + step * index) for index in range(count)], text)


def _grid_of(name: str, values_ns: Sequence[int], text: str) -> Grid:
    """Return a grid with the values in ascending order. Raise InputError if two values are equal."""
    ordered = tuple(sorted(set(values_ns)))
    if len(ordered) < len(values_ns):
        raise InputError(name, f"{text!r:.60} has one value twice", "values at least 1 ns (0.000001 ms) apart")
    return Grid(ordered, text)


def _from_file(name: str, path: str) -> Sampled:
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            rows = [(number, row[0]) for number, row in enumerate(csv.reader(file), start=1) if row and row[0].strip()]
    except (OSError, ValueError, csv.Error) as error:  # A null byte in the name raises ValueError.
        raise InputError(name, f"@{path}: {getattr(error, 'strerror', None) or error}", "a CSV file of ms") from None
    values = []
    for number, cell in rows:
        try:
            values.append(ns(number_of(f"{name}: {path}:{number}", cell)))
        except InputError:
            if number == 1:  # a header
                continue
            raise
    if not values:
        raise InputError(name, f"@{path} holds no values", "a CSV file of ms, one in the first column of each line")
    return Sampled(tuple(values), Path(path).name)


@dataclass(frozen=True)
class Times:
    """A value for each named time of a session. The actors use only the names of the times.

    Raises:
        InputError: a name is unknown, or a value is not allowed for its name.
    """

    values: Mapping[str, Duration]

    def __hash__(self) -> int:
        return hash(frozenset(self.values.items()))

    def __post_init__(self) -> None:
        if not isinstance(self.values, Mapping):
            raise InputError("times", f"a {type(self.values).__name__}", "time name -> value; Times.of takes text and numbers")
        for name, value in self.values.items():
            _known_time(name)
            if not isinstance(value, Duration):
                raise InputError(name, f"{value!r:.60} is a {type(value).__name__}", "Times.of takes text and numbers")
            if isinstance(value, Fixed):
                _fits_calls(name, value)

    @classmethod
    def of(cls, given: Mapping[str, object] | None = None, profile: str = "loopback") -> Times:
        """Return the times of a profile, with the times in `given` replaced. Values are in the grammar, without grids."""
        values: dict[str, Duration] = {}
        for name, value in parse_times({} if given is None else given, profile).items():
            if isinstance(value, Grid):
                raise InputError(name, *_no_grid(value))
            values[name] = value
        return cls(values)

    def has(self, name: str) -> bool:
        """Return whether the optional time `name` is set."""
        return name in self.values

    def never_positive(self, name: str) -> bool:
        """Return whether the time `name` is 0 or not set in every session."""
        value = self.values.get(name)
        return value is None or (isinstance(value, Fixed) and not any(value.values_ns))

    def ns(self, name: str, index: int, seed: int) -> int:
        """Return value `index` (from 0) of the time `name` in the session with a seed, in ns.

        A draw depends only on the seed, the name and the index. Therefore compared releases have the same draws.
        """
        if (constant := _CONSTANTS_NS.get(name)) is not None:
            return constant
        value = self.values[name]
        if isinstance(value, Fixed):
            return value.draw_ns(index, _NO_RANDOM)
        return value.draw_ns(index, random.Random(f"{seed}:{name}:{index}"))

    def longest_ns(self, seed: int) -> int:
        """Return the longest of all times in the session with a seed, in ns."""
        own = (self.ns(name, index, seed) for name in self.values for index in range(MAX_CALLS))
        return max(*own, *_CONSTANTS_NS.values())

    def with_ns(self, name: str, value_ns: int) -> Times:
        """Return a copy in which the time `name` has the fixed value `value_ns`."""
        return Times({**self.values, name: Fixed((value_ns,))})

    def to_json(self) -> dict[str, str]:
        """Return each value as text in the grammar, by time name."""
        return dict(self._texts)

    @cached_property
    def _texts(self) -> Mapping[str, str]:
        """Values as text in the grammar, by time name. They are cached because every session's recording contains them."""
        return {name: str(value) for name, value in self.values.items()}


_NO_RANDOM = random.Random(0)
_CONSTANTS_NS = {name: ns(value) for name, value in {**PROXY_TIMES_MS, **COMPONENT_TIMES_MS, **CLIENT_TIMES_MS}.items()}


def parse_times(given: Mapping[str, object], profile: str) -> dict[str, Value]:
    """Return the parsed times of a profile, with the times in `given` replaced. Grids are allowed.

    Raises:
        InputError: the profile or a name is unknown, or a value is not allowed.
    """
    one_of("profile", profile, PROFILES)
    if not isinstance(given, Mapping):
        raise InputError("times", f"{given!r:.60} is a {type(given).__name__}", "a mapping of time name -> value")
    values: dict[str, Value] = {name: parse(name, text) for name, text in PROFILES[profile].values.items() if text is not None}
    for name, text in given.items():
        _known_time(name)
        if text is None:
            continue
        value = parse(name, text)
        if isinstance(value, Fixed) and len(value.values_ns) > 1 and not _per_call(name):
            value = _grid_of(name, value.values_ns, str(value))
        values[name] = value
    return {name: values[name] for name in (*TIMES, *WORKAROUND_TIMES, *FORWARDER_TIMES) if name in values}


def assumed_times(given: Iterable[str], profile: str, *, forwarded: bool = False) -> dict[str, str]:
    """Return the value, as text by time name, of each time that is not in `given`: what a result assumes.

    Args:
        given: names of times.
        profile: name of the profile.
        forwarded: whether the session has a forwarder.
    """
    values = PROFILES[profile].values | (FORWARDER_TIMES if forwarded else {})
    return {name: text for name in (*TIMES, *FORWARDER_TIMES) if name not in given and (text := values.get(name)) is not None}


def _known_time(name: object) -> None:
    if not isinstance(name, str) or (name not in TIMES and name not in WORKAROUND_TIMES and name not in FORWARDER_TIMES):
        raise InputError(str(name), "is no known time", f"allowed are {', '.join(TIMES)}")


def _per_call(name: str) -> bool:
    return name in TIMES and TIMES[name].per_call


def _fits_calls(name: str, value: Fixed) -> None:
    """Check the number, type and range of fixed values."""
    if len(value.values_ns) != 1 and (not value.values_ns or not _per_call(name)):
        raise InputError(name, *_several(value))
    for each in value.values_ns:
        if isinstance(each, bool) or not isinstance(each, int) or not 0 <= each <= ns(MAX_MS):
            raise InputError(name, f"{each!r:.60} ns", f"a whole number of ns from 0 to one day, {ns(MAX_MS)}")


def _no_grid(grid: Grid) -> tuple[str, str]:
    """Return the error texts (what was found, what is allowed) for a grid in a single session."""
    if ":" in grid.text:
        return f"{grid} is a grid", "one session takes one value; a sweep takes grids"
    return _several(grid)


def _several(value: Fixed | Grid) -> tuple[str, str]:
    per_call = ", ".join(each for each, time in TIMES.items() if time.per_call)
    return f"{value} is one value per call", f"one value; per call are {per_call}; a sweep takes several"
