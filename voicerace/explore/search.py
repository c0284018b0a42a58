"""Timed reachability: breadth first through situations and zones, until nothing new is left.

A node is a situation and the zone of the times in which it is reached. A zone that lies inside one already seen for the
same situation has nothing new to show. What ends a turn for good, and what ends the session, is handed on as an ending:
the shortest way to it comes first, because every step is one event.

Two things at the same instant: an event is strictly later than the one before, unless it was set by it, or follows it in
one batch. So whatever is found does not rest on a coincidence, and both orders of a coincidence are explored.

The user's patience (`deadline_ms`) is longer than anything else. It is kept out of the zones, as an upper bound on how
long it has run; it may end when nothing else is pending, or when that bound says that it could. The times of the way to a
finding are solved exactly in any case.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from voicerace.explore.bounds import Bounds
from voicerace.explore.carrier import PATIENCE, Carrier
from voicerace.explore.keys import timer_key
from voicerace.explore.situation import WIRES, Choice, Situation
from voicerace.explore.zone import NEW, START, Advance, Matrix, advance, at_most, covered, less_than, picked, tightened
from voicerace.ledger import Ledger
from voicerace.recording import Link

__all__ = ["LATE_US", "Ending", "Reached", "Search", "Way"]

#: As `verdict` has it: later than this after all that could have released it, a reply is late.
LATE_US: Final = 5_000_000


class Way(NamedTuple):
    """How a node was reached.

    Attributes:
        parent: from which node.
        choice: by what; None for the start.
        apart: strictly later than what had happened before.
        late: a reply was asked for late then, or not; None where no reply was.
    """

    parent: int
    choice: Choice | None
    apart: bool = False
    late: bool | None = None


class Ending(NamedTuple):
    """A turn that is over, or the session: the node's number, how many steps lead there, and the books' key."""

    node: int
    depth: int
    key: int
    last: bool


@dataclass
class Reached:
    """What an exploration has come to.

    Attributes:
        states: nodes kept; `met` counts those that were made, seen before or not.
        complete: every order was explored; False when the limit stopped it.
        stuck: nodes that are a coincidence and nothing else: what is due must happen in the very instant of what has just
            happened. Both orders of it were explored beside them, where the bounds leave any.
        endings: in the order of their length.
    """

    states: int = 0
    met: int = 0
    complete: bool = True
    stuck: int = 0
    endings: list[Ending] = field(default_factory=list)


@dataclass
class _Node:
    """A situation in a zone; the situation is let go when all that follows from it is known."""

    at: Situation | None
    zone: Matrix
    waited_us: int
    depth: int
    number: int
    follows: Link | None
    dead: bool = False


class Search:
    """One exploration.

    Args:
        carrier: makes the steps.
        bounds: the intervals.
        limit: nodes at most.
        tick: called now and then with the number of nodes.
    """

    def __init__(self, carrier: Carrier, bounds: Bounds, limit: int, tick: Callable[[int], None] | None = None) -> None:
        self.carrier = carrier
        self.bounds = bounds
        self.limit = limit
        self.tick = tick
        self.ways: list[Way] = []
        self.reached = Reached()
        self._seen: dict[int, list[_Node]] = {}
        self._queue: deque[_Node] = deque()
        self._ended: set[tuple[int, bool]] = set()
        self._probed: set[tuple[object, ...]] = set()

    def run(self) -> Reached:
        """Explore.

        Raises:
            Minded: begin anew.
        """
        first = self.carrier.start()
        order, key = self._named(first)
        self._add(first, picked(START, Advance((0,), (0,)), [NEW, *order]), 0, Way(-1, None), None, order, key)
        while self._queue:
            node = self._queue.popleft()
            at, node.at = node.at, None
            if node.dead or at is None:
                continue
            if len(self.ways) >= self.limit:
                self.reached.complete = False
                break
            if self.tick is not None and node.number % 1000 == 0:
                self.tick(len(self.ways))
            self._expand(node, at)
        self.reached.states = len(self.ways)
        return self.reached

    def way(self, node: int) -> list[Way]:
        """The steps to a node, in order, without the start."""
        found = []
        while self.ways[node].parent >= 0:
            found.append(self.ways[node])
            node = self.ways[node].parent
        return found[::-1]

    # -- one node ----------------------------------------------------------------------------------------------------

    def _expand(self, node: _Node, at: Situation) -> None:
        due = [(timer.moment, self.bounds.timer(timer.after)[1]) for which, timer in at.timers.items() if which != PATIENCE]
        for wire in WIRES:
            if (flight := at.next_of(wire)) is not None and flight.moment is not None:
                due.append((flight.moment, self.bounds.wire(*wire)[1]))
        self._probe(at)
        moved = False
        for choice, moment, least in self._choices(at, alone=not due):
            apart = choice != node.follows and not _at_now(node.zone, moment)
            step = advance(node.zone, due, moment, least, apart=apart)
            if step is not None:
                moved = True
                self._go(node, at, Way(node.number, choice, apart), step)
        if not moved:
            self.reached.stuck += 1

    def _probe(self, at: Situation) -> None:
        """Deliver what nobody minds, where nothing that somebody does comes behind it: it must change nothing."""
        for wire in WIRES:
            flights = at.queues[wire]
            if flights and all(flight.moment is None for flight in flights):
                key = (wire, *at.keys.values(), *(flight.kind for flight in flights))
                if key not in self._probed:
                    self._probed.add(key)
                    self.carrier.step(at, wire)

    def _choices(self, at: Situation, *, alone: bool) -> Iterator[tuple[Choice, int, int]]:
        for wire in WIRES:
            if (flight := at.next_of(wire)) is not None and flight.moment is not None:
                yield wire, flight.moment, self.bounds.wire(*wire)[0]
        for (party, name), timer in at.timers.items():
            least = self.bounds.timer(timer.after)[0]
            if (party, name) != PATIENCE:
                yield (party, name, timer.after), timer.moment, least
            elif alone or (at.waited_us or 0) >= least:
                yield (party, name, timer.after), 0, 0

    def _go(self, node: _Node, before: Situation, way: Way, step: Advance) -> None:
        choice = way.choice
        if choice is None:
            return
        at = self.carrier.step(before, choice)
        patience = at.timers.get(PATIENCE)
        if patience is not None and patience.moment != NEW:
            at.waited_us = min((at.waited_us or 0) + (step.after[0] >> 1), self.bounds.timer(patience.after)[1])
        follows = None
        if isinstance(choice, Link):
            gone, next_ = before.next_of(choice), at.next_of(choice)
            follows = choice if gone and next_ and next_.moment == gone.moment else None
        self._turn_may_end(node, before, at, way)
        watch = before.watch
        if not _taken(before, at) or watch is None or at.watch == NEW:
            self._keep(at, node, step, way, follows)
            return
        # A response begins: late after what could have released it, or not.
        if _informed(at.history.ledger):
            at.watch = None
        self._keep(self.carrier.late(at), node, step, way._replace(late=True), follows, watch)
        self._keep(at, node, step, way._replace(late=False), follows, watch)

    # -- keeping -----------------------------------------------------------------------------------------------------

    def _keep(
        self, at: Situation, parent: _Node, step: Advance, way: Way, follows: Link | None, watch: int | None = None
    ) -> None:
        order, key = self._named(at)
        matrix: Matrix | None = picked(parent.zone, step, [NEW, *order, *([] if watch is None else [watch])])
        if matrix is not None and watch is not None:
            last = len(matrix) - 1
            cut = (last, 0, less_than(-LATE_US)) if way.late else (0, last, at_most(LATE_US))
            matrix = tightened(matrix, *cut)
            matrix = None if matrix is None else tuple(row[:-1] for row in matrix[:-1])
        if matrix is not None:
            self._add(at, matrix, parent.depth + 1, way, follows, order, key)

    def _add(self, at: Situation, zone: Matrix, depth: int, way: Way, follows: Link | None, order: list[int], key: int) -> None:
        """Keep a node unless it has nothing new."""
        self.reached.met += 1
        nodes = self._seen.setdefault(key, [])
        waited = at.waited_us or 0
        least, most = self._spans(at, order)
        for each in nodes:
            if each.waited_us >= waited and covered(zone, each.zone, least, most):
                return
        for each in nodes:
            if waited >= each.waited_us and covered(each.zone, zone, least, most):
                each.dead = True
        nodes[:] = [each for each in nodes if not each.dead]
        number = len(self.ways)
        self.ways.append(way)
        _rename(at, {each: index + 1 for index, each in enumerate(order)})
        node = _Node(at, zone, waited, depth, number, follows)
        nodes.append(node)
        if at.timers or any(at.next_of(wire) is not None for wire in WIRES):
            self._queue.append(node)
        else:
            self._probe(at)
            self._end(number, depth, at.history_key, last=True)

    def _spans(self, at: Situation, order: list[int]) -> tuple[list[int], list[int]]:
        """By moment, now first: the longest least and the longest most of all that was set in it."""
        least, most = dict.fromkeys(order, 0), dict.fromkeys(order, 0)
        pending = [(f.moment, self.bounds.wire(*wire)) for wire in WIRES for f in at.queues[wire] if f.moment is not None]
        pending += [(timer.moment, self.bounds.timer(timer.after)) for which, timer in at.timers.items() if which != PATIENCE]
        if at.watch is not None:
            pending.append((at.watch, (LATE_US, LATE_US)))
        for moment, (low, high) in pending:
            least[moment] = max(least[moment], low)
            most[moment] = max(most[moment], high)
        return [0, *least.values()], [0, *most.values()]

    def _end(self, node: int, depth: int, key: int, *, last: bool) -> None:
        if (key, last) not in self._ended:
            self._ended.add((key, last))
            self.reached.endings.append(Ending(node, depth, key, last))

    def _turn_may_end(self, node: _Node, before: Situation, at: Situation, way: Way) -> None:
        """The user has just said something: if nothing of the turn before is left, that turn is over."""
        said = at.states["user"].said
        if said < 2 or said == before.states["user"].said or not _settled(at.history.ledger):
            return
        for wire in WIRES:
            for flight in at.queues[wire]:
                if flight.moment is not None and flight.kind not in ("InjectUserMessage", "(audio)"):
                    return
        if any(which != PATIENCE and not name.startswith(("frame", "microphone")) for which, name in _which(at)):
            return
        books = at.history_key
        self.carrier.new_turn(at)
        if (books, False) not in self._ended:
            self.ways.append(way)
            self._end(len(self.ways) - 1, node.depth + 1, books, last=False)

    def _named(self, at: Situation) -> tuple[list[int], int]:
        """The pending moments in an order of their own, and the situation's key."""
        base = at.base
        order: dict[int, int] = {}
        parts: list[object] = [*at.keys.values(), at.history_key]
        for wire in WIRES:
            for flight in at.queues[wire]:
                if flight.moment is not None:
                    parts.append((flight.key, flight.asked, order.setdefault(flight.moment, len(order))))
                elif wire.sender == "upstream":
                    parts.append(flight.key)
            parts.append(len(parts))
        acks = list(at.states["upstream"].acks)
        named = []
        for (party, name), timer in at.timers.items():
            key = ("ack", str(acks.index(name[4:]))) if name.startswith("ack:") else timer_key(name, base)
            named.append((party, tuple(map(str, key)), timer))
        for party, key, timer in sorted(named, key=lambda each: each[:2]):
            patient = (party, *key) == PATIENCE
            parts.append((party, key, timer.after, -1 if patient else order.setdefault(timer.moment, len(order))))
        if at.watch is not None:
            parts.append(("watch", order.setdefault(at.watch, len(order))))
        parts.append(at.closed)
        return list(order), self.carrier.number(tuple(parts))


def _at_now(zone: Matrix, moment: int) -> bool:
    """Whether a moment can only be this one: what was set in it may follow at once."""
    return zone[0][moment] == 0 and zone[moment][0] == 0


def _taken(before: Situation, at: Situation) -> bool:
    old, new = before.states["upstream"], at.states["upstream"]
    return old is not new and old.holder != new.holder and new.slot == "taken"


def _which(at: Situation) -> list[tuple[tuple[str, str], str]]:
    return [(which, which[1]) for which in at.timers]


def _rename(at: Situation, place: dict[int, int]) -> None:
    """The situation with its moments under new names; the user's patience has none."""
    at.queues = {
        wire: tuple(f if f.moment is None else f._replace(moment=place[f.moment]) for f in flights)
        for wire, flights in at.queues.items()
    }
    at.timers = {which: timer._replace(moment=place.get(timer.moment, 0)) for which, timer in at.timers.items()}
    at.watch = None if at.watch is None else place[at.watch]


def _informed(ledger: Ledger) -> bool:
    calls = {call for response in ledger.responses.values() for call in response.calls}
    return calls <= {output.call_id for output in ledger.outputs if output.own and not output.refused}


def _settled(ledger: Ledger) -> bool:
    """Whether no later input can join the turn (`verdict`): nothing is open, and every call has its confirmed result."""
    calls = {call for response in ledger.responses.values() for call in response.calls}
    confirmed = {output.call_id for output in ledger.outputs if output.own and output.confirmed is not None}
    waiting = any(output.confirmed is None and not output.refused for output in ledger.outputs)
    return not (ledger.active or ledger.unanswered or waiting) and calls <= confirmed
