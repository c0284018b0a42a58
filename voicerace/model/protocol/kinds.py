"""Checks the JSON types of the fields in client events (`openai.types.realtime`, openai 3.54).

The API answers a field of a wrong type with an error and does not end the session. The mock upstream does the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from voicerace.model.protocol import input_audio, realtime

__all__ = ["misplaced"]

#: Python types of a JSON object. dict is first, because the check for the abstract class takes ten times as long.
_OBJECT: Final = (dict, Mapping)
#: (Python type, name in the error text) by JSON type.
_KINDS: Final[Mapping[str, tuple[Any, str]]] = {
    "object": (_OBJECT, "an object"),
    "list": (list, "an array"),
    "text": (str, "a string"),
}
_CLIENT: Final = (("event_id", "text"),)
_FIELDS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    realtime.SESSION_UPDATE: (
        ("session", "object"), ("session.output_modalities", "list"), ("session.tools", "list"), ("session.audio", "object"),
        ("session.audio.input", "object"), ("session.audio.input.turn_detection", "object"),
        ("session.audio.input.transcription", "object"), ("session.audio.output", "object"),
    ),
    realtime.ITEM_CREATE: (
        ("previous_item_id", "text"), ("item", "object"), ("item.id", "text"), ("item.type", "text"), ("item.role", "text"),
        ("item.call_id", "text"), ("item.output", "text"), ("item.content", "list"),
    ),
    realtime.RESPONSE_CREATE: (("response", "object"), ("response.conversation", "text"), ("response.tools", "list")),
    realtime.RESPONSE_CANCEL: (("response_id", "text"),),
    input_audio.APPEND: (("audio", "text"),),
}  # fmt: skip
#: Dotted names of the fields that are lists of objects.
_OF_OBJECTS: Final = frozenset({"session.tools", "item.content", "response.tools"})


class _Check(NamedTuple):
    """The type check for one field.

    Attributes:
        name: name of the field in its object.
        path: dotted name of the field in the event.
        wanted: Python type of the field.
        called: name of the type in the error text.
        of_objects: whether the field is a list of objects.
    """

    name: str
    path: str
    wanted: Any
    called: str
    of_objects: bool


#: List of (path to an object, checks of its fields). An object follows the object that contains it.
_Checks: TypeAlias = list[tuple[tuple[str, ...], list[_Check]]]


def _checks(fields: Iterable[tuple[str, str]]) -> _Checks:
    found: _Checks = []
    for path, kind in fields:
        *holder, name = path.split(".")
        if not found or found[-1][0] != tuple(holder):
            found.append((tuple(holder), []))
        found[-1][1].append(_Check(name, path, *_KINDS[kind], path in _OF_OBJECTS))
    return found


_CHECKS: Final = {kind: _checks((*_CLIENT, *fields)) for kind, fields in _FIELDS.items()}
_OF_ANY: Final = _checks(_CLIENT)


def misplaced(event: Mapping[str, Any]) -> str | None:
    """Return the API's error text for the first field of a wrong type, or None. Missing and null fields are allowed."""
    kind = event.get("type")
    for path_of_holder, checks in _CHECKS.get(kind, _OF_ANY) if isinstance(kind, str) else _OF_ANY:
        holder: Any = event
        for name in path_of_holder:
            holder = holder.get(name)  # An earlier check has ensured that `holder` is an object.
            if holder is None:
                break
        if holder is None:
            continue
        for name, path, wanted, called, of_objects in checks:
            value = holder.get(name)
            if value is None:
                continue
            if not isinstance(value, wanted):
                return f"Invalid type for '{path}': expected {called}, but got another kind of value instead."
            if of_objects and not all(isinstance(each, _OBJECT) for each in value):
                return f"Invalid type for '{path}': expected an array of objects."
    return None
