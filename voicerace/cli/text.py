"""The text output of the verbs: plain lines with control characters escaped."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voicerace.cli.tables import facts
from voicerace.model.catalog.profiles import PROFILES, RECORDED
from voicerace.model.protocol import agent, realtime
from voicerace.scrubber import printable
from voicerace.units import ms

if TYPE_CHECKING:
    from voicerace.analysis.verdict import Verdict
    from voicerace.trace.recording import Event, Recording

__all__ = [
    "TIMELINE_HEAD", "all_alike", "assumed_lines", "session_line", "ties_with_draws", "timeline", "verdict_lines",
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
TIMELINE_HEAD = f"{'sent ms':>10}{'arrived':>10}  {'link':<19}message"


def verdict_lines(verdict: Verdict) -> Iterator[str]:
    """Yield lines with the outcome, its reasons and the measured values of each turn."""
    yield from facts(outcome=verdict.outcome + (" (and the session is wedged)" if verdict.wedged else ""))
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
        for name in ("margin_ms", "lead_ms", "dead_air_ms"):
            value = getattr(turn, name)
            yield f"{name:<15}{'-' if value is None else f'{value:g}'}"


def session_line(number: int, recording: Recording, verdict: Verdict, file: Path) -> str:
    """Return one line that summarises a session."""
    refused = "" if verdict.turn is None or not verdict.turn.refusals else f", {verdict.turn.refusals} refused"
    wedged = ", wedged" if verdict.wedged else ""
    found = f"{len(recording.events)} events{refused}; {file.name}"
    return f"{number:>4}  {verdict.outcome}{wedged}: {printable(verdict.why)} ({found})"


def timeline(recording: Recording) -> Iterator[str]:
    """Yield one line per event of `_SHOWN`: times of sending and receipt in ms, link, message."""
    width = max(_LINK, *(len(str(each)) + 1 for each in recording.observed)) if recording.observed else _LINK
    for event in recording.events:
        if event.type not in _SHOWN and not (event.type == realtime.ITEM_DONE and _is_output(event)):
            continue
        times = "".join(f"{'-' if time is None else f'{ms(time):.1f}':>10}" for time in (event.sent_ns, event.received_ns))
        yield f"{times}  {event.link!s:<{width}}{_description(event)}"


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


def assumed_lines(assumed: Mapping[str, str], profile: str) -> Iterator[str]:
    """Yield lines with the times that were not given and their assumed values."""
    if assumed:
        times = ", ".join(f"{name}={text}" for name, text in assumed.items())
        line = f"assumed times (profile {profile}, in ms; none was given): {times}"
        yield from textwrap.wrap(line, 100, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    if "gap_ms" in assumed and profile != RECORDED:
        recorded = PROFILES[RECORDED].values["gap_ms"]
        yield f"the gap of {assumed['gap_ms']} ms is assumed; recorded: {recorded} (--profile {RECORDED})"
