"""Places: what an exploration goes through, times left out, and what each choice makes of it.

A place is all situations of one key (`experiments.explore.keys`): the same future, whatever their numbers. So its steps are
made once, from the situation that came there first, and kept; only zones are computed for each way to it. Moments have names of
the place's own: 0 is now, the others count up in the order in which the key names them. Timers are named as keys name them,
because ids differ from way to way (`Named`, `actual`).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from voicerace.analysis.rules import LATE_NS
from voicerace.experiments.explore.bounds import Bounds, Interval
from voicerace.experiments.explore.keys import timer_key
from voicerace.experiments.explore.state import Choice, State
from voicerace.experiments.explore.stepper import PATIENCE, Stepper
from voicerace.experiments.explore.zone import NEW
from voicerace.model.protocol.ledger import Ledger
from voicerace.trace.recording import UPSTREAM_TO_PROXY, WIRES, Link

__all__ = ["LATE_US", "Move", "Named", "StateStep", "StateStore", "StoredState", "actual", "settled", "turned"]

#: A reply is late when it begins more than this after every event that could have released it.
LATE_US = LATE_NS // 1000

#: A choice by a name that is the same on every path to a state: a link, or actor, key and duration of a timer.
Named: TypeAlias = Link | tuple[str, tuple[Hashable, ...], str]
#: Whoever a message from the upstream may concern at its arrival: the user looks on from there.
_NEAR = ("proxy", "component", "app", "user")


class Move(NamedTuple):
    """Where a choice leads.

    Attributes:
        to: the place.
        kept: the moments that are pending there, in its order, each by its name in the place before, or `NEW`.
        late: a reply was asked for late, or not, in this step; None where none was.
    """

    to: StoredState
    kept: tuple[int, ...]
    late: bool | None = None


class StateStep(NamedTuple):
    """What a choice does.

    Attributes:
        moves: where it leads: one place, or two where it matters how late a response begins.
        watch: then the moment that says how late.
        follows: the link whose next message was sent together with the one that has just come.
        turn_key: if the step ends a turn, the key of the turn's history.
    """

    moves: tuple[Move, ...]
    watch: int | None
    follows: Link | None
    turn_key: int | None


@dataclass(eq=False)
class StoredState:
    """See the module's text.

    Attributes:
        at: the situation that came here first; let go when every step from it is known.
        choices: what may happen next: its name, the moment in which it was set, the least that it lasts, µs.
        due: moment and most, µs, of all that is pending.
        least, most: by moment, the longest least and the longest most of all that was set in it.
        steps: by choice, what it does.
        history_key: key of the history of the turn.
        ended: nothing is pending at all.
    """

    at: State | None
    choices: tuple[tuple[Named, int, int], ...]
    due: tuple[tuple[int, int], ...]
    least: tuple[int, ...]
    most: tuple[int, ...]
    history_key: int
    ended: bool
    steps: dict[Named, StateStep] = field(default_factory=dict)


class StateStore:
    """All places of one exploration, by key."""

    def __init__(self, stepper: Stepper, bounds: Bounds) -> None:
        self.stepper = stepper
        self.bounds = bounds
        self.known: dict[int, StoredState] = {}
        self._probed: set[tuple[object, ...]] = set()
        self._tried: set[tuple[object, ...]] = set()

    def start(self) -> Move:
        """Where a session begins.

        Raises:
            Visible: begin anew.
        """
        return self._move(self.stepper.start(), None)

    def step(self, place: StoredState, choice: Named) -> StateStep:
        """What a choice does; from the second time on from memory.

        Raises:
            Visible: begin anew.
        """
        found = place.steps.get(choice)
        if found is None:
            found = place.steps[choice] = self._step(place, choice)
            if len(place.steps) == len(place.choices):
                place.at = None
        return found

    # -- a step ------------------------------------------------------------------------------------------------------

    def _step(self, place: StoredState, choice: Named) -> StateStep:
        before = place.at
        if before is None:
            raise RuntimeError(f"{choice} is a choice that was not there when the place was met")
        self._probe(before)
        what = actual(before, choice)
        self._in_any_order(before, what)
        at = self.stepper.step(before, what)
        follows = None
        if isinstance(choice, Link):
            gone, next_ = before.next_of(choice), at.next_of(choice)
            follows = choice if gone and next_ and next_.moment == gone.moment else None
        turn_key = turned(self.stepper, before, at)
        watch = before.watch
        if not _taken(before, at) or watch is None or at.watch == NEW:
            return StateStep((self._move(at, None),), None, follows, turn_key)
        # A response begins: late after what could have released it, or not.
        late = settled(self.stepper, at.copy(), late=True)
        moves = self._move(late, True), self._move(settled(self.stepper, at, late=False), False)
        return StateStep(moves, watch, follows, turn_key)

    def _in_any_order(self, before: State, choice: Choice) -> None:
        """Try every event at the proxy or in the host before and after each invisible message of the upstream.

        Raises:
            Visible: it matters which comes first.
        """
        if choice == UPSTREAM_TO_PROXY or _at_upstream(choice):
            return
        stepper, at = self.stepper, before
        for flight in before.queues[UPSTREAM_TO_PROXY]:
            if flight.moment is not None:
                break
            happens: tuple[object, ...] = (choice,)
            if isinstance(choice, Link):
                head = at.next_of(choice)
                happens = (choice, head and (head.key, head.asked), len(at.queues[choice]))
            pair = (*(at.keys[each] for each in _NEAR), at.history_key, flight.key, happens)
            behind = stepper.step(at, UPSTREAM_TO_PROXY, one=True)
            if pair not in self._tried:
                first = stepper.step(behind, choice)
                second = stepper.step(stepper.step(at, choice), UPSTREAM_TO_PROXY, one=True)
                if self.named(first) != self.named(second):
                    stepper.mark_visible(UPSTREAM_TO_PROXY, flight)
                self._tried.add(pair)
            at = behind

    def _probe(self, at: State) -> None:
        """Deliver the invisible messages that no visible one follows; they must have no effect."""
        moved = True
        while moved:
            moved = False
            for wire in WIRES:
                flights = at.queues[wire]
                if flights and all(flight.moment is None for flight in flights):
                    key = (wire, *at.keys.values(), at.history_key, *(flight.key for flight in flights))
                    if key in self._probed:
                        continue
                    self._probed.add(key)
                    at, moved = self.stepper.step(at, wire), True

    # -- a place -----------------------------------------------------------------------------------------------------

    def _move(self, at: State, late: bool | None) -> Move:
        order, key = self.named(at)
        place = self.known.get(key)
        if place is None:
            _rename(at, {each: index + 1 for index, each in enumerate(order)})
            place = self.known[key] = self._place(at, len(order) + 1)
        return Move(place, (NEW, *order), late)

    def _place(self, at: State, size: int) -> StoredState:
        choices: list[tuple[Named, int, int]] = []
        due: list[tuple[int, int]] = []
        least, most = [0] * size, [0] * size

        def spans(moment: int, interval: Interval) -> None:
            least[moment] = max(least[moment], interval[0])
            most[moment] = max(most[moment], interval[1])

        for wire in WIRES:
            interval = self.bounds.wire(*wire)
            if (flight := at.next_of(wire)) is not None and flight.moment is not None:
                choices.append((wire, flight.moment, interval[0]))
                due.append((flight.moment, interval[1]))
            for flight in at.queues[wire]:
                if flight.moment is not None:
                    spans(flight.moment, interval)
        for (actor, name), timer in at.timers.items():
            interval = self.bounds.timer(timer.after)
            choices.append(((actor, _key_of(at, name), timer.after), timer.moment, interval[0]))
            due.append((timer.moment, interval[1]))
            spans(timer.moment, interval)
        if at.watch is not None:
            spans(at.watch, (LATE_US, LATE_US))
        ended = not at.timers and all(at.next_of(wire) is None for wire in WIRES)
        if ended:
            self._probe(at)
        history_key = at.history_key
        return StoredState(None if ended else at, tuple(choices), tuple(due), tuple(least), tuple(most), history_key, ended)

    def named(self, at: State) -> tuple[list[int], int]:
        """The pending moments in an order of their own, and the situation's key."""
        order: dict[int, int] = {}
        parts: list[object] = [*at.keys.values(), at.history_key]
        for wire in WIRES:
            for flight in at.queues[wire]:
                if flight.moment is not None:
                    parts.append((flight.key, flight.asked, order.setdefault(flight.moment, len(order))))
                elif wire.sender == "upstream":
                    parts.append(flight.key)
            parts.append(len(parts))
        named = [(actor, tuple(map(str, _key_of(at, name))), timer) for (actor, name), timer in at.timers.items()]
        for actor, key, timer in sorted(named, key=lambda each: each[:2]):
            parts.append((actor, key, timer.after, order.setdefault(timer.moment, len(order))))
        if at.watch is not None:
            parts.append(("watch", order.setdefault(at.watch, len(order))))
        parts.append(at.closed)
        return list(order), self.stepper.number(tuple(parts))


def actual(at: State, choice: Named) -> Choice:
    """The choice by its name in one situation."""
    if isinstance(choice, Link):
        return choice
    actor, key, after = choice
    for (whose, name), timer in at.timers.items():
        if whose == actor and timer.after == after and _key_of(at, name) == key:
            return actor, name, after
    raise RuntimeError(f"{choice} is not what could happen next")


def _key_of(at: State, name: str) -> tuple[Hashable, ...]:
    """A timer's name as keys have it: confirmations by their order, ids counted from the turn's beginning."""
    if name.startswith("ack:"):
        return "ack", list(at.states["upstream"].acks).index(name[4:])
    return timer_key(name, at.base)


def _rename(at: State, names: dict[int, int]) -> None:
    """The situation with its moments under new names."""
    at.queues = {
        wire: tuple(f if f.moment is None else f._replace(moment=names[f.moment]) for f in flights)
        for wire, flights in at.queues.items()
    }
    at.timers = {which: timer._replace(moment=names[timer.moment]) for which, timer in at.timers.items()}
    at.watch = None if at.watch is None else names[at.watch]


# -- what a step means for the turn ------------------------------------------------------------------------------------


def turned(stepper: Stepper, before: State, at: State) -> int | None:
    """Begin a new turn if this step ends one; return the key of the ended turn's history, or None."""
    if not _turn_is_over(before, at):
        return None
    turn_key = at.history_key
    stepper.new_turn(at)
    return turn_key


def settled(stepper: Stepper, at: State, *, late: bool) -> State:
    """A response has begun, late or not: one that knows the results ends the wait for it."""
    if _informed(at.history.ledger):
        at.watch = None
    return stepper.late(at) if late else at


def _turn_is_over(before: State, at: State) -> bool:
    """Whether the user has just said something, and nothing of the turn before is left."""
    said = at.states["user"].said
    if said < 2 or said == before.states["user"].said or not _settled(at.history.ledger):
        return False
    for wire in WIRES:
        for flight in at.queues[wire]:
            if flight.moment is not None and flight.kind not in ("InjectUserMessage", "(audio)"):
                return False
    return all(which == PATIENCE or which[1].startswith(("frame", "microphone")) for which in at.timers)


def _at_upstream(choice: Choice) -> bool:
    return choice.receiver == "upstream" if isinstance(choice, Link) else choice[0] == "upstream"


def _taken(before: State, at: State) -> bool:
    old, new = before.states["upstream"], at.states["upstream"]
    return old is not new and old.holder != new.holder and new.slot == "taken"


def _calls(ledger: Ledger) -> set[str]:
    return {call for response in ledger.responses.values() for call in response.calls}


def _informed(ledger: Ledger) -> bool:
    return _calls(ledger) <= {output.call_id for output in ledger.outputs if output.own and not output.refused}


def _settled(ledger: Ledger) -> bool:
    """Whether no later input can join the turn (`verdict`): nothing is open, and every call has its settled result."""
    results = {output.call_id for output in ledger.outputs if output.own and output.settled is not None}
    waiting = any(output.waits for output in ledger.outputs)
    return not (ledger.busy or waiting) and _calls(ledger) <= results
