"""Derive the messages that a proxy's log lacks by replaying the log through the model of its release.

A proxy's log contains incoming messages and a few outgoing messages. The model of its release (`model.actors.proxy.Proxy`,
which `voicerace conformance` compares with the running programs) receives the same messages in the same order. Each message
that the model sends is added with ``observed_at="derived"`` and the time of its cause. Logged sends stay unchanged and are
compared with the model's sends. A difference, or an API event without the request that it answers, is reported as a
`Contradiction`.

Commits of the user's audio are logged and passed to the model; the audio itself is not logged. The side that closed first
is not derived. Times are the log's, in whole milliseconds. If the log has no times, the model's timers run on the seconds in
the API's ids (`voicerace.captures.id_clock`), provided that the ids agree. Derived sends then have no time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from voicerace.captures.id_clock import read_ids
from voicerace.captures.imputation import SIMPLEST, Interpretation, impute, interpretations
from voicerace.captures.known_fields import known_type
from voicerace.captures.log_records import LOGGED_LATER
from voicerace.captures.timers import Timers
from voicerace.model.actors.actor import Effects, Send
from voicerace.model.actors.proxy import Proxy
from voicerace.model.catalog.releases import ProxyRelease
from voicerace.model.protocol import input_audio, realtime
from voicerace.model.protocol.ledger import Ledger
from voicerace.trace.recording import (
    COMPONENT_TO_PROXY,
    LINKS,
    PROXY_TO_UPSTREAM,
    UPSTREAM_TO_PROXY,
    WIRES,
    Event,
    Link,
    Payload,
    Recording,
)  # fmt: skip
from voicerace.units import ns

__all__ = ["Contradiction", "Derived", "FlagCleared", "derive", "derive_all", "flag_cleared"]

#: Maximum delay of a timer in a busy process, in ns, including the truncation of the log's times to milliseconds.
_LATE_NS: Final = ns(500)
#: Minimum age in ns at which a response.create without an answer at the log's end counts as unanswered. The API answers within
#: 128 ms (docs/protocol-facts.md#measured-times).
_ANSWERED_NS: Final = ns(1_000)
_AUDIO: Final = (input_audio.APPEND, input_audio.COMMIT)


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A difference between a log and the model of a release.

    Attributes:
        seq: seq, in the given recording, of the event that shows the difference.
        what: description in one sentence.
    """

    seq: int
    what: str


@dataclass(frozen=True, slots=True)
class FlagCleared:
    """An event that cleared the proxy's flag while a response was active (docs/background.md#suspicion-flag-early).

    Attributes:
        seq: seq of the event in the given recording.
        by: type of the event.
        done: seq of the event that ended the response; None if the log lacks that event.
    """

    seq: int
    by: str
    done: int | None


@dataclass(frozen=True)
class Derived:
    """A recording with the messages that the model of one release adds.

    Attributes:
        release: the release of the model.
        recording: the given events with imputed payloads, and the derived events, in the order at the proxy.
        origin: seq in `recording` -> seq in the given recording; a derived event maps to the seq of its cause.
        contradictions: differences in order; empty if log and model agree.
        cleared_early: events that cleared the flag early, in order.
        assumed: assumptions, one sentence each.
        interpretation: values chosen for fields that the log lacks.
    """

    release: ProxyRelease
    recording: Recording
    origin: Mapping[int, int]
    contradictions: tuple[Contradiction, ...]
    cleared_early: tuple[FlagCleared, ...]
    assumed: tuple[str, ...]
    interpretation: Interpretation

    @property
    def creates(self) -> tuple[Event, ...]:
        """Return every `response.create` sent to the API, derived or logged."""
        return tuple(e for e in self.recording.on(PROXY_TO_UPSTREAM) if e.type == realtime.RESPONSE_CREATE)


def derive(recording: Recording, release: ProxyRelease, interpretation: Interpretation = SIMPLEST) -> Derived:
    """Add the messages that the model of `release` sends to a proxy's log.

    Args:
        recording: all incoming events and the logged sends, in the order in which the proxy handled them.
        release: row of the release table that configures the model.
        interpretation: values for fields that the log lacks.
    """
    imputed = impute(recording, interpretation)
    return _Replay(imputed.recording, release, imputed.assumed, interpretation).run()


def derive_all(recording: Recording, release: ProxyRelease) -> list[Derived]:
    """Return the result of `derive` for each interpretation that the log allows, the simplest first."""
    return [derive(recording, release, each) for each in interpretations(impute(recording))]


def flag_cleared(recording: Recording, release: ProxyRelease) -> tuple[FlagCleared, ...]:
    """Return the events that cleared the flag of `release` early; the recording must have all incoming messages."""
    incoming = [each for each in recording.ordered("proxy") if each.link.receiver == "proxy" and each.arrived]
    replay = _Replay(replace(recording, events=tuple(incoming)), release, (), SIMPLEST)
    return replay.run().cleared_early


class _Replay:
    """Replays one log through the model of a release."""

    def __init__(
        self, recording: Recording, release: ProxyRelease, assumed: Iterable[str], interpretation: Interpretation
    ) -> None:
        self.recording = recording
        self.release = release
        self.interpretation = interpretation
        self.assumed = dict.fromkeys(assumed)
        self.model = Proxy(release)
        self.timers = Timers()
        self.events: list[Event] = []
        self.origin: dict[int, int] = {}
        self.contradictions: list[Contradiction] = []
        self.cleared: list[FlagCleared] = []
        #: (payload, cause) of the model's sends to the API since the last incoming message, from the first send that the proxy
        #: may log.
        self.expected: list[tuple[Payload, Event]] = []
        self.ledger = Ledger()
        self.sent_ns = 0
        #: Number of active responses.
        self.active = 0
        self.updated = 0
        timed = any(event.at_ns("proxy") is not None for event in recording.events)
        self.ids = None if timed else read_ids(recording)
        self.now_ns = 0
        if self.ids is not None:
            self.assumed["the proxy's timers ran on the seconds in the API's ids (±1 s), since the log has no times"] = None

    def run(self) -> Derived:
        last: Event | None = None
        for event in self.recording.events:
            if event.link.sender == "proxy":
                self._logged(event)
            elif event.link.receiver == "proxy":
                self._settle()
                self._input(event)
            else:
                self._keep(event)
            last = event
        self._settle()
        if last is not None:
            self._unanswered(last)
            self._accepted()
        made = replace(
            self.recording,
            events=tuple(self.events),
            observed=self._observed(),
            provenance={**self.recording.provenance, "release": self.release.tag, "derived": True},
        )
        cleared = tuple(replace(each, done=self._done_after(each.seq)) for each in self.cleared)
        return Derived(
            self.release, made, self.origin, tuple(self.contradictions), cleared, tuple(self.assumed), self.interpretation
        )

    # -- incoming messages ---------------------------------------------------------------------------------------------

    def _input(self, event: Event) -> None:
        now = self._now(event)
        self._sends(self.timers.until(now - _LATE_NS, self.model), event)
        self._keep(event)
        sender = event.link.sender
        if event.kind == "close":
            code = event.payload.get("code") if isinstance(event.payload, Mapping) else None
            effects = self.model.closed(sender, code)
        elif event.kind == "message":
            before = self.model.state.flag
            effects = self._handled(event)
            self._flag(event, before)
        else:
            return
        self.timers.note(now, effects)
        self._sends(effects, event)

    def _now(self, event: Event) -> int:
        """Return the time of a message at the proxy in ns; without times, the time in ns since the session's earliest id."""
        if self.ids is None:
            return event.at_ns("proxy") or 0
        second = self.ids.seconds.get(event.seq, self.ids.start)
        self.now_ns = max(self.now_ns, ns((second - self.ids.start) * 1000))
        return self.now_ns

    def _handled(self, event: Event) -> Effects:
        if event.link == COMPONENT_TO_PROXY and not isinstance(event.payload, Mapping):
            return ()  # audio is not passed to the model; the proxy logs the commits that it sends
        try:
            return self.model.message(event.link.sender, event.payload)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # An untrusted file can contain messages of any structure.
            self._contradict(event, f"the model cannot process this {known_type(event.type)} ({type(error).__name__})")
            return ()

    def _flag(self, event: Event, before: bool) -> None:
        """Count active responses, and store a `FlagCleared` if the event cleared the flag during a response."""
        if event.link == UPSTREAM_TO_PROXY and event.type == realtime.RESPONSE_CREATED:
            self.active += 1
        if event.link == UPSTREAM_TO_PROXY and event.type == realtime.RESPONSE_DONE:
            self.active = max(0, self.active - 1)
        elif before and not self.model.state.flag and self.active:
            self.cleared.append(FlagCleared(event.seq, event.type, None))

    # -- outgoing messages ---------------------------------------------------------------------------------------------

    def _sends(self, effects: Effects, cause: Event) -> None:
        for effect in effects:
            if not isinstance(effect, Send):
                continue
            link = Link("proxy", effect.to)
            payload = effect.payload
            if link == PROXY_TO_UPSTREAM and isinstance(payload, bytes):
                # The proxy forwards the host's JSON in a binary frame.
                payload = cause.payload
            if link == PROXY_TO_UPSTREAM and (self.expected or self._may_be_logged(payload)):
                self.expected.append((payload, cause))
            else:
                self._derived(link, payload, cause)

    def _may_be_logged(self, payload: Payload) -> bool:
        """Return whether the release logs a send with this payload."""
        if self.release.context_in != "instructions":
            return False
        kind = payload.get("type") if isinstance(payload, Mapping) else None
        item = realtime.item_of(payload) if isinstance(payload, Mapping) else {}
        return kind == realtime.SESSION_UPDATE or item.get("type") == "function_call_output"

    def _logged(self, event: Event) -> None:
        """Store a logged send, matched with the model's sends."""
        if event.type in _AUDIO:
            self._settle()  # a later host message or a timer caused this send
        self.sent_ns = max(self.sent_ns, event.sent_ns or 0)
        # An incoming message causes at most one logged send, which precedes the unlogged sends.
        expected = self.expected[0][0] if self.expected else None
        if isinstance(expected, Mapping) and _type(expected) == event.type and self._may_be_logged(expected):
            del self.expected[0]
            self._keep(replace(event, payload={**expected, **_fields(event)}))
        elif event.type == input_audio.COMMIT:
            self._keep(event)
            self.timers.note(event.sent_ns or 0, self.model.committed())
        elif event.type == realtime.RESPONSE_CREATE:
            self._create(event)
        else:
            if event.type in LOGGED_LATER:
                self._contradict(event, f"the log has a {event.type} here, which {self.release.tag} does not send")
            self._keep(event)

    def _create(self, event: Event) -> None:
        """Store a logged response.create; if no commit precedes it, check that the model's timer sends a response.create."""
        before = self.events[-1] if self.events else None
        if before is None or before.link != PROXY_TO_UPSTREAM or before.type != input_audio.COMMIT:
            effects = self.timers.until((event.sent_ns or 0) + _LATE_NS, self.model)
            if not any(isinstance(each, Send) and _type(each.payload) == realtime.RESPONSE_CREATE for each in effects):
                self._contradict(event, f"the log has a timer's response.create here, which {self.release.tag} does not send")
        self._keep(event)

    def _settle(self) -> None:
        """Derive the model's sends since the last incoming message that the log lacks."""
        for payload, cause in self.expected:
            self._unlogged(payload, cause)
        self.expected.clear()

    def _unlogged(self, payload: Payload, cause: Event) -> None:
        if self._may_be_logged(payload) and UPSTREAM_TO_PROXY in self.recording.observed:
            self._contradict(cause, f"{self.release.tag} sends and logs a {_type(payload)} here; the log has none")
        self._derived(PROXY_TO_UPSTREAM, payload, cause)

    # -- the ledger ----------------------------------------------------------------------------------------------------

    def _derived(self, link: Link, payload: Payload, cause: Event) -> None:
        at = cause.at_ns("proxy")
        if link == PROXY_TO_UPSTREAM and at is not None:
            # Keep sends in order: a logged send can be a millisecond later than the cause of both sends.
            at = self.sent_ns = max(at, self.sent_ns)
        self._keep(Event(0, link, "message", at, None, payload, "derived"), cause.seq)

    def _keep(self, event: Event, origin: int | None = None) -> None:
        seq = len(self.events)
        self.origin[seq] = event.seq if origin is None else origin
        self.events.append(
            Event(seq, event.link, event.kind, event.sent_ns, event.received_ns, event.payload, event.observed_at)
        )
        if event.kind == "message" and "upstream" in event.link:
            if event.link == UPSTREAM_TO_PROXY:
                self._answer(event)
            self.ledger.feed(event.link.sender, event.payload, seq)

    def _answer(self, event: Event) -> None:
        """Report an API event that answers a response.create or session.update which was not sent."""
        if event.type == realtime.SESSION_UPDATED:
            self.updated += 1
            if self.updated > sum(e.link == PROXY_TO_UPSTREAM and e.type == realtime.SESSION_UPDATE for e in self.events):
                self._contradict(event, f"a session.update is confirmed, but {self.release.tag} has no unconfirmed one")
        if self.ledger.unanswered:
            return
        if event.type == realtime.RESPONSE_CREATED and not self._server_may_respond():
            self._contradict(event, f"a response begins, but {self.release.tag} has no unanswered response.create")
        elif isinstance(event.payload, Mapping) and realtime.is_refusal(event.payload) and not self._server_may_respond():
            self._contradict(event, f"a response.create is refused, but {self.release.tag} has no unanswered one")

    def _server_may_respond(self) -> bool:
        """Return whether the API may create a response without a response.create, after the user's audio."""
        return self.release.audio == "vad" and any(
            e.type in (input_audio.SPEECH_STARTED, input_audio.COMMITTED, input_audio.TIMEOUT_TRIGGERED) for e in self.events
        )

    def _unanswered(self, last: Event) -> None:
        end = last.at_ns("proxy") or 0
        for create in self.ledger.unanswered:
            event = self.events[create.key]
            if event.observed_at == "derived" and (event.sent_ns or 0) < end - _ANSWERED_NS:
                at = self.origin[create.key]
                self.contradictions.append(
                    Contradiction(at, f"{self.release.tag} sends a response.create here, but no answer follows")
                )

    def _accepted(self) -> None:
        """Report each derived response.create that was accepted more than two round trips before an active response ended."""
        rtt = self._round_trip()
        if rtt is None:
            return
        for create in self.ledger.creates:
            event = self.events[create.key]
            if create.answer not in ("response", "none") or event.observed_at != "derived":
                continue
            for response in self.ledger.responses.values():
                if response.done is None or not response.created < create.key < response.done:
                    continue
                done = self.events[response.done].at_ns("proxy") or 0
                if done - (event.sent_ns or 0) > 2 * rtt:
                    what = f"{self.release.tag} sends a response.create here, during an active response, but it is not refused"
                    self.contradictions.append(Contradiction(self.origin[create.key], what))

    def _round_trip(self) -> int | None:
        """Return an upper bound on the API's round trip in ns, from the slowest confirmation of an item; None without items."""
        sent: int | None = None
        found: list[int] = []
        for event in self.events:
            at = event.at_ns("proxy")
            if event.link == PROXY_TO_UPSTREAM and event.type == realtime.ITEM_CREATE:
                sent = at if sent is None else sent
            elif event.type in (realtime.ITEM_ADDED, realtime.ITEM_CREATED) and sent is not None and at is not None:
                # The log truncates times to milliseconds.
                found.append(at - sent + ns(1))
                sent = None
        return max(found, default=None)

    def _contradict(self, event: Event, what: str) -> None:
        self.contradictions.append(Contradiction(event.seq, what))

    def _observed(self) -> tuple[Link, ...]:
        """Return the observed links, with all links of the proxy if the log has all incoming messages."""
        given = self.recording.observed
        host_known = COMPONENT_TO_PROXY in given or any(e.type in _AUDIO for e in self.recording.events)
        complete = UPSTREAM_TO_PROXY in given and host_known
        return tuple(each for each in LINKS if each in given or (complete and each in WIRES))

    def _done_after(self, seq: int) -> int | None:
        return next((e.seq for e in self.recording.events if e.seq > seq and e.type == realtime.RESPONSE_DONE), None)


def _type(payload: Payload) -> str:
    return str(payload.get("type")) if isinstance(payload, Mapping) else ""


def _fields(event: Event) -> Mapping[str, Any]:
    """Return the fields of a logged send without ``item``, of which only the type is logged."""
    own = event.payload if isinstance(event.payload, Mapping) else {}
    return {name: value for name, value in own.items() if name != "item"}
