"""Replays a running proxy's recorded exchange to a model and compares the messages. Needs no Node.js and no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from voicerace.captures.timers import Timers
from voicerace.conformance.compare import Difference, Signatures, differences
from voicerace.model.actors.actor import Close, Effect, Effects, Send
from voicerace.model.actors.proxy import Proxy
from voicerace.model.catalog.releases import ProxyRelease
from voicerace.trace.recording import Event, Recording
from voicerace.units import ns

__all__ = ["replay"]


#: Maximum times in ns after and before the end of the model's timer within which the proxy may send. The proxy's timer ran
#: in real time and started while the script's clock was stopped (`ComparedProxy.silence`).
_LATE_NS, _EARLY_NS = ns(200), ns(100)


class _Step(NamedTuple):
    """An input or the end of a timer, with the proxy's reaction.

    Attributes:
        given: the input; None at the end of a timer.
        at_ns: time of the input or of the reaction.
        sent: messages and closes that the proxy sent at this time.
    """

    given: Event | None
    at_ns: int
    sent: list[Effect]


def replay(recording: Recording, release: ProxyRelease) -> list[Difference]:
    """Return the differences between the model of `release` and the proxy of the recording.

    Args:
        recording: a recording of `ComparedProxy`, with the events in the order in which the proxy handled them.
        release: the release of the model.
    """
    model = _TimedModel(release)
    model_signatures, real_signatures = Signatures(), Signatures()
    found: list[Difference] = []
    for number, step in enumerate(_steps(recording)):
        found += differences(
            number, "a timer, before its time", model_signatures.of(model.too_early(step)), real_signatures.of(())
        )
        cause, expected = model.take(step)
        found += differences(number, cause, model_signatures.of(expected), real_signatures.of(step.sent))
    return found


class _TimedModel:
    """A model whose timers run on the recording's clock."""

    def __init__(self, release: ProxyRelease) -> None:
        self.proxy = Proxy(release)
        self.timers = Timers()

    def too_early(self, step: _Step) -> Effects:
        """Return the model's effects of timers that end more than `_LATE_NS` before the proxy sends.

        This call advances the model's timers.
        """
        return self.timers.until(step.at_ns - _LATE_NS, self.proxy) if step.given is None else ()

    def take(self, step: _Step) -> tuple[str, Effects]:
        """Give a step to the model and return (name of the step, the model's effects)."""
        given = step.given
        if given is None:
            return "a timer", self.timers.until(step.at_ns + _EARLY_NS, self.proxy)
        overdue = self.timers.until(step.at_ns, self.proxy)
        sender = given.link.sender
        if given.kind == "open":
            self.proxy, self.timers = self.proxy.renew(), Timers()
            return "the host connects again", overdue
        if given.kind == "close":
            code = given.payload.get("code") if isinstance(given.payload, Mapping) else None
            cause, effects = f"{sender} closes", self.proxy.closed(sender, code)
        else:
            cause, effects = f"{sender}: {given.type}", self.proxy.message(sender, given.payload)
        self.timers.note(step.at_ns, effects)
        return cause, [*overdue, *effects]


def _steps(recording: Recording) -> Iterator[_Step]:
    """Yield the steps of a recording: each input with the messages that the proxy sent at the same time."""
    step: _Step | None = None
    for event in recording.events:
        if event.link.receiver == "proxy":
            if step is not None:
                yield step
            step = _Step(event, event.received_ns or 0, [])
            continue
        if step is None or event.sent_ns != step.at_ns:
            # there is no input at this time, so a timer of the proxy caused the message
            if step is not None:
                yield step
            step = _Step(None, event.sent_ns or 0, [])
        code = event.payload.get("code") if event.kind == "close" and isinstance(event.payload, Mapping) else None
        step.sent.append(
            Close(event.link.receiver, code) if event.kind == "close" else Send(event.link.receiver, event.payload)
        )
    if step is not None:
        yield step
