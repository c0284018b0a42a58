"""Types of the contract: a fact, and the answer of an experiment. Data only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from voicerace.conformance.contract.client import Client, ReceivedEvent

__all__ = ["Experiment", "Fact", "FactAnswer", "FactState", "Known", "broken", "held", "unknown"]

FactState: TypeAlias = Literal["held", "broken", "unknown"]
#: Evidence about a fact before an experiment; see `conformance.contract.table`.
Known: TypeAlias = Literal["settled", "bounded", "open"]


@dataclass(frozen=True)
class FactAnswer:
    """The answer of an experiment.

    Attributes:
        state: the fact held, was broken, or the experiment did not decide.
        seen: the observation, as a sentence without its full stop.
        trace: the messages that decide it.
    """

    state: FactState
    seen: str
    trace: tuple[ReceivedEvent, ...] = ()


def held(seen: str, *trace: ReceivedEvent) -> FactAnswer:
    return FactAnswer("held", seen, trace)


def broken(seen: str, *trace: ReceivedEvent) -> FactAnswer:
    return FactAnswer("broken", seen, trace)


def unknown(seen: str, *trace: ReceivedEvent) -> FactAnswer:
    return FactAnswer("unknown", seen, trace)


#: Uses a new connection and returns an answer; raises `InconclusiveError` if there is none.
Experiment: TypeAlias = Callable[[Client], Awaitable[FactAnswer]]


@dataclass(frozen=True)
class Fact:
    """One row of the contract.

    Attributes:
        name: stem of its recording's file, and name in JSON.
        statement: behaviour of the mock without knobs, as a claim about the API.
        state: evidence without an experiment.
        where: group in the table.
        experiment: tests the fact on its own connection; None if there is none.
        untried: why there is no experiment; empty if the fact is computed from all recordings.
    """

    name: str
    statement: str
    state: Known
    where: str
    experiment: Experiment | None = None
    untried: str = ""
