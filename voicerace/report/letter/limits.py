"""What this does not show."""

from __future__ import annotations

import pandas as pd

from voicerace.report.blocks import Block, Fold, Table, Text, joined
from voicerace.report.material import Material
from voicerace.tables.left_out import LEFT_OUT

__all__ = ["blocks"]


def blocks(material: Material) -> list[Block]:
    compared = sorted({str(tag) for tag in material.evidence.table["release"]}) if len(material.evidence.table) else []
    only = [tag for tag in material.releases if not material.evidence.of_program(tag)]
    sentences = [
        "**No session here met the real API.** It is a mock that follows the API's reference and published traces. That the real one "
        "refuses a second request as the mock does is known from traces of others, not from a run of ours. "
        "`voicerace contract --upstream openai --max-sessions 40` would tell, with your key.",
        "**The gap of today's API is not known.** So how *often* a fast tool meets it in your traffic is not said anywhere on this page; "
        "only at which gaps and tools it does. A log of yours has the gap.",
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
    rows = [{"of": each.party, "left out": each.what, "what it can change": each.matters} for each in LEFT_OUT]
    return [
        Text("\n".join(f"- {sentence}" for sentence in sentences)),
        Fold("What the models leave out, one by one", (Table(pd.DataFrame(rows), "Left out of the models."),)),
    ]
