"""The draft of a follow-up issue for the proxy's maintainers, in Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from voicerace.conformance.fix.apply import Fix
from voicerace.conformance.fix.evidence import Evidence
from voicerace.model.catalog.gate_rules import RULES

__all__ = ["follow_up"]

#: Part of a fix -> effect of its change.
_PARTS: Final = {
    "proxy": "proxy: a gate decides when `response.create` is sent; user text waits until the session is configured",
    "component": "component: one result per call, whichever function sends it; the default answer waits 20 s",
    "forwarder": "forwarder: messages that arrive before its connection to the proxy is open are kept",
}
# no HTML escaping, because the result is Markdown
_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701
    keep_trailing_newline=True,
)


def follow_up(fix: Fix, release: str, evidence: Evidence, *, live: bool) -> str:
    """Return the draft of an issue: the fault, the evidence, the change and its limits.

    Args:
        fix: the applied fix.
        release: tag of the fixed release.
        evidence: sessions before and after the fix.
        live: whether the sessions were played with the running proxies.
    """
    added, removed = fix.lines
    return _TEMPLATES.get_template("follow_up.md.j2").render(
        release=release,
        live=live,
        evidence=evidence,
        cases=evidence.before.sessions - evidence.findings,
        changed=fix.changed,
        parts=_PARTS,
        added=added,
        removed=removed,
        rules=RULES,
        checkout="CHECKOUT",
        never=", or is never sent" if "stalled" in evidence.before.faults else "",
    )
