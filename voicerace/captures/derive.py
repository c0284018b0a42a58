"""Recording + release -> what was not logged, marked derived: a replay of the messages through the release's own model.

A proxy's log has what came in and little of what went out. The model of its release (`model.actors.proxy.Proxy`, the one that
`voicerace conformance` holds against the running programs) gets the same messages in the same order, and what it sends
is put in with ``observed_at="derived"``, at the time of the message that caused it. What the log does have of the sends
stays as it is, and is held against the model: where the two differ, and where the API's answers fit no create that the
model sends, the difference is a `Contradiction`, a result like any other. It is never smoothed over.

The user's audio is not in a log, only that it was committed: that is given to the model as it was logged. Who closed
first is not derived. Times are the log's: a derived send leaves when its cause was logged, in milliseconds. Without any, the
model's timers run on the seconds in the API's ids (`voicerace.captures.id_clock`), where these agree; derived sends have
no time then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from voicerace.captures.id_clock import read_ids
from voicerace.captures.imputation import Interpretation, impute, readings
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
)
from voicerace.units import ns

__all__ = ["Contradiction", "Derived", "FlagCleared", "derive", "derive_all", "flag_cleared"]

#: A timer's own lateness, in a busy process, and the log's whole milliseconds.
_LATE_NS: Final = ns(500)
#: The API answers a create within 128 ms (docs/protocol-facts.md#measured-times); one older than this at
#: the log's end was not answered.
_ANSWERED_NS: Final = ns(1_000)
_AUDIO: Final = (input_audio.APPEND, input_audio.COMMIT)


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Where log and model do not agree.

    Attributes:
        seq: the event of the given recording at which it shows.
        what: one sentence.
    """

    seq: int
    what: str


@dataclass(frozen=True, slots=True)
class FlagCleared:
    """The proxy's flag was cleared while its response was still active (docs/background.md#suspicion-flag-early).

    Attributes:
        seq: the event of the given recording that cleared it.
        by: that event's type.
        done: the event that ended the response, or None when none came.
    """

    seq: int
    by: str
    done: int | None


@dataclass(frozen=True)
class Derived:
    """A recording completed by the model of one release.

    Attributes:
        release: whose model.
        recording: the events that were given, filled, and the derived ones, in the order at the proxy.
        origin: seq in `recording` -> seq in the given one: of the event itself, for a derived one of its cause.
        contradictions: in order; empty when log and model agree.
        cleared_early: see `FlagCleared`.
        assumed: what had to be taken for granted.
        reading: how the log's gaps were understood.
    """

    release: ProxyRelease
    recording: Recording
    origin: Mapping[int, int]
    contradictions: tuple[Contradiction, ...]
    cleared_early: tuple[FlagCleared, ...]
    assumed: tuple[str, ...]
    reading: Interpretation

    @property
    def creates(self) -> tuple[Event, ...]:
        """The `response.create` that went upstream, derived or logged."""
        return tuple(e for e in self.recording.on(PROXY_TO_UPSTREAM) if e.type == realtime.RESPONSE_CREATE)


def derive(recording: Recording, release: ProxyRelease, reading: Interpretation = Interpretation()) -> Derived:  # noqa: B008 - frozen
    """What the model of `release` adds to a proxy's log.

    Args:
        recording: events at the proxy in the order in which it handled them, of the links towards it and whatever is
            known of those from it.
        release: the row that the model reads.
        reading: how to understand what the log leaves open.
    """
    filled = impute(recording, reading)
    return _Replay(filled.recording, release, filled.assumed, reading).run()


def derive_all(recording: Recording, release: ProxyRelease) -> list[Derived]:
    """As `derive`, once for every reading that the log allows, the plainest first."""
    return [derive(recording, release, each) for each in readings(impute(recording))]


def flag_cleared(recording: Recording, release: ProxyRelease) -> tuple[FlagCleared, ...]:
    """Where the flag of `release` was cleared early, in a recording that has all that came in at the proxy."""
    came = [each for each in recording.ordered("proxy") if each.link.receiver == "proxy" and each.arrived]
    replay = _Replay(replace(recording, events=tuple(came)), release, (), Interpretation())
    return replay.run().cleared_early


class _Replay:
    """The model beside the log."""

    def __init__(self, recording: Recording, release: ProxyRelease, assumed: Iterable[str], reading: Interpretation) -> None:
        self.recording = recording
        self.release = release
        self.reading = reading
        self.assumed = dict.fromkeys(assumed)
        self.model = Proxy(release)
        self.timers = Timers()
        self.events: list[Event] = []
        self.origin: dict[int, int] = {}
        self.found: list[Contradiction] = []
        self.cleared: list[FlagCleared] = []
        #: The model's sends upstream since a message came in, from the first that the log may have in the records
        #: behind it; with their cause.
        self.expected: list[tuple[Payload, Event]] = []
        self.ledger = Ledger()
        self.sent_ns = 0
        #: The response for which the flag stands, as far as the order tells: announced and not done.
        self.active = 0
        self.updated = 0
        timed = any(event.at_ns("proxy") is not None for event in recording.events)
        self.ids = None if timed else read_ids(recording)
        self.now_ns = 0
        if self.ids is not None:
            self.assumed["the proxy's timers ran on the seconds in the API's ids, within 1 s: nothing has a time"] = None

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
        return Derived(self.release, made, self.origin, tuple(self.found), cleared, tuple(self.assumed), self.reading)

    # -- what came in --------------------------------------------------------------------------------------------------

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
        """The time of a message at the proxy; of one without, that of the last id, from the session's first on."""
        if self.ids is None:
            return event.at_ns("proxy") or 0
        second = self.ids.seconds.get(event.seq, self.ids.start)
        self.now_ns = max(self.now_ns, ns((second - self.ids.start) * 1000))
        return self.now_ns

    def _handled(self, event: Event) -> Effects:
        if event.link == COMPONENT_TO_PROXY and not isinstance(event.payload, Mapping):
            return ()  # audio: what became of it is in the log
        try:
            return self.model.message(event.link.sender, event.payload)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # Somebody else's file: a message of a shape that no proxy takes.
            self._contradict(event, f"the model cannot take a {known_type(event.type)} of this shape ({type(error).__name__})")
            return ()

    def _flag(self, event: Event, before: bool) -> None:
        """Note a flag that is cleared while a response is active."""
        if event.link == UPSTREAM_TO_PROXY and event.type == realtime.RESPONSE_CREATED:
            self.active += 1
        if event.link == UPSTREAM_TO_PROXY and event.type == realtime.RESPONSE_DONE:
            self.active = max(0, self.active - 1)
        elif before and not self.model.state.flag and self.active:
            self.cleared.append(FlagCleared(event.seq, event.type, None))

    # -- what went out -------------------------------------------------------------------------------------------------

    def _sends(self, effects: Effects, cause: Event) -> None:
        for effect in effects:
            if not isinstance(effect, Send):
                continue
            link = Link("proxy", effect.to)
            payload = effect.payload
            if link == PROXY_TO_UPSTREAM and isinstance(payload, bytes):
                # The proxy hands the host's JSON on in a binary frame.
                payload = cause.payload
            if link == PROXY_TO_UPSTREAM and (self.expected or self._may_be_logged(payload)):
                self.expected.append((payload, cause))
            else:
                self._derived(link, payload, cause)

    def _may_be_logged(self, payload: Payload) -> bool:
        """Whether a record of this send can follow: then it is derived only if none does."""
        if self.release.context_in != "instructions":
            return False
        kind = payload.get("type") if isinstance(payload, Mapping) else None
        item = realtime.item_of(payload) if isinstance(payload, Mapping) else {}
        return kind == realtime.SESSION_UPDATE or item.get("type") == "function_call_output"

    def _logged(self, event: Event) -> None:
        """A send that the log has."""
        if event.type in _AUDIO:
            self._settle()  # the host's next frame, or a timer, caused it: all that was sent before it is sent
        self.sent_ns = max(self.sent_ns, event.sent_ns or 0)
        # One message causes one send that is logged, in front of those that are not.
        whole = self.expected[0][0] if self.expected else None
        if isinstance(whole, Mapping) and _type(whole) == event.type and self._may_be_logged(whole):
            del self.expected[0]
            self._keep(replace(event, payload={**whole, **_fields(event)}))
        elif event.type == input_audio.COMMIT:
            self._keep(event)
            self.timers.note(event.sent_ns or 0, self.model.committed())
        elif event.type == realtime.RESPONSE_CREATE:
            self._create(event)
        else:
            if event.type in LOGGED_LATER:
                self._contradict(event, f"the log has a {event.type} that {self.release.tag} does not send here")
            self._keep(event)

    def _create(self, event: Event) -> None:
        """A create that is logged: behind a commit, or of the timer."""
        before = self.events[-1] if self.events else None
        if before is None or before.link != PROXY_TO_UPSTREAM or before.type != input_audio.COMMIT:
            effects = self.timers.until((event.sent_ns or 0) + _LATE_NS, self.model)
            if not any(isinstance(each, Send) and _type(each.payload) == realtime.RESPONSE_CREATE for each in effects):
                self._contradict(event, f"the log has a create of the timer that {self.release.tag} does not send here")
        self._keep(event)

    def _settle(self) -> None:
        """The next message came in: what was not logged by now will not be."""
        for payload, cause in self.expected:
            self._unlogged(payload, cause)
        self.expected.clear()

    def _unlogged(self, payload: Payload, cause: Event) -> None:
        if self._may_be_logged(payload) and UPSTREAM_TO_PROXY in self.recording.observed:
            self._contradict(cause, f"{self.release.tag} sends and logs a {_type(payload)} here; the log has none")
        self._derived(PROXY_TO_UPSTREAM, payload, cause)

    # -- the books -----------------------------------------------------------------------------------------------------

    def _derived(self, link: Link, payload: Payload, cause: Event) -> None:
        at = cause.at_ns("proxy")
        if link == PROXY_TO_UPSTREAM and at is not None:
            # Behind what was sent before it: a record of that can be a millisecond later than their common cause.
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
        """An answer of the API's needs a create, or a session.update, that it can answer."""
        if event.type == realtime.SESSION_UPDATED:
            self.updated += 1
            if self.updated > sum(e.link == PROXY_TO_UPSTREAM and e.type == realtime.SESSION_UPDATE for e in self.events):
                self._contradict(event, f"a session.update is confirmed, and {self.release.tag} has sent none that was open")
        if self.ledger.unanswered:
            return
        if event.type == realtime.RESPONSE_CREATED and not self._of_the_server():
            self._contradict(event, f"a response begins, and {self.release.tag} has sent no create that could have begun it")
        elif isinstance(event.payload, Mapping) and realtime.is_refusal(event.payload) and not self._of_the_server():
            self._contradict(event, f"a create is refused, and {self.release.tag} has sent none that was open")

    def _of_the_server(self) -> bool:
        """Whether the server's own responses are possible: it listens, or somebody's raw JSON asked for one."""
        return self.release.audio == "vad" and any(
            e.type in (input_audio.SPEECH_STARTED, input_audio.COMMITTED, input_audio.TIMEOUT_TRIGGERED) for e in self.events
        )

    def _unanswered(self, last: Event) -> None:
        end = last.at_ns("proxy") or 0
        for create in self.ledger.unanswered:
            event = self.events[create.key]
            if event.observed_at == "derived" and (event.sent_ns or 0) < end - _ANSWERED_NS:
                at = self.origin[create.key]
                self.found.append(Contradiction(at, f"{self.release.tag} sends a create here, and nothing ever answers it"))

    def _accepted(self) -> None:
        """A create that met an active response, well before its end, is refused: one that was not was not sent."""
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
                    what = f"{self.release.tag} sends a create here, while a response is active, and it is not refused"
                    self.found.append(Contradiction(self.origin[create.key], what))

    def _round_trip(self) -> int | None:
        """At most how long the way to the upstream and back is: by the slowest news of an item that the proxy sent."""
        sent: int | None = None
        found: list[int] = []
        for event in self.events:
            at = event.at_ns("proxy")
            if event.link == PROXY_TO_UPSTREAM and event.type == realtime.ITEM_CREATE:
                sent = at if sent is None else sent
            elif event.type in (realtime.ITEM_ADDED, realtime.ITEM_CREATED) and sent is not None and at is not None:
                # A millisecond for the log's own steps.
                found.append(at - sent + ns(1))
                sent = None
        return max(found, default=None)

    def _contradict(self, event: Event, what: str) -> None:
        self.found.append(Contradiction(event.seq, what))

    def _observed(self) -> tuple[Link, ...]:
        """A log that has all that came from the upstream lets all else be derived."""
        given = self.recording.observed
        host_known = COMPONENT_TO_PROXY in given or any(e.type in _AUDIO for e in self.recording.events)
        whole = UPSTREAM_TO_PROXY in given and host_known
        return tuple(each for each in LINKS if each in given or (whole and each in WIRES))

    def _done_after(self, seq: int) -> int | None:
        return next((e.seq for e in self.recording.events if e.seq > seq and e.type == realtime.RESPONSE_DONE), None)


def _type(payload: Payload) -> str:
    return str(payload.get("type")) if isinstance(payload, Mapping) else ""


def _fields(event: Event) -> Mapping[str, Any]:
    """A logged send's own fields; its item's kind is all that is logged of an item, so the model's stands."""
    own = event.payload if isinstance(event.payload, Mapping) else {}
    return {name: value for name, value in own.items() if name != "item"}
