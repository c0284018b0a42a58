"""Finds where a session on sockets first deviates from the order of its schedule.

A busy machine delivers a message some milliseconds late. If the slack of the schedule is smaller than this delay, the order of
messages differs from the finding, and the attempt does not refute the finding. Therefore a failed attempt is compared with the
same session in virtual time, message by message, at the host, the proxy and the upstream. A message that differs while the
order is still the same is due to the proxy's behaviour. One attempt cannot distinguish a slow proxy from a busy machine, so the
result names the message and its delay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from voicerace.trace.recording import Link, Recording

__all__ = ["Deviation", "deviation_of"]

_HOST: Final = ("user", "app", "component")
_MS: Final = 1_000_000


class _Passed(NamedTuple):
    """Message at one end of its link. `number` counts the messages of the same type on the link."""

    link: Link
    type: str
    number: int
    at_ns: int

    def __str__(self) -> str:
        return f"{self.type} from {self.link.sender}"


@dataclass(frozen=True)
class Deviation:
    """First deviation of a session on sockets from its schedule.

    Attributes:
        location: ``host``, ``proxy`` or ``upstream``.
        order: True if the messages came in another order, False if a message is unplanned or missing.
        message: description of the deviation.
        late_ms: delay in ms of the late message relative to the message that overtook it, or 0 if a message is unplanned or
            missing.
        at_ns: time of the deviation in ns.
    """

    location: str
    order: bool
    message: str
    late_ms: float
    at_ns: int

    def to_json(self) -> dict[str, Any]:
        return {"place": self.location, "order_kept": not self.order, "said": self.message, "late_ms": round(self.late_ms, 3)}


def deviation_of(live: Recording, plan: Recording) -> Deviation | None:
    """Return the first deviation of `live` from `plan`, or None."""
    return _first(_first_deviation(location, live, plan) for location in ("host", "proxy", "upstream"))


def _first_deviation(location: str, live: Recording, plan: Recording) -> Deviation | None:
    real, planned = list(_passed(location, live)), list(_passed(location, plan))
    # At equal times, a changed order has priority, because a missing message is possibly only late.
    return _first((_reordered(location, real, planned), _unplanned_or_missing(location, real, planned)))


def _first(found: Iterable[Deviation | None]) -> Deviation | None:
    return min(filter(None, found), key=lambda each: each.at_ns, default=None)


def _reordered(location: str, real: list[_Passed], planned: list[_Passed]) -> Deviation | None:
    """Return the first message that came after a message it should precede. Messages planned for one instant have any order."""
    due = {each[:3]: each.at_ns for each in planned}
    found: list[Deviation] = []
    for number, is_ in enumerate(real):
        ahead = [each for each in real[:number] if due.get(each[:3], -1) > due.get(is_[:3], 1 << 62)]
        if ahead:
            first = ahead[0]
            slack = due[first[:3]] - due[is_[:3]]
            late = slack + is_.at_ns - first.at_ns
            message = (
                f"{is_} came behind {first}, before which it was planned by {slack / _MS:.3g} ms: {late / _MS:.3g} ms too late"
            )
            # The deviation begins when the overtaking message arrives.
            found.append(Deviation(location, True, message, late / _MS, first.at_ns))
    return _first(found)


def _unplanned_or_missing(location: str, real: list[_Passed], planned: list[_Passed]) -> Deviation | None:
    """Return the first unplanned message, or the first planned message that is missing."""
    due, came = {each[:3] for each in planned}, {each[:3] for each in real}
    found = [
        Deviation(location, False, f"{each}, which was not expected", 0.0, each.at_ns) for each in real if each[:3] not in due
    ][:1]
    missing = next((each for each in planned if each[:3] not in came), None)
    if missing is not None:
        # The deviation begins at the next message that was planned after it, or at the end.
        later = {each[:3] for each in planned if each.at_ns > missing.at_ns}
        shows = next((each.at_ns for each in real if each[:3] in later), real[-1].at_ns if real else 0)
        found.append(Deviation(location, False, f"nothing, where {missing} was expected", 0.0, shows))
    return _first(found)


def _passed(location: str, recording: Recording) -> Iterator[_Passed]:
    """Yield the messages received at a location and, except at the proxy, the messages sent there, in order of time."""
    inside = _HOST if location == "host" else (location,)
    numbers: dict[tuple[Link, str], int] = {}
    found: list[tuple[int, int, _Passed]] = []
    for event in recording.events:
        if event.kind != "message":
            continue
        kind = (event.link, event.type)
        number = numbers[kind] = numbers.get(kind, -1) + 1
        here = (event.link.receiver in inside, event.link.sender in inside)
        at = event.received_ns if here[0] else event.sent_ns
        if here[0] == here[1] or (here[1] and location == "proxy") or at is None:
            continue
        # At equal times, a received message comes first, because it causes the sent message.
        found.append((at, int(here[1]), _Passed(*kind, number, at)))
    for _, _, each in sorted(found, key=lambda one: one[:2]):
        yield each
