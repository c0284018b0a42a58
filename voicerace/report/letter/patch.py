"""The section that proposes the fix to the maintainers, with evidence from running proxies (data/fix)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voicerace.report.blocks import Block, Claim, Support, Text, joined
from voicerace.report.context import ReportContext

__all__ = ["blocks"]


def blocks(context: ReportContext) -> list[Block]:
    """Return the blocks on the fix, empty without evidence of a fixed proxy."""
    records = context.evidence.fixes
    if not records:
        return []
    found: list[Block] = [
        Text("### What we do next: a patch"),
        Text(
            f"`voicerace fix` makes a patch (`fix.patch`) for {joined(list(records))}: a gate in the proxy decides when `response.create` "
            "is sent, the component sends one result per call, and the forwarder loses no message. It also drafts the follow-up issue."
        ),
    ]
    return [*found, *(_evidence(tag, record) for tag, record in records.items())]


def _evidence(tag: str, record: Mapping[str, Any]) -> Claim:
    before, after, cost = record["before"], record["after"], record["cost"]
    text = (
        f"**{tag}: {before['failed']} of {before['sessions']} test sessions fail with the published proxy, {after['failed']} of "
        f"{after['sessions']} with the patched one.** They are the {before['sessions'] - record['findings']} cases of `voicerace check` and "
        f"{record['findings']} failure paths. The patch adds {record['added']} lines and removes {record['removed']}."
    )
    if cost["sessions"]:
        text += (
            f" Response latency, with recorded times, tool and networks assumed: {cost['before_ms']:.0f} ms before, "
            f"{cost['after_ms']:.0f} ms after (median of {cost['sessions']} draws of the models)."
        )
    source = f"fix/{tag}.json"
    seen = (
        Support("real proxy", before["failed"], before["sessions"], "sessions fail with the published proxy", source=source),
        Support("real proxy", after["failed"], after["sessions"], "sessions fail with the patched proxy", source=source),
    )
    return Claim(f"patch-{tag}", text, seen, (tag,))
