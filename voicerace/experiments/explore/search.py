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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicerace.experiments.explore.bounds import Bounds
from voicerace.experiments.explore.state_store import LATE_US, Move, Named, StateStep, StateStore, StoredState
from voicerace.experiments.explore.stepper import Stepper
from voicerace.experiments.explore.zone import START, Advance, Matrix, advance, at_most, less_than, picked, tightened
from voicerace.experiments.explore.zone_batch import Pool, Stack, compared, earliest, latest, picked_stack, thresholds
from voicerace.trace.recording import Link

__all__ = ["Edge", "Ending", "Reached", "Search", "zone_after"]

#: Number of nodes whose steps are made together.
_BATCH: Final = 1024


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
        states: number of nodes kept. `met`: number of nodes made. `places`: number of states without times.
        complete: every order was explored; False if the limit stopped the search.
        stuck: number of nodes without a next step: the next event would have to be at the same time as the last one. Other
            nodes cover both orders; if the bounds allow only equal times, the node has steps without time between them.
        endings: the endings, shortest first.
    """

    states: int = 0
    met: int = 0
    places: int = 0
    complete: bool = True
    stuck: int = 0
    endings: list[Ending] = field(default_factory=list)


@dataclass(slots=True)
class _Node:
    """A state with a zone.

    Attributes:
        state: the state.
        row: row of its zone in the pool of this size.
        depth: number of steps to it.
        number: number of its edge.
        follows: the link that may follow at the same time.
        parent: the node before it, and the move from there.
        dead: a later node covers it.
    """

    state: StoredState
    row: int
    depth: int
    number: int
    follows: Link | None
    parent: tuple[_Node, int, Move] | None
    dead: bool = False


class _Candidate(NamedTuple):
    """A step to a state that may be known. `number`: index of the choice at the parent."""

    parent: _Node
    number: int
    move: Move
    apart: bool
    follows: Link | None


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
        self._pools: dict[int, Pool] = {}
        self._seen: dict[StoredState, list[_Node]] = {}
        self._queue: deque[_Node] = deque()
        self._ended: set[tuple[int, bool]] = set()

    def run(self) -> Reached:
        """Run the search.

        Raises:
            Visible: a message assumed to be invisible is visible. The caller must start a new search.
        """
        first = self.store.start()
        zone = picked(START, Advance((0,), (0,)), first.kept)
        self.edges.append(Edge(-1, None))
        node = _Node(first.to, self._pool(len(zone)).add(np.array([zone]))[0], 0, 0, None, None)
        self.reached.met = 1
        self._seen[first.to] = [node]
        self._queue.append(node)
        while self._queue:
            if len(self.edges) >= self.limit:
                self.reached.complete = False
                break
            if self.tick is not None:
                self.tick(len(self.edges))
            taken = [self._queue.popleft() for _ in range(min(_BATCH, self.limit - len(self.edges), len(self._queue)))]
            self._expand([node for node in taken if not node.dead])
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
            state, zone, follows = first.to, picked(START, Advance((0,), (0,)), first.kept), None
            while not state.ended:
                following = []
                for choice, moment, least in state.choices:
                    apart = choice != follows and not (zone[0][moment] == 0 and zone[moment][0] == 0)
                    advanced = advance(zone, state.due, moment, least, apart=apart)
                    if advanced is not None:
                        step = self.store.step(state, choice)
                        moved = ((move, zone_after(zone, advanced, step, move), step.follows) for move in step.moves)
                        following += [(move.to, after, next_) for move, after, next_ in moved if after is not None]
                if not following:
                    break
                state, zone, follows = draws.choice(following)

    # -- a batch of nodes --------------------------------------------------------------------------------------------

    def _pool(self, size: int) -> Pool:
        pool = self._pools.get(size)
        if pool is None:
            pool = self._pools[size] = Pool(size)
        return pool

    def _expand(self, nodes: Sequence[_Node]) -> None:
        """Make the steps from each node."""
        by_size: dict[int, list[_Node]] = {}
        for node in nodes:
            by_size.setdefault(node.state.size, []).append(node)
        found: dict[int, tuple[list[_Candidate], list[Stack]]] = {}
        for size, each in by_size.items():
            for candidate, zones in self._steps(self._pool(size), each):
                candidates, stacks = found.setdefault(zones.shape[1], ([], []))
                candidates += candidate
                stacks.append(zones)
        for size, (candidates, stacks) in found.items():
            self._add(size, candidates, np.concatenate(stacks))

    def _steps(self, pool: Pool, nodes: Sequence[_Node]) -> Iterator[tuple[list[_Candidate], Stack]]:
        """Yield the possible next steps of nodes of one size, with the zones after them."""
        zones = pool.take([node.row for node in nodes])
        after = latest(zones, np.stack([node.state.limits for node in nodes]))
        counts = [len(node.state.choices) for node in nodes]
        rows = np.repeat(np.arange(len(nodes)), counts)
        jobs = np.concatenate([node.state.jobs for node in nodes])
        follows = np.fromiter(
            (choice[0] == node.follows for node in nodes for choice in node.state.choices), dtype=np.bool_, count=len(rows)
        )
        moments, least = jobs[:, 0], jobs[:, 1]
        at_now = (zones[rows, 0, moments] == 0) & (zones[rows, moments, 0] == 0)
        apart = ~(follows | at_now)
        before = earliest(zones[rows], moments, least, apart)
        possible: NDArray[np.bool_] = np.logical_and.reduce(before + after[rows] >= 0, axis=1)
        stuck = np.bincount(rows[possible], minlength=len(nodes)) == 0
        for position in np.flatnonzero(stuck).tolist():
            self.reached.stuck += 1
            # If other orders do not cover this one, the events are at the same time.
            tied = [index for index in range(counts[position]) if self._is_tied(nodes[position], index)]
            begin = int(np.searchsorted(rows, position))
            for index in tied:
                one = [begin + index]
                apart[one] = False
                before[one] = earliest(zones[rows[one]], moments[one], least[one], apart[one])
                possible[one] = (before[one] + after[rows[one]] >= 0).all(axis=1)
        by_kept: dict[int, tuple[list[int], list[tuple[int, ...]], list[_Candidate]]] = {}
        first = np.cumsum([0, *counts[:-1]]).tolist()
        chosen = np.flatnonzero(possible).tolist()
        for job, row, apart_ in zip(chosen, rows[possible].tolist(), apart[possible].tolist(), strict=True):
            node = nodes[row]
            index = job - first[row]
            choice = node.state.choices[index][0]
            step = node.state.steps.get(choice) or self.store.step(node.state, choice)
            if step.turn_key is not None and (step.turn_key, False) not in self._ended:
                self.edges.append(Edge(node.number, choice, apart_))
                self._end(len(self.edges) - 1, node.depth + 1, step.turn_key, last=False)
            if step.watch is None:
                [move] = step.moves
                jobs_, kept, candidates = by_kept.setdefault(len(move.kept), ([], [], []))
                jobs_.append(job)
                kept.append(move.kept)
                candidates.append(_Candidate(node, index, move, apart_, step.follows))
                continue
            advanced = Advance(tuple(after[row].tolist()), tuple(before[job].tolist()))
            matrix = tuple(map(tuple, zones[row].tolist()))
            for move in step.moves:
                zone = zone_after(matrix, advanced, step, move)
                if zone is not None:
                    yield [_Candidate(node, index, move, apart_, step.follows)], np.array([zone], dtype=np.int64)
        for jobs_, kept, candidates in by_kept.values():
            at = rows[jobs_]
            yield candidates, picked_stack(zones[at], before[jobs_], after[at], np.array(kept, dtype=np.intp))

    def _is_tied(self, node: _Node, index: int) -> bool:
        """Return whether a choice of a stuck node can only be at the time of the event before, in no other order.

        It is the next message of the same link, or the bounds allow only equal times: the durations of both events are exact,
        and in no time of the node before was the other order possible.
        """
        if node.parent is None:
            return False
        parent, last, move = node.parent
        choice, moment, least = node.state.choices[index]
        before, set_at, exact = parent.state.choices[last]
        if isinstance(choice, Link) and choice == before:
            return True
        if exact != parent.state.due[last][1] or least != node.state.due[index][1] or moment == 0:
            return False
        zone = self._pool(parent.state.size).take([parent.row])[0]
        return bool(zone[set_at, move.kept[moment]] <= 2 * (least - exact))

    # -- nodes -------------------------------------------------------------------------------------------------------

    def _add(self, size: int, candidates: Sequence[_Candidate], zones: Stack) -> None:
        """Add a node for each candidate that no known node covers."""
        self.reached.met += len(candidates)
        groups: dict[StoredState, dict[bytes, int]] = {}
        for position, candidate in enumerate(candidates):
            groups.setdefault(candidate.move.to, {}).setdefault(zones[position].tobytes(), position)
        # One slot for each known node of a state, and after them one for each new zone.
        slots: list[_Node | None] = []
        sizes: list[int] = []
        new: list[tuple[int, int, int]] = []
        for state, group in groups.items():
            begin = len(slots)
            slots += self._seen.get(state, ())
            new += [(position, slot, begin) for slot, position in enumerate(group.values(), start=len(slots))]
            slots += [None] * len(group)
            sizes.append(len(slots) - begin)
        fresh, dropped = self._compared(self._pool(size), list(groups), sizes, slots, zones, np.array(new, dtype=np.intp))
        added: list[tuple[int, _Node]] = []
        for index in fresh:
            position, slot, _ = new[index]
            parent, number, move, apart, follows = candidates[position]
            node = slots[slot] = _Node(move.to, -1, parent.depth + 1, len(self.edges), follows, (parent, number, move))
            self.edges.append(Edge(parent.number, parent.state.choices[number][0], apart, move.late))
            added.append((position, node))
            if move.to.ended:
                self._end(node.number, node.depth, move.to.history_key, last=True)
            else:
                self._queue.append(node)
        for slot in dropped:
            if (known := slots[slot]) is not None:
                known.dead = True
        every = iter(slots)
        for state, count in zip(groups, sizes, strict=True):
            self._seen[state] = [each for each in islice(every, count) if each is not None and not each.dead]
        if added:
            rows = self._pool(size).add(zones[[position for position, _ in added]])
            for row, (_, node) in zip(rows, added, strict=True):
                node.row = row

    def _compared(
        self, pool: Pool, states: Sequence[StoredState], sizes: Sequence[int], slots: Sequence[_Node | None], zones: Stack,
        new: NDArray[np.intp],
    ) -> tuple[list[int], list[int]]:  # fmt: skip
        """Compare each new zone with the known zones of its state, and with the new ones before it.

        Returns:
            Numbers of the new zones that no zone before them covers, and the slots of zones that one of these covers.
        """
        every = np.empty((len(slots), *zones.shape[1:]), dtype=np.int64)
        known = [slot for slot, node in enumerate(slots) if node is not None]
        every[known] = pool.take([node.row for node in slots if node is not None])
        every[new[:, 1]] = zones[new[:, 0]]
        least, most = (
            np.repeat(np.stack(each), sizes, axis=0) for each in zip(*((s.least, s.most) for s in states), strict=True)
        )
        fresh, dropped = compared(every, thresholds(every, least, most), new[:, 1], new[:, 2])
        return fresh.tolist(), dropped.tolist()

    def _end(self, node: int, depth: int, key: int, *, last: bool) -> None:
        if (key, last) not in self._ended:
            self._ended.add((key, last))
            self.reached.endings.append(Ending(node, depth, key, last))


def zone_after(before: Matrix, advanced: Advance, step: StateStep, move: Move) -> Matrix | None:
    """Return the zone after a move, or None if it is empty."""
    if step.watch is None:
        return picked(before, advanced, move.kept)
    matrix = picked(before, advanced, (*move.kept, step.watch))
    last = len(matrix) - 1
    cut = (last, 0, less_than(-LATE_US)) if move.late else (0, last, at_most(LATE_US))
    part = tightened(matrix, *cut)
    return None if part is None else tuple(row[:-1] for row in part[:-1])
