"""The verb `map`: draw the outcome over two times."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from voicerace.cli import options, text
from voicerace.cli.printing import new_file, print_lines, writing
from voicerace.errors import InputError
from voicerace.experiments.executors import Executor
from voicerace.experiments.sweep.spec import SweepSpec, assumed_of, axes_of
from voicerace.experiments.sweep.sweep import trials_of
from voicerace.files import write_bytes
from voicerace.report.plots.gap_map import alt_map, plot_map
from voicerace.report.plots.style import to_image

__all__ = ["map_"]


@options.takes_times
@options.takes_grid
def map_(
    times: Mapping[str, object],
    spec: Mapping[str, Any],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Picture to write: .svg or .png.")] = Path("map.svg"),
    force: options.Force = False,
    jobs: Annotated[int, typer.Option(metavar="N", help="Number of processes; -1 for one per core.")] = 1,
) -> int:
    """Draw the outcome of a release over two times.

    Two times are grids, for example --tool-ms 0:400:10 --gap-ms 0:400:10. All other times are fixed: each cell of the map is
    one computed session. The text printed describes the map.
    """
    kind = out.suffix.lower().removeprefix(".")
    if kind not in ("svg", "png"):
        raise InputError("out", f"{out} is no picture", "a file named .svg or .png")
    new_file(out, force=force)
    grid = SweepSpec(**spec, times=dict(times), ties=False)
    axes = axes_of(grid.times, grid.profile)
    if len(axes) != 2:
        raise InputError("times", f"{len(axes)} grids", "two, for example --tool-ms 0:400:10 --gap-ms 0:400:10")
    if len(grid.releases) != 1:
        raise InputError("releases", f"{len(grid.releases)} releases", "one: a map shows one release")
    x, y = sorted(axes, key=lambda name: name != "gap_ms")
    trials = trials_of(grid, progress=True, executor=Executor(jobs))
    alt = alt_map(trials, x, y)
    _, image = to_image(plot_map(trials, x, y), alt, kind=kind)
    writing(out, lambda: write_bytes(out, image))
    print_lines([*text.wrapped(alt), *text.assumed_lines(assumed_of(grid), grid.profile), f"wrote {out}"])
    return 0
