"""The user: gives each input of the scenario when the turn before it is settled or its deadline has passed.

The user is the only actor that observes links between other actors (`observe`): the upstream link at the proxy, and results
at the component. In some releases the app's callbacks do not show what a person would hear and when a turn is over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from voicerace.model.actors.actor import Cancel, Effects, Send, SetTimer
from voicerace.model.actors.stateful import StatefulActor
from voicerace.model.catalog.scenarios import ScriptedInput
from voicerace.model.protocol import realtime
from voicerace.model.protocol.ledger import Ledger
from voicerace.model.protocol.results import placeholder_in
from voicerace.trace.recording import Payload

__all__ = ["User", "UserState"]


@dataclass
class UserState:
    """The state of the user.

    Attributes:
        said, words: number of inputs given so far, and of those with text or speech.
        left: the user has left the session.
        ledger: the ledger of the upstream link.
        own_results: call id -> number of the app's own results that were sent.
        responses_before: number of responses before the newest input.
        about_to_say: the timer of the next input (`inject_ms` or `offline_ms`) runs.
        offline: the connection is lost, and the next input opens it again.
    """

    said: int = 0
    left: bool = False
    ledger: Ledger = field(default_factory=Ledger)
    own_results: dict[str, int] = field(default_factory=dict)
    responses_before: int = 0
    about_to_say: bool = False
    offline: bool = False
    words: int = 0


class User(StatefulActor[UserState]):
    """The person at the app.

    Args:
        inputs: the inputs in order; the last tests whether the session still works.
        results_per_call: number of own results that the app sends for each call.
        comes_back: a closed connection does not end the session; the next input opens it again, at the deadline.
    """

    def __init__(self, inputs: Sequence[ScriptedInput], results_per_call: int = 1, *, comes_back: bool = False) -> None:
        super().__init__(UserState())
        self.inputs = tuple(inputs)
        self.results_per_call = results_per_call
        self.comes_back = comes_back

    def start(self) -> Effects:
        return self._next() if self.inputs[0].when == "connected" else ()

    def message(self, sender: str, payload: Payload) -> Effects:
        return ()

    def timer(self, name: str) -> Effects:
        """Give the next input: the turn did not settle (`deadline`), or the input is due (`say`)."""
        self.state.about_to_say = False
        return self._next()

    def observe(self, sender: str, receiver: str, payload: Payload, seq: int) -> Effects:
        """Observe message `seq` between other actors, at the proxy (upstream link) or at the component (host link)."""
        state = self.state
        if state.left:
            return ()
        fields = payload if isinstance(payload, (dict, Mapping)) else {}
        if receiver == "app":
            return self._callback(fields)
        if sender == "component":
            return self._result(fields)
        ledger = state.ledger
        inputs = len(ledger.inputs)
        waits_for = None if state.about_to_say or state.said == len(self.inputs) else self.inputs[state.said].when
        heard = self._heard() if waits_for == "reply" else 0
        ledger.feed(sender, payload, seq)
        if len(ledger.inputs) > inputs:
            # Responses before the commit of speech are no replies to it.
            state.responses_before = len(ledger.responses)
        if sender != "upstream" or not isinstance(payload, (dict, Mapping)):
            return ()
        called = fields.get("type") == realtime.ARGUMENTS_DONE
        if (called and waits_for == "call") or (waits_for == "reply" and self._heard() > heard):
            state.about_to_say = True
            return (SetTimer("say", "inject_ms", state.said - 1), SetTimer("deadline", "deadline_ms"))
        if called and not state.own_results:
            return (SetTimer("deadline", "deadline_ms"),)
        if not state.about_to_say and not ledger.busy and self._settled():
            return self._next()
        return ()

    def _heard(self) -> int:
        """Return the number of replies to the newest input of which something was heard."""
        since = list(self.state.ledger.responses.values())[self.state.responses_before :]
        return sum(response.message and not response.calls and response.heard is not None for response in since)

    def _callback(self, fields: Mapping[str, Any]) -> Effects:
        kind = fields.get("type")
        if kind == "onSettingsApplied" and self.state.said == 0:
            return self._next()
        if kind == "onConnectionStateChange" and fields.get("state") == "closed":
            if self.state.offline:
                self.state.about_to_say = True
                return (SetTimer("say", "offline_ms"), Cancel("deadline"))
            if self.comes_back:
                self.state.offline = True
                return ()
            self.state.left = True
            return (Cancel("deadline"), Cancel("say"))
        return ()

    def _result(self, fields: Mapping[str, Any]) -> Effects:
        if fields.get("type") != "FunctionCallResponse" or placeholder_in(fields.get("content")) is not None:
            return ()
        call_id = str(fields.get("id"))
        self.state.own_results[call_id] = self.state.own_results.get(call_id, 0) + 1
        return (SetTimer("deadline", "deadline_ms"),)

    def _settled(self) -> bool:
        """Whether the newest input has an informed reply and no result or input is pending. No response may be in progress."""
        ledger = self.state.ledger
        if len(ledger.responses) == self.state.responses_before:
            return False
        # Until speech is committed, the user still speaks.
        if len(ledger.inputs) < self.state.words or any(output.waits for output in ledger.outputs):
            return False
        calls = ledger.calls
        if any(self.state.own_results.get(call, 0) < self.results_per_call for call in calls):
            return False
        since = list(ledger.responses.values())[self.state.responses_before :]
        return any(r.message and not r.calls and r.heard is not None and ledger.informed(r, calls) for r in since)

    def _next(self) -> Effects:
        """Give the next input, or leave after the last."""
        state = self.state
        if state.said == len(self.inputs):
            state.left = True
            return (Send("app", {"type": "leave"}), Cancel("deadline"))
        next_input = self.inputs[state.said]
        state.said += 1
        state.offline = next_input.by == "loss"
        if state.offline:
            return (Send("app", {"type": "lose"}), Cancel("deadline"))
        state.words += 1
        state.responses_before = len(state.ledger.responses)
        verb = "speak" if next_input.by == "voice" else "say"
        return (Send("app", {"type": verb, "text": next_input.text}), SetTimer("deadline", "deadline_ms"))
