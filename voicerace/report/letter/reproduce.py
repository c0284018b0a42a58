"""How to run it again: one command, with the parameters of this run."""

from __future__ import annotations

import shlex

from voicerace.report.blocks import Block, Code, Text
from voicerace.report.context import ReportContext
from voicerace.report.parameters import LetterParameters

__all__ = ["blocks", "command"]


def command(material: ReportContext) -> str:
    """The command that makes this page from nothing; what is as usual is not said."""
    usual = LetterParameters()
    given = {**usual.model_dump(), **material.record.get("parameters", {})}
    words = ["voicerace report"]
    if material.in_use_known and material.in_use != material.customer.reported:
        words += [f"--release {tag}" for tag in material.in_use]
    if material.parameters.customer:
        words.append("--customer FILE")
    elif material.parameters.to:
        words.append(f"--to {shlex.quote(material.parameters.to)}")
    if material.parameters.sender != usual.sender:
        words.append(f"--from {shlex.quote(material.parameters.sender)}")
    if tuple(given["releases"]) != usual.releases:
        words.append(f"--releases {','.join(given['releases'])}")
    for name in ("step_ms", "map_step_ms", "draws", "seed"):
        if given[name] != getattr(usual, name):
            words.append(f"--{name.replace('_', '-')} {given[name]:g}")
    if material.capture is not None:
        words.append("--capture FILE")
    return " ".join(words)


def blocks(material: ReportContext) -> list[Block]:
    if not material.record:
        words = "This page was made from the folder of a sweep: `voicerace report --run FOLDER` makes it again."
        return [Text(words)]
    return [
        Text("With the project's repository and Python 3.11 or later; no key, no Node. It plays every computed session of this page again, "
             "reads the recorded ones from `data/`, and writes the page:"),
        Code(f"make report    # or, with these parameters: .venv/bin/{command(material)}"),
        Text("To play one session with times of your own:"),
        Code(".venv/bin/voicerace run --release 0.9.1 --tool-ms 100 --gap-ms 300 --host-rtt-ms 20 --upstream-rtt-ms 60 --ack-ms 35"),
        Text("To test a proxy, yours or a fixed one; it exits with 1 and the shortest trace where it fails:"),
        Code(".venv/bin/voicerace check --proxy backend:PATH_OF_A_CHECKOUT"),
    ]  # fmt: skip
