"""Print the summary of a sweep: the outcomes per cell with their shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from voicerace.cli.tables import print_table
from voicerace.experiments.formula.sweeping import FormulaSweep
from voicerace.experiments.sweep.cell_ranges import share_text
from voicerace.experiments.sweep.result import SweepResult

__all__ = ["cells_json", "print_cells"]

#: Maximum number of printed rows; `summary.csv` has all rows.
_MAX_ROWS: Final = 60
#: Maximum number of rows of `summary.csv` for which ranges of cells are computed.
_MAX_CELLS: Final = 200_000


def print_cells(run: SweepResult | FormulaSweep) -> None:
    """Print one row per outcome of each range of equal cells."""
    if len(run.outcomes) > _MAX_CELLS:
        print(f"{len(run.outcomes)} rows, one per cell and outcome, are {_place(run)}")
        return
    rows = run.ranges()
    settings = list(rows.columns[: rows.columns.get_loc("cells")])
    estimated, tied = bool((rows["kind"] == "estimated").any()), bool(rows["ties"].any())
    swept = [name.replace("_ms", " ms") for name in settings if name in run.axes]
    numbers = ["share", *["95 % interval"] * estimated, "trials", *["ties"] * tied]
    shown: list[list[str]] = []
    before: list[str] = []
    for row in rows.head(_MAX_ROWS).to_dict("records"):
        cell = [str(row[name]) for name in settings]
        values = [str(row["outcome"]), share_text(row["share"])]
        if estimated:
            values.append("-" if pd.isna(row["low"]) else f"{share_text(row['low'])} to {share_text(row['high'])}")
        values.append(_trials(row))
        if tied:
            values.append(str(row["ties"] or ""))
        # Print settings only in the first row of a range.
        shown.append([*([""] * len(cell) if cell == before else cell), *values])
        before = cell
    heads = [*(name.replace("_ms", " ms") if name in run.axes else name for name in settings), "outcome", *numbers]
    print_table(heads, shown, right=[*swept, *numbers])
    if len(rows) > _MAX_ROWS:
        print(f"{len(rows) - _MAX_ROWS} more rows; every cell is {_place(run)}")
    if estimated:
        print("The interval is that of one cell, whose trials are independent draws (Wilson).")
    if tied:
        print("ties: trials in which two simultaneous events in the other order give another outcome")


def _place(run: SweepResult | FormulaSweep) -> str:
    """Return where every cell is."""
    return f"in {run.folder}/summary.csv" if isinstance(run, SweepResult) else "printed by --json"


def _trials(row: Mapping[Any, Any]) -> str:
    if row["of"] == 1:
        return f"{row['cells']} of {row['cells']}"
    each = f" in each of {row['cells']}" if row["cells"] > 1 else ""
    return f"{row['trials']} of {row['of']}{each}"


def cells_json(run: SweepResult | FormulaSweep) -> list[dict[str, Any]]:
    """Return the outcomes of every cell as JSON values; None for a missing share or interval."""
    live = isinstance(run, SweepResult) and run.info["clock"] != "virtual"
    target = "proxy" if live else "release"
    settings = [target, "scenario", "handler", "modality", "calls", *run.axes]
    names = [*settings, "outcome", "trials", "of", "share", "low", "high", "kind", "ties"]
    frame = run.outcomes[names].astype(object)
    return [{str(name): value for name, value in row.items()} for row in frame.where(frame.notna(), None).to_dict("records")]
