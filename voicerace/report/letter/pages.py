"""The sections of the letter's two pages. Their words are in ``templates/``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Final

import pandas as pd

from voicerace.captures.reader import HAR
from voicerace.captures.show import times_of
from voicerace.conformance.reported import GAPS, summary
from voicerace.model.catalog.releases import REFERENCE, proxy_release
from voicerace.report.blocks import Block, Claim, Code, Picture, Support, Table, joined
from voicerace.report.context import ReportContext
from voicerace.report.letter.decision import Decision, ReleaseShares, Share
from voicerace.report.letter.render import render
from voicerace.report.letter.second_result import twice_counts
from voicerace.report.measured import gap_range_ms
from voicerace.report.parts import retrodictions
from voicerace.report.plots.overview import alt_overview, plot_overview
from voicerace.report.race import TIMES_TEXT, race_lines

__all__ = ["basis", "decide", "happens", "upcoming", "your_log"]

_CODE: Final = """const onFunctionCallRequest = async (call: FunctionCallRequest): Promise<FunctionCallResponse> =>
  ({ id: call.id, result: await tool(call) });"""
#: Outcome of a turn whose handler awaits the tool and sends through the ref -> effect on users.
_EFFECTS: Final = {
    "noisy": "the user hears the right reply, and your app gets the error beside it",
    "answered": "the user hears the right reply",
    "stalled": "the user hears nothing",
}
_STALE: Final = "If the handler returns first and sends later, the user hears a reply based on our component's error."


def your_log(context: ReportContext) -> list[Block]:
    """Return the section on the customer's capture; empty without one."""
    capture = context.capture
    if capture is None:
        return []
    refused = sum(bool(each.refusals.value) for each in capture.sessions)
    races = [race for of in capture.sessions for race in of.races]
    doubled = sum(race.further in ("error first", "error last") for race in races)
    seen = [
        Support("real proxy", refused, len(capture.sessions), "sessions of the capture have a refusal", source=capture.name),
        Support("real proxy", doubled, len(races), "calls with a second result, the component's error", source=capture.name),
    ]
    found, gap = gap_range_ms(capture), None
    if found is not None:
        count, least, median, most = found
        gaps = sorted(times_of(capture, "gap_ms"))
        gap = SimpleNamespace(
            count=count, least=least, median=median, most=most, p99=gaps[min(len(gaps) - 1, math.ceil(0.99 * len(gaps)) - 1)]
        )
    return render(
        "your_log",
        {"answer-capture": Claim("answer-capture", "", tuple(seen), quiet=True)},
        capture=capture.name,
        sessions=len(capture.sessions),
        refused=refused,
        doubled=doubled,
        calls=len(races),
        gap=gap,
        side="browser" if capture.format == HAR else "proxy",
        fastest=min((race.result_delay_ms for race in races), default=None),
    )


def happens(context: ReportContext) -> list[Block]:
    """Return page one: what happens, the summary, and one picture."""
    decision = Decision(context)
    twice, cases = twice_counts(context)
    fixes = decision.fixes
    often, evidence = [], []
    for row in decision.in_use:
        often.append(
            f"on {row.name}, {row.awaited.percent} go wrong if the handler awaits the tool and sends through the ref (95 % interval "
            f"{row.awaited.interval}), {row.returned.percent} if it returns the result ({row.returned.interval})"
        )
        evidence += [
            row.awaited.support(f"sessions go wrong, handler async_ref ({row.tag})"),
            row.returned.support(f"sessions go wrong, handler return ({row.tag})"),
        ]
    parts: dict[str, Block] = {
        "often": Claim("often", "", tuple(evidence), context.in_use, quiet=True),
        "cause": Claim("cause", "", tuple(_cause(twice, cases)), quiet=True),
        "fix": Claim("fix", "", tuple(_fixed(decision)), tuple(fixes), quiet=True),
        "picture": _picture(decision),
    }
    return render(
        "happens", parts, d=decision, effect=_effect(decision.in_use), often=often or ["no share was computed for your release"],
        twice=twice, cases=cases, fixes=fixes, sender=context.parameters.sender,
    )  # fmt: skip


def _cause(twice: int, cases: int) -> Iterator[Support]:
    if cases:
        what = "recorded cases of the running component: two results for one call"
        yield Support("real component", twice, cases, what, source="conformance/component-*.json")


def _fixed(decision: Decision) -> Iterator[Support]:
    for tag, fix in decision.fixes.items():
        for name, what in (("before", "published"), ("after", "patched")):
            each = fix[name]
            yield Support(
                "real proxy", each["failed"], each["sessions"], f"test sessions fail, {what} {tag}", source=f"fix/{tag}.json"
            )


def _effect(rows: list[ReleaseShares]) -> str:
    """Return the effect on users of a handler that sends through the ref."""
    clauses: dict[str, list[str]] = {}
    for row in rows:
        clauses.setdefault(_EFFECTS.get(row.awaited.outcome, "the turn goes wrong"), []).append(row.tag)
    words = [f"on {joined(tags)} {effect}" for effect, tags in clauses.items()]
    awaited = f"If the handler awaits the tool, then sends through the ref: {joined(words)}. " if words else ""
    later = any(row.later.wrong and not row.stalls for row in rows)
    return awaited + (_STALE if later else "") or "Not computed for your release."


def _picture(decision: Decision) -> Picture:
    release = decision.in_use[0].tag if decision.in_use else decision.context.in_use[0]
    lines = race_lines(
        (
            (release, "async_ref", f"{release}, the handler awaits the tool and sends through the ref"),
            (release, "return", f"{release}, the handler returns the result"),
            (REFERENCE.tag, "async_ref", "the patched proxy, the first handler again"),
        )
    )
    caption = (
        f"One function call, drawn to scale: {TIMES_TEXT}. A bar is the time in which the API is busy with a response. A request that arrives "
        "during a bar is refused."
    )
    return Picture(
        partial(plot_overview, lines), alt_overview(lines), caption, narrow=partial(plot_overview, lines, narrow=True)
    )


def decide(context: ReportContext) -> list[Block]:
    """Return the decision in order: handler, release, gap, hold."""
    decision = Decision(context)
    best, rows = decision.best, decision.in_use
    seen = [
        share.support(f"sessions go wrong, {what} ({row.tag})")
        for row in _shown(decision)
        for what, share in _columns(row).items()
        if share is not None
    ]
    hold = [row.name for row in rows if not proxy_release(row.tag).defers and proxy_release(row.tag).gate is None]
    parts: dict[str, Block] = {
        "do-return": Claim("do-return", "", tuple(seen), context.in_use, quiet=True),
        "do-upgrade": Claim("do-upgrade", "", tuple(seen), context.releases, quiet=True),
        "do-measure": Claim("do-measure", "", (), quiet=True),
        "code": Code(_CODE),
        "shares": _table(decision),
    }
    return render(
        "decide", parts, d=decision, best=best, in_use_tags=context.in_use,
        enough=all(not row.returned.wrong for row in rows), hold=hold, alias=context.customer.log_alias,
        text_fails=all(row.text is not None and row.text.wrong for tag in context.releases if (row := decision.shares.get(tag))),
    )  # fmt: skip


def _shown(decision: Decision) -> list[ReleaseShares]:
    """Return the rows of the table: releases in use, the recommended release, the patched proxy."""
    rows = [*decision.in_use, decision.best, decision.patched]
    return list({row.tag: row for row in rows if row is not None}.values())


def _columns(row: ReleaseShares) -> dict[str, Share | None]:
    return {
        "awaited, sent through the ref": row.awaited,
        "returned": row.returned,
        "returned, several calls": row.parallel,
        "returned, user writes meanwhile": row.text,
    }


def _table(decision: Decision) -> Table:
    rows = _shown(decision)
    of = sorted({share.of for row in rows for share in _columns(row).values() if share is not None})
    frame = pd.DataFrame(
        [
            {
                "wrong turns on": row.name,
                **{what: "" if share is None else share.percent for what, share in _columns(row).items()},
            }
            for row in rows
        ]
    )
    draws = f"{of[0]:,}" if of and of[0] == of[-1] else f"{of[0]:,} to {of[-1]:,}" if of else "no"
    return Table(frame, f"Share of turns that go wrong, by how results are given; recorded times, {draws} draws per cell.")


def upcoming(context: ReportContext) -> list[Block]:
    """Return what the sender does next."""
    return render("next", fixes=Decision(context).fixes)


def basis(context: ReportContext) -> list[Block]:
    """Return what the letter rests on and what it does not show."""
    table, compared = context.evidence.table, None
    seen = []
    if len(table):
        compared = SimpleNamespace(
            messages=int(table["messages"].sum()), differences=int(table["differences"].sum()),
            releases=list(dict.fromkeys(map(str, table["release"]))),
        )  # fmt: skip
        what = "messages of running proxies differ from the models"
        seen.append(Support("real proxy", compared.differences, compared.messages, what, source="conformance/TAG.csv"))
    found = retrodictions()
    decided = [each for each in found if each.run.decides]
    fits = summary(found)[next(iter(GAPS))].get("fits", 0)
    what = "documented runs have the same outcome in the models"
    seen.append(Support("documented run", fits, len(decided), what, source="docs/answers.md"))
    return render(
        "basis", {"basis": Claim("basis", "", tuple(seen), quiet=True)}, compared=compared, capture=context.capture is not None,
        documented=SimpleNamespace(fits=fits, decided=len(decided)), explored=bool(context.evidence.explored),
    )  # fmt: skip
