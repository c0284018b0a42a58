"""Condense a recorded session of the Realtime API to its protocol content, without texts, audio and instructions.

The condensed session keeps every key of every message, types, states, roles, error codes and messages, numbers and booleans. A
text that is not a term of the protocol becomes ``…``, but an empty text stays empty. Arguments and the schema of a tool
become ``{}``.

An id becomes a short name: ``r1``, ``i1``, ``call1``, ``e12`` (an event in row 12), ``s1``, ``c1`` (made by a client). Equal
ids get equal names. An id of the form that `voicerace.captures.id_clock` reads keeps its prefix and its five characters:
``resp_Dz2pi_r1``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from voicerace.trace.recording import Event, Recording

__all__ = ["condensed"]

_TEXT: Final = "…"
#: Keys whose values are terms of the protocol.
_WORDS: Final = frozenset(
    {
        "type", "object", "status", "role", "model", "code", "reason", "param", "phase", "tool_choice", "truncation",
        "max_output_tokens", "max_response_output_tokens", "modalities", "output_modalities", "input_audio_format",
        "output_audio_format", "include", "eagerness", "conversation",
    }
)  # fmt: skip
_WORD: Final = re.compile(r"[\w.:/\[\]-]{1,60}")
#: Keys of objects whose content an application defines.
_SCHEMAS: Final = ("parameters",)
_CLOCKED: Final = re.compile(r"((?:event|resp|item|sess|conv)_)([0-9A-Za-z]{5})[0-9A-Za-z]{15,18}")
_ID: Final = re.compile(r"(?:^|_)id$")
#: Pattern of an id within a text of the API.
_NAMED: Final = re.compile(r"\b(?:event|resp|item|sess|call)_[0-9A-Za-z]{8,}")


def condensed(recording: Recording) -> Recording:
    """Return the condensed session. Equal recordings give equal sessions."""
    names = _Names(recording)
    events = tuple(_event(event, names) for event in recording.events)
    return replace(recording, events=events)


def _event(event: Event, names: _Names) -> Event:
    if not isinstance(event.payload, Mapping) or event.kind != "message":
        return event
    names.row = event.seq + 1
    return replace(event, payload=_object(event.payload, names))


class _Names:
    """Assigns short names to the ids of one session."""

    def __init__(self, recording: Recording) -> None:
        self.row = 0
        self._names: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._sent = {
            each
            for event in recording.events
            if event.link.receiver == "upstream" and isinstance(event.payload, Mapping)
            for each in (event.payload.get("event_id"), _get(event.payload.get("item"), "id"))
        }

    def name(self, identifier: str, kind: str) -> str:
        """Return the name of an id. `kind` is the prefix of a new name, unless a client made the id."""
        if identifier not in self._names:
            kind = "c" if identifier in self._sent else kind
            self._counts[kind] = self._counts.get(kind, 0) + 1
            short = f"{kind}{self.row if kind == 'e' else self._counts[kind]}"
            clocked = _CLOCKED.fullmatch(identifier) if kind not in ("c", "call") else None
            self._names[identifier] = short if clocked is None else f"{clocked[1]}{clocked[2]}_{short}"
        return self._names[identifier]

    def known(self, found: re.Match[str]) -> str:
        return self.name(found[0], {"event": "e", "resp": "r", "item": "i", "sess": "s"}.get(found[0].split("_")[0], "call"))


def _object(value: Mapping[str, Any], names: _Names, inside: str = "") -> dict[str, Any]:
    return {key: _value(each, key, names, inside) for key, each in value.items()}


def _value(value: Any, key: str, names: _Names, inside: str) -> Any:
    if isinstance(value, Mapping):
        if key in _SCHEMAS:
            return {}
        # The keys of an application's metadata stay, and its texts are removed.
        return _object(value, names, "metadata" if "metadata" in (key, inside) else key)
    if isinstance(value, list):
        return [_value(each, key, names, inside) for each in value]
    if not isinstance(value, str) or not value:
        return value
    if inside == "metadata":
        return _TEXT
    if _ID.search(key) or key == "rid":
        return names.name(value, _kind(key, inside))
    if key == "arguments":
        return "{}"
    if inside == "error" and key == "message":
        return _NAMED.sub(names.known, value)
    return value if key in _WORDS and _WORD.fullmatch(value) else _TEXT


def _kind(key: str, inside: str) -> str:
    """Return the prefix of an id's name, from the field that contains the id and the object that contains the field."""
    if key == "id":
        return {"response": "r", "session": "s", "item": "i", "output": "i", "conversation": "v"}.get(inside, "x")
    return {"event_id": "e", "response_id": "r", "item_id": "i", "previous_item_id": "i", "call_id": "call"}.get(
        key, "v" if key == "conversation_id" else "x"
    )


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None
