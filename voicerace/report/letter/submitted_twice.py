"""Finding 1: who submits the result twice, shown on the running component, the models and the running proxies; its cure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import pandas as pd

from voicerace.model.catalog.handlers import HANDLERS
from voicerace.report.blocks import Block, Claim, Code, Picture, Support, Table, Text, joined, many
from voicerace.report.context import ReportContext, bad_outcomes
from voicerace.report.evidence import DEFAULT_ERROR, Real
from voicerace.report.phrasing import HEARS, bad_of, gap_words, range_of
from voicerace.report.plots.overview import Glance, alt_glance, plot_glance
from voicerace.report.plots.swimlane import alt_swimlane, plot_swimlane
from voicerace.report.plots.swimlane_rows import lanes_of
from voicerace.trace.recording import Recording

__all__ = [
    "CURE",
    "CURED",
    "LANES",
    "UNCURED",
    "StyleResult",
    "bar_begins",
    "blocks",
    "component_counts",
    "glances",
    "heading",
    "result_words",
    "seen_twice",
    "twice_counts",
]

UNCURED: Final = tuple(name for name, row in HANDLERS.items() if row.submissions > 1)
CURED: Final = tuple(name for name, row in HANDLERS.items() if row.submissions == 1)
#: A handler that answers twice, and the two ways to write it instead.
_BEFORE: Final = """\
// Before: two results for one call. The component does not count this as an answer.
const onFunctionCallRequest = async (call: FunctionCallRequest) => {
  const result = await tool(call);
  ref.current?.sendFunctionCallResponse(call.id, call.name, JSON.stringify(result));
};"""
CURE: Final = """\
// After: return the result ...
const onFunctionCallRequest = async (call: FunctionCallRequest): Promise<FunctionCallResponse> =>
  ({ id: call.id, result: await tool(call) });

// ... or await, and call the sendResponse that you were given.
const onFunctionCallRequest = async (
  call: FunctionCallRequest, sendResponse: (response: FunctionCallResponse) => void,
) => {
  sendResponse({ id: call.id, result: await tool(call) });
};"""
#: As the running proxies were recorded with handler styles: see `parts`.
_TIMES: Final = {"scenario": "single", "gap_ms": "8", "upstream_rtt_ms": "70", "reply_ms": "1500"}
_SHOWN_MS: Final = 500.0
#: How to read a picture of messages.
LANES: Final = (
    "How to read it: time runs down. The *host* is your browser, app and component together; *upstream* is the API; the bar at its side, the "
    "*slot*, shows from when to when a response is active (from its request on: see each caption). A `response.create` that meets the bar is refused."
)


@dataclass(frozen=True)
class StyleResult:
    """What the running component did with one style of handler, one call, one result of the tool.

    Attributes:
        tag: of the component.
        results: that it sent for the call, `errors` of them its own error.
    """

    tag: str
    style: str
    results: int
    errors: int

    @property
    def cured(self) -> bool:
        return self.style in CURED


def component_counts(material: ReportContext) -> list[StyleResult]:
    """Every recorded component and style; empty without recordings."""
    found = []
    for tag, cases in material.evidence.components.items():
        for style in HANDLERS:
            told = cases.get(f"{style}, result, one call")
            if told is not None:
                contents = [str(each.get("content")) for each in told if each.get("type") == "FunctionCallResponse"]
                found.append(StyleResult(tag, style, len(contents), sum(DEFAULT_ERROR in content for content in contents)))
    return found


def twice_counts(material: ReportContext) -> tuple[int, int]:
    """Recorded cases of the running component with an uncured handler: two results, one its own error; and all of them."""
    rows = [row for row in component_counts(material) if not row.cured]
    return sum(row.results == 2 and row.errors == 1 for row in rows), len(rows)


def seen_twice(material: ReportContext) -> tuple[Support, ...]:
    """What each target showed of handlers that are not answered for."""
    rows = [row for row in component_counts(material) if not row.cured]
    found = []
    if rows:
        tags = joined(list(dict.fromkeys(row.tag for row in rows)))
        twice, _ = twice_counts(material)
        what = f"cases with such a handler (components {tags}): two results for one call, one of them the component's own error"
        found.append(Support("real component", twice, len(rows), what, source="conformance/component-*.json"))
    styles = material.part("styles")
    if styles is not None:
        bad, of = bad_of(styles[styles["handler"].isin(UNCURED)])
        gap, tools = range_of(styles["gap_ms"]), range_of(styles["tool_ms"])
        what = f"computed sessions with such a handler go wrong (releases {joined(_tags(styles))}, a gap of {gap}, tools of {tools})"
        found.append(Support("model", bad, of, what, source="the run, part styles"))
    real = _real_styles(material)
    if len(real):
        mine = real[real["handler"].isin(UNCURED)]
        what = f"sessions with such a handler go wrong (running proxies {joined(_tags(mine))}, the same times)"
        found.append(Support("real proxy", *bad_outcomes(mine["outcome"]), what, source="conformance/TAG.csv"))
    return tuple(found)


def _seen_cured(material: ReportContext) -> tuple[Support, ...]:
    rows = [row for row in component_counts(material) if row.cured]
    found = []
    if rows:
        twice = sum(row.results > 1 for row in rows)
        found.append(
            Support("real component", twice, len(rows), "cases: more than one result", source="conformance/component-*.json")
        )
    styles = material.part("styles")
    if styles is not None:
        found.append(Support("model", *bad_of(styles[styles["handler"].isin(CURED)]), "computed sessions go wrong at the same times",
                          source="the run, part styles"))  # fmt: skip
    real = _real_styles(material)
    if len(real):
        mine = real[real["handler"].isin(CURED)]
        found.append(
            Support(
                "real proxy",
                *bad_outcomes(mine["outcome"]),
                "sessions go wrong at the same times",
                source="conformance/TAG.csv",
            )
        )
    return tuple(found)


def result_words(material: ReportContext) -> list[str]:
    """What goes into `result`, and what a tool that throws comes to, as the running components did it; empty without recordings."""
    cases = material.evidence.components
    own = {tag: (_contents(each, "return", "result"), _contents(each, "async_ref", "result")) for tag, each in cases.items()}
    same = [tag for tag, (returned, sent) in own.items() if returned and sent and returned[0] == sent[0]]
    words = []
    if same:
        words.append(
            f"**In `result` goes the object, not its `JSON.stringify`**: the component (seen on {joined(same)}) writes it as JSON "
            "itself, and what it sends is then the same text as with the string through the ref; a string there would be quoted once more."
        )
    thrown = [_contents(each, style, "reject") for each in cases.values() for style in CURED]
    thrown = [each for each in thrown if each]
    if thrown:
        once = [each[0] for each in thrown if len(each) == 1 and DEFAULT_ERROR not in each[0] and "error" in each[0]]
        words.append(
            f"If the tool throws, let the handler's promise reject: in {len(once)} of {len(thrown)} recorded cases the component then sent one "
            'result, `{"error": …}` with the error\'s message.'
        )
    return words


def _contents(cases: Mapping[str, Any], style: str, tool_end: str) -> list[str]:
    """The results that a running component sent for one call."""
    told = cases.get(f"{style}, {tool_end}, one call") or ()
    return [str(each.get("content")) for each in told if each.get("type") == "FunctionCallResponse"]


def bar_begins(recording: Recording) -> str:
    """Where a bar of the picture begins: what is recorded of a request's way decides."""
    asks = [row for row in lanes_of(recording).rows if row.kind in ("create", "refused") and row.receiver == "upstream"]
    if all(row.sent_ns == row.received_ns for row in asks):
        return (
            "This recording has of every message the one time at which it passed the proxy, so a response's bar begins when its request "
            "leaves the proxy, and what goes to the API and back stands on the way back."
        )
    return "This recording has both ends of every message: a response's bar begins when its request reaches the API."


def heading(material: ReportContext) -> str:
    rows = component_counts(material)
    if any(row.results > 1 and row.errors for row in rows):
        return "Finding 1: the component itself sends a second result"
    return "Finding 1: who sends a second result"


def blocks(material: ReportContext) -> list[Block]:
    styles = material.part("styles")
    found: list[Block] = [Claim("component-submits-twice", _sentence(material), seen_twice(material), material.releases)]
    if styles is not None:
        shown = [glance for release in _shown(material, styles) for glance in glances(material, release)]
        if shown:
            caption = (
                f"Computed sessions, a tool of {_SHOWN_MS:g} ms, a gap of {range_of(styles['gap_ms'])}, {range_of(styles['upstream_rtt_ms'])} "
                "to the API and back. The first two are "
                "handlers that do not answer the component; the last returns its result."
            )
            found.append(Picture(partial(plot_glance, shown), alt_glance(shown), caption))
        found.append(
            Table(
                _table(material, styles),
                f"Handler styles: what the component sends for one call, and what comes of it with each proxy at {gap_words(styles)}, as the "
                f"tool takes {joined([f'{each:,g}' for each in sorted(styles['tool_ms'].unique())])} ms (a change lies between two of these). "
                f"These are not the times of finding 2 (there: {gap_words(material.delay)}; the map has other gaps with that network), so "
                "an outcome may begin at another tool time there.",
            )
        )
    else:
        found.append(Text("This run has no sessions with other handlers: `voicerace report` without `--run` plays them."))
    found.append(Text("### The cure, two lines"))
    found += [Code(_BEFORE), Code(CURE), *(Text(words) for words in result_words(material))]
    found.append(Claim("cure-return", _cured_sentence(material), _seen_cured(material), material.releases))
    found += _trace(material)
    found.append(
        Text(
            "**How to tell it in your own logs.** The second result's content is always "
            f'`{{"error":"{DEFAULT_ERROR}"}}`. Look for it in what your browser sends to the proxy (`FunctionCallResponse`), or '
            "run `voicerace inspect FILE` on a log, which names who sent what. A set of ids in your own code cannot catch it: the component "
            "sends it below your code."
        )
    )
    return found


def _sentence(material: ReportContext) -> str:
    rows = component_counts(material)
    twice = sorted({row.style for row in rows if row.results > 1}, key=list(HANDLERS).index)
    if not rows:
        return "**No recording of the running component is at hand**, so who sends the second result is not shown here."
    if not twice:
        return "**The running component sent one result for one call in every recorded case.**"
    return (
        "**A call can be answered twice without your code ever sending twice.** A function call must be answered, so when a "
        "handler has finished without answering, the component answers for it, with an error. What counts as an answer is the "
        "handler's return value, or the `sendResponse` it was given, before it finishes. `ref.sendFunctionCallResponse` does "
        f"*not* count. So with {many(len(twice), 'style')} of handler out of {len({row.style for row in rows})} the proxy gets two "
        "results for one call and asks the API twice; the second request meets the reply to the first."
    )


def _cured_sentence(material: ReportContext) -> str:
    styles = material.part("styles")
    if styles is None:
        return "**The cure needs no new release**; this run has no sessions that show it."
    bad, of = bad_of(styles[styles["handler"].isin(CURED)])
    wrong = sorted({str(each) for each in styles.loc[styles["handler"].isin(CURED) & styles["bad"].astype(bool), "release"]})
    if not bad:
        return f"**The cure needs no new release.** With it none of {of} computed sessions at these times went wrong."
    return (
        f"**The cure needs no new release.** With it the second result is gone; what still goes wrong, {bad} of {of} computed "
        f"sessions, all on {joined(wrong)}, is the proxy's timing (finding 2)."
    )


def glances(material: ReportContext, release: str) -> list[Glance]:
    """Lines for a picture: two styles that answer twice, and the cure."""
    styles = material.part("styles")
    if styles is None:
        return []
    found = []
    for name, words in (
        ("async_ref", "awaits, then sends through the ref"),
        ("void_ref", "returns at once, later sends through the ref"),
        ("return", "awaits and returns the result"),
    ):
        fits = (styles["release"] == release) & (styles["handler"] == name) & (styles["tool_ms"] == _SHOWN_MS)
        own = styles[fits]
        if len(own):
            recording = material.played_again("styles", int(str(own.index[0])))
            outcome = str(own["outcome"].iloc[0])
            found.append(Glance(f"Proxy {release}, the handler {words}", recording, HEARS[outcome]))
    return found


def _shown(material: ReportContext, styles: pd.DataFrame) -> list[str]:
    tags = _tags(styles)
    return [tag for tag in material.in_use if tag in tags][:1] or tags[:1]


def _tags(frame: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(str(tag) for tag in frame["release"]))


def _table(material: ReportContext, styles: pd.DataFrame) -> pd.DataFrame:
    rows = []
    counts = component_counts(material)
    real = _real_styles(material)
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
        row["running proxies, as computed"] = f"{same} of {len(mine)}"
        rows.append(row)
    return pd.DataFrame(rows)


def _along(own: pd.DataFrame) -> str:
    """Outcomes along the tool's time, in few words."""
    words: list[str] = []
    last = ""
    for tool, outcome in zip(own["tool_ms"], own["outcome"], strict=True):
        if outcome != last:
            words.append(f"{outcome}" if not words else f"{outcome} from {tool:g} ms")
            last = str(outcome)
    return ", ".join(words)


def _real_styles(material: ReportContext) -> pd.DataFrame:
    """Recorded sessions of running proxies with handler styles at these times; one row per release, style and tool time."""
    table = material.evidence.table
    if table.empty:
        return table
    fits = (table["tool_end"] == "result") & (table["knobs"] == "{}") & (table["modality"] == "text")
    for name, value in _TIMES.items():
        fits &= table[name].astype(str) == value
    return table[fits & table["handler"].isin(tuple(HANDLERS)) & table["release"].isin(material.releases)]


def _trace(material: ReportContext) -> list[Block]:
    """The shortest recorded session of a running proxy in which it happens, on the release in use if there is one."""
    for release in dict.fromkeys((*material.in_use, *material.releases)):
        fits: list[Real] = [
            each
            for each in material.evidence.of_program(release)
            if each.recording.provenance.get("handler") in UNCURED
            and each.had(scenario="single", tool_end="result", modality="text")
            and each.outcome in ("stale", "noisy", "duplicated")
        ]
        if fits:
            best = min(fits, key=lambda each: (each.outcome != "stale", len(each.recording.events), each.source))
            style = HANDLERS[str(best.recording.provenance["handler"])].sentence
            caption = (
                f"Every message that decides, as the running proxy {release} passed it on (handler: {style}; {best.source}). "
                f"The dashed arrows are the component's own error. {bar_begins(best.recording)}"
            )
            return [
                Text("### The shortest recorded session that shows it"),
                Text(LANES),
                Picture(partial(plot_swimlane, best.recording), alt_swimlane(best.recording), caption),
            ]
    return [Text("No recording of a running proxy shows it for these releases.")]
