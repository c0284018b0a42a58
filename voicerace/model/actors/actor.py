"""The interface of an actor: inputs in, effects out. No I/O, no clock, no randomness.

An engine calls `start`, `message`, `closed` and `timer` and carries out the effects that they return, in order. A timer
has a name (setting it again replaces it) and lasts a *named* duration. The engine gives the name a value, so the same
actor runs in virtual time, on real sockets, and in an exploration, where a duration is an interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, TypeAlias

from voicerace.trace.recording import Payload
from voicerace.values import value

__all__ = ["ABNORMAL", "RANK", "RENEWED", "Actor", "Cancel", "Close", "Effect", "Effects", "Open", "Send", "SetTimer"]


#: The order of the actors within one causal round, and the order in which they start: nearest to the API first.
RANK: Final[Mapping[str, int]] = {"upstream": 0, "proxy": 1, "component": 2, "app": 3, "user": 4}
#: The actors that begin anew when the host connects again, in the order in which they do.
RENEWED: Final = ("upstream", "proxy")
#: The code of a connection that ended without a close frame (RFC 6455, 7.4.1). It is never sent: an engine drops the
#: connection when it carries out a `Close` with it.
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
    """Open the connection to a neighbour again, after it was closed.

    One host connection is one session of the proxy, with its own upstream connection. So the actors of `RENEWED` are
    renewed, and messages in flight on the old connections are lost.
    """

    to: str


@value
class SetTimer:
    """Call `timer(name)` after the duration called `after`; `index` tells apart the values of one name."""

    name: str
    after: str
    index: int = 0


@value
class Cancel:
    """Drop a timer; one that is not set is no error."""

    name: str


Effect: TypeAlias = Send | Close | Open | SetTimer | Cancel
Effects: TypeAlias = Sequence[Effect]


class Actor(Protocol):
    """Takes part in a session: an engine calls it and carries out the effects that it returns.

    An actor is its settings and one state. The models (`stateful.StatefulActor`) keep all that changes in a dataclass
    `state`, and `with_state` gives the same actor with another state: an engine that goes back to earlier states (the
    exploration) copies a state and calls the actor with the copy. The state is bound once and not passed as an argument
    of each method, because an adapter of a running program is an actor as well and has no state to pass.
    """

    def start(self) -> Effects:
        """The connections are open."""

    def message(self, sender: str, payload: Payload) -> Effects:
        """A message from a neighbour arrived."""

    def closed(self, sender: str, code: int | None) -> Effects:
        """A neighbour closed its connection; `code` None when it gave none or was never reached."""

    def timer(self, name: str) -> Effects:
        """A timer set earlier ran out."""

    def renew(self) -> Actor:
        """The actor for the next connection of the host.

        After `Open` an engine renews the actors of `RENEWED`, drops their timers, and calls `start` of each.
        """
