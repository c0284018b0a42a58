"""What each workaround of an app's does to one release: which findings it removes, leaves and brings, and its dead air.

Findings come from exploration, story by story, with the app's workaround and without it; the bounds are narrower than the
explorer's, so that every order is explored in seconds: what does not decide the race has one value. Dead air and how often
the result is heard come from the virtual engine over a small grid of times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache, partial
from math import ceil
from statistics import median
from typing import Any, Final

from voicerace.analysis.latency import dead_air_ms
from voicerace.analysis.trace_index import TraceIndex
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.experiments.executors import Executor
from voicerace.experiments.explore.explorer import explore
from voicerace.experiments.result_cache import cached_map
from voicerace.model.actors.app import DATA, GO_ON
from voicerace.model.catalog.profiles import WORKAROUND_TIMES
from voicerace.model.catalog.releases import component_for, proxy_release
from voicerace.model.catalog.workarounds import WORKAROUNDS, why_not
from voicerace.trace.recording import APP_TO_COMPONENT, Recording

__all__ = ["BASELINE", "BOUNDS", "STORIES", "Effect", "air_of", "effect_of", "effects_of", "until_heard_ms"]

#: The two-line cure; the other workarounds are built on it, so they are held against a handler that has it.
BASELINE: Final = "await-and-return"
#: What the cure is held against: the component sends a second result.
_UNCURED: Final = ("async_ref", "void_ref")
STORIES: Final = ("single", "parallel", "double", "chained")
#: The host's wire has a little room: an app that acts on callbacks acts in the instant of other messages.
BOUNDS: Final = (
    "host_ms=8:12", "upstream_ms=20:20", "tool_ms=0:5000", "create_ms=40:40", "first_item_ms=240:240", "arguments_ms=50:50",
    "call_gap_ms=5:200", "gap_ms=5:1000", "item_done_ms=5:5", "reply_ms=500:500", "reply_gap_ms=8:8", "ack_ms=35:35",
    "repeat_ms=0:2000",
)  # fmt: skip
_TOOLS_MS: Final = (50, 300, 1_000, 3_000)
_SEEDS: Final = range(5)

_PAIRS: Final = ("removed", "left", "new", "not_met")

#: A finding by the story it was met in and its name.
Met = tuple[str, str]


@dataclass(frozen=True)
class Effect:
    """One workaround on one release.

    Attributes:
        why_not: why it cannot be written there; then nothing else is known.
        removed, left, new: findings, each as (story, name). Of a story whose orders were not all explored nothing is
            said to be removed: what was not met there is in `not_met`.
            Of the cure everything that is met with it is left: the component's second result has hidden it before.
        incomplete: stories of which not every order was explored, with it or without; of these a new finding may be old.
        states: explored, with it and without.
        air_ms, air_without_ms: the median time from the calls' response.done until the user hears a reply that knows the
            result, of the sessions in which that comes before the user's own next words; None where there is none.
        heard, heard_without: how many those are, of `sessions`.
        added_ms: what the workaround adds to that, session by session where it is heard with it and without: ``pairs`` of
            sessions, and of the differences the ``median``, the value that 9 of 10 do not exceed (``p90``), and the ``max``.
    """

    release: str
    workaround: str
    why_not: str | None = None
    removed: tuple[Met, ...] = ()
    left: tuple[Met, ...] = ()
    new: tuple[Met, ...] = ()
    not_met: tuple[Met, ...] = ()
    incomplete: tuple[str, ...] = ()
    states: int = 0
    air_ms: float | None = None
    air_without_ms: float | None = None
    heard: int = 0
    heard_without: int = 0
    sessions: int = 0
    added_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every order of every story was explored, with it and without."""
        return self.why_not is None and not self.incomplete

    def to_json(self) -> dict[str, Any]:
        row = WORKAROUNDS[self.workaround]
        pairs = {name: [{"story": s, "finding": f} for s, f in getattr(self, name)] for name in _PAIRS}
        told = {**vars(self), "complete": self.complete, **pairs}
        return {**told, "sentence": row.sentence, "costs": row.costs, "typescript": row.typescript}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Effect:
        """What `to_json` told.

        Raises:
            KeyError, TypeError: it is no such record.
        """
        given = {each.name: record[each.name] for each in fields(cls) if each.name in record}
        given |= {name: tuple((str(met["story"]), str(met["finding"])) for met in record[name]) for name in _PAIRS}
        return cls(**{**given, "incomplete": tuple(record["incomplete"])})


def effect_of(
    release: str,
    name: str,
    *,
    stories: Sequence[str] = STORIES,
    times: Sequence[str] = (),
    limit: int = 20_000,
    cached: bool = False,
) -> Effect:
    """What the workaround `name` does to `release`.

    Args:
        times: intervals given otherwise, ``name=low:high``; `hold_ms` and `fallback_ms` are among them.
        limit: states per story at most.
        cached: take explorations from `result_cache`, and keep the others there.

    Raises:
        InputError: an unknown release, workaround or time.
    """
    row = proxy_release(release)
    if reason := why_not(name, row, component_for(row).tag, "return"):
        return Effect(row.tag, name, reason)

    def explored(handler: str, workaround: str | None) -> tuple[set[Met], set[str], int]:
        told = {story: _explored(row.tag, story, handler, workaround, tuple(times), limit, cached) for story in stories}
        met = {(story, each) for story, (names, _, _) in told.items() for each in names}
        return met, {story for story, each in told.items() if not each[1]}, sum(each[2] for each in told.values())

    without = [explored(handler, None) for handler in (_UNCURED if name == BASELINE else ("return",))]
    before = {met for found, _, _ in without for met in found}
    after, cut, states = explored("return", name)
    gone = before - after
    if name == BASELINE:
        before = before | after
    given = {
        key: value.partition(":")[0] for key, _, value in (each.partition("=") for each in times) if key in WORKAROUND_TIMES
    }
    airs = list(air_of(release, name, given))
    # Of the cure, once for each handler that it is held against.
    bare = [air for handler in (_UNCURED if name == BASELINE else ("return",)) for air in air_of(release, None, {}, handler)]
    share = len(bare) // len(airs)
    return Effect(
        row.tag,
        name,
        None,
        tuple(sorted(met for met in gone if met[0] not in cut)),
        tuple(sorted(before & after)),
        tuple(sorted(after - before)),
        tuple(sorted(met for met in gone if met[0] in cut)),
        tuple(sorted(cut.union(*(each[1] for each in without)))),
        states + sum(each[2] for each in without),
        _median(airs),
        _median(bare),
        sum(air is not None for air in airs),
        sum(air is not None for air in bare) // share,
        len(airs),
        _added(airs * share, bare),
    )


def effects_of(
    release: str,
    names: Sequence[str],
    *,
    stories: Sequence[str] = STORIES,
    times: Sequence[str] = (),
    limit: int = 20_000,
    executor: Executor | None = None,
    tick: Callable[[str], object] = lambda _: None,
) -> list[Effect]:
    """What each of several workarounds does to `release`, in their order; see `effect_of`. Kept in `result_cache`.

    Args:
        release: the tag of the proxy.
        names: of the workarounds.
        stories, times, limit: see `effect_of`.
        executor: explores, workaround by workaround; without one, this process.
        tick: called with the name of every workaround that is done.
    """
    requests = {number: ["effect", release, name, list(stories), list(times), limit] for number, name in enumerate(names)}
    found: dict[int, Effect] = {}
    work = partial(_effect_of, release, tuple(names), tuple(stories), tuple(times), limit)
    for number, effect in cached_map(work, requests, executor):
        found[number] = effect
        tick(names[number])
    return [found[number] for number in sorted(found)]


def _effect_of(
    release: str, names: Sequence[str], stories: Sequence[str], times: Sequence[str], limit: int, number: int
) -> Effect:
    return effect_of(release, names[number], stories=stories, times=times, limit=limit, cached=True)


def _added(airs: Sequence[float | None], bare: Sequence[float | None]) -> dict[str, float]:
    """`Effect.added_ms` of sessions with a workaround, and of the same without."""
    more = sorted(a - b for a, b in zip(airs, bare, strict=True) if a is not None and b is not None)
    if not more:
        return {"pairs": 0}
    at_90 = more[ceil(0.9 * len(more)) - 1]
    return {"pairs": len(more), "median": median(more), "p90": at_90, "max": more[-1]}


@lru_cache(maxsize=64)
def _explored(
    release: str, story: str, handler: str, workaround: str | None, times: tuple[str, ...], limit: int, cached: bool
) -> tuple[frozenset[str], bool, int]:
    """Names of what was met, whether every order was explored, and how many states."""
    found = explore(release, [(story, handler)], (*BOUNDS, *times), limit, None, None, workaround, cached=cached)
    complete = all(each.complete and not each.unconfirmed for each in found.stats)
    return frozenset(each.name for each in found.findings.values()), complete, sum(each.states for each in found.stats)


def air_of(release: str, name: str | None, given: dict[str, str], handler: str = "return") -> Iterator[float | None]:
    """`until_heard_ms` of every session of the grid: both profiles, tools from 50 ms to 3 s, five draws of what is drawn."""
    for profile, seeds in (("loopback", range(1)), ("observed-2025", _SEEDS)):
        for tool in _TOOLS_MS:
            for seed in seeds:
                times: dict[str, object] = {"tool_ms": str(tool), **given}
                session = SessionConfig.of(
                    release=release, handler=handler, profile=profile, times=times, workaround=name, seed=seed
                )  # fmt: skip
                yield until_heard_ms(simulate(session))


def until_heard_ms(recording: Recording) -> float | None:
    """Dead air until a reply that knows what the tool gave, unless the user spoke first; None when there is none.

    A placeholder is no knowledge: where the app says the tool's result in the user's name, the next reply behind that
    counts, whoever's words it is to, because behind the reply to the placeholder the user's next words come at once.
    """
    passage = TraceIndex(recording)
    ledger, order = passage.ledger, passage.order
    calling = next((each for each in ledger.responses.values() if each.calls), None)
    if calling is None:
        return None
    own = [each for each in ledger.inputs if not (each.text or "").startswith((DATA, GO_ON))]
    until = order[own[1].key] if len(own) > 1 else passage.end
    data = any(
        event.link == APP_TO_COMPONENT and str(_content(event.payload)).startswith(DATA) for event in recording.events
    )  # fmt: skip
    said = [order[each.key] for each in ledger.inputs if (each.text or "").startswith(DATA)]
    knowing = [
        each for each in ledger.responses.values()
        if each.message and not each.calls and each.heard is not None
        and (
            any(passage.begun(each) > at for at in said)
            if data
            else passage.begun(each) < until and ledger.informed(each, calling.calls)
        )
    ]  # fmt: skip
    return dead_air_ms(passage, calling, knowing)


def _content(payload: object) -> object:
    return payload.get("content") if isinstance(payload, dict) else None


def _median(airs: Sequence[float | None]) -> float | None:
    known = [air for air in airs if air is not None]
    return median(known) if known else None
