"""Summarize a captured session: counts with their certainty, times at the proxy, and limitations of the capture.

All values are computed from the recording's events at the proxy. A count is ``observed`` if all messages on its link were
captured, ``at least`` if messages may be missing, ``derived`` if it was computed from other messages, and ``unknown``
otherwise. The name of the connection is the only untrusted text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeGuard

from voicerace.analysis.trace_index import DIRECT
from voicerace.analysis.verdict import Kind, Verdict, judge
from voicerace.captures.allowed import is_start, without_fault
from voicerace.captures.audio_chunks import AudioChunks
from voicerace.captures.derive import FlagCleared, flag_cleared
from voicerace.captures.event_index import Count, EventIndex, fields_of, result_of, text_of
from voicerace.captures.questions import Answers, answers, cleared
from voicerace.captures.races import Race, races_of
from voicerace.captures.release_of import ReleaseInference
from voicerace.captures.server_time import ServerTime, server_time
from voicerace.model.actors import javascript
from voicerace.model.catalog.releases import PROXIES, ProxyRelease
from voicerace.model.protocol import agent, realtime
from voicerace.scrubber import printable
from voicerace.trace.recording import Recording
from voicerace.units import ms

__all__ = ["NAME_LIMIT", "CapturedSession", "Count", "Names", "capture_session"]

NAME_LIMIT: Final = 60
#: Default deadline in ns after the last result (docs/glossary.md#deadline).
_GIVES_UP_NS: Final = 30_000_000_000


@dataclass(frozen=True)
class CapturedSession:
    """One session of a capture.

    Attributes:
        connection: name of the connection, an untrusted text made printable and unique in its file.
        recording: the captured messages.
        start: absolute start in ISO 8601 with milliseconds, UTC; None if the capture has no absolute time.
        duration_ms: time from the first to the last event or record in ms; None without times.
        outcome: outcome of `voicerace.analysis.verdict.judge`; ``unknown`` if the capture does not determine it.
        why: reason of the outcome in one sentence.
        counts: name -> count. `capture_session` lists the names.
        refused_at_ms: time in ms from `start` to each refusal at the proxy.
        result_delay_ms: time in ms at the proxy from a call's arguments to each result; None if the call is ambiguous.
        gap_ms: time in ms at the proxy from the arguments of a response's last call to response.done, per response.
        unread_records: number of unread records that may belong to this session.
        cannot_say: limitations of the capture, one sentence each.
        inference: the inferred release and derived values; None if the capture contains the proxy's sends.
        release: tag of the release (the first tag of its program); None if several programs are possible.
        release_given: whether the user named the release.
        answers: answers to the questions of `voicerace.captures.questions`.
        completed: the recording with derived events; equal to `recording` without derived events.
        server: times in the API's ids; None if the ids disagree or are missing.
        races: the races of the session (`voicerace.captures.races`).
        races_left_out: reason -> number of other responses with calls.
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
    inference: ReleaseInference | None
    release: str | None
    release_given: bool
    answers: Answers
    completed: Recording
    server: ServerTime | None
    races: tuple[Race, ...]
    races_left_out: Mapping[str, int]

    @property
    def first_release(self) -> str | None:
        """Return the release, or the first of several candidates; None if there is no candidate."""
        return self.release or (self.inference.candidates[0] if self.inference and self.inference.candidates else None)

    @property
    def refusals(self) -> Count:
        """Return the number of refusals: `error` events with the code of an active response."""
        return self.counts["refusals"]

    @property
    def session_updates(self) -> Count:
        return self.counts["session_updates"]

    @property
    def response_creates(self) -> Count:
        return self.counts["response_creates"]

    @property
    def submissions(self) -> Count:
        """Return the number of results that the app or the component sent."""
        return self.counts["submissions"]


def capture_session(
    connection: str,
    recording: Recording,
    *,
    cannot_say: Iterable[str] = (),
    unread_records: int = 0,
    hidden: frozenset[int] | None = None,
    updates_logged: bool = False,
    inference: ReleaseInference | None = None,
    line: Callable[[int], int] | None = None,
    release: ProxyRelease | None = None,
    audio: AudioChunks | None = None,
) -> CapturedSession:
    """Summarize one recording.

    The names of the counts are host_messages, upstream_events, user_texts, calls, submissions (results from the host),
    repeated_results (beyond one per call), default_errors (results that are the component's own error), responses
    (response.created), refusals, refusals_hidden (not sent to the host), other_errors, session_updates, response_creates,
    commits and audio_bytes (of the API).

    Args:
        connection: printable name of the connection.
        recording: the captured messages.
        cannot_say: limitations that follow from the format of the capture.
        unread_records: number of unread records that may belong to this session.
        hidden: seqs of the refusals that the proxy logged as not sent to the host; None if the capture is not a log.
        updates_logged: whether every session.update was captured, although the link to the API is not observed.
        inference: the inferred release and derived values of a log; None for any other capture.
        line: function from the seq of an event to its line number.
        release: release that the user named, for a recording without inference.
        audio: the API's audio as a log names it; None if the capture is not a log.
    """
    index = EventIndex(recording)
    line = line or _no_line
    outcome, why, verdict, completed = _outcome(index) if inference is None else _log_outcome(inference, recording)
    if inference is not None and (derived := inference.derived) is not None:
        tag, given = inference.release, inference.given
        found = answers(completed, verdict, lambda seq: line(derived.origin.get(seq, 0)), derived.cleared_early)
        early_on = cleared(derived.cleared_early, completed, derived.origin, line)
        found = replace(found, cleared=early_on if inference.flag_agreed else None)
    else:
        tag, given, early = _flag(recording, release)
        found = answers(completed, verdict, line, early)
    counts = _counts(index, hidden, updates_logged) | {"audio_bytes": _audio_bytes(index, audio)}
    if inference is not None and inference.missed:
        counts = {name: _at_least(count) for name, count in counts.items()}
    turns = verdict.turns if verdict is not None else ()
    # Interpretations with the same outcome of the session can differ in the outcomes of its turns.
    certain = outcome != "unknown" and (len(turns) == 1 or inference is None or inference.interpretations == 1)
    races, left_out = races_of(completed, turns, sure=certain)
    provenance = recording.provenance
    times = [at for event in recording.events if (at := event.at_ns("proxy")) is not None]
    zero_us, start_us, end_us = (provenance.get(name) for name in ("file_start_us", "start_us", "end_us"))
    if _is_time(zero_us) and _is_time(start_us) and _is_time(end_us):
        # The first and last records of a connection in a log may report no events.
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
        counts=counts if inference is None else counts | _derived_counts(inference, index, counts),
        refused_at_ms=tuple(ms(at - first) for e in index.refusals if first is not None and (at := index.at(e)) is not None),
        result_delay_ms=tuple(index.delays()),
        gap_ms=tuple(index.gaps()),
        unread_records=unread_records,
        cannot_say=(*cannot_say, *_limitations(index)),
        inference=inference,
        release=tag,
        release_given=given,
        answers=found,
        completed=completed,
        server=server_time(recording, line),
        races=races,
        races_left_out=left_out,
    )


class Names:
    """Makes connection names printable and unique."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def unique(self, given: str) -> str:
        """Return `given` as printable text, followed by a number if an earlier call returned the same name."""
        name = printable(given, NAME_LIMIT)
        self._seen[name] += 1
        return name if self._seen[name] == 1 else f"{name} ({self._seen[name]})"


def _counts(index: EventIndex, hidden: frozenset[int] | None, updates_logged: bool) -> dict[str, Count]:
    """Return the counts that `capture_session` lists."""
    # Certainty of the number of messages on each link.
    from_host, to_host = index.certainty("component", "proxy"), index.certainty("proxy", "component")
    from_api, to_api = index.certainty("upstream", "proxy"), index.certainty("proxy", "upstream")
    if index.host_only:
        from_api = "at least"  # the proxy does not forward every event
    if index.api_only:
        from_host = to_api  # without a proxy, the client sends results directly to the API
    types = Counter(event.type for event in index.to_upstream)
    outputs, results, calls = index.outputs(), len(index.results), len(index.calls)
    if hidden is not None:
        hidden_count = Count(len(hidden), from_api)
    elif index.recording.observes("proxy", "component"):
        errors = [e for e in index.to_host if e.type == "Error" and realtime.is_refusal_code(fields_of(e).get("code"))]
        hidden_count = Count(max(0, len(index.refusals) - len(errors)), "derived" if to_host == "observed" else to_host)
    else:
        hidden_count = Count(None, "unknown")
    if outputs is not None:
        repeated = Count(results - len({text_of(each.get("call_id")) for each in outputs}), from_host)
    elif calls and results:
        # With one call, every result after the first is repeated. With several calls, results minus calls is a lower bound.
        repeated = Count(
            max(0, results - calls), "derived" if calls == 1 and from_host == from_api == "observed" else "at least"
        )
    else:
        repeated = Count(0, from_host) if not results else Count(None, "unknown")
    own = None if outputs is None else sum(agent.is_default_error(each.get("output")) for each in outputs)
    # Each session.updated confirms one session.update, so the number of session.updated is a lower bound.
    updates = max(types[realtime.SESSION_UPDATE], sum(event.type == realtime.SESSION_UPDATED for event in index.from_upstream))
    creates, commits = types[realtime.RESPONSE_CREATE], types["input_audio_buffer.commit"]
    watched = index.recording.observes("proxy", "upstream")
    return {
        "host_messages": Count(len(index.from_host), from_host),
        "upstream_events": Count(len(index.from_upstream), from_api),
        "user_texts": Count(sum(event.type == "InjectUserMessage" for event in index.from_host), from_host),
        "calls": Count(calls, from_api),
        "submissions": Count(results, from_host),
        "repeated_results": repeated,
        "default_errors": Count(own, "unknown" if own is None else from_host),
        "responses": Count(sum(event.type == realtime.RESPONSE_CREATED for event in index.from_upstream), from_api),
        "refusals": Count(len(index.refusals), from_api),
        "refusals_hidden": hidden_count,
        "other_errors": Count(len(index.errors) - len(index.refusals), from_api),
        "session_updates": Count(updates, to_api if watched else from_api if updates_logged else "at least"),
        "response_creates": Count(creates, to_api if watched else "at least") if watched or creates else Count(None, "unknown"),
        "commits": Count(commits, to_api if watched else "at least") if watched or commits else Count(None, "unknown"),
    }


def _audio_bytes(index: EventIndex, logged: AudioChunks | None) -> Count:
    """Return the size of the API's audio. A log names it only with ``OPENAI_PROXY_TTS_BOUNDARY_DEBUG=1``."""
    kind = index.certainty("upstream", "proxy")
    deltas = [event for event in index.from_upstream if event.type == realtime.AUDIO_DELTA]
    if index.host_only or (logged is not None and deltas and not logged.logged):
        return Count(None, "unknown")
    if logged is not None:
        return Count(logged.total_bytes, kind if logged.complete else "at least")
    given = [text_of(fields_of(event).get("delta")) for event in deltas]
    return Count(sum(len(javascript.base64_bytes(each or "")) for each in given), kind if None not in given else "at least")


def _at_least(count: Count) -> Count:
    return count if count.kind == "unknown" else Count(count.value, "at least")


def _no_line(_: int) -> int:
    return 0


def _outcome(index: EventIndex) -> tuple[str, str, Verdict | None, Recording]:
    """Judge a capture that is not a log, and return (outcome, reason, verdict or None, recording)."""
    recording = index.recording
    if not recording.observes("proxy", "upstream"):
        return "unknown", "the capture does not show what the proxy sent upstream", None, recording
    try:
        verdict = judge(recording)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # An untrusted file can contain payloads of any structure. An error must not prevent reading of the other sessions.
        return "unknown", f"the recording has messages that cannot be judged ({type(error).__name__})", None, recording
    if _unsettled(verdict, recording):
        return "unknown", f"{verdict.outcome} so far; the recording stops before the session's end", verdict, recording
    if verdict.turn is None:
        return verdict.outcome, verdict.why if verdict.fault is not None else _no_turn(index), verdict, recording
    return verdict.outcome, verdict.turn.why, verdict, recording


def _log_outcome(inference: ReleaseInference, recording: Recording) -> tuple[str, str, Verdict | None, Recording]:
    """Judge a log, and return (outcome, reason, verdict, completed recording). The outcome is ``unknown`` unless the models of
    all candidates have the same outcome in every interpretation.
    """
    if inference.derived is None:
        return "unknown", "no release's model fits this log", None, recording
    completed = inference.derived.recording
    verdict = judge(completed)
    if inference.contradictions:
        return "unknown", f"the log contradicts the model of {inference.candidates[0]}", verdict, completed
    if not recording.observed:
        return "unknown", "the log is incomplete: missing records may decide the outcome", verdict, completed
    if _unsettled(verdict, completed):
        return "unknown", f"{verdict.outcome} so far; the log stops before the session's end", verdict, completed
    if len(inference.outcomes) > 1:
        either = " or ".join(f"{outcome} ({why})" for outcome, why in inference.outcomes.items())
        return "unknown", f"the log allows several outcomes: {either}", verdict, completed
    ((outcome, why),) = inference.outcomes.items()
    return outcome, why if verdict.turns else _no_turn(EventIndex(recording)), verdict, completed


def _no_turn(index: EventIndex) -> str:
    return "a function call was seen, but not its response" if index.calls else "no function call was seen"


def _unsettled(verdict: Verdict, recording: Recording) -> bool:
    """Return whether the outcome of the last turn may have changed after the end of the capture.

    A repeated result causes another `response.create`. The reply changes the outcome `rejected` or `lost` to `noisy`. The
    outcome is final after a close, the next user text, or the deadline.
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


def _derived_counts(inference: ReleaseInference, index: EventIndex, before: Mapping[str, Count]) -> dict[str, Count]:
    """Return the counts derived from the model. They are unknown if log and model differ, or if the log is incomplete."""
    sure = inference.derived is not None and not inference.contradictions and bool(index.recording.observed)
    kind: Kind = ("derived" if index.recording.complete else "at least") if sure else "unknown"
    found = {}
    if inference.derived is not None:
        found["response_creates"] = Count(inference.creates, kind if inference.creates is not None else "unknown")
    if sure:  # otherwise the logged number remains a lower bound
        if inference.updates is not None and before["session_updates"] != Count(inference.updates, "observed"):
            found["session_updates"] = Count(inference.updates, kind)
        commits = sum(event.type == "input_audio_buffer.commit" for event in index.to_upstream)
        found["commits"] = Count(commits, "observed" if kind == "derived" else kind)
    return found


def _flag(recording: Recording, release: ProxyRelease | None) -> tuple[str | None, bool, tuple[FlagCleared, ...] | None]:
    """Return (release, whether the user named the release, events that cleared the flag early) for a recording.

    The events are None if the release is unknown or an incoming link of the proxy was not captured.
    """
    tag = recording.provenance.get("release")
    row = release or (PROXIES.get(tag) if isinstance(tag, str) else None)
    if row is None:
        return None, False, None
    if not (recording.observes("component", "proxy") and recording.observes("upstream", "proxy")):
        return row.tag, release is not None, None
    try:
        return row.tag, release is not None, tuple(flag_cleared(recording, row))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return row.tag, release is not None, None


def _limitations(index: EventIndex) -> list[str]:
    """Return the limitations that the recording's content implies, one sentence each."""
    limits = []
    direct = index.recording.provenance.get("topology") == DIRECT
    if not direct and index.recording.clock != "log" and not index.recording.observes("component", "proxy"):
        limits.append(
            "The host's messages were not captured: results are those that the proxy forwarded, and its flag is unknown."
        )
    if index.calls and not index.dones():
        limits.append("No response.done was captured after a function call: the gap is unknown.")
    if renamed := index.renamed:
        limits.append(
            f"The app changed the name of the refusal in {renamed} message{'s' * (renamed > 1)} of this capture: "
            f"{realtime.RENAMED_ACTIVE_RESPONSE} is counted as {realtime.ACTIVE_RESPONSE}."
        )
    if len(index.calls) > 1 and index.results and all(result_of(event) is None for event in index.results):
        limits.append("The call that a result answers is not captured: it is assumed to be the call before it.")
    timed = any(index.at(event) is not None for event in index.recording.events)
    if timed and any(delay is None for delay in index.delays()):
        limits.append("Some results may answer one of several calls, and their ids are missing: those delays are unknown.")
    if not index.recording.complete:
        limits.append("No close was captured: the capture may end before the session.")
    return limits


def _is_time(value: object) -> TypeGuard[int]:
    """Return whether an untrusted value in the provenance is a plausible time in microseconds."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 53
