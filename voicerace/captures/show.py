"""Format a capture as the JSON or the lines of text that `inspect` prints, without untrusted texts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from textwrap import indent
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from voicerace.analysis.trace_index import DIRECT
from voicerace.analysis.verdict import Kind
from voicerace.captures.event_index import Count
from voicerace.captures.log_scanner import Unread
from voicerace.captures.questions import Answers
from voicerace.captures.reader import CASSETTE, HAR, Capture
from voicerace.captures.session_summary import CapturedSession

__all__ = ["SCHEMA", "inspect_json", "inspect_json_text", "inspect_lines", "quantiles", "times_of"]

#: Version of the JSON format. In version 2 a session's counts are numbers, and ``counts`` contains their certainty.
SCHEMA: Final = 2
_LISTED: Final = 20
#: Bytes of 1 ms of 24 kHz PCM with 16 bits, the audio that every release requests.
_BYTES_PER_MS: Final = 48
_Time: TypeAlias = Literal["result_delay_ms", "gap_ms"]
_TIMES: Final[dict[_Time, str]] = {
    "result_delay_ms": "Delay, result after its call",
    "gap_ms": "Gap, response.done after the last call",
}
_QUANTILES: Final = {"min": 0.0, "p10": 0.1, "median": 0.5, "p90": 0.9, "max": 1.0}
#: Kinds of counts, from the most to the least certain. A sum has the kind of its least certain part.
_KINDS: Final[tuple[Kind, ...]] = ("observed", "derived", "at least", "unknown")
_QUALIFIERS: Final = {"observed": "", "derived": "derived ", "at least": "at least ", "unknown": "possibly "}


def inspect_json(capture: Capture) -> dict[str, Any]:
    """Return a capture as one JSON object. Points in time are in ms from the session's start, which is in ISO 8601 UTC."""
    return {
        **_head(capture),
        "sessions": [_session(each) for each in capture.sessions],
        **_tail(capture, {name: times_of(capture, name) for name in _TIMES}),
    }


def inspect_json_text(capture: Capture, more: Mapping[str, Any] | None = None) -> Iterator[str]:
    """Yield the JSON text of `inspect_json` and the keys of `more`, one session at a time to limit memory."""
    times: dict[_Time, list[float]] = {name: [] for name in _TIMES}
    yield json.dumps(_head(capture), indent=2)[: -len("\n}")] + ',\n  "sessions": ['
    between = "\n"
    for each in capture.sessions:
        for name, found in times.items():
            found += _known(each, name)
        yield between + indent(json.dumps(_session(each), indent=2), "    ")
        between = ",\n"
    yield "]" if between == "\n" else "\n  ]"
    yield ",\n" + json.dumps({**_tail(capture, times), **(more or {})}, indent=2)[len("{\n") :] + "\n"


def _head(capture: Capture) -> dict[str, Any]:
    return {"schema": SCHEMA, "file": capture.name, "format": capture.format, "records": capture.records}


def _tail(capture: Capture, times: Mapping[_Time, Sequence[float]]) -> dict[str, Any]:
    return {
        "unread": [
            {"first_line": each.line_first, "last_line": each.line_last, "reason": each.reason, "records": each.records}
            for each in capture.unread
        ],
        "times": {name: quantiles(found) for name, found in times.items()},
    }


def times_of(capture: Capture, name: _Time) -> list[float]:
    """Return the known values of one time in all sessions, in ms, measured at the proxy."""
    return [each for session in capture.sessions for each in _known(session, name)]


def _known(session: CapturedSession, name: _Time) -> list[float]:
    return [each for each in getattr(session, name) if each is not None]


def quantiles(values: Sequence[float]) -> dict[str, float | int | None]:
    """Return the number of values and their quantiles. Each quantile is one of the values, without interpolation."""
    found: dict[str, float | int | None] = {"count": len(values)}
    for name, share in _QUANTILES.items():
        found[name] = float(np.quantile(values, share, method="inverted_cdf")) if values else None
    return found


def inspect_lines(capture: Capture) -> Iterator[str]:
    """Yield lines of text with a capture's sessions, their times, the capture's limitations, and its unread parts."""
    refusals, common, times = _overview(capture)
    yield (
        f"{capture.name}: {capture.format}, {_many(capture.records, 'record')}, {_many(len(capture.sessions), 'session')}, "
        f"{_number(refusals, 'refusal')}, {_many(capture.unread_records, 'record')} not read"
    )
    for session in capture.sessions:
        yield from _lines_of(session, common)
    for name, what in _TIMES.items():
        if values := times[name]:
            found = quantiles(values)
            seen = ", ".join(f"{key} {_ms(found[key] or 0)}" for key in _QUANTILES)
            direct = all(each.recording.provenance.get("topology") == DIRECT for each in capture.sessions)
            usual = "at the client" if direct else "at the proxy"
            where = {HAR: "in the browser", CASSETTE: "at the client"}.get(capture.format, usual)
            yield f"{what}, {where}: " + (f"{len(values)} values, {seen}" if len(values) > 1 else f"once, {_ms(values[0])}")
    if common:
        yield "Limitations of this capture, for every session:" if len(capture.sessions) > 1 else "Limitations of this capture:"
        yield from (f"  - {each}" for each in common)
    if capture.unread:
        yield f"Not read: {_many(capture.unread_records, 'record')} or pieces of one"
        for each in capture.unread[:_LISTED]:
            times_over = f" ({each.records} times)" if each.records > 1 else ""
            yield f"  {_location(each)}{each.reason}{times_over}"
        if len(capture.unread) > _LISTED:
            yield f"  and {_many(len(capture.unread) - _LISTED, 'range')} more"


def _overview(capture: Capture) -> tuple[Count, list[str], dict[_Time, list[float]]]:
    """Return (number of refusals, limitations common to all sessions in the first session's order, all times)."""
    refusals = 0
    sure: Kind = "observed"
    common: list[str] | None = None
    times: dict[_Time, list[float]] = {name: [] for name in _TIMES}
    for session in capture.sessions:
        refusals += session.refusals.value or 0
        sure = max(sure, session.refusals.kind, key=_KINDS.index)
        own = set(session.cannot_say)
        common = [*session.cannot_say] if common is None else [each for each in common if each in own]
        for name, found in times.items():
            found += _known(session, name)
    return Count(refusals, "at least" if sure == "unknown" else sure), common or [], times


def _location(of: Unread) -> str:
    """Return the line numbers of an unread part as text; empty if the file could not be read at all."""
    return f"lines {of.line_first} to {of.line_last}: " if of.line_last else ""


def _session(session: CapturedSession) -> dict[str, Any]:
    return {
        "connection": session.connection,
        "release": session.release,
        "release_given": session.release_given,
        "outcome": session.outcome,
        "why": session.why,
        "start": session.start,
        "duration_ms": session.duration_ms,
        "server_time": None if session.server is None else session.server.to_json(),
        "refusals": _number_of(session.refusals),
        "session_updates": _number_of(session.session_updates),
        "response_creates": _number_of(session.response_creates),
        "counts": {name: _count(count) for name, count in session.counts.items()},
        "result_delay_ms": list(session.result_delay_ms),
        "gap_ms": list(session.gap_ms),
        "submissions": _number_of(session.submissions),
        "unread_records": session.unread_records,
        "cannot_say": list(session.cannot_say),
        "refused_at_ms": list(session.refused_at_ms),
        **_released(session),
        **_answered(session.answers),
    }


def _released(session: CapturedSession) -> dict[str, Any]:
    """Return a JSON object with the candidate releases, the evidence for them, and the contradictions."""
    inference = session.inference
    if inference is None:
        return {"release_candidates": [session.release] if session.release else [], "evidence": [], "contradictions": []}
    return {
        "release_candidates": list(inference.candidates),
        "evidence": [{"line": each.line, "what": each.what} for each in inference.evidence],
        "contradictions": [{"line": each.line, "what": each.what} for each in inference.contradictions],
    }


def _answered(found: Answers) -> dict[str, Any]:
    """Return the answers as a JSON object. A derived message has its cause's line number."""
    return {
        "session_update_lines": list(found.update_lines),
        "turns": [asdict(each) for each in found.turns],
        "submitted_twice": [asdict(each) for each in found.submissions],
        "flag_cleared_early": None if found.cleared is None else [asdict(each) for each in found.cleared],
        "order": [{"at_ms": at, "line": line, "what": what, "derived": derived} for at, line, what, derived in found.order],
    }


def _number_of(count: Count) -> int | None:
    """Return a count without its certainty; None if the count is unknown."""
    return None if count.kind == "unknown" else count.value


def _count(count: Count) -> dict[str, Any]:
    return {"value": count.value, "kind": count.kind}


def _lines_of(session: CapturedSession, common: Sequence[str]) -> list[str]:
    """Return the lines of text for one session, without the limitations in `common`."""
    counts = session.counts
    took = "" if session.duration_ms is None else f", {_ms(session.duration_ms)}"
    lines = [f"{session.connection}: {session.start or 'no absolute time'}{took}, outcome {session.outcome}: {session.why}"]
    if session.refused_at_ms:
        hidden = counts["refusals_hidden"].value
        kept = f", {hidden} of them not sent to the host" if hidden else ""
        lines.append(f"  {_number(session.refusals, 'refusal')}{kept}, at {_times(session.refused_at_ms)}")
    elif session.refusals.value:
        lines.append(f"  {_number(session.refusals, 'refusal')}, without times")
    lines.append(
        f"  {_number(counts['calls'], 'function call')}, {_number(session.submissions, 'result')}"
        + (f" (after {_times(session.result_delay_ms)})" if any(each is not None for each in session.result_delay_ms) else "")
        + (f"; response.done came {_times(session.gap_ms)} after the last call" if session.gap_ms else "")
    )
    if counts["repeated_results"].value:
        own = counts["default_errors"].value
        whose = f"; {_many(own, 'result')} are the component's own error" if own else ""
        lines.append(f"  {_number(counts['repeated_results'], 'result')} beyond one per call{whose}")
    lines.append(
        f"  session.update: {_plain(session.session_updates)}; response.create: {_plain(session.response_creates)}; "
        f"responses begun: {_plain(counts['responses'])}; other errors: {_plain(counts['other_errors'])}"
    )
    if audio := counts["audio_bytes"].value:
        lines.append(f"  audio of the API: {_plain(counts['audio_bytes'])} bytes, {_ms(audio / _BYTES_PER_MS)} at 24 kHz")
    if _unconfigured(session):
        lines.append("  unconfigured: no session.update reached the API, which kept its defaults; the Settings were lost")
    if session.server is not None:
        lines += [f"  {each}" for each in session.server.lines(timed=session.start is not None)]
    lines += _release_lines(session)
    lines += _answer_lines(session)
    lines += [f"  limitation: {each}" for each in session.cannot_say if each not in common]
    return lines


def _unconfigured(session: CapturedSession) -> bool:
    """Return whether the Settings never arrived: no session.update and no SettingsApplied, but responses."""
    if session.session_updates != Count(0, "observed") or not session.counts["responses"].value:
        return False
    applied = any(event.type == "SettingsApplied" for event in session.recording.events)
    return session.recording.observes("proxy", "component") and not applied


def _release_lines(session: CapturedSession) -> list[str]:
    inference = session.inference
    if inference is None:
        return [] if session.release is None else [f"  release: {session.release}"]
    if not inference.candidates:
        lines = ["  release: no model fits"]
    else:
        name = "given" if inference.given else "from the log" if inference.release else "from the log, one of"
        lines = [f"  release ({name}): {', '.join(inference.candidates)}"]
    lines += [f"    line {each.line}: {each.what}" for each in inference.evidence if each.line]
    lines += [f"  CONTRADICTION at line {each.line}: {each.what}" for each in inference.contradictions[:_LISTED]]
    return lines


def _answer_lines(session: CapturedSession) -> list[str]:
    """Return one line of text per answer. The counts of a turn have the certainty of the session's counts."""
    found = session.answers
    results, creates, refusals = session.submissions.kind, session.response_creates.kind, session.refusals.kind
    lines = [
        f"  turn {number}: {turn.outcome}; {_number(Count(turn.results, results), 'result')}, "
        f"{_number(Count(turn.response_creates, creates), 'response.create')} from the first result on, "
        f"{_number(Count(turn.refusals, refusals), 'refusal')} (lines {', '.join(map(str, turn.lines))})"
        for number, turn in enumerate(found.turns, start=1)
    ]
    lines += [
        f"  {f'call {each.call}' if each.call else 'a call that was not captured'} has "
        f"{_number(Count(each.results, results), 'result')} (lines {', '.join(map(str, each.lines))}), the further ones after "
        f"{_times(each.delays_ms)}; by {each.by}"
        for each in found.submissions
    ]
    lines += [
        f"  the flag was cleared by {each.by} (line {each.line}) before response.done "
        f"({'none came' if each.done_line is None else f'line {each.done_line}'}); "
        f"{_many(each.updates, 'session.update')} in between"
        for each in found.cleared or ()
    ]
    return lines


def _plain(count: Count) -> str:
    """Return a count and its certainty as text."""
    if count.value is None:
        return "unknown"
    return f"{_QUALIFIERS[count.kind]}{count.value}"


def _number(count: Count, what: str) -> str:
    return f"{_plain(count)} {what}{'' if count.value == 1 else 's'}"


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _times(times: Iterable[float | None]) -> str:
    """Return the first `_LISTED` times as text, followed by the number of further times."""
    known = ["unknown" if each is None else _ms(each) for each in times]
    return ", ".join(known[:_LISTED]) + (f" and {len(known) - _LISTED} more" if len(known) > _LISTED else "")


def _ms(time: float) -> str:
    """Return a time in ms as text, rounded to microseconds."""
    return f"{round(time, 3):.10g} ms"
