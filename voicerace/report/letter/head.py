"""Title, to, from, date, versions."""

from __future__ import annotations

from voicerace.report.blocks import Block, Head, Text, joined
from voicerace.report.material import Material
from voicerace.report.telling import name_of

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
        ("Releases in use (react / backend)", joined([name_of(tag) for tag in material.in_use])),
        ("Also tested", joined([name_of(tag) for tag in material.releases if tag not in material.in_use])),
        ("Made by", made),
    )
    words = (
        "You reported that `conversation_already_has_active_response` still occurs after the upgrade to 0.9.1 / 0.2.1, and our "
        "last letter (2026-02-16) asked you for logs, for a way to reproduce it, and whether a result could be sent twice. We "
        "have since answered these ourselves: by tests of the programs you run, and of every release after them. This page is "
        "that answer. It needs no knowledge of the proxy's code."
    )
    return [Head(_TITLE, tuple((name, value) for name, value in facts if value), parameters.code), Text(words)]
