"""The reference gate: when a proxy may ask for a response, so that no order of messages leads to a fault of its own.

It follows the slot by the server's own events and ids, and keeps what a response is wanted for until one may be asked.
Every rule can be taken away (`model.catalog.gate_rules.RULES`), which is how each is shown to be needed. It says when to send
the create and nothing else: the proxy around it maps messages as its row does.

What no gate can do: a reply that was asked for because the component sent an error first stays one that does not know
the result; and where the server begins responses by itself (server VAD), a create that is on its way then is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voicerace.model.catalog.gate_rules import Rule
from voicerace.model.protocol import realtime

__all__ = ["Gate", "GateState"]

#: `unconfirmed` names results by their call, and this for the user's text.
_TEXT = "user text"


@dataclass
class GateState:
    """What the gate remembers of one connection.

    Attributes:
        active: the response that holds the slot as far as the server has said; empty when it is free.
        knows: all that was sent until now had been confirmed when `active` was announced.
        over: the last response that is done: a refusal may still name it, where the slot is free later than that.
        refused: a create was refused, and what was in its way is not done yet.
        asked: a create is on its way, unanswered; `asked_for` is what it was for, `wishes` and `given`.
        wishes: the user's words that want a response: ``text``, ``audio``.
        given: the response of each call whose result wants one.
        open: calls that nobody has answered -> their response; `answered`: calls that somebody has.
        unconfirmed: what was sent that the server has not confirmed.
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
    """Takes what passes, and tells each time how many creates go out now.

    Args:
        rules: those that hold.
        state: what it remembers; it is changed.
    """

    def __init__(self, rules: frozenset[Rule], state: GateState) -> None:
        self.rules = rules
        self.state = state

    # -- from the host -----------------------------------------------------------------------------------------------

    def result(self, call_id: str) -> int:
        """The result of a call was passed on. One of a call that nobody made, or a second one, wants no response."""
        state = self.state
        state.unconfirmed.add(call_id)
        state.knows = False
        if call_id in state.open:
            state.answered[call_id] = state.open.pop(call_id)
            state.given += (state.answered[call_id],)
        elif call_id in state.answered and "once" not in self.rules:
            state.given += (state.answered[call_id],)
        return self._due() if "at_once" in self.rules else 0

    def words(self, by: str) -> int:
        """The user's ``text`` or ``audio`` was passed on."""
        self.state.knows = False
        if by == "text":
            self.state.unconfirmed.add(_TEXT)
        self.state.wishes += (by,)
        return self._due()

    # -- from the server ---------------------------------------------------------------------------------------------

    def event(self, event: Mapping[str, Any]) -> int:
        """An event came in."""
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
            return  # out of band: it takes no slot
        state = self.state
        state.active = str(response.get("id"))
        state.knows = not state.unconfirmed
        if not state.asked and state.knows and "unless_known" in self.rules:
            # The server's own: it knows all that was confirmed before it, so nobody has to ask for that again.
            state.given, state.wishes = (), tuple(each for each in state.wishes if each != "text")
        state.asked = False

    def _done(self, response_id: str) -> None:
        state = self.state
        state.over = response_id
        if state.active == response_id:
            state.active, state.refused = "", False

    def _error(self, event: Mapping[str, Any]) -> None:
        """The answer to a create may be an error: a refusal is asked again, unless what was in the way knows already."""
        state, error = self.state, realtime.error_of(event)
        state.unconfirmed = {each for each in state.unconfirmed if each not in str(error.get("message"))}
        if not realtime.is_refusal(event):
            # An error that names no event of ours may still be the answer; the next wish then asks anew.
            if error.get("event_id") in (realtime.CREATE_ID, None):
                state.asked = False
            return
        (wishes, given), state.asked_for, state.asked = state.asked_for, ((), ()), False
        in_the_way = realtime.response_named_by(event)
        announced = in_the_way is None or state.active == in_the_way
        if in_the_way is not None and in_the_way != state.over:
            state.active, state.refused = in_the_way, True
        known = announced and state.knows and "unless_known" in self.rules
        if "retry" in self.rules and not known:
            state.wishes, state.given = wishes + state.wishes, given + state.given

    # -- the decision ------------------------------------------------------------------------------------------------

    def _due(self) -> int:
        """How many creates go out at this moment."""
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
