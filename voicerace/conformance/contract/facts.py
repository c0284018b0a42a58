"""Types of the contract: a fact, and an experiment's answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from voicerace.conformance.contract.client import Client, ReceivedEvent

__all__ = ["Experiment", "Fact", "FactAnswer", "FactState", "Known", "broken", "held", "unknown"]

FactState: TypeAlias = Literal["held", "broken", "unknown"]
#: Strength of the evidence for a fact without an experiment; see `conformance.contract.table`.
Known: TypeAlias = Literal["settled", "bounded", "open"]


@dataclass(frozen=True)
class FactAnswer:
    """An experiment's answer.

    Attributes:
        state: ``held``, ``broken``, or ``unknown`` if the experiment did not decide.
        seen: the observation, as a sentence without its full stop.
        trace: the messages that decide the state.
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


#: A function that tests a fact on a new connection and returns the answer. It raises `InconclusiveError` if it has no answer.
Experiment: TypeAlias = Callable[[Client], Awaitable[FactAnswer]]


@dataclass(frozen=True)
class Fact:
    """One row of the contract.

    Attributes:
        name: name in JSON, and stem of the recording's file name.
        statement: behaviour of the mock with default knobs, stated as a claim about the API.
        state: strength of the evidence without an experiment.
        where: heading of the fact's group in the table.
        experiment: function that tests the fact; None if there is none.
        untried: reason why there is no experiment; empty if there is one, or if the fact is computed from all recordings.
    """

    name: str
    statement: str
    state: Known
    where: str
    experiment: Experiment | None = None
    untried: str = ""
