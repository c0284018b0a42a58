"""Selects the sessions of running proxies in data/conformance that have the settings of a sweep with the model."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from voicerace.errors import InputError
from voicerace.experiments.sweep.trials import OPTIONAL
from voicerace.files import shipped
from voicerace.model.catalog.profiles import TIMES

__all__ = ["real_sessions"]

_SETTINGS = ("scenario", "handler", "modality", "calls")
#: Times that may differ. The deadline has no effect on the events before it.
_NOT_COMPARED = frozenset({"deadline_ms"})


def real_sessions(trials: pd.DataFrame, axis: str = "tool_ms", folder: Path | None = None) -> pd.DataFrame:
    """Return the sessions of running proxies with the releases and settings of a sweep, at any value of the swept time.

    Args:
        trials: table of the model's sessions.
        axis: name of the swept time, which may differ.
        folder: folder with the tables; by default data/conformance.

    Returns:
        A table with one row per session: release, source, handler, the axis in ms, outcome, model_outcome, messages,
        differences. It can be empty. Sessions with a failing tool, a preamble or knobs are omitted.

    Raises:
        InputError: a table cannot be read.
    """
    columns = ["release", "source", "handler", axis, "outcome", "model_outcome", "messages", "differences"]
    rows = [_table(path) for path in sorted((folder or shipped("data/conformance")).glob("*.csv"))]
    if not rows or trials.empty:
        return pd.DataFrame(columns=columns)
    table = pd.concat(rows, ignore_index=True)
    fits = (table["tool_end"] == "result") & (table["knobs"] == "{}") & ~table["preamble"].eq(True)
    fits &= table["release"].isin(trials["release"].unique())
    for name in (*_SETTINGS, *(time for time in TIMES if time != axis and time not in _NOT_COMPARED)):
        fits &= _same(table[name], trials[name].unique())
    found = table.loc[fits, columns].assign(**{axis: pd.to_numeric(table.loc[fits, axis], errors="coerce")})
    return found.dropna(subset=[axis]).drop_duplicates().sort_values(["release", axis], ignore_index=True)


def _table(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(TIMES, "str"))
    except (OSError, ValueError) as error:
        raise InputError(str(path), str(error).splitlines()[0], "a table as `voicerace conformance` writes it") from None
    return table.assign(**dict.fromkeys(OPTIONAL - set(table.columns)))


def _same(column: pd.Series, wanted: object) -> pd.Series:
    """Return, for each element of a column, whether it equals the wanted value.

    Missing values are equal. Numbers compare as numbers.
    """
    values = pd.Series(wanted)
    if pd.api.types.is_numeric_dtype(values):
        numbers = pd.to_numeric(column, errors="coerce")
        return numbers.isin(values.dropna()) | (column.isna() & bool(values.isna().any()))
    return column.isin(values)
