"""The section on the tests: tested programs, comparisons of models with programs, and slot states."""

from __future__ import annotations

from functools import partial

import pandas as pd

from voicerace.model.catalog.releases import PROXIES
from voicerace.report.blocks import Block, Claim, Picture, Support, Table, Text, joined
from voicerace.report.context import ReportContext
from voicerace.report.plots.setup import alt_setup, plot_setup
from voicerace.report.plots.slot import alt_slot, plot_slot

__all__ = ["blocks"]


def blocks(context: ReportContext) -> list[Block]:
    roles = _roles(context)
    found: list[Block] = [
        Text(
            "A session has four parts and the links between them. Every message of each session was recorded, and one set of rules judged "
            "each session from its recording alone. A *model* is our program that behaves as the part does. The models were compared "
            "with the running programs, message by message. Computed sessions run in virtual time with exact times: the same settings "
            "give the same session, so their counts have no error bar."
        ),
        Picture(
            partial(plot_setup, roles),
            alt_setup(roles),
            "The parts and the messages that matter here; above them, the times that decide.",
        ),
        *_models(context),
        Text(
            "The API has one response at a time. We call it the slot. Only `response.done` frees it. The end of the text or of the audio "
            "does not, though a proxy may treat it as the end."
        ),
        Picture(plot_slot, alt_slot(), "The states of the slot in the mock of the API; each arrow has its kind of evidence."),
    ]
    return found


def _roles(context: ReportContext) -> dict[str, list[str]]:
    tags = _compared(context)
    components = list(context.evidence.components)
    return {
        "app": ["a model with six", "styles of handler"],
        "component": ["a model; recorded:", f"running {', '.join(components)}" if components else "no running one"],
        "proxy": ["a model per release;", "recorded: running", ", ".join(tags) if tags else "none"],
        "api": ["a mock;", "never the real API"],
    }


def _compared(context: ReportContext) -> list[str]:
    table = context.evidence.table
    return list(dict.fromkeys(str(tag) for tag in table["release"])) if len(table) else []


def _models(context: ReportContext) -> list[Block]:
    table = context.evidence.table
    programs = context.evidence.component_programs
    rows: list[dict[str, object]] = []
    seen: list[Support] = []
    for tag in _compared(context):
        own = table[table["release"] == tag]
        sessions = own[own["scenario"] != "script"]
        messages, differences = int(own["messages"].sum()), int(own["differences"].sum())
        rows.append(
            {
                "running program": f"proxy {tag} (program {own['source'].iloc[0]})",
                "sessions": len(sessions),
                "scripted exchanges": len(own) - len(sessions),
                "messages compared": f"{messages:,}",
                "differences from its model": differences,
            }
        )
        same = int((sessions["outcome"] == sessions["model_outcome"]).sum())
        seen.append(Support("real proxy", same, len(sessions), f"sessions of the running {tag} have the model's outcome; {differences} of "
                         f"{messages:,} messages differ", source=f"conformance/{tag}.csv"))  # fmt: skip
    for tag, each in programs.items():
        rows.append(
            {
                "running program": f"component {tag}",
                "sessions": "",
                "scripted exchanges": each["compared"],
                "messages compared": "",
                "differences from its model": len(each["differences"]),
            }
        )
    cases = sum(int(each["compared"]) for each in programs.values())
    differing = sum(len(each["differences"]) for each in programs.values())
    if programs:
        seen.append(Support("real component", cases - differing, cases, f"cases of {len(programs)} running components equal the model",
                         source="conformance/component-programs.json"))  # fmt: skip
    seen.append(Support("real API", 0, 0, "no session of ours used the real API"))
    if not rows:
        return [Text("No comparison of models with running programs is available (data/conformance is missing).")]
    unrecorded = [tag for tag in context.releases if not context.evidence.of_program(tag)]
    sentence = (
        "**No difference between models and running programs was found** in the cases listed below."
        if not differing and not int(table["differences"].sum())
        else "**The models were compared with the running programs**; the table below counts the differences."
    )
    if other := [tag for tag, program in programs.items() if program["differences"]]:
        where = list(dict.fromkeys(f"“{case}”" for program in programs.values() for case in program["differences"]))
        case = "case called" if len(where) == 1 else "cases called"
        sentence += f" The component's model differs from {joined(other)} in the scripted {case} {joined(where)}."
    if unrecorded:
        sentence += f" There is no recorded session of the running {joined(unrecorded)}."
    return [
        Claim("models-hold", sentence, tuple(seen), tuple(tag for tag in _compared(context) if tag in PROXIES)),
        Table(
            pd.DataFrame(rows),
            "Running programs compared with their models (data/conformance; data/README.md describes the comparison).",
        ),
    ]
