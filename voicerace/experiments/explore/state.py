"""A session at one moment, without its times: every party's state, what is on its way, which timers run, and the books.

Times are beside it, in a zone: whatever is pending here names the moment in which it was set, by its index there.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from voicerace.experiments.explore.attribution import Attribution, CreateOrigin
from voicerace.experiments.explore.keys import Base, ledger_key
from voicerace.model.protocol.ledger import Ledger
from voicerace.trace.recording import WIRES, Link, Payload

__all__ = ["Choice", "History", "InFlightMessage", "State", "Timer"]

#: What happens next: the next message of a link arrives, or a timer of a party runs out.
Choice = Link | tuple[str, str, str]


class InFlightMessage(NamedTuple):
    """A message on its way.

    Attributes:
        payload: the message; for a close its code.
        kind: its kind; ``(close)``.
        key: what of it matters.
        moment: when it was sent; None for one that nobody minds, which arrives with the next that somebody does.
        asked: for a create: who wanted it.
        number: which message of its link, from 0.
    """

    payload: Payload | int
    kind: str
    key: Hashable
    moment: int | None
    asked: CreateOrigin | None
    number: int


class Timer(NamedTuple):
    """A timer that runs: the named duration, when it was set, and which setting of it this is, from 0."""

    after: str
    moment: int
    number: int


@dataclass
class History:
    """The books of the turn, as it passes the upstream, and what a finding is told apart by.

    Attributes:
        ledger: creates, responses, results.
        asked: for each create of the ledger who wanted it; `late` its indices that came long after what released them.
        told: refusals that the host was told of.
        applied: the host was told that its Settings are applied.
        said: for each text of the user's what was open at the proxy when it came there (`keys.open_key`): a verdict asks
            that whether the text joins the turn.
        gate: the proxy's creates.
    """

    ledger: Ledger = field(default_factory=Ledger)
    asked: list[CreateOrigin | None] = field(default_factory=list)
    late: tuple[int, ...] = ()
    told: int = 0
    applied: bool = False
    said: tuple[Hashable, ...] = ()
    gate: Attribution = field(default_factory=Attribution)

    def key(self, base: Base, *, defers: bool) -> Hashable:
        """What a verdict, and what tells findings apart, can read off the books.

        Args:
            defers: results may wait for their create, so that it matters which event came before them.
        """
        gate = self.gate
        missing = (gate.waiting, gate.missed, gate.result) if gate.waiting else ()
        passed = gate.passed if defers else ""
        told = self.told > 0, self.applied, self.said
        return ledger_key(self.ledger, base), tuple(self.asked), self.late, told, gate.texts > 0, passed, missing


@dataclass
class State:
    """See the module's text.

    Attributes:
        states: party -> its state; shared between situations and never changed.
        keys: party -> key of the state, as a number.
        queues: link -> what is on its way, in order.
        timers: (party, name) -> the timer.
        closed: links that carry nothing any more.
        history: the turn's books; shared as well.
        history_key: its key, as a number.
        base: ids given out before the turn.
        watch: the last moment that could have released the create of a result which has no reply yet.
    """

    states: dict[str, Any]
    keys: dict[str, int]
    queues: dict[Link, tuple[InFlightMessage, ...]]
    timers: dict[tuple[str, str], Timer]
    closed: frozenset[Link] = frozenset()
    history: History = field(default_factory=History)
    history_key: int = -1
    base: Base = field(default_factory=Base)
    watch: int | None = None

    def copy(self) -> State:
        """A situation that the next step may change; states and books are cloned by whoever changes them."""
        return State(
            dict(self.states), dict(self.keys), dict(self.queues), dict(self.timers), self.closed,
            self.history, self.history_key, self.base, self.watch,
        )  # fmt: skip

    def next_of(self, wire: Link) -> InFlightMessage | None:
        """The next message of a link that somebody minds."""
        return next((flight for flight in self.queues[wire] if flight.moment is not None), None)

    def moments(self) -> list[int]:
        """The moments that anything pending was set in."""
        found = [f.moment for wire in WIRES for f in self.queues[wire] if f.moment is not None]
        return found + [timer.moment for timer in self.timers.values()]
