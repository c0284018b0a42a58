"""The annex on the suspicions and the requests of the last letter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pandas as pd

from voicerace.conformance.hypotheses import HypothesisAnswer
from voicerace.conformance.suspicions import SUSPICIONS
from voicerace.report.blocks import Block, Claim, Support, Table, joined
from voicerace.report.context import ReportContext
from voicerace.report.customer import Request
from voicerace.report.letter.failure_paths import ends
from voicerace.report.letter.render import render

__all__ = ["blocks", "heading"]

#: Request -> (its purpose, the command that fulfils it).
COMMANDS: Final[dict[Request, tuple[str, str]]] = {
    "inspect": ("The logs of one run", "`voicerace inspect proxy.log`"),
    "twice": ("Whether a result is sent twice, and by whom", "`voicerace inspect FILE`"),
    "repro": ("A minimal reproduction: React app and backend, in a real browser", "`voicerace repro --app --checkout DIR`"),
    "capture": ("An end-to-end test with a capture", "`voicerace capture --host … --upstream … -- npm run e2e`"),
}


@dataclass(frozen=True)
class Answered:
    """The answer to one suspicion.

    Attributes:
        name: key in `SUSPICIONS`.
        question: the suspicion as a question.
        quote: its text in the last letter, or empty.
        yes: releases in which it was seen.
        no: releases in which it was not seen.
        causes: at most three causes, on the releases in use if it was seen there.
        answers: the answers, by release.
    """

    name: str
    question: str
    quote: str
    yes: list[str]
    no: list[str]
    causes: list[str]
    answers: list[HypothesisAnswer]

    @property
    def support(self) -> tuple[Support, ...]:
        found = []
        for each in self.answers:
            where = "voicerace/conformance/suspicions.py"
            found.append(
                Support("model", each.model.seen, each.model.sessions, f"sessions ({each.release}) show it", source=where)
            )
            if each.real.sessions:
                what = f"recorded sessions ({each.release}) show it"
                found.append(Support("real proxy", each.real.seen, each.real.sessions, what, source="data/"))
        return tuple(found)


def heading(context: ReportContext) -> str:
    asked = context.customer.suspicions or context.customer.requests
    return "A. What was asked, and the answers" if asked else "A. Suspected causes, and the answers"


def blocks(context: ReportContext) -> list[Block]:
    answered = [_answered(context, name) for name in SUSPICIONS]
    claims: dict[str, Block] = {
        f"suspicion-{each.name}": Claim(f"suspicion-{each.name}", "", each.support, context.releases, quiet=True)
        for each in answered
    }
    wanted = context.customer.requests
    rows = [
        {"request" if wanted else "purpose": wanted.get(name, purpose), "command": command}
        for name, (purpose, command) in COMMANDS.items()
        if name in wanted or not wanted
    ]
    caption = "The requests of the last letter; each is now one command." if wanted else "Commands for your own sessions."
    parts = {**claims, "counts": Table(_counts(answered), "Sessions that show it, of those examined: models, then recorded sessions of "
                                       "running proxies."), "requests": Table(pd.DataFrame(rows), caption)}  # fmt: skip
    return render("asked", parts, answered=answered, letter=bool(context.customer.suspicions))


def _answered(context: ReportContext, name: str) -> Answered:
    answers = [context.suspicions.answer(release, name) for release in context.releases]
    mine = [each for each in answers if each.release in context.in_use] or answers
    causes = list(dict.fromkeys(cause for each in mine for cause in each.ways))[:3]
    if name == "another-path":
        causes = [f"{outcome} ({ends(outcome)})" for outcome in causes]
    return Answered(
        name,
        SUSPICIONS[name].question,
        context.customer.suspicions.get(name, ""),
        [each.release for each in answers if each.yes],
        [each.release for each in answers if not each.yes],
        causes,
        answers,
    )


def _counts(answered: list[Answered]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "suspicion": each.question,
                **{
                    one.release: joined(
                        [f"{side.seen} of {side.sessions}" for side in (one.model, one.real) if side.sessions], last="and"
                    )
                    for one in each.answers
                },
            }
            for each in answered
        ]
    )
