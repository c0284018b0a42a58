"""Sessions of `voicerace check`: scenarios, handlers and delays with which some releases fail.

The gap is 300 ms, and the round trips are 20 ms (host) and 60 ms (upstream). The delays are far from the values at which an
outcome changes, because a busy machine delays messages by a few milliseconds. Further sessions use the times recorded at the
real API. The sessions show every fault of docs/release-facts.md, docs/component.md and `voicerace explore` that does not
require two events at almost the same time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final

from voicerace.model.catalog.profiles import RECORDED
from voicerace.model.catalog.scenarios import SCENARIOS

__all__ = ["CASES", "GAP_MS", "WORDS", "Case", "tool_turns"]

#: Gap in ms of the sessions without recorded times.
GAP_MS: Final = 300

#: Names of faults that a check reports in addition to outcomes.
WORDS: Final = ("wedged", "unconfigured", "unheard")

#: Handlers with which the component's own error is the first result of a call, which makes the reply stale with every proxy
#: (`model.actors.reference_gate`).
ERROR_FIRST: Final = ("void_ref", "void_send")
#: Times in ms. The deadline keeps a check short, but exceeds the 5 s after which a reply is `late`.
_TIMES: Final[dict[str, Any]] = {
    "gap_ms": GAP_MS, "host_rtt_ms": 20, "upstream_rtt_ms": 60, "reply_ms": 300, "deadline_ms": 6000,
}  # fmt: skip
_SPEECH: Final[dict[str, Any]] = {"speech_ms": 800, "vad_ms": 300, "mic_tail_ms": 500}


@dataclass(frozen=True)
class Case:
    """One session of a check.

    Attributes:
        name: scenario, handler and the times that distinguish the case, for reports.
        settings: arguments of `SessionConfig.of`.
        allowed: outcomes that no proxy can avoid in this session.
        turns: number of tool turns.
    """

    name: str
    settings: Mapping[str, Any]
    allowed: frozenset[str] = frozenset()
    turns: int = 1


def _case(scenario: str, handler: str = "return", allowed: tuple[str, ...] = (), **times: Any) -> Case:
    stale = ("stale",) if handler in ERROR_FIRST else ()
    named = " ".join(f"{name.removesuffix('_ms')}={value}" for name, value in times.items() if name in _NAMED)
    settings: dict[str, Any] = {"scenario": scenario, "handler": handler, "times": {**_TIMES, **times}}
    if scenario == "parallel":
        settings["calls"] = 2
    return Case(f"{scenario} {handler} {named}".strip(), settings, frozenset((*stale, *allowed)), tool_turns(scenario))


def tool_turns(scenario: str) -> int:
    """Return the number of user inputs of a scenario that make the model call functions."""
    return sum("calls" in each.steps for each in SCENARIOS[scenario].inputs)


_NAMED: Final = ("tool_ms", "inject_ms", "repeat_ms", "settings_ms", "server_turn_ms")


def _cases() -> Iterator[Case]:
    for handler, tool in product(
        ("return", "async_send", "async_ref", "void_ref", "void_send", "ref_now"), (10, 80, 400, 1500)
    ):
        yield _case("single", handler, tool_ms=tool)
    for handler, tools in product(("return", "async_ref"), ("10,20", "10,900", "900,10", "600,700")):
        yield _case("parallel", handler, tool_ms=tools)
    for tool, repeat in product((10, 600), (30, 900)):
        yield _case("double", tool_ms=tool, repeat_ms=repeat)
    for handler, tool in product(("return", "void_ref"), (10, 600)):
        yield _case("chained", handler, tool_ms=tool)
    for tool, inject in product((10, 600), (60, 200, 900)):
        yield _case("inject", tool_ms=tool, inject_ms=inject)
    for settings in (10, 300):
        yield _case("late-settings", settings_ms=settings, tool_ms=10)
    for tool in (10, 600):
        yield _case("failing-tool", tool_ms=tool)
        # The connection is lost after the call, so a proxy can answer only the next user input.
        yield _case("reconnect", tool_ms=tool, allowed=("abandoned",))
    # The server also starts responses by itself, so it can refuse a `response.create` from any proxy.
    for tool in (10, 600, 1500):
        yield _case("voice", tool_ms=tool, inject_ms=100, allowed=("noisy",), **_SPEECH)
    # As `voice`, at a set time. The server decides before it accepts the result, so a request is needed after its response.
    yield _case("single", tool_ms=400, server_turn_ms=80, create_ms=60, allowed=("noisy",))
    for inject in (60, 250):
        yield _case("barge-in", tool_ms=400, inject_ms=inject, allowed=("noisy",), **_SPEECH)

    yield from _recorded()


def _recorded() -> Iterator[Case]:
    """Yield sessions with the times recorded at the real API, three draws of each."""
    kinds = [("single", handler) for handler in ("return", "async_ref", "void_ref")]
    for (scenario, handler), seed in product(
        [*kinds, ("parallel", "return"), ("double", "return"), ("inject", "return")], range(3)
    ):
        case = _case(scenario, handler, deadline_ms=_TIMES["deadline_ms"])
        drawn = {"profile": RECORDED, "seed": seed, "times": {"deadline_ms": _TIMES["deadline_ms"]}}
        yield replace(case, name=f"{case.name} {RECORDED} seed={seed}", settings={**case.settings, **drawn})


CASES: Final = tuple(_cases())
