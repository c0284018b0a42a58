"""The report's sentences that state a result, made from the run's data: with other data they say something else."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from html import escape
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import pandas as pd

from voicerace.analysis.outcomes import OUTCOMES, TABLE
from voicerace.captures import Capture, CapturedSession
from voicerace.experiments.rates import drawn_times, outcomes_at, wilson
from voicerace.experiments.sweep.sweep import SweepResult
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.model_limitations import LEFT_OUT
from voicerace.model.catalog.releases import PROXIES
from voicerace.report.blocks import many
from voicerace.report.notebook.parameters import DelaySweepParameters
from voicerace.report.plots import release_table
from voicerace.report.plots.style import glyph

__all__ = [
    "MEANING",
    "agreement",
    "answer",
    "assumption",
    "capture_facts",
    "capture_points",
    "capture_rows",
    "command",
    "handler_rows",
    "limits",
    "meanings",
    "one_of_each",
    "releases",
    "run_rows",
    "text_of",
]

#: Unread places of a capture that a page lists one by one.
_PLACES: Final = 20
#: What an outcome means to somebody who did not write the proxy.
MEANING: Final = {name: row.meaning for name, row in TABLE.items()}


def assumption(trials: pd.DataFrame) -> str:
    """What the numbers of the answer rest on: the gap and the network of the run, said before any of them."""
    if drawn_times(trials):
        return _drawn_from(trials)
    gaps = sorted(trials["gap_ms"].unique())
    gap = f"{gaps[0]:g} ms" if len(gaps) == 1 else f"{gaps[0]:g} to {gaps[-1]:g} ms"
    host, upstream = trials[["host_rtt_ms", "upstream_rtt_ms"]].max()
    network = (
        f"round trips of {host:g} ms to the host and {upstream:g} ms to the API" if host or upstream else "no network delay"
    )
    return (
        "**What decides is on which side of `response.done` the request for the next response falls.** The numbers here "
        f"hold for one assumption: `response.done` comes {gap} after the call's arguments, with {network}. Recordings of the "
        "API show 1 to 12 ms; with another gap the boundary moves with it, as the map below shows."
    )


def _drawn_from(trials: pd.DataFrame) -> str:
    """The profile of drawn trials, and the range of the times that decide."""
    ranges = {name: (trials[name].min(), trials[name].max()) for name in ("gap_ms", "host_rtt_ms", "upstream_rtt_ms")}
    gap, host, api = (f"{low:.3g} to {high:.3g} ms" for low, high in ranges.values())
    return (
        "**What decides is on which side of `response.done` the request for the next response falls.** The times are drawn "
        f"from the profile {trials['profile'].iloc[0]}, in which those of the API are as its recordings show (`data/api`): "
        f"`response.done` comes {gap} after the call's arguments. Round trips of {host} to the host and {api} to "
        "the API are assumed."
    )


def answer(trials: pd.DataFrame, axis: str = "tool_ms") -> str:
    """One sentence per release, as a Markdown list: what happens on each side of every change; of drawn times the shares."""
    if drawn_times(trials):
        return "\n".join(_drawn_lines(trials))
    lines = []
    frame = outcomes_at(trials, axis)
    for release, group in frame.groupby("release", sort=False):
        runs = [list(run) for _, run in groupby(group.to_dict("records"), key=itemgetter("outcome"))]
        parts = []
        for place, run in enumerate(runs):
            outcome = run[0]["outcome"]
            after = _range(run, runs[place + 1] if place + 1 < len(runs) else None, axis, first=place == 0)
            parts.append(f"a result {after} is **{glyph(outcome)} {outcome}** ({MEANING[outcome]})")
        gone = ", and the session is stuck for good" if _wedged(trials, str(release)) else ""
        lines.append(f"- **{release}** (voice-agent-backend {PROXIES[str(release)].backend}): " + "; ".join(parts) + f"{gone}.")
    return "\n".join(lines)


def _drawn_lines(trials: pd.DataFrame) -> Iterator[str]:
    """How many of a release's sessions ended how, over all delays."""
    for release, group in trials.groupby("release", sort=False):
        parts = []
        for outcome, count in group["outcome"].value_counts().items():
            low, high = wilson(count, len(group))
            parts.append(f"{count:,} **{glyph(str(outcome))} {outcome}** ({low:.1%} to {high:.1%}: {MEANING[str(outcome)]})")
        backend = PROXIES[str(release)].backend
        yield (
            f"- **{release}** (voice-agent-backend {backend}): of {len(group):,} sessions over all delays "
            + "; ".join(parts)
            + "."
        )


def _range(run: list[dict[Any, Any]], following: list[dict[Any, Any]] | None, axis: str, *, first: bool) -> str:
    """Where on the axis a run of one outcome lies; exact where a tie shows that the change is exactly there."""
    low, high = run[0][axis], run[-1][axis]
    if following is None:
        return f"at every delay from {low:g} to {high:g} ms" if first else f"after {low:g} ms or more"
    exact = following[0]["tie_outcome"] == run[-1]["outcome"]
    end = f"less than {following[0][axis]:g} ms" if exact else f"up to {high:g} ms"
    return f"after {end}" if first else f"after {low:g} ms or more, but {end}"


def _wedged(trials: pd.DataFrame, release: str) -> bool:
    """Whether every session of a release that was not answered got no reply to the user's next words either."""
    mine = trials[(trials["release"] == release) & trials["bad"].astype(bool)]
    return bool(len(mine)) and bool(mine["wedged"].fillna(False).all())


def agreement(trials: pd.DataFrame, real: pd.DataFrame, axis: str = "tool_ms") -> str:
    """What the recorded sessions of running proxies say of the model's."""
    inside = real[real[axis].between(trials[axis].min(), trials[axis].max())] if len(real) else real
    if not len(inside):
        return "No session of a running proxy was recorded under these settings: the picture shows the model alone."
    same = int((inside["outcome"] == inside["model_outcome"]).sum())
    tags = ", ".join(dict.fromkeys(inside["release"]))
    return (
        f"{len(inside)} sessions of the running proxies ({tags}) were recorded at delays of this picture. "
        f"{same} of {len(inside)} had the model's outcome; of {int(inside['messages'].sum())} messages that these proxies "
        f"sent, {int(inside['differences'].sum())} steps differed from the model's."
    )


def one_of_each(run: SweepResult, axis: str = "tool_ms") -> pd.DataFrame:
    """For every release and outcome, the trial in the middle of its range: far from any tie. The index is its number."""
    trials = run.trials.sort_values(axis)
    rows = [group.iloc[len(group) // 2] for _, group in trials.groupby(["release", "outcome"], sort=False)]
    order = {tag: place for place, tag in enumerate(PROXIES)}
    frame = pd.DataFrame(rows)
    return frame.sort_values(["release", axis], key=lambda column: column.map(order) if column.name == "release" else column)


def handler_rows(trials: pd.DataFrame, real: pd.DataFrame) -> pd.DataFrame:
    """Handler styles against releases: outcome at each delay, and in how many of them a running proxy agreed."""
    rows = []
    for name, handler in HANDLERS.items():
        row: dict[str, object] = {"the handler": f"{name}: {handler.sentence}", "results sent": handler.submissions}
        mine = trials[trials["handler"] == name]
        for release, group in mine.groupby("release", sort=False):
            pairs = zip(group["tool_ms"], group["outcome"], strict=True)
            row[str(release)] = ", ".join(f"{value:g} ms: {outcome}" for value, outcome in pairs)
        seen = real[real["handler"] == name] if len(real) else real
        seen = seen[seen["tool_ms"].isin(mine["tool_ms"])] if len(seen) else seen
        agreed = int((seen["outcome"] == seen["model_outcome"]).sum()) if len(seen) else 0
        row["seen on running proxies"] = f"{agreed} of {len(seen)} the same"
        rows.append(row)
    return pd.DataFrame(rows)


def capture_facts(capture: Capture) -> str:
    """A capture in a paragraph: what was read, what it shows of the race, what not, what it cannot say."""
    refusals = sum(each.refusals.value or 0 for each in capture.sessions)
    read, sessions = many(capture.records, "record"), many(len(capture.sessions), "session")
    lines = [
        f"The capture `{escape(_plain(capture.name))}` ({capture.format}) holds {read} of {sessions} "
        f"with {many(refusals, 'refusal')}; "
        f"{many(capture.unread_records, 'record')} could not be read.",
        "",
        _sides(capture),
    ]
    places = [f"lines {each.line_first}–{each.line_last}: {escape(_plain(each.reason))}" for each in capture.unread]
    if places:
        more = [f"- and {len(places) - _PLACES} more places"] if len(places) > _PLACES else []
        lines += ["", "Not read:", "", *(f"- {place}" for place in places[:_PLACES]), *more]
    if cannot := _cannot_say(capture):
        lines += ["", "What it cannot say:", "", *(f"- {sentence}" for sentence in cannot)]
    return "\n".join(lines)


def _sides(capture: Capture) -> str:
    """On which side of response.done the results came, in refused sessions and in the others."""
    found: dict[tuple[bool, bool], list[str]] = {}
    for each in capture.sessions:
        if (pair := _pair(each)) is not None:
            gap, delay = pair
            place = (bool(each.refusals.value), delay < gap)
            found.setdefault(place, []).append(f"{delay:g} {'<' if delay < gap else '≥'} {gap:g} ms")
    words = []
    for (refused, before), pairs in sorted(found.items(), reverse=True):
        side = "before" if before else "at or after"
        what = "a refusal" if refused else "no refusal"
        came = f"the result came {side} `response.done` ({', '.join(pairs)})"
        words.append(f"{many(len(pairs), 'session')} with {what} in which {came}")
    if not words:
        return "No session of it has one result and one gap to compare."
    return "As the proxy saw it: " + "; ".join(words) + "."


def _cannot_say(capture: Capture) -> list[str]:
    """What no session says, once; what some do not say, with their numbers."""
    said: dict[str, list[int]] = {}
    for number, each in enumerate(capture.sessions, start=1):
        for sentence in each.cannot_say:
            said.setdefault(sentence, []).append(number)
    return [
        escape(sentence) if len(those) == len(capture.sessions) else f"Session {', '.join(map(str, those))}: {escape(sentence)}"
        for sentence, those in said.items()
    ]


def capture_rows(capture: Capture) -> pd.DataFrame:
    """One row per session of a capture, without columns that say nothing of any. No text of the capture is in it:
    connections are numbered, not named."""
    frame = pd.DataFrame(
        [
            {
                "session": number,
                "started": (each.start or "unknown").removesuffix("Z").rpartition("T")[2],
                "call to result (ms)": _numbers(each.result_delay_ms),
                "call to response.done (ms)": _numbers(each.gap_ms),
                "results": _count(each.submissions),
                "refusals": _count(each.refusals),
                "refused, ms from the session's start": _numbers(each.refused_at_ms),
                "session.update": _count(each.session_updates),
                "response.create": _count(each.response_creates),
                "outcome": each.outcome,
            }
            for number, each in enumerate(capture.sessions, start=1)
        ]
    )
    return frame.loc[:, [name for name in frame.columns if not (frame[name] == "unknown").all()]]


def _pair(session: CapturedSession) -> tuple[float, float] | None:
    """Gap and result delay of a session that has one of each."""
    gaps, delays = session.gap_ms, session.result_delay_ms
    if len(gaps) != 1 or len(delays) != 1 or gaps[0] is None or delays[0] is None:
        return None
    return gaps[0], delays[0]


def capture_points(capture: Capture) -> pd.DataFrame:
    """Sessions with one result and one gap, as points on the map: gap_ms, tool_ms, both as seen at the proxy."""
    return pd.DataFrame([pair for each in capture.sessions if (pair := _pair(each))], columns=["gap_ms", "tool_ms"])


def _numbers(values: object) -> str:
    if not isinstance(values, (list, tuple)):
        return "unknown"
    return ", ".join("unknown" if value is None else f"{value:g}" for value in values) or "none"


def _count(count: object) -> str:
    value, kind = getattr(count, "value", None), getattr(count, "kind", "unknown")
    return "unknown" if value is None else f"{kind} {value}" if kind in ("at least", "derived") else str(value)


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() and char not in "`" else "?" for char in text)


def releases(trials: pd.DataFrame) -> pd.DataFrame:
    """The releases of a run in the words of somebody who uses them."""
    return release_table(trials).rename(
        columns={
            "release": "voice-agent-react",
            "backend": "voice-agent-backend (published)",
            "create": "asks for the next response",
            "refusal": "a refusal is",
            "outcome over tool_ms": "result after (ms): outcome",
        }
    ).drop(columns="generation")  # fmt: skip


def meanings(*frames: pd.DataFrame) -> pd.DataFrame:
    """What the outcomes of these trials mean, in the order of the verdict's list."""
    seen = set().union(*(set(frame["outcome"]) for frame in frames))
    rows = [(f"{glyph(outcome)} {outcome}", MEANING[outcome]) for outcome in OUTCOMES if outcome in seen]
    return pd.DataFrame(rows, columns=["outcome", "what it means to the user"])


def command(parameters: DelaySweepParameters) -> str:
    """The commands that make the notebook's table and the notebook itself again, as Markdown."""
    spec = {**parameters.spec, "releases": ",".join(parameters.releases)}
    given = {**{name: spec[name] for name in spec if name != "times"}, **spec["times"]}
    table = ["voicerace sweep", *(f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in given.items())]
    usual = DelaySweepParameters()
    changed = {
        name: json.dumps(list(value)) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in parameters
        if value != getattr(usual, name) and name not in ("capture", "out")
    }
    if parameters.capture:
        changed["capture"] = "FILE"
    page = [
        "papermill notebooks/2-delay-sweep.ipynb OUT.ipynb",
        *(f"-p {name} {shlex.quote(value)}" for name, value in changed.items()),
    ]
    fenced = [f"```\n{' '.join(each)}\n```" for each in (table, page)]
    return f"The table of this notebook:\n\n{fenced[0]}\n\nThe notebook with its pictures:\n\n{fenced[1]}"


def limits() -> str:
    """What this report does not show, as a Markdown list."""
    return "\n".join(
        f"- {sentence}"
        for sentence in (
            "**The Realtime API is a mock.** It does what recordings of the API show; what none of them decides is a setting. "
            "No session of this report met the real API.",
            "**Where the gap is not the recorded one, it is chosen.** How long after a call's arguments `response.done` comes "
            "was recorded as 1 to 12 ms; of OpenAI's own API with a function call no recording has milliseconds. The map shows "
            "many gaps for that reason.",
            "**The running proxies ran in virtual time**: real programs, real sockets, every message in the order of the "
            "schedule. What a busy event loop or a bad network adds is not in it.",
            "**The component is a model**, held against the running component under its own tests (docs/component.md); spoken "
            "user input and server voice detection are not in these sessions.",
            *(f"**Left out of the {each.party}'s model:** {each.what} *It can change:* {each.matters}" for each in LEFT_OUT),
        )
    )


def run_rows(run: SweepResult) -> pd.DataFrame:
    """The appendix: parameters, versions, targets of a run."""
    info = run.info
    rows = [(f"parameter {name}", value) for name, value in info["parameters"].items() if value not in ((), [], {}, None)]
    rows += [(f"version of {name}", value) for name, value in info["versions"].items()]
    rows += [(f"{part} {each['name']}", each.get("source", "")) for part, those in info["targets"].items() for each in those]
    rows += [("commit", info.get("commit") or "not in a repository"), ("seed", info["seed"]), ("clock", info["clock"])]
    return pd.DataFrame([(name, text_of(value)) for name, value in rows], columns=["what", "value"])


def text_of(value: object) -> str:
    """A parameter's value in words."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)
