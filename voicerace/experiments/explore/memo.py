"""Remembers what each actor and the history did in each state, because most steps repeat the work of other orders.

Orders of events that are independent of each other lead to the same states of the actors. States and messages are never
changed, so a call is known by the identity of the state and of the arguments. The memo keeps a reference to both, so an
identity is never reused. It depends on the session only, not on the visible messages, and is shared by all searches of one
exploration.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import partial
from typing import Any

from voicerace.engine.session import SessionConfig
from voicerace.experiments.explore.attribution import Attribution, CreateOrigin, attribution_for
from voicerace.experiments.explore.keys import KEYS, Base, client_key, kind_of, message_key, open_key, proxy_key, shown_key
from voicerace.experiments.explore.state import AtHost, History, Turn
from voicerace.model.actors.actor import Effect
from voicerace.model.actors.stateful import copied
from voicerace.model.catalog.workarounds import WORKAROUNDS
from voicerace.model.protocol.ledger import Ledger
from voicerace.trace.recording import Payload

__all__ = ["Memo"]

#: Number of states with the same key that a new state is compared with.
_ALIKE = 4


class Memo:
    """The known calls of one session.

    Args:
        session: configuration with the actors.
    """

    def __init__(self, session: SessionConfig) -> None:
        #: The row of the proxy or client. Its attribution takes only rows of this kind.
        self.release: Any = session.release
        #: The actors in their initial states.
        self.actors: dict[str, Any] = dict(session.actors())
        spoken = any(each.by == "voice" for each in session.scenario.inputs)
        own_key = client_key if session.client else partial(proxy_key, flag=spoken)
        self._keys: dict[str, Callable[[Any, Base], Hashable]] = {**KEYS, "proxy": own_key}
        if session.workaround is not None and WORKAROUNDS[session.workaround].listens:
            self._keys["component"] = shown_key
            self._keys["proxy"] = partial(proxy_key, flag=spoken, shown=True)
        if session.idle_close:  # The idle timeout depends on displayed values.
            self._keys["proxy"] = partial(proxy_key, flag=spoken, shown=True)
        #: The history at the start.
        self.first = History(Turn(), attribution_for(session.release))
        self._calls: dict[tuple[object, ...], tuple[Any, tuple[Effect, ...], Any, tuple[Any, ...]]] = {}
        self._changes: dict[tuple[object, ...], tuple[Any, Any, Any, Any]] = {}
        self._alike: dict[tuple[object, ...], list[Any]] = {}
        self._numbers: dict[Hashable, int] = {}
        self._actor_keys: dict[tuple[int, Base], tuple[int, Any]] = {}
        self._new_turns: dict[bool, Turn] = {}
        self._turn_keys: dict[tuple[int, Base], tuple[int, Turn]] = {}
        self._messages: dict[tuple[int, Base], tuple[str, Hashable, Payload]] = {}
        self._open_keys: dict[tuple[int, Base], tuple[Hashable, Ledger]] = {}
        #: Number of messages in the ledger of each state of the user, by identity.
        self._observed: dict[int, int] = {}

    def number(self, key: Hashable) -> int:
        """Return a number for a key, equal for equal keys."""
        return self._numbers.setdefault(key, len(self._numbers))

    # -- actors ------------------------------------------------------------------------------------------------------

    def call(self, name: str, state: Any, method: str, text: Hashable = None, payload: Payload | None = None) -> Any:
        """Return the state of an actor after a call, and the effects of the call.

        Args:
            name: name of the actor.
            state: its state; not changed.
            method: name of the method: ``start``, ``timer``, ``closed``, ``message``, ``observe``, or ``renewed_state``.
            text: name of the timer, or the sender; for ``closed`` sender and code, for ``observe`` sender and receiver.
            payload: the message.
        """
        key = (id(state), method, text, id(payload), name)
        found = self._calls.get(key)
        if found is None:
            found = self._calls[key] = (*self._called(name, state, method, text, payload), state, (payload,))
        return found

    def _called(self, name: str, state: Any, method: str, text: Any, payload: Any) -> tuple[Any, tuple[Effect, ...]]:
        actor = self.actors[name].with_state(copied(state))
        if method == "renewed_state":
            return actor.renewed_state(), ()
        observed = 0
        match method:
            case "start":
                effects = actor.start()
            case "timer":
                effects = actor.timer(text)
            case "closed":
                effects = actor.closed(*text)
            case "observe":
                observed = self._observed.get(id(state), 0) + 1
                effects = actor.observe(*text, payload, observed)
            case _:
                effects = actor.message(text, payload)
        new = self._known(name, state, actor.state)
        if method == "observe" and new is actor.state:
            self._observed[id(new)] = observed
        return new, tuple(effects)

    def _known(self, name: str, before: Any, state: Any) -> Any:
        """Return an equal state that is known, or the state."""
        if state == before:
            return before
        if name == "user":
            return state
        alike = self._alike.setdefault((name, self._keys[name](state, Base())), [])
        for each in alike:
            if each == state:
                return each
        if len(alike) < _ALIKE:
            alike.append(state)
        return state

    def actor_key(self, name: str, state: Any, base: Base) -> int:
        """Return the number of the key of an actor's state."""
        found = self._actor_keys.get((id(state), base))
        if found is None:
            found = self._actor_keys[id(state), base] = self.number((name, self._keys[name](state, base))), state
        return found[0]

    # -- messages ----------------------------------------------------------------------------------------------------

    def message(self, payload: Payload, base: Base) -> tuple[str, Hashable]:
        """Return kind and key of a message."""
        found = self._messages.get((id(payload), base))
        if found is None:
            found = self._messages[id(payload), base] = kind_of(payload), message_key(payload, base), payload
        return found[0], found[1]

    def open_key(self, ledger: Ledger, base: Base) -> Hashable:
        """Return `keys.open_key` of a ledger."""
        found = self._open_keys.get((id(ledger), base))
        if found is None:
            found = self._open_keys[id(ledger), base] = open_key(ledger, base), ledger
        return found[0]

    # -- the history -------------------------------------------------------------------------------------------------

    def feed(self, turn: Turn, sender: str, payload: Payload, origin: CreateOrigin | None) -> tuple[Turn, bool]:
        """Return the turn after a message at the upstream, and whether a request after a result may be released now."""
        kind = payload.get("type") if isinstance(payload, dict) else None
        if sender == "upstream" and kind not in Ledger.kinds:
            return turn, False
        key = (id(turn), id(payload), origin)
        found = self._changes.get(key)
        if found is None:
            found = self._changes[key] = (*_fed(turn, sender, payload, origin), turn, payload)
        return found[0], found[1]

    def handled(self, gate: Attribution, sender: str, payload: Payload) -> Attribution:
        """Return the attribution after a message to the proxy."""
        return self._gate(gate, (sender, id(payload)), payload, lambda new: new.handles(sender, payload))[0]

    def timer_ended(self, gate: Attribution, timer: str) -> Attribution:
        """Return the attribution after the end of a timer of the proxy."""
        return self._gate(gate, timer, None, lambda new: new.timer_ended(timer))[0]

    def sent(self, gate: Attribution, payload: Payload) -> tuple[Attribution, CreateOrigin | None]:
        """Return the attribution after a message of the proxy to the upstream, and the origin of a request."""
        return self._gate(gate, id(payload), payload, lambda new: new.sends(payload, self.release))

    def next_turn(self, history: History) -> History:
        """Return the history at the start of the next turn."""
        gate = copied(history.gate)
        gate.next_turn()
        configured = bool(history.turn.ledger.session_updates)
        turn = self._new_turns.setdefault(configured, Turn(Ledger(session_updates=[0] * configured)))
        return History(turn, self._one_of(gate), AtHost(applied=history.host.applied, replied=True))

    def late(self, turn: Turn) -> Turn:
        """Return the turn in which the newest request was late."""
        found = self._changes.get((id(turn), "late"))
        if found is None:
            new = replace(turn, late=(*turn.late, len(turn.ledger.creates) - 1))
            found = self._changes[id(turn), "late"] = new, None, turn, None
        late: Turn = found[0]
        return late

    def _gate(
        self, gate: Attribution, what: Hashable, payload: Payload | None, change: Callable[[Attribution], Any]
    ) -> tuple[Attribution, Any]:
        key = (id(gate), what)
        found = self._changes.get(key)
        if found is None:
            new = copied(gate)
            value = change(new)
            found = self._changes[key] = (gate if new == gate else self._one_of(new), value, gate, payload)
        return found[0], found[1]

    def _one_of(self, gate: Attribution) -> Attribution:
        """Return the known attribution that is equal."""
        content = tuple(tuple(each.items()) if isinstance(each, dict) else each for each in vars(gate).values())
        found: Attribution = self._alike.setdefault(content, [gate])[0]
        return found

    def history_key(self, history: History, base: Base) -> int:
        """Return the number of the key of a history."""
        turn = history.turn
        found = self._turn_keys.get((id(turn), base))
        if found is None:
            found = self._turn_keys[id(turn), base] = self.number(("turn", turn.key(base))), turn
        return self.number(("history", found[0], history.gate.key(self.release), history.host))


def _fed(turn: Turn, sender: str, payload: Payload, origin: CreateOrigin | None) -> tuple[Turn, bool]:
    ledger = copied(turn.ledger)
    ledger.feed(sender, payload, turn.fed + 1)
    if ledger == turn.ledger:
        return turn, False
    origins = [*turn.origins, origin] if len(ledger.creates) > len(turn.origins) else turn.origins
    releases = _releases(ledger) != _releases(turn.ledger) and any(output.own for output in ledger.outputs)
    return Turn(ledger, origins, turn.late, turn.fed + 1), releases


def _releases(ledger: Ledger) -> tuple[int, int, int]:
    """Return the numbers of events that can release a request after a result: results, confirmations, ended responses."""
    own = [output for output in ledger.outputs if output.own]
    confirmed = sum(output.confirmed is not None for output in own)
    return len(own), confirmed, sum(response.done is not None for response in ledger.responses.values())
