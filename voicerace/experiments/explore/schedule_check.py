"""Whether a session at sockets went in the order of its schedule, and where it first did not.

A busy machine delivers a message a few milliseconds late. Where the schedule leaves less room than that, another order
comes about than the one that a finding is about, and what follows says nothing of the finding. So a try that did not come
to the finding is held against the same session in virtual time, message by message, at each place: the host, the proxy
and the upstream. Until the order differs, what a running proxy says otherwise is its own doing. A proxy that says the same
later than its model cannot be told from a busy machine in one try: the message and how late it was are said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from voicerace.trace.recording import Link, Recording

__all__ = ["Deviation", "slip_of"]

_HOST: Final = ("user", "app", "component")
_MS: Final = 1_000_000


class _Passed(NamedTuple):
    """A message at one end of its link: which link, its type, its number among those of its type, and when it was there."""

    link: Link
    type: str
    number: int
    at_ns: int

    def __str__(self) -> str:
        return f"{self.type} from {self.link.sender}"


@dataclass(frozen=True)
class Deviation:
    """The first place at which a session at sockets left its schedule.

    Attributes:
        place: ``host``, ``proxy`` or ``upstream``.
        order: True: the same messages in another order, so the schedule was not kept; False: another message, or none.
        said: it in words.
        late_ms: how much further apart the two messages were than planned; 0 where one is missing or was not planned.
        at_ns: when it showed.
    """

    place: str
    order: bool
    said: str
    late_ms: float
    at_ns: int

    def to_json(self) -> dict[str, Any]:
        return {"place": self.place, "order_kept": not self.order, "said": self.said, "late_ms": round(self.late_ms, 3)}


def slip_of(live: Recording, plan: Recording) -> Deviation | None:
    """Where `live` left `plan` first; None where it never did."""
    found = [slip for place in ("host", "proxy", "upstream") if (slip := _slip(place, live, plan)) is not None]
    return min(found, key=lambda each: each.at_ns, default=None)


def _slip(place: str, live: Recording, plan: Recording) -> Deviation | None:
    real, planned = list(_passed(place, live)), list(_passed(place, plan))
    found = [slip for slip in (_turned(place, real, planned), _other(place, real, planned)) if slip is not None]
    # Of one moment the order comes first: what is missing may be what is late.
    return min(found, key=lambda each: each.at_ns, default=None)


def _turned(place: str, real: list[_Passed], planned: list[_Passed]) -> Deviation | None:
    """The first message that came behind one before which it was planned; what was planned for one instant may turn."""
    due = {each[:3]: each.at_ns for each in planned}
    found: list[Deviation] = []
    for number, is_ in enumerate(real):
        ahead = [each for each in real[:number] if due.get(each[:3], -1) > due.get(is_[:3], 1 << 62)]
        if ahead:
            first = ahead[0]
            room = due[first[:3]] - due[is_[:3]]
            late = room + is_.at_ns - first.at_ns
            said = (
                f"{is_} came behind {first}, before which it was planned by {room / _MS:.3g} ms: {late / _MS:.3g} ms too late"
            )
            # It shows where the other came and this one was not there.
            found.append(Deviation(place, True, said, late / _MS, first.at_ns))
    return min(found, key=lambda each: each.at_ns, default=None)


def _other(place: str, real: list[_Passed], planned: list[_Passed]) -> Deviation | None:
    """The first message that was not planned, or the first that was and did not come."""
    due, came = {each[:3] for each in planned}, {each[:3] for each in real}
    found = [
        Deviation(place, False, f"{each}, which was not expected", 0.0, each.at_ns) for each in real if each[:3] not in due
    ][:1]
    missing = next((each for each in planned if each[:3] not in came), None)
    if missing is not None:
        # It shows when the next that was planned behind it is there, at the latest at the end.
        behind = {each[:3] for each in planned if each.at_ns > missing.at_ns}
        shows = next((each.at_ns for each in real if each[:3] in behind), real[-1].at_ns if real else 0)
        found.append(Deviation(place, False, f"nothing, where {missing} was expected", 0.0, shows))
    return min(found, key=lambda each: each.at_ns, default=None)


def _passed(place: str, recording: Recording) -> Iterator[_Passed]:
    """What passed at a place, in order: what came, and of our own actors what they sent. What a proxy sends follows."""
    inside = _HOST if place == "host" else (place,)
    numbers: dict[tuple[Link, str], int] = {}
    found: list[tuple[int, int, _Passed]] = []
    for event in recording.events:
        if event.kind != "message":
            continue
        kind = (event.link, event.type)
        number = numbers[kind] = numbers.get(kind, -1) + 1
        here = (event.link.receiver in inside, event.link.sender in inside)
        at = event.received_ns if here[0] else event.sent_ns
        if here[0] == here[1] or (here[1] and place == "proxy") or at is None:
            continue
        # In one instant what came is the cause of what was sent.
        found.append((at, int(here[1]), _Passed(*kind, number, at)))
    for _, _, each in sorted(found, key=lambda one: one[:2]):
        yield each
