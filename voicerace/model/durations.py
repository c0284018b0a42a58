"""Kinds of values of a time: one value, one per call, a grid, a distribution. `voicerace.model.parameters` parses them."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import TypeAlias

from voicerace.units import ns

__all__ = [
    "MAX_MS", "Choice", "Duration", "Fixed", "Grid", "LogNormal", "Sampled", "Uniform", "Value", "continuous", "shortest",
]  # fmt: skip

#: Maximum time in ms: one day. It is longer than any session, and as a float it is exact to the nanosecond.
MAX_MS = 86_400_000
_LOG_MAX = math.log(MAX_MS) + 1


@dataclass(frozen=True)
class Fixed:
    """One value, or one value per function call. The last value also applies to all later calls."""

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
    """The values of a sweep, one per cell."""

    values_ns: tuple[int, ...]
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Uniform:
    """A draw from a uniform distribution between two values in ms."""

    low: float
    high: float

    def draw_ns(self, index: int, rng: random.Random) -> int:
        return ns(rng.uniform(self.low, self.high))

    def __str__(self) -> str:
        return f"uniform({shortest(self.low)},{shortest(self.high)})"


@dataclass(frozen=True)
class LogNormal:
    """A draw from a log-normal distribution. `mu` and `sigma` are mean and deviation of the logarithm of the time in ms."""

    mu: float
    sigma: float

    def draw_ns(self, index: int, rng: random.Random) -> int:
        # The draw is clamped before `exp`, which overflows for large arguments.
        return ns(min(math.exp(min(rng.normalvariate(self.mu, self.sigma), _LOG_MAX)), MAX_MS))

    def __str__(self) -> str:
        return f"lognormal({shortest(self.mu)},{shortest(self.sigma)})"


@dataclass(frozen=True)
class Sampled:
    """A uniform draw from the values in the file `name`."""

    values_ns: tuple[int, ...]
    name: str

    def draw_ns(self, index: int, rng: random.Random) -> int:
        return rng.choice(self.values_ns)

    def __str__(self) -> str:
        return f"@{self.name}"


@dataclass(frozen=True)
class Choice:
    """A uniform draw from listed values."""

    values_ns: tuple[int, ...]

    def draw_ns(self, index: int, rng: random.Random) -> int:
        return rng.choice(self.values_ns)

    def __str__(self) -> str:
        return f"choice({_fixed_text(self.values_ns)})"


def shortest(number: float) -> str:
    """Return the shortest text that parses as the same number."""
    return repr(number).removesuffix(".0")


Value: TypeAlias = Fixed | Grid | Uniform | LogNormal | Sampled | Choice
#: A value that a single session can use: any value except a grid.
Duration: TypeAlias = Fixed | Uniform | LogNormal | Sampled | Choice


def continuous(value: Value) -> bool:
    """Return whether a value is drawn from a continuous distribution, in which no two draws are equal."""
    return (isinstance(value, Uniform) and value.low < value.high) or (isinstance(value, LogNormal) and value.sigma > 0)
