"""Describe failure paths in sentences and step tables for readers who do not know the proxy's code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pandas as pd

from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.releases import REFERENCE
from voicerace.model.catalog.scenarios import SCENARIOS
from voicerace.report.blocks import Table, joined
from voicerace.report.context import ReportContext
from voicerace.report.phrasing import means
from voicerace.report.plots.style import STYLES

__all__ = ["best_of", "called", "ends", "family", "handler_text", "scenario_text", "sentence", "steps_of", "trace"]

#: Outcome of an exploration that is not an outcome of a turn -> meaning for the user.
_ENDINGS: Final = {
    "wedged": "the session is stuck: it answers nothing any more",
    "unconfigured": "the session is never set up, as no session.update is ever sent",
}
_STORIES: Final = {
    "two-turns": "two questions, one after the other",
    "preamble": "the model speaks before it calls",
    "audio": "replies are spoken",
    "no-result": "the app gives no result",
    "text-at-call": "the user writes while the tool runs",
    "text-at-reply": "the user writes during the reply",
    "voice-at-call": "the user speaks while the tool runs",
    "spoken-last": "the last user input is spoken",
    "parallel": "several function calls in one response, one result each",
    "chained": "the result makes the model call again, then it replies",
    "inject": "the user writes again while the tool runs, and again during the reply",
    "reconnect": "the browser's connection is lost while the tool runs, and the next user input opens another",
    "late-settings": "the user writes before Settings, which comes late and a second time",
    "double": "one call, and the app sends its result a second time through the ref",
    "slow-confirmation": "the API confirms the result late",
}
_WHAT: Final = {
    "result": "the result",
    "default error": "the component's own error",
    "repeated result": "the app's second result",
    "user text": "what the user writes",
    "user audio": "what the user says",
}
_WHEN: Final = {
    "result": "as soon as it arrives",
    "I": "when the API confirms a result",
    "item": "when the API confirms an item of the conversation",
    "R": "at response.done",
    "T": "at the end of a reply's text",
    "A": "at the end of a reply's audio",
    "recovery": "when 20 s have passed",
    "audio_quiet": "after 400 ms of silence",
}
_BUSY: Final = {"calls": "with the function call", "server": "with a response that it began itself"}
#: Pattern of the steps that a table omits: the API's pacing timers, and the connection's start.
_LEFT_OUT: Final = re.compile(
    r"Settings|session\.|rate_limits|response\.(output_item|content_part)"
    r"|(ack|create|first_item|arguments|reply_gap|call_gap|frame|mic_tail|settings\w*) is over"
)
_TIMERS: Final = {
    "gap": "the gap ends: response.done is sent",
    "reply": "the reply is complete",
    "tool": "the tool is done",
    "repeat": "the app sends its result again",
    "recovery": "20 s have passed",
    "audio_quiet": "400 ms of silence have passed",
    "deadline": "the deadline has passed",
    "inject": "the user writes again",
    "offline": "the browser reconnects",
    "speech": "the user has stopped speaking",
    "vad": "the API detects the end of the user's speech",
}


def called(release: str) -> str:
    return "the reference gate" if release == REFERENCE.tag else release


def ends(outcome: str) -> str:
    """Return the meaning of an outcome for the user."""
    return _ENDINGS.get(outcome) or (means(outcome) if outcome in STYLES else outcome)


def scenario_text(name: str) -> str:
    return _STORIES.get(name) or (SCENARIOS[name].sentence if name in SCENARIOS else name)


def handler_text(name: str) -> str:
    return HANDLERS[name].sentence if name in HANDLERS else name


def sentence(finding: Mapping[str, Any]) -> str:
    """Return a sentence that describes a failure path. A record without `writers` contains this sentence."""
    if "writers" not in finding:
        return str(finding["sentence"])
    writers, event, holder = [str(each) for each in finding["writers"]], str(finding["cleared_by"]), str(finding["holder"])
    what = joined([_WHAT.get(each, each) for each in writers])
    outcome = str(finding["outcome"])
    end = "a reply comes anyway" if outcome == "noisy" else ends(outcome).removeprefix("refused, ")
    if outcome == "late" and (seconds := _waited_s(finding["trace"])) is not None:
        end += f"; here it is requested after {seconds:g} s"
    results = int(finding["results"])
    count = f" ({results} results)" if results > 1 else ""
    if outcome == "unconfigured":
        return f"Settings arrives while the proxy's flag shows an active response: {end}."
    if outcome == "stalled":
        passed = f", but {_WHEN[event].removeprefix('at ')} came before it" if event in _WHEN else ""
        return f"{_upper(what)} waits for an event{passed}: no reply is ever requested."
    if event == "never sent":
        return f"{_upper(what)} is never passed on: {end}."
    if event == "no create":
        return f"{_upper(what)} is passed on, but no reply is ever requested: {end}."
    if writers == ["server"]:
        return f"The API itself begins a response at the end of the user's speech: {end}."
    request = f"The proxy requests a reply to {what} {_WHEN.get(event, event)}".rstrip()
    if holder:
        other = holder.removeprefix("reply to ")
        busy = _BUSY.get(holder, f"with the reply to {_WHAT.get(other, other)}")
        return f"{request}, while the API is busy {busy}{count}: refused; {end}."
    return f"{request}{count}: {end}."


def family(findings: Sequence[Mapping[str, Any]]) -> dict[str, list[list[Mapping[str, Any]]]]:
    """Group findings by outcome, then by name. Each group has at most one finding per release."""
    found: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for each in findings:
        found.setdefault(str(each["outcome"]), {}).setdefault(str(each["name"]), []).append(each)
    return {
        outcome: sorted(names.values(), key=lambda those: (-len(those), len(those[0]["trace"])))
        for outcome, names in found.items()
    }


def best_of(context: ReportContext, groups: Sequence[Sequence[Mapping[str, Any]]]) -> Mapping[str, Any]:
    """Return the preferred finding. Criteria in order: confirmed, release in use, corrected handler, shortest."""
    every = [each for those in groups for each in those]
    live = context.evidence.confirmed
    yes = set(live.loc[live["confirmed"].astype(bool), ["release", "name"]].itertuples(index=False, name=None))
    return min(
        every,
        key=lambda each: (
            (each["release"], each["name"]) not in yes, each["release"] not in context.in_use, each["release"] == REFERENCE.tag,
            each["handler"] != "return", len(each["trace"]),
        ),
    )  # fmt: skip


def steps_of(finding: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row per message or important timer of a finding, with the columns ms, at and what."""
    rows = []
    for step in finding["trace"]:
        what = str(step["what"])
        if _LEFT_OUT.match(what):
            continue
        if timer := re.match(r"(\w+) is over", what):
            what = _TIMERS.get(timer[1], f"{timer[1]}_ms is over")
        actor = str(step["party"])
        at = "API" if actor == "upstream" else actor
        rows.append({"ms": f"{step['ms']:,.0f}", "at": at, "what": re.sub(r"\bupstream\b", "API", what)})
    return pd.DataFrame(rows, columns=["ms", "at", "what"])


def trace(finding: Mapping[str, Any]) -> Table:
    caption = f"Step by step, the model of {called(str(finding['release']))}: {sentence(finding)}"
    return Table(steps_of(finding), f"{caption} Messages at their arrival; the API's pacing is left out.")


def _waited_s(steps: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the time in s from the last result at the proxy to the next request at the API; None without a request."""
    came: float | None = None
    waited = None
    for step in steps:
        what = str(step["what"])
        if what.startswith("FunctionCallResponse"):
            came, waited = float(step["ms"]), None
        elif what.startswith("response.create ") and came is not None and waited is None:
            waited = round((float(step["ms"]) - came) / 1000, 1)
    return waited


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]
