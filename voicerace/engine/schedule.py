"""A schedule: how long each single timer runs and each single message travels, for whoever replays a session.

It gives a value to every setting of an actor's timer, in order, and to every message of a link, in order. What it does
not name lasts as long as the session's times say, or crosses a link as fast as the link can. The virtual engine plays
it exactly; a live engine can ask it the same questions for the actors and links that are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from voicerace.errors import InputError
from voicerace.trace.recording import Link, link

__all__ = ["AT_SOCKETS_NS", "Schedule", "ScheduleCursor", "Timeline"]

#: An actor and its timer, or a link's two ends; and the how-manieth of it.
_Key: TypeAlias = tuple[str, str, int]
Timeline: TypeAlias = Mapping[_Key, tuple[int, int]]

#: So far apart messages of a link arrive at sockets: a running proxy has answered the one before the next comes.
AT_SOCKETS_NS: Final = 2_000_000


@dataclass(frozen=True)
class Schedule:
    """Attributes:
    timers: (actor, name of the timer) -> ns of its first setting, its second, ...; None: not named.
    messages: link -> number of the message on it, from 0 -> ns that it travels. A link keeps its order whatever this says.
    """

    timers: Mapping[tuple[str, str], tuple[int | None, ...]] = field(default_factory=dict)
    messages: Mapping[Link, Mapping[int, int]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As plain values, in ns."""
        return {
            "timers": [{"party": p, "name": name, "ns": list(values)} for (p, name), values in self.timers.items()],
            "messages": {str(each): {str(n): ns for n, ns in values.items()} for each, values in self.messages.items()},
        }

    def longest_ns(self) -> int:
        """The longest that a timer of it runs."""
        return max((value or 0 for values in self.timers.values() for value in values), default=0)

    @classmethod
    def from_json(cls, record: object) -> Schedule:
        """The schedule of `to_json`.

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
    """A schedule as one session comes along it: it counts what was set and sent.

    Args:
        min_spacing_ns: so far apart the messages of a link arrive at least. Of what comes in one instant a recording cannot
            tell which came first, and what the receiver did in between; at sockets an instant is as long as a program
            takes to answer.
        plan: the moments of the same session in virtual time. What was set or sent late is then shorter by as much, so
            that delays of a busy machine do not add up along the way.

    Attributes:
        moments: when what was set or sent, and when it was over, in ns on the engine's clock.
    """

    def __init__(self, schedule: Schedule, min_spacing_ns: int = 1, plan: Timeline | None = None) -> None:
        self.schedule = schedule
        self.min_spacing_ns = min_spacing_ns
        self.moments: dict[_Key, tuple[int, int]] = {}
        self._plan = plan or {}
        #: When the plan's moment 0 was.
        self._origin_ns: int | None = None
        self._set: dict[tuple[str, str], int] = {}
        self._sent: dict[Link, int] = {}
        self._arrived: dict[Link, int] = {}

    def timer_ns(self, actor: str, name: str, otherwise: int, now_ns: int) -> int:
        """The duration of the setting of a timer that happens now."""
        number = self._set.get((actor, name), 0)
        self._set[actor, name] = number + 1
        values = self.schedule.timers.get((actor, name), ())
        found = values[number] if number < len(values) else None
        return self._lasts((actor, name, number), now_ns, otherwise if found is None else found)

    def travel_ns(self, over: Link, now_ns: int) -> int:
        """How long the message that is sent now travels; never past the one before it, nor in one instant with it."""
        number = self._sent.get(over, 0)
        self._sent[over] = number + 1
        asked = self._lasts((over.sender, over.receiver, number), now_ns, self.schedule.messages.get(over, {}).get(number, 0))
        arrives = max(now_ns + asked, self._arrived.get(over, -self.min_spacing_ns) + self.min_spacing_ns)
        self._arrived[over] = arrives
        self.moments[over.sender, over.receiver, number] = (now_ns, arrives)
        return arrives - now_ns

    def _lasts(self, key: _Key, now_ns: int, asked_ns: int) -> int:
        """What something lasts that should last `asked_ns`, with the time that was lost before it taken off."""
        if (planned := self._plan.get(key)) is not None:
            if self._origin_ns is None:
                self._origin_ns = now_ns - planned[0]
            asked_ns = max(0, min(asked_ns, self._origin_ns + planned[1] - now_ns))
        self.moments[key] = (now_ns, now_ns + asked_ns)
        return asked_ns
