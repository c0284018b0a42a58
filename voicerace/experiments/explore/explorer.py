"""Explore one release: story by story, every order, and from each ending what a verdict says of it."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import VirtualEngine
from voicerace.experiments.executors import Executor
from voicerace.experiments.explore.bounds import Bounds
from voicerace.experiments.explore.finding import Finding
from voicerace.experiments.explore.search import Ending, Reached, Search
from voicerace.experiments.explore.signature import Signature, signatures
from voicerace.experiments.explore.stepper import Stepper, Visible
from voicerace.experiments.explore.stories import STORIES, session_of
from voicerace.experiments.explore.timed_trace import TimedTrace, retraced, schedule, solved
from voicerace.experiments.result_cache import cached_map
from voicerace.trace.recording import Link

__all__ = ["ExplorationResult", "StoryStats", "confirmed", "explore", "explored", "peak_rss_mb"]


@dataclass
class StoryStats:
    """One story explored: its size, and how many endings had no times (`unconfirmed`: a fault of the exploration).

    `states` are situations with their times, `places` without them; `peak_rss_mb` is the process's, stories before included.
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
    peak_rss_mb: int
    bounds: Mapping[str, Any]


#: Ways drawn at random that look for messages that somebody minds.
_SCOUTS: Final = 100


@dataclass
class ExplorationResult:
    """All stories of one release; of each finding the shortest way."""

    release: str
    findings: dict[Signature, Finding] = field(default_factory=dict)
    told: list[StoryStats] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "release": self.release,
            "findings": [each.to_json() for each in self.findings.values()],
            "states": sum(each.states for each in self.told),
            "complete": all(each.complete for each in self.told),
            "stuck": sum(each.stuck for each in self.told),
            "unconfirmed": sum(each.unconfirmed for each in self.told),
            "seconds": round(sum(each.seconds for each in self.told), 1),
            "peak_rss_mb": max((each.peak_rss_mb for each in self.told), default=peak_rss_mb()),
            "stories": [vars(each) for each in self.told],
            "bounds": Bounds.of().to_json() if not self.told else self.told[0].bounds,
        }


def peak_rss_mb() -> int:
    """The most memory that this process has held."""
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
    """Explore every order of events of some stories.

    Args:
        release: the tag of the proxy.
        wanted: pairs of names: story and handler style.
        component: the tag of the component; by default the one that was published with the proxy.
        bounds: intervals given otherwise, ``name=low:high`` in ms.
        limit: states per story at most.
        tick: called now and then with the story and its number of states; with several jobs, when a story is done.
        workaround: what the app does against the race, a name of `model.catalog.workarounds`.
        jobs: stories explored side by side, each in a process of its own; -1: one per core. The result is the same.
        cached: take from `result_cache` what is there, and keep the rest there; `StoryStats.seconds` is then of the first time.
    """
    sessions = [session_of(story, handler, release, component, workaround) for story, handler in wanted]
    tell = partial(_tell, sessions, [story for story, _ in wanted], bounds, limit, tick if jobs == 1 else None)
    named = [release, component, workaround, [str(each) for each in bounds], limit]
    requests = {number: ["explore", *named, *pair] if cached else None for number, pair in enumerate(wanted)}
    told: dict[int, tuple[StoryStats, dict[Signature, Finding]]] = {}
    for number, (row, new) in cached_map(tell, requests, Executor(jobs)):
        told[number] = row, new
        if tick is not None and (cached or jobs != 1):
            tick(f"{row.story} {row.handler}", row.states)
    found = ExplorationResult(sessions[0].release.tag if sessions else release)
    for number in sorted(told):
        row, new = told[number]
        found.told.append(row)
        for sign, finding in new.items():
            known = found.findings.get(sign)
            if known is None or len(known.trace) > len(finding.trace):
                found.findings[sign] = finding
    return found


def _tell(
    sessions: Sequence[SessionConfig],
    stories: Sequence[str],
    bounds: Sequence[str],
    limit: int,
    tick: Callable[[str, int], None] | None,
    number: int,
) -> tuple[StoryStats, dict[Signature, Finding]]:
    """One story."""
    began, story = time.monotonic(), stories[number]
    limits = Bounds.of(bounds, STORIES[story].bounds)
    session = replace(sessions[number], times=limits.within(sessions[number].times))
    carrier, search, reached = explored(session, limits, limit, tick and partial(tick, f"{story} {session.handler}"))
    real: set[tuple[int, bool]] = set()
    new: dict[Signature, Finding] = {}
    for ending in reached.endings:
        books = ending.key, ending.last
        if books in real or (replayed := confirmed(carrier, search, ending, session, limits)) is None:
            continue
        real.add(books)
        course, times, room, signs, plan = replayed
        for sign in signs:
            known = new.get(sign)
            if known is None or len(known.trace) > len(course.steps):
                trace = tuple(
                    {"ms": at / 1000, "party": step.party, "what": step.what}
                    for at, step in zip(times[1:], course.steps, strict=True)
                )
                texts = session.times.to_json()
                names = (session.release.tag, session.component, story, session.handler)
                new[sign] = Finding(sign, *names, trace, room / 1000, plan, texts, session.workaround)
    every = {(ending.key, ending.last) for ending in reached.endings}
    seconds, complete = round(time.monotonic() - began, 1), reached.complete and any(last for _, last in every)
    told = StoryStats(
        story, session.handler, reached.states, reached.met, reached.places, seconds, complete, reached.stuck,
        len(every), len(every - real), len(new), peak_rss_mb(), limits.to_json(),
    )  # fmt: skip
    return told, new


def explored(
    session: SessionConfig, bounds: Bounds, limit: int, tick: Callable[[int], None] | None = None
) -> tuple[Stepper, Search, Reached]:
    """Explore until nobody minds more than was taken for granted."""
    minded: set[tuple[Link, Hashable]] = set()
    scouts = False
    while True:
        carrier = Stepper(session, minded)
        search = Search(carrier, bounds, limit, tick)
        try:
            if scouts:
                Search(carrier, bounds, limit).scout(_SCOUTS)
            scouts = False
            return carrier, search, search.run()
        except Visible:
            # Again, with one more message that somebody minds. Before much is made in vain the rest is looked for.
            scouts = scouts or len(search.ways) > _SCOUTS


def confirmed(carrier: Stepper, search: Search, ending: Ending, session: SessionConfig, bounds: Bounds) -> Any:
    """An ending in virtual time: its course, times, room, what is bad in it, and the schedule. None: there are no times."""
    course: TimedTrace = retraced(carrier, search.way(ending.node), bounds)
    solution = solved(course)
    if solution is None:
        return None
    times, room = solution
    plan = schedule(course, times, bounds)
    recording = VirtualEngine(session, schedule=plan).run()
    # Behind a turn that is over the session goes on by its usual times: that is no part of this way.
    signs = signatures(recording, session.release, before_ns=None if ending.last else times[-1] * 1000)
    return course, times, room, signs, plan
