"""A recorded exchange of a running proxy, given to a model again: no Node, no network, the same comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from voicerace.conformance.compare import Difference, Signatures, differences
from voicerace.parties.party import Close, Effect, Effects, Send
from voicerace.parties.proxy import Proxy
from voicerace.recording import Event, Recording
from voicerace.tables.releases import ProxyRelease

__all__ = ["replay"]


class _Step(NamedTuple):
    """One input, or None where the proxy spoke by itself, and what it sent then."""

    given: Event | None
    sent: list[Effect]


def replay(recording: Recording, release: ProxyRelease) -> list[Difference]:
    """Where the model of `release` differs from what the proxy of the recording did.

    Args:
        recording: as `ComparedProxy.recording` makes it: events in the order in which the proxy handled them.
        release: the row that the model reads.
    """
    model = Proxy(release)
    model_words, real_words = Signatures(), Signatures()
    found: list[Difference] = []
    for number, step in enumerate(_steps(recording)):
        given = step.given
        effects: Effects
        if given is None:
            cause, effects = "timer recovery", model.timer("recovery")
        elif given.kind == "close":
            code = given.payload.get("code") if isinstance(given.payload, Mapping) else None
            cause, effects = f"{given.link.sender} closes", model.closed(given.link.sender, code)
        else:
            cause, effects = f"{given.link.sender}: {given.type}", model.message(given.link.sender, given.payload)
        found += differences(number, cause, model_words.of(effects), real_words.of(step.sent))
    return found


def _steps(recording: Recording) -> Iterator[_Step]:
    """Group the events: an input, and all that was sent before the next one at the same time."""
    step: _Step | None = None
    at: int | None = None
    for event in recording.events:
        if event.link.receiver == "proxy":
            if step is not None:
                yield step
            step, at = _Step(event, []), event.received_ns
            continue
        if step is None or event.sent_ns != at:
            # Nothing came in at this time: one of the proxy's timers ran out.
            if step is not None:
                yield step
            step, at = _Step(None, []), event.sent_ns
        code = event.payload.get("code") if event.kind == "close" and isinstance(event.payload, Mapping) else None
        step.sent.append(
            Close(event.link.receiver, code) if event.kind == "close" else Send(event.link.receiver, event.payload)
        )
    if step is not None:
        yield step
