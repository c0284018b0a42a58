"""How it was tested: who took part, as what; how the models are known to be right; the slot as a picture."""

from __future__ import annotations

from functools import partial

import pandas as pd

from voicerace.model.catalog.releases import PROXIES
from voicerace.report.blocks import Block, Claim, Picture, Support, Table, Text, joined
from voicerace.report.context import ReportContext
from voicerace.report.plots.setup import alt_setup, plot_setup
from voicerace.report.plots.slot import alt_slot, plot_slot

__all__ = ["blocks"]


def blocks(material: ReportContext) -> list[Block]:
    was = _was(material)
    found: list[Block] = [
        Text(
            "A session is four parties and the links between them. Each session of this page was played with every message recorded, "
            "and judged by one set of rules from the recording alone. A *model* is our program that behaves as the party does; the "
            "models were held against the running programs, message by message. Computed sessions run in virtual time: a time is what "
            "it is set to, to the nanosecond, so the same settings give the same session, and counts of them carry no error bar."
        ),
        Picture(
            partial(plot_setup, was),
            alt_setup(was),
            "The parties and the messages that matter here; above them, the times that decide.",
        ),
        *_models(material),
        Text(
            "What decides is who holds the API's one response. We call it the slot: it is free, taken, or held, and only `response.done` "
            "frees it. The end of the text or of the audio does not, though a proxy may take it for the end."
        ),
        Picture(
            plot_slot,
            alt_slot(),
            "The slot, as the mock of the API keeps it; every arrow with the kind of evidence there is for it.",
        ),
    ]
    return found


def _was(material: ReportContext) -> dict[str, list[str]]:
    tags = _compared(material)
    components = list(material.evidence.components)
    return {
        "app": ["a model with six", "styles of handler"],
        "component": ["a model; recorded:", f"running {', '.join(components)}" if components else "no running one"],
        "proxy": ["a model per release;", "recorded: running", ", ".join(tags) if tags else "none"],
        "api": ["a mock;", "never the real one"],
    }


def _compared(material: ReportContext) -> list[str]:
    table = material.evidence.table
    return list(dict.fromkeys(str(tag) for tag in table["release"])) if len(table) else []


def _models(material: ReportContext) -> list[Block]:
    table = material.evidence.table
    programs = material.evidence.component_programs
    rows: list[dict[str, object]] = []
    seen: list[Support] = []
    for tag in _compared(material):
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
        seen.append(Support("real component", cases - differing, cases, f"cases of {len(programs)} running components are as the model has them",
                         source="conformance/component-programs.json"))  # fmt: skip
    seen.append(Support("real API", 0, 0, "no session of ours has met the real API"))
    if not rows:
        return [Text("No comparison of models with running programs is at hand (data/conformance is not there).")]
    least = [f"{tag}" for tag in material.releases if not material.evidence.of_program(tag)]
    sentence = (
        "**The models are the running programs' equals in all that was compared**, as far as the list below goes."
        if not differing and not int(table["differences"].sum())
        else "**The models were held against the running programs**; where they differ is counted below."
    )
    if other := [tag for tag, program in programs.items() if program["differences"]]:
        where = list(dict.fromkeys(f"“{case}”" for program in programs.values() for case in program["differences"]))
        case = "case called" if len(where) == 1 else "cases called"
        sentence += f" The component's model differs from {joined(other)} in the scripted {case} {joined(where)}."
    if least:
        sentence += f" Of {joined(least)} no session of the running program is at hand."
    return [
        Claim("models-hold", sentence, tuple(seen), tuple(tag for tag in _compared(material) if tag in PROXIES)),
        Table(pd.DataFrame(rows), "Running programs held against their models (data/conformance; data/README.md says how)."),
    ]
