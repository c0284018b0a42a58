"""Schedule of a session, for replays: the duration of each timer and the delay of each message.

A timer without a value has the duration given by the session's times. A message without a value has no delay. The virtual
engine follows a schedule exactly. The live engine follows it for the actors and links of this process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from voicerace.errors import InputError
from voicerace.trace.recording import Link, link

__all__ = ["AT_SOCKETS_NS", "Schedule", "ScheduleCursor", "Timeline"]

#: (actor, timer, number of the timer's setting) or (sender, receiver, number of the message), with numbers from 0.
_Key: TypeAlias = tuple[str, str, int]
Timeline: TypeAlias = Mapping[_Key, tuple[int, int]]

#: Minimum time in ns between messages of a link on sockets. A running proxy answers a message within this time.
AT_SOCKETS_NS: Final = 2_000_000


@dataclass(frozen=True)
class Schedule:
    """Durations and delays.

    Attributes:
        timers: (actor, name of the timer) -> duration in ns each time the timer is set, in order; None for no value.
        messages: link -> number of the message on the link, from 0 -> delay in ns. Delays never change the order on a link.
    """

    timers: Mapping[tuple[str, str], tuple[int | None, ...]] = field(default_factory=dict)
    messages: Mapping[Link, Mapping[int, int]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the schedule as JSON values, in ns."""
        return {
            "timers": [{"party": p, "name": name, "ns": list(values)} for (p, name), values in self.timers.items()],
            "messages": {str(each): {str(n): ns for n, ns in values.items()} for each, values in self.messages.items()},
        }

    def longest_ns(self) -> int:
        """Return the longest duration of a timer in ns."""
        return max((value or 0 for values in self.timers.values() for value in values), default=0)

    @classmethod
    def from_json(cls, record: object) -> Schedule:
        """Convert the result of `to_json` to a schedule.

        Raises:
            InputError: a field is missing or is of the wrong type.
        """
        try:
            if not isinstance(record, Mapping):
                raise TypeError("no object")
            timers = {(str(t["party"]), str(t["name"])): tuple(map(_duration, t["ns"])) for t in record["timers"]}
            messages = {
                link(str(name)): {int(number): _delay(ns) for number, ns in values.items()}
                for name, values in record["messages"].items()
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError("schedule", f"{type(error).__name__} ({error})", "timers and messages, in ns") from None
        return cls(timers, messages)


def _duration(value: object) -> int | None:
    return None if value is None else _delay(value)


def _delay(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no time in ns")
    return value


class ScheduleCursor:
    """Position of a session in a schedule: counts the timers set and the messages sent.

    Args:
        schedule: the schedule.
        min_spacing_ns: minimum time in ns between messages of a link, so that a recording preserves their order.
        plan: the `moments` of the same session in virtual time. A timer that is set late, or a message that is sent late, gets
            a time shortened by the delay, so that delays of a busy machine do not add up.

    Attributes:
        moments: for each timer and message, when it was set or sent and when it ended or arrived, in ns of the engine's clock.
    """

    def __init__(self, schedule: Schedule, min_spacing_ns: int = 1, plan: Timeline | None = None) -> None:
        self.schedule = schedule
        self.min_spacing_ns = min_spacing_ns
        self.moments: dict[_Key, tuple[int, int]] = {}
        self._plan = plan or {}
        #: Time of the plan's moment 0 in ns of the engine's clock.
        self._origin_ns: int | None = None
        self._set: dict[tuple[str, str], int] = {}
        self._sent: dict[Link, int] = {}
        self._arrived: dict[Link, int] = {}

    def timer_ns(self, actor: str, name: str, otherwise: int, now_ns: int) -> int:
        """Return the duration in ns of a timer that is set now, or `otherwise` if the schedule has no value for it."""
        number = self._set.get((actor, name), 0)
        self._set[actor, name] = number + 1
        values = self.schedule.timers.get((actor, name), ())
        found = values[number] if number < len(values) else None
        return self._lasts((actor, name, number), now_ns, otherwise if found is None else found)

    def travel_ns(self, over: Link, now_ns: int) -> int:
        """Return the delay in ns of a message sent now. It arrives at least `min_spacing_ns` after the previous message."""
        number = self._sent.get(over, 0)
        self._sent[over] = number + 1
        delay = self._lasts((over.sender, over.receiver, number), now_ns, self.schedule.messages.get(over, {}).get(number, 0))
        arrives = max(now_ns + delay, self._arrived.get(over, -self.min_spacing_ns) + self.min_spacing_ns)
        self._arrived[over] = arrives
        self.moments[over.sender, over.receiver, number] = (now_ns, arrives)
        return arrives - now_ns

    def _lasts(self, key: _Key, now_ns: int, scheduled_ns: int) -> int:
        """Return `scheduled_ns` minus the session's current delay relative to the plan, in ns."""
        if (planned := self._plan.get(key)) is not None:
            if self._origin_ns is None:
                self._origin_ns = now_ns - planned[0]
            scheduled_ns = max(0, min(scheduled_ns, self._origin_ns + planned[1] - now_ns))
        self.moments[key] = (now_ns, now_ns + scheduled_ns)
        return scheduled_ns
