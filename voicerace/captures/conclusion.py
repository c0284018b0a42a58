"""Conclude from a capture in three lines: what happened, why, and what to do. The advice is played on the release's model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil
from typing import Final

from voicerace.analysis.outcomes import BAD, OUTCOMES, TABLE
from voicerace.analysis.verdict import judge
from voicerace.captures.races import Race
from voicerace.captures.reader import CASSETTE, Capture
from voicerace.captures.times import network_of
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.model.catalog.releases import component_for, proxy_release
from voicerace.model.catalog.workarounds import why_not

__all__ = ["conclusion_lines"]

#: Maximum number of races that are played for the advice.
_PLAYED: Final = 20
#: The hold of a result, as a multiple of the longest gap in the capture.
_HOLD: Final = 1.5
#: Workaround -> what the app does, with `hold_ms`. In order of preference: the first one with the fewest bad turns is advised.
_ADVICE: Final = {
    "await-and-return": "let the handler await the tool and return {{id, result}} once",
    "wait-for-done": "return the result when the component reports that the agent is idle",
    "wait-fixed": "return the result no earlier than {hold_ms} ms after the call ({multiple:g} times the longest gap)",
}


@dataclass
class _Totals:
    """Sums over the sessions of a capture.

    Attributes:
        outcomes: number of sessions by outcome.
        whys: number of sessions by reason, of bad sessions or, without any, of all.
        releases: number of bad sessions by release, or by first possible release.
        refusals: number of refusals.
        errors: number of results that are the component's own error.
        races: all races.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    whys: Counter[str] = field(default_factory=Counter)
    releases: Counter[str] = field(default_factory=Counter)
    refusals: int = 0
    errors: int = 0
    races: list[Race] = field(default_factory=list)

    @property
    def bad(self) -> int:
        return sum(count for name, count in self.outcomes.items() if name in BAD)


def conclusion_lines(capture: Capture) -> Iterator[str]:
    """Yield three lines: what happened in the sessions of a capture, why, and what to do."""
    totals = _totals(capture)
    yield f"what happened  {_what(totals)}"
    yield f"why            {_why(totals)}"
    yield f"what to do     {_what_to_do(capture, totals)}"


def _totals(capture: Capture) -> _Totals:
    found = _Totals()
    good_whys: Counter[str] = Counter()
    for each in capture.sessions:
        found.outcomes[each.outcome] += 1
        found.refusals += each.refusals.value or 0
        found.errors += each.counts["default_errors"].value or 0
        found.races += each.races
        if each.outcome not in BAD:
            good_whys[each.why] += 1
            continue
        found.whys[each.why] += 1
        if each.first_release is not None:
            found.releases[each.first_release] += 1
    found.whys = found.whys or good_whys
    return found


def _what(totals: _Totals) -> str:
    sessions = totals.outcomes.total()
    if not sessions:
        return "no session was read"
    counts = ", ".join(f"{name} {count}" for name in OUTCOMES if (count := totals.outcomes[name]))
    worst = max((name for name in totals.outcomes if name in BAD), key=lambda name: TABLE[name].severity, default=None)
    refusals = f"; {totals.refusals} refusal{'' if totals.refusals == 1 else 's'}"
    meaning = "" if worst is None else f"; {worst}: {TABLE[worst].meaning}"
    return f"{totals.bad} of {sessions} session{'' if sessions == 1 else 's'} went wrong ({counts}){refusals}{meaning}"


def _why(totals: _Totals) -> str:
    causes = []
    early = [each for each in totals.races if each.outcome in BAD and each.result_delay_ms < each.gap_ms]
    if totals.refusals and early:
        most = max(each.gap_ms - each.result_delay_ms for each in early)
        causes.append(
            f"in {len(early)} of {len(totals.races)} turns the result reached the proxy before response.done "
            f"(up to {most:.0f} ms), while the response was active"
        )
    if totals.bad and totals.errors:
        several = "result was" if totals.errors == 1 else "results were"
        causes.append(f"{totals.errors} {several} the component's own error, sent in addition to the app's")
    if not causes:
        causes = [why for why, _ in totals.whys.most_common(1)]
    return "; ".join(causes) or "-"


def _what_to_do(capture: Capture, totals: _Totals) -> str:
    if not totals.bad:
        if totals.outcomes.total() == totals.outcomes["unknown"]:
            return "capture both links of the proxy: its log with LOG_LEVEL=debug, from its start (docs/your-sessions.md)"
        return "nothing for these times; voicerace sweep shows other times"
    if capture.format == CASSETTE:
        return "let the client send response.create after a result only when response.done has come (docs/clients.md)"
    patch = "or fix the proxy: voicerace fix"
    if not totals.releases:
        return f"name the proxy's release with --release TAG for advice from its model; {patch}"
    if not totals.races:
        return f"voicerace report --capture FILE has the advice for each release; {patch}"
    (release, _), *_ = totals.releases.most_common(1)
    return f"{_played_advice(capture, totals.races, release)}; {patch}"


def _played_advice(capture: Capture, races: list[Race], release: str) -> str:
    """Return the advice whose sessions, played with the measured times of the races, go wrong the least often."""
    rtt_ms = network_of(capture.sessions).rtt_ms
    hold_ms = ceil(_HOLD * max(each.gap_ms for each in races))
    pairs = sorted({(each.result_delay_ms, each.gap_ms) for each in races})
    pairs = pairs[:: ceil(len(pairs) / _PLAYED)]
    row = proxy_release(release)
    bad: dict[str, int] = {}
    for name in _ADVICE:
        if why_not(name, row, component_for(row).tag, "return") is None:
            bad[name] = sum(_goes_wrong(release, name, hold_ms, rtt_ms, *pair) for pair in pairs)
    best = min(bad, key=bad.__getitem__)
    if bad[best] == len(pairs):
        return f"no change of the handler helps: in the model of {release}, with your times, every turn still goes wrong"
    action = _ADVICE[best].format(hold_ms=hold_ms, multiple=_HOLD)
    return f"{action}: in the model of {release}, with your times, {bad[best]} of {len(pairs)} turns then go wrong"


def _goes_wrong(release: str, workaround: str, hold_ms: float, rtt_ms: float, delay_ms: float, gap_ms: float) -> bool:
    times = {"host_rtt_ms": 0, "upstream_rtt_ms": rtt_ms, "tool_ms": delay_ms, "gap_ms": gap_ms, "hold_ms": hold_ms}
    return judge(simulate(SessionConfig.of(release=release, workaround=workaround, times=times))).bad
