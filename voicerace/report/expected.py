"""Compute expected outcomes of the races of a capture. Each measured race is simulated on every release.

`ASSUMPTIONS` lists the assumptions. The Wilson intervals treat each race as one draw.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import pandas as pd

from voicerace.analysis.verdict import OUTCOMES, judge
from voicerace.captures import Capture
from voicerace.captures.races import Race
from voicerace.captures.times import network_of
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.errors import InputError
from voicerace.experiments.rates import wilson
from voicerace.model.catalog.releases import PROXIES

__all__ = ["ASSUMPTIONS", "back_test", "expected", "left_out", "programs"]

ASSUMPTIONS: Final = (
    "A race is one response with one function call, its result and its response.done, at the times measured at the proxy. "
    "Each is played once on every release.",
    "The result's delay and the gap are assumed to be the same with every release.",
    "If the capture does not show the upstream's round trip, it is between 0 and the quickest answer to a message of the "
    "proxy. Counts use the longest possible round trip, `count_no_network` uses 0, and the interval covers both.",
    "A second result is played as captured: the component's own error, or the app's result again if contents were not "
    "captured.",
    "Intervals (Wilson, 95 %) take races as independent draws; with a few users or one load they are too narrow.",
)
#: Maximum number of simulated races. A larger capture is sampled.
_MOST: Final = 200


def expected(capture: Capture, releases: Sequence[str] = (), most: int = _MOST, seed: int = 0) -> pd.DataFrame:
    """Return the expected share of each outcome on every release, from the races of a capture.

    Args:
        capture: a log or a recording of a proxy. A browser's HAR contains no `response.done`, and therefore no race.
        releases: tags; empty for one tag per program, see `programs`.
        most: maximum number of simulated races. A larger capture is sampled.
        seed: seed of the sample.

    Returns:
        One row per release and outcome, including outcomes that occur only on other releases: ``release``, ``outcome``,
        ``count``, ``judged`` (number of simulated races), ``share``, ``low``, ``high``, ``count_no_network``.

    Raises:
        InputError: the capture has no race.
    """
    races = [race for of in capture.sessions for race in of.races]
    if not races:
        raise InputError("capture", "has no race to play", "one with a call, its result and its response.done, at the proxy")
    if len(races) > most:
        races = random.Random(seed).sample(races, most)
    far_ms, near_ms = _ends(capture)
    found: dict[str, tuple[Counter[str], Counter[str]]] = {}
    for tag in releases or programs():
        found[tag] = tuple(Counter(_outcome(tag, race, each) for race in races) for each in (far_ms, near_ms))  # type: ignore[assignment]
    had = {outcome for both in found.values() for counts in both for outcome in counts}
    rows = []
    for tag, (far, near) in found.items():
        for outcome in (each for each in OUTCOMES if each in had):
            bounds = [wilson(counts[outcome], len(races)) for counts in (far, near)]
            rows.append(
                {
                    "release": tag,
                    "outcome": outcome,
                    "count": far[outcome],
                    "judged": len(races),
                    "share": far[outcome] / len(races),
                    "low": min(low for low, _ in bounds),
                    "high": max(high for _, high in bounds),
                    "count_no_network": near[outcome],
                }
            )
    return pd.DataFrame(rows)


def back_test(capture: Capture) -> tuple[int, int]:
    """Simulate the races with a known release and outcome.

    Return (number of simulations with the recorded outcome, number of these races).

    An outcome counts as equal if it agrees at the longest or at the shortest possible round trip to the upstream.
    """
    ends = _ends(capture)
    known = [
        (tag, race) for of in capture.sessions for race in of.races if (tag := of.first_release) and race.outcome != "unknown"
    ]
    return sum(race.outcome in {_outcome(tag, race, each) for each in ends} for tag, race in known), len(known)


def left_out(capture: Capture) -> dict[str, int]:
    """Return the number of responses with function calls that are not races, by reason."""
    counts: Counter[str] = Counter()
    for of in capture.sessions:
        counts.update(of.races_left_out)
    return dict(counts)


def programs() -> tuple[str, ...]:
    """Return the first tag of each distinct proxy program, in the order of the catalogue."""
    return tuple({row.source: tag for tag, row in reversed(PROXIES.items())}.values())[::-1]


def _ends(capture: Capture) -> tuple[float, float]:
    """Return (longest, shortest) possible round trip to the upstream in ms."""
    network = network_of(capture.sessions)
    return network.rtt_ms, network.rtt_ms if network.known else 0.0


def _outcome(release: str, race: Race, rtt_ms: float) -> str:
    """Simulate a race on a release and return its outcome. Equal races are simulated once."""
    ack = rtt_ms if race.ack_ms is None else race.ack_ms
    return _played(
        release, race.result_delay_ms, race.gap_ms, max(0.0, ack - rtt_ms), rtt_ms, race.further, race.further_ms or 0.0
    )


@lru_cache(maxsize=1 << 16)
def _played(release: str, delay_ms: float, gap_ms: float, ack_ms: float, rtt_ms: float, further: str, further_ms: float) -> str:
    times: dict[str, object] = {"gap_ms": gap_ms, "ack_ms": ack_ms, "upstream_rtt_ms": rtt_ms, "host_rtt_ms": 0}
    setting: dict[str, str] = {}
    match further:
        case "error first":  # the component sends its error at once, so the delay of the error is the host's round trip
            setting, times = {"handler": "void_ref"}, times | {"host_rtt_ms": max(0.0, delay_ms), "tool_ms": further_ms}
        case "error last":
            setting, times = {"handler": "async_ref"}, times | {"tool_ms": delay_ms}
        case "app twice" | "unknown":
            setting, times = {"scenario": "double"}, times | {"tool_ms": delay_ms, "repeat_ms": further_ms}
        case _:
            times = times | {"tool_ms": delay_ms}
    given = {name: max(0.0, value) if isinstance(value, float) else value for name, value in times.items()}
    return judge(simulate(SessionConfig.of(release=release, times=given, **setting))).outcome  # type: ignore[arg-type]
