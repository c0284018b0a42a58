"""The end of the annex: limits, the command of this page, terms, releases, parameters and hashes."""

from __future__ import annotations

from typing import Final

import pandas as pd

from voicerace.analysis.verdict import OUTCOMES
from voicerace.conformance.contract.suite import CALLS_ELSEWHERE, sessions_needed
from voicerace.model.catalog.releases import PROXIES
from voicerace.report.blocks import Block, Code, Table
from voicerace.report.context import ReportContext
from voicerace.report.letter.failure_paths import ends
from voicerace.report.letter.render import render
from voicerace.report.letter.reproduce import command
from voicerace.report.model_limitations import MODEL_LIMITATIONS
from voicerace.report.phrasing import MEANING, run_rows
from voicerace.report.plots.release_table import release_table
from voicerace.report.plots.style import glyph

__all__ = ["appendix", "limits", "reproduce"]

_TERMS: Final = (
    ("app", "your code: the handler of function calls, and the tool behind it"),
    ("component", "voice-agent-react, in the browser; with the app it is called the host"),
    ("proxy", "voice-agent-backend; one connection to the API per browser"),
    ("API, upstream", "OpenAI's Realtime API; here a mock of it"),
    ("response", "one answer of the API; it ends with response.done, and one can be active at a time (the slot)"),
    ("result", "the output of your tool for one call id (FunctionCallResponse)"),
    ("request", "response.create: the proxy requests the next response"),
    ("refusal", "the API's error conversation_already_has_active_response"),
    ("gap", "gap_ms: from the arguments of the last function call to response.done"),
    ("margin", "arrival of the request at the API, minus the time at which the slot becomes free; below 0 it is refused"),
    ("computed session", "a session of models in virtual time with fixed times: the same settings give the same session"),
    (
        "reference gate",
        "a model of a proxy: it sends its request when the API's events show a free slot, and again after a refusal",
    ),
    ("wedged", f"{ends('wedged')}: the last user input got no reply"),
    ("unconfigured", ends("unconfigured")),
    ("late", MEANING["late"]),
)


def limits(context: ReportContext) -> list[Block]:
    compared = sorted({str(tag) for tag in context.evidence.table["release"]}) if len(context.evidence.table) else []
    rows = [{"part": each.part, "not modelled": each.what, "possible effect": each.effect} for each in MODEL_LIMITATIONS]
    return render(
        "limits",
        {"left-out": Table(pd.DataFrame(rows), "Behaviour that the models leave out.")},
        sessions=sessions_needed(CALLS_ELSEWHERE),
        compared=compared,
        only=[tag for tag in context.releases if not context.evidence.of_program(tag)],
    )


def reproduce(context: ReportContext) -> list[Block]:
    return render("reproduce", {"command": Code(command(context))}, record=bool(context.record))


def appendix(context: ReportContext) -> list[Block]:
    frames = [context.delay, *context.parts.values()]
    seen = set().union(*(set(frame["outcome"].dropna()) for frame in frames if "outcome" in frame.columns))
    outcomes = [(f"{glyph(name)} {name}", MEANING[name]) for name in OUTCOMES if name in seen]
    parts: dict[str, Block] = {
        "terms": Table(pd.DataFrame(_TERMS, columns=["term", "meaning"]), "Terms of this page."),
        "outcomes": Table(pd.DataFrame(outcomes, columns=["outcome", "what it means to the user"]), "Outcomes of a turn; the first match counts."),
        "releases": Table(releases(context), "Every release: when it requests the response after a result, whether the app is notified of a refusal, "
                          "and the outcome in this run by tool time in ms (one result, the gap of finding 2)."),
        "run": Table(_run(context), "Parameters, versions and data of this page."),
    }  # fmt: skip
    other = [tag for tag in (*context.in_use, *context.releases) if f"{tag}-published" in PROXIES]
    published = [(tag, PROXIES[f"{tag}-published"].backend) for tag in dict.fromkeys(other)]
    return render("appendix", parts, published=published)


def releases(context: ReportContext) -> pd.DataFrame:
    """Return the table of all releases, with the outcomes of this run."""
    every = release_table()
    mine = release_table(context.delay)
    found = mine.columns[-1]
    along = dict(zip(mine["release"], mine[found], strict=True))
    frame = every.assign(**{"in this run": [along.get(tag, _alike(along, str(tag))) for tag in every["release"]]})
    return frame.drop(columns="generation").rename(
        columns={"release": "react", "backend": "backend (published)", "create": "sends its request", "refusal": "a refusal is"}
    )


def _alike(along: dict[str, str], tag: str) -> str:
    """Return a text that names a release in `along` with the same program or gate as `tag`, else ``not played``."""
    for other in along:
        if PROXIES[other].source == PROXIES[tag].source:
            return f"the program of {other}"
    for other in along:
        one, two = PROXIES[other], PROXIES[tag]
        if (one.create_on, one.recovery, one.refusal_hidden) == (two.create_on, two.recovery, two.refusal_hidden):
            return f"requests as {other}"
    return "not played"


def _run(context: ReportContext) -> pd.DataFrame:
    rows = [(f"data/{name}", f"SHA-256 {digest}…") for name, digest in sorted(context.evidence.hashes.items())]
    if context.capture is not None:
        found = f"SHA-256 {context.capture_hash}…" if context.capture_hash else "a folder"
        rows.insert(0, (f"capture {context.capture.name}", found))
    own = run_rows(context.info, context.parts)
    return pd.concat([own, pd.DataFrame(rows, columns=own.columns)], ignore_index=True)
