"""Measure times in captures as values for sweeps (`TimeProfile`), and estimate the round trip of the upstream link.

The names of times are those in `model.catalog.profiles.TIMES`. Times are measured at the proxy. The delay of a result contains
the host's round trip, which is therefore set to 0. Times across the upstream link contain the link's round trip, which is
subtracted. The round trip is measured if both ends share a clock. Otherwise the time of the quickest answer to the proxy is
used as an upper bound. `TimeProfile.notes` states these assumptions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from voicerace.captures.reader import HAR, Capture
from voicerace.captures.session_summary import CapturedSession
from voicerace.captures.show import quantiles, times_of
from voicerace.errors import InputError
from voicerace.experiments.achieved_times import measured
from voicerace.files import write_text
from voicerace.model.protocol.ledger import Ledger
from voicerace.trace.recording import Recording
from voicerace.units import ms

__all__ = ["Network", "TimeProfile", "network_of"]

#: Names of times between two messages of the API, which do not contain a round trip.
_SERVER: Final = ("first_item_ms", "arguments_ms", "call_gap_ms", "reply_ms", "reply_gap_ms")


@dataclass(frozen=True)
class TimeProfile:
    """Times of captured sessions.

    Attributes:
        values: name of a time -> its measured values in ms, at least one.
        fixed: name of a time -> one inferred value in ms.
        notes: assumptions, one sentence each.
    """

    values: Mapping[str, tuple[float, ...]]
    fixed: Mapping[str, float]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, *captures: Capture) -> Self:
        """Collect the times of all sessions of the captures.

        Raises:
            InputError: no session has times of a call and its result, or of a call and its response.done.
        """
        delays = [each for of in captures for each in times_of(of, "result_delay_ms")]
        gaps = [each for of in captures for each in times_of(of, "gap_ms")]
        for name, found in (("a result", delays), ("response.done", gaps)):
            if not found:
                raise InputError(
                    "capture", f"no time from a call to {name}", "a capture of the proxy, with a call and its result"
                )
        values = {"tool_ms": _positive(delays), "gap_ms": _positive(gaps)}
        across: dict[str, list[float]] = {"create_ms": [], "ack_ms": []}
        server: dict[str, list[float]] = {name: [] for name in _SERVER}
        for of in _sessions(captures):
            across["create_ms"] += _created(of.completed)
            across["ack_ms"] += [race.ack_ms for race in of.races if race.ack_ms is not None]
            own = measured(of.completed)
            for name, times in server.items():
                times += own.get(name, ())
        network = network_of(_sessions(captures))
        values |= {name: _positive(each - network.rtt_ms for each in found) for name, found in across.items() if found}
        values |= {name: _positive(found) for name, found in server.items() if found}
        delay = "tool_ms is the delay at the proxy: it contains the host's round trip, which is set to 0."
        if any(each.format == HAR for each in captures):
            delay = "tool_ms is the delay in the browser: it excludes the host's round trip, which is assumed to be 0."
        return cls(values, {"host_rtt_ms": 0.0, "upstream_rtt_ms": network.rtt_ms}, (delay, network.sentence))

    def rows(self) -> list[dict[str, Any]]:
        """Return one object per time, with its name, the number of values and their quantiles in ms."""
        measured_ = [{"time": name, **quantiles(found)} for name, found in self.values.items()]
        return measured_ + [{"time": name, **quantiles([value])} for name, value in self.fixed.items()]

    def write(self, folder: Path) -> dict[str, str]:
        """Write one CSV file per measured time, and return all times as parameters of a `SweepSpec` or a session.

        Raises:
            InputError: a file exists or cannot be written.
        """
        times = {name: f"{value:g}" for name, value in self.fixed.items()}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, found in self.values.items():
                path = folder / f"{name}.csv"
                if path.exists():
                    raise InputError("times", f"{path} already exists", "a new folder")
                write_text(path, "".join(f"{each}\r\n" for each in (name, *(f"{each:g}" for each in found))))
                times[name] = f"@{path}"
        except OSError as error:
            raise InputError("times", f"{folder}: {error.strerror or 'cannot be written'}", "a folder") from None
        return times


def _sessions(captures: Iterable[Capture]) -> Iterator[CapturedSession]:
    return (of for each in captures for of in each.sessions)


@dataclass(frozen=True)
class Network:
    """An estimate of the round trip between proxy and API.

    Attributes:
        rtt_ms: round trip in ms, or an upper bound on the round trip; 0 if unknown.
        known: whether `rtt_ms` was measured.
        sentence: description of the source of `rtt_ms`.
    """

    rtt_ms: float
    known: bool
    sentence: str


def network_of(sessions: Iterable[CapturedSession]) -> Network:
    """Estimate the upstream round trip from all sessions.

    The answers to the proxy are confirmations of results, response.created, and refusals. A derived send has the time of its
    cause. A log truncates times to milliseconds, so 1 ms is added to an upper bound.
    """
    both: list[float] = []
    found: list[float] = []
    for of in sessions:
        both += measured(of.completed).get("upstream_rtt_ms", ())
        own = [race.ack_ms for race in of.races if race.ack_ms is not None]
        own += [*_created(of.completed), *_answered(of.completed, "refused")]
        step = 1.0 if of.recording.clock == "log" else 0.0
        found += [each + step for each in own if each >= 0]
    if both:
        rtt = sorted(both)[len(both) // 2]
        return Network(rtt, True, f"The upstream round trip was {rtt:g} ms: the capture has both ends.")
    if not found:
        return Network(
            0.0,
            False,
            "The upstream round trip is unknown and assumed to be 0: the capture has no answer to a message of the proxy.",
        )
    rtt = min(found)
    return Network(
        rtt,
        False,
        f"The upstream round trip is at most {rtt:g} ms, the quickest answer to a message of the proxy. This value is assumed "
        "and subtracted from times across that link.",
    )


def _created(recording: Recording) -> list[float]:
    """Return the time in ms at the proxy from each response.create to its response.created."""
    return _answered(recording, "response")


def _answered(recording: Recording, how: str) -> list[float]:
    """Return the time in ms at the proxy from each response.create to its answer, for answers of the kind `how`."""
    ledger = Ledger()
    by_seq = {event.seq: event for event in recording.events}
    for event in recording.ordered("proxy"):
        if "upstream" in event.link and event.kind == "message" and event.arrived:
            ledger.feed(event.link.sender, event.payload, event.seq)
    found = []
    for create in ledger.creates:
        if create.answer == how and create.answered is not None:
            since, until = (by_seq[seq].at_ns("proxy") for seq in (create.key, create.answered))
            if since is not None and until is not None and until >= since:
                found.append(ms(until - since))
    return found


def _positive(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(max(0.0, each) for each in values)
