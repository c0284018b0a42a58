"""Executes one step of a session for any times, with the same actors as the engines.

A step is the arrival of a link's next message or the end of a timer, and everything that follows at the same instant inside the
host. User, app and component act in the order of the virtual engine. A message that an actor sends over a wire is then in
flight, and a timer that it sets runs.

Invisible messages: many messages only change displayed values, or values that a later event reads. Such a message has no
time of its own: it arrives together with the next visible message of its link. Each message is assumed to be invisible until a
step contradicts this. `Visible` is then raised, and the exploration restarts with that message among the visible messages. A
message is visible if:

- its delivery sends a visible message, or sets or cancels a timer;
- to the host: it changes a value that the key of a state contains;
- from the upstream to the proxy: its order among other events matters. Every other event at the proxy or in the host
  while the message is in flight is executed before and after the message (`StateStore`), and both orders must give the same
  state. Each run is then equivalent to a run in which the message arrives with the next visible message: swap it with one later
  event at a time until it does (the argument of partial-order reduction: Godefroid, LNCS 1032, 1996).
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
#: (actor, name) of the user's deadline timer, which can run across turns.
PATIENCE = ("user", "deadline")


class Visible(Exception):  # noqa: N818  # not an error: it corrects an assumption
    """Raised when a message that was assumed to be invisible is visible."""


class Stepper(Interpreter):
    """Steps of one session.

    Args:
        session: configuration from which the actors are made.
        visible: (link, key) of the visible messages, to which `mark_visible` adds.
    """

    def __init__(self, session: SessionConfig, visible: set[tuple[Link, Hashable]] | None = None) -> None:
        self.session = session
        #: Actors in their initial states. A step uses copies with its own states.
        self.actors: dict[str, Any] = dict(session.actors())
        self.visible = set() if visible is None else visible
        spoken = any(each.by == "voice" for each in session.scenario.inputs)
        #: Component timers that have no effect in the exploration.
        self._idle = SHOWN_TIMERS if spoken else SHOWN_TIMERS | {"microphone"}
        self._keys: dict[str, Callable[[Any, Base], Hashable]] = {**KEYS, "proxy": partial(proxy_key, flag=spoken)}
        if session.workaround is not None and WORKAROUNDS[session.workaround].listens:
            self._idle = self._idle - {"playback", "text_done"}
            self._keys["component"] = shown_key
            self._keys["proxy"] = partial(proxy_key, flag=spoken, shown=True)
        self.sent: dict[Link, int] = {}
        self.timer_counts: dict[tuple[str, str], int] = {}
        self._numbers: dict[Hashable, int] = {}
        self._seq = 0
        # Attributes of the step in progress.
        self._state: State
        self._touched: set[str] = set()
        #: Actors used in this step, with their states.
        self._called: dict[str, Any] = {}
        self._had_effect = False
        self._local: list[tuple[int, int, int, int, Link, Payload]] = []
        self._round = 0

    # -- steps -------------------------------------------------------------------------------------------------------

    def start(self) -> State:
        """Return the state after all connections have opened."""
        self.sent, self.timer_counts = dict.fromkeys(WIRES, 0), {}
        state = State({}, {}, dict.fromkeys(WIRES, ()), {})
        state.states = {name: actor.state for name, actor in self.actors.items()}
        self._begin(state)
        for name in RANK:
            self.apply(name, self._actor(name).start())
        self._settle_host()
        return self._end(state)

    def step(self, before: State, choice: Choice, *, one: bool = False) -> State:
        """Return the state after a step.

        Args:
            before: state before the step, which is not changed.
            choice: link whose next message arrives, or timer that ends.
            one: whether only the next message of the link arrives, even if it is invisible.

        Raises:
            Visible: a message that was assumed to be invisible is visible.
        """
        state = before.copy()
        self._begin(state)
        if isinstance(choice, Link):
            queue = state.queues[choice]
            for position, flight in enumerate(queue):
                state.queues[choice] = queue[position + 1 :]
                self._arrive(choice, flight)
                if one or flight.moment is not None:
                    break
        else:
            actor, name, _ = choice
            del state.timers[actor, name]
            if actor == "proxy":
                self._history().gate.timer_ended(name)
            self.apply(actor, self._actor(actor).timer(name))
            self._settle_host()
        return self._end(state)

    def _begin(self, state: State) -> None:
        self._state, self._touched, self._called, self._local, self._round = state, set(), {}, [], 0

    def _end(self, state: State) -> State:
        for actor in self._touched:
            if actor == "history":
                state.history_key = self._history_key(state)
            else:
                state.keys[actor] = self._key(actor)
        if len(state.keys) < len(state.states):
            state.keys = {actor: self._key(actor) for actor in state.states}
            state.history_key = self._history_key(state)
        if UPSTREAM_TO_PROXY in state.closed:
            state.timers = {which: timer for which, timer in state.timers.items() if which[0] != "upstream"}
        if state.states["component"].closed and state.states["user"].left:
            state.timers = {which: timer for which, timer in state.timers.items() if which[0] not in _HOST}
        return state

    def _history_key(self, state: State) -> int:
        return self.number(("history", state.history.key(state.base, defers=self.session.release.defers)))

    def number(self, key: Hashable) -> int:
        """Return a number for a key. Equal keys have equal numbers."""
        return self._numbers.setdefault(key, len(self._numbers))

    def _key(self, actor: str) -> int:
        return self.number((actor, self._keys[actor](self._state.states[actor], self._state.base)))

    def new_turn(self, state: State) -> None:
        """Remove the history of the ended turn from a state."""
        counts = state.states["upstream"].counts
        state.base = state.base._replace(responses=counts.get("resp", 0), calls=counts.get("call", 0))
        gate = copied(state.history.gate)
        gate.next_turn()
        configured, applied = state.history.ledger.session_updates[-1:], state.history.applied
        state.history = History(gate=gate, applied=applied)
        state.history.ledger.session_updates = configured
        self._begin(state)
        self._touched = {*state.states, "history"}
        state.watch = None
        self._end(state)

    def late(self, state: State) -> State:
        """Return a copy of the state in which the request for the response that has just begun was late."""
        other = state.copy()
        self._begin(other)
        history = self._history()
        history.late = (*history.late, len(history.ledger.creates) - 1)
        return self._end(other)

    # -- a message ---------------------------------------------------------------------------------------------------

    def _arrive(self, link: Link, flight: InFlightMessage) -> None:
        state = self._state
        self._had_effect = False
        if flight.kind == "(close)":
            state.closed |= {Link(link.receiver, link.sender)}
            code = flight.payload if isinstance(flight.payload, int) and flight.payload >= 0 else None
            if link.receiver == "proxy":
                self._history().gate.timer_ended("closed")
            self.apply(link.receiver, self._actor(link.receiver).closed(link.sender, code))
            self._settle_host()
            return
        payload: Any = flight.payload
        if link.receiver == "upstream":
            self._feed("proxy", payload, flight.origin)
        elif link.receiver == "proxy":
            history = self._history()
            history.gate.handles(link.sender, payload)
            if link.sender == "component" and flight.kind == "InjectUserMessage":
                # The user observes the upstream link at the proxy, so the user's ledger has the events known to the proxy.
                history.open_at_texts = (*history.open_at_texts, open_key(state.states["user"].ledger, state.base))
        self._deliver(link, payload)
        self._settle_host()
        if flight.moment is None and self._is_visible(link):
            self.mark_visible(link, flight)

    def mark_visible(self, link: Link, flight: InFlightMessage) -> None:
        """Add a message to the visible messages.

        Raises:
            Visible: always.
        """
        self.visible.add((link, flight.key))
        raise Visible

    def _is_visible(self, link: Link) -> bool:
        """Return whether an invisible message had an effect."""
        host = link.receiver == "component"
        return self._had_effect or (host and any(self._key(actor) != self._state.keys[actor] for actor in _HOST[:2]))

    def _deliver(self, link: Link, payload: Payload) -> None:
        self.apply(link.receiver, self._actor(link.receiver).message(link.sender, payload))
        if link.sender == "upstream" or link.receiver == "app":
            self._show(link, payload)

    def _settle_host(self) -> None:
        """Deliver the messages inside the host, in the causal rounds of the virtual engine."""
        while self._local:
            round_, _, _, _, link, payload = heapq.heappop(self._local)
            self._round = round_
            self._deliver(link, payload)
        self._round = 0

    def _show(self, link: Link, payload: Payload) -> None:
        """Let the user observe a message between other actors."""
        self._seq += 1
        effects = self._actor("user").observe(link.sender, link.receiver, payload, self._seq)
        if effects:
            self.apply("user", effects)

    # -- effects -----------------------------------------------------------------------------------------------------

    def _actor(self, name: str) -> Any:
        """Return an actor with its state in this step. The first use copies the state."""
        if (actor := self._called.get(name)) is None:
            self._touched.add(name)
            actor = self._with_state(name, copied(self._state.states[name]))
        return actor

    def _with_state(self, name: str, state: Any) -> Any:
        self._state.states[name] = state
        self._called[name] = self.actors[name].with_state(state)
        return self._called[name]

    def cancel_timer(self, actor: str, name: str) -> None:
        if self._state.timers.pop((actor, name), None) is not None:
            self._had_effect = True

    def open(self, actor: str, to: str) -> None:
        """Open a connection as in `VirtualEngine`: renew proxy and upstream, and drop the messages in flight."""
        state = self._state
        self._had_effect = True
        state.queues = dict.fromkeys(WIRES, ())
        state.closed = state.closed - {link for link in state.closed if "proxy" in link}
        state.timers = {which: timer for which, timer in state.timers.items() if which[0] not in RENEWED}
        for name in RENEWED:
            self._with_state(name, self._actor(name).renewed_state())
        for name in RENEWED:
            self.apply(name, self._actor(name).start())

    def set_timer(self, actor: str, timer: SetTimer) -> None:
        which = (actor, timer.name)
        number = self.timer_counts.get(which, 0)
        self.timer_counts[which] = number + 1
        if actor == "component" and timer.name in self._idle:
            return
        self._had_effect = True
        self._state.timers[which] = Timer(timer.after, NEW, number)

    def send(self, actor: str, to: str, payload: Payload) -> None:
        link = Link(actor, to)
        if link in self._state.closed:
            return
        if link not in self._state.queues:
            self._local_send(link, payload)
            return
        origin: CreateOrigin | None = None
        if link.receiver == "upstream":
            origin = self._history().gate.sends(payload, self.session.release.create_on)
        elif actor == "upstream":
            self._feed("upstream", payload, None)
        elif link.receiver == "component" and isinstance(payload, dict):
            if payload.get("code") == realtime.ACTIVE_RESPONSE:
                self._history().host_errors += 1
            elif payload.get("type") == "SettingsApplied":
                self._history().applied = True
        kind = kind_of(payload)
        sure = link.receiver == "upstream" or link.sender == "component"
        key = message_key(payload, self._state.base) if sure or link == UPSTREAM_TO_PROXY else kind
        visible = sure or (link, key) in self.visible
        self._had_effect |= visible
        self._put_in_flight(link, payload, kind, key, origin, visible=visible)
        if link.receiver in ("upstream", "proxy") and link.sender in ("proxy", "component"):
            self._show(link, payload)

    def _local_send(self, link: Link, payload: Payload) -> None:
        """Send a message inside the host. It arrives at the same instant, in the next round."""
        self._seq += 1
        entry = (self._round + 1, RANK[link.receiver], RANK[link.sender], self._seq, link, payload)
        heapq.heappush(self._local, entry)

    def close(self, actor: str, to: str, code: int | None) -> None:
        link = Link(actor, to)
        if link not in self._state.closed:
            self._state.closed |= {link}
            self._had_effect = True
            self._put_in_flight(link, -1 if code is None else code, "(close)", code, None, visible=True)

    def _put_in_flight(
        self, link: Link, payload: Payload | int, kind: str, key: Hashable, origin: CreateOrigin | None, *, visible: bool
    ) -> None:
        number = self.sent[link] = self.sent[link] + 1
        flight = InFlightMessage(payload, kind, key, NEW if visible else None, origin, number - 1)
        self._state.queues[link] = (*self._state.queues[link], flight)

    # -- the history -------------------------------------------------------------------------------------------------

    def _history(self) -> History:
        if "history" not in self._touched:
            self._touched.add("history")
            self._state.history = copied(self._state.history)
        return self._state.history

    def _feed(self, sender: str, payload: Payload, origin: CreateOrigin | None) -> None:
        """Add a message of the upstream link to the ledger when the upstream sends or receives it."""
        history = self._history()
        ledger, released = history.ledger, _releases(history.ledger)
        self._seq += 1
        ledger.feed(sender, payload, self._seq)
        if len(ledger.creates) > len(history.origins):
            history.origins.append(origin)
        if _releases(ledger) != released and any(output.own for output in ledger.outputs):
            self._state.watch = NEW


def _releases(ledger: Ledger) -> tuple[int, int, int]:
    """Return how many events could release a request after a result: (results, confirmations, ended responses)."""
    own = [output for output in ledger.outputs if output.own]
    confirmed = sum(output.confirmed is not None for output in own)
    return len(own), confirmed, sum(response.done is not None for response in ledger.responses.values())
