"""One message, closing, opening or fault on a link, with its times: the line of a recording.

Times are integer nanoseconds on the recording's own clock. An event keeps the time it was sent and the time it was
received; either may be missing, because a relay or a log sees one place only.
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
    "APP_TO_COMPONENT",
    "COMPONENT_TO_APP",
    "COMPONENT_TO_PROXY",
    "HOST_LINKS",
    "LINKS",
    "PROXY_TO_COMPONENT",
    "PROXY_TO_UPSTREAM",
    "UPSTREAM_LINKS",
    "UPSTREAM_TO_PROXY",
    "USER_TO_APP",
    "WIRES",
    "Event",
    "Link",
    "Payload",
    "dump",
    "link",
]

#: JSON messages are mappings, audio frames are bytes, text that is no JSON object stays text.
Payload = Mapping[str, Any] | bytes | str | None


class Link(NamedTuple):
    """One direction between two neighbours."""

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

#: The two directions of the host connection, and of the upstream connection.
HOST_LINKS: Final = (COMPONENT_TO_PROXY, PROXY_TO_COMPONENT)
UPSTREAM_LINKS: Final = (PROXY_TO_UPSTREAM, UPSTREAM_TO_PROXY)
#: The links on which messages take time: those of the proxy. Calls inside the host (user, app, component) are instant.
WIRES: Final = (*HOST_LINKS, *UPSTREAM_LINKS)
#: Every link of a session.
LINKS: Final[tuple[Link, ...]] = (USER_TO_APP, APP_TO_COMPONENT, COMPONENT_TO_APP, *WIRES)
_ACTORS = tuple(dict.fromkeys(end for each in LINKS for end in each))
_LINK_OF_NAME = {str(each): each for each in LINKS}


def link(name: object) -> Link:
    """The link called ``sender>receiver``, or with these two ends.

    Raises:
        InputError: there is no such link.
    """
    found = _LINK_OF_NAME.get(name) if isinstance(name, str) else None
    if found is None and isinstance(name, tuple):
        found = next((each for each in LINKS if each == name), None)
    if found is None:
        raise InputError("link", f"{name!r:.60} is unknown", f"allowed are {', '.join(_LINK_OF_NAME)}")
    return found


@value
class Event:
    """One message, the closing of a connection, or a fault, on one link.

    Attributes:
        seq: position in the recording; events of one link stand in the order they were sent.
        link: who sent it to whom.
        kind: ``message``; ``close`` by one of the ends; ``open``: after that, again; ``fault``: not opened, dropped, silence.
        sent_ns: when it left the sender, or None when nobody saw that.
        received_ns: when it reached the receiver, or None when nobody saw that or it never did.
        payload: the message; for a close ``{"code": int | None}``; for a fault ``{"reason": str}``.
        observed_at: where the times were read: ``engine`` (both ends), ``socket`` (our end of a connection with a
            running program; an emulated network delay lies between the two times), ``relay`` (when it came there and
            when it went on), ``log``, ...
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
        """The message's type, ``(binary)`` for an audio frame, ``(text)`` for text that is no JSON object."""
        if self.kind != "message":
            return f"({self.kind})"
        if isinstance(self.payload, (dict, Mapping)):
            return str(self.payload.get("type", "(no type)"))
        return "(binary)" if isinstance(self.payload, bytes) else "(text)"

    @property
    def arrived(self) -> bool:
        """False when the far end was watched and nothing came: the connection was closed before."""
        return self.received_ns is not None or self.observed_at not in ("engine", "socket", "relay")

    def at_ns(self, actor: str) -> int | None:
        """When the event was at `actor`, the nearest known time when that one is missing; None without any.

        Raises:
            InputError: there is no such actor.
        """
        one_of("actor", actor, _ACTORS)
        times = (self.sent_ns, self.received_ns) if self.link.sender == actor else (self.received_ns, self.sent_ns)
        return times[0] if times[0] is not None else times[1]

    def __reduce__(self) -> tuple[Any, ...]:
        """Events are pickled by the hundred thousand: without the dataclass's own, slower way."""
        return Event, (
            self.seq, self.link, self.kind, self.sent_ns, self.received_ns, self.payload, self.observed_at,
        )  # fmt: skip

    def line(self) -> str:
        """The event as one line of JSONL, without its end."""
        return dump(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The event as one JSON object, keys in a fixed order."""
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
        """The event of one parsed line.

        Args:
            record: the JSON object of the line.

        Raises:
            InputError: a field is missing or of the wrong type.
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
            if not isinstance(seq, int) or isinstance(seq, bool):  # a JSON number may be an infinity
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


# ASCII only: a lone surrogate in somebody's text must not make a file that cannot be written or read.
dump = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
