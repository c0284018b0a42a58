"""Recording -> which suspicions of the letter (docs/background.md#suspicions) its messages show. Pure.

Nothing here knows a release or a model: a running proxy's recording is read like a model's. The proxy's flag
`responseInProgress` is not on any wire. What shows it is what it holds back: a Settings that does not become
session.update, audio that is not committed, while a response is active; and that both go through a moment later.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

from voicerace.analysis.outcomes import Verdict
from voicerace.analysis.trace_index import TraceIndex
from voicerace.analysis.verdict import judge
from voicerace.captures.questions import answers
from voicerace.model.protocol import input_audio, realtime
from voicerace.model.protocol.ledger import Ledger, Response
from voicerace.trace.recording import COMPONENT_TO_PROXY, PROXY_TO_UPSTREAM, UPSTREAM_TO_PROXY, Event, Recording
from voicerace.units import ns
from voicerace.values import value

__all__ = ["HeldAction", "Sighting", "acts", "sightings"]

#: Enough for a commit (docs/release-facts.md#user-audio), and longer than the proxy waits for it.
_ENOUGH_BYTES: Final = 4_800
_QUIET_NS: Final = ns(450)
_COUNT: Final = re.compile(r" \([^)]*\)")
#: A running proxy has handled what came, and what it sends then has come, within this time.
_HANDLING_NS: Final = ns(50)
_ENDS: Final = (realtime.TEXT_DONE, realtime.AUDIO_DONE)


@value
class Sighting:
    """A suspicion seen in one recording.

    Attributes:
        suspicion: a name of `conformance.suspicions`; never ``flag-early``, which takes two sessions (see `HeldAction`).
        how: what kind of it, in words; the same words for the same kind.
        refused: the API refused what was sent: of a result, and of another path, a create of its turn.
        events: seqs of what shows it, in order.
    """

    suspicion: str
    how: str
    refused: bool
    events: tuple[int, ...]


@value
class HeldAction:
    """Something that the proxy holds back while it takes a response to be in progress: sent, or held, while one was active.

    Attributes:
        what: ``session.update`` or ``commit``.
        sent: it went upstream; False where it was held back.
        span: ``before`` the response's text or audio was done, or ``behind`` that and still before its response.done.
        refused: of what was sent, that the API did not take it: the update, or the create behind the commit.
        events: seqs of what shows it, in order.
    """

    what: Literal["session.update", "commit"]
    sent: bool
    span: Literal["before", "behind"]
    refused: bool
    events: tuple[int, ...]


def sightings(recording: Recording, verdict: Verdict | None = None) -> tuple[Sighting, ...]:
    """What a recording shows of the suspicions. Without any of the others, a bad turn is ``another-path``."""
    verdict = verdict or judge(recording)
    found = [*_updates(recording), *_creates(recording, verdict), *_while_active(recording), *_results(recording, verdict)]
    return tuple(found) or tuple(_another(recording, verdict))


def _at_proxy(recording: Recording) -> list[Event]:
    """The messages of the proxy's links that arrived, and new connections, in the order at the proxy."""
    return [e for e in recording.ordered("proxy") if "proxy" in e.link and e.kind in ("message", "open") and e.arrived]


def _updates(recording: Recording) -> Iterator[Sighting]:
    """More than one session.update between two openings of the connection; refused where an error comes in its place."""
    sent: list[int] = []
    events = _at_proxy(recording)
    for number, event in enumerate(events):
        if event.kind == "open" and event.link == COMPONENT_TO_PROXY:
            sent = []
        elif event.link == PROXY_TO_UPSTREAM and event.type == realtime.SESSION_UPDATE:
            sent.append(event.seq)
            if len(sent) == 2:
                came = (each for each in events[number:] if each.link == UPSTREAM_TO_PROXY)
                answer = next((each for each in came if each.type in (realtime.SESSION_UPDATED, realtime.ERROR)), None)
                rests_on = [*sent, *([] if answer is None else [answer.seq])]
                refused = answer is not None and answer.type == realtime.ERROR
                yield Sighting("second-update", "on one connection", refused, tuple(rests_on))


def _creates(recording: Recording, verdict: Verdict) -> Iterator[Sighting]:
    """More than one create behind the results of one response's calls, in a turn in which the user says one thing."""
    passage = TraceIndex(recording)
    ledger, order = passage.ledger, passage.order
    calling = [each for each in ledger.responses.values() if each.calls]
    ends = [order[each.key] for each in ledger.inputs]
    for number, response in enumerate(calling):
        outputs = [each for each in ledger.outputs if each.call_id in response.calls]
        turn = next((turn for turn in verdict.turns if set(response.calls) & set(turn.calls)), None)
        if not outputs or turn is None or turn.user_inputs != 1:
            continue
        first = order[outputs[0].key]
        until = min(
            [passage.begun(each) for each in calling[number + 1 :]] + [end for end in ends if end > first],
            default=passage.end,
        )
        creates = [each for each in ledger.creates if first < order[each.key] < until]
        if len(creates) < 2:
            continue
        twice = any(count > 1 for count in Counter(output.call_id for output in outputs).values())
        how = "two results for one call" if twice else "several calls, one result each" if len(outputs) > 1 else "one result"
        refusals = [create.answered for create in creates if create.answer == "refused" and create.answered is not None]
        rests_on = [output.key for output in outputs] + [create.key for create in creates] + refusals
        yield Sighting("second-create", how, bool(refusals), tuple(sorted(rests_on)))


def _while_active(recording: Recording) -> Iterator[Sighting]:
    names = {"session.update": "update-while-active", "commit": "commit-while-active"}
    for act in acts(recording):
        if act.sent:
            where = "behind its text or audio" if act.span == "behind" else "in the midst of it"
            yield Sighting(names[act.what], f"{where}, before response.done", act.refused, act.events)


def _results(recording: Recording, verdict: Verdict) -> Iterator[Sighting]:
    refused = any(turn.refusals for turn in verdict.turns)
    for each in answers(recording, verdict, lambda seq: seq, None).submissions:
        who = _COUNT.sub("", each.by.partition(":")[0])
        yield Sighting("double-result", f"by {who}", refused, each.lines)


def _another(recording: Recording, verdict: Verdict) -> Iterator[Sighting]:
    """A bad turn; without one, a last input of the user's that nothing answers."""
    turn = next((turn for turn in verdict.turns if turn.bad), None)
    if turn is not None:
        yield Sighting("another-path", turn.outcome, turn.refusals > 0, turn.events)
    elif verdict.wedged:
        ledger = TraceIndex(recording).ledger
        last = [each.key for each in ledger.inputs[-1:]]
        creates = [each for each in ledger.creates if last and each.key > last[0]]
        answered = [each.answered for each in creates if each.answered is not None]
        rests_on = sorted([*last, *(each.key for each in creates), *answered])
        yield Sighting("another-path", "wedged", any(c.answer == "refused" for c in creates), tuple(rests_on))


# -- what is held back -----------------------------------------------------------------------------------------------


def acts(recording: Recording) -> tuple[HeldAction, ...]:
    """What the proxy sent, or held back, while a response that had been announced to it was active."""
    return tuple(_Watch(recording).acts())


class _Met(NamedTuple):
    """An act before anybody knows what came of it."""

    what: Literal["session.update", "commit"]
    event: Event
    response: Response
    end: int | None
    sent: bool


class _Watch:
    """The proxy's place, message by message."""

    def __init__(self, recording: Recording) -> None:
        self.events = _at_proxy(recording)
        self.ledger = Ledger()
        #: Responses whose text or audio is done -> the event.
        self.ended: dict[str, int] = {}
        self.updated = False
        #: The session.update that has no answer yet, and errors that can be nobody else's.
        self.update: int | None = None
        self.update_errors: dict[int, int] = {}
        self.bytes = 0
        self.heard: list[Event] = []

    def acts(self) -> Iterator[HeldAction]:
        """What was met, with what came of it later."""
        met = [*self._met()]
        ledger = self.ledger
        for what, event, response, end, sent in met:
            rests_on = [response.created, event.seq, end, response.done]
            refused = False
            if sent and what == "commit":
                create = next((each for each in ledger.creates if each.key > event.seq), None)
                refused = create is not None and create.answer == "refused"
                rests_on += [create.key, create.answered] if create is not None else []
            elif sent and (error := self.update_errors.get(event.seq)) is not None:
                refused = True
                rests_on.append(error)
            span: Literal["before", "behind"] = "before" if end is None else "behind"
            yield HeldAction(what, sent, span, refused, tuple(sorted(each for each in rests_on if each is not None)))

    def _met(self) -> Iterator[_Met]:
        for number, event in enumerate(self.events):
            if event.kind == "open":
                self.updated, self.bytes, self.heard = False, 0, []
            elif event.link == COMPONENT_TO_PROXY:
                yield from self._from_host(event, number)
            elif event.link == PROXY_TO_UPSTREAM:
                yield from self._sent(event)
            elif event.link == UPSTREAM_TO_PROXY:
                yield from self._came(event)
            if event.kind == "message" and "upstream" in event.link:
                self.ledger.feed(event.link.sender, event.payload, event.seq)

    def _from_host(self, event: Event, number: int) -> Iterator[_Met]:
        """Settings of a connection without session.update, to which the proxy answers with none."""
        if event.type != "Settings" or self.updated:
            return
        now = event.at_ns("proxy") or 0
        later = (
            e for e in self.events[number + 1 :] if e.link.sender == "proxy" and (e.at_ns("proxy") or 0) - now <= _HANDLING_NS
        )
        reaction = {each.type for each in later}
        if realtime.SESSION_UPDATE not in reaction and "SettingsApplied" in reaction:
            yield from self._act("session.update", False, event)

    def _sent(self, event: Event) -> Iterator[_Met]:
        if event.type == realtime.SESSION_UPDATE:
            self.updated = True
            self.update = event.seq
            yield from self._act("session.update", True, event)
        elif event.type == input_audio.APPEND:
            self.bytes += _size(event)
            self.heard.append(event)
        elif event.type == input_audio.COMMIT:
            self.bytes, self.heard = 0, []
            yield from self._act("commit", True, event)

    def _came(self, event: Event) -> Iterator[_Met]:
        """The end of a response's text or audio: was enough of the user's kept waiting until then?"""
        fields = event.payload if isinstance(event.payload, Mapping) else {}
        if event.type == realtime.ERROR and self.update is not None and not self.ledger.unanswered:
            self.update_errors[self.update] = event.seq
        if event.type in (realtime.ERROR, realtime.SESSION_UPDATED):
            self.update = None
        if event.type in _ENDS:
            last = self.heard[-1].at_ns("proxy") if self.heard else None
            now = event.at_ns("proxy")
            if self.bytes >= _ENOUGH_BYTES and last is not None and now is not None and now - last > _QUIET_NS:
                yield from self._act("commit", False, self.heard[-1])
            self.ended.setdefault(str(fields.get("response_id")), event.seq)

    def _act(self, what: Literal["session.update", "commit"], sent: bool, event: Event) -> Iterator[_Met]:
        if active := self.ledger.active:
            yield _Met(what, event, active[-1], self.ended.get(active[-1].id), sent)


def _size(event: Event) -> int:
    audio = event.payload.get("audio") if isinstance(event.payload, Mapping) else None
    try:
        return len(base64.b64decode(str(audio or "")))
    except (binascii.Error, ValueError):
        return 0
