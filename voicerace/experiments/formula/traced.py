"""Runs one session and returns its outcome with the conditions on the times under which the outcome is the same.

Actors read no clock, so a session depends on its times only through the order of the steps of each actor and through the
comparisons of the verdict. Both are linear conditions on the times. Steps whose order has no effect give no condition
(`voicerace.experiments.formula.independence`). A condition is strict if a tie has the other order.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from voicerace.analysis.trace_index import time_of
from voicerace.analysis.verdict import Judge
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import VirtualEngine
from voicerace.experiments.explore.keys import Base, timer_key
from voicerace.experiments.explore.memo import Memo
from voicerace.experiments.formula.independence import CLOSES, Step, dependent
from voicerace.experiments.formula.linear import Box, Condition, Linear, before, least, overlaps, recorded
from voicerace.model.actors.actor import Cancel, Close, Effect, Send, SetTimer
from voicerace.model.actors.stateful import copied
from voicerace.model.parameters import Times
from voicerace.model.protocol.ledger import Ledger
from voicerace.trace.recording import Event, Recording

__all__ = ["MissingTimeError", "Traced", "trace"]


@dataclass(frozen=True)
class Traced:
    """Outcome of a session, and the conditions under which it is the same.

    Attributes:
        outcome: the outcome.
        bad: whether it is bad (`Verdict.bad`).
        conditions: conditions on the named times that do not hold in the whole box; all hold at the session's times.
    """

    outcome: str
    bad: bool
    conditions: frozenset[Condition]


class MissingTimeError(LookupError):
    """A session uses a further value of a drawn time, which is not free.

    Attributes:
        name: its name, for example ``create_ms:2`` for the third value.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class _Times(Times):
    """Times of which some are `Linear` numbers, those of `several` one per value."""

    def __init__(self, times: Times, linear: Mapping[str, int], several: frozenset[str]) -> None:
        for name, value in linear.items():
            times = times if ":" in name else times.with_ns(name, value)
        super().__init__(times.values)
        object.__setattr__(self, "linear", {name: Linear.named(name, value) for name, value in linear.items()})
        object.__setattr__(self, "several", several)

    def ns(self, name: str, index: int, seed: int) -> int:
        linear: Mapping[str, Linear] = self.linear  # type: ignore[attr-defined]  # the class is frozen
        if name not in linear:
            return super().ns(name, index, seed)
        if index == 0 or name not in self.several:  # type: ignore[attr-defined]
            return linear[name]
        if (key := f"{name}:{index}") not in linear:
            raise MissingTimeError(key)
        return linear[key]


class _Engine(VirtualEngine):
    """An engine that notes the steps of each actor."""

    def __init__(self, session: SessionConfig, memo: Memo) -> None:
        self.memo = memo
        self.steps_of: dict[str, list[Step]] = {name: [] for name in memo.actors}
        self.stale: list[tuple[Any, Any]] = []
        self._cancelled: dict[int, Any] = {}
        self._due: Any = (0, 0, 0, -1)
        super().__init__(session)

    def _process(self, due: Any) -> None:
        self._due = due
        if due[3] in self._cancelled:
            self.stale.append((self._cancelled[due[3]], due))
        elif due[5] is None:
            self._note(due[6][0], "timer", due[6][1], None)
        elif due[6].kind == "close":
            self._note(due[5].receiver, "closed", (due[5].sender, due[6].payload["code"]), None)
        else:
            self._note(due[5].receiver, "message", due[5].sender, due[6].payload)
        super()._process(due)

    def _show(self, channel: Any, event: Event) -> None:
        self._note("user", "observe", (channel.sender, channel.receiver), event.payload)
        super()._show(channel, event)

    def _note(self, actor: str, method: str, text: Hashable, payload: Any) -> None:
        def play(state: Any) -> tuple[Any, Hashable, frozenset[str]]:
            new, effects = self.memo.call(actor, state, method, text, payload)[:2]
            changed = {each.name for each in effects if isinstance(each, SetTimer | Cancel)}
            if method == "timer":
                changed.add(str(text))
            if method == "closed" or any(isinstance(each, Close) for each in effects):
                changed.add(CLOSES)
            return new, tuple(self._key(each) for each in effects), frozenset(changed)

        self.steps_of[actor].append(Step(self._due[0], self._due[1:4], play))

    def _key(self, effect: Effect) -> Hashable:
        match effect:
            case Send(to, payload):
                return to, self.memo.message(payload, Base())
            case SetTimer(name, after, index):
                return timer_key(name, Base()), after, index
            case _:
                return effect

    def set_timer(self, actor: str, timer: SetTimer) -> None:
        self.cancel_timer(actor, timer.name)
        super().set_timer(actor, timer)

    def cancel_timer(self, actor: str, name: str) -> None:
        number = self._timers.get((actor, name))
        if number is not None:
            self._cancelled[number] = self._due
        super().cancel_timer(actor, name)


class _Judge(Judge):
    """A judge whose comparisons of positions at the upstream are conditions on times."""

    def __init__(self, recording: Recording) -> None:
        with recorded():
            super().__init__(recording)
        for seq, position in self.order.items():
            self.order[seq] = Linear.position(position, time_of(self.by_seq[seq], "upstream"), seq)

    def steps(self) -> list[Step]:
        return [Step(time_of(event := self.by_seq[seq], "upstream"), (seq,), _feed(event)) for seq in self.order]


def _feed(event: Event) -> Callable[[Ledger], tuple[Ledger, Hashable, frozenset[str]]]:
    def play(ledger: Ledger) -> tuple[Ledger, Hashable, frozenset[str]]:
        if event.link.sender == "upstream" and event.type not in Ledger.kinds:
            return ledger, None, frozenset()
        new = copied(ledger)
        new.feed(event.link.sender, event.payload, event.seq)
        return new, None, frozenset()

    return play


def trace(session: SessionConfig, values: Mapping[str, int], box: Box, several: frozenset[str] = frozenset()) -> Traced:
    """Run a session at a point and return its outcome and conditions.

    Args:
        session: the session. Its other times are constants.
        values: value in ns of each free time.
        box: (lowest, highest) value in ns of each free time.
        several: free times with one value per use, of which all after the first have names as ``create_ms:1``.

    Raises:
        MissingTimeError: a value of such a time is not in `values`.
    """
    session = replace(session, times=_Times(session.times, values, several))
    memo = Memo(session)
    engine = _Engine(session, memo)
    recording = engine.run()
    judge = _Judge(recording)
    with recorded() as found:
        verdict = judge.verdict()

    def condition(first: Any, second: Any) -> Condition | None:
        return before(first[0], second[0], strict=first[1] > second[1])

    def ordered(steps: Sequence[Step], state: Any, key: Callable[[Any], Hashable]) -> list[tuple[Any, Any]]:
        found = dependent(steps, state, key, overlaps([each.time_ns for each in steps], box))
        return [((a.time_ns, a.rank), (b.time_ns, b.rank)) for a, b in found]

    pairs = [(((a[0]), a[1:4]), (b[0], b[1:4])) for a, b in engine.stale]
    for name, steps in engine.steps_of.items():
        state = memo.call(name, memo.actors[name].state, "start")[0]
        pairs += ordered(steps, state, lambda each, name=name: memo.actor_key(name, each, Base()))  # type: ignore[misc]
    pairs += ordered(judge.steps(), Ledger(), repr)
    found |= {each for first, second in pairs if (each := condition(first, second)) is not None}
    kept = {each for each in found if (low := least(each[0], box)) < 0 or (low == 0 and each[1])}
    return Traced(verdict.outcome, verdict.bad, frozenset(kept))
