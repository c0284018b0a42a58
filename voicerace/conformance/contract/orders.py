"""Experiments on the order of a response's events.

Consecutive deltas count as one event. The order of `conversation.item.done` and `response.output_item.done` is a separate
fact. `call_order` and `text_order` only check that `conversation.item.done` is between the end of the content and
`response.done`.
"""

from __future__ import annotations

from typing import Final

from voicerace.conformance.contract.client import Client, InconclusiveError, ReceivedEvent, named
from voicerace.conformance.contract.facts import FactAnswer, broken, held, unknown
from voicerace.conformance.contract.steps import CALL, SHORT, begin, finish, repeated, set_up, status_of, two_calls_at_once
from voicerace.model.protocol import realtime
from voicerace.units import ms

__all__ = ["audio_no_text_done", "call_order", "item_before_output", "text_order", "two_calls"]

_OUTPUT_ADDED: Final = "response.output_item.added"
_OUTPUT_DONE: Final = "response.output_item.done"
_CALL: Final = (
    realtime.RESPONSE_CREATED, _OUTPUT_ADDED, realtime.ITEM_ADDED, realtime.ARGUMENTS_DELTA, realtime.ARGUMENTS_DONE,
    _OUTPUT_DONE, realtime.RESPONSE_DONE,
)  # fmt: skip
_TEXT: Final = (
    realtime.RESPONSE_CREATED, _OUTPUT_ADDED, realtime.ITEM_ADDED, "response.content_part.added", realtime.TEXT_DELTA,
    realtime.TEXT_DONE, "response.content_part.done", _OUTPUT_DONE, realtime.RESPONSE_DONE,
)  # fmt: skip
#: Type of an event that ends a call's item -> its short name in an answer.
_ENDS: Final = {
    realtime.ARGUMENTS_DONE: "arguments.done",
    realtime.ITEM_DONE: "item.done",
    _OUTPUT_DONE: "output_item.done",
}


async def call_order(client: Client) -> FactAnswer:
    return await _order(client, CALL, "function_call", _CALL)


async def text_order(client: Client) -> FactAnswer:
    return await _order(client, SHORT, "message", _TEXT)


async def _order(client: Client, text: str, item_type: str, expected: tuple[str, ...]) -> FactAnswer:
    await set_up(client)
    created = await begin(client, text)
    done = await finish(client, created)
    if status_of(done) != "completed":
        raise InconclusiveError(f"the response ended with status {status_of(done)}")
    item = _item(client, created, item_type)
    events = _events_of(client, created, item)
    compared = [each for each in events if each.kind != realtime.ITEM_DONE]
    kinds = [each.kind for each in compared]
    for position, kind in enumerate(expected):
        found = kinds[position] if position < len(kinds) else "nothing"
        if found != kind:
            return broken(f"{found} where {kind} was expected", *events)
    if len(kinds) > len(expected):
        return broken(f"{kinds[len(expected)]} behind the end", *events)
    confirmed = client.find(named(realtime.ITEM_DONE, item=item))
    content = next(each for each in compared if each.kind in (realtime.ARGUMENTS_DONE, realtime.TEXT_DONE))
    if confirmed is None or not content.seq < confirmed.seq < done.seq:
        return broken(f"conversation.item.done is not between {content.kind} and response.done", *events)
    return held(f"{len(events)} events in the expected order", *events)


def _item(client: Client, created: ReceivedEvent, item_type: str) -> str:
    """Return the id of the first item in a response that has the type `item_type`.

    Raises:
        InconclusiveError: the response has no such item.
    """
    for each in client.heard:
        if each.kind == _OUTPUT_ADDED and each.response_id == created.response_id:
            item = realtime.item_of(each.message)
            if item.get("type") == item_type:
                return str(item.get("id"))
    raise InconclusiveError(f"the response held no {item_type}")


def _events_of(client: Client, created: ReceivedEvent, item: str) -> list[ReceivedEvent]:
    """Return the start and end of a response and the events of one of its items, without repeated deltas."""
    events: list[ReceivedEvent] = []
    for each in client.heard:
        of_item = each.response_id in ("", created.response_id) and each.item_id == item
        bounds = each.kind in (realtime.RESPONSE_CREATED, realtime.RESPONSE_DONE) and each.response_id == created.response_id
        repeated_delta = bool(events) and each.kind == events[-1].kind and each.kind.endswith(".delta")
        if (of_item or bounds) and not repeated_delta:
            events.append(each)
    return events


async def item_before_output(client: Client) -> FactAnswer:
    await set_up(client)
    created = await begin(client, CALL)
    done = await finish(client, created)
    item = _item(client, created, "function_call")
    confirmed = client.find(named(realtime.ITEM_DONE, item=item))
    ended = client.find(named(_OUTPUT_DONE, item=item))
    if confirmed is None or ended is None:
        missing = realtime.ITEM_DONE if confirmed is None else _OUTPUT_DONE
        return broken(f"there was no {missing}", created, done)
    pair = sorted((confirmed, ended), key=lambda each: each.seq)
    return (held if pair[0] is confirmed else broken)(f"{pair[0].kind}, then {pair[1].kind}", *pair)


async def audio_no_text_done(client: Client) -> FactAnswer:
    await set_up(client, "audio")
    created = await begin(client, SHORT)
    done = await finish(client, created)
    id_ = created.response_id
    audio = client.find(named(realtime.AUDIO_DONE, response=id_))
    if audio is None:
        raise InconclusiveError(f"the reply had no response.output_audio.done, status {status_of(done)}")
    text = client.find(named(realtime.TEXT_DONE, response=id_))
    if text is not None:
        return broken("response.output_text.done came in a spoken reply", created, audio, text, done)
    transcript = client.find(named(realtime.TRANSCRIPT_DONE, response=id_))
    trace = [each for each in (created, audio, transcript, done) if each is not None]
    return held("response.output_audio.done and no response.output_text.done", *trace)


@repeated
async def two_calls(client: Client) -> FactAnswer:
    """Check that two calls in one response end after both are complete, in order."""
    created = await two_calls_at_once(client)
    done = await finish(client, created)
    own = [each for each in client.heard if created.seq < each.seq < done.seq]
    begun = [each for each in own if each.kind == _OUTPUT_ADDED and each.response_id == created.response_id]
    calls = [each.item_id for each in begun if realtime.item_of(each.message).get("type") == "function_call"]
    if len(calls) < 2:
        return unknown(f"the response had {len(calls)} function calls", created, done)
    ends = [each for each in own if each.kind in _ENDS and each.item_id in calls]
    if len(ends) != len(_ENDS) * len(calls):
        return broken(f"{len(ends)} events end {len(calls)} calls", created, *ends, done)
    order = ", ".join(f"{_ENDS[each.kind]} {calls.index(each.item_id) + 1}" for each in ends)
    gaps = [f"{ms(done.at_ns - each.at_ns):.1f} ms" for each in ends if each.kind == realtime.ARGUMENTS_DONE]
    seen = f"{order}; from each arguments.done to response.done {', '.join(gaps)}"
    kinds = {kind: [each.item_id for each in ends if each.kind == kind] for kind in _ENDS}
    last = max(each.seq for each in own if each.item_id in calls and each.kind not in _ENDS)
    if last > ends[0].seq:
        return broken(f"the first call ended before the last one was complete: {seen}", created, *ends, done)
    if any(items != calls for items in kinds.values()):
        return broken(f"not in the order of their items: {seen}", created, *ends, done)
    return held(seen, created, *ends, done)
