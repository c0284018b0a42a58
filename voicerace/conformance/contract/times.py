"""Statistics of the times in all experiments, and the fact whether response.done arrives before a result."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from voicerace.conformance.contract.facts import FactAnswer, broken, held, unknown
from voicerace.conformance.contract.table import TOOL_MS
from voicerace.experiments.achieved_times import measured
from voicerace.trace.recording import Recording

__all__ = ["SHOWN", "Spread", "done_before_result", "spreads"]

#: Name of a reported time -> whether its values contain the round trip.
SHOWN: Final[Mapping[str, bool]] = {
    "gap_ms": False,
    "item_done_ms": False,
    "ack_ms": True,
    "create_ms": True,
    "first_item_ms": False,
    "arguments_ms": False,
    "reply_gap_ms": False,
}
#: Minimum number of measured gaps for an answer.
_LEAST: Final = 3


@dataclass(frozen=True)
class Spread:
    """Statistics of one measured time in ms.

    Attributes:
        count: number of values.
        least: smallest value; None if there are no values.
        median: median; None if there are no values.
        most: largest value; None if there are no values.
        with_rtt: whether each value contains the round trip.
    """

    count: int
    least: float | None
    median: float | None
    most: float | None
    with_rtt: bool

    def to_json(self) -> dict[str, Any]:
        return {"count": self.count, "min": self.least, "median": self.median, "max": self.most, "with_rtt": self.with_rtt}


def spreads(recordings: Iterable[Recording]) -> dict[str, Spread]:
    """Return name of a time -> statistics over all recordings."""
    values: dict[str, list[float]] = defaultdict(list)
    for recording in recordings:
        for name, found in measured(recording).items():
            values[name] += found
    return {name: _spread(values[name], with_rtt) for name, with_rtt in SHOWN.items()}


def _spread(values: list[float], with_rtt: bool) -> Spread:
    if not values:
        return Spread(0, None, None, None, with_rtt)
    least, median, most = (round(each, 1) for each in (min(values), statistics.median(values), max(values)))
    return Spread(len(values), least, median, most, with_rtt)


def done_before_result(gap: Spread) -> FactAnswer:
    """Decide from the measured gaps whether response.done arrives before the result of a tool of `TOOL_MS`.

    The round trip does not affect the answer, because it only delays the result. One gap of `TOOL_MS` or more shows that
    a result can arrive first.
    """
    if gap.count < _LEAST or gap.most is None:
        return unknown(f"{gap.count} gaps were measured, {_LEAST} are needed")
    seen = f"G is {gap.least:g} to {gap.most:g} ms in {gap.count} calls, median {gap.median:g}"
    return held(seen) if gap.most < TOOL_MS else broken(f"{seen}: a result after {TOOL_MS} ms can be first")
