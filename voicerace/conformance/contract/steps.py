"""Common steps of experiments: set up a session, send user text, request a response, and repeat a race.

Every sent field is valid for the GA client events of the `openai` package (3.54), because an API can refuse unknown fields.
Server VAD is off in every session, because its own responses would change the answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import wraps
from typing import Any, Concatenate, Final, Literal, ParamSpec, TypeAlias

from voicerace.conformance.contract.client import Client, InconclusiveError, Matcher, ReceivedEvent, ReplyTimeoutError, named
from voicerace.conformance.contract.facts import FactAnswer, unknown
from voicerace.model.protocol import realtime
from voicerace.units import ms

__all__ = [
    "CALL", "LONG", "SHORT", "ask", "begin", "begin_text", "code_of", "finish", "first_call",
    "late", "passed_ms", "repeated", "reply", "result_of", "say", "send_result", "set_up", "status_of", "still_answers",
    "two_calls_at_once", "update", "while_active",
]  # fmt: skip

_Given = ParamSpec("_Given")
_Trial: TypeAlias = Callable[Concatenate[Client, _Given], Awaitable[FactAnswer]]
#: User texts that cause, in this order, a long reply, a short reply and a function call.
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
#: Maximum number of attempts at an experiment that must win a race against the network.
_TRIES: Final = 3
#: Time in seconds between two requests while the API refuses requests after response.done.
_SLOT_AGAIN_S: Final = 0.1


def code_of(passed: ReceivedEvent) -> str:
    """Return the code of an error, else its type, else "without a code"."""
    error = realtime.error_of(passed.message)
    return str(error.get("code") or error.get("type") or "without a code")


async def ask(client: Client, event: Mapping[str, Any], want: Matcher) -> ReceivedEvent:
    """Send an event and return its confirmation.

    Raises:
        InconclusiveError: the API answered with an error or did not answer.
    """
    sent = await client.send(event)
    answer = await client.answer(sent, want)
    if answer.kind == realtime.ERROR:
        raise InconclusiveError(f"{sent.kind} was answered by error {code_of(answer)}")
    return answer


def update(**fields: Any) -> realtime.Message:
    """Return a `session.update` with `fields` in its session."""
    return realtime.update_session({"type": "realtime", **fields})


async def set_up(client: Client, modality: Literal["text", "audio"] = "text") -> ReceivedEvent:
    """Wait for `session.created`, send the session's settings, and return the `session.created` event.

    The settings are the modality, one tool and no server VAD.
    """
    created = await client.until(realtime.SESSION_CREATED)
    settings = update(
        output_modalities=[modality],
        instructions=_INSTRUCTIONS,
        tools=[dict(_WEATHER)],
        tool_choice="auto",
        audio={"input": {"turn_detection": None}},
    )
    await ask(client, settings, named(realtime.SESSION_UPDATED))
    return created


async def say(client: Client, text: str) -> ReceivedEvent:
    """Send a user item and return its confirmation."""
    item_id = client.new_id("item")
    event = realtime.create_item({"id": item_id, **realtime.user_item(text)})
    return await ask(client, event, named(realtime.ITEM_DONE, item=item_id))


async def begin(client: Client, text: str) -> ReceivedEvent:
    """Send a user text, request a reply (a function call if the text is `CALL`), and return `response.created`.

    Raises:
        InconclusiveError: no response began.
    """
    await say(client, text)
    return await reply(client, calls=text == CALL)


async def begin_text(client: Client) -> tuple[ReceivedEvent, ReceivedEvent]:
    """Request a long reply and return (`response.created`, first delta of the text).

    Raises:
        InconclusiveError: no response began, or the response ended before its text began.
    """
    active = await begin(client, LONG)
    delta = await client.until(named(realtime.TEXT_DELTA, realtime.RESPONSE_DONE, response=active.response_id))
    if delta.kind == realtime.RESPONSE_DONE:
        raise InconclusiveError(f"the reply ended before its text began, status {status_of(delta)}")
    return active, delta


async def two_calls_at_once(client: Client) -> ReceivedEvent:
    """Request a response that calls each of two tools, and return `response.created`.

    Raises: as `begin`.
    """
    await say(client, _TWO_CALLS)
    return await reply(client, calls=True, tools=(_WEATHER, _TIME))


async def reply(client: Client, *, calls: bool = False, tools: Sequence[Mapping[str, Any]] = ()) -> ReceivedEvent:
    """Request a response and return its `response.created`.

    Args:
        client: the connection.
        calls: whether the response must call a function. If False, the response must not call one.
        tools: functions that replace the session's functions in this response.

    Raises: as `begin`.
    """
    options: dict[str, Any] = {"tool_choice": "required" if calls else "none"}
    event = realtime.create_response(response=options | ({"tools": [dict(tool) for tool in tools]} if tools else {}))
    until = asyncio.get_running_loop().time() + client.patience.answer_s
    while True:
        sent = await client.send(event)
        answer = await client.answer(sent, named(realtime.RESPONSE_CREATED))
        # the API can refuse requests for some time after response.done; another fact tests this time
        if not realtime.is_refusal(answer.message) or asyncio.get_running_loop().time() > until:
            break
        await asyncio.sleep(_SLOT_AGAIN_S)
    if answer.kind == realtime.ERROR:
        raise InconclusiveError(f"there is no response: response.create was answered by error {code_of(answer)}")
    return answer


async def finish(client: Client, created: ReceivedEvent) -> ReceivedEvent:
    """Wait for the end of a response and return its `response.done`."""
    return await client.until(named(realtime.RESPONSE_DONE, response=created.response_id))


async def first_call(client: Client, created: ReceivedEvent) -> ReceivedEvent:
    """Wait for a response's `response.function_call_arguments.done` and return it.

    Raises:
        InconclusiveError: the response ended without a function call.
    """
    id_ = created.response_id
    passed = await client.until(named(realtime.ARGUMENTS_DONE, realtime.RESPONSE_DONE, response=id_))
    if passed.kind == realtime.RESPONSE_DONE:
        raise InconclusiveError(f"the model made no function call: response.done, status {status_of(passed)}")
    return passed


def result_of(client: Client, arguments: ReceivedEvent) -> realtime.Message:
    """Return a client event that contains the result of a call."""
    item = {"id": client.new_id("item"), **realtime.output_item(str(arguments.message.get("call_id")), _RESULT)}
    return realtime.create_item(item)


async def send_result(client: Client, arguments: ReceivedEvent) -> tuple[ReceivedEvent, ReceivedEvent]:
    """Send the result of a call and return (sent event, answer)."""
    sent = await client.send(result_of(client, arguments))
    return sent, await client.answer(sent, named(realtime.ITEM_DONE, item=sent.item_id))


def passed_ms(earlier: ReceivedEvent, later: ReceivedEvent) -> str:
    """Return the time between two messages as text in ms."""
    return f"{ms(later.at_ns - earlier.at_ns):.1f} ms"


def status_of(done: ReceivedEvent) -> str:
    return str(realtime.response_of(done.message).get("status"))


def while_active(client: Client, created: ReceivedEvent, event: ReceivedEvent) -> bool:
    """Return whether the API sent `event` before the response's `response.done`."""
    done = client.find(named(realtime.RESPONSE_DONE, response=created.response_id))
    return done is None or event.seq < done.seq


def late(client: Client, created: ReceivedEvent, event: ReceivedEvent) -> FactAnswer:
    """Return ``unknown`` for an event after the end of a response, because the request may have reached a free slot."""
    done = client.find(named(realtime.RESPONSE_DONE, response=created.response_id))
    trace = (created, event) if done is None else (created, done, event)
    return unknown(f"response.done was on its way before: {event.kind} came only behind it, which tells nothing", *trace)


def repeated(trial: _Trial[_Given]) -> _Trial[_Given]:
    """Return an experiment that runs a trial up to three times on a text session.

    Each trial must win a race against the network.
    """

    @wraps(trial)
    async def experiment(client: Client, /, *args: _Given.args, **kwargs: _Given.kwargs) -> FactAnswer:
        await set_up(client)
        for _ in range(_TRIES):
            answer = await trial(client, *args, **kwargs)
            if answer.state != "unknown":
                return answer
        return unknown(f"{answer.seen} ({_TRIES} tries)", *answer.trace)

    return experiment


async def still_answers(client: Client) -> bool:
    """Return whether the session still confirms a user item."""
    try:
        await say(client, SHORT)
    except ReplyTimeoutError:
        return False
    return True
