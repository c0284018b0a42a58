"""Divides a box of times into regions with one outcome each: every region of the box is played once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError
from voicerace.experiments.formula.linear import Box, Condition, value_of
from voicerace.experiments.formula.polyhedron import Space, negated
from voicerace.experiments.formula.traced import trace

__all__ = ["Region", "regions"]


@dataclass(frozen=True)
class Region:
    """A part of a box in which every session has the same outcome.

    Attributes:
        outcome: the outcome.
        bad: whether it is bad.
        conditions: the conditions that define the region in the box.
        point: a point inside, in ns by name of a time.
    """

    outcome: str
    bad: bool
    conditions: frozenset[Condition]
    point: Mapping[str, int]

    def has(self, point: Mapping[str, int]) -> bool:
        return all((value := value_of(form, point)) > 0 or (value == 0 and not strict) for form, strict in self.conditions)


def regions(
    session: SessionConfig,
    box: Box,
    most: int = 2000,
    progress: Callable[[int], object] = lambda _: None,
    several: frozenset[str] = frozenset(),
) -> list[Region]:
    """Return regions that cover a box.

    Args:
        session: the session; the times outside the box are constants.
        box: (lowest, highest) value in ns by name of a free time.
        most: maximum number of regions.
        progress: called with the number of regions found.
        several: see `traced.trace`.

    Raises:
        InputError: there are more regions than `most`.
    """
    space = Space(box)
    found: list[Region] = []
    left: list[tuple[Condition, ...]] = [()]
    while left:
        part = left.pop()
        point = space.point(part)
        if point is None:
            continue
        region = next((each for each in found if each.has(point)), None)
        if region is None:
            traced = trace(session, point, box, several)
            region = Region(traced.outcome, traced.bad, traced.conditions, point)
            found.append(region)
            progress(len(found))
            if len(found) > most:
                raise InputError("times", f"more than {most} regions", "fewer free times, or smaller intervals")
        inside = part
        for condition in sorted(region.conditions, key=lambda each: (len(each[0]), each)):
            if condition not in inside:
                left.append((*inside, negated(condition)))
                inside = (*inside, condition)
    return found
