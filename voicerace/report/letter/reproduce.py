"""Build the section with the command that makes the page again with the parameters of the run."""

from __future__ import annotations

import shlex

from voicerace.report.blocks import Block, Code, Text
from voicerace.report.context import ReportContext
from voicerace.report.parameters import LetterParameters

__all__ = ["blocks", "command"]


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
    if context.capture is not None:
        parts.append("--capture FILE")
    return " ".join(parts)


def blocks(context: ReportContext) -> list[Block]:
    if not context.record:
        return [Text("This page was made from the folder of a sweep: `voicerace report --run FOLDER` makes it again.")]
    return [
        Text("You need the project's repository and Python 3.11 or later; no key, no Node. The command plays every computed session of this "
             "page again, reads the recorded ones from `data/`, and writes the page:"),
        Code(f"make report    # or, with these parameters: .venv/bin/{command(context)}"),
        Text("To play one session with your own times:"),
        Code(".venv/bin/voicerace run --release 0.9.1 --tool-ms 100 --gap-ms 300 --host-rtt-ms 20 --upstream-rtt-ms 60 --ack-ms 35"),
        Text("To test a proxy (on a failure it prints the shortest trace and exits with 1):"),
        Code(".venv/bin/voicerace check --proxy backend:PATH_OF_A_CHECKOUT"),
    ]  # fmt: skip
