"""Stores the states of an exploration, without times, and the steps from each.

A stored state stands for all states with one key (`experiments.explore.keys`), which have the same future. Therefore its steps
are computed once, from the first of these states, and only zones are computed for each path. Moments are numbered per stored
state: 0 is now, and the others follow in the order of the key. Timers are named by their keys, because ids differ between paths
(`Named`, `actual`).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np

from voicerace.analysis.rules import LATE_NS
from voicerace.experiments.explore.bounds import Bounds, Interval
from voicerace.experiments.explore.keys import Base, timer_key
from voicerace.experiments.explore.state import Choice, InFlightMessage, State, Timer
from voicerace.experiments.explore.stepper import PATIENCE, Stepper
from voicerace.experiments.explore.zone import FREE, NEW
from voicerace.experiments.explore.zone_batch import Stack
from voicerace.model.protocol.ledger import Ledger
from voicerace.trace.recording import UPSTREAM_TO_PROXY, WIRES, Link

__all__ = ["LATE_US", "Move", "Named", "StateStep", "StateStore", "StoredState", "actual", "settled", "turned"]

#: Time in µs. A reply is late if it begins later than this after every event that could have released it.
LATE_US = LATE_NS // 1000

#: Name of a choice that is the same on every path to a state: a link, or (actor, key, duration) of a timer.
Named: TypeAlias = Link | tuple[str, tuple[Hashable, ...], str]
#: Actors that can depend on the arrival of a message from the upstream. The user observes the arrival.
_NEAR = ("proxy", "component", "app", "user")


class Move(NamedTuple):
    """Result of a choice.

    Attributes:
        to: next stored state.
        kept: for each moment of `to`, in order, its number in the previous stored state, or `NEW`.
        late: whether the response that began in this step was late, or None if lateness does not matter.
    """

    to: StoredState
    kept: tuple[int, ...]
    late: bool | None = None


class StateStep(NamedTuple):
    """Effect of a choice.

    Attributes:
        moves: one result, or two results if it matters whether a response begins late.
        watch: moment from which lateness is measured if there are two results, else None.
        follows: link of the step if its next message was sent together with the message that arrived, else None.
        turn_key: key of the turn's history if the step ends a turn, else None.
    """

    moves: tuple[Move, ...]
    watch: int | None
    follows: Link | None
    turn_key: int | None


@dataclass(eq=False)
class StoredState:
    """Represents all states with one key.

    Attributes:
        state: the first of these states; None after every step from it is known.
        choices: possible next events: name, moment at which it was set, minimum duration in µs.
        due: moment and maximum duration in µs of each of them.
        jobs, limits: `choices` and `due` for `zone_batch`.
        least, most: longest minimum and longest maximum duration in µs of the events set at each moment.
        history_key: key of the history of the turn.
        ended: whether nothing is pending.
        steps: known effects by choice.
    """

    state: State | None
    choices: tuple[tuple[Named, int, int], ...]
    due: tuple[tuple[int, int], ...]
    jobs: Stack
    limits: Stack
    least: Stack
    most: Stack
    history_key: int
    ended: bool
    steps: dict[Named, StateStep] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of moments."""
        return len(self.limits)


class StateStore:
    """Stored states of one exploration. `known`: stored states by key."""

    def __init__(self, stepper: Stepper, bounds: Bounds) -> None:
        self.stepper = stepper
        self.bounds = bounds
        self.known: dict[int, StoredState] = {}
        self._intervals = {wire: bounds.wire(*wire) for wire in WIRES}
        self._probed: set[tuple[object, ...]] = set()
        self._tried: set[tuple[object, ...]] = set()
        self._texts: dict[tuple[str, Base], tuple[str, ...]] = {}
        self._unfolded: tuple[State | None, list[tuple[InFlightMessage, State, State]]] = (None, [])

    def start(self) -> Move:
        """Return the initial state.

        Raises:
            Visible: as `Stepper.step`.
        """
        return self._move(self.stepper.start(), None)

    def step(self, stored: StoredState, choice: Named) -> StateStep:
        """Return the effect of a choice, which is computed once.

        Raises:
            Visible: as `Stepper.step`.
        """
        found = stored.steps.get(choice)
        if found is None:
            found = stored.steps[choice] = self._step(stored, choice)
            if len(stored.steps) == len(stored.choices):
                stored.state = None
        return found

    # -- a step ------------------------------------------------------------------------------------------------------

    def _step(self, stored: StoredState, choice: Named) -> StateStep:
        before = stored.state
        if before is None:
            raise RuntimeError(f"{choice} is not a choice of the stored state")
        actual_choice = actual(before, choice)
        self._in_any_order(before, actual_choice)
        state = self.stepper.step(before, actual_choice)
        follows = None
        if isinstance(choice, Link):
            arrived, next_ = before.next_of(choice), state.next_of(choice)
            follows = choice if arrived and next_ and next_.moment == arrived.moment else None
        turn_key = turned(self.stepper, before, state)
        watch = before.watch
        if not _taken(before, state) or watch is None or state.watch == NEW:
            return StateStep((self._move(state, None),), None, follows, turn_key)
        # A response begins: either late or in time.
        late = settled(self.stepper, state.copy(), late=True)
        moves = self._move(late, True), self._move(settled(self.stepper, state, late=False), False)
        return StateStep(moves, watch, follows, turn_key)

    def _in_any_order(self, before: State, choice: Choice) -> None:
        """Check that an event at the proxy or in the host has the same effect before and after each invisible upstream message.

        Raises:
            Visible: the order matters.
        """
        if choice == UPSTREAM_TO_PROXY or _at_upstream(choice):
            return
        stepper = self.stepper
        for flight, state, after in self._one_by_one(before):
            event_key: tuple[object, ...] = (choice,)
            if isinstance(choice, Link):
                head = state.next_of(choice)
                event_key = (choice, head and (head.key, head.origin), len(state.queues[choice]))
            history = state.history.gate.key(stepper.memo.release), state.history.host
            pair = (*(state.keys.get(each) for each in _NEAR), history, flight.key, event_key)
            if pair not in self._tried:
                first = stepper.step(after, choice)
                second = stepper.step(stepper.step(state, choice), UPSTREAM_TO_PROXY, one=True)
                if self.named(first) != self.named(second):
                    stepper.mark_visible(UPSTREAM_TO_PROXY, flight)
                self._tried.add(pair)

    def _one_by_one(self, before: State) -> list[tuple[InFlightMessage, State, State]]:
        """Return the invisible messages of the upstream before its next visible one, with the states around each."""
        if self._unfolded[0] is not before:
            found, state = [], before
            for flight in before.queues[UPSTREAM_TO_PROXY]:
                if flight.moment is not None:
                    break
                after = self.stepper.step(state, UPSTREAM_TO_PROXY, one=True)
                found.append((flight, state, after))
                state = after
            self._unfolded = before, found
        return self._unfolded[1]

    def _probe(self, state: State) -> None:
        """Deliver the messages of each link on which all messages are invisible, to check that they have no effect."""
        moved = True
        while moved:
            moved = False
            for wire in WIRES:
                flights = state.queues[wire]
                if flights and all(flight.moment is None for flight in flights):
                    key = (wire, *(state.keys.get(each) for each in _NEAR), *(flight.key for flight in flights))
                    if key in self._probed:
                        continue
                    self._probed.add(key)
                    state, moved = self.stepper.step(state, wire), True

    # -- states -----------------------------------------------------------------------------------------------------

    def _move(self, state: State, late: bool | None) -> Move:
        order, key = self.named(state)
        stored = self.known.get(key)
        if stored is None:
            _rename(state, {each: index + 1 for index, each in enumerate(order)})
            stored = self.known[key] = self._make_stored(state, len(order) + 1)
        return Move(stored, (NEW, *order), late)

    def _make_stored(self, state: State, size: int) -> StoredState:
        choices: list[tuple[Named, int, int]] = []
        due: list[tuple[int, int]] = []
        least, most = [0] * size, [0] * size

        def spans(moment: int, interval: Interval) -> None:
            least[moment] = max(least[moment], interval[0])
            most[moment] = max(most[moment], interval[1])

        for wire, interval in self._intervals.items():
            first = True
            for flight in state.queues[wire]:
                if flight.moment is not None:
                    spans(flight.moment, interval)
                    if first:
                        choices.append((wire, flight.moment, interval[0]))
                        due.append((flight.moment, interval[1]))
                        first = False
        for (actor, name), timer in state.timers.items():
            interval = self.bounds.timer(timer.after)
            choices.append(((actor, _key_of(state, name), timer.after), timer.moment, interval[0]))
            due.append((timer.moment, interval[1]))
            spans(timer.moment, interval)
        if state.watch is not None:
            spans(state.watch, (LATE_US, LATE_US))
        ended = not choices
        self._probe(state)
        limits = [FREE] * size
        for moment, longest in due:
            limits[moment] = min(limits[moment], 2 * longest)
        jobs = [(moment, shortest) for _, moment, shortest in choices]
        return StoredState(
            None if ended else state, tuple(choices), tuple(due), np.array(jobs or np.empty((0, 2)), dtype=np.int64),
            np.array(limits), np.array(least), np.array(most), state.history_key, ended,
        )  # fmt: skip

    def named(self, state: State) -> tuple[list[int], int]:
        """Return the pending moments in the order of the key, and the state's key."""
        order: dict[int, int] = {}
        parts: list[object] = [*state.keys.values(), state.history_key]
        for wire in WIRES:
            for flight in state.queues[wire]:
                if flight.moment is not None:
                    parts.append((flight.key, flight.origin, order.setdefault(flight.moment, len(order))))
                elif wire.sender == "upstream":
                    parts.append(flight.key)
            parts.append(len(parts))
        named = [(actor, self._text_of(state, name), timer) for (actor, name), timer in state.timers.items()]
        for actor, key, timer in sorted(named, key=_actor_and_key):
            parts.append((actor, key, timer.after, order.setdefault(timer.moment, len(order))))
        if state.watch is not None:
            parts.append(("watch", order.setdefault(state.watch, len(order))))
        parts.append(state.closed)
        return list(order), self.stepper.number(tuple(parts))

    def _text_of(self, state: State, name: str) -> tuple[str, ...]:
        """Return the key of a timer as text, which can be sorted."""
        if name.startswith("ack:"):
            return tuple(map(str, _key_of(state, name)))
        found = self._texts.get((name, state.base))
        if found is None:
            found = self._texts[name, state.base] = tuple(map(str, _key_of(state, name)))
        return found


def _actor_and_key(timer: tuple[str, tuple[str, ...], Timer]) -> tuple[str, tuple[str, ...]]:
    return timer[:2]


def actual(state: State, choice: Named) -> Choice:
    """Return the choice that a name stands for in a state."""
    if isinstance(choice, Link):
        return choice
    actor, key, after = choice
    for (whose, name), timer in state.timers.items():
        if whose == actor and timer.after == after and _key_of(state, name) == key:
            return actor, name, after
    raise RuntimeError(f"{choice} is not a possible next event")


def _key_of(state: State, name: str) -> tuple[Hashable, ...]:
    """Return a timer's key: confirmation timers by their order, other timers with ids counted from the start of the turn."""
    if name.startswith("ack:"):
        return "ack", list(state.states["upstream"].acks).index(name[4:])
    return timer_key(name, state.base)


def _rename(state: State, names: dict[int, int]) -> None:
    """Replace the moments of a state by the moments in `names`."""
    state.queues = {
        wire: tuple([f if f[3] is None else InFlightMessage(f[0], f[1], f[2], names[f[3]], f[4], f[5]) for f in flights])
        if flights
        else flights
        for wire, flights in state.queues.items()
    }
    state.timers = {which: Timer(timer[0], names[timer[1]], timer[2]) for which, timer in state.timers.items()}
    state.watch = None if state.watch is None else names[state.watch]


# -- turns -------------------------------------------------------------------------------------------------------------


def turned(stepper: Stepper, before: State, state: State) -> int | None:
    """Begin a new turn if this step ends one. Return the key of the ended turn's history, or None."""
    if not _turn_is_over(before, state):
        return None
    turn_key = state.history_key
    stepper.new_turn(state)
    return turn_key


def settled(stepper: Stepper, state: State, *, late: bool) -> State:
    """Note that a response has begun, late or not. An informed one ends the watch."""
    if _informed(state.history.turn.ledger):
        state.watch = None
    return stepper.late(state) if late else state


def _turn_is_over(before: State, state: State) -> bool:
    """Return whether the user has just sent an input and nothing of the previous turn is unfinished."""
    said = state.states["user"].said
    if said < 2 or said == before.states["user"].said or not _settled(state.history.turn.ledger):
        return False
    for wire in WIRES:
        for flight in state.queues[wire]:
            if flight.moment is not None and flight.kind not in ("InjectUserMessage", "(audio)"):
                return False
    return all(which == PATIENCE or which[1].startswith(("frame", "microphone")) for which in state.timers)


def _at_upstream(choice: Choice) -> bool:
    return choice.receiver == "upstream" if isinstance(choice, Link) else choice[0] == "upstream"


def _taken(before: State, state: State) -> bool:
    old, new = before.states["upstream"], state.states["upstream"]
    return old is not new and old.holder != new.holder and new.slot == "taken"


def _calls(ledger: Ledger) -> set[str]:
    return {call for response in ledger.responses.values() for call in response.calls}


def _informed(ledger: Ledger) -> bool:
    return _calls(ledger) <= {output.call_id for output in ledger.outputs if output.own and not output.refused}


def _settled(ledger: Ledger) -> bool:
    """Return whether no later input can join the turn (`verdict`): nothing is unfinished, and every call has a settled
    result."""
    results = {output.call_id for output in ledger.outputs if output.own and output.settled is not None}
    waiting = any(output.waits for output in ledger.outputs)
    return not (ledger.busy or waiting) and _calls(ledger) <= results
