"""Executes one step of a session for any times, with the same actors as the engines.

A step is the arrival of the next message of a link or the end of one timer, and everything that follows at the same
instant inside the host. User, app and component act in the order of the virtual engine. A message that an actor sends
over a wire is then in flight, and a timer that it sets runs.

Invisible messages. Many messages change only what a user is shown, or what a later event asks for. Such a message gets
no time of its own: it arrives together with the next visible message of its link. Which messages are invisible is not
known in advance. Each one is assumed to be invisible until a step shows the opposite; then `Visible` is raised, and the
exploration starts again with that message among the visible ones. A message is visible if:

- its delivery sends a visible message, or sets or cancels a timer;
- on the way to the host: it changes something that the key of a state contains;
- from the upstream to the proxy: its order among other events matters. Every other event at the proxy or in the host
  while the message is in flight is tried before and after it (`StateStore`), and both orders must give the same state.
  Then each run is equivalent to one in which the message arrives with the next visible one: move it after one event at
  a time until it does (the argument of partial-order reduction: Godefroid, LNCS 1032, 1996).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from voicerace.engine.session import SessionConfig
from voicerace.experiments.explore.attribution import CreateOrigin
from voicerace.experiments.explore.keys import KEYS, SHOWN_TIMERS, Base, kind_of, message_key, open_key, proxy_key, shown_key
from voicerace.experiments.explore.state import Choice, History, InFlightMessage, State, Timer
from voicerace.experiments.explore.zone import NEW
from voicerace.model.actors.actor import RANK, RENEWED, SetTimer
from voicerace.model.actors.effects import Interpreter
from voicerace.model.actors.stateful import copied
from voicerace.model.catalog.workarounds import WORKAROUNDS
from voicerace.model.protocol import realtime
from voicerace.model.protocol.ledger import Ledger
from voicerace.trace.recording import UPSTREAM_TO_PROXY, WIRES, Link, Payload

__all__ = ["Stepper", "Visible"]

_HOST = ("component", "app", "user")
#: The user's deadline, which runs from turn to turn.
PATIENCE = ("user", "deadline")


class Visible(Exception):  # noqa: N818  # not an error: an assumption is withdrawn
    """A message that was assumed to be invisible is visible."""


class Stepper(Interpreter):
    """Steps of one session.

    Args:
        session: gives the actors.
        visible: the visible messages by link and key; `mark_visible` adds to it.
    """

    def __init__(self, session: SessionConfig, visible: set[tuple[Link, Hashable]] | None = None) -> None:
        self.session = session
        #: In their initial states. A step calls copies, each with a state of its own.
        self.actors: dict[str, Any] = dict(session.actors())
        self.visible = set() if visible is None else visible
        spoken = any(each.by == "voice" for each in session.scenario.inputs)
        #: Timers that decide nothing in an exploration.
        self._idle = SHOWN_TIMERS if spoken else SHOWN_TIMERS | {"microphone"}
        self._keys: dict[str, Callable[[Any, Base], Hashable]] = {**KEYS, "proxy": partial(proxy_key, flag=spoken)}
        if session.workaround is not None and WORKAROUNDS[session.workaround].listens:
            self._idle = self._idle - {"playback", "text_done"}
            self._keys["component"] = shown_key
            self._keys["proxy"] = partial(proxy_key, flag=spoken, shown=True)
        self.sent: dict[Link, int] = {}
        self.rung: dict[tuple[str, str], int] = {}
        self._numbers: dict[Hashable, int] = {}
        self._seq = 0
        # The rest belongs to the step in progress.
        self._at: State
        self._touched: set[str] = set()
        #: The actors called in the step, with their states.
        self._called: dict[str, Any] = {}
        self._stirred = False
        self._local: list[tuple[int, int, int, int, Link, Payload]] = []
        self._round = 0

    # -- steps -------------------------------------------------------------------------------------------------------

    def start(self) -> State:
        """The connections are open."""
        self.sent, self.rung = dict.fromkeys(WIRES, 0), {}
        at = State({}, {}, dict.fromkeys(WIRES, ()), {})
        at.states = {name: actor.state for name, actor in self.actors.items()}
        self._begin(at)
        for name in RANK:
            self.apply(name, self._actor(name).start())
        self._settle_host()
        return self._end(at)

    def step(self, before: State, choice: Choice, *, one: bool = False) -> State:
        """The state after a step.

        Args:
            before: the state before it; stays the same.
            choice: the link or the timer.
            one: of a link, only the next message arrives, visible or not.

        Raises:
            Visible: a message that was assumed to be invisible is visible.
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
            actor, name, _ = choice
            del at.timers[actor, name]
            if actor == "proxy":
                self._history().gate.rings(name)
            self.apply(actor, self._actor(actor).timer(name))
            self._settle_host()
        return self._end(at)

    def _begin(self, at: State) -> None:
        self._at, self._touched, self._called, self._local, self._round = at, set(), {}, [], 0

    def _end(self, at: State) -> State:
        for actor in self._touched:
            if actor == "history":
                at.history_key = self._history_key(at)
            else:
                at.keys[actor] = self._key(actor)
        if len(at.keys) < len(at.states):
            at.keys = {actor: self._key(actor) for actor in at.states}
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

    def _key(self, actor: str) -> int:
        return self.number((actor, self._keys[actor](self._at.states[actor], self._at.base)))

    def new_turn(self, at: State) -> None:
        """Forget the turn that is over; only the states of the actors remember it."""
        counts = at.states["upstream"].counts
        at.base = at.base._replace(responses=counts.get("resp", 0), calls=counts.get("call", 0))
        gate = copied(at.history.gate)
        gate.next_turn()
        configured, applied = at.history.ledger.session_updates[-1:], at.history.applied
        at.history = History(gate=gate, applied=applied)
        at.history.ledger.session_updates = configured
        self._begin(at)
        self._touched = {*at.states, "history"}
        at.watch = None
        self._end(at)

    def late(self, at: State) -> State:
        """A copy of the state in which the request for the response that has just begun was late."""
        other = at.copy()
        self._begin(other)
        history = self._history()
        history.late = (*history.late, len(history.ledger.creates) - 1)
        return self._end(other)

    # -- a message ---------------------------------------------------------------------------------------------------

    def _arrive(self, over: Link, flight: InFlightMessage) -> None:
        at = self._at
        self._stirred = False
        if flight.kind == "(close)":
            at.closed |= {Link(over.receiver, over.sender)}
            code = flight.payload if isinstance(flight.payload, int) and flight.payload >= 0 else None
            if over.receiver == "proxy":
                self._history().gate.rings("closed")
            self.apply(over.receiver, self._actor(over.receiver).closed(over.sender, code))
            self._settle_host()
            return
        payload: Any = flight.payload
        if over.receiver == "upstream":
            self._feed("proxy", payload, flight.asked)
        elif over.receiver == "proxy":
            history = self._history()
            history.gate.handles(over.sender, payload)
            if over.sender == "component" and flight.kind == "InjectUserMessage":
                # The user observes the upstream link at the proxy, so its ledger is the proxy's.
                history.said = (*history.said, open_key(at.states["user"].ledger, at.base))
        self._deliver(over, payload)
        self._settle_host()
        if flight.moment is None and self._did(over):
            self.mark_visible(over, flight)

    def mark_visible(self, over: Link, flight: InFlightMessage) -> None:
        """Add a message to the visible ones.

        Raises:
            Visible: always.
        """
        self.visible.add((over, flight.key))
        raise Visible

    def _did(self, over: Link) -> bool:
        """Whether the invisible message had an effect by itself."""
        host = over.receiver == "component"
        return self._stirred or (host and any(self._key(actor) != self._at.keys[actor] for actor in _HOST[:2]))

    def _deliver(self, over: Link, payload: Payload) -> None:
        self.apply(over.receiver, self._actor(over.receiver).message(over.sender, payload))
        if over.sender == "upstream" or over.receiver == "app":
            self._show(over, payload)

    def _settle_host(self) -> None:
        """Deliver the messages inside the host, in the causal rounds of the virtual engine."""
        while self._local:
            round_, _, _, _, over, payload = heapq.heappop(self._local)
            self._round = round_
            self._deliver(over, payload)
        self._round = 0

    def _show(self, over: Link, payload: Payload) -> None:
        """Show the user a message between other actors."""
        self._seq += 1
        effects = self._actor("user").observe(over.sender, over.receiver, payload, self._seq)
        if effects:
            self.apply("user", effects)

    # -- effects -----------------------------------------------------------------------------------------------------

    def _actor(self, name: str) -> Any:
        """An actor with its state in this step. The state is copied before the first call."""
        if (actor := self._called.get(name)) is None:
            self._touched.add(name)
            actor = self._with_state(name, copied(self._at.states[name]))
        return actor

    def _with_state(self, name: str, state: Any) -> Any:
        self._at.states[name] = state
        self._called[name] = self.actors[name].with_state(state)
        return self._called[name]

    def cancel_timer(self, actor: str, name: str) -> None:
        if self._at.timers.pop((actor, name), None) is not None:
            self._stirred = True

    def open(self, actor: str, to: str) -> None:
        """As in `VirtualEngine`: proxy and upstream are renewed, and messages in flight are lost."""
        at = self._at
        self._stirred = True
        at.queues = dict.fromkeys(WIRES, ())
        at.closed = at.closed - {link for link in at.closed if "proxy" in link}
        at.timers = {which: timer for which, timer in at.timers.items() if which[0] not in RENEWED}
        for name in RENEWED:
            self._with_state(name, self._actor(name).renewed_state())
        for name in RENEWED:
            self.apply(name, self._actor(name).start())

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
            asked = self._history().gate.sends(payload, self.session.release.create_on)
        elif actor == "upstream":
            self._feed("upstream", payload, None)
        elif over.receiver == "component" and isinstance(payload, dict):
            if payload.get("code") == realtime.ACTIVE_RESPONSE:
                self._history().told += 1
            elif payload.get("type") == "SettingsApplied":
                self._history().applied = True
        kind = kind_of(payload)
        sure = over.receiver == "upstream" or over.sender == "component"
        key = message_key(payload, self._at.base) if sure or over == UPSTREAM_TO_PROXY else kind
        visible = sure or (over, key) in self.visible
        self._stirred |= visible
        self._fly(over, payload, kind, key, asked, visible=visible)
        if over.receiver in ("upstream", "proxy") and over.sender in ("proxy", "component"):
            self._show(over, payload)

    def _local_send(self, over: Link, payload: Payload) -> None:
        """Send inside the host: it arrives at the same instant, in the next round."""
        self._seq += 1
        entry = (self._round + 1, RANK[over.receiver], RANK[over.sender], self._seq, over, payload)
        heapq.heappush(self._local, entry)

    def close(self, actor: str, to: str, code: int | None) -> None:
        over = Link(actor, to)
        if over not in self._at.closed:
            self._at.closed |= {over}
            self._stirred = True
            self._fly(over, -1 if code is None else code, "(close)", code, None, visible=True)

    def _fly(
        self, over: Link, payload: Payload | int, kind: str, key: Hashable, asked: CreateOrigin | None, *, visible: bool
    ) -> None:
        number = self.sent[over] = self.sent[over] + 1
        flight = InFlightMessage(payload, kind, key, NEW if visible else None, asked, number - 1)
        self._at.queues[over] = (*self._at.queues[over], flight)

    # -- the history -------------------------------------------------------------------------------------------------

    def _history(self) -> History:
        if "history" not in self._touched:
            self._touched.add("history")
            self._at.history = copied(self._at.history)
        return self._at.history

    def _feed(self, sender: str, payload: Payload, asked: CreateOrigin | None) -> None:
        """Enter a message of the upstream link in the ledger, when it passes the upstream."""
        history = self._history()
        ledger, released = history.ledger, _releases(history.ledger)
        self._seq += 1
        ledger.feed(sender, payload, self._seq)
        if len(ledger.creates) > len(history.asked):
            history.asked.append(asked)
        if _releases(ledger) != released and any(output.own for output in ledger.outputs):
            self._at.watch = NEW


def _releases(ledger: Ledger) -> tuple[int, int, int]:
    """How many events so far could release the create of a result: results, confirmations, ended responses."""
    own = [output for output in ledger.outputs if output.own]
    confirmed = sum(output.confirmed is not None for output in own)
    return len(own), confirmed, sum(response.done is not None for response in ledger.responses.values())
