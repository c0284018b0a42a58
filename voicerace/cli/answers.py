"""The verb `answers`: how often a tool turn fails with the times recorded at the real API."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from voicerace.cli import options
from voicerace.cli.printing import print_json, print_lines, writing
from voicerace.cli.tables import print_table
from voicerace.errors import InputError
from voicerace.experiments import answers as asked
from voicerace.experiments.executors import Executor
from voicerace.files import write_bytes
from voicerace.model.catalog.profiles import PROFILES, RECORDED

__all__ = ["answers"]


def _sensitivity(wanted: Sequence[asked.Cell], draws: int, picture: Path | None) -> int:
    """Print which gap would change how a turn ends, and draw it."""
    from voicerace.experiments import gap_sensitivity

    found = list(
        tqdm(gap_sensitivity.sensitivity(wanted, draws), total=len(wanted), unit="cell", file=sys.stderr, disable=None)
    )
    longest = f"{gap_sensitivity.LONGEST_RECORDED_MS:g} ms"
    gap = PROFILES[RECORDED].values["gap_ms"]
    print(f"Sensitivity to the gap; recorded is {gap} ms. Gaps above {longest} are in no recording.")
    print_table(("release", "handler", f"wrong at {longest}", "with another gap"), gap_sensitivity.rows_of_sensitivity(found))
    if picture is not None:
        from voicerace.report.plots import alt_gap_sensitivity, plot_gap_sensitivity, to_image

        shares = gap_sensitivity.frame_of(found)
        drawn = plot_gap_sensitivity(shares, gap_sensitivity.RECORDED_MS)
        _, image = to_image(drawn, alt_gap_sensitivity(shares))
        writing(picture, lambda: write_bytes(picture, image))
    return 0


def answers(
    draws: Annotated[int, typer.Option(min=0, metavar="N", help="Play up to N draws per cell; 0: show what --out has.")] = 0,
    releases: Annotated[str, typer.Option(metavar="TAGS", help="With commas. [all]")] = "",
    handlers: Annotated[str, typer.Option(metavar="STYLES", help="With commas. [the five of the table]")] = "",
    modalities: Annotated[str, typer.Option(help="With commas. [audio,text]")] = "",
    jobs: Annotated[int, typer.Option(metavar="N", help="Processes, -1: one per core.")] = 1,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file of answers; draws are added. [the shipped one, to read]")
    ] = None,
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="Instead: which gap would change how a turn ends; with --draws, else 20.")
    ] = False,
    picture: Annotated[Path | None, typer.Option(metavar="FILE", help="With --sensitivity: draw it there, as SVG.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables of docs/answers.md.")] = False,
    as_json: options.Json = False,
) -> int:
    """Show how tool turns end with the times recorded at the real API.

    Without --draws: the answers that come with the project, each with its number of draws.
    """
    wanted = asked.cells(*(tuple(filter(None, text.split(","))) for text in (releases, handlers, modalities)))
    if sensitivity:
        return _sensitivity(
            wanted if modalities else [each for each in wanted if each.modality == "audio"], draws or 20, picture
        )
    if picture is not None:
        raise InputError("picture", "given without --sensitivity", "both")
    if draws and out is None:
        raise InputError("draws", "given without a file", "--out FILE, which takes the answers")
    found = asked.shipped_answers() if out is None else asked.read(out) if out.exists() else {}
    if draws:
        assert out is not None  # noqa: S101  # refused above
        target = out
        for _ in asked.play(found, wanted, draws, Executor(jobs), progress=sys.stderr.isatty()):
            writing(target, lambda: asked.write(found, target))
    shown = {cell: answer for cell, answer in found.items() if cell in wanted}
    if as_json:
        print_json({"schema": 1, "profile": RECORDED, "answers": asked.to_json(shown)})
    elif markdown:
        print_lines(asked.markdown(shown).splitlines())
    else:
        rows = [(modality, tags, handler, asked.said(answer)) for tags, _, handler, modality, answer in asked.rows_of(shown)]
        print_table(("replies", "release", "handler", "outcomes"), rows)
    return 0
