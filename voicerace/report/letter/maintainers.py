"""The maintainers' page: causes by release, findings, the fix and its proof, and the text of the follow-up issue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from voicerace.model.catalog.gate_rules import RULES
from voicerace.report.blocks import Block, Claim, Support, Table
from voicerace.report.context import ReportContext
from voicerace.report.letter.closing import releases
from voicerace.report.letter.decision import Decision, ReleaseShares
from voicerace.report.letter.other_paths import families
from voicerace.report.letter.render import render
from voicerace.report.phrasing import request_rule

__all__ = ["causes", "follow_up", "proof"]


def causes(context: ReportContext) -> list[Block]:
    """Return the rule of each release and its share of wrong turns with recorded times."""
    decision = Decision(context)
    rows = list(decision.shares.values())
    frame = pd.DataFrame([{"release": row.name, "it": request_rule(row.tag), **_shares(row)} for row in rows])
    seen = tuple(
        share.support(f"sessions go wrong, handler {what} ({row.tag})")
        for row in rows
        for what, share in (("return", row.returned), ("async_ref", row.awaited), ("void_ref", row.later))
    )
    parts: dict[str, Block] = {
        "causes": Claim("causes", "", seen, tuple(row.tag for row in rows), quiet=True),
        "shares": Table(frame, "When each release requests the response after a result, and its share of wrong turns with recorded times (one call; the "
                        "handler returns, awaits and sends through the ref, or sends later through the ref)."),
        "releases": Table(releases(context), "Every release, and its outcome by tool time in this run (the gap of finding 2)."),
    }  # fmt: skip
    return render("causes", parts, d=decision)


def _shares(row: ReleaseShares) -> dict[str, str]:
    return {"returned": row.returned.percent, "awaited, ref": row.awaited.percent, "later, ref": row.later.percent}


def proof(context: ReportContext) -> list[Block]:
    """Return the evidence for the fix, one claim per fixed release, and the rules of its gate."""
    fixes = context.evidence.fixes
    parts: dict[str, Block] = {f"patch-{tag}": _claim(tag, record) for tag, record in fixes.items()}
    rules = [{"rule": f"`{name}`", "the gate": text} for name, text in RULES.items()]
    parts["rules"] = Table(pd.DataFrame(rows if (rows := rules) else []), "The rules of the gate (`response-gate.ts`).")
    return render("proof", parts, fixes=fixes)


def _claim(tag: str, record: Mapping[str, Any]) -> Claim:
    source = f"fix/{tag}.json"
    seen = tuple(
        Support(
            "real proxy",
            record[name]["failed"],
            record[name]["sessions"],
            f"sessions fail with the {what} proxy",
            source=source,
        )
        for name, what in (("before", "published"), ("after", "patched"))
    )
    return Claim(f"patch-{tag}", "", seen, (tag,), quiet=True)


def follow_up(context: ReportContext) -> list[Block]:
    """Return the text of a follow-up issue."""
    decision = Decision(context)
    return render("follow_up", d=decision, fixes=decision.fixes, families=families(context))
