"""Find the races of a session: responses with one function call, whose result can precede `response.done`.

The input is a recording of the messages at the proxy, or of a log that `voicerace.captures.derive` completed. Other responses
with calls are counted by the reason why they are not races: several calls, no result, no `response.done`, only the component's
error, more than two results, or user input during the turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from voicerace.analysis.outcomes import Turn
from voicerace.captures.imputation import NOT_LOGGED
from voicerace.model.protocol import agent, realtime
from voicerace.trace.recording import COMPONENT_TO_PROXY, PROXY_TO_UPSTREAM, UPSTREAM_TO_PROXY, Recording
from voicerace.units import ms

__all__ = ["Race", "races_of"]

Further = Literal["none", "error first", "error last", "app twice", "unknown"]


@dataclass(frozen=True, slots=True)
class Race:
    """One response with one function call. Times are measured at the proxy, in ms.

    Attributes:
        result_delay_ms: time from the call's arguments to the first result.
        gap_ms: time from the call's arguments to response.done.
        ack_ms: time from the first result's item to its confirmation; None if not captured.
        further: kind of the second result: ``error first`` or ``error last`` if the first or last result is the component's own
            error, ``app twice`` if neither is an error, ``none`` without a second result, ``unknown`` if contents were not
            captured.
        further_ms: time from the first result to the second result; None without a second.
        outcome: outcome of the turn; ``unknown`` if the outcome is uncertain.
    """

    result_delay_ms: float
    gap_ms: float
    ack_ms: float | None
    further: Further
    further_ms: float | None
    outcome: str


def races_of(recording: Recording, turns: tuple[Turn, ...], *, sure: bool) -> tuple[tuple[Race, ...], Mapping[str, int]]:
    """Return the races of one session in order, and a map from reason to the number of other responses with calls.

    Args:
        recording: recording with all messages at the proxy, captured or derived.
        turns: turns of the recording's verdict.
        sure: whether the outcomes of the turns are certain. If False, every race's outcome is ``unknown``.
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
        call_id, called_ns = own[0]
        answered = results.get(call_id, [])
        contents = [content for _, content in answered]
        turn = turn_of.get(call_id)
        inputs = 1 if turn is None else turn.user_inputs
        if (reason := _no_race(len(own), response in done, contents, inputs)) is not None:
            left_out[reason] += 1
            continue
        races.append(
            Race(
                ms(answered[0][0] - called_ns),
                ms(done[response] - called_ns),
                acks.get(call_id),
                _further(contents),
                ms(answered[1][0] - answered[0][0]) if len(answered) > 1 else None,
                turn.outcome if sure and turn is not None else "unknown",
            )
        )
    return tuple(races), dict(left_out)


def _no_race(calls: int, ended: bool, contents: list[object], inputs: int) -> str | None:
    """Return the reason why a response with calls is not a race; None for a race."""
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
    """Return the value of `Race.further` for the contents of one or two results."""
    if len(contents) == 1:
        return "none"
    if NOT_LOGGED in contents:
        return "unknown"
    first, last = map(agent.is_default_error, contents)
    return "error first" if first else "error last" if last else "app twice"


def _acks(recording: Recording) -> dict[str, float]:
    """Return, by call id, the time in ms from the first item with the call's result to the item's confirmation."""
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
