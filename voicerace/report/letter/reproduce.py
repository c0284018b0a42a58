"""The command that makes the page again with the parameters of its run."""

from __future__ import annotations

import shlex

from voicerace.report.context import ReportContext
from voicerace.report.parameters import LetterParameters

__all__ = ["command"]


def command(context: ReportContext) -> str:
    """Return the command that makes the page, without default values."""
    usual = LetterParameters()
    given = {**usual.model_dump(), **context.record.get("parameters", {})}
    parts = ["voicerace report"]
    if context.in_use_known and context.in_use != context.customer.reported:
        parts += [f"--release {tag}" for tag in context.in_use]
    if context.parameters.customer:
        parts.append("--customer FILE")
    elif context.parameters.to:
        parts.append(f"--to {shlex.quote(context.parameters.to)}")
    if context.parameters.sender != usual.sender:
        parts.append(f"--from {shlex.quote(context.parameters.sender)}")
    if tuple(given["releases"]) != usual.releases:
        parts.append(f"--releases {','.join(given['releases'])}")
    for name in ("step_ms", "map_step_ms", "draws", "seed"):
        if given[name] != getattr(usual, name):
            parts.append(f"--{name.replace('_', '-')} {given[name]:g}")
    if context.parameters.audience != usual.audience:
        parts.append(f"--for {context.parameters.audience}")
    if context.capture is not None:
        parts.append("--capture FILE")
    return " ".join(parts)
