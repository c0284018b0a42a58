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
from collections.abc import Hashable
from typing import Any

from voicerace.engine.session import SessionConfig
from voicerace.experiments.explore.attribution import Attribution, CreateOrigin
from voicerace.experiments.explore.keys import SHOWN_TIMERS
from voicerace.experiments.explore.memo import Memo
from voicerace.experiments.explore.state import AtHost, Choice, History, InFlightMessage, State, Timer, Turn
from voicerace.experiments.explore.zone import NEW
from voicerace.model.actors.actor import RANK, RANK_WITH_FORWARDER, RENEWED, SetTimer
from voicerace.model.actors.effects import Interpreter
from voicerace.model.catalog.workarounds import WORKAROUNDS
from voicerace.model.protocol import realtime
from voicerace.trace.recording import COMPONENT_TO_PROXY, PROXY_TO_COMPONENT, UPSTREAM_TO_PROXY, WIRES, Link, Payload

__all__ = ["Stepper", "Visible"]

_HOST = ("component", "app", "user")
#: Messages that every exploration of every release finds to be visible.
_VISIBLE = frozenset(
    {(PROXY_TO_COMPONENT, "SettingsApplied")}
    | {(UPSTREAM_TO_PROXY, kind) for kind in (realtime.SESSION_UPDATED, realtime.RESPONSE_DONE, realtime.ARGUMENTS_DONE)}
)
#: The user's deadline, which runs from turn to turn.
PATIENCE = ("user", "deadline")


class Visible(Exception):  # noqa: N818  # not an error: it corrects an assumption
    """Raised when a message that was assumed to be invisible is visible."""


class Stepper(Interpreter):
    """Steps of one session.

    Args:
        session: configuration with the actors.
        visible: link and key of the visible messages; `mark_visible` adds to it.
        memo: known calls of this session; by default none are known.
    """

    def __init__(
        self, session: SessionConfig, visible: set[tuple[Link, Hashable]] | None = None, memo: Memo | None = None
    ) -> None:
        self.session = session
        self.memo = Memo(session) if memo is None else memo
        self.visible = set() if visible is None else visible
        #: Whether the session has a client without a proxy, which gets the user's texts.
        self.direct = session.client is not None
        self._host = ("proxy", "user") if self.direct else _HOST
        spoken = any(each.by == "voice" for each in session.scenario.inputs)
        #: Component timers that have no effect in the exploration.
        self._idle = SHOWN_TIMERS if spoken else SHOWN_TIMERS | {"microphone"}
        if session.workaround is not None and WORKAROUNDS[session.workaround].listens:
            self._idle = self._idle - {"playback", "text_done"}
        if session.idle_close:
            self._idle = self._idle - SHOWN_TIMERS
        #: Whether component>proxy is the network between component and forwarder. The forwarder runs beside the proxy.
        self._forwarded = session.forwarder is not None
        self.sent: dict[Link, int] = {}
        self.timer_counts: dict[tuple[str, str], int] = {}
        self._seq = 0
        # Attributes of the step in progress.
        self._state: State
        self._touched: set[str] = set()
        self._had_effect = False
        self._local: list[tuple[int, int, int, int, Link, Payload]] = []
        self._round = 0

    # -- steps -------------------------------------------------------------------------------------------------------

    def start(self) -> State:
        """Return the state after all connections have opened."""
        self.sent, self.timer_counts = dict.fromkeys(WIRES, 0), {}
        state = State({}, {}, dict.fromkeys(WIRES, ()), {})
        state.states = {name: actor.state for name, actor in self.memo.actors.items()}
        state.history = self.memo.first
        self._begin(state)
        # With a forwarder, proxy and upstream start when its connection to the proxy opens.
        rank, later = (RANK_WITH_FORWARDER, RENEWED) if self._forwarded else (RANK, ())
        for name in sorted((each for each in state.states if each not in later), key=lambda each: rank[each]):
            self._call(name, "start")
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
                self._note(gate=self.memo.timer_ended(state.history.gate, name))
            self._call(actor, "timer", name)
            self._settle_host()
        return self._end(state)

    def _begin(self, state: State) -> None:
        self._state, self._touched, self._local, self._round = state, set(), [], 0

    def _end(self, state: State) -> State:
        for actor in self._touched:
            if actor == "history":
                state.history_key = self.memo.history_key(state.history, state.base)
            else:
                state.keys[actor] = self._key(actor)
        if len(state.keys) < len(state.states):
            state.keys = {actor: self._key(actor) for actor in state.states}
            state.history_key = self.memo.history_key(state.history, state.base)
        if UPSTREAM_TO_PROXY in state.closed:
            state.timers = {which: timer for which, timer in state.timers.items() if which[0] != "upstream"}
        if state.states["user"].left and (self.direct or state.states["component"].closed):
            state.timers = {which: timer for which, timer in state.timers.items() if which[0] not in self._host}
        return state

    def number(self, key: Hashable) -> int:
        """Return a number for a key, equal for equal keys."""
        return self.memo.number(key)

    def _key(self, actor: str) -> int:
        return self.memo.actor_key(actor, self._state.states[actor], self._state.base)

    def new_turn(self, state: State) -> None:
        """Remove the history of the ended turn from a state."""
        counts = state.states["upstream"].counts
        state.base = state.base._replace(responses=counts.get("resp", 0), calls=counts.get("call", 0))
        self._begin(state)
        state.history = self.memo.next_turn(state.history)
        self._touched = {*state.states, "history"}
        state.watch = None
        self._end(state)

    def late(self, state: State) -> State:
        """Return a copy of the state in which the request for the response that has just begun was late."""
        other = state.copy()
        self._begin(other)
        self._note(turn=self.memo.late(state.history.turn))
        return self._end(other)

    # -- a message ---------------------------------------------------------------------------------------------------

    def _arrive(self, link: Link, flight: InFlightMessage) -> None:
        state = self._state
        self._had_effect = False
        if flight.kind == "(close)":
            state.closed |= {Link(link.receiver, link.sender)}
            code = flight.payload if isinstance(flight.payload, int) and flight.payload >= 0 else None
            if self._at_forwarder(link):
                self._call("forwarder", "closed", (link.sender, code))
            else:
                self._closed(link, code)
            self._settle_host()
            return
        payload: Any = flight.payload
        if link.receiver == "upstream":
            self._feed("proxy", payload, flight.origin)
        if self._at_forwarder(link):
            self._call("forwarder", "message", link.sender, payload)
        else:
            self._reach(link, payload)
        self._settle_host()
        if flight.moment is None and self._is_visible(link):
            self.mark_visible(link, flight)

    def _at_forwarder(self, link: Link) -> bool:
        return self._forwarded and link.sender == "component" and link.receiver == "proxy"

    def _closed(self, link: Link, code: int | None) -> None:
        """Notify an actor that its neighbour closed the connection."""
        if link.receiver == "proxy":
            self._note(gate=self.memo.timer_ended(self._state.history.gate, "closed"))
        self._call(link.receiver, "closed", (link.sender, code))

    def _reach(self, link: Link, payload: Payload) -> None:
        """Deliver a message of a wire, and note it in the history if it reaches the proxy."""
        history = self._state.history
        if link.receiver == "proxy":
            self._note(gate=self.memo.handled(history.gate, link.sender, payload))
            if link.sender == "component" and self.memo.message(payload, self._state.base)[0] == "InjectUserMessage":
                # The user observes the upstream link at the proxy, so its ledger is the proxy's.
                unfinished = self.memo.open_key(self._state.states["user"].ledger, self._state.base)
                self._note(host=history.host._replace(open_at_texts=(*history.host.open_at_texts, unfinished)))
        self._deliver(link, payload)

    def mark_visible(self, link: Link, flight: InFlightMessage) -> None:
        """Add a message to the visible messages.

        Raises:
            Visible: always.
        """
        self.visible.add((link, flight.key))
        raise Visible

    def _is_visible(self, link: Link) -> bool:
        """Return whether an invisible message had an effect."""
        if self._had_effect or link.receiver != "component":
            return self._had_effect
        changed = [actor for actor in self._host[:2] if actor in self._touched]
        return any(self._key(actor) != self._state.keys[actor] for actor in changed)

    def _deliver(self, link: Link, payload: Payload) -> None:
        self._call("proxy" if self.direct and link.receiver == "app" else link.receiver, "message", link.sender, payload)
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
        self._call("user", "observe", tuple(link), payload)

    # -- effects -----------------------------------------------------------------------------------------------------

    def _call(self, name: str, method: str, text: Hashable = None, payload: Payload | None = None) -> None:
        """Call an actor in its state of this step, and carry out the effects."""
        before = self._state.states[name]
        state, effects, *_ = self.memo.call(name, before, method, text, payload)
        if state is not before:
            self._state.states[name] = state
            self._touched.add(name)
        if effects:
            self.apply(name, effects)

    def cancel_timer(self, actor: str, name: str) -> None:
        if self._state.timers.pop((actor, name), None) is not None:
            self._had_effect = True

    def open(self, actor: str, to: str) -> None:
        """Open a connection as in `VirtualEngine`: renew proxy and upstream, and drop the messages in flight.

        With a forwarder, the component's connection renews them and starts the forwarder, which starts them at its opening.
        """
        state = self._state
        self._had_effect = True
        if actor == "forwarder":
            for name in RENEWED:
                self._call(name, "start")
            return
        renewed = (*RENEWED, "forwarder") if self._forwarded else RENEWED
        state.queues = dict.fromkeys(WIRES, ())
        state.closed = state.closed - {link for link in state.closed if "proxy" in link}
        state.timers = {which: timer for which, timer in state.timers.items() if which[0] not in renewed}
        for name in renewed:
            self._call(name, "renewed_state")
        for name in ("forwarder",) if self._forwarded else RENEWED:
            self._call(name, "start")

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
        if actor == "forwarder":
            self._reach(COMPONENT_TO_PROXY, payload)
            return
        if link in self._state.closed:
            return
        if link not in self._state.queues:
            self._local_send(link, payload)
            return
        origin: CreateOrigin | None = None
        if link.receiver == "upstream":
            gate, origin = self.memo.sent(self._state.history.gate, payload)
            self._note(gate=gate)
        elif actor == "upstream":
            self._feed("upstream", payload, None)
        elif link.receiver == "component" and isinstance(payload, dict):
            if payload.get("code") == realtime.ACTIVE_RESPONSE:
                self._note(host=self._state.history.host._replace(refused=True))
            elif payload.get("type") == "SettingsApplied":
                self._note(host=self._state.history.host._replace(applied=True))
        kind, key = self.memo.message(payload, self._state.base)
        sure = link.receiver == "upstream" or link.sender == "component"
        if not sure and link != UPSTREAM_TO_PROXY:
            key = kind
        visible = sure or (link, kind) in _VISIBLE or (link, key) in self.visible
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
        link = Link("proxy" if actor == "forwarder" else actor, to)
        if actor == "forwarder" and to == "proxy":
            self._closed(COMPONENT_TO_PROXY, code)
            return
        if self._forwarded and actor == "proxy" and to == "component":
            self._call("forwarder", "closed", ("proxy", code))
            return
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

    def _note(self, turn: Turn | None = None, gate: Attribution | None = None, host: AtHost | None = None) -> None:
        """Change a part of the history in this step."""
        old = self._state.history
        if gate is not old[1]:
            self._state.history = History(turn or old[0], gate or old[1], host or old[2])
            self._touched.add("history")

    def _feed(self, sender: str, payload: Payload, origin: CreateOrigin | None) -> None:
        """Add a message of the upstream link to the ledger when it is at the upstream."""
        turn, releases = self.memo.feed(self._state.history.turn, sender, payload, origin)
        if turn is not self._state.history.turn:
            self._note(turn=turn)
            if releases:
                self._state.watch = NEW
