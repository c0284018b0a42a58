"""What the mock upstream's model produces: one response as a fixed list of stages, each after a named duration.

A stream of deltas is represented by its first and its last: what lies between changes nothing in any release's gate.
Stages hold no time, so that a response can be cut off between any two of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

from voicerace.values import value

__all__ = ["Output", "Plan", "Stage", "Status", "call_of", "stages"]

Status: TypeAlias = Literal["completed", "failed", "incomplete"]


@value
class Output:
    """One item of a response.

    Attributes:
        kind: a message with a text, or a function call.
        text: the message's text, or the call's arguments as JSON text.
        name: the function's name.
        preamble: the message is spoken before calls and is no reply.
    """

    kind: Literal["message", "call"]
    text: str
    name: str = ""
    preamble: bool = False


@value
class Plan:
    """What one response will hold, and how it ends."""

    outputs: tuple[Output, ...]
    status: Status = "completed"


class Stage(NamedTuple):
    """After the duration `after` do `what` to the output at position `output`.

    Attributes:
        what: ``created`` announces the response, ``open`` adds an item with its first delta, ``finish`` ends its
            content, ``items_done`` confirms the call items, ``done`` confirms what is left and ends the response.
        after: the named duration since the stage before.
        number: which value of that name.
        output: which output, for ``open`` and ``finish``.
        alongside: the duration runs from the same moment as that of the stage before.
    """

    what: Literal["created", "open", "finish", "items_done", "done"]
    after: str
    number: int
    output: int = -1
    alongside: bool = False


@lru_cache(maxsize=1024)
def stages(plan: Plan, number: int, first_call: int, *, item_done_early: bool) -> Sequence[Stage]:
    """The stages of response `number` (from 0) of the session, whose first call is call `first_call` of the session.

    A failed response ends after `response.created`; an incomplete one is cut off inside its first item.
    """
    line = [Stage("created", "create_ms", number)]
    if plan.status == "failed":
        return (*line, Stage("done", "first_item_ms", number))
    call = first_call
    for position, output in enumerate(plan.outputs):
        between = ("first_item_ms", number) if position == 0 else ("call_gap_ms", call)
        line.append(Stage("open", *between, position))
        if plan.status == "incomplete":
            break
        if output.kind == "call":
            line.append(Stage("finish", "arguments_ms", call, position))
            call += 1
        else:
            line.append(Stage("finish", "preamble_ms" if output.preamble else "reply_ms", number, position))
    if call > first_call:
        if item_done_early:
            line.append(Stage("items_done", "item_done_ms", number))
        return (*line, Stage("done", "gap_ms", number, alongside=item_done_early))
    return (*line, Stage("done", "reply_gap_ms", number))


_WEATHER = "get_weather"
_FILLED = {"string": "Lisbon", "number": 1, "integer": 1, "boolean": True, "array": [], "object": {}, "null": None}


def call_of(tools: Sequence[Mapping[str, Any]], city: str) -> Output:
    """A call of one of a session's tools: the weather in `city` where there is such a tool, else the first function.

    The arguments of a tool that is somebody else's are what its schema requires, filled with the first thing that fits.
    """
    functions = [tool for tool in tools if isinstance(tool, Mapping) and tool.get("type") == "function"]
    names = [str(tool.get("name")) for tool in functions]
    if not functions or _WEATHER in names:
        return _weather_in(city)
    schema = functions[0].get("parameters")
    known = schema if isinstance(schema, Mapping) else {}
    properties = known.get("properties") if isinstance(known.get("properties"), Mapping) else {}
    required = known.get("required") if isinstance(known.get("required"), list) else []
    arguments = {str(name): _fitting((properties or {}).get(name)) for name in required or ()}
    return Output("call", json.dumps(arguments), names[0])


@cache
def _weather_in(city: str) -> Output:
    return Output("call", json.dumps({"city": city}), _WEATHER)


def _fitting(schema: object) -> Any:
    """Something that fits a property's schema, as far as its enum or its type says."""
    if not isinstance(schema, Mapping):
        return _FILLED["string"]
    enum = schema.get("enum")
    if isinstance(enum, list) and enum:
        return enum[0]
    return _FILLED.get(str(schema.get("type")), _FILLED["string"])
