"""A captured session and what can be said of it: counts with how sure each is, times at the proxy, and what stays unsaid.

Everything is told from the recording's events at the proxy, so a log and a recording of our own are read alike. A count
is ``observed`` when its link was watched from begin to end, ``at least`` when something may be missing, ``derived`` when
it follows from others, ``unknown`` when nothing can be said. Nobody's texts are in here, save a connection's name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeGuard

from voicerace.analysis.verdict import Kind, Verdict, judge
from voicerace.captures.allowed import is_start, without_fault
from voicerace.captures.derive import FlagCleared, flag_cleared
from voicerace.captures.event_index import Count, EventIndex, fields_of, result_of, text_of
from voicerace.captures.questions import Answers, answers, cleared
from voicerace.captures.races import Race, races_of
from voicerace.captures.release_of import ReleaseInference
from voicerace.captures.server_time import ServerTime, server_time
from voicerace.model.catalog.releases import PROXIES, ProxyRelease
from voicerace.model.protocol import agent, realtime
from voicerace.trace.recording import Recording
from voicerace.units import ms

__all__ = ["CapturedSession", "Count", "Names", "capture_session", "printable"]

_NAME_LIMIT: Final = 60
#: The default deadline after the last result (docs/glossary.md#deadline).
_GIVES_UP_NS: Final = 30_000_000_000


@dataclass(frozen=True)
class CapturedSession:
    """One session of a capture.

    Attributes:
        connection: its name, made printable and unique in its file. Untrusted all the same.
        recording: what passed, as far as it was captured.
        start: absolute begin, ISO 8601 with milliseconds, UTC; None when the capture has no absolute time.
        duration_ms: from the first to the last thing seen; None without a time.
        outcome: of `voicerace.analysis.verdict.judge`; ``unknown`` when the capture does not show enough.
        why: the outcome in one sentence.
        counts: by name, see `capture_session`.
        refused_at_ms: when each refusal came in at the proxy, from `start`.
        result_delay_ms: per result at the proxy, since its call's arguments were complete there; None where it is
            not known which call it answers.
        gap_ms: per response with calls, from its last call's arguments to its response.done, both at the proxy.
        unread_records: unread records that are, or may be, this session's.
        cannot_say: what the capture does not show, one sentence each.
        told: what follows from the release's model; None for a recording that has what was sent.
        release: the release, if it is one program; of several tags of one program the first.
        release_given: the user named it.
        answers: to the letter's questions (`voicerace.captures.questions`).
        completed: the recording with what was derived; `recording` itself when nothing was.
        server: what the seconds in the API's ids say; None when they say nothing.
        races: see `captures.races`; `races_left_out` is how many responses with calls are none, by reason.
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
    told: ReleaseInference | None
    release: str | None
    release_given: bool
    answers: Answers
    completed: Recording
    server: ServerTime | None
    races: tuple[Race, ...]
    races_left_out: Mapping[str, int]

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
        return self.counts["submissions"]


def capture_session(
    connection: str,
    recording: Recording,
    *,
    cannot_say: Iterable[str] = (),
    unread_records: int = 0,
    hidden: frozenset[int] | None = None,
    updates_logged: bool = False,
    told: ReleaseInference | None = None,
    line: Callable[[int], int] | None = None,
    release: ProxyRelease | None = None,
) -> CapturedSession:
    """All that can be said of one recording.

    The counts: host_messages, upstream_events, user_texts, calls, submissions (results, whoever in the host sent them),
    repeated_results (beyond one per call),
    default_errors (results that are the component's own error), responses (response.created), refusals,
    refusals_hidden (kept from the host), other_errors, session_updates, response_creates, commits.

    Args:
        connection: its printable name.
        recording: what was captured of it.
        cannot_say: sentences that the reader of the capture adds.
        unread_records: what it could not read of this session.
        hidden: seqs of refusals that the capture says were kept from the host; None when it says nothing of that.
        updates_logged: session.update is there whenever one was sent, though its link is not observed.
        told: of a log, what its release's model says.
        line: where an event of the recording stands in its file.
        release: of a recording that needs no model, the one that the user names.
    """
    seen = EventIndex(recording)
    line = line or _nowhere
    outcome, why, verdict, completed = _outcome(seen) if told is None else _told(told, recording)
    derived = told.derived if told is not None else None
    if derived is not None:
        said, given = told.release if told is not None else None, told.given if told is not None else False
        found = answers(completed, verdict, lambda seq: line(derived.origin.get(seq, 0)), derived.cleared_early)
        agreed = told is not None and told.flag_agreed
        early_on = cleared(derived.cleared_early, completed, derived.origin, line)
        found = replace(found, cleared=early_on if agreed else None)
    else:
        said, given, early = _flag(recording, release)
        found = answers(completed, verdict, line, early)
    counts = _counts(seen, hidden, updates_logged)
    if told is not None and told.missed:
        counts = {name: _at_least(count) for name, count in counts.items()}
    turns = verdict.turns if verdict is not None else ()
    # Readings may share the session's outcome and not each turn's.
    agreed_on = outcome != "unknown" and (len(turns) == 1 or told is None or told.readings == 1)
    races, left_out = races_of(completed, turns, sure=agreed_on)
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
        start=start if is_start(start) else None,
        duration_ms=None if first is None else ms(max(times) - first),
        outcome=outcome,
        why=printable(without_fault(why, verdict.fault if verdict is not None else None), 300),
        counts=counts if told is None else counts | _derived_counts(told, seen, counts),
        refused_at_ms=tuple(ms(at - first) for e in seen.refusals if first is not None and (at := seen.at(e)) is not None),
        result_delay_ms=tuple(seen.delays()),
        gap_ms=tuple(seen.gaps()),
        unread_records=unread_records,
        cannot_say=(*cannot_say, *_unsaid(seen)),
        told=told,
        release=said,
        release_given=given,
        answers=found,
        completed=completed,
        server=server_time(recording, line),
        races=races,
        races_left_out=left_out,
    )


def printable(text: str, limit: int = _NAME_LIMIT) -> str:
    """A text for a terminal: whatever does not print (controls, bidirectional marks, surrogates) escaped, cut to `limit`."""
    shown = "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text[:limit])
    return shown + ("…" if len(text) > limit else "")


class Names:
    """Names for people: printable, and numbered where a file has one name twice."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def unique(self, given: str) -> str:
        """The next name."""
        name = printable(given)
        self._seen[name] += 1
        return name if self._seen[name] == 1 else f"{name} ({self._seen[name]})"


def _counts(seen: EventIndex, hidden: frozenset[int] | None, updates_logged: bool) -> dict[str, Count]:
    """The counts of `capture_session`."""
    host, came, sent = seen.sure("component", "proxy"), seen.sure("upstream", "proxy"), seen.sure("proxy", "upstream")
    told = seen.sure("proxy", "component")
    if seen.host_only:
        came = "at least"  # what the proxy kept to itself is not seen
    if seen.api_only:
        host = sent  # a client's results are what it sends upstream
    types = Counter(event.type for event in seen.sent)
    outputs, results, calls = seen.outputs(), len(seen.results), len(seen.calls)
    if hidden is not None:
        kept = Count(len(hidden), came)
    elif seen.recording.observes("proxy", "component"):
        errors = [e for e in seen.told if e.type == "Error" and fields_of(e).get("code") == realtime.ACTIVE_RESPONSE]
        kept = Count(max(0, len(seen.refusals) - len(errors)), "derived" if told == "observed" else told)
    else:
        kept = Count(None, "unknown")
    if outputs is not None:
        repeated = Count(results - len({text_of(each.get("call_id")) for each in outputs}), host)
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
        "submissions": Count(results, host),
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


def _at_least(count: Count) -> Count:
    return count if count.kind == "unknown" else Count(count.value, "at least")


def _nowhere(_: int) -> int:
    return 0


def _outcome(seen: EventIndex) -> tuple[str, str, Verdict | None, Recording]:
    """The verdict's outcome, where the capture shows what it needs."""
    recording = seen.recording
    if not recording.observes("proxy", "upstream"):
        return "unknown", "the capture does not show what the proxy sent upstream", None, recording
    try:
        verdict = judge(recording)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Somebody else's file: a payload of a shape that no proxy sends must not end the reading of the rest.
        return "unknown", f"the recording holds messages that cannot be judged ({type(error).__name__})", None, recording
    if _unsettled(verdict, recording):
        return "unknown", f"{verdict.outcome} so far; the recording stops before the session's end", verdict, recording
    if verdict.turn is None:
        return verdict.outcome, verdict.why if verdict.fault is not None else _no_turn(seen), verdict, recording
    return verdict.outcome, verdict.turn.why, verdict, recording


def _told(told: ReleaseInference, recording: Recording) -> tuple[str, str, Verdict | None, Recording]:
    """What a log's outcome is: that on which every candidate's model and every reading agree."""
    if told.derived is None:
        return "unknown", "no release's model fits this log", None, recording
    completed = told.derived.recording
    verdict = judge(completed)
    if told.contradictions:
        return "unknown", f"the log contradicts the model of {told.candidates[0]}", verdict, completed
    if not recording.observed:
        return "unknown", "the log is not whole: what it lacks may decide", verdict, completed
    if _unsettled(verdict, completed):
        return "unknown", f"{verdict.outcome} so far; the log stops before the session's end", verdict, completed
    if len(told.outcomes) > 1:
        either = " or ".join(f"{outcome} ({why})" for outcome, why in told.outcomes.items())
        return "unknown", f"the log allows several: {either}", verdict, completed
    ((outcome, why),) = told.outcomes.items()
    return outcome, why if verdict.turns else _no_turn(EventIndex(recording)), verdict, completed


def _no_turn(seen: EventIndex) -> str:
    return "a function call was seen, but no response that holds it" if seen.calls else "no function call was seen"


def _unsettled(verdict: Verdict, recording: Recording) -> bool:
    """Whether a turn that was refused may still become another one: no close was seen, nobody gave up, nobody went on.

    A result that is sent again asks again, and its reply makes a turn `noisy` that is rejected or lost without it.
    """
    turn = verdict.turn
    if recording.complete or turn is None or turn.outcome not in ("rejected", "lost"):
        return False
    last = max(turn.events, default=0)
    if any(event.seq > last and event.type == "InjectUserMessage" for event in recording.events):
        return False
    times = [at for event in recording.events if (at := event.at_ns("proxy")) is not None]
    results = [at for e in recording.events if e.type == "FunctionCallResponse" and (at := e.at_ns("proxy")) is not None]
    return not times or not results or max(times) - max(results) < _GIVES_UP_NS


def _derived_counts(told: ReleaseInference, seen: EventIndex, before: Mapping[str, Count]) -> dict[str, Count]:
    """The counts that rest on the model; unsure where log and model differ, or the log is not whole."""
    sure = told.derived is not None and not told.contradictions and bool(seen.recording.observed)
    kind: Kind = ("derived" if seen.recording.complete else "at least") if sure else "unknown"
    found = {}
    if told.derived is not None:
        found["response_creates"] = Count(told.creates, kind if told.creates is not None else "unknown")
    if sure:  # else what was logged of them stands, at least so many
        if told.updates is not None and before["session_updates"] != Count(told.updates, "observed"):
            found["session_updates"] = Count(told.updates, kind)
        commits = sum(event.type == "input_audio_buffer.commit" for event in seen.sent)
        found["commits"] = Count(commits, "observed" if kind == "derived" else kind)
    return found


def _flag(recording: Recording, release: ProxyRelease | None) -> tuple[str | None, bool, tuple[FlagCleared, ...] | None]:
    """Of a recording as an engine or a relay made it: its release, and where that release's flag was cleared early.

    The flag follows from what came to the proxy: where one of its two links was not captured, nothing is said of it.
    """
    said = recording.provenance.get("release")
    row = release or (PROXIES.get(said) if isinstance(said, str) else None)
    if row is None:
        return None, False, None
    if not (recording.observes("component", "proxy") and recording.observes("upstream", "proxy")):
        return row.tag, release is not None, None
    try:
        return row.tag, release is not None, tuple(flag_cleared(recording, row))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return row.tag, release is not None, None


def _unsaid(seen: EventIndex) -> list[str]:
    """What this recording leaves open, beyond what its reader knows."""
    unsaid = []
    if seen.recording.clock != "log" and not seen.recording.observes("component", "proxy"):
        unsaid.append(
            "What the host sent was not captured: the results are those that the proxy passed on, its flag is unknown."
        )
    if seen.calls and not seen.dones():
        unsaid.append("No response.done was seen after a function call: the gap is unknown.")
    if len(seen.calls) > 1 and seen.results and all(result_of(event) is None for event in seen.results):
        unsaid.append("Which call a result answers is not captured: each is taken to answer the call before it.")
    timed = any(seen.at(event) is not None for event in seen.recording.events)
    if timed and any(delay is None for delay in seen.delays()):
        unsaid.append("Some results could answer one of several calls, and their ids are not there: those delays are unknown.")
    if not seen.recording.complete:
        unsaid.append("No close was seen: the capture may end before the session did.")
    return unsaid


def _is_time(value: object) -> TypeGuard[int]:
    """Whether a provenance's value is a time in microseconds: a file can say anything."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 53
