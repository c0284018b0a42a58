"""Build the section on the limits of the results."""

from __future__ import annotations

import pandas as pd

from voicerace.conformance.contract.suite import CALLS_ELSEWHERE, sessions_needed
from voicerace.report.blocks import Block, Fold, Table, Text, joined
from voicerace.report.context import ReportContext
from voicerace.report.model_limitations import MODEL_LIMITATIONS

__all__ = ["blocks"]


def blocks(context: ReportContext) -> list[Block]:
    compared = sorted({str(tag) for tag in context.evidence.table["release"]}) if len(context.evidence.table) else []
    only = [tag for tag in context.releases if not context.evidence.of_program(tag)]
    sentences = [
        "**No session here used the real API.** The mock's order of events, its defaults and its times come from published recordings of "
        "the API. No recording has a refusal; published logs show that the real API refuses a second request as the mock does. Not "
        "recorded are two calls in one response, a request before response.done, a cancel, speech into a reply, and an update of the "
        "session during a response. "
        f"`voicerace contract --upstream openai --max-sessions {sessions_needed(CALLS_ELSEWHERE)}` tests these first, with your key.",
        "**No recording of OpenAI's own API has a function call with milliseconds.** The gap of 1 to 12 ms comes from other providers of "
        "the same models, from OpenAI's beta API and from spoken replies. Your own log has your gap.",
        "**We do not know which of the two problems you have.** A log of one failing run shows it: two results for one call is finding 1, "
        "one result and a refusal is finding 2.",
        "**The running proxies ran in virtual time**: real programs and real sockets, every message in the order of the schedule. Delays "
        "of a busy process or a bad network are not included.",
        "**Shares of drawn sessions depend on the ranges of the draws**; they are not shares of your traffic.",
        "**No microphone and no user's voice were used.** Spoken input is modelled up to the proxy.",
    ]
    if compared:
        sentences.append(f"**Running proxies with many recorded sessions are {joined(compared)}.** The models of other releases were compared with "
                         "the running programs, but not all recordings are kept.")  # fmt: skip
    if only:
        sentences.append(
            f"**Of {joined(only)} there is no recorded session of the running program**: results for it are those of its model."
        )
    rows = [{"part": each.part, "not modelled": each.what, "possible effect": each.effect} for each in MODEL_LIMITATIONS]
    return [
        Text("\n".join(f"- {sentence}" for sentence in sentences)),
        Fold("What the models leave out", (Table(pd.DataFrame(rows), "Behaviour that the models leave out."),)),
    ]
