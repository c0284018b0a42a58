"""What a capture's own races would have come to on every release: each measured race played once per release.

`ASSUMPTIONS` says what that takes for granted. A session of a capture is one draw of the customer's sessions, so the
intervals are Wilson's over the races that the capture has: ten sessions give a wide one, whatever is computed from them.
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
    "A race is one response with one function call, with its result and its response.done, at the times the proxy saw. "
    "Each is played once on every release.",
    "The result's delay and the gap are taken to be what they would have been with another release.",
    "Where the upstream's round trip is not in the capture, it lies between nothing and the quickest answer to anything "
    "the proxy sent: counts are for the longest it can be, `count_no_network` for none, the interval covers both.",
    "A second result is played as what it was: the component's own error where that was captured, and the app's own "
    "result again where contents were not.",
    "Intervals (Wilson, 95 %) take races as independent draws; with a few users or one load they are too narrow.",
)
#: Races that are played; of more, so many are drawn.
_MOST: Final = 200


def expected(capture: Capture, releases: Sequence[str] = (), most: int = _MOST, seed: int = 0) -> pd.DataFrame:
    """How often each outcome is to be expected on every release, from a capture's own races.

    Args:
        capture: of a proxy (a log, a recording); a browser's HAR has no response.done and so no race.
        releases: tags; without any, one per program, see `programs`.
        most: races that are played; of more, so many are drawn by `seed`.

    Returns:
        One row per release and outcome (of those that any release has, so that ``0 of 10`` is a row): ``release``,
        ``outcome``, ``count``, ``judged`` (races played), ``share``, ``low``, ``high``, ``count_no_network``.

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
    """Of the races whose release and outcome the capture tells: how many come out the same when played; and of how many.

    Either end of the upstream's round trip counts as the same.
    """
    ends = _ends(capture)
    known = [
        (tag, race) for of in capture.sessions for race in of.races if (tag := of.first_release) and race.outcome != "unknown"
    ]
    return sum(race.outcome in {_outcome(tag, race, each) for each in ends} for tag, race in known), len(known)


def left_out(capture: Capture) -> dict[str, int]:
    """Responses with function calls that are no race, by reason."""
    counts: Counter[str] = Counter()
    for of in capture.sessions:
        counts.update(of.races_left_out)
    return dict(counts)


def programs() -> tuple[str, ...]:
    """A tag per program of the proxy, the first that names it, in their order."""
    return tuple({row.source: tag for tag, row in reversed(PROXIES.items())}.values())[::-1]


def _ends(capture: Capture) -> tuple[float, float]:
    """The longest and the shortest that the upstream's round trip can be."""
    network = network_of(capture.sessions)
    return network.rtt_ms, network.rtt_ms if network.known else 0.0


def _outcome(release: str, race: Race, rtt_ms: float) -> str:
    """What one race comes to on a release. Equal races are played once."""
    ack = rtt_ms if race.ack_ms is None else race.ack_ms
    return _played(
        release, race.result_delay_ms, race.gap_ms, max(0.0, ack - rtt_ms), rtt_ms, race.further, race.further_ms or 0.0
    )


@lru_cache(maxsize=1 << 16)
def _played(release: str, delay_ms: float, gap_ms: float, ack_ms: float, rtt_ms: float, further: str, further_ms: float) -> str:
    times: dict[str, object] = {"gap_ms": gap_ms, "ack_ms": ack_ms, "upstream_rtt_ms": rtt_ms, "host_rtt_ms": 0}
    story: dict[str, str] = {}
    match further:
        case "error first":  # the component's error is there at once, so its delay is the host's round trip
            story, times = {"handler": "void_ref"}, times | {"host_rtt_ms": max(0.0, delay_ms), "tool_ms": further_ms}
        case "error last":
            story, times = {"handler": "async_ref"}, times | {"tool_ms": delay_ms}
        case "app twice" | "unknown":
            story, times = {"scenario": "double"}, times | {"tool_ms": delay_ms, "repeat_ms": further_ms}
        case _:
            times = times | {"tool_ms": delay_ms}
    given = {name: max(0.0, value) if isinstance(value, float) else value for name, value in times.items()}
    return judge(simulate(SessionConfig.of(release=release, times=given, **story))).outcome  # type: ignore[arg-type]
