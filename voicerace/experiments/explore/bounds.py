"""Intervals of the named durations in an exploration. The intervals are part of the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from voicerace.errors import InputError
from voicerace.model.catalog.profiles import CLIENT_TIMES_MS, COMPONENT_TIMES_MS, PROXY_TIMES_MS, TIMES, WORKAROUND_TIMES
from voicerace.model.parameters import Fixed, Times, parse

__all__ = ["BOUNDS_MS", "LINKS_MS", "Bounds"]

#: (minimum, maximum) in µs.
Interval: TypeAlias = tuple[int, int]

#: (minimum, maximum) delay in ms of each message in one direction, per wire. A link keeps its order.
LINKS_MS: Final = {"host_ms": (0, 200), "upstream_ms": (0, 200)}
#: Intervals of a session's times in ms, wider than the published beta log (docs/protocol-facts.md#measured-times:
#: response announced after 65 to 96 ms, first item 216 to 271 ms later, item confirmed after 48 to 95 ms). The minimum
#: values limit the number of server events within one network delay, which dominates the cost of an exploration.
BOUNDS_MS: Final[dict[str, tuple[float, float]]] = {
    "tool_ms": (0, 10_000),
    "create_ms": (10, 150),
    "first_item_ms": (50, 400),
    "preamble_ms": (100, 1_000),
    "arguments_ms": (5, 200),
    "call_gap_ms": (0, 500),
    "gap_ms": (0, 1_000),
    "item_done_ms": (0, 1_000),
    "slot_lag_ms": (0, 0),
    "reply_ms": (200, 3_000),
    "reply_gap_ms": (5, 100),
    "ack_ms": (10, 150),
    "repeat_ms": (0, 5_000),
    "inject_ms": (0, 3_000),
    "settings_ms": (100, 1_000),
    "offline_ms": (100, 2_000),
    "speech_ms": (150, 150),
    "frame_ms": (100, 100),
    "mic_tail_ms": (100, 100),
    "vad_ms": (200, 600),
    "server_turn_ms": (0, 1_000),
    "session_end_ms": (0, 3_000),
    "deadline_ms": (30_000, 30_000),
    "forwarder_open_ms": (0, 200),
}
#: Times that a session has only if an interval is given.
_OPTIONAL: Final = ("item_done_ms", "server_turn_ms", "session_end_ms", "forwarder_open_ms")
#: A slot is freed later than response.done only in sessions whose time is positive. A schedule has each value.
_LAGS: Final = "slot_lag_ms"
_FIXED: Final = {**PROXY_TIMES_MS, **COMPONENT_TIMES_MS, **CLIENT_TIMES_MS}
#: Name of the wire's interval, by neighbour of the proxy.
_WIRE: Final = {"component": "host_ms", "upstream": "upstream_ms"}


@dataclass(frozen=True)
class Bounds:
    """Interval in µs of every named duration. A time that a program's source fixes has a single value."""

    by_name: Mapping[str, Interval]

    @classmethod
    def of(cls, given: Sequence[str] | Mapping[str, str] = (), story: Mapping[str, str] | None = None) -> Bounds:
        """Return the default bounds with changes, each ``name=low:high`` in ms. `given` takes precedence over `story`.

        Raises:
            InputError: an unknown name, or an invalid interval.
        """
        texts = {**WORKAROUND_TIMES, **(story or {})}
        for text in [f"{name}={value}" for name, value in given.items()] if isinstance(given, Mapping) else given:
            name, equals, value = text.partition("=")
            if not equals:
                raise InputError("bounds", f"{text!r} has no interval", "name=low:high, in ms")
            texts[name] = value
        own = dict.fromkeys(WORKAROUND_TIMES, (0, 0))
        found = {name: _us(*each) for name, each in {**LINKS_MS, **BOUNDS_MS, **own}.items()}
        for name, value in texts.items():
            if name not in found:
                fixed = " is fixed in a program's source" if name in _FIXED else " is no known time"
                raise InputError("bounds", f"{name}{fixed}", f"allowed are {', '.join(found)}")
            low, colon, high = value.partition(":")
            least, most = _end(name, low), _end(name, high if colon else low)
            if least > most:
                raise InputError("bounds", f"{name}={value} is no interval", "name=low:high, in ms, low first")
            found[name] = (least, most)
        found = {name: each for name, each in found.items() if name in texts or name not in _OPTIONAL}
        return cls({**found, **{name: _us(value, value) for name, value in _FIXED.items()}})

    def timer(self, after: str) -> Interval:
        return self.by_name[after]

    def wire(self, sender: str, receiver: str) -> Interval:
        return self.by_name[_WIRE[receiver if sender == "proxy" else sender]]

    def within(self, times: Times) -> Times:
        """Return the session's times, clipped to the bounds. They apply where a schedule has no value."""
        for name in _OPTIONAL:
            if name in self.by_name:
                times = times.with_ns(name, self.by_name[name][0] * 1000)
        for name in times.values:
            if name in self.by_name and (name in TIMES or name in WORKAROUND_TIMES):
                low, high = self.by_name[name]
                times = times.with_ns(name, min(max(times.ns(name, 0, 0), low * 1000), high * 1000))
        if times.never_positive(_LAGS) and (most := self.by_name[_LAGS][1]) > 0:
            times = times.with_ns(_LAGS, most * 1000)
        return times

    def to_json(self) -> dict[str, list[float]]:
        """Return [minimum, maximum] in ms by name."""
        return {name: [low / 1000, high / 1000] for name, (low, high) in self.by_name.items()}


def _end(name: str, text: str) -> int:
    """Parse one end of an interval, and return it in µs."""
    value = parse(f"bounds {name}", text)
    if not isinstance(value, Fixed) or len(value.values_ns) != 1:
        raise InputError("bounds", f"{name}={text} is no number of ms", "name=low:high, in ms, low first")
    return value.values_ns[0] // 1000


def _us(low: float, high: float) -> Interval:
    return round(low * 1000), round(high * 1000)
