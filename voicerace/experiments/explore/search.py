"""Timed reachability: breadth first through situations and zones, until nothing new is left.

A node is a situation and the zone of the times in which it is reached. A zone that lies inside one already seen for the
same situation has nothing new to show. What ends a turn for good, and what ends the session, is handed on as an ending:
the shortest way to it comes first, because every step is one event.

Two things at the same instant: an event is strictly later than the one before, unless it was set by it, or follows it in
one batch. So whatever is found does not rest on a coincidence, and both orders of a coincidence are explored.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from voicerace.experiments.explore.bounds import Bounds
from voicerace.experiments.explore.state_store import LATE_US, Move, Named, StateStep, StateStore, StoredState
from voicerace.experiments.explore.stepper import Stepper
from voicerace.experiments.explore.zone import START, Advance, Matrix, advance, at_most, covered, less_than, picked, tightened
from voicerace.trace.recording import Link

__all__ = ["Edge", "Ending", "Reached", "Search"]


class Edge(NamedTuple):
    """How a node was reached.

    Attributes:
        parent: from which node.
        choice: by what; None for the start.
        apart: strictly later than what had happened before.
        late: a reply was asked for late then, or not; None where no reply was.
    """

    parent: int
    choice: Named | None
    apart: bool = False
    late: bool | None = None


class Ending(NamedTuple):
    """The end of a turn or of the session: the number of the node, the number of steps to it, and the key of the history."""

    node: int
    depth: int
    key: int
    last: bool


@dataclass
class Reached:
    """What an exploration has come to.

    Attributes:
        states: nodes kept; `met` counts those that were made, seen before or not, `places` the situations without times.
        complete: every order was explored; False when the limit stopped it.
        stuck: nodes that are a coincidence and nothing else: what is due must happen in the very instant of what has just
            happened. Both orders of it were explored beside them, where the bounds leave any.
        endings: in the order of their length.
    """

    states: int = 0
    met: int = 0
    places: int = 0
    complete: bool = True
    stuck: int = 0
    endings: list[Ending] = field(default_factory=list)


class _Node:
    """A place in a zone."""

    __slots__ = ("dead", "depth", "follows", "number", "place", "zone")

    def __init__(self, place: StoredState, zone: Matrix, depth: int, number: int, follows: Link | None) -> None:
        self.place = place
        self.zone = zone
        self.depth = depth
        self.number = number
        self.follows = follows
        self.dead = False


class Search:
    """One exploration.

    Args:
        carrier: makes the steps.
        bounds: the intervals.
        limit: nodes at most.
        tick: called now and then with the number of nodes.
    """

    def __init__(self, stepper: Stepper, bounds: Bounds, limit: int, tick: Callable[[int], None] | None = None) -> None:
        self.places = StateStore(stepper, bounds)
        self.limit = limit
        self.tick = tick
        self.ways: list[Edge] = []
        self.reached = Reached()
        self._seen: dict[StoredState, list[_Node]] = {}
        self._queue: deque[_Node] = deque()
        self._ended: set[tuple[int, bool]] = set()

    def run(self) -> Reached:
        """Explore.

        Raises:
            Visible: begin anew.
        """
        first = self.places.start()
        self._add(first.to, picked(START, Advance((0,), (0,)), first.kept), 0, Edge(-1, None), None)
        while self._queue:
            node = self._queue.popleft()
            if node.dead:
                continue
            if len(self.ways) >= self.limit:
                self.reached.complete = False
                break
            if self.tick is not None and node.number % 1000 == 0:
                self.tick(len(self.ways))
            self._expand(node)
        self.reached.states, self.reached.places = len(self.ways), len(self.places.known)
        return self.reached

    def way(self, node: int) -> list[Edge]:
        """The steps to a node, in order, without the start."""
        found = []
        while self.ways[node].parent >= 0:
            found.append(self.ways[node])
            node = self.ways[node].parent
        return found[::-1]

    def scout(self, walks: int, seed: int = 0) -> None:
        """Walk to the end `walks` times at random. This finds most visible messages long before `run` does.

        Raises:
            Visible: begin anew.
        """
        draws = random.Random(seed)
        for _ in range(walks):
            first = self.places.start()
            node = _Node(first.to, picked(START, Advance((0,), (0,)), first.kept), 0, 0, None)
            while not node.place.ended:
                ahead = [
                    _Node(move.to, zone, 0, 0, step.follows)
                    for _, step, put in self._steps(node)
                    for move in step.moves
                    if (zone := self._zone(node.zone, put, step, move)) is not None
                ]
                if not ahead:
                    break
                node = draws.choice(ahead)

    # -- one node ----------------------------------------------------------------------------------------------------

    def _expand(self, node: _Node) -> None:
        moved = False
        for way, step, put in self._steps(node):
            moved = True
            self._go(node, step, way, put)
        if not moved:
            self.reached.stuck += 1

    def _steps(self, node: _Node) -> Iterator[tuple[Edge, StateStep, Advance]]:
        """What can happen next."""
        place, zone = node.place, node.zone
        for choice, moment, least in place.choices:
            apart = choice != node.follows and not _at_now(zone, moment)
            put = advance(zone, place.due, moment, least, apart=apart)
            if put is not None:
                yield Edge(node.number, choice, apart), self.places.step(place, choice), put

    def _go(self, node: _Node, step: StateStep, way: Edge, put: Advance) -> None:
        if step.turn_key is not None and (step.turn_key, False) not in self._ended:
            self.ways.append(way)
            self._end(len(self.ways) - 1, node.depth + 1, step.turn_key, last=False)
        for move in step.moves:
            zone = self._zone(node.zone, put, step, move)
            if zone is not None:
                self._add(move.to, zone, node.depth + 1, way._replace(late=move.late), step.follows)

    @staticmethod
    def _zone(before: Matrix, put: Advance, step: StateStep, move: Move) -> Matrix | None:
        """The zone at the place that a move leads to."""
        if step.watch is None:
            return picked(before, put, move.kept)
        matrix = picked(before, put, (*move.kept, step.watch))
        last = len(matrix) - 1
        cut = (last, 0, less_than(-LATE_US)) if move.late else (0, last, at_most(LATE_US))
        part = tightened(matrix, *cut)
        return None if part is None else tuple(row[:-1] for row in part[:-1])

    # -- keeping -----------------------------------------------------------------------------------------------------

    def _add(self, place: StoredState, zone: Matrix, depth: int, way: Edge, follows: Link | None) -> None:
        """Keep a node unless it has nothing new."""
        self.reached.met += 1
        nodes = self._seen.setdefault(place, [])
        least, most = place.least, place.most
        for each in nodes:
            if covered(zone, each.zone, least, most):
                return
        for each in nodes:
            if covered(each.zone, zone, least, most):
                each.dead = True
        nodes[:] = [each for each in nodes if not each.dead]
        number = len(self.ways)
        self.ways.append(way)
        node = _Node(place, zone, depth, number, follows)
        nodes.append(node)
        if place.ended:
            self._end(number, depth, place.history_key, last=True)
        else:
            self._queue.append(node)

    def _end(self, node: int, depth: int, key: int, *, last: bool) -> None:
        if (key, last) not in self._ended:
            self._ended.add((key, last))
            self.reached.endings.append(Ending(node, depth, key, last))


def _at_now(zone: Matrix, moment: int) -> bool:
    """Whether a moment can only be this one: what was set in it may follow at once."""
    return zone[0][moment] == 0 and zone[moment][0] == 0
