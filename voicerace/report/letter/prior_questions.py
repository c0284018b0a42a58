"""Build the section that answers the suspected causes and the requests of the last letter."""

from __future__ import annotations

from typing import Final

import pandas as pd

from voicerace.conformance.hypotheses import HypothesisAnswer
from voicerace.conformance.suspicions import SUSPICIONS
from voicerace.report.blocks import Block, Claim, Support, Table, Text, joined, many
from voicerace.report.context import ReportContext
from voicerace.report.customer import Request
from voicerace.report.letter.failure_paths import ends

__all__ = ["blocks", "heading"]

#: Request -> (purpose of the request, the command that fulfils it, description of the command).
_COMMANDS: Final[dict[Request, tuple[str, str, str]]] = {
    "inspect": (
        "The logs of one run",
        "`voicerace inspect proxy.log`",
        "reads the log (0.9.0 to 0.11.1), counts `session.update` and `response.create` per session and turn, with their lines. The "
        "`response.create` after a result is in no log: it is derived and marked",
    ),
    "twice": (
        "Whether a result is sent twice",
        "`voicerace inspect FILE`",
        "names every call with more than one result, and the sender of each (finding 1)",
    ),
    "repro": (
        "A minimal reproduction",
        "`voicerace repro --proxy backend:DIR`",
        "connect, one message, one call, one result, on real sockets, against your checkout of the proxy",
    ),
    "capture": (
        "An end-to-end test with a capture",
        "`voicerace capture --host … --upstream … -- npm run e2e`",
        "records both sides of the proxy while your test runs, and judges every session",
    ),
}


def heading(context: ReportContext) -> str:
    asked = context.customer.suspicions or context.customer.requests
    return "What was asked, and the answers" if asked else "Suspected causes, and the answers"


def blocks(context: ReportContext) -> list[Block]:
    customer = context.customer
    lead = (
        f"Our last letter named {many(len(customer.suspicions), 'suspicion')}. Each"
        if customer.suspicions
        else "Each suspected cause"
    )
    found: list[Block] = [
        Text(
            f"{lead} was tested on every release here, in sessions of its model and in recorded sessions of the running program. A *no* "
            "covers the counted sessions only."
        ),
        Table(_table(context), "The suspicions: yes or no per release, with the sessions that show it, of those examined."),
    ]
    for name in SUSPICIONS:
        found += _suspicion(context, name)
    first = "request" if customer.requests else "purpose"
    rows = [
        {first: customer.requests.get(name, purpose), "command": command, "what it does": what}
        for name, (purpose, command, what) in _COMMANDS.items()
        if name in customer.requests or not customer.requests
    ]
    if customer.requests:
        title, caption = "Our requests", "The requests of the last letter; each is now one command."
    else:
        title, caption = "What you can run yourself", "Commands that help to find the cause in your own sessions."
    return [*found, Text(f"### {title}"), Table(pd.DataFrame(rows), caption)]


def _table(context: ReportContext) -> pd.DataFrame:
    rows = []
    for name, suspicion in SUSPICIONS.items():
        row: dict[str, object] = {"suspicion": suspicion.question}
        for release in context.releases:
            each = context.suspicions.answer(release, name)
            seen, looked = each.model.seen + each.real.seen, each.model.sessions + each.real.sessions
            row[release] = f"{'yes' if each.yes else 'no'}, {seen} of {looked}"
        rows.append(row)
    return pd.DataFrame(rows)


def _suspicion(context: ReportContext, name: str) -> list[Block]:
    answers = [context.suspicions.answer(release, name) for release in context.releases]
    yes = [each.release for each in answers if each.yes]
    no = [each.release for each in answers if not each.yes]
    verdict = f"**Yes**, on {joined(yes)}" if yes else "**No**"
    rest = f"; not seen on {joined(no)}" if yes and no else f", not seen on {joined(no)}" if no else ""
    mine = [each for each in answers if each.release in context.in_use] or answers
    causes = list(dict.fromkeys(cause for each in mine for cause in each.ways))[:3]
    if name == "another-path":
        causes = [f"{outcome} ({ends(outcome)})" for outcome in causes]
    how = f" How: {joined(causes)}." if causes else ""
    seen = tuple(one for each in mine for one in _seen(each))
    suspicion = SUSPICIONS[name]
    quote = context.customer.suspicions.get(name)
    wrote = f"We wrote: “{quote}” " if quote else ""
    found: list[Block] = [
        Text(f"### {suspicion.question}"),
        Claim(f"suspicion-{name}", f"{wrote}{verdict}{rest}.{how}", seen, context.releases),
    ]
    traced = next(
        (each for each in mine if each.trace is not None), next((each for each in answers if each.trace is not None), None)
    )
    if traced is not None and traced.trace is not None and name != "another-path":
        rows = traced.trace.rows()
        where = "the running proxy" if traced.real.shortest is not None else "the model"
        if len(rows):
            shown = rows.assign(ms=[f"{value:g}" for value in rows["ms"]])
            found.append(
                Table(
                    shown,
                    f"The messages that show it, in the shortest session of {where} of {traced.release} (ms since its start).",
                )
            )
    return found


def _seen(each: HypothesisAnswer) -> list[Support]:
    found = [
        Support(
            "model",
            each.model.seen,
            each.model.sessions,
            f"sessions ({each.release}) show it",
            source="voicerace/conformance/suspicions.py",
        )
    ]
    if each.real.sessions:
        found.append(
            Support(
                "real proxy", each.real.seen, each.real.sessions, f"recorded sessions ({each.release}) show it", source="data/"
            )
        )
    return found
