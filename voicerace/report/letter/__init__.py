"""Define the sections of the letter, one module per section. A section converts a `ReportContext` to blocks."""

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
    pages,
    paths,
    prior_questions,
    reproduce,
    submitted_twice,
    timing,
    today,
)

__all__ = ["SECTIONS", "letter", "section"]

_Made = Callable[[ReportContext], list[Block]]
#: Name of a section -> (heading, or a function that returns the heading; function that returns the blocks), in order.
SECTIONS: Final[dict[str, tuple[str | Callable[[ReportContext], str], _Made]]] = {
    "head": ("", head.blocks),
    "your_log": (lambda context: "Your log" if context.capture is not None else "", pages.your_log),
    "happens": ("What happens", pages.happens),
    "decide": ("What to do", pages.decide),
    "next": ("What we do next", pages.upcoming),
    "basis": ("How sure this is", pages.basis),
    "annex": ("Annex", lambda _: []),
    "answer": ("The answer", answer.blocks),
    "today": ("What to do today", today.blocks),
    "asked": (prior_questions.heading, prior_questions.blocks),
    "how_tested": ("How it was tested", how_tested.blocks),
    "documented": (documented.HEADING, documented.blocks),
    "submitted_twice": (submitted_twice.heading, submitted_twice.blocks),
    "gate": (timing.heading, timing.blocks),
    "paths": (paths.heading, paths.blocks),
    "yours": ("Your own sessions", capture_section.blocks),
    "limits": ("What this does not show", limits.blocks),
    "again": ("How to run it again", reproduce.blocks),
    "appendix": ("Appendix", appendix.blocks),
}


def section(name: str, context: ReportContext) -> list[Block]:
    """Return the blocks of one section, starting with its heading.

    Args:
        name: a key of `SECTIONS`.
        context: the data of the letter.
    """
    heading, made = SECTIONS[name]
    title = heading if isinstance(heading, str) else heading(context)
    return [*([Text(f"## {title}")] if title else []), *made(context)]


def letter(context: ReportContext) -> dict[str, list[Block]]:
    """Return the blocks of each section, by name."""
    return {name: section(name, context) for name in SECTIONS}
