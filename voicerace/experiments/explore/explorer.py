"""Explores one release: plays each scenario in every order of events and judges each ending."""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import VirtualEngine
from voicerace.experiments.executors import Executor
from voicerace.experiments.explore.bounds import Bounds
from voicerace.experiments.explore.finding import Finding
from voicerace.experiments.explore.memo import Memo
from voicerace.experiments.explore.search import Ending, Reached, Search
from voicerace.experiments.explore.signature import Signature, signatures
from voicerace.experiments.explore.stepper import Stepper, Visible
from voicerace.experiments.explore.stories import bounds_of, session_of
from voicerace.experiments.explore.timed_trace import TimedTrace, retraced, schedule, solved
from voicerace.experiments.explore.visible import as_rows, known_visible, likely_visible
from voicerace.experiments.result_cache import cached_map
from voicerace.trace.recording import Link

__all__ = ["ExplorationResult", "StoryStats", "confirmed", "explore", "explored", "peak_rss_mb"]


@dataclass
class StoryStats:
    """Statistics of one explored scenario.

    Attributes:
        states: number of nodes (states with times) kept.
        met: number of nodes made, including known nodes.
        places: number of states without times.
        complete: whether every order was explored.
        stuck: number of stuck states.
        endings: number of endings.
        unconfirmed: number of endings for which no times exist, which indicates a fault of the exploration.
        findings: number of findings. `outcomes`: their outcomes, sorted.
        peak_rss_mb: peak resident memory of the process in MiB, including earlier scenarios.
        visible: the visible messages, each as [sender, receiver, key].
    """

    story: str
    handler: str
    states: int
    met: int
    places: int
    seconds: float
    complete: bool
    stuck: int
    endings: int
    unconfirmed: int
    findings: int
    outcomes: Sequence[str]
    peak_rss_mb: int
    bounds: Mapping[str, Any]
    visible: Sequence[Sequence[Any]]


#: Number of random walks that look for visible messages after a search of more than so many states.
_SCOUTS: Final = 100


@dataclass
class ExplorationResult:
    """Results for one release, with the shortest trace of each finding."""

    release: str
    findings: dict[Signature, Finding] = field(default_factory=dict)
    stats: list[StoryStats] = field(default_factory=list)

    @property
    def not_whole(self) -> list[str]:
        """Scenario and handler of each pair of which not every order was explored."""
        return [f"{each.story} {each.handler}" for each in self.stats if not each.complete]

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values. The first keys state which pairs were explored whole."""
        return {
            "schema": 1,
            "release": self.release,
            "pairs": len(self.stats),
            "pairs_whole": len(self.stats) - len(self.not_whole),
            "pairs_not_whole": self.not_whole,
            "findings": [each.to_json() for each in self.findings.values()],
            "states": sum(each.states for each in self.stats),
            "complete": not self.not_whole,
            "stuck": sum(each.stuck for each in self.stats),
            "unconfirmed": sum(each.unconfirmed for each in self.stats),
            "seconds": round(sum(each.seconds for each in self.stats), 1),
            "peak_rss_mb": max((each.peak_rss_mb for each in self.stats), default=peak_rss_mb()),
            "stories": [vars(each) for each in self.stats],
            "bounds": Bounds.of().to_json() if not self.stats else self.stats[0].bounds,
        }


def peak_rss_mb() -> int:
    """Peak resident memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def explore(
    release: str,
    wanted: Sequence[tuple[str, str]],
    bounds: Sequence[str] = (),
    limit: int = 200_000,
    component: str | None = None,
    tick: Callable[[str, int], None] | None = None,
    workaround: str | None = None,
    jobs: int = 1,
    cached: bool = False,
) -> ExplorationResult:
    """Explore every order of events of some scenarios.

    Args:
        release: tag of the proxy.
        wanted: pairs of scenario and handler style.
        bounds: changes of the default intervals, each ``name=low:high`` in ms.
        limit: maximum number of states per scenario.
        component: tag of the component; by default the component published with the proxy.
        tick: called with (scenario, number of states), repeatedly or, with several jobs, once per scenario.
        workaround: name of the app's workaround in `model.catalog.workarounds`, or None.
        jobs: number of processes, -1 for one per core. The result does not depend on it.
        cached: whether to use and fill `result_cache`. A cached `StoryStats.seconds` is the duration of the first exploration.
    """
    groups: dict[str, list[str]] = {}
    for story, handler in wanted:
        groups.setdefault(story, []).append(handler)
    sessions = [
        [session_of(story, handler, release, component, workaround) for handler in handlers]
        for story, handlers in groups.items()
    ]
    explore_group = partial(_explore_group, sessions, list(groups), bounds, limit, tick if jobs == 1 else None)
    named = [release, component, workaround, [str(each) for each in bounds], limit]
    requests = {number: ["explore", *named, *each] if cached else None for number, each in enumerate(groups.items())}
    results: dict[int, list[tuple[StoryStats, dict[Signature, Finding]]]] = {}
    for number, explored_ in cached_map(explore_group, requests, Executor(jobs)):
        results[number] = explored_
        for row, _ in explored_:
            if tick is not None and (cached or jobs != 1):
                tick(f"{row.story} {row.handler}", row.states)
    found = ExplorationResult(sessions[0][0].release.tag if sessions else release)
    for row, new in (each for number in sorted(results) for each in results[number]):
        found.stats.append(row)
        for sign, finding in new.items():
            known = found.findings.get(sign)
            if known is None or len(known.trace) > len(finding.trace):
                found.findings[sign] = finding
    return found


def _explore_group(
    sessions: Sequence[Sequence[SessionConfig]],
    stories: Sequence[str],
    bounds: Sequence[str],
    limit: int,
    tick: Callable[[str, int], None] | None,
    number: int,
) -> list[tuple[StoryStats, dict[Signature, Finding]]]:
    """Explore one scenario with each handler style.

    The table says which messages are visible from the start. In a pair that it does not contain, these are the messages that
    are visible in other pairs of the scenario, and in the pairs explored before.
    """
    story = stories[number]
    found = likely_visible(story)
    known = [known_visible(session.release.tag, story, session.handler) for session in sessions[number]]
    return [
        _explore_one(session, story, bounds, limit, tick, visible or found)
        for session, visible in zip(sessions[number], known, strict=True)
    ]


def _explore_one(
    session: SessionConfig,
    story: str,
    bounds: Sequence[str],
    limit: int,
    tick: Callable[[str, int], None] | None,
    visible: set[tuple[Link, Hashable]],
) -> tuple[StoryStats, dict[Signature, Finding]]:
    """Explore one scenario with one handler style."""
    began = time.monotonic()
    limits = Bounds.of(bounds, bounds_of(story, session.handler))
    session = replace(session, times=limits.within(session.times))
    stepper, search, reached = explored(session, limits, limit, tick and partial(tick, f"{story} {session.handler}"), visible)
    with _without_collector():
        real, new = _findings(session, story, limits, stepper, search, reached)
    every = {(ending.key, ending.last) for ending in reached.endings}
    seconds, complete = round(time.monotonic() - began, 1), reached.complete and any(last for _, last in every)
    stats = StoryStats(
        story, session.handler, reached.states, reached.met, reached.places, seconds, complete, reached.stuck,
        len(every), len(every - real), len(new), sorted({each.outcome for each in new}), peak_rss_mb(), limits.to_json(),
        as_rows(visible),
    )  # fmt: skip
    return stats, new


def _findings(
    session: SessionConfig, story: str, bounds: Bounds, stepper: Stepper, search: Search, reached: Reached
) -> tuple[set[tuple[int, bool]], dict[Signature, Finding]]:
    """Play the endings. Return those that have times, and the findings with their shortest traces."""
    real: set[tuple[int, bool]] = set()
    new: dict[Signature, Finding] = {}
    for ending in reached.endings:
        turn_key = ending.key, ending.last
        if turn_key in real or (replayed := confirmed(stepper, search, ending, session, bounds)) is None:
            continue
        real.add(turn_key)
        path, times, slack, found, plan = replayed
        for sign in found:
            known = new.get(sign)
            if known is None or len(known.trace) > len(path.steps):
                trace = tuple(
                    {"ms": at / 1000, "party": step.actor, "what": step.what}
                    for at, step in zip(times[1:], path.steps, strict=True)
                )
                texts = session.times.to_json()
                names = (session.release.tag, session.component, story, session.handler)
                new[sign] = Finding(sign, *names, trace, slack / 1000, plan, texts, session.workaround)
    return real, new


def explored(
    session: SessionConfig,
    bounds: Bounds,
    limit: int,
    tick: Callable[[int], None] | None = None,
    visible: set[tuple[Link, Hashable]] | None = None,
) -> tuple[Stepper, Search, Reached]:
    """Explore, and start again with one more visible message, until no assumption about invisible ones is wrong.

    Args:
        session: configuration of the session.
        bounds: the intervals.
        limit: maximum number of states.
        tick: called repeatedly with the number of states.
        visible: messages to treat as visible from the start; the search adds those that it finds.
    """
    visible = set() if visible is None else visible
    memo = Memo(session)
    scouts = 0
    while True:
        stepper = Stepper(session, visible, memo)
        search = Search(stepper, bounds, limit, tick)
        try:
            with _without_collector():
                if scouts:
                    Search(stepper, bounds, limit).scout(scouts, len(visible))
                scouts = 0
                return stepper, search, search.run()
        except Visible:
            # After a long search, random walks look for more visible messages before the next one.
            if len(search.edges) > _SCOUTS:
                scouts = _SCOUTS
                del search
                gc.collect()


@contextmanager
def _without_collector() -> Iterator[None]:
    """Stop the cyclic garbage collector. A search makes millions of objects and no garbage, and the collector would traverse
    all of them repeatedly."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def confirmed(stepper: Stepper, search: Search, ending: Ending, session: SessionConfig, bounds: Bounds) -> Any:
    """Play an ending. Return its path, times and slack in µs, signatures and schedule, or None if no times exist."""
    path: TimedTrace = retraced(stepper, search.path(ending.node), bounds)
    solution = solved(path)
    if solution is None:
        return None
    times, slack = solution
    plan = schedule(path, times, bounds)
    recording = VirtualEngine(session, schedule=plan).run()
    # After the turn the session continues with its default times, which are not part of this trace.
    found = signatures(recording, session.release, before_ns=None if ending.last else times[-1] * 1000)
    return path, times, slack, found, plan
