"""The verb `again`: the recording of a sweep's trial."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voicerace.analysis.verdict import judge
from voicerace.cli import options, text
from voicerace.cli.printing import new_file, print_lines, writing
from voicerace.experiments.sweep.result import SweepResult

__all__ = ["again"]


def again(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a sweep in virtual time.")],
    trial: Annotated[int, typer.Argument(metavar="TRIAL", help="Its row in the table, from 0.")],
    out: options.Out = None,
    force: options.Force = False,
) -> int:
    """Make the recording of one trial of a sweep again.

    It has the same bytes as when it was played.
    """
    new_file(out, force=force)
    recording = SweepResult.open(run).again(trial)
    if out is not None:
        writing(out, lambda: recording.write(out))
    print_lines([text.TIMELINE_HEAD, *text.timeline(recording), "", *text.verdict_lines(judge(recording))])
    return 0
