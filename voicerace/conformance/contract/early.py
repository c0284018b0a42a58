"""Experiments with early requests: after a result that may precede `response.done`, and directly after a cancel.

Like a client with a race, the experiments do not wait for an answer between two sends. Their answers contain times in ms.
"""

from __future__ import annotations

from typing import Final

from voicerace.conformance.contract import steps
from voicerace.conformance.contract.client import Client, named
from voicerace.conformance.contract.facts import FactAnswer, broken, held, unknown
from voicerace.model.protocol import realtime
from voicerace.units import ms

__all__ = ["CANCEL", "NOT_ACTIVE", "cancel_before_created", "cancel_then_create", "result_and_create"]

CANCEL: Final = {"type": realtime.RESPONSE_CANCEL}
NOT_ACTIVE: Final = "response_cancel_not_active"
_CREATE: Final = realtime.create_response(response={"tool_choice": "none"})
_CREATED: Final = named(realtime.RESPONSE_CREATED)


@steps.repeated
async def result_and_create(client: Client) -> FactAnswer:
    """Send a result and a `response.create` on receipt of `response.function_call_arguments.done`.

    The gap and the network determine whether the request arrives while the response is active. The fact holds in both
    cases if the API sends a refusal before `response.done`, or `response.created` after it.
    """
    active = await steps.begin(client, steps.CALL)
    arguments = await steps.first_call(client, active)
    output = await client.send(steps.result_of(client, arguments))
    create = await client.send(_CREATE)
    answer = await client.answer(create, _CREATED)
    if realtime.error_of(answer.message).get("event_id") == output.message["event_id"]:
        answer = await client.answer(answer, _CREATED)  # the API refused the result; another fact tests refused results
    done = await steps.finish(client, active)
    trace = (arguments, output, create, answer, done)
    margin_ms = ms(create.at_ns - done.at_ns)
    side = "before" if margin_ms < 0 else "after"
    sent = f"sent {steps.passed_ms(arguments, create)} after arguments.done"
    times = f"{sent} and {abs(margin_ms):.1f} ms {side} response.done came"
    if realtime.is_refusal(answer.message):
        if answer.seq > done.seq:
            return broken(f"refused, although response.done had come: {times}", *trace)
        return held(f"refused: {times}", *trace)
    if answer.kind == realtime.ERROR:
        return unknown(f"answered by error {steps.code_of(answer)}", *trace)
    await steps.finish(client, answer)
    if steps.while_active(client, active, answer):
        return broken(f"accepted before response.done: {times}", *trace)
    return held(f"accepted, response.created {steps.passed_ms(create, answer)} later: {times}", *trace)


@steps.repeated
async def cancel_then_create(client: Client) -> FactAnswer:
    """Cancel a response whose text has begun, and send a request directly after the cancel."""
    active, _ = await steps.begin_text(client)
    cancel = await client.send(CANCEL)
    create = await client.send(_CREATE)
    answer = await client.answer(create, _CREATED)
    done = await steps.finish(client, active)
    trace = (active, cancel, create, answer, done)
    if realtime.is_refusal(answer.message):
        times = f"{steps.passed_ms(create, answer)} after it was sent"
        return broken(f"refused {times}; the response ended {steps.status_of(done)}", *trace)
    if answer.kind != realtime.ERROR:
        await steps.finish(client, answer)
    elif steps.code_of(answer) != NOT_ACTIVE:
        return broken(f"answered by error {steps.code_of(answer)}", *trace)
    if answer.kind != realtime.ERROR and steps.while_active(client, active, answer):
        return broken("a second response began before the first was done", *trace)
    if steps.status_of(done) != "cancelled":
        return unknown(f"the response was {steps.status_of(done)} before the cancel came", *trace)
    return held(f"cancelled, then response.created {steps.passed_ms(create, answer)} after the create was sent", *trace)


async def cancel_before_created(client: Client) -> FactAnswer:
    """Send a cancel directly after the request, before `response.created` can arrive."""
    await steps.set_up(client)
    await steps.say(client, steps.LONG)
    create = await client.send(_CREATE)
    cancel = await client.send(CANCEL)
    created = await client.until(_CREATED, create)
    done = await steps.finish(client, created)
    error = client.find(named(realtime.ERROR), create)
    trace = [each for each in (create, cancel, error, created, done) if each is not None]
    status, answer = steps.status_of(done), "no error" if error is None else f"error {steps.code_of(error)}"
    return (broken if status == "cancelled" else held)(f"{answer}, and the response ended {status}", *trace)
