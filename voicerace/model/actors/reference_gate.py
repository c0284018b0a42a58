"""The reference gate: decides when a proxy may send `response.create`, so that the proxy causes no bad outcome in any order.

It follows the slot by the server's events and ids, and queues the reasons for a response until a request is allowed. Each
rule can be removed (`model.catalog.gate_rules.RULES`), to show that it is needed. The proxy around the gate maps messages
as its row says.

Limits of every gate: if the component sends its default error before the result, the reply does not know the result; and
where the server begins responses by itself (server VAD), a create in flight at that time is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voicerace.model.catalog.gate_rules import Rule
from voicerace.model.protocol import realtime

__all__ = ["Gate", "GateState"]

#: User text in `unconfirmed`, which names results by their call.
_TEXT = "user text"


@dataclass
class GateState:
    """The state of the gate for one connection.

    Attributes:
        active: the response that holds the slot according to the server; empty when the slot is free.
        knows: all that was sent so far had been confirmed when `active` was announced.
        over: the last response that is done; a refusal may still name it if the slot becomes free later.
        refused: a create was refused, and the response in its way is not done yet.
        asked: a create is unanswered; `asked_for` has its `wishes` and `given`.
        wishes: user inputs that need a response: ``text``, ``audio``.
        given: for each result that needs a response, the response with its call.
        open: unanswered calls -> their response; `answered`: answered calls -> their response.
        unconfirmed: sent items that the server has not confirmed.
    """

    active: str = ""
    knows: bool = False
    over: str = ""
    refused: bool = False
    asked: bool = False
    asked_for: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    wishes: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    open: dict[str, str] = field(default_factory=dict)
    answered: dict[str, str] = field(default_factory=dict)
    unconfirmed: set[str] = field(default_factory=set)


class Gate:
    """Follows the messages. Each method returns the number of creates to send now.

    Args:
        rules: the rules that apply.
        state: the state, which the methods change.
    """

    def __init__(self, rules: frozenset[Rule], state: GateState) -> None:
        self.rules = rules
        self.state = state

    # -- from the host -----------------------------------------------------------------------------------------------

    def result(self, call_id: str) -> int:
        """The result of a call was passed on. A result of an unknown call, or a second result, needs no response."""
        state = self.state
        state.unconfirmed.add(call_id)
        state.knows = False
        if call_id in state.open:
            state.answered[call_id] = state.open.pop(call_id)
            state.given += (state.answered[call_id],)
        elif call_id in state.answered and "once" not in self.rules:
            state.given += (state.answered[call_id],)
        return self._due() if "at_once" in self.rules else 0

    def user_input(self, kind: str) -> int:
        """User input of a kind, ``text`` or ``audio``, was passed on."""
        self.state.knows = False
        if kind == "text":
            self.state.unconfirmed.add(_TEXT)
        self.state.wishes += (kind,)
        return self._due()

    # -- from the server ---------------------------------------------------------------------------------------------

    def event(self, event: Mapping[str, Any]) -> int:
        """An event of the server arrived."""
        state, kind = self.state, event.get("type")
        match kind:
            case realtime.RESPONSE_CREATED:
                self._created(realtime.response_of(event))
            case realtime.RESPONSE_DONE:
                self._done(str(realtime.response_of(event).get("id")))
            case realtime.TEXT_DONE | realtime.AUDIO_DONE if "server_events" not in self.rules:
                state.active = ""
            case realtime.OUTPUT_ADDED:
                item = realtime.item_of(event)
                if item.get("type") == "function_call" and (call := str(item.get("call_id"))) not in state.answered:
                    state.open[call] = str(event.get("response_id"))
            case realtime.ITEM_ADDED | realtime.ITEM_CREATED | realtime.ITEM_DONE:
                item = realtime.item_of(event)
                if item.get("type") == "function_call_output":
                    state.unconfirmed.discard(str(item.get("call_id")))
                elif item.get("role") == "user":
                    state.unconfirmed.discard(_TEXT)
            case realtime.ERROR:
                self._error(event)
            case _:
                return 0
        return self._due() if "at_once" in self.rules or kind == realtime.RESPONSE_DONE else 0

    def _created(self, response: Mapping[str, Any]) -> None:
        if response.get("conversation_id", "") is None:
            return  # out of band: it does not take the slot
        state = self.state
        state.active = str(response.get("id"))
        state.knows = not state.unconfirmed
        if not state.asked and state.knows and "unless_known" in self.rules:
            # The server began it and knows all that was confirmed before, so these results and text need no create.
            state.given, state.wishes = (), tuple(each for each in state.wishes if each != "text")
        state.asked = False

    def _done(self, response_id: str) -> None:
        state = self.state
        state.over = response_id
        if state.active == response_id:
            state.active, state.refused = "", False

    def _error(self, event: Mapping[str, Any]) -> None:
        """Handle an error, which may answer a create. Retry a refused create, unless the response in its way is informed."""
        state, error = self.state, realtime.error_of(event)
        state.unconfirmed = {each for each in state.unconfirmed if each not in str(error.get("message"))}
        if not realtime.is_refusal(event):
            # An error that names no client event may still be the answer; the next input then sends a new create.
            if error.get("event_id") in (realtime.CREATE_ID, None):
                state.asked = False
            return
        (wishes, given), state.asked_for, state.asked = state.asked_for, ((), ()), False
        holder = realtime.response_named_by(event)
        announced = holder is None or state.active == holder
        if holder is not None and holder != state.over:
            state.active, state.refused = holder, True
        known = announced and state.knows and "unless_known" in self.rules
        if "retry" in self.rules and not known:
            state.wishes, state.given = wishes + state.wishes, given + state.given

    # -- the decision ------------------------------------------------------------------------------------------------

    def _due(self) -> int:
        """Return the number of creates to send now."""
        state = self.state
        busy = state.active or state.asked if "when_free" in self.rules else state.refused
        if busy:
            return 0
        waiting = set(state.open.values()) if "every_call" in self.rules else set()
        ready = tuple(each for each in state.given if each not in waiting)
        wanted = len(state.wishes) + len(ready)
        if not wanted:
            return 0
        state.asked, state.asked_for = True, (state.wishes, ready)
        state.wishes, state.given = (), tuple(each for each in state.given if each in waiting)
        return 1 if "coalesce" in self.rules else wanted
