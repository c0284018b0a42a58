"""Title, to, from, date, versions."""

from __future__ import annotations

from voicerace.model.catalog.releases import PROXIES
from voicerace.report.blocks import Block, Head, Text, joined, many, quoted
from voicerace.report.context import ReportContext
from voicerace.report.customer import Customer
from voicerace.report.phrasing import name_of, same_program

__all__ = ["blocks"]

_TITLE = "Why conversation_already_has_active_response still occurs, and what to change today"


def blocks(material: ReportContext) -> list[Block]:
    info, parameters = material.info, material.parameters
    commit = str(info.get("commit") or "")
    made = f"voicerace {info.get('versions', {}).get('voicerace', '')}" + (f", commit {commit}" if commit else "")
    in_use = material.in_use if material.in_use_known else ()
    facts = (
        ("To", material.customer.name),
        ("From", parameters.sender),
        ("Date", str(info.get("start", ""))[:10]),
        ("Releases in use (react / backend)", joined([_named(material, tag) for tag in in_use]) or "not known"),
        (
            "Also tested" if in_use else "Tested",
            joined([_named(material, tag) for tag in material.releases if tag not in in_use]),
        ),
        ("Made by", made),
    )
    shown = tuple((name, value) for name, value in facts if value)
    return [
        Head(_TITLE, shown, parameters.code),
        Text(_why(material.customer)),
        Text(_numbers(tuple(dict.fromkeys((*material.in_use, *material.releases))))),
    ]


def _why(customer: Customer) -> str:
    """Why the reader gets this page: what they reported and what the last letter left open, where there is any of it."""
    error = "`conversation_already_has_active_response`"
    told = []
    if customer.reported:
        told.append(f"You reported that {error} still occurs on {joined([name_of(tag) for tag in customer.reported])}.")
    else:
        told.append(f"This page is about the error {error}: when it occurs, on which releases, and what to do about it.")
    if customer.last_letter is not None:
        asked = f" asked you for {many(len(customer.requests), 'thing')}" if customer.requests else ""
        told.append(f"Our last letter ({customer.last_letter.isoformat()}){asked or ' left the cause open'}.")
    told.append(
        "The answers here come from tests of the published programs: the releases in use, and releases after them. This page needs "
        "no knowledge of the proxy's code."
    )
    links = [f"[{quoted(title)}]({address})" for title, address in customer.links.items()]
    return " ".join([*told, *([f"See also: {', '.join(links)}."] if links else [])])


def _named(material: ReportContext, tag: str) -> str:
    other = same_program(tag, material.evidence.recorded_as(tag))
    return f"{name_of(tag)} ({other})" if other else name_of(tag)


def _numbers(tags: tuple[str, ...]) -> str:
    """What the two numbers of a release are: neither is a key by itself."""
    published = [tag for tag in tags if PROXIES[tag].published]
    words = "A release is named by the tag of voice-agent-react and by the number that voice-agent-backend has in that tag"
    words += f" ({joined(published)}: the number it was published with)." if published else "."
    for tag in tags:
        other = PROXIES.get(f"{tag}-published")
        if other is not None:
            words += (
                f" {tag} is the program of the tag; what was published as {tag} is another one, with backend {other.backend}"
                + ("." if other.tag in tags else ", and was not played for this page.")
            )
    return words
