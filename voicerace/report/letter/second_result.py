"""Finding 1: who sends a second result for one function call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, Final

import pandas as pd

from voicerace.model.catalog.handlers import HANDLERS
from voicerace.report.blocks import Block, Claim, Picture, Support, Table, joined
from voicerace.report.context import ReportContext, bad_outcomes
from voicerace.report.evidence import DEFAULT_ERROR, Real
from voicerace.report.letter.render import render
from voicerace.report.phrasing import bad_of, range_of, times_text
from voicerace.report.plots.swimlane import alt_swimlane, plot_swimlane
from voicerace.report.plots.swimlane_rows import lanes_of
from voicerace.trace.recording import Recording

__all__ = [
    "CORRECT_HANDLERS",
    "FAULTY_HANDLERS",
    "LANES",
    "StyleResult",
    "bar_begins",
    "blocks",
    "component_counts",
    "heading",
    "seen_twice",
    "twice_counts",
]

FAULTY_HANDLERS: Final = tuple(name for name, row in HANDLERS.items() if row.submissions > 1)
CORRECT_HANDLERS: Final = tuple(name for name, row in HANDLERS.items() if row.submissions == 1)
#: Settings of the recorded sessions of running proxies with handler styles, see `parts`.
_TIMES: Final = {"scenario": "single", "gap_ms": "8", "upstream_rtt_ms": "70", "reply_ms": "1500"}
#: Text that explains how to read a swimlane.
LANES: Final = (
    "Time runs down. The *host* is your browser: app and component. *Upstream* is the API. The bar beside it, the *slot*, shows when a "
    "response is active (where a bar begins: see each caption). A `response.create` that arrives during a bar is refused."
)


@dataclass(frozen=True)
class StyleResult:
    """Counts of results that a running component sent for one call, with one handler style and one outcome of the tool.

    Attributes:
        tag: tag of the component.
        style: style of the handler.
        results: number of all results that the component sent.
        errors: number of results that are the component's own error.
    """

    tag: str
    style: str
    results: int
    errors: int

    @property
    def correct(self) -> bool:
        return self.style in CORRECT_HANDLERS


def component_counts(context: ReportContext) -> list[StyleResult]:
    """Return one item per recorded component and handler style, empty without recordings."""
    found = []
    for tag, cases in context.evidence.components.items():
        for style in HANDLERS:
            if f"{style}, result, one call" in cases:
                contents = _contents(cases, style, "result")
                found.append(StyleResult(tag, style, len(contents), sum(DEFAULT_ERROR in content for content in contents)))
    return found


def twice_counts(context: ReportContext) -> tuple[int, int]:
    """Return (cases with a second result from the component, all cases), counted over recorded faulty handlers."""
    rows = [row for row in component_counts(context) if not row.correct]
    return sum(row.results == 2 and row.errors == 1 for row in rows), len(rows)


def seen_twice(context: ReportContext) -> tuple[Support, ...]:
    """Return the evidence on faulty handlers, one `Support` per target."""
    rows = [row for row in component_counts(context) if not row.correct]
    found = []
    if rows:
        tags = joined(list(dict.fromkeys(row.tag for row in rows)))
        twice, _ = twice_counts(context)
        what = f"cases with such a handler (components {tags}): two results for one call, one of them the component's own error"
        found.append(Support("real component", twice, len(rows), what, source="conformance/component-*.json"))
    styles = context.part("styles")
    if styles is not None:
        bad, of = bad_of(styles[styles["handler"].isin(FAULTY_HANDLERS)])
        gap, tools = range_of(styles["gap_ms"]), range_of(styles["tool_ms"])
        what = f"computed sessions with such a handler go wrong (releases {joined(_tags(styles))}, a gap of {gap}, tools of {tools})"
        found.append(Support("model", bad, of, what, source="the run, part styles"))
    real = _real_styles(context)
    if len(real):
        mine = real[real["handler"].isin(FAULTY_HANDLERS)]
        what = f"sessions with such a handler go wrong (running proxies {joined(_tags(mine))}, the same times)"
        found.append(Support("real proxy", *bad_outcomes(mine["outcome"]), what, source="conformance/TAG.csv"))
    return tuple(found)


def _seen_correct(context: ReportContext) -> tuple[Support, ...]:
    rows = [row for row in component_counts(context) if row.correct]
    found = []
    if rows:
        twice = sum(row.results > 1 for row in rows)
        found.append(
            Support("real component", twice, len(rows), "cases: more than one result", source="conformance/component-*.json")
        )
    styles = context.part("styles")
    if styles is not None:
        found.append(Support("model", *bad_of(styles[styles["handler"].isin(CORRECT_HANDLERS)]), "computed sessions go wrong at the same times",
                          source="the run, part styles"))  # fmt: skip
    real = _real_styles(context)
    if len(real):
        mine = real[real["handler"].isin(CORRECT_HANDLERS)]
        found.append(
            Support(
                "real proxy",
                *bad_outcomes(mine["outcome"]),
                "sessions go wrong at the same times",
                source="conformance/TAG.csv",
            )
        )
    return tuple(found)


def _advice(context: ReportContext) -> SimpleNamespace:
    """Return the recorded facts on `result` and on tools that throw: tags with equal text, cases with one error, cases."""
    cases = context.evidence.components
    own = {tag: (_contents(each, "return", "result"), _contents(each, "async_ref", "result")) for tag, each in cases.items()}
    same = [tag for tag, (returned, sent) in own.items() if returned and sent and returned[0] == sent[0]]
    thrown = [each for record in cases.values() for style in CORRECT_HANDLERS if (each := _contents(record, style, "reject"))]
    once = [each[0] for each in thrown if len(each) == 1 and DEFAULT_ERROR not in each[0] and "error" in each[0]]
    return SimpleNamespace(same=same, once=len(once), thrown=len(thrown))


def _contents(cases: Mapping[str, Any], style: str, tool_end: str) -> list[str]:
    """Return the content of each result that a running component sent for one call."""
    messages = cases.get(f"{style}, {tool_end}, one call") or ()
    return [str(each.get("content")) for each in messages if each.get("type") == "FunctionCallResponse"]


def bar_begins(recording: Recording) -> str:
    """Explain where a bar begins in the picture. The text depends on whether the recording has the times of requests."""
    requests = [row for row in lanes_of(recording).rows if row.kind in ("create", "refused") and row.receiver == "upstream"]
    if all(row.sent_ns == row.received_ns for row in requests):
        return (
            "This recording has one time per message, when it passed the proxy. So a response's bar begins when its request leaves the "
            "proxy, and the round trip to the API is drawn on the return path."
        )
    return "This recording has send and receive times: a response's bar begins when its request reaches the API."


def heading(context: ReportContext) -> str:
    rows = component_counts(context)
    if any(row.results > 1 and row.errors for row in rows):
        return "B. Finding 1: the component itself sends a second result"
    return "B. Finding 1: who sends a second result"


def blocks(context: ReportContext) -> list[Block]:
    styles, rows = context.part("styles"), component_counts(context)
    parts: dict[str, Block] = {
        "component-submits-twice": Claim("component-submits-twice", "", seen_twice(context), context.releases),
        "cure-return": Claim("cure-return", "", _seen_correct(context), context.releases, quiet=True),
    }
    values: dict[str, object] = {"cured": None, "times": ""}
    if styles is not None:
        correct = styles[styles["handler"].isin(CORRECT_HANDLERS)]
        bad, of = bad_of(correct)
        wrong = sorted(set(correct.loc[correct["bad"].astype(bool), "release"].astype(str)))
        values |= {"cured": SimpleNamespace(bad=bad, of=of, wrong=wrong), "times": times_text(styles)}
        parts["styles"] = Table(
            _table(context, styles),
            f"Handler styles: results that the component sends for one call, and the outcome with each proxy at {times_text(styles)}, by tool "
            "time.",
        )
    trace = _trace(context)
    if trace is not None:
        parts["trace"] = trace
    return render(
        "second_result", parts, recorded=bool(rows), twice=any(row.results > 1 for row in rows), advice=_advice(context), trace=trace,
        error=DEFAULT_ERROR, **values,
    )  # fmt: skip


def _tags(frame: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(str(tag) for tag in frame["release"]))


def _table(context: ReportContext, styles: pd.DataFrame) -> pd.DataFrame:
    rows = []
    counts = component_counts(context)
    real = _real_styles(context)
    for name, handler in HANDLERS.items():
        seen = [row for row in counts if row.style == name]
        row: dict[str, object] = {"the handler": handler.sentence}
        row["results sent (running component)"] = (
            ", ".join(f"{each.tag}: {each.results}" for each in seen) if seen else "not recorded"
        )
        for release in _tags(styles):
            own = styles[(styles["release"] == release) & (styles["handler"] == name)].sort_values("tool_ms")
            row[release] = _along(own)
        mine = real[real["handler"] == name] if len(real) else real
        same = int((mine["outcome"] == mine["model_outcome"]).sum()) if len(mine) else 0
        row["running proxies, as computed"] = f"{same} of {len(mine)}" if len(mine) else "not recorded"
        rows.append(row)
    return pd.DataFrame(rows)


def _along(own: pd.DataFrame) -> str:
    """Return the outcomes along the tool's time as text, such as ``answered, rejected from 500 ms``."""
    parts: list[str] = []
    last = ""
    for tool, outcome in zip(own["tool_ms"], own["outcome"], strict=True):
        if outcome != last:
            parts.append(f"{outcome}" if not parts else f"{outcome} from {tool:g} ms")
            last = str(outcome)
    return ", ".join(parts)


def _real_styles(context: ReportContext) -> pd.DataFrame:
    """Return the recorded sessions with handler styles at `_TIMES`, one row per release, style and tool time."""
    table = context.evidence.table
    if table.empty:
        return table
    fits = (table["tool_end"] == "result") & (table["knobs"] == "{}") & (table["modality"] == "session")
    for name, value in _TIMES.items():
        fits &= table[name].astype(str) == value
    return table[fits & table["handler"].isin(tuple(HANDLERS)) & table["release"].isin(context.releases)]


def _trace(context: ReportContext) -> Picture | None:
    """Return a picture of the shortest recorded session with a second result, if possible of a release in use."""
    for release in dict.fromkeys((*context.in_use, *context.releases)):
        fits: list[Real] = [
            each
            for each in context.evidence.of_program(release)
            if each.recording.provenance.get("handler") in FAULTY_HANDLERS
            and each.had(scenario="single", tool_end="result", modality="session")
            and each.outcome in ("stale", "noisy", "duplicated")
        ]
        if fits:
            best = min(fits, key=lambda each: (each.outcome != "stale", len(each.recording.events), each.source))
            style = HANDLERS[str(best.recording.provenance["handler"])].sentence
            caption = (
                f"The shortest recorded session of the running proxy {release} with a second result (handler: {style}; {best.source}). The "
                f"dashed arrows are the component's own error. {LANES} {bar_begins(best.recording)}"
            )
            return Picture(partial(plot_swimlane, best.recording), alt_swimlane(best.recording), caption)
    return None
