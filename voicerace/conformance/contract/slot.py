"""Experiments on the slot: who gets it, who is refused, when it is free again, and what passes beside it."""

from __future__ import annotations

from typing import Final

from voicerace.conformance.contract.client import Client, ConnectionGoneError, InconclusiveError, ReceivedEvent, named
from voicerace.conformance.contract.facts import Answer, broken, held
from voicerace.conformance.contract.steps import (
    CALL,
    LONG,
    SHORT,
    begin,
    beside,
    code_of,
    finish,
    first_call,
    late,
    repeated,
    say,
    set_up,
    status_of,
    still_talks,
    update,
)
from voicerace.model.protocol import realtime
from voicerace.units import ms

__all__ = ["create_active", "create_free", "out_of_band", "refusal_event_id", "session_update_active",
           "slot_at_arguments_done", "slot_at_response_done", "slot_at_text_done"]  # fmt: skip

_CREATE: Final = realtime.create_response(response={"tool_choice": "none"})
_CREATED: Final = named(realtime.RESPONSE_CREATED)
_OF_RESPONSES: Final = named(realtime.RESPONSE_CREATED, realtime.RESPONSE_DONE)
#: Creates sent on receipt of response.done.
_CREATES: Final = 3


def _after_ms(later: ReceivedEvent, earlier: ReceivedEvent) -> str:
    return f"{ms(later.at_ns - earlier.at_ns):.1f} ms"


async def create_free(client: Client) -> Answer:
    await set_up(client)
    await say(client, SHORT)
    sent = await client.send(_CREATE)
    answer = await client.answer(sent, _CREATED)
    if answer.kind == realtime.ERROR:
        return broken(f"answered by error {code_of(answer)}", sent, answer)
    return held(f"response.created {_after_ms(answer, sent)} behind the create", sent, answer)


@repeated
async def create_active(client: Client) -> Answer:
    """Refused; then nothing of a second response, and a session that goes on."""
    active = await begin(client, LONG)
    sent, answer = await _create(client)
    if answer.kind != realtime.ERROR:
        return await _accepted(client, active, sent, answer)
    if not realtime.is_refusal(answer.message):
        return broken(f"answered by error {code_of(answer)}, not by {realtime.ACTIVE_RESPONSE}", active, sent, answer)
    try:
        done = await finish(client, active)
        await client.quiet(_OF_RESPONSES, done)
        stranger = next((each for each in client.heard if each.seq > answer.seq and _strange(each, active)), None)
        if stranger is not None:
            return broken(f"refused, and yet {stranger.kind} of another response followed", active, sent, answer, stranger)
        if not await still_talks(client):
            return broken("refused, and the session answered nothing any more", active, sent, answer, done)
    except ConnectionGoneError as gone:
        if gone.code is None:
            raise
        return broken(f"refused, and then {gone}", active, sent, answer)
    return held("refused with the code, nothing followed, and the session went on", active, sent, answer, done)


def _strange(passed: ReceivedEvent, active: ReceivedEvent) -> bool:
    return _OF_RESPONSES(passed) and passed.response_id != active.response_id


async def _create(client: Client) -> tuple[ReceivedEvent, ReceivedEvent]:
    """Ask for a response now; gives the create and its answer."""
    sent = await client.send(_CREATE)
    return sent, await client.answer(sent, _CREATED)


async def _accepted(client: Client, active: ReceivedEvent, sent: ReceivedEvent, created: ReceivedEvent) -> Answer:
    """A create that was to be refused began a response: beside the active one, or was it too late?"""
    if beside(client, active, created):
        return broken("accepted: a second response began before the first was done", active, sent, created)
    await finish(client, created)
    return late(client, active, created)


@repeated
async def refusal_event_id(client: Client) -> Answer:
    active = await begin(client, LONG)
    sent, answer = await _create(client)
    if answer.kind != realtime.ERROR:
        await finish(client, answer)
        return late(client, active, answer)
    ours, named_id = sent.message["event_id"], realtime.error_of(answer.message).get("event_id")
    if named_id == ours:
        return held(f"error.event_id is {named_id}, as sent", active, sent, answer)
    return broken(f"error.event_id is {named_id or 'null'}, sent was {ours}", active, sent, answer)


@repeated
async def _slot_at(client: Client, text: str, kind: str) -> Answer:
    """A create sent on receipt of an event that a gate might take for the response's end."""
    active = await begin(client, text)
    if text == CALL:
        ended = await first_call(client, active)
    else:
        ended = await client.until(named(kind, realtime.RESPONSE_DONE, response=active.response_id))
    if ended.kind == realtime.RESPONSE_DONE:
        raise InconclusiveError(f"the response had no {kind} before its end, status {status_of(ended)}")
    sent, answer = await _create(client)
    if realtime.is_refusal(answer.message):
        await finish(client, active)
        return held(f"a create sent {_after_ms(sent, ended)} behind it was refused", ended, sent, answer)
    if answer.kind == realtime.ERROR:
        raise InconclusiveError(f"the create was answered by error {code_of(answer)}")
    return await _accepted(client, active, sent, answer)


async def slot_at_text_done(client: Client) -> Answer:
    return await _slot_at(client, SHORT, realtime.TEXT_DONE)


async def slot_at_arguments_done(client: Client) -> Answer:
    return await _slot_at(client, CALL, realtime.ARGUMENTS_DONE)


async def slot_at_response_done(client: Client) -> Answer:
    """Some creates, each sent on receipt of `response.done`; a lag shorter than the way there stays unseen."""
    await set_up(client)
    trace: list[ReceivedEvent] = []
    active = await begin(client, SHORT)
    for _ in range(_CREATES):
        done = await finish(client, active)
        sent, active = await _create(client)
        if realtime.is_refusal(active.message):
            return broken(f"a create sent {_after_ms(sent, done)} behind it was refused", done, sent, active)
        if active.kind == realtime.ERROR:
            raise InconclusiveError(f"the create was answered by error {code_of(active)}")
        trace += [done, sent, active]
    seen = f"{_CREATES} of {_CREATES} creates sent on its receipt were accepted, the last {_after_ms(sent, done)} behind it"
    return held(seen, *trace)


@repeated
async def out_of_band(client: Client) -> Answer:
    active = await begin(client, LONG)
    event = realtime.create_response(response={"conversation": "none", "tool_choice": "none"})
    sent = await client.send(event)
    answer = await client.answer(sent, _CREATED)
    if answer.kind == realtime.ERROR:
        return broken(f"answered by error {code_of(answer)}", active, sent, answer)
    ends = [await finish(client, answer), await finish(client, active)]
    if not beside(client, active, answer):
        return late(client, active, answer)
    return held("its response.created came before the active response was done; both ended", active, sent, answer, *ends)


@repeated
async def session_update_active(client: Client) -> Answer:
    active = await begin(client, LONG)
    sent = await client.send(update(instructions="Do what the user asks, in English, and add nothing."))
    answer = await client.answer(sent, named(realtime.SESSION_UPDATED))
    if answer.kind == realtime.ERROR:
        return broken(f"answered by error {code_of(answer)}", active, sent, answer)
    if not beside(client, active, answer):
        return late(client, active, answer)
    return held(f"session.updated {_after_ms(answer, sent)} later, the response still active", active, sent, answer)
