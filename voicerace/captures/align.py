"""Align two captures of one session to one clock: a browser's HAR and a proxy's log, or any two captures of the host link.

A message cannot arrive before it was sent. Each message from the host therefore gives an upper bound on the offset between the
two clocks. Each message to the host gives a lower bound. The reported offset is the middle of the bounds. Its uncertainty is
half the distance between the bounds. Without messages in both directions, no offset is reported.

Several sessions of a proxy can have the same messages from the host. Sessions whose times contradict the host's capture are
excluded. Of the remaining sessions, the one nearest in absolute time is chosen. The others are listed in `Aligned.could_be`.
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
#: Maximum number of proxy sessions tried per host session, if their messages from the host are the same.
_TRIED: Final = 50


@dataclass(frozen=True)
class Aligned:
    """One session captured at the host and at the proxy.

    Attributes:
        host: the session in the host's capture.
        proxy: the session in the proxy's capture.
        recording: the session on the proxy's clock. Each shared message has the send time, the receive time, and the payload
            from the host's capture.
        offset_ms: the proxy's clock minus the host's in ms (the middle of the bounds); None if a bound is missing.
        low_ms: lower bound on the offset in ms; None without a message to the host.
        high_ms: upper bound on the offset in ms; None without a message from the host.
        shared: number of messages in both captures.
        consistent: False if the lower bound exceeds the upper bound, because the sessions differ or a clock was adjusted.
        of_machines: True if both files have absolute times, so that the offset compares the machines' clocks; False if it
            compares the files' zero times.
        could_be: names of the other sessions of the proxy that match equally.
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
        """Return the maximum error of `offset_ms` in ms; None if a bound is missing."""
        return None if self.low_ms is None or self.high_ms is None else (self.high_ms - self.low_ms) / 2

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that `inspect --with --json` prints."""
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
        """Return a description of the alignment on one line."""
        names = f"{self.host.connection} is {self.proxy.connection}"
        if self.offset_ms is None or self.uncertainty_ms is None:
            return f"{names}: {self.shared} shared messages, all in one direction: the offset has only one bound"
        if not self.consistent:
            return f"{names}: the bounds contradict each other: different sessions, or a clock was adjusted"
        offset = f"{self.offset_ms:.3f} ms ± {self.uncertainty_ms:.3f} ms"
        what = f"the proxy's clock minus the host's is {offset}"
        if not self.of_machines:
            what = f"0 ms in the host's file is {offset} in the proxy's file"
        others = f"; it could be {', '.join(self.could_be)} as well" if self.could_be else ""
        return f"{names}: {what} ({self.shared} shared messages){others}"


def pairs_of(host: Capture, proxy: Capture) -> list[Aligned]:
    """Pair each session of the host's capture with a proxy session that has the same messages from the host in the same order.

    Raises:
        InputError: no session is in both captures.
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
        raise InputError(proxy.name, f"no session of {host.name}", "two files of the same session")
    return found


def aligned(host: CapturedSession, proxy: CapturedSession) -> Aligned:
    """Align two captures of one session to the proxy's clock.

    A proxy's log contains messages to the host only as derived events, with the times of log records in whole ms.
    """
    highs: list[int] = []
    lows: list[int] = []
    shared = dict(_shared(host.recording, proxy.completed))
    for seq, other in shared.items():
        at_proxy = _by_seq(proxy.completed)[seq].at_ns("proxy")
        at_host = other.at_ns("component")
        if at_proxy is None or at_host is None:
            continue
        # A message from the host gives an upper bound. A message to the host gives a lower bound.
        (highs if other.link == COMPONENT_TO_PROXY else lows).append(at_proxy - at_host)
    # A log truncates times to milliseconds, so the true time may be up to 1 ms later. A browser that reports whole
    # milliseconds truncates or rounds, so the true time may be up to 1 ms earlier or later.
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


def _step_ns(of: Recording, actor: str) -> int:
    """Return the resolution of a recording's times in ns: 1 ms if all are whole milliseconds, else 0."""
    times = [at for event in of.events if (at := event.at_ns(actor)) is not None]
    return _MS_NS if of.clock == "log" and all(at % _MS_NS == 0 for at in times) else 0


def _has_clock(of: Recording) -> bool:
    return isinstance(of.provenance.get("file_start_us"), int)


def _ms(bound: int | None, between: int) -> float | None:
    return None if bound is None else ms(bound + between)


def _between_ns(host: Recording, proxy: Recording) -> int:
    """Return the time in ns from the host file's zero to the proxy file's zero; 0 if a file has no absolute times."""
    first, second = (each.provenance.get("file_start_us") for each in (host, proxy))
    return (second - first) * 1000 if isinstance(first, int) and isinstance(second, int) else 0


def _merged(event: Event, other: Event | None, offset: int | None) -> Event:
    """Return a proxy's event with the payload of the host's event, and with the host's time plus `offset` (ns)."""
    if other is None:
        return event
    payload = other.payload if isinstance(other.payload, Mapping) else event.payload
    at = other.at_ns("component")
    there = None if offset is None or at is None else at + offset
    here = event.at_ns("proxy")
    sent, received = (there, here) if event.link == COMPONENT_TO_PROXY else (here, there)
    return replace(event, sent_ns=sent, received_ns=received, payload=payload)


def _shared(host: Recording, proxy: Recording) -> Iterator[tuple[int, Event]]:
    """Yield (seq in the proxy's recording, event in the host's recording) for each message in both captures.

    Messages of one type are matched in order if both captures have the same number of them.
    """
    for link in (COMPONENT_TO_PROXY, PROXY_TO_COMPONENT):
        at_host, at_proxy = _by_type(host, link), _by_type(proxy, link)
        for kind, events in at_host.items():
            if len(others := at_proxy.get(kind, [])) == len(events):
                yield from ((other.seq, event) for other, event in zip(others, events, strict=True))


def _by_type(recording: Recording, link: Link) -> dict[str, list[Event]]:
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
