"""What every party is: inputs in, effects out. No I/O, no clock, no randomness.

An engine calls `start`, `message`, `closed` and `timer` and carries out the effects they return, in order. Timers have
a name (setting one again replaces it) and last a *named* duration: what the name means in time is the engine's
business, so the same machine runs in virtual time, on real sockets and under exploration, where it is an interval.
A party's state is a small dataclass that can be copied and compared and holds no time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, TypeAlias, runtime_checkable

from voicerace.trace.recording import Payload
from voicerace.values import value

__all__ = ["ABNORMAL", "RANK", "Actor", "Cancel", "Close", "Effect", "Effects", "Open", "Renewable", "Send", "SetTimer"]


#: The order of the actors within one causal round, and the order in which they start: nearest to the API first.
RANK: Final[Mapping[str, int]] = {"upstream": 0, "proxy": 1, "component": 2, "app": 3, "user": 4}
#: The code of a connection that ended without a close frame (RFC 6455, 7.4.1). It never travels: who carries out a
#: `Close` with it drops the connection.
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

    One host connection is one session of the proxy's, with an upstream connection of its own: everybody behind the link
    begins again (`Renewable`), and what was on its way on the old connections is lost.
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
    """A machine that takes part in a session."""

    def start(self) -> Effects:
        """The connections are open."""

    def message(self, sender: str, payload: Payload) -> Effects:
        """A message from a neighbour arrived."""

    def closed(self, sender: str, code: int | None) -> Effects:
        """A neighbour closed its connection; `code` None when it gave none or was never reached."""

    def timer(self, name: str) -> Effects:
        """A timer set earlier ran out."""


@runtime_checkable
class Renewable(Actor, Protocol):
    """A party that takes part in a connection, and in the next one as another."""

    def again(self) -> Renewable:
        """The party for the next connection."""
