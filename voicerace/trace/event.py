"""Links between neighbouring actors, and events on the links. Each event is one line of a recording.

Times are integer nanoseconds on the recording's clock. An event has a sending time and a receiving time. Either time can be
missing, because a relay or a log observes a message at only one place.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from voicerace.errors import InputError, one_of
from voicerace.values import value

__all__ = [
    "APP_TO_COMPONENT", "COMPONENT_TO_APP", "COMPONENT_TO_FORWARDER", "COMPONENT_TO_PROXY", "DIRECT_LINKS",
    "FORWARDER_LINKS", "FORWARDER_TO_COMPONENT", "HOST_LINKS", "LINKS", "PROXY_TO_COMPONENT", "PROXY_TO_UPSTREAM",
    "UPSTREAM_LINKS", "UPSTREAM_TO_PROXY", "USER_TO_APP", "WIRES", "Event", "Link", "Payload", "dump", "link",
]  # fmt: skip

#: Payload of an event: a mapping for a JSON object, bytes for an audio frame, a string for other text, or None.
Payload = Mapping[str, Any] | bytes | str | None


class Link(NamedTuple):
    """One direction of the connection between two neighbours."""

    sender: str
    receiver: str

    def __str__(self) -> str:
        return f"{self.sender}>{self.receiver}"


USER_TO_APP: Final = Link("user", "app")
APP_TO_COMPONENT: Final = Link("app", "component")
COMPONENT_TO_APP: Final = Link("component", "app")
COMPONENT_TO_PROXY: Final = Link("component", "proxy")
PROXY_TO_COMPONENT: Final = Link("proxy", "component")
PROXY_TO_UPSTREAM: Final = Link("proxy", "upstream")
UPSTREAM_TO_PROXY: Final = Link("upstream", "proxy")
COMPONENT_TO_FORWARDER: Final = Link("component", "forwarder")
FORWARDER_TO_COMPONENT: Final = Link("forwarder", "component")

#: Both directions of the host connection. `UPSTREAM_LINKS` are both directions of the upstream connection.
HOST_LINKS: Final = (COMPONENT_TO_PROXY, PROXY_TO_COMPONENT)
UPSTREAM_LINKS: Final = (PROXY_TO_UPSTREAM, UPSTREAM_TO_PROXY)
#: Links of the proxy. Messages on these links are delayed. Calls inside the host (user, app, component) are not delayed.
WIRES: Final = (*HOST_LINKS, *UPSTREAM_LINKS)
#: Links of a session without a proxy.
DIRECT_LINKS: Final = (*UPSTREAM_LINKS, USER_TO_APP)
#: Both directions between component and forwarder, in a session that has one. `HOST_LINKS` are then the forwarder's connection
#: to the proxy, whose host end is the forwarder.
FORWARDER_LINKS: Final = (COMPONENT_TO_FORWARDER, FORWARDER_TO_COMPONENT)
#: Every link of a session without a forwarder.
LINKS: Final[tuple[Link, ...]] = (USER_TO_APP, APP_TO_COMPONENT, COMPONENT_TO_APP, *WIRES)
_ACTORS = tuple(dict.fromkeys(end for each in LINKS for end in each))
_LINK_OF_NAME = {str(each): each for each in (*LINKS, *FORWARDER_LINKS)}


def link(name: object) -> Link:
    """Return the link with a name (``sender>receiver``) or a pair of sender and receiver.

    Raises:
        InputError: no link has this name.
    """
    found = _LINK_OF_NAME.get(name) if isinstance(name, str) else None
    if found is None and isinstance(name, tuple):
        found = next((each for each in _LINK_OF_NAME.values() if each == name), None)
    if found is None:
        raise InputError("link", f"{name!r:.60} is unknown", f"allowed are {', '.join(_LINK_OF_NAME)}")
    return found


@value
class Event:
    """A message, the opening or closing of a connection, or a fault, on one link.

    Attributes:
        seq: position in the recording. The events of a link are in the order in which they were sent.
        link: sender and receiver.
        kind: ``message``, ``close`` (one end closed the connection), ``open`` (the connection was opened again) or ``fault``
            (the connection was not opened, was lost, or was silent).
        sent_ns: time at the sender, or None if it was not observed.
        received_ns: time at the receiver, or None if it was not observed or the event did not arrive.
        payload: the message, ``{"code": int | None}`` for a close, or ``{"reason": str}`` for a fault.
        observed_at: where the times were measured: ``engine`` (at both ends), ``socket`` (at voicerace's end of a connection
            to a running program, where the times differ by the emulated network delay), ``relay``, ``log``, ...
    """

    seq: int
    link: Link
    kind: Literal["message", "close", "open", "fault"]
    sent_ns: int | None
    received_ns: int | None
    payload: Payload
    observed_at: str = "engine"

    @property
    def type(self) -> str:
        """Type of the message. ``(binary)`` for an audio frame, ``(text)`` for text that is not a JSON object."""
        if self.kind != "message":
            return f"({self.kind})"
        if isinstance(self.payload, (dict, Mapping)):
            return str(self.payload.get("type", "(no type)"))
        return "(binary)" if isinstance(self.payload, bytes) else "(text)"

    @property
    def arrived(self) -> bool:
        """Whether the event arrived. True if its receiver was not observed. False for an event on a closed connection."""
        return self.received_ns is not None or self.observed_at not in ("engine", "socket", "relay")

    def at_ns(self, actor: str) -> int | None:
        """Return the time of the event at `actor` in ns, else the time at the other end of the link, else None.

        Raises:
            InputError: no actor has this name.
        """
        one_of("actor", actor, _ACTORS)
        times = (self.sent_ns, self.received_ns) if self.link.sender == actor else (self.received_ns, self.sent_ns)
        return times[0] if times[0] is not None else times[1]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the fields. A sweep pickles many events, and the default is slower."""
        return Event, (self.seq, self.link, self.kind, self.sent_ns, self.received_ns, self.payload, self.observed_at)

    def line(self) -> str:
        """Return the event as one line of JSONL, without the line end."""
        return dump(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return the event as a JSON object with its keys in a fixed order."""
        record: dict[str, Any] = {
            "seq": self.seq,
            "link": str(self.link),
            "kind": self.kind,
            "sent_ns": self.sent_ns,
            "received_ns": self.received_ns,
            "observed_at": self.observed_at,
        }
        if isinstance(self.payload, bytes):
            record["binary"] = base64.b64encode(self.payload).decode("ascii")
        elif isinstance(self.payload, str):
            record["text"] = self.payload
        else:
            record["json"] = self.payload
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Event:
        """Return the event in `record`, the JSON object of a line.

        Raises:
            InputError: a field is missing or has a wrong type.
        """
        try:
            kind = record["kind"]
            one_of("kind", kind, ("message", "close", "open", "fault"))
            if "binary" in record:
                payload: Payload = base64.b64decode(record["binary"], validate=True)
            elif "text" in record:
                payload = str(record["text"])
            else:
                payload = record["json"]
            times = (record["sent_ns"], record["received_ns"])
            if any(time is not None and (not isinstance(time, int) or isinstance(time, bool)) for time in times):
                raise InputError("sent_ns, received_ns", f"{times} are no integers", "nanoseconds or null")
            seq = record["seq"]
            if not isinstance(seq, int) or isinstance(seq, bool):  # Python's JSON parser also accepts Infinity.
                raise InputError("seq", f"{seq!r:.40} is no integer", "the event's number in its recording, from 0")
            if payload is not None and not isinstance(payload, (dict, bytes, str)):
                raise InputError("json", f"a {type(payload).__name__}", "an object or null")
            return cls(
                seq=seq,
                link=link(record["link"]),
                kind=kind,
                sent_ns=times[0],
                received_ns=times[1],
                payload=payload,
                observed_at=str(record["observed_at"]),
            )
        except KeyError as missing:
            raise InputError("event", f"{missing} is missing") from None
        except (TypeError, ValueError, binascii.Error) as error:
            if isinstance(error, InputError):
                raise
            raise InputError("event", str(error)) from None


# The output is ASCII, because UTF-8 cannot encode a lone surrogate in a message.
dump = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
