"""Sets of points of a box that satisfy linear conditions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from scipy.optimize import linprog

from voicerace.experiments.formula.linear import CONSTANT, SCALE, Box, Condition, Form, value_of

__all__ = ["POINT_NS", "Space", "negated", "opposite"]

#: Points are multiples of this number of ns. A set without a ball of this radius counts as empty.
POINT_NS: Final = 200


def opposite(form: Form) -> Form:
    return tuple((name, -value) for name, value in form)


def negated(condition: Condition) -> Condition:
    form, strict = condition
    return opposite(form), not strict


class Space:
    """A box of times.

    Args:
        box: (lowest, highest) value in ns by name of a time.
        seed: seed of the random choice of points.
    """

    def __init__(self, box: Box, seed: int = 0) -> None:
        self.box = box
        self.names = tuple(box)
        self.low = np.array([box[name][0] for name in self.names], dtype=float)
        self.high = np.array([box[name][1] for name in self.names], dtype=float)
        self._rng = np.random.default_rng(seed)

    def row(self, form: Form) -> tuple[np.ndarray[Any, Any], float]:
        """Return the coefficients and the constant, in ns, of a form."""
        found = dict(form)
        return np.array([found.get(name, 0) for name in self.names]) / SCALE, found.get(CONSTANT, 0) / SCALE

    def point(self, conditions: Iterable[Condition], zero: Form | None = None) -> dict[str, int] | None:
        """Return a point inside the set of points that satisfy all conditions, or None if its interior is empty.

        Args:
            conditions: the conditions.
            zero: a form that is exactly 0 at the point; the interior is then that of the set inside the form's plane.
        """
        rows = [self.row(form) for form, _ in conditions]
        # The centre and the radius of the largest ball, in ms.
        above = np.array([*([*-row, np.linalg.norm(row)] for row, _ in rows), *self._walls()])
        limits = [constant / 1e6 for _, constant in rows] + [*(-self.low / 1e6), *(self.high / 1e6)]
        size = len(self.names)
        plane, constant = self.row(zero or ())
        found = linprog(
            [0.0] * size + [-1.0],
            A_ub=above,
            b_ub=limits,
            A_eq=[[*plane, 0.0]] if zero else None,
            b_eq=[-constant / 1e6] if zero else None,
            bounds=[(None, None)] * size + [(0, 1e3)],
            method="highs",
        )
        if found.x is None or found.x[-1] * 1e6 < 2 * POINT_NS:
            return None
        way = self._rng.normal(size=size)
        if zero:
            way -= plane * (way @ plane) / (plane @ plane)
        centre = found.x[:-1] * 1e6 + way / max(float(np.linalg.norm(way)), 1e-9) * found.x[-1] * 1e6 * self._rng.uniform(
            0, 0.6
        )
        point = {name: round(each / POINT_NS) * POINT_NS for name, each in zip(self.names, centre, strict=True)}
        return point if zero is None else self._moved(point, zero)

    @staticmethod
    def _moved(point: dict[str, int], zero: Form) -> dict[str, int] | None:
        """Return a point near `point` at which a form is 0, or None if there is none with integers."""
        value = value_of(zero, point)
        for name, each in zero:
            if name != CONSTANT and value % each == 0 and not name.endswith("_rtt_ms"):
                return point | {name: point[name] - value // each}
        return None

    def _walls(self) -> Iterable[list[float]]:
        for sign in (-1.0, 1.0):
            for index in range(len(self.names)):
                yield [*(sign * (index == each) for each in range(len(self.names))), 1.0]

    def most(self, form: Form, conditions: Iterable[Condition]) -> float:
        """Return the greatest value in ns of a form where all conditions hold; minus infinity if they hold nowhere."""
        row, constant = self.row(form)
        rows = [self.row(each) for each, _ in conditions]
        found = linprog(
            -row,
            A_ub=np.array([-each for each, _ in rows]) if rows else None,
            b_ub=np.array([each / 1e6 for _, each in rows]) if rows else None,
            bounds=list(zip(self.low / 1e6, self.high / 1e6, strict=True)),
            method="highs",
        )
        return -np.inf if found.x is None else float(row @ found.x * 1e6 + constant)

    def draws(self, count: int) -> np.ndarray[Any, Any]:
        """Return random points of the box, one per row, in ns."""
        return np.rint(self._rng.uniform(self.low, self.high, size=(count, len(self.names)))).astype(np.int64)
