"""Answer three questions about a session (docs/background.md#request-1-a-proxy-log), with line numbers of the file.

The questions are: how many `session.update` and, per turn, how many `response.create` were sent, and in which order? Which
program sent a result twice? Was the proxy's flag cleared before `response.done`? The input is the recording of an engine or
relay, or of a log that `voicerace.captures.derive` completed.
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

__all__ = ["Answers", "CapturedTurn", "Cleared", "Submission", "answers", "cleared"]

#: Types of the messages that can affect a race. `Answers.order` contains no others.
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
    """All results of one call.

    Attributes:
        call: number of the call in the session, from 1; 0 if the call was not captured. Ids are untrusted and therefore not
            printed.
        results: number of results.
        by: description of the sender of the results after the first.
        lines: line numbers of the results.
        delays_ms: times in ms at the proxy from the first result to each further result.
    """

    call: int
    results: int
    by: str
    lines: tuple[int, ...]
    delays_ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Cleared:
    """A message that cleared the proxy's flag while a response was active.

    Attributes:
        by: type of the message.
        line: line number of the message.
        done_line: line number of the next response.done; None if the recording has none.
        updates: number of session.update messages before that response.done (docs/background.md#suspicion-update-while-active).
    """

    by: str
    line: int
    done_line: int | None
    updates: int


@dataclass(frozen=True, slots=True)
class CapturedTurn:
    """One tool turn, with its outcome, its counts, and the line numbers of its messages."""

    outcome: str
    why: str
    calls: int
    results: int
    response_creates: int
    refusals: int
    lines: tuple[int, ...]


@dataclass(frozen=True)
class Answers:
    """The answers for one session.

    Attributes:
        update_lines: line number of each session.update, or of its cause if the session.update is derived.
        turns: the tool turns.
        submissions: results of each call with more than one result.
        cleared: messages that cleared the flag early; None if the release is unknown or an incoming link was not captured.
        order: tuples (ms since the first message, line number, type, whether derived) of the messages with a type in `_ORDER`,
            in the order at the proxy.
    """

    update_lines: tuple[int, ...] = ()
    turns: tuple[CapturedTurn, ...] = ()
    submissions: tuple[Submission, ...] = ()
    cleared: tuple[Cleared, ...] | None = None
    order: tuple[tuple[float | None, int, str, bool], ...] = ()


def answers(recording: Recording, verdict: Verdict | None, line: LineOf, cleared: Iterable[FlagCleared] | None) -> Answers:
    """Compute the answers for one recording.

    Args:
        recording: recording with all messages at the proxy, captured or derived.
        verdict: verdict of the recording; None if the recording cannot be judged.
        line: function from the seq of an event to its line number, 0 if unknown.
        cleared: events that cleared the flag early, with seqs that `line` accepts; None if unknown.
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


def _turn(turn: Turn, fault: str | None, line: LineOf) -> CapturedTurn:
    return CapturedTurn(
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
    """Return `Answers.cleared` for a recording with derived events; `origin` maps the recording's seqs to the log's."""
    updates = [replace(e, seq=origin[e.seq]) for e in recording.events if e.type == realtime.SESSION_UPDATE]
    return tuple(_cleared(each, updates, line) for each in found)


def _cleared(each: FlagCleared, updates: list[Event], line: LineOf) -> Cleared:
    until = each.done if each.done is not None else 1 << 62
    between = sum(each.seq < event.seq < until for event in updates)
    return Cleared(known_type(each.by), line(each.seq), None if each.done is None else line(each.done), between)


def _submissions(recording: Recording, line: LineOf) -> Iterable[Submission]:
    """Yield a `Submission` for each call with more than one result."""
    index = EventIndex(recording)
    found: dict[str | None, list[Event]] = {}
    for event in index.results:
        found.setdefault(result_of(event), []).append(event)
    called = dict.fromkeys(call_id for call in index.calls for call_id in call_ids(call))
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
    """Describe the sender of repeated results. Only the component sends the component's own error."""
    if NOT_LOGGED in contents:
        return "unknown: ids and contents are not logged"
    own = [agent.is_default_error(each) for each in contents]
    app = own.count(False)
    if not any(own):
        return "the app: none is the component's own error"
    if app <= 1:
        return "the component: the handler returned no result, so the component sent its own error"
    return f"the component ({own.count(True)} of its own error) and the app ({app} results)"
