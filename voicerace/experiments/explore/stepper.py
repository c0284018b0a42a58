"""Carries a session by one step, whatever the times: the same parties as everywhere, their effects, the books.

A step is the arrival of a link's next message or the end of one timer, with all that follows from it at the same instant
inside the host (user, app and component are one place; their order is the virtual engine's). What a party sends over a
wire is on its way then, and what it sets runs.

Messages that nobody minds. Many events change nothing but what a user is shown, or what only a later event asks about.
Such a message is not given a time: it arrives together with the next one of its link that somebody minds. Nothing says
beforehand which messages these are: each is taken for one until a step shows otherwise; then `Visible` is raised, and the
exploration begins anew with that message among those that somebody minds. What shows it:

- its delivery sends something that matters, or sets or drops a timer;
- on the way to the host: it changes what a state's key holds;
- from the upstream to the proxy: it may change states, but not so that its place among other events matters. Whatever else
  happens at the proxy or in the host while it is on its way is tried before it and behind it (`Places`), and must come to
  the same. Then every run is as good as one in which it arrives with the next that somebody minds: put it behind one event
  after the other until it does (the argument of partial-order reduction: Godefroid, LNCS 1032, 1996).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from voicerace.engine.session import SessionConfig
from voicerace.experiments.explore.attribution import CreateOrigin
from voicerace.experiments.explore.copies import clone
from voicerace.experiments.explore.keys import KEYS, SHOWN_TIMERS, Base, kind_of, message_key, open_key, proxy_key, shown_key
from voicerace.experiments.explore.state import Choice, History, InFlightMessage, State, Timer
from voicerace.experiments.explore.zone import NEW
from voicerace.model.actors.actor import RANK, Effects, SetTimer
from voicerace.model.actors.effects import Interpreter
from voicerace.model.catalog.workarounds import WORKAROUNDS
from voicerace.model.protocol import realtime
from voicerace.model.protocol.ledger import Ledger
from voicerace.trace.recording import UPSTREAM_TO_PROXY, WIRES, Link, Payload

__all__ = ["Stepper", "Visible"]

_HOST = ("component", "app", "user")
_RENEWED = ("upstream", "proxy")
#: The user's patience: it runs from turn to turn.
PATIENCE = ("user", "deadline")


class Visible(Exception):  # noqa: N818  # no error: what was taken for granted is learnt to be otherwise
    """A message matters after all."""


class Stepper(Interpreter):
    """Steps of one session.

    Args:
        session: whose parties.
        minded: messages, by link and key, that somebody minds; grows.
    """

    def __init__(self, session: SessionConfig, minded: set[tuple[Link, Hashable]] | None = None) -> None:
        self.session = session
        self.parties: dict[str, Any] = dict(session.parties())
        self.minded = set() if minded is None else minded
        spoken = any(each.by == "voice" for each in session.scenario.inputs)
        #: Timers that decide nothing here.
        self._idle = SHOWN_TIMERS if spoken else SHOWN_TIMERS | {"microphone"}
        self._keys: dict[str, Callable[[Any, Base], Hashable]] = {**KEYS, "proxy": partial(proxy_key, flag=spoken)}
        if session.workaround is not None and WORKAROUNDS[session.workaround].listens:
            self._idle = self._idle - {"playback", "text_done"}
            self._keys["component"] = shown_key
            self._keys["proxy"] = partial(proxy_key, flag=spoken, shown=True)
        self.sent: dict[Link, int] = {}
        self.rung: dict[tuple[str, str], int] = {}
        self._numbers: dict[Hashable, int] = {}
        self._fresh = {name: clone(party.state) for name, party in self.parties.items()}
        self._seq = 0
        # Of the step being made.
        self._at: State
        self._touched: set[str] = set()
        self._stirred = False
        self._local: list[tuple[int, int, int, int, Link, Payload]] = []
        self._round = 0

    # -- steps -------------------------------------------------------------------------------------------------------

    def start(self) -> State:
        """The connections are open."""
        self.sent, self.rung = dict.fromkeys(WIRES, 0), {}
        at = State({}, {}, dict.fromkeys(WIRES, ()), {})
        at.states = {name: clone(state) for name, state in self._fresh.items()}
        self._begin(at)
        for name in RANK:
            self.apply(name, self._call(name, self.parties[name].start))
        self._settle_host()
        return self._end(at)

    def step(self, before: State, choice: Choice, *, one: bool = False) -> State:
        """What `before` becomes.

        Args:
            one: of a link, only its very next message arrives, whether anybody minds it or not.

        Raises:
            Visible: a message that was taken for invisible did something.
        """
        at = before.copy()
        self._begin(at)
        if isinstance(choice, Link):
            queue = at.queues[choice]
            for position, flight in enumerate(queue):
                at.queues[choice] = queue[position + 1 :]
                self._arrive(choice, flight)
                if one or flight.moment is not None:
                    break
        else:
            party, name, _ = choice
            del at.timers[party, name]
            if party == "proxy":
                self._books().gate.rings(name)
            self.apply(party, self._call(party, self.parties[party].timer, name))
            self._settle_host()
        return self._end(at)

    def _begin(self, at: State) -> None:
        self._at, self._touched, self._local, self._round = at, set(), [], 0

    def _end(self, at: State) -> State:
        for party in self._touched:
            if party == "history":
                at.history_key = self._history_key(at)
            else:
                at.keys[party] = self._key(party)
        if len(at.keys) < len(at.states):
            at.keys = {party: self._key(party) for party in at.states}
            at.history_key = self._history_key(at)
        if UPSTREAM_TO_PROXY in at.closed:
            at.timers = {which: timer for which, timer in at.timers.items() if which[0] != "upstream"}
        if at.states["component"].closed and at.states["user"].left:
            at.timers = {which: timer for which, timer in at.timers.items() if which[0] not in _HOST}
        return at

    def _history_key(self, at: State) -> int:
        return self.number(("history", at.history.key(at.base, defers=self.session.release.defers)))

    def number(self, key: Hashable) -> int:
        """A small number for a key, the same for the same key."""
        return self._numbers.setdefault(key, len(self._numbers))

    def _key(self, party: str) -> int:
        return self.number((party, self._keys[party](self._at.states[party], self._at.base)))

    def new_turn(self, at: State) -> None:
        """What came before is over, and is nobody's business any more but by the parties' states."""
        counts = at.states["upstream"].counts
        at.base = at.base._replace(responses=counts.get("resp", 0), calls=counts.get("call", 0))
        gate = clone(at.history.gate)
        gate.next_turn()
        configured, applied = at.history.ledger.session_updates[-1:], at.history.applied
        at.history = History(gate=gate, applied=applied)
        at.history.ledger.session_updates = configured
        self._at, self._touched = at, {*at.states, "history"}
        at.watch = None
        self._end(at)

    def late(self, at: State) -> State:
        """The same, but that the response which has just begun was asked for late."""
        other = at.copy()
        self._at, self._touched = other, set()
        books = self._books()
        books.late = (*books.late, len(books.ledger.creates) - 1)
        return self._end(other)

    # -- a message ---------------------------------------------------------------------------------------------------

    def _arrive(self, over: Link, flight: InFlightMessage) -> None:
        at = self._at
        self._stirred = False
        if flight.kind == "(close)":
            at.closed |= {Link(over.receiver, over.sender)}
            code = flight.payload if isinstance(flight.payload, int) and flight.payload >= 0 else None
            if over.receiver == "proxy":
                self._books().gate.rings("closed")
            self.apply(over.receiver, self._call(over.receiver, self.parties[over.receiver].closed, over.sender, code))
            self._settle_host()
            return
        payload: Any = flight.payload
        if over.receiver == "upstream":
            self._feed("proxy", payload, flight.asked)
        elif over.receiver == "proxy":
            books = self._books()
            books.gate.handles(over.sender, payload)
            if over.sender == "component" and flight.kind == "InjectUserMessage":
                # The user looks on from here: their books are the proxy's.
                books.said = (*books.said, open_key(at.states["user"].ledger, at.base))
        self._deliver(over, payload)
        self._settle_host()
        if flight.moment is None and self._did(over):
            self.mind(over, flight)

    def mind(self, over: Link, flight: InFlightMessage) -> None:
        """Somebody minds such a message.

        Raises:
            Visible: always.
        """
        self.minded.add((over, flight.key))
        raise Visible

    def _did(self, over: Link) -> bool:
        """Whether the message that nobody minds did something by itself."""
        host = over.receiver == "component"
        return self._stirred or (host and any(self._key(party) != self._at.keys[party] for party in _HOST[:2]))

    def _deliver(self, over: Link, payload: Payload) -> None:
        self.apply(over.receiver, self._call(over.receiver, self.parties[over.receiver].message, over.sender, payload))
        if over.sender == "upstream" or over.receiver == "app":
            self._show(over, payload)

    def _settle_host(self) -> None:
        """What follows inside the host, round by round as the virtual engine has it."""
        while self._local:
            round_, _, _, _, over, payload = heapq.heappop(self._local)
            self._round = round_
            self._deliver(over, payload)
        self._round = 0

    def _show(self, over: Link, payload: Payload) -> None:
        """Let the user see what passed between others."""
        self._seq += 1
        effects = self._call("user", self.parties["user"].observe, over.sender, over.receiver, payload, self._seq)
        if effects:
            self.apply("user", effects)

    # -- effects -----------------------------------------------------------------------------------------------------

    def _call(self, party: str, method: Callable[..., Effects], *arguments: Any) -> Effects:
        at = self._at
        if party not in self._touched:
            self._touched.add(party)
            at.states[party] = clone(at.states[party])
        machine = self.parties[party]
        machine.state = at.states[party]
        effects = method(*arguments)
        at.states[party] = machine.state
        return effects

    def cancel_timer(self, actor: str, name: str) -> None:
        if self._at.timers.pop((actor, name), None) is not None:
            self._stirred = True

    def open(self, actor: str, to: str) -> None:
        """As `VirtualEngine` has it: proxy and upstream begin anew, and what was on its way is lost."""
        at = self._at
        self._stirred = True
        at.queues = dict.fromkeys(WIRES, ())
        at.closed = at.closed - {link for link in at.closed if "proxy" in link}
        at.timers = {which: timer for which, timer in at.timers.items() if which[0] not in _RENEWED}
        for name in _RENEWED:
            machine = self.parties[name]
            machine.state = at.states[name]
            at.states[name] = machine.again().state
            self._touched.add(name)
        for name in _RENEWED:
            self.apply(name, self._call(name, self.parties[name].start))

    def set_timer(self, actor: str, timer: SetTimer) -> None:
        which = (actor, timer.name)
        number = self.rung.get(which, 0)
        self.rung[which] = number + 1
        if actor == "component" and timer.name in self._idle:
            return
        self._stirred = True
        self._at.timers[which] = Timer(timer.after, NEW, number)

    def send(self, actor: str, to: str, payload: Payload) -> None:
        over = Link(actor, to)
        if over in self._at.closed:
            return
        if over not in self._at.queues:
            self._local_send(over, payload)
            return
        asked: CreateOrigin | None = None
        if over.receiver == "upstream":
            asked = self._books().gate.sends(payload, self.session.release.create_on)
        elif actor == "upstream":
            self._feed("upstream", payload, None)
        elif over.receiver == "component" and isinstance(payload, dict):
            if payload.get("code") == realtime.ACTIVE_RESPONSE:
                self._books().told += 1
            elif payload.get("type") == "SettingsApplied":
                self._books().applied = True
        kind = kind_of(payload)
        sure = over.receiver == "upstream" or over.sender == "component"
        key = message_key(payload, self._at.base) if sure or over == UPSTREAM_TO_PROXY else kind
        minded = sure or (over, key) in self.minded
        self._stirred |= minded
        self._fly(over, payload, kind, key, asked, minded=minded)
        if over.receiver in ("upstream", "proxy") and over.sender in ("proxy", "component"):
            self._show(over, payload)

    def _local_send(self, over: Link, payload: Payload) -> None:
        """Inside the host: at once, in the next round."""
        self._seq += 1
        entry = (self._round + 1, RANK[over.receiver], RANK[over.sender], self._seq, over, payload)
        heapq.heappush(self._local, entry)

    def close(self, actor: str, to: str, code: int | None) -> None:
        over = Link(actor, to)
        if over not in self._at.closed:
            self._at.closed |= {over}
            self._stirred = True
            self._fly(over, -1 if code is None else code, "(close)", code, None, minded=True)

    def _fly(
        self, over: Link, payload: Payload | int, kind: str, key: Hashable, asked: CreateOrigin | None, *, minded: bool
    ) -> None:
        number = self.sent[over] = self.sent[over] + 1
        flight = InFlightMessage(payload, kind, key, NEW if minded else None, asked, number - 1)
        self._at.queues[over] = (*self._at.queues[over], flight)

    # -- the books ---------------------------------------------------------------------------------------------------

    def _books(self) -> History:
        if "history" not in self._touched:
            self._touched.add("history")
            self._at.history = clone(self._at.history)
        return self._at.history

    def _feed(self, sender: str, payload: Payload, asked: CreateOrigin | None) -> None:
        """A message of the upstream link, as it passes the upstream."""
        books = self._books()
        ledger, released = books.ledger, _releases(books.ledger)
        self._seq += 1
        ledger.feed(sender, payload, self._seq)
        if len(ledger.creates) > len(books.asked):
            books.asked.append(asked)
        if _releases(ledger) != released and any(output.own for output in ledger.outputs):
            self._at.watch = NEW


def _releases(ledger: Ledger) -> tuple[int, int, int]:
    """How many of the events have passed that could release a result's create: results, confirmations, ended responses."""
    own = [output for output in ledger.outputs if output.own]
    confirmed = sum(output.confirmed is not None for output in own)
    return len(own), confirmed, sum(response.done is not None for response in ledger.responses.values())
