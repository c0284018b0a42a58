"""Of what kind the fields of a client's event are, as far as the mock upstream reads them (`openai.types.realtime`, 3.54).

The API refuses a field of another kind with an error and goes on; so a mock that read on would be kinder than it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from voicerace.model.protocol import input_audio, realtime

__all__ = ["misplaced"]

#: Of an object, dict is asked first: the abstract class takes ten times as long.
_OBJECT: Final = (dict, Mapping)
#: A kind of JSON value, and what the error calls it.
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
        ("item", "object"), ("item.id", "text"), ("item.type", "text"), ("item.role", "text"), ("item.call_id", "text"),
        ("item.output", "text"), ("item.content", "list"),
    ),
    realtime.RESPONSE_CREATE: (("response", "object"), ("response.conversation", "text")),
    realtime.RESPONSE_CANCEL: (("response_id", "text"),),
    input_audio.APPEND: (("audio", "text"),),
}  # fmt: skip
#: Of what the members of a list are objects.
_OF_OBJECTS: Final = frozenset({"session.tools", "item.content"})


class _Check(NamedTuple):
    """A field of an object: its name and its path, what it must be, what the error calls that, whether it holds objects."""

    name: str
    path: str
    wanted: Any
    called: str
    of_objects: bool


#: The fields of objects, by the way to each object; one that stands deeper comes behind the one that it stands in.
_Checks: TypeAlias = list[tuple[tuple[str, ...], list[_Check]]]


def _checks(fields: Iterable[tuple[str, str]]) -> _Checks:
    found: _Checks = []
    for path, kind in fields:
        *way, name = path.split(".")
        if not found or found[-1][0] != tuple(way):
            found.append((tuple(way), []))
        found[-1][1].append(_Check(name, path, *_KINDS[kind], path in _OF_OBJECTS))
    return found


_CHECKS: Final = {kind: _checks((*_CLIENT, *fields)) for kind, fields in _FIELDS.items()}
_OF_ANY: Final = _checks(_CLIENT)


def misplaced(event: Mapping[str, Any]) -> str | None:
    """The first field of another kind than it must be, as the API's error would say it; None where all are right.

    A field that is missing or null is right here: what must be there is its reader's business.
    """
    kind = event.get("type")
    for way, checks in _CHECKS.get(kind, _OF_ANY) if isinstance(kind, str) else _OF_ANY:
        holder: Any = event
        for name in way:
            # What is there is an object: it was looked at before what is in it.
            holder = holder.get(name)
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
