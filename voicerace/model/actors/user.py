"""Model of the user. The user gives the next input when the previous turn is settled or its deadline has passed.

The user is the only actor that observes messages between other actors (`observe`): messages on the upstream link at the
proxy, and results at the component. In some releases the app's callbacks do not report what a person would hear or when a
turn is over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from voicerace.model.actors.actor import Cancel, Effects, Send, SetTimer
from voicerace.model.actors.stateful import StatefulActor
from voicerace.model.catalog.scenarios import ScriptedInput
from voicerace.model.protocol import realtime
from voicerace.model.protocol.ledger import Ledger
from voicerace.model.protocol.ledger_entries import Response
from voicerace.model.protocol.results import placeholder_in
from voicerace.trace.recording import Payload

__all__ = ["User", "UserState"]

#: Type of the message to the app, by `ScriptedInput.by`.
_VERBS: Final = {"voice": "speak", "stray": "stray"}


@dataclass
class UserState:
    """The state of the user.

    Attributes:
        said: number of inputs given so far.
        left: whether the user has left the session.
        ledger: ledger of the upstream link.
        own_results: number of the app's own results sent so far, by call id.
        responses_before: number of responses before the newest input.
        about_to_say: whether the timer of the next input (`inject_ms` or `offline_ms`) runs.
        offline: whether the connection is lost. The next input reopens it.
        words: number of text and speech inputs given so far.
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
        inputs: inputs in order. The last input tests whether the session still works.
        results_per_call: number of own results that the app sends for each call.
        comes_back: whether the user stays when the connection is closed, and reopens it with the next input, at the deadline.
        impatient: whether the user gives the first input after `unapplied_ms` even if SettingsApplied does not arrive.
        at_client: whether the user observes a client without a proxy, and does not know the results that crossed the server's
            decision to respond: a response of the server then knows the results that were confirmed before.
    """

    def __init__(
        self,
        inputs: Sequence[ScriptedInput],
        results_per_call: int = 1,
        *,
        comes_back: bool = False,
        impatient: bool = False,
        at_client: bool = False,
    ) -> None:
        super().__init__(UserState())
        self.inputs = tuple(inputs)
        self.results_per_call = results_per_call
        self.comes_back = comes_back
        self.impatient = impatient
        self.at_client = at_client

    def start(self) -> Effects:
        if self.inputs[0].when == "connected":
            return self._next()
        return (SetTimer("first", "unapplied_ms"),) if self.impatient else ()

    def message(self, sender: str, payload: Payload) -> Effects:
        return ()

    def timer(self, name: str) -> Effects:
        """Give the next input when it is due (`say`), or when the turn did not settle in time (`deadline`)."""
        self.state.about_to_say = False
        return self._next()

    def observe(self, sender: str, receiver: str, payload: Payload, seq: int) -> Effects:
        """Handle message number `seq` between other actors, observed at the proxy (upstream link) or the component."""
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
            # Responses before the commit of speech are not replies to that speech.
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
        """Return the number of replies after the newest input that were heard at least in part."""
        since = list(self.state.ledger.responses.values())[self.state.responses_before :]
        return sum(response.message and not response.calls and response.heard is not None for response in since)

    def _callback(self, fields: Mapping[str, Any]) -> Effects:
        kind = fields.get("type")
        if kind == "onSettingsApplied" and self.state.said == 0:
            return (Cancel("first"), *self._next()) if self.impatient else self._next()
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
        """Return whether the newest input has an informed, heard reply and no result or input is pending.

        The caller checks that no response is in progress.
        """
        ledger = self.state.ledger
        if len(ledger.responses) == self.state.responses_before:
            return False
        # An input that is missing in the ledger is uncommitted speech: the user still speaks.
        if len(ledger.inputs) < self.state.words or any(output.waits for output in ledger.outputs):
            return False
        calls = ledger.calls
        if any(self.state.own_results.get(call, 0) < self.results_per_call for call in calls):
            return False
        since = list(ledger.responses.values())[self.state.responses_before :]
        if self.state.said == len(self.inputs) and ledger.inputs:
            # A response whose request was sent before the last input does not answer that input.
            last = ledger.inputs[-1].key
            since = [r for r in since if ledger.beginning(r) >= last]
        return any(r.message and not r.calls and r.heard is not None and self._informed(r, calls) for r in since)

    def _informed(self, response: Response, calls: list[str]) -> bool:
        outputs, before = self.state.ledger.outputs, response.outputs_before
        if self.at_client and response.create is None:
            before = sum(each.confirmed is not None and each.confirmed < response.decided.key for each in outputs[:before])
        return self.state.ledger.informed(response, calls, before)

    def _next(self) -> Effects:
        """Give the next input, or leave the session after the last input."""
        state = self.state
        if state.said == len(self.inputs):
            state.left = True
            return (Send("app", {"type": "leave"}), Cancel("deadline"))
        next_input = self.inputs[state.said]
        state.said += 1
        state.offline = next_input.by == "loss"
        if state.offline:
            return (Send("app", {"type": "lose"}), Cancel("deadline"))
        state.words += next_input.by != "stray"
        state.responses_before = len(state.ledger.responses)
        verb = _VERBS.get(next_input.by, "say")
        effects = (Send("app", {"type": verb, "text": next_input.text}), SetTimer("deadline", "deadline_ms"))
        state.about_to_say = state.said < len(self.inputs) and self.inputs[state.said].when == "soon"
        return (*effects, SetTimer("say", "inject_ms", state.said - 1)) if state.about_to_say else effects
