"""A way into a failure, found by exploration, in the words of somebody who did not write the proxy."""

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

__all__ = ["best_of", "called", "ends", "family", "handler_words", "sentence", "steps_of", "story_words", "trace"]

#: Endings of an exploration that are no outcome of a turn.
_ENDINGS: Final = {
    "wedged": "the session answers nothing any more",
    "unconfigured": "the session is never set up, as no session.update is ever sent",
}
_STORIES: Final = {
    "two-turns": "two questions, one after the other",
    "preamble": "the model speaks before it calls",
    "audio": "replies are spoken",
    "no-result": "the app gives no result",
    "text-at-call": "the user writes while the tool runs",
    "text-at-reply": "the user writes into the reply",
    "voice-at-call": "the user speaks while the tool runs",
    "spoken-last": "the user's last words are spoken",
    "parallel": "several function calls in one response, one result each",
    "chained": "the result makes the model call again, then it replies",
    "inject": "the user writes again while the tool runs, and again into the reply",
    "reconnect": "the browser's connection is lost while the tool runs, and the user's next words open another",
    "late-settings": "the user writes before Settings, which comes late and a second time",
    "double": "one call, and the app sends its result a second time through the ref",
    "slow-confirmation": "the API takes its time to confirm the result",
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
_BUSY: Final = {"calls": "with the function call", "server": "with a response that it began by itself"}
#: Steps of a trace that are the API's own pace, or the connection's beginning, and decide nothing by themselves.
_LEFT_OUT: Final = re.compile(
    r"Settings|session\.|rate_limits|response\.(output_item|content_part)"
    r"|(ack|create|first_item|arguments|reply_gap|call_gap|frame|mic_tail|settings\w*) is over"
)
_TIMERS: Final = {
    "gap": "the gap is over: response.done leaves",
    "reply": "the reply has been said",
    "tool": "the tool is done",
    "repeat": "the app sends its result again",
    "recovery": "20 s have passed",
    "audio_quiet": "400 ms of silence have passed",
    "deadline": "the time to wait for more is over",
    "inject": "the user goes on",
    "offline": "the browser is back",
    "speech": "the user has stopped speaking",
    "vad": "the API takes the user's speech as ended",
}


def called(release: str) -> str:
    return "the reference gate" if release == REFERENCE.tag else release


def ends(outcome: str) -> str:
    """What an ending means to the user."""
    return _ENDINGS.get(outcome) or (means(outcome) if outcome in STYLES else outcome)


def story_words(name: str) -> str:
    return _STORIES.get(name) or (SCENARIOS[name].sentence if name in SCENARIOS else name)


def handler_words(name: str) -> str:
    return HANDLERS[name].sentence if name in HANDLERS else name


def sentence(finding: Mapping[str, Any]) -> str:
    """A way in one sentence; a record without what it is made of keeps its own."""
    if "writers" not in finding:
        return str(finding["sentence"])
    writers, event, holder = [str(each) for each in finding["writers"]], str(finding["cleared_by"]), str(finding["holder"])
    what = joined([_WHAT.get(each, each) for each in writers])
    outcome = str(finding["outcome"])
    end = "a reply comes all the same" if outcome == "noisy" else ends(outcome).removeprefix("refused, ")
    if outcome == "late" and (seconds := _waited_s(finding["trace"])) is not None:
        end += f"; here it is asked for after {seconds:g} s"
    results = int(finding["results"])
    count = f" ({results} results)" if results > 1 else ""
    if outcome == "unconfigured":
        return f"Settings comes while the proxy thinks that a response is active: {end}."
    if outcome == "stalled":
        passed = f", and {_WHEN[event].removeprefix('at ')} had passed before it came" if event in _WHEN else ""
        return f"{_upper(what)} waits for an event{passed}: no reply is ever asked for."
    if event == "never sent":
        return f"{_upper(what)} is never passed on: {end}."
    if event == "no create":
        return f"{_upper(what)} is passed on, and no reply is ever asked for: {end}."
    if writers == ["server"]:
        return f"The API itself begins a response at the end of the user's speech: {end}."
    asks = f"The proxy asks for a reply to {what} {_WHEN.get(event, event)}".rstrip()
    if holder:
        other = holder.removeprefix("reply to ")
        busy = _BUSY.get(holder, f"with the reply to {_WHAT.get(other, other)}")
        return f"{asks}, while the API is busy {busy}{count}: refused; {end}."
    return f"{asks}{count}: {end}."


def family(findings: Sequence[Mapping[str, Any]]) -> dict[str, list[list[Mapping[str, Any]]]]:
    """Findings by outcome, and in it by name; within a name, a finding per release."""
    found: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for each in findings:
        found.setdefault(str(each["outcome"]), {}).setdefault(str(each["name"]), []).append(each)
    return {
        outcome: sorted(names.values(), key=lambda those: (-len(those), len(those[0]["trace"])))
        for outcome, names in found.items()
    }


def best_of(material: ReportContext, groups: Sequence[Sequence[Mapping[str, Any]]]) -> Mapping[str, Any]:
    """The way to show of a family: confirmed on a running proxy, of a release in use, with the cured handler, the shortest."""
    every = [each for those in groups for each in those]
    live = material.evidence.confirmed
    yes = set(live.loc[live["confirmed"].astype(bool), ["release", "name"]].itertuples(index=False, name=None))
    return min(
        every,
        key=lambda each: (
            (each["release"], each["name"]) not in yes, each["release"] not in material.in_use, each["release"] == REFERENCE.tag,
            each["handler"] != "return", len(each["trace"]),
        ),
    )  # fmt: skip


def steps_of(finding: Mapping[str, Any]) -> pd.DataFrame:
    """Columns ms, at, what: its messages, and the timers that decide."""
    rows = []
    for step in finding["trace"]:
        what = str(step["what"])
        if _LEFT_OUT.match(what):
            continue
        if timer := re.match(r"(\w+) is over", what):
            what = _TIMERS.get(timer[1], f"{timer[1]}_ms is over")
        party = str(step["party"])
        ms, at = f"{step['ms']:,.0f}", {"upstream": "API"}.get(party, party)
        rows.append({"ms": ms, "at": at, "what": re.sub(r"\bupstream\b", "API", what)})
    return pd.DataFrame(rows, columns=["ms", "at", "what"])


def trace(finding: Mapping[str, Any]) -> Table:
    words = f"Step by step, the model of {called(str(finding['release']))}: {sentence(finding)} Messages where they arrive; what is only the "
    return Table(steps_of(finding), f"{words}API's own pace is left out.")


def _waited_s(steps: Sequence[Mapping[str, Any]]) -> float | None:
    """From the last result at the proxy to the request behind it at the API; None where there is no such pair."""
    came: float | None = None
    waited = None
    for step in steps:
        what = str(step["what"])
        if what.startswith("FunctionCallResponse"):
            came, waited = float(step["ms"]), None
        elif what.startswith("response.create ") and came is not None and waited is None:
            waited = round((float(step["ms"]) - came) / 1000, 1)
    return waited


def _upper(words: str) -> str:
    return words[0].upper() + words[1:]
