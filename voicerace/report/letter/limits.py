"""What this does not show."""

from __future__ import annotations

import pandas as pd

from voicerace.conformance.contract.suite import CALLS_ELSEWHERE, sessions_needed
from voicerace.report.blocks import Block, Fold, Table, Text, joined
from voicerace.report.context import ReportContext
from voicerace.report.model_limitations import LEFT_OUT

__all__ = ["blocks"]


def blocks(material: ReportContext) -> list[Block]:
    compared = sorted({str(tag) for tag in material.evidence.table["release"]}) if len(material.evidence.table) else []
    only = [tag for tag in material.releases if not material.evidence.of_program(tag)]
    sentences = [
        "**No session here met the real API.** The mock's order of events, its defaults and its times are those of recordings of the API "
        "that others published. No recording has a refusal: that the real API refuses a second request as the mock does is known from "
        "published logs. Open are two calls in one response, a request before response.done, a cancel, speech into a reply, and an "
        "update of the session during a response. "
        f"`voicerace contract --upstream openai --max-sessions {sessions_needed(CALLS_ELSEWHERE)}` asks these first, with your key.",
        "**No recording of OpenAI's own API has a function call with milliseconds.** The gap of 1 to 12 ms is that of other providers of "
        "the same models, of OpenAI's beta API and of spoken replies. A log of yours has your gap.",
        "**Which of the two ways you are in we cannot tell from here.** A log of one failing run tells: two results for one call is "
        "finding 1, one result and a refusal is finding 2.",
        "**The running proxies ran in virtual time**: real programs and real sockets, every message in the order of the schedule. What a "
        "busy process or a bad network adds is not in it.",
        "**Shares of drawn sessions are shares of the ranges they were drawn from**, not of anybody's traffic.",
        "**No microphone and no voice of a user were in it.** Spoken input is modelled as far as the proxy goes.",
    ]
    if compared:
        sentences.append(f"**Running proxies were recorded at length** of {joined(compared)}; other releases are models that were compared with "
                         "the running programs and whose recordings are not all kept.")  # fmt: skip
    if only:
        sentences.append(
            f"**Of {joined(only)} there is no recorded session of the running program**: what is said of it is its model's."
        )
    rows = [{"of": each.part, "left out": each.what, "what it can change": each.effect} for each in LEFT_OUT]
    return [
        Text("\n".join(f"- {sentence}" for sentence in sentences)),
        Fold("What the models leave out, one by one", (Table(pd.DataFrame(rows), "Left out of the models."),)),
    ]
