"""The sessions of `voicerace check --client`: delays and behaviour of the API with which some clients fail.

A client is connected to the API without a proxy, so a case has no handler and no host link. The gap is 300 ms, longer than any
recorded one, because the cases are to show what a client does with an early result. Further sessions use the recorded times.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, Final

from voicerace.experiments.checks import GAP_MS, Case, tool_turns
from voicerace.model.catalog.profiles import RECORDED

__all__ = ["GROUPS", "client_cases", "group_of"]

#: Group of cases -> what it tests.
GROUPS: Final[dict[str, str]] = {
    "one call": "one function call; the result arrives before and after the end of its response",
    "two calls": "two function calls in one response, with different times of the tool",
    "user text": "the user writes during the call's response and during the reply",
    "server turn": "the server begins a response by itself while the request is on its way",
    "slot lag": "the API accepts a request only 200 ms after response.done",
    "no event id": "as slot lag, and the refusal does not name the refused request",
    "reconnect": "the connection is lost while the tool runs",
}
#: Times in ms. The deadline exceeds the 5 s after which a reply is `late`.
_TIMES: Final[dict[str, Any]] = {
    "gap_ms": GAP_MS,
    "item_done_ms": 5,
    "upstream_rtt_ms": 60,
    "reply_ms": 300,
    "deadline_ms": 6000,
}
#: Longer than the calls of one session need.
_DEADLINE: Final = {"deadline_ms": 6000}


def group_of(case: Case) -> str:
    """Return the group of a case, the first part of its name."""
    return case.name.partition(":")[0]


def client_cases(seeds: int = 3) -> tuple[Case, ...]:
    """Return the cases.

    Args:
        seeds: number of draws of each session with recorded times.
    """
    return tuple(_cases(seeds))


def _case(group: str, scenario: str, allowed: tuple[str, ...] = (), knobs: dict[str, str] | None = None, **times: Any) -> Case:
    shown = " ".join(f"{name.removesuffix('_ms')}={value}" for name, value in times.items())
    settings: dict[str, Any] = {"scenario": scenario, "times": {**_TIMES, **times}, "knobs_given": knobs or {}}
    if group == "two calls":
        settings["calls"] = 2
    return Case(f"{group}: {shown}", settings, frozenset(allowed), tool_turns(scenario))


def _cases(seeds: int) -> Iterator[Case]:
    for tool in (10, 80, 400, 1500):
        yield _case("one call", "single", tool_ms=tool)
    for tools in ("10,20", "10,900", "900,10", "600,700"):
        yield _case("two calls", "parallel", tool_ms=tools)
    for tool, inject in product((10, 600), (60, 200)):
        yield _case("user text", "inject", tool_ms=tool, inject_ms=inject)
    # No client can know of a response that the server has begun and not announced, so a refusal beside the answer passes.
    for after in (60, 80, 100, 120):
        yield _case("server turn", "single", ("noisy",), tool_ms=400, create_ms=60, server_turn_ms=after)
    for tool in (10, 400):
        yield _case("slot lag", "single", ("noisy",), tool_ms=tool, slot_lag_ms=200)
        yield _case("no event id", "single", ("noisy",), {"refusal_event_id": "no"}, tool_ms=tool, slot_lag_ms=200)
    for tool in (10, 600):
        # A client need not connect again. It can end, and the rest of the session is then unknown.
        yield _case("reconnect", "reconnect", ("abandoned", "unknown"), tool_ms=tool)
    for group, scenario in (("one call", "single"), ("two calls", "parallel"), ("user text", "inject")):
        for seed in range(seeds):
            settings: dict[str, Any] = {"scenario": scenario, "profile": RECORDED, "seed": seed, "times": _DEADLINE}
            if group == "two calls":
                settings["calls"] = 2
            yield Case(f"{group}: {RECORDED} seed={seed}", settings)
