"""The books of the upstream link: which create began which response, which was refused, and what each knew.

Fed one event after the other, as they pass one place (the upstream, or the proxy), it pairs every `response.create`
with its answer from the wire alone, because a customer's log has nothing else. The rules:

- accepted creates are announced in the order they were sent, and so are refusals;
- a refusal names the response in the way. If that one is announced already, the oldest unanswered create was refused.
  If not, the oldest unanswered create began it, and the next one was refused;
- an event that comes twice says what it says once;
- what the user said by voice came in with the client's own commit, where there was one: its news may pass behind a create;
- a second `session.created` is another connection's: what was not answered on the one before never is, and the new
  session knows none of its calls and results;
- a refusal that finds no unanswered create, and names a response that was paired with one, shows that this response
  was the server's own (server VAD) and the create in question is the refused one;
- a response of the server's own knows what had been accepted when the server decided on it: at the end of speech
  (`input_audio_buffer.committed` without a commit of the client's) or at `input_audio_buffer.timeout_triggered`, or, where
  a response or a create was open then, at the `response.done` that freed the slot. `response.created` is its news only.
  What stays hidden: a decision after `response.done` because the slot was not free yet (`slot_lag_ms`).

The verdict reads it over a whole recording; the user of a session reads it as the session goes on. Small enough to be
copied and compared; keys are whatever the feeder calls its events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from voicerace.model.protocol import input_audio, realtime
from voicerace.model.protocol.ledger_entries import Create, Decision, Output, Response, UserInput
from voicerace.model.protocol.results import placeholder_in
from voicerace.trace.recording import Payload

__all__ = ["Create", "Decision", "Ledger", "Output", "Response", "UserInput"]


@dataclass
class Ledger:
    """See the module's text. All lists are in the order of passing.

    Attributes:
        decision: of the server, on a response that is not announced yet.
        held: the end of a turn of the user's at which the slot was not free: the server's response waits, or is dropped.
        idled: `decision` is the idle timeout's, and its commit is still to come.
    """

    outputs: list[Output] = field(default_factory=list)
    creates: list[Create] = field(default_factory=list)
    responses: dict[str, Response] = field(default_factory=dict)
    inputs: list[UserInput] = field(default_factory=list)
    session_updates: list[int] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)
    connections: int = 0
    decision: Decision | None = None
    held: Decision | None = None
    idled: bool = False
    _opened_by: str | None = None
    _known_from: int = 0
    _calls_from: int = 0
    _speech: int | None = None
    _confirming: set[str] = field(default_factory=set)
    _errors: set[str] = field(default_factory=set)
    _commits: list[int] = field(default_factory=list)

    def feed(self, sender: str, payload: Payload, key: int) -> None:
        """Take in one message of the upstream link."""
        if not isinstance(payload, (dict, Mapping)):
            return
        if sender == "proxy":
            self._client(payload, key)
            return
        kind = payload.get("type")
        rule = self._rules.get(kind) if isinstance(kind, str) else None
        if rule is not None:
            rule(self, payload, key)

    # -- questions ---------------------------------------------------------------------------------------------------

    @property
    def active(self) -> list[Response]:
        """Responses announced and not done."""
        return [response for response in self.responses.values() if response.done is None]

    @property
    def busy(self) -> bool:
        """Whether a response is active or a create unanswered."""
        # Asked at every event: the newest first, because it is the one, and no generator.
        for response in reversed(self.responses.values()):
            if response.done is None:
                return True
        return bool(self.unanswered)

    @property
    def unanswered(self) -> list[Create]:
        return [create for create in self.creates if create.answer == "none"]

    @property
    def calls(self) -> list[str]:
        """Function calls of the newest connection, by id."""
        responses = [*self.responses.values()][self._calls_from :]
        return [call for response in responses for call in response.calls]

    def informed(self, response: Response, calls: list[str], outputs: int | None = None) -> bool:
        """Whether the app's own result of every one of `calls` was accepted before the response began.

        Args:
            outputs: how many outputs had passed then, where it is not `Response.outputs_before`.
        """
        before = self.outputs[response.known_from : response.outputs_before if outputs is None else outputs]
        known = {output.call_id for output in before if output.own and not output.refused}
        return known.issuperset(calls)

    # -- feeding -----------------------------------------------------------------------------------------------------

    def _client(self, event: Mapping[str, Any], key: int) -> None:
        match event.get("type"):
            case realtime.SESSION_UPDATE:
                self.session_updates.append(key)
            case realtime.ITEM_CREATE:
                item = realtime.item_of(event)
                if item.get("type") == "function_call_output":
                    placeholder = placeholder_in(item.get("output"))
                    sender = None if placeholder is None else placeholder.sender
                    self.outputs.append(Output(key, _name(item.get("call_id")) or "", sender))
                elif item.get("role") == "user":
                    self.inputs.append(UserInput(key, _text(item), key))
            case input_audio.COMMIT:
                self._commits.append(key)
            case realtime.RESPONSE_CREATE:
                asked = event.get("response")
                if not (isinstance(asked, Mapping) and asked.get("conversation") == "none"):
                    self.creates.append(Create(key, len(self.outputs)))

    def _response(self, event: Mapping[str, Any]) -> Response | None:
        """The response of whose content an event tells."""
        return self.responses.get(str(event.get("response_id")))

    def _item_added(self, event: Mapping[str, Any], key: int) -> None:
        response = self._response(event)
        if response is None:
            return
        item = realtime.item_of(event)
        if item.get("type") == "function_call":
            call_id = _name(item.get("call_id"))
            if call_id is not None and call_id not in response.calls:
                response.calls.append(call_id)
        elif item.get("type") == "message":
            response.message = True

    def _call_complete(self, event: Mapping[str, Any], key: int) -> None:
        response = self._response(event)
        if response is not None:
            response.calls_done.append(key)

    def _heard(self, event: Mapping[str, Any], key: int) -> None:
        """Some of a reply's text or audio."""
        response = self._response(event)
        if response is None or response.heard is not None:
            return
        if event.get("delta") or event.get("text") or event.get("transcript"):
            response.heard = key

    def _ended(self, event: Mapping[str, Any], key: int) -> None:
        body = realtime.response_of(event)
        ended = self.responses.get(str(body.get("id")))
        if ended is not None and ended.done is None:
            ended.done = key
            ended.status = _name(body.get("status"))
            ended.reason = _reason(body.get("status_details"))
            if self.held is not None and not self.busy:
                self.decision, self.held = Decision(key, len(self.outputs)), None

    def _heard_speech(self, event: Mapping[str, Any], key: int) -> None:
        if event["type"] == input_audio.SPEECH_STARTED:
            self._speech = key
            return
        if self._commits:
            came_in = self._commits.pop(0)
        else:
            came_in = key
            self._turn_ended(key)
        self.inputs.append(UserInput(came_in, None, came_in if self._speech is None else self._speech))
        self._speech = None

    def _idle(self, event: Mapping[str, Any], key: int) -> None:
        """Only a free slot runs into the idle timeout; the commit that follows belongs to it."""
        self.decision, self.held, self.idled = Decision(key, len(self.outputs)), None, True

    def _turn_ended(self, key: int) -> None:
        """The server has committed the user's audio, and decides on its response."""
        decision = Decision(key, len(self.outputs))
        if self.idled and self.decision is not None:
            # The commit is the input that the response answers: the response begins there, not before it.
            self.decision, self.idled = Decision(key, self.decision.outputs), False
        elif self.busy:
            self.held = decision
        else:
            # One that was never announced, the server has dropped: recorded sessions have the news within 2 ms.
            self.decision = decision

    def _connected(self, event: Mapping[str, Any], key: int) -> None:
        """A connection has begun; what the one before left open stays so."""
        event_id = event.get("event_id")
        if isinstance(event_id, str) and event_id == self._opened_by:
            return
        self._opened_by = event_id if isinstance(event_id, str) else None
        self.connections += 1
        if self.connections == 1:
            return
        for response in self.active:
            response.done, response.status, response.reason = key, "incomplete", "connection_closed"
        for create in self.unanswered:
            create.answer, create.answered = "closed", key
        for output in self.outputs:
            if output.waits:
                output.lost = key
        self._known_from, self._calls_from = len(self.outputs), len(self.responses)
        self.decision = self.held = None
        self.idled = False

    def _created(self, event: Mapping[str, Any], key: int) -> None:
        body = realtime.response_of(event)
        if body.get("conversation_id", "") is None:
            return  # out of band
        response_id = str(body.get("id"))
        if response_id in self.responses:
            return
        # Where no audio event tells of the decision, its news is all there is.
        decided = self.decision or Decision(key, len(self.outputs))
        self.decision, self.idled = None, False
        index = next((i for i, create in enumerate(self.creates) if create.answer == "none"), None)
        before = decided.outputs
        if index is not None:
            create = self.creates[index]
            create.answer, create.answered, create.names = "response", key, response_id
            before = create.outputs_before
        self.responses[response_id] = Response(response_id, key, index, before, decided, self._known_from)

    def _error(self, event: Mapping[str, Any], key: int) -> None:
        error = realtime.error_of(event)
        event_id = event.get("event_id")
        if isinstance(event_id, str):
            if event_id in self._errors:
                return
            self._errors.add(event_id)
        if realtime.is_refusal(event):
            self.refusals.append(key)
            if (create := self._refused(realtime.response_named_by(event))) is not None:
                create.answer, create.answered = "refused", key
                create.names = realtime.response_named_by(event)
                self._taken_by(create)
        elif error.get("code") == input_audio.COMMIT_EMPTY:
            del self._commits[:1]
        elif error.get("code") == "invalid_tool_call_id":
            text = str(error.get("message"))
            waiting = (output for output in self.outputs if output.waits)
            if (output := next((each for each in waiting if f"'{each.call_id}'" in text), None)) is not None:
                output.refused = True
        elif self.unanswered and _may_answer_create(error):
            create = self.unanswered[0]
            create.answer, create.answered, create.error_type = "error", key, _name(error.get("type"))

    def _refused(self, in_the_way: str | None) -> Create | None:
        """The create that a refusal answers, by the rules of the module's text."""
        waiting = self.unanswered
        known = self.responses.get(in_the_way or "")
        if not waiting:
            if known is None or known.create is None or known.done is not None:
                return None
            mistaken = self.creates[known.create]
            known.create, known.outputs_before = None, known.decided.outputs
            return mistaken
        if known is None and in_the_way is not None and len(waiting) > 1:
            return waiting[1]
        return waiting[0]

    def _taken_by(self, refused: Create) -> None:
        """A refused create shows who had the slot: the server's own turn, where nothing else was open."""
        if self.held is not None and not self.busy and refused.names not in self.responses:
            self.decision, self.held = self.held, None

    def _confirmed(self, event: Mapping[str, Any], key: int) -> None:
        item = realtime.item_of(event)
        if item.get("type") != "function_call_output":
            return
        # Added and done name the same item: it confirms one output, once.
        item_id = str(item.get("id"))
        if item_id in self._confirming:
            return
        self._confirming.add(item_id)
        for output in self.outputs:
            if output.call_id == item.get("call_id") and output.waits:
                output.confirmed = key
                return

    #: What an event of the server's does to the books; all others do nothing to them.
    _rules: ClassVar[Mapping[str, Callable[[Ledger, Mapping[str, Any], int], None]]] = {
        realtime.SESSION_CREATED: _connected,
        realtime.RESPONSE_CREATED: _created,
        realtime.RESPONSE_DONE: _ended,
        realtime.ERROR: _error,
        realtime.ITEM_ADDED: _confirmed,
        realtime.ITEM_DONE: _confirmed,
        realtime.ITEM_CREATED: _confirmed,
        input_audio.SPEECH_STARTED: _heard_speech,
        input_audio.COMMITTED: _heard_speech,
        input_audio.TIMEOUT_TRIGGERED: _idle,
        realtime.OUTPUT_ADDED: _item_added,
        realtime.ARGUMENTS_DONE: _call_complete,
        **dict.fromkeys(realtime.HEARD, _heard),
    }


def _name(value: object) -> str | None:
    """A field that names something; None where it is absent or no text."""
    return value if isinstance(value, str) and value else None


def _reason(details: object) -> str | None:
    """What `status_details` of a response says of its end."""
    if not isinstance(details, Mapping):
        return None
    error = details.get("error")
    found = details.get("reason") or (error.get("code") if isinstance(error, Mapping) else None)
    return None if found is None else str(found)


def _may_answer_create(error: Mapping[str, Any]) -> bool:
    """Whether an error of another code can be the answer to a create: those of items, audio and session cannot."""
    code = str(error.get("code") or "")
    others = ("input_audio", "item", "cannot_update", "response_cancel", "session_", "invalid_value", "invalid_json")
    return not code.startswith(others)


def _text(item: Mapping[str, Any]) -> str | None:
    content = item.get("content")
    if isinstance(content, list):
        for part in content:
            if isinstance(part, Mapping) and isinstance(part.get("text"), str):
                return str(part["text"])
    return None
