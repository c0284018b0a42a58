"""What running proxies were seen to do, as it lies in data/conformance: the rows that fit a sweep of the model."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from voicerace.errors import InputError
from voicerace.experiments.sweep.trials import OPTIONAL
from voicerace.files import shipped
from voicerace.model.catalog.profiles import TIMES

__all__ = ["real_sessions"]

_SETTINGS = ("scenario", "handler", "modality", "calls")
#: How long one waits for a lost session changes nothing that happened before.
_NOT_COMPARED = frozenset({"deadline_ms"})


def real_sessions(trials: pd.DataFrame, axis: str = "tool_ms", folder: Path | None = None) -> pd.DataFrame:
    """Sessions of running proxies under the settings of a sweep, wherever they lie on its axis.

    Args:
        trials: of the model; all settings but `axis` and the release are taken from it.
        axis: the time that may differ.
        folder: of the tables; the project's own by default.

    Returns:
        One row per session: release, source, handler, the axis in ms, outcome, model_outcome, messages, differences; empty when
        none fits. Sessions whose tool failed, or whose upstream had a knob turned, are left out.

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
    """Where a column has one of the wanted values; nothing equals nothing, numbers compare as numbers."""
    values = pd.Series(wanted)
    if pd.api.types.is_numeric_dtype(values):
        numbers = pd.to_numeric(column, errors="coerce")
        return numbers.isin(values.dropna()) | (column.isna() & bool(values.isna().any()))
    return column.isin(values)
