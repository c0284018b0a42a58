"""The ledger of the upstream link pairs each `response.create` with its answer, and each response with its results.

The input consists of the link's messages in the order in which either the upstream or the proxy observed them. A customer's log
contains no more than this. In the following rules, a request is a `response.create`:

- The API answers requests in the order in which they were sent, with `response.created` or a refusal.
- A refusal names the response that holds the slot. If that response is announced, the oldest unanswered request was refused.
  If not, the oldest unanswered request started it, and the next request was refused.
- A repeated event counts once.
- A spoken input is complete at the client's commit, if there is one, because the commit's confirmation can arrive after a
  request. Otherwise it is complete at the server's commit.
- A second `session.created` starts another connection. Unanswered requests remain unanswered. The new session contains none
  of the earlier calls and results.
- If a refusal arrives without an unanswered request, and names a response that was paired with a request, then the server
  started that response (server VAD), and the request is the refused one.
- A response that the server starts includes the results accepted at the time of the server's decision. The server decides at
  the end of speech (`input_audio_buffer.committed` without a commit of the client) or at
  `input_audio_buffer.timeout_triggered`. If a response was active or a request was unanswered at that time, the server decides
  at the `response.done` that freed the slot. The link does not show whether it decides even later (`slot_lag_ms`).

The verdict feeds a complete recording to the ledger. The user actor feeds messages during the session. The caller chooses the
keys of events.
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
    """Entries in the order of their events, and the state of responses that the server starts itself.

    Attributes:
        decision: the server's decision to start a response that is not announced yet.
        held: the server's decision at an end of speech while the slot was not free. The response is delayed or dropped.
        idled: whether `decision` was made at the idle timeout and its commit has not arrived yet.
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
        """Update the ledger with one message of the upstream link. Ignore a message that is not a JSON object."""
        if not isinstance(payload, (dict, Mapping)):
            return
        if sender == "proxy":
            self._client(payload, key)
            return
        kind = payload.get("type")
        rule = self._rules.get(kind) if isinstance(kind, str) else None
        if rule is not None:
            rule(self, payload, key)

    # -- queries -----------------------------------------------------------------------------------------------------

    @property
    def active(self) -> list[Response]:
        """Responses that are announced and not done, in order."""
        return [response for response in self.responses.values() if response.done is None]

    @property
    def busy(self) -> bool:
        """Whether a response is active or a request is unanswered."""
        # For speed the newest response is checked first, without a generator: engines read this property at every event.
        for response in reversed(self.responses.values()):
            if response.done is None:
                return True
        return bool(self.unanswered)

    @property
    def unanswered(self) -> list[Create]:
        return [create for create in self.creates if create.answer == "none"]

    @property
    def calls(self) -> list[str]:
        """Ids of the function calls on the newest connection."""
        responses = [*self.responses.values()][self._calls_from :]
        return [call for response in responses for call in response.calls]

    def beginning(self, response: Response) -> int:
        """Return the key of the event that began a response: its request or, without one, the server's decision."""
        return response.decided.key if response.create is None else self.creates[response.create].key

    def informed(self, response: Response, calls: list[str], outputs: int | None = None) -> bool:
        """Return whether the app's own result for each of `calls` was sent before the response began, and not refused.

        Args:
            response: response to check.
            calls: ids of the calls.
            outputs: number of outputs sent before the response began, by default `Response.outputs_before`.
        """
        before = self.outputs[response.known_from : response.outputs_before if outputs is None else outputs]
        known = {output.call_id for output in before if output.own and not output.refused}
        return known.issuperset(calls)

    # -- events ------------------------------------------------------------------------------------------------------

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
                options = event.get("response")
                if not (isinstance(options, Mapping) and options.get("conversation") == "none"):
                    self.creates.append(Create(key, len(self.outputs)))

    def _response(self, event: Mapping[str, Any]) -> Response | None:
        """Return the response that an event names in its field `response_id`, or None."""
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
        """Record the first text or audio of a reply."""
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
            committed = self._commits.pop(0)
        else:
            committed = key
            self._turn_ended(key)
        self.inputs.append(UserInput(committed, None, committed if self._speech is None else self._speech))
        self._speech = None

    def _idle(self, event: Mapping[str, Any], key: int) -> None:
        """Record the server's decision at the idle timeout. The slot is free then, and a commit follows."""
        self.decision, self.held, self.idled = Decision(key, len(self.outputs)), None, True

    def _turn_ended(self, key: int) -> None:
        """Record the server's decision at its commit of the user's audio."""
        decision = Decision(key, len(self.outputs))
        if self.idled and self.decision is not None:
            # The response answers this commit, so the decision gets the key of the commit.
            self.decision, self.idled = Decision(key, self.decision.outputs), False
        elif self.busy:
            self.held = decision
        else:
            # Recorded sessions announce a response within 2 ms, so an earlier unannounced decision was dropped.
            self.decision = decision

    def _connected(self, event: Mapping[str, Any], key: int) -> None:
        """Start a connection, and close the open entries of the previous connection."""
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
            return  # The response is out of band.
        response_id = str(body.get("id"))
        if response_id in self.responses:
            return
        # If no audio event preceded, the announcement counts as the decision.
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

    def _refused(self, holder: str | None) -> Create | None:
        """Return the request that a refusal answers, or None. The module's docstring lists the rules."""
        waiting = self.unanswered
        known = self.responses.get(holder or "")
        if not waiting:
            if known is None or known.create is None or known.done is not None:
                return None
            mistaken = self.creates[known.create]
            known.create, known.outputs_before = None, known.decided.outputs
            return mistaken
        if known is None and holder is not None and len(waiting) > 1:
            return waiting[1]
        return waiting[0]

    def _taken_by(self, refused: Create) -> None:
        """Move a held decision to `decision` if a refusal implies that the server's response holds the slot.

        This is the case if no response is active and no other request is unanswered.
        """
        if self.held is not None and not self.busy and refused.names not in self.responses:
            self.decision, self.held = self.held, None

    def _confirmed(self, event: Mapping[str, Any], key: int) -> None:
        item = realtime.item_of(event)
        if item.get("type") != "function_call_output":
            return
        # Each item has two events, added and done. The first event confirms the output.
        item_id = str(item.get("id"))
        if item_id in self._confirming:
            return
        self._confirming.add(item_id)
        for output in self.outputs:
            if output.call_id == item.get("call_id") and output.waits:
                output.confirmed = key
                return

    #: Method that processes a server event, by event type. Other events change nothing.
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
    #: Types of the server events that can change the ledger.
    kinds: ClassVar[frozenset[str]] = frozenset(_rules)


def _name(value: object) -> str | None:
    """Return a field that is non-empty text, or None."""
    return value if isinstance(value, str) and value else None


def _reason(details: object) -> str | None:
    """Return the reason why a response ended, from its `status_details`, or None."""
    if not isinstance(details, Mapping):
        return None
    error = details.get("error")
    found = details.get("reason") or (error.get("code") if isinstance(error, Mapping) else None)
    return None if found is None else str(found)


def _may_answer_create(error: Mapping[str, Any]) -> bool:
    """Return whether an error can answer a request. Errors about items, audio or the session cannot answer one."""
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
