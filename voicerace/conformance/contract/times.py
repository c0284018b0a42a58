"""Times measured over all experiments, and the fact that follows from them: which comes first, a result or response.done."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from voicerace.conformance.contract.facts import Answer, broken, held, unknown
from voicerace.conformance.contract.table import TOOL_MS
from voicerace.experiments.achieved_times import measured
from voicerace.trace.recording import Recording

__all__ = ["SHOWN", "Spread", "done_before_result", "spreads"]

#: The times that are reported, and whether each contains the round trip: our end is not the API's.
SHOWN: Final[Mapping[str, bool]] = {
    "gap_ms": False,
    "item_done_ms": False,
    "ack_ms": True,
    "create_ms": True,
    "first_item_ms": False,
    "arguments_ms": False,
    "reply_gap_ms": False,
}
#: Fewer measured gaps than this tell nothing.
_LEAST: Final = 3


@dataclass(frozen=True)
class Spread:
    """What was measured of one time, in ms.

    Attributes:
        count: how many values there are.
        least, median, most: of them; None without any.
        with_rtt: each value contains the round trip.
    """

    count: int
    least: float | None
    median: float | None
    most: float | None
    with_rtt: bool

    def to_json(self) -> dict[str, Any]:
        return {"count": self.count, "min": self.least, "median": self.median, "max": self.most, "with_rtt": self.with_rtt}


def spreads(recordings: Iterable[Recording]) -> dict[str, Spread]:
    """The reported times over all recordings, by name."""
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


def done_before_result(gap: Spread) -> Answer:
    """Whether response.done comes before the result of a tool of `TOOL_MS`, by the measured G.

    Without a round trip: with one, the result comes later still. One G above `TOOL_MS` shows that a result can be first.
    """
    if gap.count < _LEAST or gap.most is None:
        return unknown(f"{gap.count} gaps were measured, {_LEAST} are needed")
    seen = f"G is {gap.least:g} to {gap.most:g} ms in {gap.count} calls, median {gap.median:g}"
    return held(seen) if gap.most < TOOL_MS else broken(f"{seen}: a result after {TOOL_MS} ms can be first")
