"""Experiments on requests that are sent early: with a result before the response ended, and next to a cancel.

Nothing here waits for an answer between two sends, as a client with a race does not. Each answer has the times in ms.
"""

from __future__ import annotations

from typing import Final

from voicerace.conformance.contract.client import Client, ReceivedEvent, named
from voicerace.conformance.contract.facts import Answer, broken, held, unknown
from voicerace.conformance.contract.steps import (
    CALL,
    LONG,
    begin,
    begin_text,
    beside,
    code_of,
    finish,
    first_call,
    repeated,
    result_of,
    say,
    set_up,
    status_of,
)
from voicerace.model.protocol import realtime
from voicerace.units import ms

__all__ = ["CANCEL", "NOT_ACTIVE", "cancel_before_created", "cancel_then_create", "result_and_create"]

CANCEL: Final = {"type": realtime.RESPONSE_CANCEL}
NOT_ACTIVE: Final = "response_cancel_not_active"
_CREATE: Final = realtime.create_response(response={"tool_choice": "none"})
_CREATED: Final = named(realtime.RESPONSE_CREATED)


@repeated
async def result_and_create(client: Client) -> Answer:
    """A result and its `response.create`, both sent on receipt of `response.function_call_arguments.done`.

    Whichever comes first at the API is a matter of its gap and the network. What has to hold in both cases is that
    `response.done` decides: a refusal comes before it, `response.created` after it.
    """
    active = await begin(client, CALL)
    arguments = await first_call(client, active)
    output = await client.send(result_of(client, arguments))
    create = await client.send(_CREATE)
    answer = await client.answer(create, _CREATED)
    if realtime.error_of(answer.message).get("event_id") == output.message["event_id"]:
        answer = await client.answer(answer, _CREATED)  # the result was refused, which is another fact's
    done = await finish(client, active)
    trace = (arguments, output, create, answer, done)
    margin_ms = ms(create.at_ns - done.at_ns)
    side = "before" if margin_ms < 0 else "after"
    times = f"sent {_ms(arguments, create)} after arguments.done and {abs(margin_ms):.1f} ms {side} response.done came"
    if realtime.is_refusal(answer.message):
        if answer.seq > done.seq:
            return broken(f"refused, although response.done had come: {times}", *trace)
        return held(f"refused: {times}", *trace)
    if answer.kind == realtime.ERROR:
        return unknown(f"answered by error {code_of(answer)}", *trace)
    await finish(client, answer)
    if beside(client, active, answer):
        return broken(f"accepted before response.done: {times}", *trace)
    return held(f"accepted, response.created {_ms(create, answer)} later: {times}", *trace)


@repeated
async def cancel_then_create(client: Client) -> Answer:
    """A cancel of a response whose text has begun, and a create right after it."""
    active, _ = await begin_text(client)
    cancel = await client.send(CANCEL)
    create = await client.send(_CREATE)
    answer = await client.answer(create, _CREATED)
    done = await finish(client, active)
    trace = (active, cancel, create, answer, done)
    if realtime.is_refusal(answer.message):
        return broken(f"refused {_ms(create, answer)} after it was sent; the response ended {status_of(done)}", *trace)
    if answer.kind != realtime.ERROR:
        await finish(client, answer)
    elif code_of(answer) != NOT_ACTIVE:
        return broken(f"answered by error {code_of(answer)}", *trace)
    if answer.kind != realtime.ERROR and beside(client, active, answer):
        return broken("a second response began before the first was done", *trace)
    if status_of(done) != "cancelled":
        return unknown(f"the response was {status_of(done)} before the cancel came", *trace)
    return held(f"cancelled, then response.created {_ms(create, answer)} after the create was sent", *trace)


async def cancel_before_created(client: Client) -> Answer:
    """A cancel right after the create, before `response.created` can have come."""
    await set_up(client)
    await say(client, LONG)
    create = await client.send(_CREATE)
    cancel = await client.send(CANCEL)
    created = await client.until(_CREATED, create)
    done = await finish(client, created)
    error = client.find(named(realtime.ERROR), create)
    trace = [each for each in (create, cancel, error, created, done) if each is not None]
    seen = f"{f'error {code_of(error)}' if error is not None else 'no error'}, and the response ended {status_of(done)}"
    return (broken if status_of(done) == "cancelled" else held)(seen, *trace)


def _ms(earlier: ReceivedEvent, later: ReceivedEvent) -> str:
    return f"{ms(later.at_ns - earlier.at_ns):.1f} ms"
