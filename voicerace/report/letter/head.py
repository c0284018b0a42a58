"""The head of the letter: title, addressee, author, date and releases in use."""

from __future__ import annotations

from typing import Final

from voicerace.report.blocks import Block, Head, joined
from voicerace.report.context import ReportContext
from voicerace.report.letter.render import render
from voicerace.report.phrasing import name_of

__all__ = ["blocks"]

_TITLES: Final = {
    "customer": "Why conversation_already_has_active_response still occurs, and what to change today",
    "maintainers": "conversation_already_has_active_response: causes by release, findings, and the fix",
}


def blocks(context: ReportContext) -> list[Block]:
    parameters, customer = context.parameters, context.customer
    in_use = context.in_use if context.in_use_known else ()
    facts = (
        ("To", customer.name if parameters.audience == "customer" else "the maintainers of the proxy"),
        ("From", parameters.sender),
        ("Date", str(context.info.get("start", ""))[:10]),
        ("Releases in use (react / backend)", joined([name_of(tag) for tag in in_use]) or "not known"),
    )
    shown = tuple((name, value) for name, value in facts if value)
    return [
        Head(_TITLES[parameters.audience], shown, parameters.code),
        *render("head", customer=customer, reported=[name_of(tag) for tag in customer.reported]),
    ]
