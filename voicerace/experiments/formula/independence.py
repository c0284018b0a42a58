"""Finds which steps of one actor must keep their order, and which may be exchanged without any effect.

The steps are replayed in every order that the times allow. Two steps are independent if, after every set of earlier steps, both
orders give the same effects and the same state (equal keys, as in `voicerace.experiments.explore`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Step", "dependent"]

#: Maximum number of sets of steps of one actor. Beyond it, all further steps keep their order.
MOST_SETS = 20_000


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
) -> Iterator[tuple[Step, Step]]:
    """Yield pairs of steps whose order matters, the first one first.

    Args:
        steps: steps in order.
        state: state of the actor before them.
        key: key of a state.
        overlaps: for each step, the later ones that the times allow before it, as a bit mask.
    """
    needs = [0] * len(steps)
    for earlier, after in enumerate(overlaps):
        for later in range(earlier + 1, len(steps)):
            if not after >> later & 1:
                needs[later] |= 1 << earlier
    states = {0: state}
    seen = 0
    while states:
        following: dict[int, Any] = {}
        for done, before in states.items():
            seen += 1
            lowest = (~done & done + 1).bit_length() - 1
            if lowest == len(steps):
                continue
            ready = [i for i in _bits((overlaps[lowest] | 1 << lowest) & ~done) if needs[i] & ~done == 0]
            played = {i: steps[i].play(before) for i in ready}
            for position, first in enumerate(ready):
                for second in ready[position + 1 :]:
                    if needs[second] >> first & 1:
                        continue
                    if seen > MOST_SETS or not _independent(steps[first], steps[second], played[first], played[second], key):
                        needs[second] |= 1 << first
                        yield steps[first], steps[second]
            for i in ready:
                if needs[i] & ~done == 0:
                    following.setdefault(done | 1 << i, played[i][0])
        states = following


def _bits(mask: int) -> Iterator[int]:
    while mask:
        yield (mask & -mask).bit_length() - 1
        mask &= mask - 1


def _independent(first: Step, second: Step, one: Any, other: Any, key: Callable[[Any], Hashable]) -> bool:
    """Return whether two steps, played from the same state, have the same effects and the same last state in both orders."""
    if one[2] & other[2]:
        return False
    after_first, after_second = second.play(one[0]), first.play(other[0])
    same = after_first[1:] == other[1:] and after_second[1:] == one[1:]
    return same and bool(key(after_first[0]) == key(after_second[0]))
