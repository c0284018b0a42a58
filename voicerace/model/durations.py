"""The values of a time: one, one per call, a grid, a distribution; what `voicerace.model.parameters` reads from text."""

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

#: A day: longer than any session, short enough that nanoseconds stay exact in a float.
MAX_MS = 86_400_000
_LOG_MAX = math.log(MAX_MS) + 1


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
        return f"uniform({shortest(self.low)},{shortest(self.high)})"


@dataclass(frozen=True)
class LogNormal:
    """exp of a normal draw; mu and sigma are those of the logarithm of milliseconds."""

    mu: float
    sigma: float

    def draw_ns(self, index: int, rng: random.Random) -> int:
        # The logarithm is limited first: exp of a large draw overflows.
        return ns(min(math.exp(min(rng.normalvariate(self.mu, self.sigma), _LOG_MAX)), MAX_MS))

    def __str__(self) -> str:
        return f"lognormal({shortest(self.mu)},{shortest(self.sigma)})"


@dataclass(frozen=True)
class Sampled:
    """A draw, each as likely, from measured values; `name` is that of the file that holds them."""

    values_ns: tuple[int, ...]
    name: str

    def draw_ns(self, index: int, rng: random.Random) -> int:
        return rng.choice(self.values_ns)

    def __str__(self) -> str:
        return f"@{self.name}"


@dataclass(frozen=True)
class Choice:
    """A draw, each as likely, from values that are listed."""

    values_ns: tuple[int, ...]

    def draw_ns(self, index: int, rng: random.Random) -> int:
        return rng.choice(self.values_ns)

    def __str__(self) -> str:
        return f"choice({_fixed_text(self.values_ns)})"


def shortest(number: float) -> str:
    """The shortest text that is read as the same number."""
    return repr(number).removesuffix(".0")


Value: TypeAlias = Fixed | Grid | Uniform | LogNormal | Sampled | Choice
#: A value that one session can use: everything but a grid.
Duration: TypeAlias = Fixed | Uniform | LogNormal | Sampled | Choice


def continuous(value: Value) -> bool:
    """Whether a value is drawn from a continuous distribution, in which two draws are never equal."""
    return (isinstance(value, Uniform) and value.low < value.high) or (isinstance(value, LogNormal) and value.sigma > 0)
