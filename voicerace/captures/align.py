"""Two files of one session on one clock: the browser's HAR and the proxy's log, or any two that saw the host link.

A message cannot arrive before it was sent. So every message from the host bounds the offset of the two clocks from one
side, every message to the host from the other; the truth lies between, and half of what is left is the uncertainty. With
no message in one direction the offset is bounded on one side only, and that is said instead of a number.

Sessions of one app look alike. Of those that have the same messages from the host, one whose times contradict the host's is
not it; of the others the nearest by the two clocks is taken, and those that it could be as well are named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from voicerace.captures.reader import Capture
from voicerace.captures.session_summary import CapturedSession
from voicerace.errors import InputError
from voicerace.trace.recording import COMPONENT_TO_PROXY, PROXY_TO_COMPONENT, Event, Link, Recording
from voicerace.units import ms

__all__ = ["Aligned", "aligned", "pairs_of"]

_MS_NS: Final = 1_000_000
#: Of sessions that look alike, so many are tried.
_TRIED: Final = 50


@dataclass(frozen=True)
class Aligned:
    """One session seen at the host and at the proxy.

    Attributes:
        host, proxy: the two views.
        recording: on the proxy's clock; messages of the host link that both saw have both times and the host's contents.
        offset_ms: the proxy's clock less the host's; the middle of what is possible, None when one side is open.
        of_machines: of the two machines' clocks, for both files have absolute times; else each file's time counts from its
            own zero.
        low_ms, high_ms: its bounds; None where no message gives one.
        shared: messages that both saw.
        consistent: False when the bounds contradict each other: not one session, or a clock that was set meanwhile.
        could_be: other sessions of the proxy that it could be as well.
    """

    host: CapturedSession
    proxy: CapturedSession
    recording: Recording
    offset_ms: float | None
    low_ms: float | None
    high_ms: float | None
    shared: int
    consistent: bool
    of_machines: bool
    could_be: tuple[str, ...] = ()

    @property
    def uncertainty_ms(self) -> float | None:
        """How far the truth can be from `offset_ms`, to either side."""
        return None if self.low_ms is None or self.high_ms is None else (self.high_ms - self.low_ms) / 2

    def to_json(self) -> dict[str, Any]:
        """The offset and its bounds."""
        return {
            "host_session": self.host.connection,
            "proxy_session": self.proxy.connection,
            "offset_ms": self.offset_ms,
            "uncertainty_ms": self.uncertainty_ms,
            "low_ms": self.low_ms,
            "high_ms": self.high_ms,
            "shared_messages": self.shared,
            "consistent": self.consistent,
            "of_machines": self.of_machines,
            "could_be": list(self.could_be),
        }

    def line(self) -> str:
        """The same in a line."""
        names = f"{self.host.connection} is {self.proxy.connection}"
        if self.offset_ms is None or self.uncertainty_ms is None:
            return f"{names}: {self.shared} shared messages, all of one direction: the offset is bounded on one side only"
        if not self.consistent:
            return f"{names}: the bounds contradict each other: not one session, or a clock was set meanwhile"
        what = "the proxy's clock less the host's is" if self.of_machines else "0 ms of the host's file is, in the proxy's, at"
        others = f"; it could be {', '.join(self.could_be)} as well" if self.could_be else ""
        return (
            f"{names}: {what} {self.offset_ms:.3f} ms, give or take {self.uncertainty_ms:.3f} ms "
            f"({self.shared} shared messages){others}"
        )


def pairs_of(host: Capture, proxy: Capture) -> list[Aligned]:
    """The sessions of a host's capture with those of a proxy's that have the same messages from the host, in order.

    Raises:
        InputError: no session is in both.
    """
    left = {number: _types(of.recording) for number, of in enumerate(proxy.sessions)}
    found = []
    for each in host.sessions:
        own = _types(each.recording)
        alike = {number: proxy.sessions[number] for number, types in left.items() if own and types == own}
        nearest = sorted(alike, key=lambda number: abs(_between_ns(each.recording, alike[number].recording)))[:_TRIED]
        made = {number: aligned(each, alike[number]) for number in nearest}
        fits = [number for number, of in made.items() if of.consistent] or nearest
        if fits:
            fits.sort(key=lambda number: abs(made[number].offset_ms or 0) if made[number].of_machines else number)
            del left[fits[0]]
            found.append(replace(made[fits[0]], could_be=tuple(alike[number].connection for number in fits[1:])))
    if not found:
        raise InputError(proxy.name, f"no session of {host.name} in it", "two files of the same session")
    return found


def aligned(host: CapturedSession, proxy: CapturedSession) -> Aligned:
    """Two views of one session on the proxy's clock.

    What the proxy sent to the host is in a log only as far as it is derived: its times are the log's, to a millisecond.
    """
    highs: list[int] = []
    lows: list[int] = []
    shared = dict(_shared(host.recording, proxy.completed))
    for seq, other in shared.items():
        at_proxy = _by_seq(proxy.completed)[seq].at_ns("proxy")
        at_host = other.at_ns("component")
        if at_proxy is None or at_host is None:
            continue
        # Sent at the host, handled at the proxy: the proxy's reading is not earlier than the offset allows.
        (highs if other.link == COMPONENT_TO_PROXY else lows).append(at_proxy - at_host)
    # A log's time is cut to its millisecond: the truth may be so much later. A browser's that has no finer one is cut or
    # rounded: the truth may lie to either side.
    step = _step_ns(host.recording, "component")
    high = min(highs) + _step_ns(proxy.recording, "proxy") + step if highs else None
    low = max(lows) - step if lows else None
    middle = None if low is None or high is None else (low + high) // 2
    between = _between_ns(host.recording, proxy.recording)
    events = [_merged(event, shared.get(event.seq), middle) for event in proxy.completed.events]
    return Aligned(
        host,
        proxy,
        replace(proxy.completed, events=tuple(events)),
        _ms(middle, between),
        _ms(low, between),
        _ms(high, between),
        len(shared),
        low is None or high is None or low <= high,
        _has_clock(host.recording) and _has_clock(proxy.recording),
    )


def _step_ns(of: Recording, party: str) -> int:
    """How far from what it says a time of this file may be: a millisecond where it has whole ones only."""
    times = [at for event in of.events if (at := event.at_ns(party)) is not None]
    return _MS_NS if of.clock == "log" and all(at % _MS_NS == 0 for at in times) else 0


def _has_clock(of: Recording) -> bool:
    return isinstance(of.provenance.get("file_start_us"), int)


def _ms(bound: int | None, between: int) -> float | None:
    return None if bound is None else ms(bound + between)


def _between_ns(host: Recording, proxy: Recording) -> int:
    """From the host's file's zero to the proxy's, by their own clocks; 0 where a file has no absolute times."""
    first, second = (each.provenance.get("file_start_us") for each in (host, proxy))
    return (second - first) * 1000 if isinstance(first, int) and isinstance(second, int) else 0


def _merged(event: Event, other: Event | None, offset: int | None) -> Event:
    """An event of the proxy's view with the host's time and content."""
    if other is None:
        return event
    payload = other.payload if isinstance(other.payload, Mapping) else event.payload
    at = other.at_ns("component")
    there = None if offset is None or at is None else at + offset
    here = event.at_ns("proxy")
    sent, received = (there, here) if event.link == COMPONENT_TO_PROXY else (here, there)
    return replace(event, sent_ns=sent, received_ns=received, payload=payload)


def _shared(host: Recording, proxy: Recording) -> Iterator[tuple[int, Event]]:
    """seq at the proxy -> the same message at the host: of each type, the n-th is the n-th, where both have as many."""
    for link in (COMPONENT_TO_PROXY, PROXY_TO_COMPONENT):
        ours, theirs = _of_types(host, link), _of_types(proxy, link)
        for kind, events in ours.items():
            if len(theirs.get(kind, ())) == len(events):
                yield from ((theirs[kind][at].seq, event) for at, event in enumerate(events))


def _of_types(recording: Recording, link: Link) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for event in recording.on(link):
        if event.kind == "message" and isinstance(event.payload, Mapping):
            found.setdefault(event.type, []).append(event)
    return found


def _types(recording: Recording) -> list[str]:
    events = recording.on(COMPONENT_TO_PROXY)
    return [event.type for event in events if event.kind == "message" and isinstance(event.payload, Mapping)]


def _by_seq(recording: Recording) -> dict[int, Event]:
    return {event.seq: event for event in recording.events}
