"""The suspected causes and what the last letter asked for, one by one, each with its answer."""

from __future__ import annotations

from typing import Final

import pandas as pd

from voicerace.conformance.hypotheses import Answer
from voicerace.conformance.suspicions import SUSPICIONS
from voicerace.report.blocks import Block, Claim, Support, Table, Text, joined, many
from voicerace.report.context import ReportContext
from voicerace.report.customer import Request
from voicerace.report.letter.failure_paths import ends

__all__ = ["blocks", "heading"]

#: What a customer may be asked for -> the command that does it, and what that does.
_COMMANDS: Final[dict[Request, tuple[str, str, str]]] = {
    "inspect": (
        "The logs of one run",
        "`voicerace inspect proxy.log`",
        "reads the log (0.9.0 to 0.11.1), counts `session.update` and `response.create` per session and turn with the lines they rest "
        "on; the `response.create` behind a result is in no log and is derived, and marked so",
    ),
    "twice": (
        "Whether a result is sent twice",
        "`voicerace inspect FILE`",
        "names every call with more than one result and who sent the further ones (finding 1)",
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


def heading(material: ReportContext) -> str:
    asked = material.customer.suspicions or material.customer.requests
    return "What was asked, and the answers" if asked else "Suspected causes, and the answers"


def blocks(material: ReportContext) -> list[Block]:
    customer = material.customer
    lead = (
        f"Our last letter named {many(len(customer.suspicions), 'suspicion')}. Each"
        if customer.suspicions
        else "Each suspected cause"
    )
    found: list[Block] = [
        Text(
            f"{lead} was asked of every release here, in sessions of its model and in recorded sessions of the running program. A *no* "
            "says how many sessions were looked at, and no more than that."
        ),
        Table(
            _table(material), "The suspicions: yes or no per release, with sessions in which it was seen, of those looked at."
        ),
    ]
    for name in SUSPICIONS:
        found += _suspicion(material, name)
    first = "we asked for" if customer.requests else "what for"
    rows = [
        {first: customer.requests.get(name, purpose), "one command": command, "what it does": what}
        for name, (purpose, command, what) in _COMMANDS.items()
        if name in customer.requests or not customer.requests
    ]
    if customer.requests:
        title, caption = "What we asked you for", "The requests of the last letter, each now a command."
    else:
        title, caption = "What you can run yourself", "What helps to find the cause in your own sessions, each a command."
    return [*found, Text(f"### {title}"), Table(pd.DataFrame(rows), caption)]


def _table(material: ReportContext) -> pd.DataFrame:
    rows = []
    for name, suspicion in SUSPICIONS.items():
        row: dict[str, object] = {"suspicion": suspicion.question}
        for release in material.releases:
            each = material.suspicions.answer(release, name)
            seen, looked = each.model.seen + each.real.seen, each.model.sessions + each.real.sessions
            row[release] = f"{'yes' if each.yes else 'no'}, {seen} of {looked}"
        rows.append(row)
    return pd.DataFrame(rows)


def _suspicion(material: ReportContext, name: str) -> list[Block]:
    answers = [material.suspicions.answer(release, name) for release in material.releases]
    yes = [each.release for each in answers if each.yes]
    no = [each.release for each in answers if not each.yes]
    said = f"**Yes**, on {joined(yes)}" if yes else "**No**"
    rest = f"; not seen on {joined(no)}" if yes and no else f", not seen on {joined(no)}" if no else ""
    mine = [each for each in answers if each.release in material.in_use] or answers
    ways = list(dict.fromkeys(way for each in mine for way in each.ways))[:3]
    if name == "another-path":
        ways = [f"{way} ({ends(way)})" for way in ways]
    how = f" How: {joined(ways)}." if ways else ""
    seen = tuple(one for each in mine for one in _seen(each))
    suspicion = SUSPICIONS[name]
    quote = material.customer.suspicions.get(name)
    wrote = f"We wrote: “{quote}” " if quote else ""
    found: list[Block] = [
        Text(f"### {suspicion.question}"),
        Claim(f"suspicion-{name}", f"{wrote}{said}{rest}.{how}", seen, material.releases),
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
                    f"The messages that show it, shortest session, {where} of {traced.release} (ms since the session's start).",
                )
            )
    return found


def _seen(each: Answer) -> list[Support]:
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
