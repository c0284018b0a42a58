"""Timed reachability: a breadth-first search through states and zones.

A node is a state and the zone of the times at which the state is reached. A node is dropped if a known node with the same state
has a zone that contains its zone. The end of a turn and the end of a session are endings. Every step is one event, so the first
path found to an ending is a shortest path.

An event is strictly later than the previous event, unless the previous event set it or both events arrive in one batch.
Therefore no ending requires two independent events at the same time, and both orders of such events are explored.
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
    """Step to a node.

    Attributes:
        parent: number of the previous node.
        choice: event of the step, or None for the start.
        apart: whether the event is strictly later than the previous event.
        late: whether the response that began in this step was late, or None if lateness does not matter.
    """

    parent: int
    choice: Named | None
    apart: bool = False
    late: bool | None = None


class Ending(NamedTuple):
    """End of a turn or, if `last`, of the session. `depth`: number of steps from the start. `key`: key of the history."""

    node: int
    depth: int
    key: int
    last: bool


@dataclass
class Reached:
    """Result of a search.

    Attributes:
        states: number of nodes kept.
        met: number of nodes made, including known nodes.
        places: number of states without times.
        complete: whether every order was explored. False if the limit stopped the search.
        stuck: number of nodes without a next step, because the next event would have to be at the time of the last event. Other
            nodes cover both orders of these events, if the bounds allow them.
        endings: endings, shortest path first.
    """

    states: int = 0
    met: int = 0
    places: int = 0
    complete: bool = True
    stuck: int = 0
    endings: list[Ending] = field(default_factory=list)


class _Node:
    """State with a zone."""

    __slots__ = ("dead", "depth", "follows", "number", "state", "zone")

    def __init__(self, state: StoredState, zone: Matrix, depth: int, number: int, follows: Link | None) -> None:
        self.state = state
        self.zone = zone
        self.depth = depth
        self.number = number
        self.follows = follows
        self.dead = False


class Search:
    """Exploration of one session.

    Args:
        stepper: executes the steps.
        bounds: intervals of the times.
        limit: maximum number of nodes.
        tick: called repeatedly with the number of nodes.
    """

    def __init__(self, stepper: Stepper, bounds: Bounds, limit: int, tick: Callable[[int], None] | None = None) -> None:
        self.store = StateStore(stepper, bounds)
        self.limit = limit
        self.tick = tick
        self.edges: list[Edge] = []
        self.reached = Reached()
        self._seen: dict[StoredState, list[_Node]] = {}
        self._queue: deque[_Node] = deque()
        self._ended: set[tuple[int, bool]] = set()

    def run(self) -> Reached:
        """Run the search.

        Raises:
            Visible: a message assumed to be invisible is visible. The caller must start a new search.
        """
        first = self.store.start()
        self._add(first.to, picked(START, Advance((0,), (0,)), first.kept), 0, Edge(-1, None), None)
        while self._queue:
            node = self._queue.popleft()
            if node.dead:
                continue
            if len(self.edges) >= self.limit:
                self.reached.complete = False
                break
            if self.tick is not None and node.number % 1000 == 0:
                self.tick(len(self.edges))
            self._expand(node)
        self.reached.states, self.reached.places = len(self.edges), len(self.store.known)
        return self.reached

    def path(self, node: int) -> list[Edge]:
        """Return the steps to a node in order, without the start."""
        found = []
        while self.edges[node].parent >= 0:
            found.append(self.edges[node])
            node = self.edges[node].parent
        return found[::-1]

    def scout(self, walks: int, seed: int = 0) -> None:
        """Do `walks` random walks to the end of the session, which find most visible messages much earlier than `run`.

        Raises:
            Visible: as `run`.
        """
        draws = random.Random(seed)
        for _ in range(walks):
            first = self.store.start()
            node = _Node(first.to, picked(START, Advance((0,), (0,)), first.kept), 0, 0, None)
            while not node.state.ended:
                following = [
                    _Node(move.to, zone, 0, 0, step.follows)
                    for _, step, advanced in self._steps(node)
                    for move in step.moves
                    if (zone := self._zone(node.zone, advanced, step, move)) is not None
                ]
                if not following:
                    break
                node = draws.choice(following)

    # -- one node ----------------------------------------------------------------------------------------------------

    def _expand(self, node: _Node) -> None:
        moved = False
        for edge, step, advanced in self._steps(node):
            moved = True
            self._follow(node, step, edge, advanced)
        if not moved:
            self.reached.stuck += 1

    def _steps(self, node: _Node) -> Iterator[tuple[Edge, StateStep, Advance]]:
        """Yield (edge, step, advance) of each possible next step."""
        state, zone = node.state, node.zone
        for choice, moment, least in state.choices:
            apart = choice != node.follows and not _at_now(zone, moment)
            advanced = advance(zone, state.due, moment, least, apart=apart)
            if advanced is not None:
                yield Edge(node.number, choice, apart), self.store.step(state, choice), advanced

    def _follow(self, node: _Node, step: StateStep, edge: Edge, advanced: Advance) -> None:
        if step.turn_key is not None and (step.turn_key, False) not in self._ended:
            self.edges.append(edge)
            self._end(len(self.edges) - 1, node.depth + 1, step.turn_key, last=False)
        for move in step.moves:
            zone = self._zone(node.zone, advanced, step, move)
            if zone is not None:
                self._add(move.to, zone, node.depth + 1, edge._replace(late=move.late), step.follows)

    @staticmethod
    def _zone(before: Matrix, advanced: Advance, step: StateStep, move: Move) -> Matrix | None:
        """Return the zone after a move, or None if it is empty."""
        if step.watch is None:
            return picked(before, advanced, move.kept)
        matrix = picked(before, advanced, (*move.kept, step.watch))
        last = len(matrix) - 1
        cut = (last, 0, less_than(-LATE_US)) if move.late else (0, last, at_most(LATE_US))
        part = tightened(matrix, *cut)
        return None if part is None else tuple(row[:-1] for row in part[:-1])

    # -- nodes -------------------------------------------------------------------------------------------------------

    def _add(self, state: StoredState, zone: Matrix, depth: int, edge: Edge, follows: Link | None) -> None:
        """Add a node unless a known node covers it."""
        self.reached.met += 1
        nodes = self._seen.setdefault(state, [])
        least, most = state.least, state.most
        for each in nodes:
            if covered(zone, each.zone, least, most):
                return
        for each in nodes:
            if covered(each.zone, zone, least, most):
                each.dead = True
        nodes[:] = [each for each in nodes if not each.dead]
        number = len(self.edges)
        self.edges.append(edge)
        node = _Node(state, zone, depth, number, follows)
        nodes.append(node)
        if state.ended:
            self._end(number, depth, state.history_key, last=True)
        else:
            self._queue.append(node)

    def _end(self, node: int, depth: int, key: int, *, last: bool) -> None:
        if (key, last) not in self._ended:
            self._ended.add((key, last))
            self.reached.endings.append(Ending(node, depth, key, last))


def _at_now(zone: Matrix, moment: int) -> bool:
    """Return whether a moment is now. An event that was set now can follow at the same time."""
    return zone[0][moment] == 0 and zone[moment][0] == 0
