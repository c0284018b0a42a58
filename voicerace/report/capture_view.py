"""DataFrames and texts about the sessions of a capture, for a page or a notebook. None contains text from the capture.

The argument of every function is a `Capture` from `voicerace.captures.read_capture(path, release)`:

- `capture_facts`, `capture_rows`: a description, and one row per session, for display.
- `capture_points`: gap and result delay of each session with one result.
- `session_rows`: release, outcome, and counts with their certainty, per session.
- `evidence_rows`: possible releases with their evidence, and contradictions, per session.
- `answer_rows`: answers to the letter's questions (docs/background.md#request-1-a-proxy-log) with line numbers, per
  session.
- `order_rows`: the relevant messages of one session, in the order at the proxy.
- `time_rows`: the measured delay and gap, with counts and quantiles.
- `map_points`, `map_trials`: the races as points, and the trials of a release's map at the capture's network times.
- `expected`, `back_test`, `left_out`, `ASSUMPTIONS` (`report.expected`): the rate of each outcome on every release.
- `notes`: information that is missing in the file.

Line numbers refer to the file; in a HAR they are WebSocket message numbers. A derived message has the line number of the
message that caused it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final

import pandas as pd

from voicerace.captures import Capture, CapturedSession, Count
from voicerace.captures.show import quantiles, times_of
from voicerace.captures.times import network_of
from voicerace.experiments.sweep.sweep import trials_of
from voicerace.report.blocks import many
from voicerace.report.expected import ASSUMPTIONS, back_test, expected, left_out

__all__ = [
    "ASSUMPTIONS",
    "answer_rows",
    "back_test",
    "capture_facts",
    "capture_points",
    "capture_rows",
    "evidence_rows",
    "expected",
    "left_out",
    "map_points",
    "map_trials",
    "notes",
    "order_rows",
    "session_rows",
    "time_rows",
    "times_at_proxy",
]

_COUNTED: Final = (
    "calls", "submissions", "repeated_results", "default_errors", "responses", "refusals", "refusals_hidden",
    "session_updates", "response_creates",
)  # fmt: skip
_QUALIFIERS: Final = ("derived", "at least")
_SUFFIXES: Final = {"observed": "", "derived": " (derived)", "at least": " at least", "unknown": " perhaps"}
#: Ratio of an axis's upper limit in the map to the largest measured value.
_BEYOND: Final = 1.2
#: Maximum number of unread line ranges that `capture_facts` lists.
_PLACES: Final = 20


def capture_facts(capture: Capture) -> str:
    """Describe the records of a capture, the order of results and `response.done`, and missing information."""
    refusals = sum(each.refusals.value or 0 for each in capture.sessions)
    lines = [
        f"The capture `{escape(_plain(capture.name))}` ({capture.format}) holds {many(capture.records, 'record')} of "
        f"{many(len(capture.sessions), 'session')} with {many(refusals, 'refusal')}; "
        f"{many(capture.unread_records, 'record')} could not be read.",
        "",
        _sides(capture),
    ]
    unread = [f"- lines {each.line_first}–{each.line_last}: {escape(_plain(each.reason))}" for each in capture.unread]
    if len(unread) > _PLACES:
        unread[_PLACES:] = [f"- and {len(unread) - _PLACES} more ranges"]
    for head, listed in (("Not read:", unread), ("Not in the capture:", [f"- {escape(each)}" for each in notes(capture)])):
        if listed:
            lines += ["", head, "", *listed]
    return "\n".join(lines)


def _sides(capture: Capture) -> str:
    """Describe how many sessions have a refusal, and in how many the result precedes `response.done`."""
    found: dict[tuple[bool, bool], list[str]] = {}
    for each in capture.sessions:
        if (pair := _pair(each)) is not None:
            gap, delay = pair
            found.setdefault((bool(each.refusals.value), delay < gap), []).append(
                f"{delay:g} {'<' if delay < gap else '≥'} {gap:g} ms"
            )
    groups = [
        f"{many(len(pairs), 'session')} with {'a' if refused else 'no'} refusal in which the result came "
        f"{'before' if before else 'at or after'} `response.done` ({', '.join(pairs)})"
        for (refused, before), pairs in sorted(found.items(), reverse=True)
    ]
    return f"As the proxy saw it: {'; '.join(groups)}." if groups else "No session of it has one result and one gap to compare."


def capture_rows(capture: Capture) -> pd.DataFrame:
    """Return one row per session for display, without columns that are unknown for every session."""
    frame = pd.DataFrame(
        [
            {
                "session": number,
                "started": (each.start or "unknown").removesuffix("Z").rpartition("T")[2],
                "call to result (ms)": _numbers(each.result_delay_ms),
                "call to response.done (ms)": _numbers(each.gap_ms),
                "results": _qualified(each.submissions),
                "refusals": _qualified(each.refusals),
                "refused, ms from the session's start": _numbers(each.refused_at_ms),
                "session.update": _qualified(each.session_updates),
                "response.create": _qualified(each.response_creates),
                "outcome": each.outcome,
            }
            for number, each in enumerate(capture.sessions, start=1)
        ]
    )
    return frame.loc[:, ~(frame == "unknown").all()]


def capture_points(capture: Capture) -> pd.DataFrame:
    """Return ``gap_ms`` and ``tool_ms``, measured at the proxy, one row per session with exactly one result and gap."""
    return pd.DataFrame([pair for each in capture.sessions if (pair := _pair(each))], columns=["gap_ms", "tool_ms"])


def session_rows(capture: Capture) -> pd.DataFrame:
    """Return one row per session: ``session`` (its number), ``release``, ``given``, ``outcome``, ``why``, ``started``.

    Each count has a column with its value (``refusals``, Int64, missing if unknown) and its kind (``refusals_kind``).
    """
    rows = []
    for number, of in enumerate(capture.sessions, start=1):
        row: dict[str, object] = {
            "session": number,
            "release": _release(of),
            "given": of.release_given,
            "outcome": of.outcome,
            "why": of.why,
            "started": of.start,
        }
        for name in _COUNTED:
            count = of.counts[name]
            row |= {name: count.value, f"{name}_kind": count.kind}
        rows.append(row)
    frame = pd.DataFrame(rows)
    return frame.astype(dict.fromkeys(_COUNTED, "Int64")) if len(frame) else frame


def evidence_rows(capture: Capture) -> pd.DataFrame:
    """Return one row per session: ``session``, ``release`` (all possible), ``given``, ``evidence``, ``contradictions``."""
    rows = []
    for number, of in enumerate(capture.sessions, start=1):
        inferred = of.inference
        rows.append(
            {
                "session": number,
                "release": _release(of),
                "given": of.release_given,
                "evidence": "; ".join(f"line {e.line}: {e.what}" for e in (inferred.evidence if inferred else ()) if e.line),
                "contradictions": "; ".join(f"line {e.line}: {e.what}" for e in (inferred.contradictions if inferred else ())),
            }
        )
    return pd.DataFrame(rows, columns=["session", "release", "given", "evidence", "contradictions"])


def answer_rows(capture: Capture) -> pd.DataFrame:
    """Return one row per session with the answers to the letter's questions, kinds of counts, and line numbers."""
    rows = []
    for number, of in enumerate(capture.sessions, start=1):
        found = of.answers
        twice = [
            f"{f'call {s.call}' if s.call else 'a call that was not captured'}: {s.results} results{_lines(s.lines)}, by {s.by}"
            for s in found.submissions
        ]
        cleared = [f"by {c.by} (line {c.line}), {c.updates} session.update before the end" for c in found.cleared or ()]
        turns = [f"{turn.response_creates}{_lines(turn.lines)}" for turn in found.turns]
        suffix = _SUFFIXES[of.response_creates.kind]
        rows.append(
            {
                "session": number,
                "session.update": _count(of.session_updates) + _lines(found.update_lines),
                "response.create from the first result on, per turn": "; ".join(f"{each}{suffix}" for each in turns)
                if of.response_creates.value is not None
                else "unknown",
                "submitted twice": "; ".join(twice) or _none_twice(of),
                "flag cleared before response.done": "unknown" if found.cleared is None else "; ".join(cleared) or "no",
            }
        )
    return pd.DataFrame(rows)


def order_rows(capture: Capture, session: int = 1) -> pd.DataFrame:
    """Return the relevant messages of a session (from 1): ``at_ms`` since the first, ``line``, ``what``, ``derived``."""
    order = capture.sessions[session - 1].answers.order
    return pd.DataFrame(order, columns=["at_ms", "line", "what", "derived"])


def time_rows(capture: Capture) -> pd.DataFrame:
    """Return the times measured at the proxy in ms: ``time``, ``from``, ``count`` and quantiles."""
    what = {
        "result_delay_ms": "a call's arguments complete -> its result",
        "gap_ms": "the last call's arguments complete -> response.done",
    }
    rows = [{"time": name, "from": span, **quantiles(times_of(capture, name))} for name, span in what.items()]  # type: ignore[arg-type]
    return pd.DataFrame(rows)


def map_points(capture: Capture) -> pd.DataFrame:
    """Return one row per race: ``session``, ``release``, ``gap_ms``, ``tool_ms`` (delay of the first result), ``outcome``."""
    rows = [
        (number, of.release or _release(of), race.gap_ms, race.result_delay_ms, race.outcome)
        for number, of in enumerate(capture.sessions, start=1)
        for race in of.races
    ]
    return pd.DataFrame(rows, columns=["session", "release", "gap_ms", "tool_ms", "outcome"])


def times_at_proxy(capture: Capture) -> dict[str, str]:
    """Return the network times of a capture in ms. The host's round trip is 0, because measured delays include it."""
    rtt = network_of(capture.sessions).rtt_ms
    acks = sorted(race.ack_ms for of in capture.sessions for race in of.races if race.ack_ms is not None)
    ack = max(0.0, acks[len(acks) // 2] - rtt) if acks else 0.0
    return {"host_rtt_ms": "0", "upstream_rtt_ms": f"{rtt:g}", "ack_ms": f"{ack:g}"}


def map_trials(capture: Capture, steps: int = 20, release: str | None = None) -> pd.DataFrame:
    """Compute the trials of a map that includes every point of `map_points`.

    The upstream's round trip is the longest possible, and the confirmation time is the median. With other network times,
    the boundary in the map would not match the points.

    Args:
        capture: a capture with races.
        steps: number of steps per axis.
        release: release of the map; None for the first known release of a session, else 0.9.1.
    """
    races = [race for of in capture.sessions for race in of.races]
    times = times_at_proxy(capture)
    for name, values in (("tool_ms", [race.result_delay_ms for race in races]), ("gap_ms", [race.gap_ms for race in races])):
        step = math.ceil(max([50.0, *values]) * _BEYOND / steps)
        times[name] = f"0:{step * steps}:{step}"
    tag = release or next((each for of in capture.sessions if (each := of.first_release) is not None), "0.9.1")
    return trials_of({"releases": (tag,), "times": times, "ties": False})


def notes(capture: Capture) -> list[str]:
    """Return sentences on missing information. A sentence that applies to some sessions only lists their numbers."""
    sessions: dict[str, list[int]] = {}
    for number, of in enumerate(capture.sessions, start=1):
        for sentence in of.cannot_say:
            sessions.setdefault(sentence, []).append(number)
    every = len(capture.sessions)
    return [
        sentence if len(those) == every else f"Session {', '.join(map(str, those))}: {sentence}"
        for sentence, those in sessions.items()
    ]


def _pair(session: CapturedSession) -> tuple[float, float] | None:
    """Return (gap, result delay) in ms; None unless the session has exactly one gap and one delay."""
    match session.gap_ms, session.result_delay_ms:
        case [float() | int() as gap], [float() | int() as delay]:
            return gap, delay
    return None


def _release(of: CapturedSession) -> str:
    """Return all possible releases as text, or ``unknown``."""
    if of.inference is not None and of.inference.candidates:
        return ", ".join(of.inference.candidates)
    return of.release or "unknown"


def _none_twice(of: CapturedSession) -> str:
    """Return the table text for a session in which no identified call has two results."""
    repeated = of.counts["repeated_results"]
    if repeated.value is None:
        return "unknown: ids are not logged"
    if repeated.value:
        return f"{_count(repeated)} beyond one per call; ids are not logged"
    return "no" if repeated.kind in ("observed", "derived") else "none seen"


def _count(count: Count) -> str:
    return "unknown" if count.value is None else f"{count.value}{_SUFFIXES[count.kind]}"


def _lines(lines: Sequence[int]) -> str:
    known = [str(line) for line in lines if line]
    return f" (line{'s' if len(known) > 1 else ''} {', '.join(known)})" if known else ""


def _numbers(values: Sequence[float | None]) -> str:
    return ", ".join("unknown" if value is None else f"{value:g}" for value in values) or "none"


def _qualified(count: Count) -> str:
    """Return a count as text, preceded by its qualifier."""
    return "unknown" if count.value is None else f"{count.kind if count.kind in _QUALIFIERS else ''} {count.value}".lstrip()


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() and char != "`" else "?" for char in text)
