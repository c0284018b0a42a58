"""The races of a session: a response with one function call, the results that answered it, and its end. Points on a map.

Read from a recording that has what passed at the proxy, or from a log's that `voicerace.captures.derive` has completed. What is
no such race (several calls in one response, no result, no `response.done` seen, no result of the app's own, more than two
results, a user who spoke or wrote meanwhile) is counted with its reason and never guessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from voicerace.analysis.outcomes import Turn
from voicerace.captures.imputation import NOT_LOGGED
from voicerace.model.protocol import agent, realtime
from voicerace.trace.recording import COMPONENT_TO_PROXY, PROXY_TO_UPSTREAM, UPSTREAM_TO_PROXY, Recording
from voicerace.units import ms

__all__ = ["Race", "races_of"]

_ANNOUNCES: Final = (realtime.ITEM_ADDED, realtime.ITEM_CREATED)
Further = Literal["none", "error first", "error last", "app twice", "unknown"]


@dataclass(frozen=True, slots=True)
class Race:
    """One response with one function call, as the proxy saw it. Times are ms.

    Attributes:
        result_delay_ms: from the call's arguments to the first result.
        gap_ms: from the call's arguments to response.done.
        ack_ms: from the first result's item leaving to its being confirmed; None when that was not seen.
        further: what the second result is, if there is one: ``error first`` and ``error last`` tell which of the two is the
            component's own error, ``unknown`` that contents were not captured.
        further_ms: from the first result to the second; None without one.
        outcome: of the turn, as the session's is told: ``unknown`` where that is.
    """

    result_delay_ms: float
    gap_ms: float
    ack_ms: float | None
    further: Further
    further_ms: float | None
    outcome: str


def races_of(recording: Recording, turns: tuple[Turn, ...], *, sure: bool) -> tuple[tuple[Race, ...], Mapping[str, int]]:
    """The races of one session, in order, and how many responses with calls are none, by reason.

    Args:
        recording: complete, or completed.
        turns: of its verdict.
        sure: the verdict's outcomes may be told; else every race's is ``unknown``.
    """
    calls: dict[str, list[tuple[str, int]]] = {}
    done: dict[str, int] = {}
    results: dict[str, list[tuple[int, object]]] = {}
    left_out: Counter[str] = Counter()
    for event in recording.ordered("proxy"):
        at = event.at_ns("proxy")
        fields: Mapping[str, Any] = event.payload if isinstance(event.payload, Mapping) else {}
        if event.kind != "message" or not event.arrived:
            continue
        if event.link == UPSTREAM_TO_PROXY and event.type == realtime.ARGUMENTS_DONE:
            if at is None:
                left_out["without times"] += 1
            else:
                calls.setdefault(str(fields.get("response_id")), []).append((str(fields.get("call_id")), at))
        elif event.link == UPSTREAM_TO_PROXY and event.type == realtime.RESPONSE_DONE and at is not None:
            done.setdefault(str(realtime.response_of(fields).get("id")), at)
        elif event.link == COMPONENT_TO_PROXY and event.type == "FunctionCallResponse" and at is not None:
            results.setdefault(str(fields.get("id")), []).append((at, fields.get("content", NOT_LOGGED)))
    turn_of = {call_id: turn for turn in turns for call_id in turn.calls}
    acks = _acks(recording)
    races = []
    for response, own in calls.items():
        call_id, asked = own[0]
        answered = results.get(call_id, [])
        contents = [content for _, content in answered]
        turn = turn_of.get(call_id)
        inputs = 1 if turn is None else turn.user_inputs
        if (reason := _no_race(len(own), response in done, contents, inputs)) is not None:
            left_out[reason] += 1
            continue
        races.append(
            Race(
                ms(answered[0][0] - asked),
                ms(done[response] - asked),
                acks.get(call_id),
                _further(contents),
                ms(answered[1][0] - answered[0][0]) if len(answered) > 1 else None,
                turn.outcome if sure and turn is not None else "unknown",
            )
        )
    return tuple(races), dict(left_out)


def _no_race(calls: int, ended: bool, contents: list[object], inputs: int) -> str | None:
    """Why a response with calls is no race; None when it is one."""
    if calls > 1:
        return "several calls in one response"
    if not ended:
        return "no response.done seen"
    if not contents:
        return "no result"
    if len(contents) > 2:
        return "more than two results"
    if all(map(agent.is_default_error, contents)):
        return "only the component's error"
    return "the user spoke or wrote meanwhile" if inputs > 1 else None


def _further(contents: list[object]) -> Further:
    """What the second result is, of a race."""
    if len(contents) == 1:
        return "none"
    if NOT_LOGGED in contents:
        return "unknown"
    first, last = map(agent.is_default_error, contents)
    return "error first" if first else "error last" if last else "app twice"


def _acks(recording: Recording) -> dict[str, float]:
    """By call: how long its first output's item took to be confirmed."""
    sent: dict[str, int] = {}
    found: dict[str, float] = {}
    for event in recording.ordered("proxy"):
        item = realtime.item_of(event.payload) if isinstance(event.payload, Mapping) else {}
        at = event.at_ns("proxy")
        if event.kind != "message" or at is None or item.get("type") != "function_call_output":
            continue
        call_id = str(item.get("call_id"))
        if event.link == PROXY_TO_UPSTREAM and event.type == realtime.ITEM_CREATE:
            sent.setdefault(call_id, at)
        elif event.link == UPSTREAM_TO_PROXY and event.type == realtime.ITEM_DONE and call_id in sent:
            found.setdefault(call_id, ms(at - sent[call_id]))
    return found
