"""Whether a session at sockets went in the order of its schedule, and where it first did not.

A busy machine delivers a message a few milliseconds late. Where the schedule leaves less room than that, another order
comes about than the one that a finding is about, and what follows says nothing of the finding. So a try that did not come
to the finding is held against the same session in virtual time, message by message, at each place: the host, the proxy
and the upstream. Until the order differs, what a running proxy says otherwise is its own doing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from voicerace.recording import Link, Recording

__all__ = ["Slip", "slip_of"]

_HOST: Final = ("user", "app", "component")
_MS: Final = 1_000_000


class _Passed(NamedTuple):
    """A message at one end of its link: which link, its number on it, its type, and when it was there."""

    link: Link
    number: int
    type: str
    at_ns: int

    def __str__(self) -> str:
        return f"{self.type} from {self.link.sender}"


@dataclass(frozen=True)
class Slip:
    """The first place at which a session at sockets left its schedule.

    Attributes:
        place: ``host``, ``proxy`` or ``upstream``.
        order: True: the same messages in another order, so the schedule was not kept; False: another message, or none.
        said: it in words.
        late_ms: how much further apart the two messages were than planned; 0 where the order was kept.
        at_ns: when it showed.
    """

    place: str
    order: bool
    said: str
    late_ms: float
    at_ns: int

    def to_json(self) -> dict[str, Any]:
        return {"place": self.place, "order_kept": not self.order, "said": self.said, "late_ms": round(self.late_ms, 3)}


def slip_of(live: Recording, plan: Recording) -> Slip | None:
    """Where `live` left `plan` first; None where it never did."""
    found = [slip for place in ("host", "proxy", "upstream") if (slip := _slip(place, live, plan)) is not None]
    return min(found, key=lambda each: each.at_ns, default=None)


def _slip(place: str, live: Recording, plan: Recording) -> Slip | None:
    real, planned = list(_passed(place, live)), list(_passed(place, plan))
    for is_, should in zip(real, planned, strict=False):
        if is_[:3] == should[:3]:
            continue
        later, before = _by_name(real).get(should[:2]), _by_name(planned).get(is_[:2])
        if later is not None and before is not None and later.type == should.type and before.type == is_.type:
            late = (later.at_ns - is_.at_ns) + (before.at_ns - should.at_ns)
            room = (before.at_ns - should.at_ns) / _MS
            said = f"{should} came behind {is_}, before which it was planned by {room:.3g} ms: {late / _MS:.3g} ms too late"
            return Slip(place, True, said, late / _MS, is_.at_ns)
        return Slip(place, False, f"{is_}, where {should} was expected", 0.0, is_.at_ns)
    if len(real) == len(planned):
        return None
    if len(real) > len(planned):
        extra = real[len(planned)]
        return Slip(place, False, f"{extra}, where nothing was expected", 0.0, extra.at_ns)
    last = real[-1].at_ns if real else 0
    return Slip(place, False, f"nothing, where {planned[len(real)]} was expected", 0.0, last)


def _by_name(passed: list[_Passed]) -> Mapping[tuple[Link, int], _Passed]:
    return {(each.link, each.number): each for each in passed}


def _passed(place: str, recording: Recording) -> Iterator[_Passed]:
    """What passed at a place, in order: what came, and of our own parties what they sent. What a proxy sends follows."""
    inside = _HOST if place == "host" else (place,)
    numbers: dict[Link, int] = {}
    found: list[tuple[int, int, _Passed]] = []
    for event in recording.events:
        if event.kind != "message":
            continue
        number = numbers.get(event.link, 0)
        numbers[event.link] = number + 1
        here = (event.link.receiver in inside, event.link.sender in inside)
        at = event.received_ns if here[0] else event.sent_ns
        if here[0] == here[1] or (here[1] and place == "proxy") or at is None:
            continue
        # In one instant what came is the cause of what was sent.
        found.append((at, int(here[1]), _Passed(event.link, number, event.type, at)))
    for _, _, each in sorted(found, key=lambda one: one[:2]):
        yield each
