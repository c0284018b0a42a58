"""The text output of the verbs: plain lines with control characters escaped."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from voicerace.analysis.outcomes import BAD, OUTCOMES
from voicerace.cli.tables import facts, table_lines, terminal_width
from voicerace.model.catalog.profiles import PROFILES, RECORDED
from voicerace.model.catalog.scenarios import SCENARIOS
from voicerace.model.protocol import agent, realtime
from voicerace.scrubber import printable
from voicerace.units import ms

if TYPE_CHECKING:
    from voicerace.analysis.verdict import Verdict
    from voicerace.trace.recording import Event, Recording

__all__ = [
    "all_alike", "assumed_lines", "compared_lines", "session_line", "session_lines", "ties_with_draws", "verdict_lines",
    "wrapped",
]  # fmt: skip

#: Types of the events in the printed timeline: the events that affect a race.
_SHOWN = frozenset(
    {
        realtime.SESSION_UPDATE, realtime.SESSION_UPDATED, realtime.RESPONSE_CREATE, realtime.RESPONSE_CREATED,
        realtime.RESPONSE_DONE, realtime.ARGUMENTS_DONE, realtime.ITEM_CREATE, realtime.ERROR, realtime.TEXT_DONE,
        realtime.AUDIO_DONE, "InjectUserMessage", "FunctionCallRequest", "FunctionCallResponse", "Error", "(close)", "(open)",
        "(fault)",
    }
)  # fmt: skip


#: Width of a link in the printed timeline.
_LINK = 19
_TIMELINE_HEAD = f"{'sent ms':>10}{'arrived':>10}  {'link':<19}message"
#: Times of a turn that are printed.
_TIMES: Final = ("margin_ms", "lead_ms", "dead_air_ms")
#: Explanation of the user input with which every simulated session ends.
_LAST_INPUT: Final = "(the last input tests whether the session still replies)"


def session_lines(recording: Recording, verdict: Verdict) -> Iterator[str]:
    """Yield the lines of a session: the verdict, then the timeline."""
    yield from verdict_lines(verdict)
    yield from ("", _TIMELINE_HEAD, *_timeline(recording))


def compared_lines(verdicts: Mapping[str, Verdict]) -> Iterator[str]:
    """Yield a table with one column per verdict: the worst turn of each session.

    Args:
        verdicts: head of the column -> verdict.
    """
    columns = [_compared(each) for each in verdicts.values()]
    rows = [(name.replace("_", " ") if name not in _TIMES else name, *(each[name] for each in columns)) for name in columns[0]]
    for line in table_lines(["", *verdicts], rows, width=terminal_width()):
        # Coloured after the columns are aligned, because the codes of colours have no width.
        yield re.sub(r"\w+", lambda word: _coloured(word[0], word[0]), line) if line.startswith("outcome ") else line


def _compared(verdict: Verdict) -> dict[str, object]:
    turn = verdict.turn
    values = {name: getattr(turn, name, None) for name in ("response_creates", "refusals", "host_errors", "replies", *_TIMES)}
    shown = {name: "-" if value is None else f"{value:g}" for name, value in values.items()}
    return {"outcome": verdict.outcome, "why": printable(verdict.why), "session": _STUCK[verdict.wedged], **shown}


#: `Verdict.wedged` as text.
_STUCK: Final = {True: "wedged", False: "continues", None: "unknown"}


def verdict_lines(verdict: Verdict) -> Iterator[str]:
    """Yield lines with the outcome, its reasons and the measured values of each turn."""
    outcome = _coloured(verdict.outcome, verdict.outcome)
    yield from facts(outcome=outcome + (" (and the session is wedged)" if verdict.wedged else ""))
    if verdict.unconfigured:
        yield from facts(unconfigured="no session.update reached the API, which kept its defaults")
    if not verdict.turns:
        yield from facts(why=printable(verdict.why))
    for turn in verdict.turns:
        yield from facts(
            why=printable(turn.why),
            results=f"{turn.submissions}, {turn.own_submissions} of them the app's own",
            creates=f"{turn.response_creates} from the first result on, {turn.refusals} refused",
            host_errors="unknown" if turn.host_errors is None else turn.host_errors,
            replies_heard=turn.replies,
        )
        for name in _TIMES:
            value = getattr(turn, name)
            yield f"{name:<15}{'-' if value is None else f'{value:g}'}"


def _coloured(text: str, outcome: str) -> str:
    """Return a text in the colour of an outcome if standard output is a terminal: red for a bad one, green for ``answered``.

    The environment variable NO_COLOR disables colours (no-color.org).
    """
    if outcome not in OUTCOMES or not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return typer.style(text, fg="red" if outcome in BAD else "green" if outcome == "answered" else "yellow", bold=True)


def session_line(number: int, recording: Recording, verdict: Verdict, file: Path) -> str:
    """Return one line that summarises a session."""
    refused = "" if verdict.turn is None or not verdict.turn.refusals else f", {verdict.turn.refusals} refused"
    wedged = ", wedged" if verdict.wedged else ""
    found = f"{len(recording.events)} events{refused}; {file.name}"
    return f"{number:>4}  {verdict.outcome}{wedged}: {printable(verdict.why)} ({found})"


def _timeline(recording: Recording) -> Iterator[str]:
    """Yield one line per event of `_SHOWN`: times of sending and receipt in ms, link, message."""
    scenario = SCENARIOS.get(str(recording.provenance.get("scenario")))
    width = max(_LINK, *(len(str(each)) + 1 for each in recording.observed)) if recording.observed else _LINK
    for event in recording.events:
        if event.type not in _SHOWN and not (event.type == realtime.ITEM_DONE and _is_output(event)):
            continue
        times = "".join(f"{'-' if time is None else f'{ms(time):.1f}':>10}" for time in (event.sent_ns, event.received_ns))
        line = f"{times}  {event.link!s:<{width}}{_description(event)}"
        payload = event.payload if isinstance(event.payload, Mapping) else {}
        if scenario is not None and event.type == "InjectUserMessage" and payload.get("content") == scenario.inputs[-1].text:
            line += f" {_LAST_INPUT}"
        yield _coloured(line, "rejected") if realtime.is_refusal(payload) else line


def _is_output(event: Event) -> bool:
    return isinstance(event.payload, Mapping) and realtime.item_of(event.payload).get("type") == "function_call_output"


def _description(event: Event) -> str:
    payload = event.payload if isinstance(event.payload, Mapping) else {}
    words = [event.type]
    if event.kind == "fault":
        words.append(str(payload.get("reason")))
    item = realtime.item_of(payload)
    if item:
        words.append(str(item.get("type")))
    if event.type == "FunctionCallResponse" and agent.is_default_error(payload.get("content")):
        words.append("(the component's default error)")
    for code in (payload.get("code"), realtime.error_of(payload).get("code"), realtime.response_of(payload).get("id")):
        if code is not None:
            words.append(str(code))
    return printable(" ".join(words))


def all_alike(outcome: str) -> str:
    """Return the warning for a sweep in which every cell has the same outcome."""
    return f"every cell is {outcome}: nothing that was varied made a difference, or the set-up does not let it"


def ties_with_draws(names: Sequence[str], *, looked_for: bool) -> str:
    """Return a line that states whether ties were searched for; `names` are the times with a continuous distribution."""
    draws = f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} drawn from a continuous distribution"
    if looked_for:
        return f"ties: looked for (--ties), several sessions per trial, although {draws}"
    return f"ties: not looked for, as {draws}; --ties looks for those of the other times"


def wrapped(line: str) -> list[str]:
    """Return the lines of a long text."""
    return textwrap.wrap(line, 100, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def assumed_lines(assumed: Mapping[str, str], profile: str) -> Iterator[str]:
    """Yield lines with the times that were not given and their assumed values."""
    if assumed:
        times = ", ".join(f"{name}={text}" for name, text in assumed.items())
        yield from wrapped(f"assumed times (profile {profile}, in ms; none was given): {times}")
    if "gap_ms" in assumed and profile != RECORDED:
        recorded = PROFILES[RECORDED].values["gap_ms"]
        yield f"the gap of {assumed['gap_ms']} ms is assumed; recorded: {recorded} (--profile {RECORDED})"
