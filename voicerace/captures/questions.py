"""The letter's questions (docs/background.md#request-1-a-proxy-log) to one session, each answered with its lines of the file.

How many `session.update`; how many `response.create` for a turn, and in which order all of it came; a result that was
sent twice, and by whom; the proxy's flag cleared before `response.done`. Read from a recording as an engine or a relay
made it, or from a log's that `voicerace.captures.derive` has completed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from voicerace.analysis.outcomes import Turn
from voicerace.analysis.verdict import Verdict
from voicerace.captures.allowed import without_fault
from voicerace.captures.derive import FlagCleared
from voicerace.captures.event_index import EventIndex, call_ids, content_of, result_of
from voicerace.captures.imputation import NOT_LOGGED
from voicerace.captures.known_fields import known_type
from voicerace.model.protocol import agent, input_audio, realtime
from voicerace.trace.recording import Event, Recording
from voicerace.units import ms

__all__ = ["Answers", "Cleared", "Submission", "TurnFacts", "answers", "cleared"]

#: What decides a race, in the order's list.
_ORDER: Final = frozenset(
    {
        "Settings", "InjectUserMessage", "FunctionCallResponse", realtime.SESSION_UPDATE, realtime.SESSION_UPDATED,
        realtime.RESPONSE_CREATE, realtime.RESPONSE_CREATED, realtime.ARGUMENTS_DONE, realtime.TEXT_DONE, realtime.AUDIO_DONE,
        realtime.RESPONSE_DONE, realtime.ERROR, input_audio.COMMIT, input_audio.COMMITTED,
    }
)  # fmt: skip
_LISTED: Final = 200

LineOf = Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Submission:
    """All results for one call.

    Attributes:
        call: its number in the session, from 1: ids are somebody else's; 0 when the call itself was not captured.
        results: how many.
        by: who sent those beyond the first, in words.
        lines: where they stand.
        delays_ms: from the first result to each further one, at the proxy.
    """

    call: int
    results: int
    by: str
    lines: tuple[int, ...]
    delays_ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Cleared:
    """The flag cleared while its response was active: by what, where; where response.done stands, if it came.

    `updates` are the session.update sent in between: see docs/background.md#suspicion-update-while-active.
    """

    by: str
    line: int
    done_line: int | None
    updates: int


@dataclass(frozen=True, slots=True)
class TurnFacts:
    """One tool turn: its outcome, its counts, the lines they rest on, and the order in letters."""

    outcome: str
    why: str
    calls: int
    results: int
    response_creates: int
    refusals: int
    lines: tuple[int, ...]


@dataclass(frozen=True)
class Answers:
    """The answers to the letter's questions (docs/background.md#request-1-a-proxy-log).

    Attributes:
        update_lines: where each session.update was sent; of a derived one, its cause.
        turns: the tool turns.
        submissions: calls with more results than one.
        cleared: see `Cleared`; None when no release is known whose flag it could be, or what came to the proxy was not
            captured in full.
        order: (ms since the first, line, what, derived) of what decides, in the order at the proxy.
    """

    update_lines: tuple[int, ...] = ()
    turns: tuple[TurnFacts, ...] = ()
    submissions: tuple[Submission, ...] = ()
    cleared: tuple[Cleared, ...] | None = None
    order: tuple[tuple[float | None, int, str, bool], ...] = ()


def answers(recording: Recording, verdict: Verdict | None, line: LineOf, cleared: Iterable[FlagCleared] | None) -> Answers:
    """The answers of one recording.

    Args:
        recording: complete, or completed.
        verdict: of it; None when it cannot be judged.
        line: where an event, by its seq, stands in the file; 0 when nobody knows.
        cleared: of its replay; its seqs are those that `line` takes.
    """
    shown = [e for e in recording.ordered("proxy") if e.type in _ORDER and "proxy" in e.link and e.arrived]
    shown = [event for event in shown if event.link != ("proxy", "component")]
    start = next((at for event in shown if (at := event.at_ns("proxy")) is not None), 0)
    updates = [event for event in shown if event.type == realtime.SESSION_UPDATE]
    return Answers(
        tuple(line(event.seq) for event in updates),
        tuple(_turn(each, verdict.fault, line) for each in verdict.turns) if verdict is not None else (),
        tuple(_submissions(recording, line)),
        None if cleared is None else tuple(_cleared(each, updates, line) for each in cleared),
        tuple(_step(event, start, line) for event in shown[:_LISTED]),
    )


def _turn(turn: Turn, fault: str | None, line: LineOf) -> TurnFacts:
    return TurnFacts(
        turn.outcome,
        without_fault(turn.why, fault),
        len(turn.calls),
        turn.submissions,
        turn.response_creates,
        turn.refusals,
        tuple(sorted({line(seq) for seq in turn.events})),
    )


def _step(event: Event, start: int, line: LineOf) -> tuple[float | None, int, str, bool]:
    at = event.at_ns("proxy")
    what = event.type
    if isinstance(event.payload, Mapping) and realtime.is_refusal(event.payload):
        what = "error (active response)"
    return None if at is None else ms(at - start), line(event.seq), what, event.observed_at == "derived"


def cleared(found: Iterable[FlagCleared], recording: Recording, origin: Mapping[int, int], line: LineOf) -> tuple[Cleared, ...]:
    """As `answers` does it, for a recording in which events were put in: `origin` maps its seqs to those given."""
    updates = [replace(e, seq=origin[e.seq]) for e in recording.events if e.type == realtime.SESSION_UPDATE]
    return tuple(_cleared(each, updates, line) for each in found)


def _cleared(each: FlagCleared, updates: list[Event], line: LineOf) -> Cleared:
    until = each.done if each.done is not None else 1 << 62
    between = sum(each.seq < event.seq < until for event in updates)
    return Cleared(known_type(each.by), line(each.seq), None if each.done is None else line(each.done), between)


def _submissions(recording: Recording, line: LineOf) -> Iterable[Submission]:
    """Calls with more results than one."""
    seen = EventIndex(recording)
    found: dict[str | None, list[Event]] = {}
    for event in seen.results:
        found.setdefault(result_of(event), []).append(event)
    called = dict.fromkeys(call_id for call in seen.calls for call_id in call_ids(call))
    numbers = {call_id: number for number, call_id in enumerate(called, start=1)}
    for call_id, results in found.items():
        if call_id is None or len(results) < 2:
            continue
        times = [event.at_ns("proxy") for event in results]
        first = times[0]
        yield Submission(
            numbers.get(call_id, 0),
            len(results),
            _by([content_of(event) for event in results]),
            tuple(line(event.seq) for event in results),
            tuple(ms(at - first) for at in times[1:] if at is not None and first is not None),
        )


def _by(contents: list[object]) -> str:
    """Who sent the further results: the component's own error is its fingerprint."""
    if NOT_LOGGED in contents:
        return "unknown: ids and contents are not logged"
    own = [agent.is_default_error(each) for each in contents]
    app = own.count(False)
    if not any(own):
        return "the app: none is the component's own error"
    if app <= 1:
        return "the component: the handler did not give its answer to it, so it sent its own error"
    return f"the component ({own.count(True)} of its own error) and the app ({app} results)"
