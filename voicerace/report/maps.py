"""Compute the trials of the map of delay against gap: a grid, and an additional column at the published gap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from voicerace.experiments.executors import Executor
from voicerace.experiments.sweep.sweep import trials_of
from voicerace.report.notebook.parameters import DelaySweepParameters
from voicerace.report.plots.gap_map import observed_gap_ms

__all__ = ["map_trials"]


def map_trials(
    parameters: DelaySweepParameters, settings: Mapping[str, Any], progress: bool = False, executor: Executor | None = None
) -> pd.DataFrame:
    """Return the trials of the map: one session per release, gap and delay. `result_cache` stores them.

    Args:
        parameters: the parameters of the notebook; `releases` and `map_times` are used.
        settings: other fields of `SweepSpec`.
        progress, executor: see `trials_of`.
    """
    spec = {"releases": parameters.releases, "ties": False, **settings}
    grid = trials_of({**spec, "times": parameters.map_times}, progress, cached=True, executor=executor)
    if (published := observed_gap_ms()) in set(grid["gap_ms"]):
        return grid
    column = trials_of({**spec, "times": {**parameters.map_times, "gap_ms": f"{published:g}"}}, cached=True)
    return pd.concat([grid, column], ignore_index=True)
