"""The section with the shares of the models' outcomes at times recorded at the real API (data/answers.csv)."""

from __future__ import annotations

from typing import Final

import pandas as pd

from voicerace.experiments.answers import Answer, Cell, outcome_text, program_of
from voicerace.report.blocks import Block, Claim, Support, Table, Text, joined
from voicerace.report.context import ReportContext

__all__ = ["blocks"]

#: Handler style -> heading of its column.
_STYLES: Final = {
    "return": "returns the result",
    "async_ref": "awaits, then sends through the ref",
    "void_ref": "returns at once, later sends through the ref",
}
_MODALITY: Final = "audio"


def blocks(context: ReportContext) -> list[Block]:
    """Return a claim and a table, for the releases in use and the other releases of the run."""
    found = context.evidence.answers
    first = program_of()
    releases = [
        tag for tag in dict.fromkeys((*context.in_use, *context.releases)) if Cell(first[tag], "return", _MODALITY) in found
    ]
    if not releases:
        return [Text("There are no answers with the times recorded at the real API.")]
    answers = {tag: {style: found[Cell(first[tag], style, _MODALITY)] for style in _STYLES} for tag in releases}
    text = (
        "**With the times recorded at the real API, "
        + joined(_sentences({tag: answers[tag]["return"] for tag in releases}))
        + ".** Recordings of the API show a gap of 1 to 12 ms. The tool (median 245 ms) and the networks are assumed. With these "
        "times, failures come from a second result for the same call, which the component sends itself (the table's other columns). "
        "The text after the table also covers longer gaps, which no recording shows."
    )
    seen = [
        Support(
            "model",
            answer.draws - answer.counts["answered"],
            answer.draws,
            f"sessions drawn with recorded times are not answered ({tag}, {style})",
            drawn=True,
            source="answers.csv",
        )
        for tag in releases
        for style, answer in answers[tag].items()
    ]
    rows = [
        {"release": tag, **{what: outcome_text(answers[tag][style]) for style, what in _STYLES.items()}} for tag in releases
    ]
    caption = (
        "How a turn with one function call ends when the handler …; replies in audio; share of n independent draws, with a 95 % "
        "interval (`voicerace answers`)."
    )
    return [Claim("answer-recorded", text, tuple(seen), tuple(releases), quiet=True), Table(pd.DataFrame(rows), caption)]


def _sentences(answers: dict[str, Answer]) -> list[str]:
    """Return one clause per group of releases: the most frequent outcome with one result per call."""
    ends: dict[str, list[str]] = {}
    for tag, answer in answers.items():
        ((outcome, count),) = answer.counts.most_common(1)
        end = f"{'always' if count == answer.draws else 'mostly'} {outcome}"
        ends.setdefault(end, []).append(tag)
    first = dict.fromkeys(ends, "it")
    first[next(iter(ends))] = "one result per call"
    return [f"{first[end]} is {end} on {joined(tags)}" for end, tags in ends.items()]
