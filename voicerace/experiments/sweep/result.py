"""Reads a run's folder: its parameters, the table, and the recording of any trial, kept or reproduced."""

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
    """Results of a finished or interrupted sweep.

    Attributes:
        folder: the run folder.
        info: `run.json`: parameters, versions, commit, seed, clock, targets, start, end, numbers of trials.
    """

    folder: Path
    info: Mapping[str, Any]

    @property
    def complete(self) -> bool:
        """Whether all planned trials were played."""
        return bool(self.info["complete"])

    @cached_property
    def trials(self) -> pd.DataFrame:
        """Table with one row per trial and times in ms.

        Use `columns` for a very large run. The column of a drawn time contains
        the session's first draw, and the column ``drawn`` contains the names of drawn times. A per-call time with different
        values has further columns, ``tool_ms_2`` and so on.
        """
        return read_trials(self.folder)

    @cached_property
    def outcomes(self) -> pd.DataFrame:
        """Number of each outcome per cell (see `table.outcome_counts`)."""
        return outcome_counts(self.folder, self.axes, live=self.info["clock"] != "virtual")

    @cached_property
    def axes(self) -> list[str]:
        """Names of the times that were given as grids."""
        parameters = self.info["parameters"]
        return axes_of(parameters["times"], parameters["profile"])

    @property
    def assumed(self) -> Mapping[str, str]:
        """Profile values, by name, of the times that were not given."""
        found: Mapping[str, str] = self.info.get("assumed", {})
        return found

    def ranges(self) -> pd.DataFrame:
        """Return the outcomes per range of equal neighbouring cells (see `cell_ranges`)."""
        return cell_ranges(self.outcomes, self.axes, by_proxy=self.info["clock"] != "virtual")

    @property
    def all_alike(self) -> str | None:
        """Common outcome of all trials if there are several cells and only one outcome, else None."""
        found, per_cell = self.outcomes, int(self.info["parameters"].get("trials", 1))
        several = self.info["trials"]["done"] > per_cell
        return str(found["outcome"].iloc[0]) if several and found["outcome"].nunique() == 1 else None

    @cached_property
    def _checksums(self) -> dict[str, str] | None:
        return listed(self.folder)

    def columns(self, *names: str) -> pd.DataFrame:
        """Read only the columns `names` of `trials`."""
        return read_trials(self.folder, names)

    @classmethod
    def open(cls, path: Path | str) -> SweepResult:
        """Read a run folder.

        Raises:
            InputError: `path` is not a run folder, its sweep has not ended, or its table is damaged or has a different number
                of rows than the number of trials played.
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
        """Return a recording by its name in the column ``recording``: ``FILE``, or ``FILE:INDEX`` in a file of several.

        Raises:
            InputError: the recording was not kept, or its file is damaged.
        """
        if not isinstance(name, str):
            raise InputError("recording", f"{name!r:.60} is a {type(name).__name__}", "a name of the column recording")
        file, _, index = name.partition(":")
        if not file or Path(file).name != file or not (index == "" or (index.isascii() and index.isdigit())):
            raise InputError("recording", f"{name!r} was not kept", "a name of the column recording, or `again`")
        refuse_damaged(self.folder, self._checksums, f"{RECORDINGS}/{file}")
        found = read_recordings(self.folder / RECORDINGS / file)
        if int(index or 0) >= len(found):
            raise InputError("recording", f"{name!r}: {file} holds {len(found)}", "a name of the column recording")
        return found[int(index or 0)]

    def recording_of(self, number: int) -> Recording:
        """Return the kept recording of trial `number` (its row in a complete run), else a recording reproduced by `again`.

        Raises:
            InputError: the row does not exist, or `again` raised it.
        """
        names = self.columns("recording")["recording"]
        if not len(names):
            raise InputError("trial", f"{number!r:.60}", f"{self.folder} holds no trials")
        number = whole_number("trial", number, 0, len(names) - 1)
        name = str(names.iloc[number])
        return self.recording(name) if name else self.again(number)

    def again(self, number: int) -> Recording:
        """Return the reproduced recording of trial `number` (its row in a complete run), with the same bytes.

        Raises:
            InputError: the trial does not exist, the run is live, or a time has values from a file, because such values are not
                kept.
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
