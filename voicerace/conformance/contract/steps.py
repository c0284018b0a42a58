"""What experiments have in common: opening a session, saying something, asking for a response, and telling a race's end.

Everything sent is valid against the GA client events of the `openai` package (3.54), field by field: an API that refuses
unknown fields must not find one here. Server VAD is off in every session: a second writer would spoil the answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import wraps
from typing import Any, Concatenate, Final, Literal, ParamSpec, TypeAlias

from voicerace.conformance.contract.client import Client, InconclusiveError, Matcher, ReceivedEvent, ReplyTimeoutError, named
from voicerace.conformance.contract.facts import Answer, unknown
from voicerace.model.protocol import realtime

__all__ = [
    "CALL", "LONG", "SHORT", "ask", "begin", "begin_text", "beside", "code_of", "finish", "first_call",
    "late", "repeated", "reply", "result_of", "say", "send_result", "set_up", "status_of", "still_talks", "two_calls_at_once",
    "update",
]  # fmt: skip

_Given = ParamSpec("_Given")
_Trial: TypeAlias = Callable[Concatenate[Client, _Given], Awaitable[Answer]]
#: What the user says: for a reply that lasts, for one that does not, and for a function call.
LONG: Final = "Count from one to one hundred, in words, one number a line."
SHORT: Final = "Say the word hello, and nothing else."
CALL: Final = "What is the weather in Lisbon?"
_TWO_CALLS: Final = "What is the weather in Lisbon, and what time is it there? Call both functions now, together."

_RESULT: Final = '{"temperature": 21}'
_INSTRUCTIONS: Final = "You help to test an interface. Do exactly what the user asks, in English, and add nothing."
_WEATHER: Final[Mapping[str, Any]] = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
_TIME: Final[Mapping[str, Any]] = {**_WEATHER, "name": "get_time", "description": "The local time in a city."}
#: How often an experiment that must win a race against the network tries before it gives up.
_TRIES: Final = 3
#: Between two tries to take a slot that is still taken for a moment behind response.done.
_SLOT_AGAIN_S: Final = 0.1


def code_of(passed: ReceivedEvent) -> str:
    """An error's code, or what there is of it."""
    error = realtime.error_of(passed.message)
    return str(error.get("code") or error.get("type") or "without a code")


async def ask(client: Client, event: Mapping[str, Any], want: Matcher) -> ReceivedEvent:
    """Send what an experiment needs and get its confirmation.

    Raises:
        InconclusiveError: it was answered by an error, or not at all.
    """
    sent = await client.send(event)
    answer = await client.answer(sent, want)
    if answer.kind == realtime.ERROR:
        raise InconclusiveError(f"{sent.kind} was answered by error {code_of(answer)}")
    return answer


def update(**fields: Any) -> realtime.Message:
    """`session.update` with some fields of the session."""
    return realtime.update_session({"type": "realtime", **fields})


async def set_up(client: Client, modality: Literal["text", "audio"] = "text") -> ReceivedEvent:
    """Wait for the session and set it: replies in `modality`, one tool, no server VAD. Gives `session.created`."""
    created = await client.until(realtime.SESSION_CREATED)
    wished = update(
        output_modalities=[modality],
        instructions=_INSTRUCTIONS,
        tools=[dict(_WEATHER)],
        tool_choice="auto",
        audio={"input": {"turn_detection": None}},
    )
    await ask(client, wished, named(realtime.SESSION_UPDATED))
    return created


async def say(client: Client, text: str) -> ReceivedEvent:
    """A user item, confirmed; gives the confirmation."""
    item_id = client.new_id("item")
    event = realtime.create_item({"id": item_id, **realtime.user_item(text)})
    return await ask(client, event, named(realtime.ITEM_DONE, item=item_id))


async def begin(client: Client, text: str) -> ReceivedEvent:
    """Say something and have it answered, by a function call if it is `CALL`; gives `response.created`.

    Raises:
        InconclusiveError: there is no response to experiment with.
    """
    await say(client, text)
    return await reply(client, calls=text == CALL)


async def begin_text(client: Client) -> tuple[ReceivedEvent, ReceivedEvent]:
    """Have a long reply begun; gives `response.created` and the first delta of its text.

    Raises:
        InconclusiveError: there is no response, or it ended before its text began.
    """
    active = await begin(client, LONG)
    delta = await client.until(named(realtime.TEXT_DELTA, realtime.RESPONSE_DONE, response=active.response_id))
    if delta.kind == realtime.RESPONSE_DONE:
        raise InconclusiveError(f"the reply ended before its text began, status {status_of(delta)}")
    return active, delta


async def two_calls_at_once(client: Client) -> ReceivedEvent:
    """Ask for one call of each of two tools, in one response; gives `response.created`.

    Raises: as `begin`.
    """
    await say(client, _TWO_CALLS)
    return await reply(client, calls=True, tools=(_WEATHER, _TIME))


async def reply(client: Client, *, calls: bool = False, tools: Sequence[Mapping[str, Any]] = ()) -> ReceivedEvent:
    """Have the conversation answered, by text or by a function call; gives `response.created`.

    Args:
        client: its connection.
        calls: it has to call a function.
        tools: the functions of this response, in place of the session's.

    Raises: as `begin`.
    """
    wished: dict[str, Any] = {"tool_choice": "required" if calls else "none"}
    event = realtime.create_response(response=wished | ({"tools": [dict(tool) for tool in tools]} if tools else {}))
    until = asyncio.get_running_loop().time() + client.patience.answer_s
    while True:
        sent = await client.send(event)
        answer = await client.answer(sent, named(realtime.RESPONSE_CREATED))
        # The response before has ended, but maybe not for the API: another fact's affair, not this one's.
        if not realtime.is_refusal(answer.message) or asyncio.get_running_loop().time() > until:
            break
        await asyncio.sleep(_SLOT_AGAIN_S)
    if answer.kind == realtime.ERROR:
        raise InconclusiveError(f"there is no response: response.create was answered by error {code_of(answer)}")
    return answer


async def finish(client: Client, created: ReceivedEvent) -> ReceivedEvent:
    """Wait for a response's end; gives its `response.done`."""
    return await client.until(named(realtime.RESPONSE_DONE, response=created.response_id))


async def first_call(client: Client, created: ReceivedEvent) -> ReceivedEvent:
    """Wait for a response's `response.function_call_arguments.done`.

    Raises:
        InconclusiveError: the model called nothing.
    """
    id_ = created.response_id
    passed = await client.until(named(realtime.ARGUMENTS_DONE, realtime.RESPONSE_DONE, response=id_))
    if passed.kind == realtime.RESPONSE_DONE:
        raise InconclusiveError(f"the model made no function call: response.done, status {status_of(passed)}")
    return passed


def result_of(client: Client, arguments: ReceivedEvent) -> realtime.Message:
    """The event with the result of a call."""
    item = {"id": client.new_id("item"), **realtime.output_item(str(arguments.message.get("call_id")), _RESULT)}
    return realtime.create_item(item)


async def send_result(client: Client, arguments: ReceivedEvent) -> tuple[ReceivedEvent, ReceivedEvent]:
    """The result of a call, sent; gives it and its answer."""
    sent = await client.send(result_of(client, arguments))
    return sent, await client.answer(sent, named(realtime.ITEM_DONE, item=sent.item_id))


def status_of(done: ReceivedEvent) -> str:
    return str(realtime.response_of(done.message).get("status"))


def beside(client: Client, created: ReceivedEvent, event: ReceivedEvent) -> bool:
    """Whether an event came before the end of a response: the API sent it while that response was active."""
    done = client.find(named(realtime.RESPONSE_DONE, response=created.response_id))
    return done is None or event.seq < done.seq


def late(client: Client, created: ReceivedEvent, event: ReceivedEvent) -> Answer:
    """The answer when an event came behind the end of a response: what it answers may have met a free slot."""
    done = client.find(named(realtime.RESPONSE_DONE, response=created.response_id))
    trace = (created, event) if done is None else (created, done, event)
    return unknown(f"response.done was on its way before: {event.kind} came only behind it, which tells nothing", *trace)


def repeated(trial: _Trial[_Given]) -> _Trial[_Given]:
    """An experiment that has to win a race against the network: on a text session, up to three times until it answers."""

    @wraps(trial)
    async def experiment(client: Client, /, *args: _Given.args, **kwargs: _Given.kwargs) -> Answer:
        await set_up(client)
        for _ in range(_TRIES):
            answer = await trial(client, *args, **kwargs)
            if answer.state != "unknown":
                return answer
        return unknown(f"{answer.seen} ({_TRIES} tries)", *answer.trace)

    return experiment


async def still_talks(client: Client) -> bool:
    """Whether the session answers as before: a user item is confirmed."""
    try:
        await say(client, SHORT)
    except ReplyTimeoutError:
        return False
    return True
