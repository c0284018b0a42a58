"""The verb `answers`: how often a tool turn fails with the times recorded at the real API."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from voicerace import answers as asked
from voicerace.cli import options
from voicerace.cli.printing import print_json, print_lines, writing
from voicerace.cli.targets import sigterm_interrupts
from voicerace.errors import InputError
from voicerace.executors import Executor

__all__ = ["answers"]


def answers(
    draws: Annotated[int, typer.Option(min=0, metavar="N", help="Play up to N draws per cell; 0: show what --out has.")] = 0,
    releases: Annotated[str, typer.Option(metavar="TAGS", help="With commas. [all]")] = "",
    handlers: Annotated[str, typer.Option(metavar="STYLES", help="With commas. [the five of the table]")] = "",
    modalities: Annotated[str, typer.Option(help="With commas. [audio,text]")] = "",
    jobs: Annotated[int, typer.Option(metavar="N", help="Processes, -1: one per core.")] = 1,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file of answers; draws are added. [the shipped one, to read]")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables of docs/answers.md.")] = False,
    as_json: options.Json = False,
) -> int:
    """Show how often a tool turn fails with the times recorded at the real API.

    Without --draws: the answers that come with the project (10,000 draws per release and handler style).
    """
    if draws and out is None:
        raise InputError("draws", "given without a file", "--out FILE, which takes the answers")
    found = asked.shipped_answers() if out is None else asked.read(out) if out.exists() else {}
    wanted = asked.cells(*(tuple(filter(None, text.split(","))) for text in (releases, handlers, modalities)))
    if draws:
        assert out is not None  # noqa: S101  # refused above
        target = out
        with sigterm_interrupts():
            for _ in asked.play(found, wanted, draws, Executor(jobs), progress=sys.stderr.isatty()):
                writing(target, lambda: asked.write(found, target))
    shown = {cell: answer for cell, answer in found.items() if cell in wanted}
    if as_json:
        print_json({"schema": 1, "profile": asked.PROFILE, "answers": asked.to_json(shown)})
    elif markdown:
        print_lines(asked.markdown(shown).splitlines())
    else:
        print_lines(asked.lines(shown))
    return 0
