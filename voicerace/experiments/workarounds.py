"""Computes the effect of workarounds in an app: removed, remaining and new findings, and response latency.

Findings are computed by exploration of each scenario, with and without the workaround. The bounds are narrower than those of
`voicerace explore`: times that do not affect the race have one value, so that an exploration takes seconds. The response
latency, and how often the result is heard, are computed with the virtual engine on a small grid of times.
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

#: Workaround that all others include. The others are compared with a handler that uses only `BASELINE`.
BASELINE: Final = "await-and-return"
#: Handlers with which `BASELINE` is compared. With these handlers, the component sends a second result.
_BARE: Final = ("async_ref", "void_ref")
STORIES: Final = ("single", "parallel", "double", "chained")
#: Intervals of the explored times in ms. `host_ms` is an interval, because an app's actions in callbacks can be simultaneous
#: with other messages.
BOUNDS: Final = (
    "host_ms=8:12", "upstream_ms=20:20", "tool_ms=0:5000", "create_ms=40:40", "first_item_ms=240:240", "arguments_ms=50:50",
    "call_gap_ms=5:200", "gap_ms=5:1000", "item_done_ms=5:5", "reply_ms=500:500", "reply_gap_ms=8:8", "ack_ms=35:35",
    "repeat_ms=0:2000",
)  # fmt: skip
_TOOLS_MS: Final = (50, 300, 1_000, 3_000)
_SEEDS: Final = range(5)

_PAIRS: Final = ("removed", "left", "new", "not_met")

#: (scenario, name) of a finding.
Met = tuple[str, str]


@dataclass(frozen=True)
class Effect:
    """Effect of one workaround on one release.

    Attributes:
        why_not: reason why the workaround is not possible on the release, with all other fields empty. Empty if it is possible.
        removed: findings, as (scenario, name), that exist only without the workaround.
        left: findings that exist with and without the workaround. For `BASELINE`, `left` includes findings that exist only with
            it, because without it the component's second result hides them.
        new: findings that exist only with the workaround.
        not_met: as `removed`, but in scenarios of which not every order was explored.
        incomplete: scenarios of which not every order was explored. Findings of these scenarios in `new` can also exist without
            the workaround.
        states: number of explored states, with and without the workaround.
        air_ms: median response latency in ms, from the calls' `response.done` until the user hears a reply to the result, over
            sessions in which the reply precedes the user's next input. None without such a session.
        air_without_ms: `air_ms` without the workaround.
        heard: number of sessions in which the reply precedes the user's next input.
        heard_without: `heard` without the workaround.
        sessions: number of played sessions.
        added_ms: response latency in ms that the workaround adds, over sessions whose reply is heard with and without it: the
            number of ``pairs``, and the ``median``, the 90th percentile (``p90``) and the ``max`` of the differences.
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
        """Whether every order of every scenario was explored, with and without the workaround."""
        return self.why_not is None and not self.incomplete

    def to_json(self) -> dict[str, Any]:
        row = WORKAROUNDS[self.workaround]
        pairs = {name: [{"story": s, "finding": f} for s, f in getattr(self, name)] for name in _PAIRS}
        record = {**vars(self), "complete": self.complete, **pairs}
        return {**record, "sentence": row.sentence, "costs": row.costs, "typescript": row.typescript}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Effect:
        """Return the effect from a record of `to_json`.

        Raises:
            KeyError, TypeError: the record has another format.
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
    """Return the effect of the workaround `name` on `release`.

    Args:
        stories: scenarios to explore.
        times: intervals ``name=low:high`` that replace those of `BOUNDS`, or set `hold_ms` and `fallback_ms`.
        limit: maximum number of states per scenario.
        cached: whether explorations use `result_cache`.

    Raises:
        InputError: the release, the workaround or a time is unknown.
    """
    row = proxy_release(release)
    if reason := why_not(name, row, component_for(row).tag, "return"):
        return Effect(row.tag, name, reason)

    def explored(handler: str, workaround: str | None) -> tuple[set[Met], set[str], int]:
        results = {story: _explored(row.tag, story, handler, workaround, tuple(times), limit, cached) for story in stories}
        met = {(story, each) for story, (names, _, _) in results.items() for each in names}
        return met, {story for story, each in results.items() if not each[1]}, sum(each[2] for each in results.values())

    without = [explored(handler, None) for handler in (_BARE if name == BASELINE else ("return",))]
    before = {met for found, _, _ in without for met in found}
    after, cut, states = explored("return", name)
    gone = before - after
    if name == BASELINE:
        before = before | after
    given = {
        key: value.partition(":")[0] for key, _, value in (each.partition("=") for each in times) if key in WORKAROUND_TIMES
    }
    airs = list(air_of(release, name, given))
    # `BASELINE` is compared with several handlers.
    bare = [air for handler in (_BARE if name == BASELINE else ("return",)) for air in air_of(release, None, {}, handler)]
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
    """Return the effects of several workarounds on `release` (see `effect_of`). `result_cache` is used.

    Args:
        release: tag of the proxy's release.
        names: names of the workarounds.
        stories, times, limit: see `effect_of`.
        executor: explores one workaround at a time; None for this process.
        tick: called with the name of each finished workaround.
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
    """Return `Effect.added_ms` from the latencies with a workaround (`airs`) and without it (`bare`)."""
    more = sorted(a - b for a, b in zip(airs, bare, strict=True) if a is not None and b is not None)
    if not more:
        return {"pairs": 0}
    at_90 = more[ceil(0.9 * len(more)) - 1]
    return {"pairs": len(more), "median": median(more), "p90": at_90, "max": more[-1]}


@lru_cache(maxsize=64)
def _explored(
    release: str, story: str, handler: str, workaround: str | None, times: tuple[str, ...], limit: int, cached: bool
) -> tuple[frozenset[str], bool, int]:
    """Return (names of the findings, whether every order was explored, number of states)."""
    found = explore(release, [(story, handler)], (*BOUNDS, *times), limit, None, None, workaround, cached=cached)
    complete = all(each.complete and not each.unconfirmed for each in found.stats)
    return frozenset(each.name for each in found.findings.values()), complete, sum(each.states for each in found.stats)


def air_of(release: str, name: str | None, given: dict[str, str], handler: str = "return") -> Iterator[float | None]:
    """Yield `until_heard_ms` of every session of the grid: two profiles, the tool times `_TOOLS_MS`, and five draws of drawn
    times."""
    for profile, seeds in (("loopback", range(1)), ("observed-2025", _SEEDS)):
        for tool in _TOOLS_MS:
            for seed in seeds:
                times: dict[str, object] = {"tool_ms": str(tool), **given}
                session = SessionConfig.of(
                    release=release, handler=handler, profile=profile, times=times, workaround=name, seed=seed
                )  # fmt: skip
                yield until_heard_ms(simulate(session))


def until_heard_ms(recording: Recording) -> float | None:
    """Return the response latency in ms until a reply that uses the tool's result, or None if no such reply precedes the next
    input.

    If the app sends a placeholder and later the result as user input, the reply to this input is used.
    """
    index = TraceIndex(recording)
    ledger, order = index.ledger, index.order
    calling = next((each for each in ledger.responses.values() if each.calls), None)
    if calling is None:
        return None
    own = [each for each in ledger.inputs if not (each.text or "").startswith((DATA, GO_ON))]
    until = order[own[1].key] if len(own) > 1 else index.end
    data = any(
        event.link == APP_TO_COMPONENT and str(_content(event.payload)).startswith(DATA) for event in recording.events
    )  # fmt: skip
    sent = [order[each.key] for each in ledger.inputs if (each.text or "").startswith(DATA)]
    informed = [
        each for each in ledger.responses.values()
        if each.message and not each.calls and each.heard is not None
        and (
            any(index.begun(each) > at for at in sent)
            if data
            else index.begun(each) < until and ledger.informed(each, calling.calls)
        )
    ]  # fmt: skip
    return dead_air_ms(index, calling, informed)


def _content(payload: object) -> object:
    return payload.get("content") if isinstance(payload, dict) else None


def _median(airs: Sequence[float | None]) -> float | None:
    known = [air for air in airs if air is not None]
    return median(known) if known else None
