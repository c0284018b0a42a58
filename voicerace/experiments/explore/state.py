"""State of a session without times: the states of the actors, the messages in flight, the running timers, and the history.

Times are stored in a separate zone. A pending message or timer stores its moment: the index of the zone's variable for the time
at which it was sent or set.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from voicerace.experiments.explore.attribution import Attribution, CreateOrigin
from voicerace.experiments.explore.keys import Base, ledger_key
from voicerace.model.protocol.ledger import Ledger
from voicerace.trace.recording import WIRES, Link, Payload

__all__ = ["AtHost", "Choice", "History", "InFlightMessage", "State", "Timer", "Turn"]

#: Next event: the link whose next message arrives, or (actor, name, duration) of the timer that ends.
Choice = Link | tuple[str, str, str]


class InFlightMessage(NamedTuple):
    """Message in flight.

    Attributes:
        payload: the message or, for a close, the close code.
        kind: kind of the message (`keys.kind_of`), or ``(close)``.
        key: part of the message on which its receiver depends.
        moment: moment of sending, or None for an invisible message, which arrives with the next visible message.
        origin: origin of a request, or None for other messages.
        number: position of the message on its link, from 0.
    """

    payload: Payload | int
    kind: str
    key: Hashable
    moment: int | None
    origin: CreateOrigin | None
    number: int


class Timer(NamedTuple):
    """Running timer: its named duration, the moment at which it was set, and how often it had been set before."""

    after: str
    moment: int
    number: int


@dataclass
class Turn:
    """The events of a turn at the upstream.

    Attributes:
        ledger: requests, responses and results of the turn.
        origins: origin of each request of the ledger.
        late: indices of the requests that came long after the event that released them.
        fed: number of messages that changed the ledger; they are its keys.
    """

    ledger: Ledger = field(default_factory=Ledger)
    origins: list[CreateOrigin | None] = field(default_factory=list)
    late: tuple[int, ...] = ()
    fed: int = 0

    def key(self, base: Base) -> Hashable:
        """Return the part that a verdict or the signature of a finding depends on. `base`: ids assigned before the turn."""
        return ledger_key(self.ledger, base), tuple(self.origins), self.late


class AtHost(NamedTuple):
    """What was seen on the host link.

    Attributes:
        refused: whether a refusal was sent to the host.
        applied: SettingsApplied was sent to the host.
        replied: a response began in an earlier turn.
        open_at_texts: for each user text, what was unfinished when it arrived at the proxy (`keys.open_key`). A verdict
            decides by it whether the text joins the turn.
    """

    refused: bool = False
    applied: bool = False
    replied: bool = False
    open_at_texts: tuple[Hashable, ...] = ()


class History(NamedTuple):
    """The values that distinguish findings: the events of the turn, the gate that attributes requests, and the host link."""

    turn: Turn
    gate: Attribution
    host: AtHost = AtHost()


@dataclass
class State:
    """State of a session without times.

    Attributes:
        states: state of each actor, shared between states of the session and never changed.
        keys: key of each actor's state, as a number.
        queues: messages in flight on each link, in order.
        timers: running timers by (actor, name).
        closed: links that carry no more messages.
        history: history of the turn, shared between states of the session.
        history_key: key of `history`, as a number.
        base: ids assigned before the turn.
        watch: moment of the last event that could have released the request for results that have no reply yet, or None.
    """

    states: dict[str, Any]
    keys: dict[str, int]
    queues: dict[Link, tuple[InFlightMessage, ...]]
    timers: dict[tuple[str, str], Timer]
    closed: frozenset[Link] = frozenset()
    history: History = field(default_factory=lambda: History(Turn(), Attribution()))
    history_key: int = -1
    base: Base = field(default_factory=Base)
    watch: int | None = None

    def copy(self) -> State:
        """Return a copy for the next step. A step copies the states of actors and the history before it changes them."""
        return State(
            dict(self.states), dict(self.keys), dict(self.queues), dict(self.timers), self.closed,
            self.history, self.history_key, self.base, self.watch,
        )  # fmt: skip

    def next_of(self, wire: Link) -> InFlightMessage | None:
        """Return the next visible message of a link."""
        return next((flight for flight in self.queues[wire] if flight.moment is not None), None)

    def moments(self) -> list[int]:
        """Return the moments of all pending messages and timers."""
        found = [f.moment for wire in WIRES for f in self.queues[wire] if f.moment is not None]
        return found + [timer.moment for timer in self.timers.values()]
