"""Judges a recording: extracts the facts of each tool turn and applies `voicerace.analysis.rules` to them.

Only the events of a recording are used, so recordings of all origins are judged alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from voicerace.analysis.latency import dead_air_ms, lead_ms, margin_ms, waited_ns
from voicerace.analysis.outcomes import BAD, OUTCOMES, Kind, Turn, Verdict, worst
from voicerace.analysis.rules import TurnFacts, outcome_of
from voicerace.analysis.trace_index import TraceIndex, time_of
from voicerace.errors import InputError
from voicerace.model.protocol import realtime
from voicerace.model.protocol.frames import is_registered
from voicerace.model.protocol.ledger import Create, Output, Response, UserInput
from voicerace.model.protocol.realtime import known_status
from voicerace.model.protocol.results import placeholder_in
from voicerace.trace.recording import PROXY_TO_COMPONENT, UPSTREAM_TO_PROXY, Event, Recording
from voicerace.units import ns

__all__ = ["BAD", "OUTCOMES", "Judge", "Kind", "Turn", "Verdict", "judge"]

#: Types of messages with which the app gives a result. A promise can also resolve (``resolved``) without a result.
_GIVES: Final = ("resolved", "sendFunctionCallResponse", "sendResponse", "rejected")
_DEADLINE_MS: Final = 30_000


def judge(recording: Recording) -> Verdict:
    """Return the verdict on a recording.

    Raises:
        InputError: `recording` is not a recording.
    """
    if not isinstance(recording, Recording):
        raise InputError("recording", f"{recording!r:.60} is a {type(recording).__name__}", "a Recording, as simulate gives")
    return Judge(recording).verdict()


class Judge(TraceIndex):
    """Extracts the turns of a recording and judges them."""

    # -- the session -------------------------------------------------------------------------------------------------

    def verdict(self) -> Verdict:
        turns = tuple(turn for window in self.windows() if (turn := self.turn(*window)) is not None)
        outcome = worst([turn.outcome for turn in turns])
        sure: Kind = "observed" if self.recording.complete else "at least"
        if any(event.observed_at == "derived" for event in self.recording.events):
            sure = "derived"
        upstream: Kind = sure if self.upstream_seen else "unknown"
        counts = ("response_creates", "refusals", "replies", "session_updates")
        return Verdict(
            outcome,
            self.wedged(),
            len(self.ledger.session_updates) if self.recording.observes("proxy", "upstream") else None,
            turns,
            next((turn.why for turn in turns if turn.outcome == outcome), self._no_turn()),
            self.fault,
            {**dict.fromkeys(counts, upstream), "host_errors": sure if self.host_seen else "unknown"},
            self._unconfigured(),
        )

    def _unconfigured(self) -> bool | None:
        if self.ledger.session_updates:
            return False
        if not (self.upstream_seen and self.recording.complete) or self.fault is not None:
            return None
        return bool(self.ledger.inputs) or (self.host_seen and self._said() > 0)

    def _no_turn(self) -> str:
        """Return why there is no tool turn."""
        if self.fault is not None:
            return f"no function call: {self.fault}"
        if not self.upstream_seen:
            closed = any(e.link == PROXY_TO_COMPONENT for e in self.closes)
            prefix = "the proxy closed the connection, and " if closed else ""
            return f"{prefix}the link between proxy and upstream was not observed"
        for event in self.closes:
            code = event.payload.get("code") if isinstance(event.payload, Mapping) else None
            if event.link in (UPSTREAM_TO_PROXY, PROXY_TO_COMPONENT):
                shown = "no code" if code is None else code if is_registered(code) else "a code that is not registered"
                return f"no function call: the {event.link.sender} closed the connection ({shown})"
        return "no function call"

    def windows(self) -> list[tuple[int, int, int]]:
        """Return (first position, position after the last, number of user inputs) for each turn, in order."""
        starts = [(0, 0)]
        for user_input in self.ledger.inputs:
            first, count = starts[-1]
            if count == 0 or any(self._joins(first, before) for before in self._moments(user_input)):
                starts[-1] = (first, count + 1)
            else:
                starts.append((self.order[user_input.key], 1))
        ends = [first for first, _ in starts[1:]] + [self.end]
        return [(first, end, count) for (first, count), end in zip(starts, ends, strict=True)]

    def _moments(self, user_input: UserInput) -> Iterator[Callable[[int], bool]]:
        """Yield a predicate for each moment of a user input. The predicate returns whether an event preceded the moment.

        The moments are the input's arrival at the upstream, the start of speech there, and a text's arrival at the proxy.
        The arrival at the proxy matters because for the user a reply is not over until its end has reached the host.
        """
        yield lambda other: self.order[other] < self.order[user_input.key]
        yield lambda other: self.order[other] < self.order[user_input.began]
        same = [each for each in self.ledger.inputs if each.text is not None and each.text == user_input.text]
        said = self.said_ns.get(user_input.text or "", [])
        rank = next((number for number, each in enumerate(same) if each is user_input), len(said))
        if rank < len(said):
            # In the same nanosecond, only events with a lower seq than the input count as earlier.
            said_at = (said[rank], user_input.key)
            yield lambda other: (time_of(self.by_seq[other], "proxy"), other) < said_at

    def _joins(self, first: int, before: Callable[[int], bool]) -> bool:
        """Return whether a user input at the moment of `before` belongs to the turn that began at position `first`."""

        def open_at(begun: int | None, ended: int | None) -> bool:
            return begun is not None and before(begun) and (ended is None or not before(ended))

        ledger = self.ledger
        if any(open_at(create.key, create.answered) for create in ledger.creates):
            return True
        if any(open_at(ledger.beginning(response), response.done) for response in ledger.responses.values()):
            return True
        begun = [r for r in ledger.responses.values() if first <= self.begun(r) and before(ledger.beginning(r))]
        calls = [call for response in begun for call in response.calls]
        settled = [(o.call_id, o.settled) for o in ledger.outputs if o.own]
        known = {call for call, key in settled if key is not None and before(key)}
        waiting = any(open_at(o.key, o.settled) for o in ledger.outputs if not o.refused)
        to_come = any(not before(o.key) for o in ledger.outputs if o.call_id in calls and not o.refused)
        return waiting or to_come or not known.issuperset(calls)

    def wedged(self) -> bool | None:
        """Return whether the session is stuck: no reply to the last user input was heard. Return None if this is unknown."""
        said = self._said() if self.host_seen else 0
        inputs = self.ledger.inputs
        if max(said, len(inputs)) < 2 or not self.upstream_seen:
            return None
        if self.host_seen and not self.direct and not said and all(each.text is not None for each in inputs):
            return None  # the texts are from an earlier connection: the component restored them with Settings
        if said > len(inputs):
            return True if self.recording.complete else None
        last = self.order[inputs[-1].key]
        heard = [r for r in self.ledger.responses.values() if r.message and r.heard is not None]
        if any(self.begun(response) >= last for response in heard):
            return False
        return True if self.recording.complete else None

    def _said(self) -> int:
        """Return the number of user inputs: text and speech at the user, or text on the host link if that is more."""
        at_user = sum(event.link.sender == "user" for event in self.of_type("say", "speak"))
        return max(at_user, len(self.of_type("InjectUserMessage")))

    # -- one turn ----------------------------------------------------------------------------------------------------

    def turn(self, first: int, end: int, inputs: int) -> Turn | None:
        """Return the turn from position `first` to before position `end`, or None if it has no function call."""
        ledger = self.ledger
        responses = [r for r in ledger.responses.values() if first <= self.begun(r) < end]
        calling = [r for r in responses if r.calls_done]
        calls = tuple(call for response in calling for call in response.calls)
        if not calls:
            return None
        outputs = [o for o in ledger.outputs if first <= self.order[o.key] < end and o.call_id in calls]
        creates = [c for c in ledger.creates if first <= self.order[c.key] < end]
        from_result = [c for c in creates if outputs and self.order[c.key] > self.order[outputs[0].key]]
        refusals = [key for key in ledger.refusals if first <= self.order[key] < end]
        after = responses[responses.index(calling[0]) + 1 :]
        heard = [r for r in after if r.message and not r.calls and r.heard is not None]
        informed = [r for r in heard if ledger.informed(r, list(calls))]
        own = [o for o in outputs if o.own and not o.refused]
        host_errors = self._host_errors(first, end)
        found = _TurnEvents(calls, inputs, outputs, own, creates, refusals, host_errors, heard, informed, calling)
        outcome, why = outcome_of(self._turn_facts(found, end))
        if outcome == "unknown" and self.fault is not None:
            why = f"{why}: {self.fault}"
        result = own[0] if own else None
        create = next((c for c in creates if result and self.order[c.key] > self.order[result.key]), None)
        rests_on = [calling[0].calls_done[0], *(o.key for o in outputs), *(c.key for c in from_result), *refusals]
        rests_on += [r.heard for r in heard if r.heard is not None]
        return Turn(
            outcome=outcome,
            why=why,
            calls=calls,
            user_inputs=inputs,
            submissions=len(outputs),
            own_submissions=sum(o.own for o in outputs),
            response_creates=len(from_result),
            refusals=len(refusals),
            host_errors=host_errors if self.host_seen else None,
            replies=len(heard),
            margin_ms=margin_ms(self, create),
            lead_ms=lead_ms(self, result, create),
            dead_air_ms=dead_air_ms(self, calling[-1], informed),
            by=self._by(outcome, found),
            events=tuple(sorted(rests_on)),
        )

    def _turn_facts(self, events: _TurnEvents, end: int) -> TurnFacts:
        """Return the facts of a turn that the rules use."""
        given = self._given(events)
        asked = self._asked(events)
        reply = events.informed[0] if events.informed else None
        settled = self.recording.complete or end < self.end or self._closed_after(events)
        return TurnFacts(
            closed=self._abandoned(events, end),
            missing=tuple(f"call {number}" for number, call in enumerate(events.calls, start=1) if call not in given),
            inputs=events.inputs,
            heard=len(events.heard),
            informed=len(events.informed),
            ended=reply is not None and reply.done is not None,
            status=None if reply is None or reply.status is None else known_status(reply.status),
            waited_ns=0 if reply is None else waited_ns(self, events.own, reply),
            refusals=len(events.refusals),
            host_errors=events.host_errors,
            asked=self._answer(asked[-1]) if asked else None,
            upstream_seen=self.upstream_seen,
            host_seen=self.host_seen,
            complete=self.recording.complete,
            settled=settled,
            unread=self._answer_unread(events),
            answered=bool(asked) and all(create.answer != "none" for create in events.creates),
            goes_on=settled or (bool(events.refusals) and self._goes_on_after(events.refusals[-1])),
        )

    def _by(self, outcome: str, events: _TurnEvents) -> Literal["user", "client", "api"] | None:
        """Return the cause of a missing or interrupted reply, or None if it is the proxy."""
        if outcome == "interrupted":
            return _ended_by(events.informed[0])
        if outcome != "failed":
            return None
        create = self._asked(events)[-1]
        if create.answer == "response":
            return _ended_by(self.ledger.responses[create.names or ""])
        return "client" if create.error_type == "invalid_request_error" else "api"

    def _asked(self, events: _TurnEvents) -> list[Create]:
        """Return the requests after the app's last result, or an empty list without a result."""
        last = max((self.order[output.key] for output in events.outputs if output.own), default=self.end)
        return [create for create in events.creates if self.order[create.key] > last]

    def _answer(self, create: Create) -> str:
        if create.answer == "response":
            response = self.ledger.responses[create.names or ""]
            ended = "unfinished" if response.done is None else "of no known status"
            ended = known_status(response.status) if response.status else ended
            return f"a response, {ended}, nothing heard of it"
        texts = {"none": "none", "refused": "refused", "error": "another error", "closed": "none, its connection went"}
        return texts[create.answer]

    def _host_errors(self, first: int, end: int) -> int:
        """Return the number of errors with the active-response code that were sent to the host in the turn."""
        if not self.host_seen:
            return 0
        if self.direct:
            return sum(first <= self.order[key] < end for key in self.ledger.refusals)
        keys = list(self.order)
        since = time_of(self.by_seq[keys[first]], "proxy") if first else None
        until = time_of(self.by_seq[keys[end]], "proxy") if end < len(keys) else None
        to_host = (event for event in self.of_type("Error") if event.link == PROXY_TO_COMPONENT)
        coded = [e for e in to_host if isinstance(e.payload, Mapping) and realtime.is_refusal_code(e.payload.get("code"))]
        times = [time_of(event, "proxy") for event in coded]
        return sum((since is None or at >= since) and (until is None or at < until) for at in times)

    def _given(self, events: _TurnEvents) -> set[str]:
        """Return the ids of the calls for which the app gave a result of its own, accepted by the upstream or not."""
        sent = [event.payload for event in self.of_type("FunctionCallResponse") if isinstance(event.payload, Mapping)]
        by_host = {str(each.get("id")) for each in sent if placeholder_in(each.get("content")) is None}
        # Results that the app gave to the component count too, because a component without a connection drops them.
        by_host |= {given for event in self.of_type(*_GIVES) if (given := _given_by_app(event)) is not None}
        return by_host | {output.call_id for output in events.outputs if output.own}

    def _abandoned(self, events: _TurnEvents, end: int) -> bool:
        """Return whether a connection closed in the turn before the deadline, any refusal and any heard reply."""
        call = time_of(self.by_seq[events.calling[0].calls_done[0]], "upstream")
        last = max(
            time_of(self.by_seq[key], "upstream") for key in (*events.calling[-1].calls_done, *(o.key for o in events.own))
        )
        deadline_ns = self.named_ns("deadline_ms", _DEADLINE_MS) or ns(_DEADLINE_MS)
        # Times at the proxy are used, because a refusal that reaches the proxy after the close cannot reach the host.
        settling = [*events.refusals, *(r.heard for r in events.heard if r.heard is not None)]
        reached = [time_of(self.by_seq[key], "proxy") or time_of(self.by_seq[key], "upstream") for key in settling]
        ends = [time_of(self.by_seq[key], "upstream") for key in [*self.order][end : end + 1]]
        until = min([last + deadline_ns, *reached, *ends])
        return any(call <= time_of(event, "proxy") < until for event in self.closes)

    def _goes_on_after(self, key: int) -> bool:
        """Return whether any event was sent after the event `key` had reached the proxy.

        If the fault is on the host link, only events on the link to the host count.
        """
        reached = time_of(self.by_seq[key], "proxy")
        host_lost = self.fault_on is not None and "component" in self.fault_on
        later = (e for e in self.before_fault if not host_lost or e.link == PROXY_TO_COMPONENT)
        return any(time_of(event, event.link.sender) > reached for event in later)

    def _answer_unread(self, events: _TurnEvents) -> bool:
        """Return whether an upstream frame that is not a JSON object may contain the answer to a request."""
        messages = ((position, self.by_seq[seq]) for seq, position in self.order.items())
        unread = [at for at, event in messages if event.link.sender == "upstream" and not isinstance(event.payload, Mapping)]
        spans = [(self.order[c.key], self.end if c.answered is None else self.order[c.answered]) for c in events.creates]
        return any(sent < at < answered for at in unread for sent, answered in spans)

    def _closed_after(self, events: _TurnEvents) -> bool:
        calls_done = time_of(self.by_seq[events.calling[-1].calls_done[0]], "upstream")
        return any(time_of(event, "proxy") >= calls_done for event in self.closes)


def _given_by_app(event: Event) -> str | None:
    """Return the id of the call that an event of `_GIVES` answers with a result or an error, or None."""
    if event.link.sender != "app" or not isinstance(event.payload, Mapping):
        return None
    handed = event.type != "resolved" or isinstance(event.payload.get("value"), Mapping)
    return str(event.payload.get("id")) if handed else None


def _ended_by(response: Response) -> Literal["user", "client", "api"]:
    """Return who ended a response early, from its status details. The default is the API."""
    causes = {"turn_detected": "user", "client_cancelled": "client", "connection_closed": "user"}
    return causes.get(response.reason or "", "api")  # type: ignore[return-value]


@dataclass(frozen=True)
class _TurnEvents:
    """The events of a tool turn, in order.

    Attributes:
        calls: ids of the function calls.
        inputs: number of user inputs.
        outputs: results of the calls, including placeholders.
        own: the app's own results that were not refused.
        creates: requests.
        refusals: keys of the events that refused a request.
        host_errors: number of errors with the active-response code sent to the host.
        heard: replies heard.
        informed: heard replies that are informed.
        calling: responses with function calls.
    """

    calls: tuple[str, ...]
    inputs: int
    outputs: list[Output]
    own: list[Output]
    creates: list[Create]
    refusals: list[int]
    host_errors: int
    heard: list[Response]
    informed: list[Response]
    calling: list[Response]
