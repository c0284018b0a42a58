"""Reads and writes the table of a run, which is stored in several parquet files, called parts.

A part such as ``table/000012.parquet`` contains the rows of one chunk. It exists only if the chunk is complete, so a killed
sweep loses only unfinished chunks. Parts and columns can be read separately. ``summary.csv`` contains the number of each
outcome per cell.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from voicerace.errors import InputError
from voicerace.experiments.rates import wilson
from voicerace.experiments.sweep.folder import TABLE
from voicerace.experiments.sweep.trials import OPTIONAL, frame_of, typed

__all__ = [
    "STORY",
    "SUMMARY",
    "checked_rows",
    "counted",
    "counts_per_cell",
    "outcome_counts",
    "part_bytes",
    "parts",
    "read_trials",
    "recordings_of",
]

SUMMARY: Final = "summary.csv"
#: Columns of the summary that identify a configuration. A cell is a configuration with one value of each grid.
STORY: Final = ("release", "proxy", "component", "scenario", "handler", "modality", "calls", "profile", "knobs", "drawn")


def part_bytes(rows: Sequence[Mapping[str, Any]], further: Iterable[str] = ()) -> bytes:
    """Return rows as the content of a parquet file. Equal rows give equal bytes.

    Args:
        rows: see `trials.row_of`.
        further: columns of further calls that other parts can have (see `Plan.further_columns`).
    """
    table = pa.Table.from_pandas(frame_of(rows, further), preserve_index=False)
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", row_group_size=max(1, len(rows)))
    return sink.getvalue()


def parts(folder: Path) -> list[Path]:
    """Return the files of a run's table, in the order of the plan."""
    return sorted((folder / TABLE).glob("[0-9]*.parquet"))


def read_trials(folder: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the table of a run, or some of its columns, with the column types of `frame_of`.

    Raises:
        InputError: a column is unknown, or a part cannot be read or lacks a column.
    """
    files = parts(folder)
    present = pq.read_schema(files[0]).names if files else list(frame_of([]).columns)
    for name in columns or ():
        if name not in present and name not in frame_of([]).columns:
            raise InputError("columns", f"{name!r:.60} is unknown", f"allowed are {', '.join(present)}")
    if not files:
        return frame_of([]) if columns is None else frame_of([])[list(columns)]
    with _readable(folder):
        stored = None if columns is None else [name for name in columns if name in present or name not in OPTIONAL]
        found = ds.dataset([str(file) for file in files], format="parquet").to_table(stored)
        return typed(found.to_pandas(), columns)


def checked_rows(folder: Path) -> int:
    """Check that every part has the required columns, and return the number of rows of the table.

    Raises:
        InputError: a part cannot be read, or lacks a column.
    """
    rows, wanted = 0, set(frame_of([]).columns)
    for file in parts(folder):
        with _readable(file):
            found = pq.ParquetFile(file)
            rows += found.metadata.num_rows
            if missing := sorted(wanted - OPTIONAL - set(found.schema_arrow.names)):
                raise KeyError(f"no column {', '.join(missing)}")
    return rows


def recordings_of(file: Path) -> tuple[int, set[str]]:
    """Return (number of rows in a part, file names of the recordings that its rows name).

    Raises:
        InputError: the part cannot be read.
    """
    with _readable(file):
        names = pq.read_table(file, columns=["recording"])["recording"].to_pylist()
        return len(names), {name.partition(":")[0] for name in names if name}


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Convert errors that pyarrow and pandas raise for a damaged part into an InputError that names `path`."""
    try:
        yield
    except (OSError, KeyError, ValueError, TypeError, AttributeError, pa.ArrowException) as error:
        found = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(str(path), f"{TABLE}: {found}", "the table as the sweep wrote it") from None


def outcome_counts(folder: Path, axes: Sequence[str] = (), *, live: bool = False) -> pd.DataFrame:
    """Return the number of each outcome per cell, as written to `summary.csv`.

    Args:
        folder: folder of the run.
        axes: names of the times that are grids.
        live: whether the sessions are live. Live sessions with fixed times have the ``kind`` observed instead of computed.

    Returns:
        One row per cell and outcome, cells in the order of the plan: the columns of `STORY`, the axes, ``outcome``,
        ``trials``, ``of`` (trials of the cell), ``judged`` (trials of the cell with another outcome than `unknown`),
        ``share`` (of ``judged``; NaN for `unknown`), ``low`` and ``high`` (95 % interval of the share, if a time is drawn),
        ``kind`` (computed, observed, estimated or unknown), ``bad`` (bad trials) and ``ties`` (trials with a tie).
    """
    columns = [*STORY, *axes, "outcome", "bad", "tie_outcome"]

    def rows() -> Iterator[pa.Table]:
        for file in parts(folder):
            with _readable(file):
                table = pq.read_table(file, columns=columns)
            yield table

    return counts_per_cell(rows(), axes, live=live)


def counts_per_cell(tables: Iterable[pa.Table], axes: Sequence[str] = (), *, live: bool = False) -> pd.DataFrame:
    """Return `outcome_counts` of the rows in tables with the columns that it reads."""
    cell = [*STORY, *axes]
    keys = [*cell, "outcome"]
    found: list[pa.Table] = []
    for rows in tables:
        counts = rows.group_by(keys, use_threads=False).aggregate([("bad", "sum"), ("tie_outcome", "count"), ([], "count_all")])
        found.append(counts.rename_columns({"count_all": "trials", "bad_sum": "bad", "tie_outcome_count": "ties"}))
    if not found:
        columns = [*keys, "trials", "of", "judged", "share", "low", "high", "kind", "bad", "ties"]
        return pd.DataFrame(columns=columns)
    # The rows of a cell can be in two parts.
    counts = pa.concat_tables(found).group_by(keys, use_threads=False)
    frame = counts.aggregate([(name, "sum") for name in ("trials", "bad", "ties")]).to_pandas()
    frame = frame.rename(columns=lambda name: name.removesuffix("_sum"))
    numbers = frame.groupby(cell, sort=False, dropna=False).ngroup()
    total = frame["trials"].groupby(numbers).transform("sum")
    known = frame["outcome"] != "unknown"
    judged = frame["trials"].where(known, 0).groupby(numbers).transform("sum")
    drawn = frame["drawn"] != ""
    bounds = [
        wilson(count, of) if yes else (math.nan, math.nan)
        for count, of, yes in zip(frame["trials"], judged, known & drawn, strict=True)
    ]
    kind = (
        pd.Series("observed" if live else "computed", index=frame.index).mask(drawn, "estimated").mask(judged == 0, "unknown")
    )
    return pd.DataFrame(
        {
            **{name: frame[name] for name in keys},
            "trials": frame["trials"].astype("int64"),
            "of": total.astype("int64"),
            "judged": judged.astype("int64"),
            "share": (frame["trials"] / judged).where(known),
            "low": [low for low, _ in bounds],
            "high": [high for _, high in bounds],
            "kind": kind,
            "bad": frame["bad"].astype("int64"),
            "ties": frame["ties"].astype("int64"),
        }
    )


def counted(folder: Path, column: str) -> dict[str, int]:
    """Return the number of rows for each value of a text column, without empty texts."""
    found: dict[str, int] = {}
    for file in parts(folder):
        with _readable(file):
            values = pq.read_table(file, columns=[column])[column].to_pylist()
        for value in values:
            if value:
                found[value] = found.get(value, 0) + 1
    return found
