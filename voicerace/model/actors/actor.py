"""The actor interface. An actor does not perform I/O, read a clock or draw random numbers.

An engine calls `start`, `message`, `closed` and `timer`, and carries out the returned effects in order. A timer has a name
and a named duration. The engine assigns a value to the duration. Therefore the same actor runs in virtual time, on sockets,
and in an exploration, which treats each duration as an interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, TypeAlias

from voicerace.trace.recording import (
    COMPONENT_TO_FORWARDER,
    COMPONENT_TO_PROXY,
    FORWARDER_TO_COMPONENT,
    PROXY_TO_COMPONENT,
    USER_TO_APP,
    Link,
    Payload,
)
from voicerace.values import value

__all__ = [
    "ABNORMAL",
    "ENDS_AT_CLIENT",
    "ENDS_AT_FORWARDER",
    "RANK",
    "RANK_WITH_FORWARDER",
    "RENEWED",
    "Actor",
    "Cancel",
    "Close",
    "Effect",
    "Effects",
    "Open",
    "Send",
    "SetTimer",
]

#: Rank by actor name. Engines start actors, and call them within one causal round, in ascending rank.
RANK: Final[Mapping[str, int]] = {"upstream": 0, "proxy": 1, "component": 2, "app": 3, "user": 4}
#: The same order in a session with a forwarder.
RANK_WITH_FORWARDER: Final[Mapping[str, int]] = {
    "upstream": 0, "proxy": 1, "forwarder": 2, "component": 3, "app": 4, "user": 5,
}  # fmt: skip
#: The ends of the links at a forwarder: (sender, receiver, the sender's name at the receiver, the receiver's name at the
#: sender). Component and proxy know the forwarder by the name of the actor that it replaces.
ENDS_AT_FORWARDER: Final[Mapping[Link, tuple[str, str, str, str]]] = {
    COMPONENT_TO_FORWARDER: ("component", "forwarder", "component", "proxy"),
    FORWARDER_TO_COMPONENT: ("forwarder", "component", "proxy", "component"),
    COMPONENT_TO_PROXY: ("forwarder", "proxy", "component", "proxy"),
    PROXY_TO_COMPONENT: ("proxy", "forwarder", "proxy", "component"),
}
#: The same for a client without a proxy, which has the proxy's place and gets the user's texts.
ENDS_AT_CLIENT: Final[Mapping[Link, tuple[str, str, str, str]]] = {USER_TO_APP: ("user", "proxy", "user", "app")}
#: Actors that are renewed, in this order, when the host connects again.
RENEWED: Final = ("upstream", "proxy")
#: Close code of a connection that ended without a close frame (RFC 6455, 7.4.1). `Close` with this code drops the connection.
ABNORMAL: Final = 1006


@value
class Send:
    """Send a message to a neighbour."""

    to: str
    payload: Payload


@value
class Close:
    """Close the connection to a neighbour.

    Attributes:
        to: name of the neighbour.
        code: status code of the close frame. If None, the frame has no code, and the neighbour sees 1005. `ABNORMAL` drops
            the connection without a close frame.
    """

    to: str
    code: int | None = None


@value
class Open:
    """Reopen the closed connection to a neighbour.

    The engine renews the actors in `RENEWED`, because each host connection has its own upstream connection. Messages in
    flight on the old connections are lost.
    """

    to: str


@value
class SetTimer:
    """Call `timer(name)` after a duration. A pending timer with the same name is replaced.

    Attributes:
        name: name of the timer.
        after: name of the duration.
        index: which value of the duration to use, from 0, if the duration has several.
    """

    name: str
    after: str
    index: int = 0


@value
class Cancel:
    """Cancel a timer, if it is set."""

    name: str


Effect: TypeAlias = Send | Close | Open | SetTimer | Cancel
Effects: TypeAlias = Sequence[Effect]


class Actor(Protocol):
    """A participant of a session. Each method except `renew` returns effects in order and can change the actor.

    A model (`stateful.StatefulActor`) keeps its mutable state in the dataclass `state`. Its `with_state` returns the same
    actor with another state. An adapter for a running program is also an actor, without `state`.
    """

    def start(self) -> Effects:
        """Handle the start of the session. All connections are open."""

    def message(self, sender: str, payload: Payload) -> Effects:
        """Handle a message from a neighbour."""

    def closed(self, sender: str, code: int | None) -> Effects:
        """Handle a closed connection. `code` is None if the neighbour sent no code or was never reached."""

    def timer(self, name: str) -> Effects:
        """Handle an expired timer."""

    def renew(self) -> Actor:
        """Return the actor for the next host connection. The engine drops the old actor's timers and calls `start`."""
