"""Experiments with client messages: items, results, audio and binary frames."""

from __future__ import annotations

import json
from typing import Final

from voicerace.conformance.contract import steps
from voicerace.conformance.contract.client import Client, ConnectionGoneError, ReceivedEvent, ReplyTimeoutError, named
from voicerace.conformance.contract.facts import FactAnswer, broken, held, unknown
from voicerace.model.protocol import input_audio, realtime

__all__ = ["binary_frames", "commit_no_response", "empty_commit", "item_active", "item_confirmed",
           "output_at_arguments_done", "output_starts_nothing", "session_opens"]  # fmt: skip

#: 200 ms of silence as PCM at 24 kHz. The API requires at least 100 ms of audio in a commit.
_PCM: Final = bytes(2 * 24_000 // 5)


async def session_opens(client: Client) -> FactAnswer:
    created = await steps.set_up(client)
    updated = await client.until(realtime.SESSION_UPDATED)
    return held("session.created before anything was sent, session.updated behind the update", created, updated)


async def item_confirmed(client: Client) -> FactAnswer:
    await steps.set_up(client)
    item_id, sent = await _send_item(client)
    done = await client.answer(sent, named(realtime.ITEM_DONE, item=item_id))
    if done.kind == realtime.ERROR:
        return broken(f"answered by error {steps.code_of(done)}", sent, done)
    added = client.find(named(realtime.ITEM_ADDED, item=item_id), sent)
    if added is None or added.seq > done.seq:
        return broken("conversation.item.done came without conversation.item.added before it", sent, done)
    return held("conversation.item.added, then conversation.item.done", sent, added, done)


async def _send_item(client: Client) -> tuple[str, ReceivedEvent]:
    """Send a user item and return (id of the item, sent event)."""
    item_id = client.new_id("item")
    return item_id, await client.send(realtime.create_item({"id": item_id, **realtime.user_item(steps.SHORT)}))


@steps.repeated
async def item_active(client: Client) -> FactAnswer:
    active = await steps.begin(client, steps.LONG)
    item_id, sent = await _send_item(client)
    answer = await client.answer(sent, named(realtime.ITEM_DONE, item=item_id))
    if answer.kind == realtime.ERROR:
        return broken(f"answered by error {steps.code_of(answer)}", active, sent, answer)
    if not steps.while_active(client, active, answer):
        return steps.late(client, active, answer)
    return held("confirmed while the response was active", active, sent, answer)


@steps.repeated
async def output_at_arguments_done(client: Client) -> FactAnswer:
    """Send the result as early as possible.

    If the API refuses the result, send it again at later events until it is accepted.
    """
    active = await steps.begin(client, steps.CALL)
    arguments = await steps.first_call(client, active)
    sent, answer = await steps.send_result(client, arguments)
    if answer.kind != realtime.ERROR:
        if steps.while_active(client, active, answer):
            return held("confirmed before response.done", arguments, sent, answer)
        return steps.late(client, active, answer)
    refused = answer
    seen = f"refused with {steps.code_of(refused)}"
    later = (
        named(realtime.ITEM_DONE, item=arguments.item_id),
        named(realtime.RESPONSE_DONE, response=active.response_id),
    )
    for event in later:
        moment = await client.until(event)
        sent_again, answer = await steps.send_result(client, arguments)
        if answer.kind != realtime.ERROR:
            return broken(f"{seen}; accepted at {moment.kind}", arguments, sent, refused, moment, sent_again, answer)
    return broken(f"{seen}, and still behind response.done", arguments, sent, refused, answer)


async def output_starts_nothing(client: Client) -> FactAnswer:
    await steps.set_up(client)
    active = await steps.begin(client, steps.CALL)
    arguments = await steps.first_call(client, active)
    done = await steps.finish(client, active)
    sent, answer = await steps.send_result(client, arguments)
    if answer.kind == realtime.ERROR:
        return unknown(f"the output was answered by error {steps.code_of(answer)}", done, sent, answer)
    begun = await client.quiet(named(realtime.RESPONSE_CREATED), sent)
    if begun is not None:
        return broken("response.created came, and nobody had asked for it", done, sent, answer, begun)
    return held(f"confirmed, then no response for {client.patience.quiet_s:g} s", done, sent, answer)


async def binary_frames(client: Client) -> FactAnswer:
    await steps.set_up(client)
    item_id = client.new_id("item")
    event = {"event_id": client.new_id("event"), **realtime.create_item({"id": item_id, **realtime.user_item(steps.SHORT)})}
    sent = await client.send(json.dumps(event).encode())
    try:
        answer = await client.answer(sent, named(realtime.ITEM_DONE, item=item_id))
    except ReplyTimeoutError:
        if await steps.still_answers(client):
            return broken("nothing came, and a text frame behind it was read", sent)
        raise
    except ConnectionGoneError as gone:
        if gone.code is None:
            raise
        return broken(str(gone), sent)
    if answer.kind == realtime.ERROR:
        return broken(f"answered by error {steps.code_of(answer)}", sent, answer)
    return held("the user item in it was confirmed", sent, answer)


async def empty_commit(client: Client) -> FactAnswer:
    await steps.set_up(client)
    sent = await client.send({"type": input_audio.COMMIT})
    answer = await client.answer(sent, named(input_audio.COMMITTED))
    if answer.kind != realtime.ERROR:
        return broken("committed", sent, answer)
    code = steps.code_of(answer)
    return (held if code == input_audio.COMMIT_EMPTY else broken)(f"answered by error {code}", sent, answer)


async def commit_no_response(client: Client) -> FactAnswer:
    await steps.set_up(client)
    await client.send(input_audio.append(_PCM))
    sent = await client.send({"type": input_audio.COMMIT})
    answer = await client.answer(sent, named(input_audio.COMMITTED))
    if answer.kind == realtime.ERROR:
        return broken(f"answered by error {steps.code_of(answer)}", sent, answer)
    item = await client.until(named(realtime.ITEM_DONE, item=answer.item_id))
    begun = await client.quiet(named(realtime.RESPONSE_CREATED), sent)
    if begun is not None:
        return broken("response.created came, and nobody had asked for it", sent, answer, begun)
    return held(f"committed, the item confirmed, then no response for {client.patience.quiet_s:g} s", sent, answer, item)
