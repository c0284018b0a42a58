"""Converts trials to rows with parameters and results, and rows to a data frame whose columns have fixed types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import pandas as pd

from voicerace.analysis.verdict import judge
from voicerace.engine.session import SessionConfig
from voicerace.experiments.achieved_times import measurements
from voicerace.model.catalog.profiles import FORWARDER_TIMES, TIMES
from voicerace.model.parameters import Fixed
from voicerace.trace.recording import Recording
from voicerace.units import ms

__all__ = ["ACHIEVED", "frame_of", "row_of", "typed"]

#: Times whose first achieved value is in the row of a live trial (columns ``tool_ms_achieved``, ...). In virtual time, achieved
#: and configured values are equal, and the columns are empty.
ACHIEVED: Final = ("tool_ms", "gap_ms", "create_ms", "ack_ms")
_BEFORE: Final = ("release", "component", "scenario", "handler", "modality", "proxy", "upstream")
_FOUND: Final = {
    "outcome": "str",
    "tie_outcome": "str",
    "bad": "bool",
    "wedged": "boolean",
    "response_creates": "Int64",
    "refusals": "Int64",
    "host_errors": "Int64",
    "replies": "Int64",
    "session_updates": "Int64",
    "margin_ms": "float64",
    "lead_ms": "float64",
    "dead_air_ms": "float64",
    **{f"{name}_achieved": "float64" for name in ACHIEVED},
    "fault": "str",
    "recording": "str",
}


#: Columns that tables of earlier versions can lack, because those versions did not have the time.
OPTIONAL: Final = frozenset(name for name, time in TIMES.items() if time.optional)


def row_of(trial: int, session: SessionConfig, recording: Recording, tie: str | None) -> dict[str, Any]:
    """Return the row of trial number `trial` of a cell. The row of a live trial includes achieved times.

    For a proxy of an unknown release, the column ``release`` contains the name of the target.
    """
    verdict = judge(recording)
    turn = verdict.turn
    provenance = recording.provenance
    times = session.times.values.items()
    drawn = [name for name, value in times if not isinstance(value, Fixed) and name in provenance["times"]]
    row: dict[str, Any] = {name: provenance[name] for name in _BEFORE}
    row["release"] = row["release"] or provenance["proxy"]
    row |= {
        "calls": session.calls,
        "profile": session.profile,
        "knobs": ",".join(f"{name}={value}" for name, value in sorted(provenance["knobs"].items())),
    }
    for name in TIMES:
        # The times of a real upstream are unknown, because they are not configured.
        has = session.times.has(name) and name in provenance["times"]
        row[name] = ms(session.times.ns(name, 0, session.seed)) if has else float("nan")
    row |= _further_calls(session)
    row |= {
        "drawn": ",".join(drawn),
        "trial": trial,
        "seed": session.seed,
        "outcome": verdict.outcome,
        "tie_outcome": tie,
        "bad": verdict.bad,
        "wedged": verdict.wedged,
        "session_updates": verdict.session_updates,
        # A text from another program can contain an unpaired surrogate, which parquet cannot store.
        "fault": (verdict.fault or "").encode(errors="backslashreplace").decode(),
        "recording": "",
    }
    if recording.clock == "monotonic":
        first = {each.name: each.ns for each in measurements(recording) if each.index == 0}
        row |= {f"{name}_achieved": first[name] / 1_000_000 for name in ACHIEVED if name in first}
    for name in ("response_creates", "refusals", "host_errors", "replies", "margin_ms", "lead_ms", "dead_air_ms"):
        row[name] = getattr(turn, name) if turn is not None else None
    return row


def _further_calls(session: SessionConfig) -> dict[str, float]:
    """Return the forwarder's times, and the per-call times from the second call on if they can differ from the first call's,
    by column (``tool_ms_2``, ...)."""
    found = {}
    for name, value in session.times.values.items():
        if name in FORWARDER_TIMES:
            found[name] = ms(session.times.ns(name, 0, session.seed))
        if name in TIMES and TIMES[name].per_call and not (isinstance(value, Fixed) and len(value.values_ns) == 1):
            for index in range(1, session.calls):
                found[f"{name}_{index + 1}"] = ms(session.times.ns(name, index, session.seed))
    return found


def frame_of(rows: Sequence[Mapping[str, Any]], further: Iterable[str] = ()) -> pd.DataFrame:
    """Return rows as a data frame whose columns and types do not depend on the values.

    Args:
        rows: see `row_of`.
        further: names of columns of further calls and of the forwarder's times, in addition to the columns of the rows.
    """
    extra = sorted({*further, *(name for row in rows for name in row if _is_further(name))})
    types = _types(extra)
    columns: dict[str, pd.Series[Any]] = {
        name: pd.Series([row.get(name) for row in rows], dtype=kind) for name, kind in types.items()
    }
    return pd.DataFrame(columns)


def typed(frame: pd.DataFrame, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return a table that was read from a file, or some of its columns, with the column types of `frame_of`.

    Raises:
        KeyError: the table lacks a column.
        ValueError, TypeError: a value has the wrong type.
    """
    frame = frame.assign(**dict.fromkeys(OPTIONAL - set(frame.columns), float("nan")))
    types = _types([str(name) for name in frame.columns if _is_further(str(name))])
    wanted = list(types) if columns is None else list(columns)
    if missing := set(wanted) - set(frame.columns):
        raise KeyError(f"no column {', '.join(sorted(missing))}")
    return frame[wanted].astype({name: types[name] for name in wanted})


def _is_further(name: str) -> bool:
    return name.rpartition("_")[2].isdigit() or name in FORWARDER_TIMES


def _types(extra: Sequence[str] = ()) -> dict[str, str]:
    """Return the pandas type of each column, in the order of the columns."""
    types = dict.fromkeys(_BEFORE, "str") | {"calls": "int64", "profile": "str", "knobs": "str"}
    types |= dict.fromkeys(TIMES, "float64") | dict.fromkeys(extra, "float64")
    return types | {"drawn": "str", "trial": "int64", "seed": "int64"} | _FOUND
