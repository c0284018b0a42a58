"""The plan of a response of the mock upstream: a list of stages, each after a named duration.

A stream of deltas is represented by its first and last delta, because no release reacts to the others. A response can be cut
off between any two stages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

from voicerace.values import value

__all__ = ["OutputPlan", "ResponsePlan", "Stage", "Status", "call_of", "stages"]

Status: TypeAlias = Literal["completed", "failed", "incomplete"]


@value
class OutputPlan:
    """One item of a response.

    Attributes:
        kind: a message with a text, or a function call.
        text: the message's text, or the call's arguments as JSON text.
        name: the function's name.
        preamble: the message comes before calls and is no reply.
    """

    kind: Literal["message", "call"]
    text: str
    name: str = ""
    preamble: bool = False


@value
class ResponsePlan:
    """The items of one response, and its status at the end."""

    outputs: tuple[OutputPlan, ...]
    status: Status = "completed"


class Stage(NamedTuple):
    """One step of a response.

    Attributes:
        what: ``created`` announces the response, ``open`` adds an item with its first delta, ``finish`` ends its
            content, ``items_done`` confirms the call items, ``done`` confirms the other items and ends the response.
        after: name of the duration since the previous stage.
        number: index of the value of that duration.
        output: index of the output, for ``open`` and ``finish``.
        alongside: the duration begins together with that of the previous stage.
    """

    what: Literal["created", "open", "finish", "items_done", "done"]
    after: str
    number: int
    output: int = -1
    alongside: bool = False


@lru_cache(maxsize=1024)
def stages(plan: ResponsePlan, number: int, first_call: int, *, item_done_early: bool) -> Sequence[Stage]:
    """Return the stages of a response. A failed one ends after `response.created`, an incomplete one in its first item.

    Args:
        number: index of the response in its session.
        first_call: index in the session of the response's first call.
        item_done_early: call items are confirmed inside the gap, not at its end.
    """
    found = [Stage("created", "create_ms", number)]
    if plan.status == "failed":
        return (*found, Stage("done", "first_item_ms", number))
    call = first_call
    for position, output in enumerate(plan.outputs):
        between = ("first_item_ms", number) if position == 0 else ("call_gap_ms", call)
        found.append(Stage("open", *between, position))
        if plan.status == "incomplete":
            break
        if output.kind == "call":
            found.append(Stage("finish", "arguments_ms", call, position))
            call += 1
        else:
            found.append(Stage("finish", "preamble_ms" if output.preamble else "reply_ms", number, position))
    if call > first_call:
        if item_done_early:
            found.append(Stage("items_done", "item_done_ms", number))
        return (*found, Stage("done", "gap_ms", number, alongside=item_done_early))
    return (*found, Stage("done", "reply_gap_ms", number))


_WEATHER = "get_weather"
_VALUES = {"string": "Lisbon", "number": 1, "integer": 1, "boolean": True, "array": [], "object": {}, "null": None}


def call_of(tools: Sequence[Mapping[str, Any]], city: str) -> OutputPlan:
    """Return a call of one of a session's tools: `get_weather` for a city, else the first function.

    Another function gets the arguments that its schema requires, each with the first value that fits.
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
    return OutputPlan("call", json.dumps(arguments), names[0])


@cache
def _weather_in(city: str) -> OutputPlan:
    return OutputPlan("call", json.dumps({"city": city}), _WEATHER)


def _fitting(schema: object) -> Any:
    """Return a value that fits the enum or the type of a property's schema."""
    if not isinstance(schema, Mapping):
        return _VALUES["string"]
    enum = schema.get("enum")
    if isinstance(enum, list) and enum:
        return enum[0]
    return _VALUES.get(str(schema.get("type")), _VALUES["string"])
