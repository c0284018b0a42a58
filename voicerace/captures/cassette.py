"""Read a WebSocket cassette in YAML as a `Recording` of the link between a client and the Realtime API.

The recorder of pydantic-ai's tests writes this format. A file has ``version`` and a list of ``interactions``. An interaction
is ``{kind: message, direction: sent | received, data: {...}}`` or ``{kind: close, code, reason, ok}``. Newer files add
``at``, seconds on the recorder's clock. ``sent`` means from the client to the API.

In the recording the client is the actor ``proxy``: a sent message is on the link from ``proxy`` to ``upstream``. Other links
are not observed, since a cassette contains neither an app nor a component.

YAML is read event by event (libyaml). The nesting depth, and the number of values including expanded aliases, are limited.
Scalars become JSON values; dates stay text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Final

import yaml

from voicerace.captures.log_scanner import Unread
from voicerace.errors import InputError
from voicerace.trace.recording import PROXY_TO_UPSTREAM, UPSTREAM_TO_PROXY, Event, Recording

__all__ = ["ALLOWED", "Cassette", "is_cassette", "read_cassette"]

ALLOWED: Final = "a cassette of WebSocket messages: version, interactions with kind, direction and data"
_BEGIN: Final = re.compile(rb"(?:#[^\n]*\n|---[^\n]*\n|\s)*(?:version:[^\n]*\n\s*)?interactions:")
#: Maximum number of values in one interaction, including expanded aliases.
_MOST_VALUES: Final = 100_000
_DEEPEST: Final = 100
#: Maximum of ``at`` in seconds; larger times are ignored.
_LONGEST_S: Final = 1e9
_LIMITATIONS: Final = ("The cassette contains the link between a client and the API only: no app, no component, no proxy.",)
_NO_TIMES: Final = "The cassette has no times: the order of the messages is known, and nothing of how long anything took."


@dataclass(frozen=True)
class Cassette:
    """The content of one cassette.

    Attributes:
        recording: the messages in order, with times if the cassette has any.
        unread: interactions that could not be read.
        lines: first line of each event in the file, indexed by seq.
        limitations: one sentence per kind of information that a cassette does not contain.
    """

    recording: Recording
    unread: tuple[Unread, ...]
    lines: tuple[int, ...]
    limitations: tuple[str, ...]


def is_cassette(head: bytes) -> bool:
    """Return whether a file that starts with the bytes `head` is a cassette."""
    return _BEGIN.match(head.removeprefix(b"\xef\xbb\xbf")) is not None


def read_cassette(stream: IO[bytes], where: str) -> Cassette:
    """Read the session in a cassette.

    Raises:
        InputError: the stream is not YAML, or contains no message of the Realtime API.
    """
    events: list[Event] = []
    lines: list[int] = []
    unread: list[Unread] = []
    others = 0
    try:
        for line, value in _interactions(yaml.parse(stream, Loader=yaml.CSafeLoader), where):
            event = _event(len(events), value)
            if event is None:
                others += isinstance(value, dict) and "request" in value
                unread.append(Unread(line, line, "not a WebSocket message: kind, direction or data is missing or unknown"))
            else:
                events.append(event)
                lines.append(line)
    except yaml.YAMLError as error:
        line, what = _location(error)
        if not events:
            raise InputError(f"{where}:{line}", f"not YAML: {what}", ALLOWED) from None
        unread.append(Unread(line, line, f"not YAML from here on: {what}"))
    if not any(event.kind == "message" and event.type != "(no type)" for event in events):
        kind = "HTTP interactions" if others else "no message with a type"
        raise InputError(where, f"{kind}, no messages of the Realtime API", ALLOWED)
    timed = [event.at_ns("proxy") is not None for event in events]
    notes = [] if all(timed) else [_NO_TIMES] if not any(timed) else ["Some messages of the cassette have no time."]
    recording = Recording(
        tuple(events),
        {"made_by": "cassette", "times": "client" if any(timed) else None},
        "log",
        () if unread else (PROXY_TO_UPSTREAM, UPSTREAM_TO_PROXY),
        any(event.kind == "close" for event in events[-1:]),
        tuple(notes),
    )
    return Cassette(recording, tuple(unread), tuple(lines), _LIMITATIONS)


def _event(seq: int, value: Any) -> Event | None:
    """Return an interaction as an event; None if the interaction is neither a WebSocket message nor a close."""
    if not isinstance(value, dict):
        return None
    at = value.get("at")
    at_ns = None
    if isinstance(at, (int, float)) and not isinstance(at, bool) and abs(at) < _LONGEST_S:
        at_ns = round(at * 1e9)
    kind, data = value.get("kind", "message"), value.get("data")
    if kind == "close":
        code = value.get("code")
        # The recorder does not store which side closed the connection.
        return Event(seq, UPSTREAM_TO_PROXY, "close", None, at_ns, {"code": code if type(code) is int else None}, "cassette")
    if kind != "message" or not isinstance(data, dict):
        return None
    match value.get("direction"):
        case "sent":
            return Event(seq, PROXY_TO_UPSTREAM, "message", at_ns, None, data, "cassette")
        case "received":
            return Event(seq, UPSTREAM_TO_PROXY, "message", None, at_ns, data, "cassette")
    return None


# -- YAML --------------------------------------------------------------------------------------------------------------


_RESOLVER: Final = yaml.resolver.Resolver()
_CONSTRUCTOR: Final = yaml.constructor.SafeConstructor()
#: Tag of a scalar -> its converter. Scalars with other tags (dates, bytes) stay text.
_MADE: Final = {
    "tag:yaml.org,2002:null": _CONSTRUCTOR.construct_yaml_null,
    "tag:yaml.org,2002:bool": _CONSTRUCTOR.construct_yaml_bool,
    "tag:yaml.org,2002:int": _CONSTRUCTOR.construct_yaml_int,
    "tag:yaml.org,2002:float": _CONSTRUCTOR.construct_yaml_float,
}


def _scalar(event: Any) -> Any:
    """Return the value of a scalar as None, a Boolean, a number, or text."""
    tag = event.tag or _RESOLVER.resolve(yaml.ScalarNode, event.value, event.implicit)
    make = _MADE.get(tag)
    if make is None:
        return event.value
    try:
        value = make(yaml.ScalarNode(tag, event.value))
    except (ArithmeticError, LookupError, ValueError):
        return event.value
    # JSON has no infinity. No number of the protocol needs more than 63 bits.
    return value if not isinstance(value, (int, float)) or abs(value) < 1 << 63 else event.value


class _Values:
    """Builds the values of a YAML stream one at a time."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._count = 0

    def next(self, event: Any) -> Any:
        """Build the value that starts with the YAML event `event`."""
        self._count = 0
        return self._value(event, 0)

    def _value(self, event: Any, depth: int) -> Any:
        before = self._count
        self._count += 1
        if self._count > _MOST_VALUES or depth > _DEEPEST:
            what = f"more than {_MOST_VALUES} values" if depth <= _DEEPEST else f"nested more than {_DEEPEST} deep"
            raise yaml.constructor.ConstructorError(problem=f"an interaction with {what}", problem_mark=event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise yaml.constructor.ConstructorError(problem="an unknown alias", problem_mark=event.start_mark)
            value, size = self._anchors[event.anchor]
            self._count += size
            return value
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._items(depth)
        else:
            value = self._fields(depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = value, self._count - before
        return value

    def _items(self, depth: int) -> list[Any]:
        found = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self._value(event, depth + 1))
        return found

    def _fields(self, depth: int) -> dict[str, Any]:
        found = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._value(event, depth + 1) if not isinstance(event, yaml.ScalarEvent) else event.value
            found[key if isinstance(key, str) else str(key)[:80]] = self._value(next(self._events), depth + 1)
        return found


def _interactions(events: Iterator[Any], where: str) -> Iterator[tuple[int, Any]]:
    """Yield (line number, value) of each interaction in a cassette."""
    values = _Values(events)
    for event in events:
        if isinstance(event, yaml.MappingStartEvent):
            break
    else:
        raise InputError(where, "a list or a text, not a cassette", ALLOWED)
    while isinstance(key := next(events), yaml.ScalarEvent):
        event = next(events)
        if key.value != "interactions":
            values.next(event)
            continue
        if not isinstance(event, yaml.SequenceStartEvent):
            raise InputError(f"{where}:{event.start_mark.line + 1}", "interactions is not a list", ALLOWED)
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            yield event.start_mark.line + 1, values.next(event)


def _location(error: yaml.YAMLError) -> tuple[int, str]:
    """Return the line number of a YAML error and a description of at most 120 characters on one line."""
    mark = getattr(error, "problem_mark", None)
    what = str(getattr(error, "problem", None) or getattr(error, "reason", None) or type(error).__name__)
    return (mark.line + 1 if mark is not None else 1), " ".join(what.split())[:120]
