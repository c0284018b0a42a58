"""The annex on evidence: models compared with running programs, and documented runs against the real API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import pandas as pd

from voicerace.conformance.reported import GAPS, Fit, Retrodiction, summary
from voicerace.conformance.reported_runs import DOCUMENTS, Reported
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.releases import PROXIES
from voicerace.report.blocks import Block, Claim, Picture, Support, Table, joined
from voicerace.report.context import ReportContext
from voicerace.report.letter.render import render
from voicerace.report.parts import retrodictions
from voicerace.report.plots.setup import alt_setup, plot_setup
from voicerace.report.plots.slot import alt_slot, plot_slot

__all__ = ["blocks", "documented"]

_RECORDED: Final = next(iter(GAPS))
_WORDS: Final = ("fits", "possible", "does not fit", "undecided")


@dataclass(frozen=True)
class Compared:
    """The comparison of models with running programs.

    Attributes:
        tags: compared proxies.
        same: whether no difference was found.
        differing: components with a difference.
        cases: cases with a difference.
        unrecorded: releases of the letter without a recorded session.
    """

    tags: list[str]
    same: bool
    differing: list[str]
    cases: list[str]
    unrecorded: list[str]


def blocks(context: ReportContext) -> list[Block]:
    table, programs = context.evidence.table, context.evidence.component_programs
    tags = list(dict.fromkeys(map(str, table["release"]))) if len(table) else []
    rows, seen = _comparison(context, tags)
    roles = {
        "app": ["a model with six", "styles of handler"],
        "component": ["a model; recorded:", f"running {', '.join(context.evidence.components) or 'none'}"],
        "proxy": ["a model per release;", "recorded: running", ", ".join(tags) or "none"],
        "api": ["a mock;", "never the real API"],
    }
    parts: dict[str, Block] = {
        "setup": Picture(
            partial(plot_setup, roles), alt_setup(roles), "The parts of a session; above them, the times that decide."
        ),
        "slot": Picture(plot_slot, alt_slot(), "When the API accepts a response; each arrow has its kind of evidence."),
        "models-hold": Claim("models-hold", "", tuple(seen), tuple(tag for tag in tags if tag in PROXIES), quiet=True),
        "programs": Table(pd.DataFrame(rows), "Running programs compared with their models (data/conformance)."),
    }
    compared = Compared(
        tags,
        not int(table["differences"].sum()) if len(table) else True,
        [tag for tag, each in programs.items() if each["differences"]],
        list(dict.fromkeys(f"“{case}”" for each in programs.values() for case in each["differences"])),
        [tag for tag in context.releases if not context.evidence.of_program(tag)],
    )
    return [*render("evidence", parts, compared=compared, rows=bool(rows)), *documented(retrodictions())]


def _comparison(context: ReportContext, tags: Sequence[str]) -> tuple[list[dict[str, object]], list[Support]]:
    table, programs = context.evidence.table, context.evidence.component_programs
    rows: list[dict[str, object]] = []
    seen: list[Support] = []
    for tag in tags:
        own = table[table["release"] == tag]
        sessions = own[own["scenario"] != "script"]
        messages, differences = int(own["messages"].sum()), int(own["differences"].sum())
        rows.append(
            {"running program": f"proxy {tag}", "cases": len(own), "messages": f"{messages:,}", "differences": differences}
        )
        same = int((sessions["outcome"] == sessions["model_outcome"]).sum())
        what = f"sessions of the running {tag} have the model's outcome; {differences} of {messages:,} messages differ"
        seen.append(Support("real proxy", same, len(sessions), what, source=f"conformance/{tag}.csv"))
    for tag, each in programs.items():
        rows.append(
            {
                "running program": f"component {tag}",
                "cases": each["compared"],
                "messages": "",
                "differences": len(each["differences"]),
            }
        )
    if programs:
        cases = sum(int(each["compared"]) for each in programs.values())
        differing = sum(len(each["differences"]) for each in programs.values())
        what = f"cases of {len(programs)} running components equal the model"
        seen.append(Support("real component", cases - differing, cases, what, source="conformance/component-programs.json"))
    return rows, [*seen, Support("real API", 0, 0, "no session of ours used the real API")]


def documented(found: Sequence[Retrodiction]) -> list[Block]:
    """Return the blocks on documented runs, for the given retrodictions."""
    counts = summary(found)
    decided = [each for each in found if each.run.decides]
    fits = {gap: words.get("fits", 0) for gap, words in counts.items()}
    numbers = {
        name: number for number, name in enumerate(dict.fromkeys(name for each in found for name in each.run.documents), 1)
    }
    rows = [{"gap": gap, **{word: words.get(word, 0) for word in _WORDS}} for gap, words in counts.items()]
    seen = [
        Support("documented run", count, len(decided), f"documented runs have the same outcome in the models (gap {gap})",
                source="docs/issues of Signal-Meaning/dg_react_agent")
        for gap, count in fits.items()
    ]  # fmt: skip
    parts: dict[str, Block] = {
        "documented-runs": Claim("documented-runs", "", tuple(seen), tuple(dict.fromkeys(each.run.row for each in found)), quiet=True),
        "fits": Table(pd.DataFrame(rows), "Documented runs by how the models fit them: *fits* in half of the draws or more, *possible* in one of 20 or "
                      "more; *undecided* where the document does not say enough."),
        "runs": Table(_runs(found, numbers), "Every documented run, with the models' outcomes and how many draws agree. Numbers in brackets: the "
                      "documents below."),
    }  # fmt: skip
    return render(
        "documented", parts, fits=fits, recorded=_RECORDED, decided=len(decided),
        others=[each for each in decided if each.fits[_RECORDED].word != "fits"], outcomes=_outcomes,
        nearest=sum(not each.run.exact for each in found), draws=found[0].fits[_RECORDED].draws if found else 0, numbers=numbers, address=DOCUMENTS,
    )  # fmt: skip


def _runs(found: Sequence[Retrodiction], numbers: dict[str, int]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "run": f"{run.date}, {run.what}, `{run.revision}`",
                "proxy": run.row if run.exact else f"{run.row} (the nearest release, from its source)",
                "handler": _handler(run),
                "seen": f"{run.seen} ({', '.join(str(numbers[name]) for name in run.documents)})"
                + (f"; not compared: {run.why_not}" if run.why_not else ""),
                **{f"models, gap {gap}": _fit_text(each.fits[gap]) for gap in GAPS},
            }
            for each in found
            for run in (each.run,)
        ]
    )


def _handler(run: Reported) -> str:
    return HANDLERS[run.handler].sentence if run.client == "app" else "no app: a test client that sends one result"


def _fit_text(fit: Fit) -> str:
    agree = "" if fit.agree is None else f", {fit.agree} of {fit.draws} draws"
    return f"{fit.word}{agree}: {_outcomes(fit)}"


def _outcomes(fit: Fit) -> str:
    return joined([f"{outcome} {count}" for outcome, count in fit.found.items()])
