"""The sections of a report, one function per section. A section converts a `ReportContext` to blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from voicerace.report.blocks import Block, Text
from voicerace.report.context import ReportContext
from voicerace.report.letter import (
    asked,
    capture_section,
    closing,
    evidence_annex,
    head,
    longer_gap,
    maintainers,
    other_paths,
    pages,
    second_result,
)

__all__ = ["SECTIONS", "Section", "letter", "section"]

_BOTH: Final = frozenset(("customer", "maintainers"))
_CUSTOMER: Final = frozenset(("customer",))
_MAINTAINERS: Final = frozenset(("maintainers",))


@dataclass(frozen=True)
class Section:
    """A section of a report.

    Attributes:
        heading: the heading, or a function that returns it; empty for no heading.
        blocks: function that returns the blocks below the heading.
        audiences: the pages that have the section.
    """

    heading: str | Callable[[ReportContext], str]
    blocks: Callable[[ReportContext], list[Block]]
    audiences: frozenset[str] = _CUSTOMER


#: Sections by name, in their order on the page.
SECTIONS: Final[dict[str, Section]] = {
    "head": Section("", head.blocks, _BOTH),
    "your_log": Section(lambda context: "Your log" if context.capture is not None else "", pages.your_log, _BOTH),
    "happens": Section("What happens", pages.happens),
    "decide": Section("What to do", pages.decide),
    "next": Section("What we do next", pages.upcoming),
    "basis": Section("How sure this is", pages.basis, _BOTH),
    "causes": Section("Causes by release", maintainers.causes, _MAINTAINERS),
    "proof": Section("The fix and its proof", maintainers.proof, _MAINTAINERS),
    "follow_up": Section("Text of a follow-up issue", maintainers.follow_up, _MAINTAINERS),
    "annex": Section("Annex", lambda _: [Text("Evidence and details. The decision does not need them.")], _BOTH),
    "asked": Section(asked.heading, asked.blocks),
    "second_result": Section(second_result.heading, second_result.blocks, _BOTH),
    "longer_gap": Section(longer_gap.heading, longer_gap.blocks, _BOTH),
    "other_paths": Section(other_paths.heading, other_paths.blocks, _BOTH),
    "evidence": Section("E. How it was tested", evidence_annex.blocks, _BOTH),
    "capture": Section("F. Your own sessions", capture_section.blocks),
    "limits": Section("G. What this does not show", closing.limits, _BOTH),
    "reproduce": Section("H. How to run it again", closing.reproduce, _BOTH),
    "appendix": Section("I. Terms, releases, parameters", closing.appendix, _BOTH),
}


def section(name: str, context: ReportContext) -> list[Block]:
    """Return the blocks of one section, starting with its heading. The list is empty if the page has no such section.

    Args:
        name: a key of `SECTIONS`.
        context: the data of the report.
    """
    found = SECTIONS[name]
    if context.parameters.audience not in found.audiences:
        return []
    title = found.heading if isinstance(found.heading, str) else found.heading(context)
    return [*([Text(f"## {title}")] if title else []), *found.blocks(context)]


def letter(context: ReportContext) -> dict[str, list[Block]]:
    """Return the blocks of each section, by name."""
    return {name: section(name, context) for name in SECTIONS}
