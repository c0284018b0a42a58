"""Describe DataFrames of trials in sentences and small tables. Every text is made from the data."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final

import pandas as pd

from voicerace.analysis.outcomes import OUTCOMES, TABLE
from voicerace.experiments.rates import drawn_times, outcomes_at, wilson
from voicerace.experiments.sweep.sweep import SweepResult
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.releases import PROXIES, proxy_release
from voicerace.report.blocks import joined
from voicerace.report.model_limitations import MODEL_LIMITATIONS
from voicerace.report.notebook.parameters import DelaySweepParameters
from voicerace.report.plots import release_table
from voicerace.report.plots.style import glyph
from voicerace.trace.recording import Recording
from voicerace.units import ms

__all__ = [
    "HEARS", "MEANING", "WEDGED", "Side", "agreement", "answer", "assumption", "backend_of", "bad_of", "bad_sides",
    "command", "faults_of", "handler_rows", "how", "limits", "meanings", "means", "message_rows", "name_of", "one_of_each",
    "phrase", "range_of", "releases", "request_rule", "run_rows", "same_program", "sides", "text_of", "times_text", "wrong_of",
]  # fmt: skip

#: Outcome -> meaning for the user. `HEARS` contains short texts for pictures.
MEANING: Final = {name: row.meaning for name, row in TABLE.items()}
HEARS: Final = {name: row.short for name, row in TABLE.items()}
#: Name for a session whose turn is answered, but whose next user input gets no reply.
WEDGED: Final = "wedged"
_WEDGED_MEANS: Final = "the reply, and none to the next user input"
_EVENTS: Final = {
    "T": "the end of the text",
    "R": "`response.done`",
    "A": "the end of the audio",
    "I": "the result's own confirmation",
}


@dataclass(frozen=True)
class Side:
    """A range of tool times with one outcome.

    Attributes:
        outcome: the outcome.
        low: the first computed value in ms.
        high: the last computed value in ms.
        until: the first value of the next range in ms; None for the last range.
        exact: whether the outcome changes exactly at `until`. If false, it changes between `high` and `until`.
        cells: number of computed values.
    """

    outcome: str
    low: float
    high: float
    until: float | None
    exact: bool
    cells: int

    @property
    def words(self) -> str:
        """Return the tool times of the range as text."""
        if self.until is None and self.low <= 0:
            return f"every tool tried (0 to {self.high:g} ms)"
        end = "" if self.until is None else f"faster than {self.until:g} ms" if self.exact else f"of up to {self.high:g} ms"
        begin = "" if self.low <= 0 else f"of {self.low:g} ms or more"
        return "a tool " + (f"{begin}, but {end}" if begin and end else begin or end)


def sides(trials: pd.DataFrame, release: str) -> list[Side]:
    """Return the ranges of tool times with equal outcomes of a release. The list is empty if the release has no trials."""
    own = trials[trials["release"] == release]
    if own.empty:
        return []
    runs = [list(run) for _, run in groupby(outcomes_at(own).to_dict("records"), key=itemgetter("outcome"))]
    found = []
    for run, following in zip(runs, [*runs[1:], None], strict=True):
        exact = following is not None and following[0]["tie_outcome"] == run[-1]["outcome"]
        until = None if following is None else float(following[0]["tool_ms"])
        found.append(Side(str(run[0]["outcome"]), float(run[0]["tool_ms"]), float(run[-1]["tool_ms"]), until, exact, len(run)))
    return found


def bad_sides(trials: pd.DataFrame, release: str, along: Sequence[Side]) -> list[Side]:
    """Return the ranges in `along` that contain bad sessions of the release."""
    bad = wrong_of(trials[trials["release"] == release])
    return [side for side in along if (bad["tool_ms"].between(side.low, side.high) & (bad["outcome"] == side.outcome)).any()]


def phrase(found: Sequence[Side]) -> str:
    """Return a clause with the tool times and the outcome of each range."""
    return joined([f"{side.words} is **{glyph(side.outcome)} {side.outcome}**" for side in found])


def bad_of(trials: pd.DataFrame) -> tuple[int, int]:
    """Return (number of bad sessions, number of sessions with a known outcome)."""
    return len(wrong_of(trials)), int((trials["outcome"] != "unknown").sum())


def wrong_of(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the sessions that `bad_of` counts as bad."""
    return trials[(trials["outcome"] != "unknown") & trials["bad"].astype(bool)]


def faults_of(trials: pd.DataFrame) -> pd.Series[str]:
    """Return the outcome of each session, or ``wedged`` if only the next user input got no reply."""
    return trials["outcome"].mask(trials["bad"].astype(bool) & trials["outcome"].isin(["answered", "no_result"]), WEDGED)


def request_rule(release: str) -> str:
    """Describe when a release sends `response.create` after a result."""
    row = proxy_release(release)
    if row.gate is not None:
        return "sends its request as soon as the slot is free"
    if not row.defers:
        return "sends its request as soon as the result arrives"
    events = joined([event for letter, event in _EVENTS.items() if letter in row.create_on], "or")
    late = ", at the latest after 20 s" if row.recovery else ""
    return f"sends its request at {events}, whichever comes first after the result{late}"


def means(outcome: str) -> str:
    """Return the meaning of an outcome on one line."""
    return _WEDGED_MEANS if outcome == WEDGED else " ".join(HEARS[outcome].split())


def backend_of(release: str) -> str:
    """Return the published version of voice-agent-backend in a release."""
    row = proxy_release(release)
    return row.published or row.backend


def name_of(release: str) -> str:
    """Return the tag of a release and its version of voice-agent-backend, as text."""
    return f"{release} / {backend_of(release)}"


def same_program(release: str, recorded: Sequence[str]) -> str:
    """Return a text that names the tag of a release's recordings; empty if the tag is `release`, or without recordings."""
    return f"recorded under the tag {recorded[0]}, the same program" if recorded and release not in recorded else ""


def range_of(values: pd.Series[float], unit: str = "ms") -> str:
    """Return the smallest and the largest value as text."""
    low, high = float(values.min()), float(values.max())
    return f"{low:,g} {unit}" if low == high else f"{low:,g} to {high:,g} {unit}"


def how(trials: pd.DataFrame) -> str:
    """List the outcomes of sessions with counts and meanings, the most frequent first."""
    return joined([f"{count} {name} ({means(str(name))})" for name, count in faults_of(trials).value_counts().items()])


def times_text(trials: pd.DataFrame) -> str:
    """Describe the gap and the network times of trials with fixed times."""
    host, upstream = trials[["host_rtt_ms", "upstream_rtt_ms"]].max()
    network = (
        f"round trips of {host:g} ms (browser to proxy) and {upstream:g} ms (proxy to API)"
        if host or upstream
        else "no network"
    )
    return f"a gap of {range_of(trials['gap_ms'])} and {network}"


# -- the notebook of the delay sweep ---------------------------------------------------------------------------------


def assumption(trials: pd.DataFrame) -> str:
    """Describe the gap and the network times on which the numbers in `answer` depend."""
    decides = "**The race depends on whether the request for the next response comes before or after `response.done`.** "
    if drawn_times(trials):
        gap, host, api = (
            f"{trials[name].min():.3g} to {trials[name].max():.3g} ms" for name in ("gap_ms", "host_rtt_ms", "upstream_rtt_ms")
        )
        return decides + (
            f"The times are drawn from the profile {trials['profile'].iloc[0]}; the API's times come from its recordings "
            f"(`data/api`): `response.done` comes {gap} after the call's arguments. Round trips of {host} to the host and "
            f"{api} to the API are assumed."
        )
    return decides + (
        f"The numbers here hold for one assumption: {times_text(trials)}. The gap is the time from the call's arguments to "
        "`response.done`. Recordings of the API show 1 to 12 ms. Another gap moves the boundary, as the map below shows."
    )


def answer(trials: pd.DataFrame) -> str:
    """Return a Markdown list with one sentence per release: the ranges of outcomes, or their shares if times are drawn."""
    return "\n".join(
        f"- **{release}** (voice-agent-backend {PROXIES[str(release)].backend}): "
        + (_shares(group) if drawn_times(trials) else _along(group, str(release)))
        + "."
        for release, group in trials.groupby("release", sort=False)
    )


def _along(trials: pd.DataFrame, release: str) -> str:
    """Describe the outcomes of a release along the delay, and whether every bad session remains stuck."""
    parts = [f"{phrase([side])} ({MEANING[side.outcome]})" for side in sides(trials, release)]
    bad = trials[trials["bad"].astype(bool)]
    stuck = ", and the session stays stuck" if len(bad) and bad["wedged"].fillna(False).all() else ""
    return "; ".join(parts) + stuck


def _shares(trials: pd.DataFrame) -> str:
    """Return the number of sessions of each outcome over all delays, as text."""
    parts = []
    for outcome, count in trials["outcome"].value_counts().items():
        low, high = wilson(count, len(trials))
        parts.append(f"{count:,} **{glyph(str(outcome))} {outcome}** ({low:.1%} to {high:.1%}: {MEANING[str(outcome)]})")
    return f"of {len(trials):,} sessions over all delays {'; '.join(parts)}"


def agreement(trials: pd.DataFrame, real: pd.DataFrame, axis: str = "tool_ms") -> str:
    """Describe how many recorded sessions of running proxies have the outcome of the model."""
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
    """Return the middle trial along `axis` for each release and outcome. The index is the trial number."""
    trials = run.trials.sort_values(axis)
    rows = [group.iloc[len(group) // 2] for _, group in trials.groupby(["release", "outcome"], sort=False)]
    order = {tag: index for index, tag in enumerate(PROXIES)}
    frame = pd.DataFrame(rows)
    return frame.sort_values(["release", axis], key=lambda column: column.map(order) if column.name == "release" else column)


def handler_rows(trials: pd.DataFrame, real: pd.DataFrame) -> pd.DataFrame:
    """Return one row per handler style: outcomes per release and delay, and the number of agreeing recorded sessions."""
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


def releases(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the table of the releases of a run, with column names for readers."""
    return release_table(trials).rename(
        columns={
            "release": "voice-agent-react",
            "backend": "voice-agent-backend (published)",
            "create": "sends its request",
            "refusal": "a refusal is",
            "outcome over tool_ms": "outcome by tool_ms",
        }
    ).drop(columns="generation")  # fmt: skip


def meanings(*frames: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the meanings of the outcomes in DataFrames of trials, in the order of `OUTCOMES`."""
    seen = set().union(*(set(frame["outcome"]) for frame in frames))
    rows = [(f"{glyph(outcome)} {outcome}", MEANING[outcome]) for outcome in OUTCOMES if outcome in seen]
    return pd.DataFrame(rows, columns=["outcome", "what it means to the user"])


def command(parameters: DelaySweepParameters) -> str:
    """Return Markdown with the commands that compute the notebook's table and run the notebook again."""
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
    """Return a Markdown list of the limits of the report."""
    return "\n".join(
        f"- {sentence}"
        for sentence in (
            "**The Realtime API is a mock.** It does what recordings of the API show; behaviour that no recording shows is "
            "configurable. No session of this report used the real API.",
            "**Other gaps than the recorded ones are assumptions.** Recordings show 1 to 12 ms from a call's arguments to "
            "`response.done`, but none of OpenAI's own API with a function call has milliseconds. So the map shows many gaps.",
            "**The running proxies ran in virtual time**: real programs, real sockets, every message in the order of the "
            "schedule. Delays of a busy event loop or a bad network are not included.",
            "**The component is a model**, compared with the running component (docs/component.md). These sessions have no "
            "spoken user input and no server voice detection.",
            *(f"**Not modelled ({each.part}):** {each.what} *Possible effect:* {each.effect}" for each in MODEL_LIMITATIONS),
        )
    )


def message_rows(recording: Recording) -> pd.DataFrame:
    """Return a table of a recording's messages: sent and arrived in ms from the session's start, link, type."""
    frame = recording.to_frame()
    times = {
        name: [None if pd.isna(at) else f"{ms(int(at)):,.1f}" for at in frame[column]]
        for name, column in (("sent, ms", "sent_ns"), ("arrived, ms", "received_ns"))
    }
    return pd.DataFrame({**times, "from": frame["sender"], "to": frame["receiver"], "message": frame["type"]})


def run_rows(info: Mapping[str, Any], parts: Mapping[str, pd.DataFrame] = MappingProxyType({})) -> pd.DataFrame:
    """Return a table of the parameters, versions and targets of a run.

    Args:
        info: the parsed `run.json` of the run.
        parts: name of an additional table of the run -> its DataFrame.
    """
    rows = [(f"parameter {name}", value) for name, value in info["parameters"].items() if value not in ((), [], {}, None)]
    rows += [(f"part {name}", f"{len(frame):,} rows") for name, frame in parts.items()]
    rows += [(f"version of {name}", value) for name, value in info["versions"].items()]
    rows += [(f"{part} {each['name']}", each.get("source", "")) for part, those in info["targets"].items() for each in those]
    rows += [("commit", info.get("commit") or "not in a repository"), ("seed", info["seed"]), ("clock", info["clock"])]
    return pd.DataFrame([(name, text_of(value)) for name, value in rows], columns=["what", "value"])


def text_of(value: object) -> str:
    """Return a parameter's value as text."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)
