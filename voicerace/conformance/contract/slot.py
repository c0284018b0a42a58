"""Experiments on the slot: accepted and refused requests, the time at which it is free again, and responses outside it."""

from __future__ import annotations

from typing import Final

from voicerace.conformance.contract import steps
from voicerace.conformance.contract.client import Client, ConnectionGoneError, InconclusiveError, ReceivedEvent, named
from voicerace.conformance.contract.facts import FactAnswer, broken, held
from voicerace.model.protocol import realtime

__all__ = ["create_active", "create_free", "out_of_band", "refusal_event_id", "session_update_active",
           "slot_at_arguments_done", "slot_at_response_done", "slot_at_text_done"]  # fmt: skip

_CREATE: Final = realtime.create_response(response={"tool_choice": "none"})
_CREATED: Final = named(realtime.RESPONSE_CREATED)
_OF_RESPONSES: Final = named(realtime.RESPONSE_CREATED, realtime.RESPONSE_DONE)
#: Number of requests in `slot_at_response_done`.
_CREATES: Final = 3


async def create_free(client: Client) -> FactAnswer:
    await steps.set_up(client)
    await steps.say(client, steps.SHORT)
    sent = await client.send(_CREATE)
    answer = await client.answer(sent, _CREATED)
    if answer.kind == realtime.ERROR:
        return broken(f"answered by error {steps.code_of(answer)}", sent, answer)
    return held(f"response.created {steps.passed_ms(sent, answer)} behind the create", sent, answer)


@steps.repeated
async def create_active(client: Client) -> FactAnswer:
    """Check that the API refuses a request, begins no second response, and continues the session."""
    active = await steps.begin(client, steps.LONG)
    sent, answer = await _create(client)
    if answer.kind != realtime.ERROR:
        return await _accepted(client, active, sent, answer)
    if not realtime.is_refusal(answer.message):
        return broken(f"answered by error {steps.code_of(answer)}, not by {realtime.ACTIVE_RESPONSE}", active, sent, answer)
    try:
        done = await steps.finish(client, active)
        await client.quiet(_OF_RESPONSES, done)
        other = next((each for each in client.heard if each.seq > answer.seq and _of_other_response(each, active)), None)
        if other is not None:
            return broken(f"refused, and yet {other.kind} of another response followed", active, sent, answer, other)
        if not await steps.still_answers(client):
            return broken("refused, and the session answered nothing any more", active, sent, answer, done)
    except ConnectionGoneError as gone:
        if gone.code is None:
            raise
        return broken(f"refused, and then {gone}", active, sent, answer)
    return held("refused with the code, nothing followed, and the session went on", active, sent, answer, done)


def _of_other_response(passed: ReceivedEvent, active: ReceivedEvent) -> bool:
    return _OF_RESPONSES(passed) and passed.response_id != active.response_id


async def _create(client: Client) -> tuple[ReceivedEvent, ReceivedEvent]:
    """Send a request and return (sent event, answer)."""
    sent = await client.send(_CREATE)
    return sent, await client.answer(sent, _CREATED)


async def _accepted(client: Client, active: ReceivedEvent, sent: ReceivedEvent, created: ReceivedEvent) -> FactAnswer:
    """Return the answer for an accepted request: broken if the first response was active, otherwise unknown."""
    if steps.while_active(client, active, created):
        return broken("accepted: a second response began before the first was done", active, sent, created)
    await steps.finish(client, created)
    return steps.late(client, active, created)


@steps.repeated
async def refusal_event_id(client: Client) -> FactAnswer:
    active = await steps.begin(client, steps.LONG)
    sent, answer = await _create(client)
    if answer.kind != realtime.ERROR:
        await steps.finish(client, answer)
        return steps.late(client, active, answer)
    sent_id, named_id = sent.message["event_id"], realtime.error_of(answer.message).get("event_id")
    if named_id == sent_id:
        return held(f"error.event_id is {named_id}, as sent", active, sent, answer)
    return broken(f"error.event_id is {named_id or 'null'}, sent was {sent_id}", active, sent, answer)


@steps.repeated
async def _slot_at(client: Client, text: str, kind: str) -> FactAnswer:
    """Send a request on receipt of an event that a proxy could treat as the end of the response."""
    active = await steps.begin(client, text)
    if text == steps.CALL:
        ended = await steps.first_call(client, active)
    else:
        ended = await client.until(named(kind, realtime.RESPONSE_DONE, response=active.response_id))
    if ended.kind == realtime.RESPONSE_DONE:
        raise InconclusiveError(f"the response had no {kind} before its end, status {steps.status_of(ended)}")
    sent, answer = await _create(client)
    if realtime.is_refusal(answer.message):
        await steps.finish(client, active)
        return held(f"a create sent {steps.passed_ms(ended, sent)} behind it was refused", ended, sent, answer)
    if answer.kind == realtime.ERROR:
        raise InconclusiveError(f"the create was answered by error {steps.code_of(answer)}")
    return await _accepted(client, active, sent, answer)


async def slot_at_text_done(client: Client) -> FactAnswer:
    return await _slot_at(client, steps.SHORT, realtime.TEXT_DONE)


async def slot_at_arguments_done(client: Client) -> FactAnswer:
    return await _slot_at(client, steps.CALL, realtime.ARGUMENTS_DONE)


async def slot_at_response_done(client: Client) -> FactAnswer:
    """Send requests on receipt of `response.done`. The experiment cannot detect a slot lag shorter than the link's delay."""
    await steps.set_up(client)
    trace: list[ReceivedEvent] = []
    active = await steps.begin(client, steps.SHORT)
    for _ in range(_CREATES):
        done = await steps.finish(client, active)
        sent, active = await _create(client)
        if realtime.is_refusal(active.message):
            return broken(f"a create sent {steps.passed_ms(done, sent)} behind it was refused", done, sent, active)
        if active.kind == realtime.ERROR:
            raise InconclusiveError(f"the create was answered by error {steps.code_of(active)}")
        trace += [done, sent, active]
    last = f"the last {steps.passed_ms(done, sent)} behind it"
    return held(f"{_CREATES} of {_CREATES} creates sent on its receipt were accepted, {last}", *trace)


@steps.repeated
async def out_of_band(client: Client) -> FactAnswer:
    active = await steps.begin(client, steps.LONG)
    event = realtime.create_response(response={"conversation": "none", "tool_choice": "none"})
    sent = await client.send(event)
    answer = await client.answer(sent, _CREATED)
    if answer.kind == realtime.ERROR:
        return broken(f"answered by error {steps.code_of(answer)}", active, sent, answer)
    ends = [await steps.finish(client, answer), await steps.finish(client, active)]
    if not steps.while_active(client, active, answer):
        return steps.late(client, active, answer)
    return held("its response.created came before the active response was done; both ended", active, sent, answer, *ends)


@steps.repeated
async def session_update_active(client: Client) -> FactAnswer:
    active = await steps.begin(client, steps.LONG)
    sent = await client.send(steps.update(instructions="Do what the user asks, in English, and add nothing."))
    answer = await client.answer(sent, named(realtime.SESSION_UPDATED))
    if answer.kind == realtime.ERROR:
        return broken(f"answered by error {steps.code_of(answer)}", active, sent, answer)
    if not steps.while_active(client, active, answer):
        return steps.late(client, active, answer)
    return held(f"session.updated {steps.passed_ms(sent, answer)} later, the response still active", active, sent, answer)
