"""Of what kind the fields of a client's event are, as far as the mock upstream reads them (`openai.types.realtime`, 3.54).

The API refuses a field of another kind with an error and goes on; so a mock that read on would be kinder than it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from voicerace.wire import input_audio, realtime

__all__ = ["misplaced"]

#: A kind of JSON value, and what the error calls it.
_KINDS: Final[Mapping[str, tuple[Any, str]]] = {
    "object": (Mapping, "an object"),
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


def misplaced(event: Mapping[str, Any]) -> str | None:
    """The first field of another kind than it must be, as the API's error would say it; None where all are right.

    A field that is missing or null is right here: what must be there is its reader's business.
    """
    kind = event.get("type")
    for path, expected in (*_CLIENT, *(_FIELDS.get(kind, ()) if isinstance(kind, str) else ())):
        value: Any = event
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is None:
            continue
        wanted, called = _KINDS[expected]
        if not isinstance(value, wanted):
            return f"Invalid type for '{path}': expected {called}, but got another kind of value instead."
        if path in _OF_OBJECTS and not all(isinstance(each, Mapping) for each in value):
            return f"Invalid type for '{path}': expected an array of objects."
    return None
