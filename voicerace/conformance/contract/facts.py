"""What a fact is, and what an experiment answers. Data only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from voicerace.conformance.contract.client import Client, ReceivedEvent

__all__ = ["Answer", "Experiment", "Fact", "FactState", "Known", "broken", "held", "unknown"]

FactState: TypeAlias = Literal["held", "broken", "unknown"]
#: How much is known of a fact before an experiment; see `conformance.contract.table`.
Known: TypeAlias = Literal["settled", "bounded", "open"]


@dataclass(frozen=True)
class Answer:
    """What an experiment came to.

    Attributes:
        state: the fact held, was broken, or the experiment could not tell.
        seen: what was seen, in a sentence without its full stop.
        trace: the messages that decide it.
    """

    state: FactState
    seen: str
    trace: tuple[ReceivedEvent, ...] = ()


def held(seen: str, *trace: ReceivedEvent) -> Answer:
    return Answer("held", seen, trace)


def broken(seen: str, *trace: ReceivedEvent) -> Answer:
    return Answer("broken", seen, trace)


def unknown(seen: str, *trace: ReceivedEvent) -> Answer:
    return Answer("unknown", seen, trace)


#: Talks to a fresh connection and answers; raises `InconclusiveError` where it cannot.
Experiment: TypeAlias = Callable[[Client], Awaitable[Answer]]


@dataclass(frozen=True)
class Fact:
    """One row of the contract.

    Attributes:
        name: of its recording's file, and in JSON.
        statement: what the mock does without any knob, as a claim about the API.
        state: how much is known of it without an experiment.
        where: what it is about.
        experiment: what tries it, on a connection of its own; None when nothing does.
        untried: why nothing does; empty for what is computed from all recordings.
    """

    name: str
    statement: str
    state: Known
    where: str
    experiment: Experiment | None = None
    untried: str = ""
