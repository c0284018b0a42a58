"""The reference gate: decides when a proxy may send `response.create`, so that the proxy does not cause a bad outcome.

The gate tracks the slot by the server's events and ids. It queues results and user inputs that need a response until a
request is allowed. Each rule (`model.catalog.gate_rules.RULES`) can be removed to test that it is needed.

No gate can prevent three cases. If the component sends its default error before the result, the reply is not based on the
result. If the server starts a response by itself (server VAD), a request in flight at that time is refused. If the API refuses
a result before the response.done of its call (`Knobs.function_output`, a claim), the result is lost: the gate decides about
requests only, and the proxy passes on a result when it comes and does not keep it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voicerace.model.catalog.gate_rules import Rule
from voicerace.model.protocol import input_audio, realtime

__all__ = ["Gate", "GateState"]

#: Entry for user text in `GateState.unconfirmed`. The other entries are call ids of results.
_TEXT = "user text"


@dataclass
class GateState:
    """The state of the gate for one connection.

    Attributes:
        active: id of the response that holds the slot according to the server's events, or empty if the slot is free.
        knows: whether the server had confirmed all items sent so far when it announced the response `active`.
        decided: whether the server had confirmed all items sent so far when it last decided to start a response by itself.
        over: id of the last response that is done. A refusal can name it if the slot becomes free later.
        refused: whether a request was refused because of a response that is not done yet.
        paused: whether a request was refused because of a response that is done. No event announces when the slot becomes
            free, so the proxy calls `Gate.resume` after `gate_retry_ms`.
        asked: number of unanswered requests.
        asked_for: (`wishes`, `given`) that the unanswered requests cover.
        wishes: user inputs that need a response, in order, each ``text`` or ``audio``.
        given: id of the response with the call, for each result that needs a response, in order.
        open: id of the response with the call, by call id, for calls without a result.
        answered: id of the response with the call, by call id, for calls with a result.
        unconfirmed: sent items that the server has not confirmed: call ids of results, and `_TEXT`.
    """

    active: str = ""
    knows: bool = False
    decided: bool = False
    over: str = ""
    refused: bool = False
    paused: bool = False
    asked: int = 0
    asked_for: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    wishes: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    open: dict[str, str] = field(default_factory=dict)
    answered: dict[str, str] = field(default_factory=dict)
    unconfirmed: set[str] = field(default_factory=set)


class Gate:
    """The rules of the gate. Each method changes the state and returns the number of requests to send now.

    Args:
        rules: names of the rules that apply.
        state: state of the connection.
    """

    def __init__(self, rules: frozenset[Rule], state: GateState) -> None:
        self.rules = rules
        self.state = state

    # -- from the host -----------------------------------------------------------------------------------------------

    def result(self, call_id: str) -> int:
        """Handle a result that was sent to the API. A second result, or one for an unknown call, needs no response."""
        state = self.state
        state.unconfirmed.add(call_id)
        state.knows = state.decided = False
        if call_id in state.open:
            state.answered[call_id] = state.open.pop(call_id)
            state.given += (state.answered[call_id],)
        elif call_id in state.answered and "once" not in self.rules:
            state.given += (state.answered[call_id],)
        return self._due() if "at_once" in self.rules else 0

    def user_input(self, kind: str) -> int:
        """Handle user input that was sent to the API. `kind` is ``text`` or ``audio``."""
        self.state.knows = self.state.decided = False
        if kind == "text":
            self.state.unconfirmed.add(_TEXT)
        self.state.wishes += (kind,)
        return self._due()

    def resume(self) -> int:
        """End the pause after a refusal."""
        self.state.paused = False
        return self._due()

    # -- from the server ---------------------------------------------------------------------------------------------

    def event(self, event: Mapping[str, Any]) -> int:
        """Handle an event from the server."""
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
            case realtime.ARGUMENTS_DONE if (call := str(event.get("call_id"))) not in {*state.open, *state.answered}:
                # Some servers do not send output_item.added.
                state.open[call] = str(event.get("response_id"))
            case realtime.ITEM_ADDED | realtime.ITEM_CREATED | realtime.ITEM_DONE:
                item = realtime.item_of(event)
                if item.get("type") == "function_call_output":
                    state.unconfirmed.discard(str(item.get("call_id")))
                elif item.get("role") == "user":
                    state.unconfirmed.discard(_TEXT)
            case realtime.ERROR:
                self._error(event)
            case input_audio.COMMITTED | input_audio.TIMEOUT_TRIGGERED:
                # With server VAD, the server decides here which items its response covers. It announces the response later.
                state.decided = not state.unconfirmed
                return 0
            case _:
                return 0
        return self._due() if "at_once" in self.rules or kind == realtime.RESPONSE_DONE else 0

    def _created(self, response: Mapping[str, Any]) -> None:
        if response.get("conversation_id", "") is None:
            return  # An out-of-band response does not take the slot.
        state = self.state
        state.active = str(response.get("id"))
        state.knows = not state.unconfirmed if state.asked else state.decided
        if not state.asked and state.knows and "unless_known" in self.rules:
            # The server started the response after it had confirmed all items, so the response covers these inputs.
            state.given, state.wishes = (), tuple(each for each in state.wishes if each != "text")
        state.asked = max(state.asked - 1, 0)

    def _done(self, response_id: str) -> None:
        state = self.state
        state.over = response_id
        if state.active == response_id:
            state.active, state.refused = "", False

    def _error(self, event: Mapping[str, Any]) -> None:
        """Handle an error. Queue a refused request again unless the active response covers its inputs."""
        state, error = self.state, realtime.error_of(event)
        state.unconfirmed = {each for each in state.unconfirmed if each not in str(error.get("message"))}
        if not realtime.is_refusal(event):
            # An error without a client event id can answer the request. The next input causes a new request.
            if error.get("event_id") in (realtime.CREATE_ID, None):
                state.asked = 0
            return
        if not state.asked:
            # `_created` treated the announced response as the answer to the request, but the server had started it.
            state.knows = state.decided
        (wishes, given), state.asked_for, state.asked = state.asked_for, ((), ()), max(state.asked - 1, 0)
        holder = realtime.response_named_by(event)
        announced = holder is None or state.active == holder
        if holder is not None and holder != state.over:
            state.active, state.refused = holder, True
        elif holder is not None:
            state.paused = True
        known = announced and state.knows and "unless_known" in self.rules
        if "retry" in self.rules and not known:
            state.wishes, state.given = wishes + state.wishes, given + state.given

    # -- the decision ------------------------------------------------------------------------------------------------

    def _due(self) -> int:
        """Return the number of requests to send now. Move the inputs that they cover to `asked_for`."""
        state = self.state
        busy = state.active or state.asked if "when_free" in self.rules else state.refused
        if busy or state.paused:
            return 0
        waiting = set(state.open.values()) if "every_call" in self.rules else set()
        ready = tuple(each for each in state.given if each not in waiting)
        wanted = len(state.wishes) + len(ready)
        if not wanted:
            return 0
        sent = 1 if "coalesce" in self.rules else wanted
        state.asked, state.asked_for = state.asked + sent, (state.wishes, ready)
        state.wishes, state.given = (), tuple(each for each in state.given if each in waiting)
        return sent
