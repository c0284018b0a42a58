"""A run's folder as it is read: what ran, the table, and any trial's recording, kept or made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import pandas as pd

from voicerace.engine.sim.virtual import simulate
from voicerace.errors import InputError
from voicerace.experiments.checksums import listed, refuse_damaged
from voicerace.experiments.sweep.cell_ranges import cell_ranges
from voicerace.experiments.sweep.folder import RECORDINGS, RUN, TABLE, read_run, read_sweep
from voicerace.experiments.sweep.spec import Plan, SweepSpec, axes_of
from voicerace.experiments.sweep.table import checked_rows, outcome_counts, read_trials
from voicerace.files import path_of
from voicerace.model.parameters import whole_number
from voicerace.trace.recording import Recording, read_recordings

__all__ = ["SCHEMA", "SweepResult"]

SCHEMA: Final = 2


@dataclass(frozen=True)
class SweepResult:
    """A finished, or interrupted, run.

    Attributes:
        folder: where it is.
        info: `run.json`: parameters, versions, commit, seed, clock, targets, start, end, how many trials of how many.
    """

    folder: Path
    info: Mapping[str, Any]

    @property
    def complete(self) -> bool:
        """False when the sweep was stopped before its last trial."""
        return bool(self.info["complete"])

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per trial; times in ms. Read when first asked for; of a very large run see `columns`.

        A drawn time's column is the session's first draw of it, and the time is named in ``drawn``. A per-call time that
        differs from call to call has further columns, ``tool_ms_2``...
        """
        return read_trials(self.folder)

    @cached_property
    def outcomes(self) -> pd.DataFrame:
        """How often each outcome happened, per cell: see `sweep_table.outcome_counts`; read part by part."""
        return outcome_counts(self.folder, self.axes, live=self.info["clock"] != "virtual")

    @cached_property
    def axes(self) -> list[str]:
        """The times that were swept as grids."""
        parameters = self.info["parameters"]
        return axes_of(parameters["times"], parameters["profile"])

    @property
    def assumed(self) -> Mapping[str, str]:
        """The times that nobody gave: the values of the profile, which the results depend on."""
        found: Mapping[str, str] = self.info.get("assumed", {})
        return found

    def ranges(self) -> pd.DataFrame:
        """The outcomes with equal neighbouring cells as ranges, for people: see `cell_ranges`."""
        return cell_ranges(self.outcomes, self.axes, by_proxy=self.info["clock"] != "virtual")

    @property
    def all_alike(self) -> str | None:
        """The one outcome of every trial of a sweep with more than one cell; None where they differ."""
        found, per_cell = self.outcomes, int(self.info["parameters"].get("trials", 1))
        several = self.info["trials"]["done"] > per_cell
        return str(found["outcome"].iloc[0]) if several and found["outcome"].nunique() == 1 else None

    @cached_property
    def _checksums(self) -> dict[str, str] | None:
        return listed(self.folder)

    def columns(self, *names: str) -> pd.DataFrame:
        """The columns `names` of `trials`."""
        return read_trials(self.folder, names)

    @classmethod
    def open(cls, path: Path | str) -> SweepResult:
        """Read a run folder.

        Raises:
            InputError: `path` is no run folder, its sweep never ended, its table does not fit its `run.json`, or a part of
                the table is damaged (where the run has checksums).
        """
        folder = path_of("run", path)
        if (schema := read_run(folder)["voicerace_run"]) != SCHEMA:
            raise InputError(str(folder), f"run schema {schema!r}", f"this version reads {SCHEMA}")
        info = read_sweep(folder)
        if info.get("end") is None:
            raise InputError(str(folder), "the sweep has not ended", "a run with its table")
        refuse_damaged(folder, listed(folder), TABLE)
        if (rows := checked_rows(folder)) != info["trials"]["done"]:
            raise InputError(str(folder), f"{rows} trials, {info['trials']['done']} were done", "the table as written")
        return cls(folder, info)

    def recording(self, name: str) -> Recording:
        """The recording that a row names in its column ``recording``: a file, or ``FILE:PLACE`` in one of several.

        Raises:
            InputError: no such recording was kept, or its file is damaged.
        """
        if not isinstance(name, str):
            raise InputError("recording", f"{name!r:.60} is a {type(name).__name__}", "a name of the column recording")
        file, _, place = name.partition(":")
        if not file or Path(file).name != file or not (place == "" or (place.isascii() and place.isdigit())):
            raise InputError("recording", f"{name!r} was not kept", "a name of the column recording, or `again`")
        refuse_damaged(self.folder, self._checksums, f"{RECORDINGS}/{file}")
        found = read_recordings(self.folder / RECORDINGS / file)
        if int(place or 0) >= len(found):
            raise InputError("recording", f"{name!r}: {file} holds {len(found)}", "a name of the column recording")
        return found[int(place or 0)]

    def recording_of(self, number: int) -> Recording:
        """The recording of trial `number`, which is its row in a complete run: the one that was kept, else made again.

        Raises:
            InputError: no such row, or as `again`.
        """
        names = self.columns("recording")["recording"]
        if not len(names):
            raise InputError("trial", f"{number!r:.60}", f"{self.folder} holds no trials")
        number = whole_number("trial", number, 0, len(names) - 1)
        name = str(names.iloc[number])
        return self.recording(name) if name else self.again(number)

    def again(self, number: int) -> Recording:
        """The recording of trial `number` (its row, in a complete run) made again: the same bytes as when it was played.

        Raises:
            InputError: no such trial, a live run, or one whose values came from a file, which nobody kept.
        """
        if self.info["clock"] != "virtual":
            raise InputError("again", f"{self.folder} is live", "a sweep in virtual time; a live one keeps every recording")
        parameters = self.info["parameters"]
        if kept := [name for name, text in parameters["times"].items() if text.startswith("@")]:
            raise InputError("again", f"{kept[0]} was drawn from a file", "a sweep without values from a file")
        try:
            plan = Plan.of(SweepSpec(**parameters))
        except InputError as error:
            raise InputError(str(self.folder), f"{RUN}: {error.where}: {error.found}", error.allowed) from None
        number = whole_number("trial", number, 0, len(plan) - 1)
        ((_, session),) = plan.part(number, number + 1)
        return simulate(session)
