"""The report's sentences that state a result, made from the run's data: with other data they say something else."""

from __future__ import annotations

from html import escape
from typing import Final

import pandas as pd

from voicerace.captures import Capture
from voicerace.plots.style import glyph
from voicerace.statistics import outcomes_at
from voicerace.sweep import Run
from voicerace.tables.handlers import HANDLERS
from voicerace.tables.releases import PROXIES

__all__ = [
    "MEANING",
    "agreement",
    "answer",
    "capture_facts",
    "capture_points",
    "capture_rows",
    "handler_rows",
    "limits",
    "one_of_each",
    "run_rows",
]

#: Unread places of a capture that a page lists one by one.
_PLACES: Final = 20
#: What an outcome means to somebody who did not write the proxy.
MEANING: Final = {
    "answered": "the user hears one reply that knows the result",
    "rejected": "the request for the reply is refused, the app sees the error, the user hears nothing",
    "lost": "the request for the reply is refused, nobody is told, the user hears nothing",
    "stalled": "the proxy never asks for the reply, the user hears nothing",
    "stale": "the user hears a reply that does not know the result",
    "duplicated": "the user hears two replies to one question",
    "noisy": "the user hears the reply, and beside it a request was refused",
    "late": "the user hears the reply more than five seconds after it could have come",
    "interrupted": "the reply breaks off",
    "failed": "the reply was asked for and came to nothing",
    "no_result": "the app gave no result",
    "abandoned": "a connection closed before anything could be heard",
    "unknown": "what was recorded does not show it",
}


def answer(trials: pd.DataFrame, axis: str = "tool_ms") -> str:
    """One sentence per release, as a Markdown list: what happens on each side of every change."""
    lines = []
    frame = outcomes_at(trials, axis)
    for release, group in frame.groupby("release", sort=False):
        runs: list[tuple[str, float, float]] = []
        for outcome, value in zip(group["outcome"], group[axis], strict=True):
            if runs and runs[-1][0] == outcome:
                runs[-1] = (outcome, runs[-1][1], value)
            else:
                runs.append((outcome, value, value))
        parts = []
        for outcome, low, high in runs:
            after = f"{low:g}" if low == high else f"{low:g}–{high:g}"
            parts.append(f"a result after {after} ms is **{glyph(outcome)} {outcome}** ({MEANING[outcome]})")
        gone = ", and the session is stuck for good" if _wedged(trials, str(release)) else ""
        lines.append(f"- **{release}**: " + "; ".join(parts) + f"{gone}.")
    return "\n".join(lines)


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


def one_of_each(run: Run, axis: str = "tool_ms") -> pd.DataFrame:
    """For every release and outcome, the recorded trial in the middle of its range: far from any tie."""
    kept = run.trials[run.trials["recording"] != ""]
    rows = [group.iloc[len(group) // 2] for _, group in kept.sort_values(axis).groupby(["release", "outcome"], sort=False)]
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
    """A capture in a paragraph: what was read, what not, what it cannot say."""
    refusals = sum(each.refusals.value or 0 for each in capture.sessions)
    cannot = list(dict.fromkeys(sentence for each in capture.sessions for sentence in each.cannot_say))
    lines = [
        f"The capture `{escape(_plain(capture.name))}` ({capture.format}) holds {capture.records} records of "
        f"{len(capture.sessions)} sessions with {refusals} refusals; {capture.unread_records} records could not be read."
    ]
    places = [f"lines {each.line_first}–{each.line_last}: {escape(_plain(each.reason))}" for each in capture.unread]
    if places:
        more = [f"- and {len(places) - _PLACES} more places"] if len(places) > _PLACES else []
        lines += ["", "Not read:", "", *(f"- {place}" for place in places[:_PLACES]), *more]
    if cannot:
        lines += ["", "What it cannot say:", "", *(f"- {escape(sentence)}" for sentence in cannot)]
    return "\n".join(lines)


def capture_rows(capture: Capture) -> pd.DataFrame:
    """One row per session of a capture. No text of the capture is in it: connections are numbered, not named."""
    return pd.DataFrame(
        [
            {
                "session": number,
                "started": each.start or "unknown",
                "result after (ms)": _numbers(each.result_delay_ms),
                "gap (ms)": _numbers(each.gap_ms),
                "results": _count(each.submissions),
                "refusals": _count(each.refusals),
                "refused at (ms)": _numbers(each.refused_at_ms),
                "session.update": _count(each.session_updates),
                "response.create": _count(each.response_creates),
                "outcome": each.outcome,
            }
            for number, each in enumerate(capture.sessions, start=1)
        ]
    )


def capture_points(capture: Capture) -> pd.DataFrame:
    """Sessions with one result and one gap, as points on the map: gap_ms, tool_ms, both as seen at the proxy."""
    rows = [
        {"gap_ms": each.gap_ms[0], "tool_ms": each.result_delay_ms[0]}
        for each in capture.sessions
        if len(each.gap_ms) == len(each.result_delay_ms) == 1 and None not in (each.gap_ms[0], each.result_delay_ms[0])
    ]
    return pd.DataFrame(rows, columns=["gap_ms", "tool_ms"])


def _numbers(values: object) -> str:
    if not isinstance(values, (list, tuple)):
        return "unknown"
    return ", ".join("unknown" if value is None else f"{value:g}" for value in values) or "none"


def _count(count: object) -> str:
    value, kind = getattr(count, "value", None), getattr(count, "kind", "unknown")
    return "unknown" if value is None else f"{kind} {value}" if kind in ("at least", "derived") else str(value)


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() and char not in "`" else "?" for char in text)


def limits() -> str:
    """What this report does not show, as a Markdown list."""
    return "\n".join(
        f"- {sentence}"
        for sentence in (
            "**The Realtime API is a mock.** It follows the API's reference and published traces; where nobody has shown a "
            "fact it is a setting. No session of this report met the real API.",
            "**The gap is chosen, not measured.** How long after a call's arguments the real API sends `response.done` is "
            "published once (8 ms, beta API, January 2025). The map shows every gap for that reason.",
            "**The running proxies ran in virtual time**: real programs, real sockets, every message in the order of the "
            "schedule. What a busy event loop or a bad network adds is not in it.",
            "**The component is modelled from its source** and from one observation of the running component; spoken user "
            "input and server voice detection are not in these sessions.",
        )
    )


def run_rows(run: Run) -> pd.DataFrame:
    """The appendix: parameters, versions, targets of a run."""
    info = run.info
    rows = [(f"parameter {name}", value) for name, value in info["parameters"].items() if value not in ((), [], {}, None)]
    rows += [(f"version of {name}", value) for name, value in info["versions"].items()]
    rows += [(f"{part} {each['name']}", each.get("source", "")) for part, those in info["targets"].items() for each in those]
    rows += [("commit", info.get("commit") or "not in a repository"), ("seed", info["seed"]), ("clock", info["clock"])]
    return pd.DataFrame([(name, _text(value)) for name, value in rows], columns=["what", "value"])


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)
