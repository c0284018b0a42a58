"""Detects which suspicions of the letter (docs/background.md#suspicions) the messages of a recording show.

No detector depends on the release or the target, so recordings of running proxies and of models are read in the same way. No
message contains the proxy's flag `responseInProgress`, but messages show its effects: while the flag is set, Settings cause no
session.update, and the proxy commits no audio.
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

__all__ = ["HeldAction", "Sighting", "held_actions", "sightings"]

#: Minimum size of a commit in bytes; source: docs/release-facts.md#user-audio.
_ENOUGH_BYTES: Final = 4_800
#: Time in ns after the last audio. It is longer than the proxy's delay before a commit; source as above.
_QUIET_NS: Final = ns(450)
_COUNT: Final = re.compile(r" \([^)]*\)")
#: Maximum time in ns within which a running proxy's answer to a message arrives.
_HANDLING_NS: Final = ns(50)
_ENDS: Final = (realtime.TEXT_DONE, realtime.AUDIO_DONE)


@value
class Sighting:
    """One recording's evidence of a suspicion.

    Attributes:
        suspicion: a key of `SUSPICIONS`; never ``flag-early``, which needs two sessions (see `HeldAction`).
        how: the kind of evidence, as a fixed phrase.
        refused: whether the API refused the sent event; for ``double-result`` and ``another-path``, a request of the turn.
        events: seqs of the messages that show the suspicion, in order.
    """

    suspicion: str
    how: str
    refused: bool
    events: tuple[int, ...]


@value
class HeldAction:
    """A session.update or a commit during an active response, which the proxy holds back while its flag is set.

    Attributes:
        what: ``session.update`` or ``commit``.
        sent: True if the proxy sent the action to the API, False if it held the action back.
        span: ``before``: the response's text or audio was not done; ``after``: it was done, but not the response.
        refused: whether the API refused the sent update, or the request after the sent commit.
        events: seqs of the messages that show the action, in order.
    """

    what: Literal["session.update", "commit"]
    sent: bool
    span: Literal["before", "after"]
    refused: bool
    events: tuple[int, ...]


def sightings(recording: Recording, verdict: Verdict | None = None) -> tuple[Sighting, ...]:
    """Return the suspicions that a recording shows. A bad turn in a recording without other sightings is ``another-path``."""
    verdict = verdict or judge(recording)
    found = [*_updates(recording), *_creates(recording, verdict), *_while_active(recording), *_results(recording, verdict)]
    return tuple(found) or tuple(_another(recording, verdict))


def _at_proxy(recording: Recording) -> list[Event]:
    """Return the arrived messages and the new connections on the proxy's links, in the order at the proxy."""
    return [e for e in recording.ordered("proxy") if "proxy" in e.link and e.kind in ("message", "open") and e.arrived]


def _updates(recording: Recording) -> Iterator[Sighting]:
    """Yield a second session.update on one connection. It is refused if an error answers it instead of session.updated."""
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
    """Yield each turn with one user input in which a second request follows the results of one response's calls."""
    index = TraceIndex(recording)
    ledger, order = index.ledger, index.order
    calling = [each for each in ledger.responses.values() if each.calls]
    ends = [order[each.key] for each in ledger.inputs]
    for number, response in enumerate(calling):
        outputs = [each for each in ledger.outputs if each.call_id in response.calls]
        turn = next((turn for turn in verdict.turns if set(response.calls) & set(turn.calls)), None)
        if not outputs or turn is None or turn.user_inputs != 1:
            continue
        first = order[outputs[0].key]
        until = min(
            [index.begun(each) for each in calling[number + 1 :]] + [end for end in ends if end > first],
            default=index.end,
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
    for action in held_actions(recording):
        if action.sent:
            where = "behind its text or audio" if action.span == "after" else "in the midst of it"
            yield Sighting(names[action.what], f"{where}, before response.done", action.refused, action.events)


def _results(recording: Recording, verdict: Verdict) -> Iterator[Sighting]:
    refused = any(turn.refusals for turn in verdict.turns)
    for each in answers(recording, verdict, lambda seq: seq, None).submissions:
        sender = _COUNT.sub("", each.by.partition(":")[0])
        yield Sighting("double-result", f"by {sender}", refused, each.lines)


def _another(recording: Recording, verdict: Verdict) -> Iterator[Sighting]:
    """Yield one sighting: the first bad turn, or else the last user input if it got no reply."""
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


# -- held actions ---------------------------------------------------------------------------------------------------


def held_actions(recording: Recording) -> tuple[HeldAction, ...]:
    """Return the actions that the proxy sent or held back while a response was active."""
    return tuple(_ActionReader(recording).actions())


class _Action(NamedTuple):
    """An action without its result.

    `end` is the seq of the event that ended the response's text or audio; None before this event.
    """

    what: Literal["session.update", "commit"]
    event: Event
    response: Response
    end: int | None
    sent: bool


class _ActionReader:
    """Finds the actions in a recording's messages, which must be read in the order at the proxy."""

    def __init__(self, recording: Recording) -> None:
        self.events = _at_proxy(recording)
        self.ledger = Ledger()
        #: Id of a response whose text or audio is done -> seq of the event that ended it.
        self.ended: dict[str, int] = {}
        self.updated = False
        #: Seq of the session.update that is not answered yet; None if there is none.
        self.update: int | None = None
        #: Seq of a session.update -> seq of the error that answers it.
        self.update_errors: dict[int, int] = {}
        self.bytes = 0
        self.heard: list[Event] = []

    def actions(self) -> Iterator[HeldAction]:
        """Yield the actions with their results."""
        found = [*self._read()]
        ledger = self.ledger
        for what, event, response, end, sent in found:
            rests_on = [response.created, event.seq, end, response.done]
            refused = False
            if sent and what == "commit":
                create = next((each for each in ledger.creates if each.key > event.seq), None)
                refused = create is not None and create.answer == "refused"
                rests_on += [create.key, create.answered] if create is not None else []
            elif sent and (error := self.update_errors.get(event.seq)) is not None:
                refused = True
                rests_on.append(error)
            span: Literal["before", "after"] = "before" if end is None else "after"
            yield HeldAction(what, sent, span, refused, tuple(sorted(each for each in rests_on if each is not None)))

    def _read(self) -> Iterator[_Action]:
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

    def _from_host(self, event: Event, number: int) -> Iterator[_Action]:
        """Yield a held session.update if SettingsApplied answers the first Settings although no session.update was sent."""
        if event.type != "Settings" or self.updated:
            return
        now = event.at_ns("proxy") or 0
        later = (
            e for e in self.events[number + 1 :] if e.link.sender == "proxy" and (e.at_ns("proxy") or 0) - now <= _HANDLING_NS
        )
        reaction = {each.type for each in later}
        if realtime.SESSION_UPDATE not in reaction and "SettingsApplied" in reaction:
            yield from self._if_active("session.update", False, event)

    def _sent(self, event: Event) -> Iterator[_Action]:
        if event.type == realtime.SESSION_UPDATE:
            self.updated = True
            self.update = event.seq
            yield from self._if_active("session.update", True, event)
        elif event.type == input_audio.APPEND:
            self.bytes += _size(event)
            self.heard.append(event)
        elif event.type == input_audio.COMMIT:
            self.bytes, self.heard = 0, []
            yield from self._if_active("commit", True, event)

    def _came(self, event: Event) -> Iterator[_Action]:
        """Yield a held commit if enough user audio is waiting, for long enough, when a response's text or audio ends."""
        fields = event.payload if isinstance(event.payload, Mapping) else {}
        if event.type == realtime.ERROR and self.update is not None and not self.ledger.unanswered:
            self.update_errors[self.update] = event.seq
        if event.type in (realtime.ERROR, realtime.SESSION_UPDATED):
            self.update = None
        if event.type in _ENDS:
            last = self.heard[-1].at_ns("proxy") if self.heard else None
            now = event.at_ns("proxy")
            if self.bytes >= _ENOUGH_BYTES and last is not None and now is not None and now - last > _QUIET_NS:
                yield from self._if_active("commit", False, self.heard[-1])
            self.ended.setdefault(str(fields.get("response_id")), event.seq)

    def _if_active(self, what: Literal["session.update", "commit"], sent: bool, event: Event) -> Iterator[_Action]:
        if active := self.ledger.active:
            yield _Action(what, event, active[-1], self.ended.get(active[-1].id), sent)


def _size(event: Event) -> int:
    audio = event.payload.get("audio") if isinstance(event.payload, Mapping) else None
    try:
        return len(base64.b64decode(str(audio or "")))
    except (binascii.Error, ValueError):
        return 0
