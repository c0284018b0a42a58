"""The verb `boundary`: find where the outcome changes along one time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from voicerace.cli import options, text
from voicerace.cli.printing import print_json, print_lines
from voicerace.cli.tables import print_table
from voicerace.errors import one_of
from voicerace.experiments.boundary import boundaries
from voicerace.experiments.sweep.spec import SweepSpec, assumed_of

__all__ = ["boundary"]


@options.takes_times
@options.takes_grid
def boundary(
    times: Mapping[str, object],
    spec: Mapping[str, Any],
    level: Annotated[
        float, typer.Option(metavar="SHARE", help="With drawn times: the share of bad outcomes at the boundary.")
    ] = 0.5,
    most: Annotated[
        int, typer.Option(metavar="N", min=50, help="With drawn times: maximum number of draws at one value.")
    ] = 6400,
    by: Annotated[
        str, typer.Option(metavar="NAME", help="How changes are found: engine (bisection) | formula (docs/formula.md).")
    ] = "engine",
    forwarder_open_ms: options.ForwarderOpenMs = None,
    as_json: options.Json = False,
) -> int:
    """Find where the outcome changes along one time, to 0.1 ms.

    The search runs along the first time that is a grid (0:400:20). Between two steps of the grid it bisects.
    """
    one_of("by", by, ("engine", "formula"))
    grid = SweepSpec(**spec, times=dict(options.with_forwarder_time(times, spec.get("forwarder"), forwarder_open_ms)))
    found, assumed = boundaries(grid, level=level, most=most, by_formula=by == "formula"), assumed_of(grid)
    rows = found.frame.astype(object).where(found.frame.notna(), None).to_dict("records")
    if as_json:
        record = {"boundaries": rows, "trials": found.trials, "grid_trials": found.grid_trials, "assumed": assumed}
        print_json({"schema": 1, **record})
        return 0
    settings = found.frame.columns[: found.frame.columns.get_loc("axis")]
    shown = [name for name in settings if name == "release" or found.frame[name].nunique() > 1]
    drawn = "share" in found.frame
    heads = [*shown, "time", "from ms", "to ms", "tie at ms", "before", "after", *["findings"] * drawn]
    cells = ([*(row[name] for name in shown), *_cells(row)] for row in rows)
    print_table(heads, cells, right=("from ms", "to ms", "tie at ms"))
    print_lines(text.assumed_lines(assumed, grid.profile))
    print_lines([f"{len(rows)} found with {found.trials} sessions; a grid of 0.1 ms has {found.grid_trials}"])
    return 0


def _cells(row: Mapping[Any, Any]) -> Iterator[str]:
    yield row["axis"]
    yield from ("" if row.get(name) is None else f"{row[name]:g}" for name in ("from_ms", "to_ms", "at_ms"))
    yield from (row["before"], row["after"])
    if "share" in row:
        yield f"{row['share']:.1%} [{row['low']:.1%}, {row['high']:.1%}] of {row['draws']}"
