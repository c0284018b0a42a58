"""The verb `again`: reproduce the recording of one trial of a sweep."""

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
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a sweep in virtual time.")],
    trial: Annotated[
        int,
        typer.Argument(
            metavar="TRIAL",
            help="Row of the trial in the run's table, from 0: the index of SweepResult.open(RUN).trials. The table's column "
            "trial differs: it counts within each cell.",
        ),
    ],
    out: options.Out = None,
    force: options.Force = False,
) -> int:
    """Reproduce the recording of one trial of a sweep.

    The bytes are those of the sweep's own recording.
    """
    new_file(out, force=force)
    recording = SweepResult.open(run).again(trial)
    if out is not None:
        writing(out, lambda: recording.write(out))
    print_lines(text.session_lines(recording, judge(recording)))
    return 0
