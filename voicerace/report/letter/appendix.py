"""Words, outcomes, the table of releases, parameters, versions, hashes."""

from __future__ import annotations

from typing import Final

import pandas as pd

from voicerace.analysis.verdict import OUTCOMES
from voicerace.model.catalog.releases import PROXIES
from voicerace.report.blocks import Block, Table, Text
from voicerace.report.context import ReportContext
from voicerace.report.letter.failure_paths import ends
from voicerace.report.phrasing import MEANING, run_rows
from voicerace.report.plots.release_table import release_table
from voicerace.report.plots.style import glyph

__all__ = ["blocks"]

_WORDS: Final = (
    ("app", "your code: the handler of function calls, and the tool behind it"),
    ("component", "voice-agent-react, in the browser; with the app it is called the host"),
    ("proxy", "voice-agent-backend; one connection to the API per browser"),
    ("API, upstream", "OpenAI's Realtime API; here a mock of it"),
    ("response", "what the API works on: it ends with response.done, and there is one at a time (the slot)"),
    ("result", "what your tool gave, sent for the id of a call (FunctionCallResponse)"),
    ("request, ask", "response.create: the proxy asks for the next response"),
    ("refusal", "the API's error conversation_already_has_active_response"),
    ("gap", "gap_ms: from the last function call's arguments to its response.done"),
    ("margin", "the request reaching the API minus the API being free; below 0 it is refused"),
    ("computed session", "models in virtual time with fixed times: the same settings give the same session"),
    ("turn", "from the user's words to the next"),
    (
        "reference gate",
        "a model of a proxy, no release: it asks when the API's own events say that the API is free, and again after a refusal",
    ),
    ("wedged", f"{ends('wedged')}: the user's last words got no reply, whatever became of the call"),
    ("unconfigured", ends("unconfigured")),
    ("late", MEANING["late"]),
)


def blocks(material: ReportContext) -> list[Block]:
    frames = [material.delay, *material.parts.values()]
    seen = set().union(*(set(frame["outcome"].dropna()) for frame in frames if "outcome" in frame.columns))
    outcomes = [(f"{glyph(name)} {name}", MEANING[name]) for name in OUTCOMES if name in seen]
    return [
        Text("### Words"),
        Table(pd.DataFrame(_WORDS, columns=["word", "what it means here"]), "Words of this page."),
        Table(pd.DataFrame(outcomes, columns=["outcome", "what it means to the user"]), "Outcomes of a turn; the first that fits."),
        Text("### Releases"),
        Table(_releases(material), "Every release: when it asks for the response behind a result, whether the app is told of a refusal, and "
              "what came of it in this run (with one call and one result, at the gap of finding 2; numbers are the tool's ms at which it "
              "changes). Backend: the number in the tag; in brackets the published one, where that differs."),
        Text("### This run"),
        Table(_run(material), "Parameters, versions and data of this page."),
    ]  # fmt: skip


def _releases(material: ReportContext) -> pd.DataFrame:
    every = release_table()
    mine = release_table(material.delay)
    found = mine.columns[-1]
    along = dict(zip(mine["release"], mine[found], strict=True))
    frame = every.assign(**{"in this run": [along.get(tag, _alike(along, str(tag))) for tag in every["release"]]})
    return frame.drop(columns="generation").rename(
        columns={
            "release": "react",
            "backend": "backend (published)",
            "create": "asks",
            "refusal": "a refusal is",
        }
    )


def _alike(along: dict[str, str], tag: str) -> str:
    """Of a release that was not played: the one whose program, or whose gate, it shares."""
    for other in along:
        if PROXIES[other].source == PROXIES[tag].source:
            return f"the program of {other}"
    for other in along:
        one, two = PROXIES[other], PROXIES[tag]
        if (one.create_on, one.recovery, one.refusal_hidden) == (two.create_on, two.recovery, two.refusal_hidden):
            return f"asks as {other}"
    return "not played"


def _run(material: ReportContext) -> pd.DataFrame:
    rows = [(f"data/{name}", f"SHA-256 {digest}…") for name, digest in sorted(material.evidence.hashes.items())]
    if material.capture is not None:
        found = f"SHA-256 {material.capture_hash}…" if material.capture_hash else "a folder"
        rows.insert(0, (f"capture {material.capture.name}", found))
    own = run_rows(material.info, material.parts)
    return pd.concat([own, pd.DataFrame(rows, columns=own.columns)], ignore_index=True)
