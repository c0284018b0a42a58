"""Plans a response of the mock upstream as a list of stages. A named duration precedes each stage.

The mock sends only the first and the last delta of a stream, because no release reacts to the other deltas. A response can
be cut off between any two stages.
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
        kind: whether the item is a message or a function call.
        text: text of the message, or arguments of the call as JSON text.
        name: name of the called function, or empty for a message.
        preamble: whether the item is a message before calls. Such a message is not a reply.
    """

    kind: Literal["message", "call"]
    text: str
    name: str = ""
    preamble: bool = False


@value
class ResponsePlan:
    """The items and the final status of one response."""

    outputs: tuple[OutputPlan, ...]
    status: Status = "completed"


class Stage(NamedTuple):
    """One step of a response.

    Attributes:
        what: the action. ``created`` announces the response, ``open`` adds an item with its first delta, ``finish`` sends
            the item's last delta, ``items_done`` confirms the call items, ``done`` ends the response and its items.
        after: name of the duration before the stage.
        number: index of the duration's value, from 0.
        output: index of the output for ``open`` and ``finish``, else -1.
        alongside: whether the duration starts together with the previous stage's duration instead of after that stage.
    """

    what: Literal["created", "open", "finish", "items_done", "done"]
    after: str
    number: int
    output: int = -1
    alongside: bool = False


@lru_cache(maxsize=1024)
def stages(plan: ResponsePlan, number: int, first_call: int, *, item_done_early: bool) -> Sequence[Stage]:
    """Return the stages of a response in order.

    A failed response ends after `response.created`. An incomplete response ends during its first item.

    Args:
        plan: items and final status of the response.
        number: index of the response in its session.
        first_call: index in its session of the response's first call.
        item_done_early: whether call items are confirmed inside the gap instead of at its end.
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
    """Return a call of `get_weather` if `tools` contains this tool or no functions, else a call of the first function.

    `get_weather` gets the argument `city`. Another function gets the arguments that its schema requires, each with a value
    that fits its own schema.
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
    """Return a value that fits a property's JSON schema: the first value of its enum, else a fixed value of its type."""
    if not isinstance(schema, Mapping):
        return _VALUES["string"]
    enum = schema.get("enum")
    if isinstance(enum, list) and enum:
        return enum[0]
    return _VALUES.get(str(schema.get("type")), _VALUES["string"])
