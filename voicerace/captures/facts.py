"""A captured session and what can be said of it: counts with how sure each is, times at the proxy, and what stays unsaid.

Everything is told from the recording's events at the proxy, so a log and a recording of our own are read alike. A count
is ``observed`` when its link was watched from begin to end, ``at least`` when something may be missing, ``derived`` when
it follows from others, ``unknown`` when nothing can be said. Nobody's texts are in here, save a connection's name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeGuard

from voicerace.recording import Event, Recording
from voicerace.units import ms
from voicerace.verdict import Kind, judge
from voicerace.wire import agent, realtime

__all__ = ["CapturedSession", "Count", "capture_session", "printable"]

_NAME_LIMIT: Final = 60


@dataclass(frozen=True, slots=True)
class Count:
    """A number and how sure it is; no number when it is unknown."""

    value: int | None
    kind: Kind


@dataclass(frozen=True)
class CapturedSession:
    """One session of a capture.

    Attributes:
        connection: its name, made printable and unique in its file. Untrusted all the same.
        recording: what passed, as far as it was captured.
        start: absolute begin, ISO 8601 with milliseconds, UTC; None when the capture has no absolute time.
        duration_ms: from the first to the last thing seen; None without a time.
        outcome: of `voicerace.verdict.judge`; ``unknown`` when the capture does not show enough.
        why: the outcome in one sentence.
        counts: by name, see `capture_session`.
        refused_at_ms: when each refusal came in at the proxy, from `start`.
        result_delay_ms: per result at the proxy, since its call's arguments were complete there; None where it is
            not known which call it answers.
        gap_ms: per response with calls, from its last call's arguments to its response.done, both at the proxy.
        unread_records: unread records that are, or may be, this session's.
        cannot_say: what the capture does not show, one sentence each.
    """

    connection: str
    recording: Recording
    start: str | None
    duration_ms: float | None
    outcome: str
    why: str
    counts: Mapping[str, Count]
    refused_at_ms: tuple[float, ...]
    result_delay_ms: tuple[float | None, ...]
    gap_ms: tuple[float, ...]
    unread_records: int
    cannot_say: tuple[str, ...]

    @property
    def refusals(self) -> Count:
        """`error` events with the active-response code."""
        return self.counts["refusals"]

    @property
    def session_updates(self) -> Count:
        return self.counts["session_updates"]

    @property
    def response_creates(self) -> Count:
        return self.counts["response_creates"]

    @property
    def submissions(self) -> Count:
        """Results the host sent, whoever in the host sent them."""
        return self.counts["results"]


def capture_session(
    connection: str,
    recording: Recording,
    *,
    cannot_say: Iterable[str] = (),
    unread_records: int = 0,
    hidden: frozenset[int] | None = None,
    updates_logged: bool = False,
) -> CapturedSession:
    """All that can be said of one recording.

    The counts: host_messages, upstream_events, user_texts, calls, results, repeated_results (beyond one per call),
    default_errors (results that are the component's own error), responses (response.created), refusals,
    refusals_hidden (kept from the host), other_errors, session_updates, response_creates, commits.

    Args:
        connection: its printable name.
        recording: what was captured of it.
        cannot_say: sentences that the reader of the capture adds.
        unread_records: what it could not read of this session.
        hidden: seqs of refusals that the capture says were kept from the host; None when it says nothing of that.
        updates_logged: session.update is there whenever one was sent, though its link is not observed.
    """
    seen = _Seen(recording)
    outcome, why = _outcome(seen)
    provenance = recording.provenance
    times = [at for event in recording.events if (at := event.at_ns("proxy")) is not None]
    zero_us, start_us, end_us = (provenance.get(name) for name in ("file_start_us", "start_us", "end_us"))
    if _is_time(zero_us) and _is_time(start_us) and _is_time(end_us):
        # A log's first and last records of a connection need not be events: the session has their times all the same.
        times += [(start_us - zero_us) * 1000, (end_us - zero_us) * 1000]
    first = min(times, default=None)
    start = provenance.get("start")
    return CapturedSession(
        connection=connection,
        recording=recording,
        start=printable(start, 40) if isinstance(start, str) else None,
        duration_ms=None if first is None else ms(max(times) - first),
        outcome=outcome,
        why=printable(why, 300),  # it may name calls, by ids of the capture
        counts=_counts(seen, hidden, updates_logged),
        refused_at_ms=tuple(ms(at - first) for e in seen.refusals if first is not None and (at := seen.at(e)) is not None),
        result_delay_ms=tuple(seen.delays()),
        gap_ms=tuple(seen.gaps()),
        unread_records=unread_records,
        cannot_say=(*cannot_say, *_unsaid(seen)),
    )


def printable(text: str, limit: int = _NAME_LIMIT) -> str:
    """A text for a terminal: whatever does not print (controls, bidirectional marks, surrogates) escaped, cut to `limit`."""
    shown = "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text[:limit])
    return shown + ("…" if len(text) > limit else "")


class _Seen:
    """The messages of a recording by their link, and the questions asked of them."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.host = self._on("component", "proxy")
        self.told = self._on("proxy", "component")
        self.sent = self._on("proxy", "upstream")
        self.came = self._on("upstream", "proxy")
        self.calls = [event for event in self.came if event.type == realtime.ARGUMENTS_DONE]
        self.results = [event for event in self.host if event.type == "FunctionCallResponse"]
        self.errors = [event for event in self.came if event.type == realtime.ERROR]
        self.refusals = [event for event in self.errors if realtime.is_refusal(_fields(event))]

    def _on(self, sender: str, receiver: str) -> list[Event]:
        return [
            event for event in self.recording.events
            if event.link == (sender, receiver) and event.kind == "message" and event.arrived
        ]  # fmt: skip

    def sure(self, sender: str, receiver: str) -> Kind:
        """How sure the number of messages on a link is."""
        if not (self.recording.observes(sender, receiver) and self.recording.complete):
            return "at least"
        return "derived" if any(event.observed_at == "derived" for event in self.recording.events) else "observed"

    @staticmethod
    def at(event: Event) -> int | None:
        return event.at_ns("proxy")

    def between(self, first: Event, last: Event) -> float | None:
        """Milliseconds at the proxy from one event to another."""
        since, until = self.at(first), self.at(last)
        return None if since is None or until is None else ms(until - since)

    def at_proxy(self, events: Iterable[Event]) -> list[Event]:
        """Events of several links as they passed the proxy: a log has them in this order, whatever its clock did."""
        if self.recording.clock == "log":
            return sorted(events, key=lambda event: event.seq)
        return sorted(events, key=lambda event: (self.at(event) or 0, event.seq))

    def delays(self) -> list[float | None]:
        """Per result, the time since its call was complete.

        By call id where both ids were captured. Without them a result answers the call before it, if that is the only
        one it can answer: the last response had one call, and every call before that has its result.
        """
        delays: list[float | None] = []
        by_id: dict[str, Event] = {}
        open_calls: list[Event] = []
        given = fresh = 0
        for event in self.at_proxy([*self.calls, *self.results, *self.dones()]):
            fields = _fields(event)
            if event.type == realtime.RESPONSE_DONE:
                fresh = 0
            elif event.type == realtime.ARGUMENTS_DONE:
                if fresh == 0 and given >= len(open_calls):
                    open_calls, given = [], 0
                open_calls.append(event)
                fresh += 1
                if isinstance(fields.get("call_id"), str):
                    by_id[fields["call_id"]] = event  # type: ignore[index]
            else:
                given += 1
                call_id = fields.get("id")
                only = open_calls[0] if len(open_calls) == 1 else None
                call = by_id.get(call_id) if isinstance(call_id, str) else only
                delays.append(None if call is None else self.between(call, event))
        return delays

    def gaps(self) -> list[float]:
        """Per response with calls, from its last call to its end; by response id where both were captured."""
        gaps: list[float] = []
        last: dict[str, Event] = {}
        for event in self.at_proxy([*self.calls, *self.dones()]):
            fields = _fields(event)
            if event.type == realtime.ARGUMENTS_DONE:
                last[_text(fields.get("response_id"))] = event
            else:
                call = last.pop(_text(realtime.response_of(fields).get("id")), None) or last.pop("", None)
                gap = None if call is None else self.between(call, event)
                if gap is not None:
                    gaps.append(gap)
        return gaps

    def dones(self) -> list[Event]:
        return [event for event in self.came if event.type == realtime.RESPONSE_DONE]

    def outputs(self) -> list[Mapping[str, object]] | None:
        """The results with their ids and contents, as the host sent or the upstream confirmed them; None if not captured."""
        sent = [{"call_id": f.get("id"), "output": f.get("content")} for e in self.results if "id" in (f := _fields(e))]
        if len(sent) == len(self.results) and sent:
            return list(sent)
        items: dict[str, Mapping[str, object]] = {}
        for event in self.came:
            item = realtime.item_of(_fields(event))
            if event.type in (realtime.ITEM_ADDED, realtime.ITEM_DONE, realtime.ITEM_CREATED):
                if not item:
                    return None
                if item.get("type") == "function_call_output" and isinstance(item.get("id"), str):
                    items[str(item["id"])] = item
        return list(items.values()) if len(items) == len(self.results) else None


def _counts(seen: _Seen, hidden: frozenset[int] | None, updates_logged: bool) -> dict[str, Count]:
    """The counts of `capture_session`."""
    host, came, sent = seen.sure("component", "proxy"), seen.sure("upstream", "proxy"), seen.sure("proxy", "upstream")
    told = seen.sure("proxy", "component")
    types = Counter(event.type for event in seen.sent)
    outputs, results, calls = seen.outputs(), len(seen.results), len(seen.calls)
    if hidden is not None:
        kept = Count(len(hidden), came)
    elif seen.recording.observes("proxy", "component"):
        errors = [e for e in seen.told if e.type == "Error" and _fields(e).get("code") == realtime.ACTIVE_RESPONSE]
        kept = Count(max(0, len(seen.refusals) - len(errors)), "derived" if told == "observed" else told)
    else:
        kept = Count(None, "unknown")
    if outputs is not None:
        repeated = Count(results - len({_text(each.get("call_id")) for each in outputs}), host)
    elif calls and results:
        # One call: whatever comes beyond its first result repeats it. More: at least so many.
        repeated = Count(max(0, results - calls), "derived" if calls == 1 and host == came == "observed" else "at least")
    else:
        repeated = Count(0, host) if not results else Count(None, "unknown")
    own = None if outputs is None else sum(agent.is_default_error(each.get("output")) for each in outputs)
    # A session.update is answered by one session.updated: so many were sent at least.
    updates = max(types[realtime.SESSION_UPDATE], sum(event.type == realtime.SESSION_UPDATED for event in seen.came))
    creates, commits = types[realtime.RESPONSE_CREATE], types["input_audio_buffer.commit"]
    watched = seen.recording.observes("proxy", "upstream")
    return {
        "host_messages": Count(len(seen.host), host),
        "upstream_events": Count(len(seen.came), came),
        "user_texts": Count(sum(event.type == "InjectUserMessage" for event in seen.host), host),
        "calls": Count(calls, came),
        "results": Count(results, host),
        "repeated_results": repeated,
        "default_errors": Count(own, "unknown" if own is None else host),
        "responses": Count(sum(event.type == realtime.RESPONSE_CREATED for event in seen.came), came),
        "refusals": Count(len(seen.refusals), came),
        "refusals_hidden": kept,
        "other_errors": Count(len(seen.errors) - len(seen.refusals), came),
        "session_updates": Count(updates, sent if watched else came if updates_logged else "at least"),
        "response_creates": Count(creates, sent if watched else "at least") if watched or creates else Count(None, "unknown"),
        "commits": Count(commits, sent if watched else "at least") if watched or commits else Count(None, "unknown"),
    }


def _outcome(seen: _Seen) -> tuple[str, str]:
    """The verdict's outcome, where the capture shows what it needs."""
    recording = seen.recording
    if not recording.observes("proxy", "upstream"):
        return "unknown", "the capture does not show what the proxy sent upstream"
    try:
        verdict = judge(recording)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Somebody else's file: a payload of a shape that no proxy sends must not end the reading of the rest.
        return "unknown", f"the recording holds messages that cannot be judged ({type(error).__name__})"
    if verdict.turn is None:
        return verdict.outcome, "no function call was seen" if verdict.fault is None else printable(verdict.why, 300)
    return verdict.outcome, verdict.turn.why


def _unsaid(seen: _Seen) -> list[str]:
    """What this recording leaves open, beyond what its reader knows."""
    unsaid = []
    if seen.calls and not seen.dones():
        unsaid.append("No response.done was seen after a function call: the gap is unknown.")
    if len(seen.calls) > 1 and seen.results and not any("id" in _fields(event) for event in seen.results):
        unsaid.append("Which call a result answers is not captured: each is taken to answer the call before it.")
    if any(delay is None for delay in seen.delays()):
        unsaid.append("Some results could answer one of several calls, and their ids are not there: those delays are unknown.")
    if not seen.recording.complete:
        unsaid.append("No close was seen: the capture may end before the session did.")
    return unsaid


def _is_time(value: object) -> TypeGuard[int]:
    """Whether a provenance's value is a time in microseconds: a file can say anything."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 53


def _fields(event: Event) -> Mapping[str, object]:
    return event.payload if isinstance(event.payload, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
