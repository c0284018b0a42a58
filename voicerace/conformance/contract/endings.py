"""Experiments with cancelled and completed responses, and with a change of the voice after audio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from voicerace.conformance.contract import steps
from voicerace.conformance.contract.client import Client, ConnectionGoneError, InconclusiveError, ReplyTimeoutError, named
from voicerace.conformance.contract.early import CANCEL, NOT_ACTIVE
from voicerace.conformance.contract.facts import FactAnswer, broken, held, unknown
from voicerace.model.protocol import realtime

__all__ = ["cancel_active", "cancel_idle", "cut_off_text_done", "reply_completed", "voice_after_audio"]

_NO_VOICE_CHANGE: Final = "cannot_update_voice"


@steps.repeated
async def cancel_active(client: Client) -> FactAnswer:
    active = await steps.begin(client, steps.LONG)
    sent = await client.send(CANCEL)
    done = await client.answer(sent, named(realtime.RESPONSE_DONE, response=active.response_id))
    if done.kind == realtime.ERROR:
        ended = await steps.finish(client, active)
        if steps.code_of(done) == NOT_ACTIVE and ended.seq < done.seq:
            return unknown("the response was over before the cancel came", active, ended, sent, done)
        return broken(f"answered by error {steps.code_of(done)}", active, sent, done)
    status, reason = steps.status_of(done), _details(done.message).get("reason")
    if status == "completed":
        return unknown("the response was complete before the cancel came", active, sent, done)
    ended_as = f"response.done with status {status}, reason {reason}"
    right = (status, reason) == ("cancelled", "client_cancelled")
    return (held if right else broken)(ended_as, active, sent, done)


def _details(message: Mapping[str, Any]) -> Mapping[str, Any]:
    details = realtime.response_of(message).get("status_details")
    return details if isinstance(details, Mapping) else {}


async def cancel_idle(client: Client) -> FactAnswer:
    await steps.set_up(client)
    sent = await client.send(CANCEL)
    try:
        answer = await client.answer(sent)
    except ReplyTimeoutError:
        if await steps.still_answers(client):
            return broken("no error came", sent)
        raise
    code = steps.code_of(answer)
    if code != NOT_ACTIVE:
        return broken(f"answered by error {code}", sent, answer)
    try:
        if not await steps.still_answers(client):
            return broken(f"error {code}, and the session answered nothing any more", sent, answer)
    except ConnectionGoneError as gone:
        if gone.code is None:
            raise
        return broken(f"error {code}, and then {gone}", sent, answer)
    return held(f"error {code}, and the session went on", sent, answer)


@steps.repeated
async def cut_off_text_done(client: Client) -> FactAnswer:
    active, delta = await steps.begin_text(client)
    sent = await client.send(CANCEL)
    done = await steps.finish(client, active)
    text = client.find(named(realtime.TEXT_DONE, response=active.response_id))
    if steps.status_of(done) != "cancelled":
        await client.quiet(named(realtime.ERROR), sent)  # the next trial must not receive the error that answers this cancel
    if steps.status_of(done) != "cancelled" or (text is not None and text.seq < sent.seq):
        return unknown("the text was complete before the cancel came", active, delta, sent, done)
    if text is None or text.seq > done.seq:
        return broken("response.done came without response.output_text.done before it", delta, sent, done)
    return held("response.output_text.done, then response.done with status cancelled", delta, sent, text, done)


async def reply_completed(client: Client) -> FactAnswer:
    await steps.set_up(client)
    created = await steps.begin(client, steps.SHORT)
    done = await steps.finish(client, created)
    status = steps.status_of(done)
    reason = _details(done.message).get("reason")
    seen = f"status {status}" + (f", reason {reason}" if reason else "")
    return (held if status == "completed" else broken)(seen, created, done)


async def voice_after_audio(client: Client) -> FactAnswer:
    opened = await steps.set_up(client, "audio")
    created = await steps.begin(client, steps.SHORT)
    done = await steps.finish(client, created)
    spoken = client.find(named(realtime.AUDIO_DELTA, response=created.response_id))
    if spoken is None:
        raise InconclusiveError(f"the reply had no audio, status {steps.status_of(done)}")
    session = opened.message.get("session")
    audio = session.get("audio") if isinstance(session, Mapping) else None
    output = audio.get("output") if isinstance(audio, Mapping) else None
    voice = output.get("voice") if isinstance(output, Mapping) else None
    sent = await client.send(steps.update(audio={"output": {"voice": "cedar" if voice != "cedar" else "marin"}}))
    answer = await client.answer(sent, named(realtime.SESSION_UPDATED))
    if answer.kind != realtime.ERROR:
        return broken("accepted", spoken, done, sent, answer)
    code = steps.code_of(answer)
    return (held if code == _NO_VOICE_CHANGE else broken)(f"answered by error {code}", spoken, done, sent, answer)
