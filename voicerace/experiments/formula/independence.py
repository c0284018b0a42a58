"""Finds which steps of one actor must keep their order, and which may be exchanged without any effect.

The steps are replayed in every order that the times allow. A step that never changes the state and always has the same
effects may be anywhere. Of the others, two steps are independent if, after every set of earlier steps, both orders give the
same effects and the same state (equal keys, as in `voicerace.experiments.explore`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["CLOSES", "Step", "dependent"]

#: Maximum number of sets of steps of one actor. Beyond it, all further steps keep their order.
MOST_SETS: Final = 20_000
#: A step that changes this name closes a connection: steps with effects depend on it.
CLOSES: Final = "(close)"


@dataclass(frozen=True)
class Step:
    """A step of an actor.

    Attributes:
        time_ns: time of the step.
        rank: order of steps in the same nanosecond.
        play: function that plays the step in a state and returns (state, effects as a key, names that it changes).
    """

    time_ns: int
    rank: tuple[int, ...]
    play: Callable[[Any], tuple[Any, Hashable, frozenset[str]]]


def dependent(
    steps: Sequence[Step], state: Any, key: Callable[[Any], Hashable], overlaps: Sequence[int]
) -> list[tuple[Step, Step]]:
    """Return pairs of steps whose order matters, the first one first.

    Args:
        steps: steps in order.
        state: state of the actor before them.
        key: key of a state.
        overlaps: for each step, the later ones that the times allow before it, as a bit mask.
    """
    search = _Search(steps, state, key, overlaps)
    while search.again():
        pass
    return [(steps[first], steps[second]) for first, second in sorted(search.found)]


class _Search:
    """The search for dependent steps of one actor. Sets of steps are bit masks."""

    def __init__(self, steps: Sequence[Step], state: Any, key: Callable[[Any], Hashable], overlaps: Sequence[int]) -> None:
        self.steps, self.state, self.key = steps, state, key
        self.found: set[tuple[int, int]] = set()
        self._known: dict[tuple[int, int], tuple[Any, Any]] = {}
        #: One state per key.
        self._states = {key(state): state}
        everything = (1 << len(steps)) - 1
        #: For each step, those that are before it at all times, and those that can be on both sides.
        self._forced = [0] * len(steps)
        self._free = [0] * len(steps)
        for earlier, after in enumerate(overlaps):
            for later in range(earlier + 1, len(steps)):
                if after >> later & 1:
                    self._free[earlier] |= 1 << later
                    self._free[later] |= 1 << earlier
                else:
                    self._forced[later] |= 1 << earlier
        self._usual: list[Any] = []
        #: Steps that change nothing, as far as is known.
        self._idle = everything
        for index in range(len(steps)):
            after, effects, changes = self._play(index, state)
            self._usual.append(effects)
            if after is not state or changes:
                self._idle &= ~(1 << index)
            state = after
        self._needs: list[int] = []

    def again(self) -> bool:
        """Search all sets of steps. Return whether another search is necessary, because an idle step is not idle."""
        self._needs = [*self._forced]
        for first, second in self.found:
            self._needs[second] |= 1 << first
        self._needs = [each & ~self._idle for each in self._needs]
        states, seen = {0: self.state}, 0
        while states:
            following: dict[int, Any] = {}
            for done, now in states.items():
                seen += 1
                lowest = next(_bits(~self._idle & ~done & (1 << len(self.steps)) - 1), None)
                if not self._idles(done, now, lowest):
                    return True
                if lowest is None or any(self._needs[i] & ~done for i in _bits(done >> lowest << lowest)):
                    continue
                for i in self._ready(done, now, lowest, exact=seen <= MOST_SETS):
                    following.setdefault(done | 1 << i, self._play(i, now)[0])
            states = following
        return False

    def _idles(self, done: int, now: Any, lowest: int | None) -> bool:
        """Check the idle steps that can be next. Return False, and mark the step as not idle, if one does something."""
        # All steps that are forced before `lowest` were checked with an earlier set.
        nearby = self._idle if lowest is None else self._free[lowest] & self._idle | self._idle & (1 << lowest) - 1
        for i in _bits(nearby):
            if self._forced[i] & ~self._idle & ~done or any(self._forced[k] >> i & 1 for k in _bits(done >> i << i)):
                continue
            after, effects, changes = self._play(i, now)
            if after is not now or changes or effects != self._usual[i]:
                self._idle &= ~(1 << i)
                return False
        return True

    def _ready(self, done: int, now: Any, lowest: int, *, exact: bool) -> list[int]:
        """Return the steps that can be next after a set of steps. Note the dependent ones among them."""
        ready = [i for i in _bits((self._free[lowest] | 1 << lowest) & ~done & ~self._idle) if not self._needs[i] & ~done]
        for i in [each for each in ready if self._play(each, now)[1] != self._usual[each]]:
            ready.remove(i)
            self._note(*self._culprit(i, done, now))
        for position, first in enumerate(ready):
            for second in ready[position + 1 :]:
                if not self._needs[second] >> first & 1 and not (exact and self._independent(first, second, now)):
                    self._note(first, second)
        if any(self._needs[i] & ~done for i in _bits(done >> lowest << lowest)):
            return []
        return [i for i in ready if not self._needs[i] & ~done]

    def _note(self, first: int, second: int) -> None:
        self.found.add((first, second))
        self._needs[second] |= 1 << first

    def _play(self, index: int, before: Any) -> Any:
        """Play a step, or return what it did in the same state. A state is kept, so that no other has its identity."""
        found = self._known.get((index, id(before)))
        if found is None:
            try:
                after, effects, changes = self.steps[index].play(before)
            except LookupError:  # The step belongs to something that does not exist in this state.
                after, effects, changes = before, LookupError, frozenset()
            if after is not before:
                after = self._states.setdefault(self.key(after), after)
            found = self._known[index, id(before)] = (after, effects, changes), before
        return found[0]

    def _culprit(self, index: int, done: int, now: Any) -> tuple[int, int]:
        """Return a dependent pair of `index`, which has other effects after the steps `done` than usual."""
        for earlier in _bits(~done & ~self._idle & (1 << index) - 1):
            now = self._play(earlier, now)[0]
            if self._play(index, now)[1] == self._usual[index]:
                return earlier, index
        now = self.state
        for other in _bits(done):
            now = self._play(other, now)[0]
            if other > index and self._play(index, now)[1] != self._usual[index]:
                return index, other
        raise RuntimeError(f"step {index} depends on the order of others")

    def _independent(self, first: int, second: int, before: Any) -> bool:
        """Return whether two steps have the same effects and lead to the same state in both orders."""
        one, other = self._play(first, before), self._play(second, before)
        if one[2] & other[2] or (CLOSES in one[2] and other[1]) or (CLOSES in other[2] and one[1]):
            return False
        last, same = self._play(second, one[0]), self._play(first, other[0])
        if last[1] != self._usual[second] or same[1] != self._usual[first]:
            return False
        return last[0] is same[0]


def _bits(mask: int) -> Iterator[int]:
    while mask:
        yield (mask & -mask).bit_length() - 1
        mask &= mask - 1
