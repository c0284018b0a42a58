"""Title, to, from, date, versions."""

from __future__ import annotations

from voicerace.report.blocks import Block, Head, Text, joined
from voicerace.report.material import Material
from voicerace.report.telling import name_of, same_program
from voicerace.tables.releases import PROXIES

__all__ = ["blocks"]

_TITLE = "Why conversation_already_has_active_response still occurs, and what to change today"


def blocks(material: Material) -> list[Block]:
    info, parameters = material.info, material.parameters
    commit = str(info.get("commit") or "")
    made = f"voicerace {info.get('versions', {}).get('voicerace', '')}" + (f", commit {commit}" if commit else "")
    facts = (
        ("To", parameters.to),
        ("From", parameters.sender),
        ("Date", str(info.get("start", ""))[:10]),
        ("Releases in use (react / backend)", joined([_named(material, tag) for tag in material.in_use])),
        ("Also tested", joined([_named(material, tag) for tag in material.releases if tag not in material.in_use])),
        ("Made by", made),
    )
    words = (
        "You reported that `conversation_already_has_active_response` still occurs after the upgrade to 0.9.1 / 0.2.1, and our "
        "last letter (2026-02-16) asked you for logs, for a way to reproduce it, and whether a result could be sent twice. We "
        "have since answered these ourselves: by tests of the programs you run, and of every release after them. This page is "
        "that answer. It needs no knowledge of the proxy's code."
    )
    shown = tuple((name, value) for name, value in facts if value)
    return [
        Head(_TITLE, shown, parameters.code),
        Text(words),
        Text(_numbers(tuple(dict.fromkeys((*material.in_use, *material.releases))))),
    ]


def _named(material: Material, tag: str) -> str:
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
