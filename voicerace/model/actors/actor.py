"""The interface of an actor. An actor does no I/O, reads no clock and draws no random numbers.

An engine calls `start`, `message`, `closed` and `timer`, and carries out the effects that they return, in order. A timer
has a name and lasts a named duration; the engine gives the duration a value. So the same actor runs in virtual time, on
sockets, and in an exploration, where a duration is an interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, TypeAlias

from voicerace.trace.recording import Payload
from voicerace.values import value

__all__ = ["ABNORMAL", "RANK", "RENEWED", "Actor", "Cancel", "Close", "Effect", "Effects", "Open", "Send", "SetTimer"]

#: Order of the actors within one causal round and at the start: nearest to the API first.
RANK: Final[Mapping[str, int]] = {"upstream": 0, "proxy": 1, "component": 2, "app": 3, "user": 4}
#: The actors that are renewed, in this order, when the host connects again.
RENEWED: Final = ("upstream", "proxy")
#: Code of a connection that ended without a close frame (RFC 6455, 7.4.1). A `Close` with it drops the connection.
ABNORMAL: Final = 1006


@value
class Send:
    """Send a message to a neighbour."""

    to: str
    payload: Payload


@value
class Close:
    """Close the connection to a neighbour.

    `code` None: without a status code (WebSocket 1005 at the other end). `ABNORMAL`: without a close frame.
    """

    to: str
    code: int | None = None


@value
class Open:
    """Open the closed connection to a neighbour again.

    The engine renews the actors of `RENEWED`, because each host connection has its own upstream connection. Messages in
    flight on the old connections are lost.
    """

    to: str


@value
class SetTimer:
    """Call `timer(name)` after value number `index` of the duration `after`. Replaces a timer of the same name."""

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
    """A participant of a session.

    The models (`stateful.StatefulActor`) keep everything that changes in a dataclass `state`; `with_state` returns the same
    actor with another state. An adapter of a running program is an actor too and has no `state`.
    """

    def start(self) -> Effects:
        """The connections are open."""

    def message(self, sender: str, payload: Payload) -> Effects:
        """A message from a neighbour arrived."""

    def closed(self, sender: str, code: int | None) -> Effects:
        """A neighbour closed its connection; `code` is None if it gave none or was never reached."""

    def timer(self, name: str) -> Effects:
        """A timer has expired."""

    def renew(self) -> Actor:
        """Return the actor for the next host connection. The engine drops the old actor's timers and calls `start`."""
