"""A recorded exchange of a running proxy, given to a model again: no Node, no network, the same comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from voicerace.conformance.compare import Difference, Signatures, differences
from voicerace.parties.party import Cancel, Close, Effect, Effects, Send, SetTimer
from voicerace.parties.proxy import Proxy
from voicerace.recording import Event, Recording
from voicerace.tables.profiles import PROXY_TIMES_MS
from voicerace.tables.releases import ProxyRelease
from voicerace.units import ns

__all__ = ["replay"]


class _Step(NamedTuple):
    """One input, or None where the proxy spoke by itself, and what it sent then."""

    given: Event | None
    at_ns: int
    sent: list[Effect]


def replay(recording: Recording, release: ProxyRelease) -> list[Difference]:
    """Where the model of `release` differs from what the proxy of the recording did.

    Args:
        recording: as `ComparedProxy.recording` makes it: events in the order in which the proxy handled them.
        release: the row that the model reads.
    """
    model = _TimedModel(release)
    model_words, real_words = Signatures(), Signatures()
    found: list[Difference] = []
    for number, step in enumerate(_steps(recording)):
        cause, expected = model.take(step)
        found += differences(number, cause, model_words.of(expected), real_words.of(step.sent))
    return found


class _TimedModel:
    """A model whose one timer runs on the recording's clock."""

    def __init__(self, release: ProxyRelease) -> None:
        self.proxy = Proxy(release)
        self.due_ns: int | None = None

    def take(self, step: _Step) -> tuple[str, Effects]:
        """What the model sends in a step, and the step's name."""
        overdue: Effects = ()
        if self.due_ns is not None and step.at_ns >= self.due_ns:
            overdue = self._run(step.at_ns, self.proxy.timer("recovery"))
        given = step.given
        if given is None:
            return "timer recovery", overdue
        sender = given.link.sender
        if given.kind == "close":
            code = given.payload.get("code") if isinstance(given.payload, Mapping) else None
            return f"{sender} closes", [*overdue, *self._run(step.at_ns, self.proxy.closed(sender, code))]
        effects = self._run(step.at_ns, self.proxy.message(sender, given.payload))
        return f"{sender}: {given.type}", [*overdue, *effects]

    def _run(self, now_ns: int, effects: Effects) -> Effects:
        for effect in effects:
            if isinstance(effect, SetTimer):
                self.due_ns = now_ns + ns(PROXY_TIMES_MS[effect.after])
            elif isinstance(effect, Cancel):
                self.due_ns = None
        return effects


def _steps(recording: Recording) -> Iterator[_Step]:
    """Group the events: an input, and all that was sent before the next one at the same time."""
    step: _Step | None = None
    for event in recording.events:
        if event.link.receiver == "proxy":
            if step is not None:
                yield step
            step = _Step(event, event.received_ns or 0, [])
            continue
        if step is None or event.sent_ns != step.at_ns:
            # Nothing came in at this time: one of the proxy's timers ran out.
            if step is not None:
                yield step
            step = _Step(None, event.sent_ns or 0, [])
        code = event.payload.get("code") if event.kind == "close" and isinstance(event.payload, Mapping) else None
        step.sent.append(
            Close(event.link.receiver, code) if event.kind == "close" else Send(event.link.receiver, event.payload)
        )
    if step is not None:
        yield step
