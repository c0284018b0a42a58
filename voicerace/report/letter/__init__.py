"""The letter, a file per section: each takes the material and gives blocks. The notebook shows them in this order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from voicerace.report.blocks import Block, Text
from voicerace.report.context import ReportContext
from voicerace.report.letter import (
    answer,
    appendix,
    capture_section,
    documented,
    head,
    how_tested,
    limits,
    paths,
    prior_questions,
    reproduce,
    submitted_twice,
    timing,
    today,
)

__all__ = ["SECTIONS", "letter", "section"]

_Made = Callable[[ReportContext], list[Block]]
#: Section -> its heading, which may state a result and is then made from the data, and what makes it.
SECTIONS: Final[dict[str, tuple[str | Callable[[ReportContext], str], _Made]]] = {
    "head": ("", head.blocks),
    "answer": ("The answer", answer.blocks),
    "today": ("What to do today", today.blocks),
    "asked": (prior_questions.heading, prior_questions.blocks),
    "how_tested": ("How it was tested", how_tested.blocks),
    "documented": (documented.HEADING, documented.blocks),
    "submitted_twice": (submitted_twice.heading, submitted_twice.blocks),
    "gate": (timing.heading, timing.blocks),
    "paths": (paths.heading, paths.blocks),
    "yours": ("Where your own sessions lie", capture_section.blocks),
    "limits": ("What this does not show", limits.blocks),
    "again": ("How to run it again", reproduce.blocks),
    "appendix": ("Appendix", appendix.blocks),
}


def section(name: str, material: ReportContext) -> list[Block]:
    """The blocks of the section `name` of `SECTIONS`, made from `material`; its heading first."""
    heading, made = SECTIONS[name]
    words = heading if isinstance(heading, str) else heading(material)
    return [*([Text(f"## {words}")] if words else []), *made(material)]


def letter(material: ReportContext) -> dict[str, list[Block]]:
    """All of it."""
    return {name: section(name, material) for name in SECTIONS}
