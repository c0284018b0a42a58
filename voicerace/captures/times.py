"""The times that captures show, as values a sweep draws from (`TimeProfile`), and what they tell of the network.

Names are those of `model.catalog.profiles.TIMES`. What a capture of the proxy shows is what the proxy saw, so two things are
taken for granted, and said in `TimeProfile.notes`: the result's delay contains the host's round trip (which is then 0),
and what was measured across the upstream's link contains that link's round trip, which is known where both ends were on
one clock, and elsewhere at most the quickest answer to anything the proxy sent.
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

#: Between two events of one direction.
_SERVER: Final = ("first_item_ms", "arguments_ms", "call_gap_ms", "reply_ms", "reply_gap_ms")


@dataclass(frozen=True)
class TimeProfile:
    """Measured times of captured sessions.

    Attributes:
        values: time name -> every value that was measured, in ms, at least one each.
        fixed: time name -> the one value that was inferred rather than measured.
        notes: what was taken for granted, in sentences.
    """

    values: Mapping[str, tuple[float, ...]]
    fixed: Mapping[str, float]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, *captures: Capture) -> Self:
        """The times of all sessions of some captures.

        Raises:
            InputError: no session has both a call's result and a response.done behind a call.
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
        delay = "tool_ms is the delay as the proxy saw it: it contains the host's round trip, which is 0 here."
        if any(each.format == HAR for each in captures):
            delay = "tool_ms is the delay as the browser saw it: the host's round trip is not in it, and taken to be 0."
        return cls(values, {"host_rtt_ms": 0.0, "upstream_rtt_ms": network.rtt_ms}, (delay, network.sentence))

    def rows(self) -> list[dict[str, Any]]:
        """Per time: how many values and their quantiles."""
        measured_ = [{"time": name, **quantiles(found)} for name, found in self.values.items()]
        return measured_ + [{"time": name, **quantiles([value])} for name, value in self.fixed.items()]

    def write(self, folder: Path) -> dict[str, str]:
        """Write a CSV file per measured time; the times for a `SweepSpec` or a `Session`, in the one grammar.

        Raises:
            InputError: a file is there already, or cannot be written.
        """
        times = {name: f"{value:g}" for name, value in self.fixed.items()}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, found in self.values.items():
                path = folder / f"{name}.csv"
                if path.exists():
                    raise InputError("times", f"{path} is there already", "a new folder")
                write_text(path, "".join(f"{each}\r\n" for each in (name, *(f"{each:g}" for each in found))))
                times[name] = f"@{path}"
        except OSError as error:
            raise InputError("times", f"{folder}: {error.strerror or 'cannot be written'}", "a folder") from None
        return times


def _sessions(captures: Iterable[Capture]) -> Iterator[CapturedSession]:
    return (of for each in captures for of in each.sessions)


@dataclass(frozen=True)
class Network:
    """The round trip between proxy and upstream.

    Attributes:
        rtt_ms: the longest it can be; 0 where nothing tells.
        known: it is that; else it lies between nothing and that.
        sentence: where it is from.
    """

    rtt_ms: float
    known: bool
    sentence: str


def network_of(sessions: Iterable[CapturedSession]) -> Network:
    """What captured sessions tell of the network, as one.

    Answers are a result's confirmation, a response.created and a refusal. Of derived sends the time is their cause's, and
    of a log, whose times are cut to their millisecond, one more is possible.
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
        return Network(rtt, True, f"The upstream's round trip was {rtt:g} ms: both its ends are in the capture.")
    if not found:
        return Network(
            0.0, False, "The upstream's round trip is not known, and taken to be 0: nothing the proxy sent was answered."
        )
    rtt = min(found)
    return Network(
        rtt,
        False,
        f"The upstream's round trip is at most {rtt:g} ms, the quickest answer to anything the proxy sent. It is taken to be "
        "that, and taken off what was measured across that link.",
    )


def _created(recording: Recording) -> list[float]:
    """From each create to its response.created, at the proxy."""
    return _answered(recording, "response")


def _answered(recording: Recording, how: str) -> list[float]:
    """From each create that was answered so to its answer, at the proxy."""
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
