"""Build the head of the letter: title, addressee, author, date and releases."""

from __future__ import annotations

from voicerace.model.catalog.releases import PROXIES
from voicerace.report.blocks import Block, Head, Text, joined, many, quoted
from voicerace.report.context import ReportContext
from voicerace.report.customer import Customer
from voicerace.report.phrasing import name_of, same_program

__all__ = ["blocks"]

_TITLE = "Why conversation_already_has_active_response still occurs, and what to change today"


def blocks(context: ReportContext) -> list[Block]:
    info, parameters = context.info, context.parameters
    commit = str(info.get("commit") or "")
    made = f"voicerace {info.get('versions', {}).get('voicerace', '')}" + (f", commit {commit}" if commit else "")
    in_use = context.in_use if context.in_use_known else ()
    facts = (
        ("To", context.customer.name),
        ("From", parameters.sender),
        ("Date", str(info.get("start", ""))[:10]),
        ("Releases in use (react / backend)", joined([_named(context, tag) for tag in in_use]) or "not known"),
        (
            "Also tested" if in_use else "Tested",
            joined([_named(context, tag) for tag in context.releases if tag not in in_use]),
        ),
        ("Made by", made),
    )
    shown = tuple((name, value) for name, value in facts if value)
    return [
        Head(_TITLE, shown, parameters.code),
        Text(_why(context.customer)),
        Text(_numbers(tuple(dict.fromkeys((*context.in_use, *context.releases))))),
    ]


def _why(customer: Customer) -> str:
    """Return the reason for the letter: the customer's report, and the open questions of the last letter."""
    error = "`conversation_already_has_active_response`"
    sentences = []
    if customer.reported:
        sentences.append(f"You reported that {error} still occurs on {joined([name_of(tag) for tag in customer.reported])}.")
    else:
        sentences.append(f"This page is about the error {error}: when it occurs, on which releases, and what to do about it.")
    if customer.last_letter is not None:
        asked = f" made {many(len(customer.requests), 'request')}" if customer.requests else ""
        sentences.append(f"Our last letter ({customer.last_letter.isoformat()}){asked or ' left the cause open'}.")
    sentences.append(
        "The answers here come from tests of the published programs: the releases in use and later ones. You need no knowledge of the "
        "proxy's code."
    )
    links = [f"[{quoted(title)}]({address})" for title, address in customer.links.items()]
    return " ".join([*sentences, *([f"See also: {', '.join(links)}."] if links else [])])


def _named(context: ReportContext, tag: str) -> str:
    other = same_program(tag, context.evidence.recorded_as(tag))
    return f"{name_of(tag)} ({other})" if other else name_of(tag)


def _numbers(tags: tuple[str, ...]) -> str:
    """Explain that only both version numbers together identify a release."""
    published = [tag for tag in tags if PROXIES[tag].published]
    text = "A release is named by the tag of voice-agent-react and by the number that voice-agent-backend has in that tag"
    text += f" ({joined(published)}: the number it was published with)." if published else "."
    for tag in tags:
        other = PROXIES.get(f"{tag}-published")
        if other is not None:
            text += (
                f" {tag} is the program of the tag. Another program, with backend {other.backend}, was published as {tag}"
                + ("." if other.tag in tags else "; it was not tested for this page.")
            )
    return text
