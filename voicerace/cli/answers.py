"""The verb `answers`: outcomes of tool turns with the times recorded at the real API."""

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
from voicerace.experiments import answers as experiment
from voicerace.experiments.executors import Executor
from voicerace.files import write_bytes
from voicerace.model.catalog.profiles import PROFILES, RECORDED

__all__ = ["answers"]


def _sensitivity(selected: Sequence[experiment.Cell], draws: int, picture: Path | None) -> int:
    """Print and plot the gaps that change the outcome of a turn, and return exit status 0."""
    from voicerace.experiments import gap_sensitivity

    found = list(
        tqdm(gap_sensitivity.sensitivity(selected, draws), total=len(selected), unit="cell", file=sys.stderr, disable=None)
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
    draws: Annotated[
        int, typer.Option(min=0, metavar="N", help="Play up to N draws per cell; 0 only prints the answers in --out.")
    ] = 0,
    releases: Annotated[
        list[str] | None, typer.Option(metavar="TAGS", help="Releases of the proxy, with commas.", show_default="all")
    ] = None,
    handlers: Annotated[
        list[str] | None,
        typer.Option(metavar="NAMES", help="Handlers, with commas.", show_default=",".join(experiment.HANDLERS_ASKED)),
    ] = None,
    modalities: Annotated[
        list[str] | None,
        typer.Option(metavar="NAMES", help="Modalities of the replies, with commas.", show_default="audio,text"),
    ] = None,
    jobs: Annotated[int, typer.Option(metavar="N", help="Number of processes; -1 for one per core.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="CSV file of answers, to which --draws adds.", show_default="data/answers.csv, read-only"
        ),
    ] = None,
    sensitivity: Annotated[
        bool,
        typer.Option("--sensitivity", help="Show instead which gaps change the outcome, over --draws (20 if not given)."),
    ] = False,
    picture: Annotated[Path | None, typer.Option(metavar="FILE", help="With --sensitivity: SVG file for the plot.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables of docs/answers.md.")] = False,
    as_json: options.Json = False,
) -> int:
    """Show how tool turns end with the times recorded at the real API.

    Without --draws: the answers that come with the project, each with its number of draws.
    """
    selected = experiment.cells(*map(options.names_given, (releases, handlers, modalities)))
    if sensitivity:
        return _sensitivity(
            selected if modalities else [each for each in selected if each.modality == "audio"], draws or 20, picture
        )
    if picture is not None:
        raise InputError("picture", "given without --sensitivity", "add --sensitivity")
    if draws and out is None:
        raise InputError("draws", "given without a file", "add --out FILE, to which the answers are written")
    found = experiment.shipped_answers() if out is None else experiment.read(out) if out.exists() else {}
    if draws:
        assert out is not None  # noqa: S101  # checked above
        target = out
        for _ in experiment.play(found, selected, draws, Executor(jobs), progress=sys.stderr.isatty()):
            writing(target, lambda: experiment.write(found, target))
    shown = {cell: answer for cell, answer in found.items() if cell in selected}
    if as_json:
        print_json({"schema": 1, "profile": RECORDED, "answers": experiment.to_json(shown)})
    elif markdown:
        print_lines(experiment.markdown(shown).splitlines())
    else:
        wanted = options.names_given(handlers) or experiment.HANDLERS_ASKED
        rows: dict[tuple[str, str, str], list[str]] = {}
        for tags, _, handler, modality, answer in experiment.rows_of(shown):
            if handler in wanted:  # handler styles with the same messages share a row
                rows.setdefault((modality, tags, experiment.outcome_text(answer)), []).append(handler)
        lines = [(modality, tags, ", ".join(styles), outcomes) for (modality, tags, outcomes), styles in rows.items()]
        print_table(("replies", "release", "handler", "outcomes"), lines)
    return 0
