"""The sessions and boxes of times for which formulas are derived by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError
from voicerace.experiments.formula.linear import Box
from voicerace.model.parameters import Fixed, number_of
from voicerace.units import ns

__all__ = ["FREE_MS", "constants", "default_box", "intervals"]

#: Interval in ms of each time that is free by default, in every scenario, and in single scenarios.
FREE_MS: Final[Mapping[str, tuple[int, int]]] = {
    "tool_ms": (0, 1000),
    "host_rtt_ms": (0, 200),
    "upstream_rtt_ms": (0, 200),
    "gap_ms": (0, 1000),
    "ack_ms": (0, 150),
}
FREE_IN_MS: Final[Mapping[str, Mapping[str, tuple[int, int]]]] = {
    "parallel": {"call_gap_ms": (0, 500)},
    "double": {"repeat_ms": (0, 1000)},
    "inject": {"inject_ms": (0, 1000)},
}


def default_box(session: SessionConfig, given: Mapping[str, object]) -> Box:
    """Return the default intervals in ns of the free times of a session, without the times that are given as constants."""
    found = {**FREE_MS, **FREE_IN_MS.get(session.scenario.name, {})}
    return {name: (ns(low), ns(high)) for name, (low, high) in found.items() if name not in given}


def intervals(given: Mapping[str, str]) -> Box:
    """Return intervals in ns from texts ``LOW:HIGH`` in ms.

    Raises:
        InputError: a text is no interval.
    """
    found = {}
    for name, text in given.items():
        low, colon, high = text.partition(":")
        if not colon or number_of(name, low) >= number_of(name, high):
            raise InputError(name, f"{text!r:.60} is no interval", "LOW:HIGH in ms, low first")
        found[name] = (ns(number_of(name, low)), ns(number_of(name, high)))
    return found


def constants(session: SessionConfig, box: Box) -> dict[str, str]:
    """Return the text of each time that is not free.

    Raises:
        InputError: a time is drawn.
    """
    found = {name: value for name, value in session.times.values.items() if name not in box}
    for name, value in found.items():
        if not isinstance(value, Fixed):
            raise InputError(name, f"{value} is drawn", "one value, or an interval with --free")
    return {name: str(value) for name, value in found.items()}
