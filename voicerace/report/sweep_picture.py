"""Draw the pictures in a sweep's folder: outcomes along the swept time, or a map of two swept times."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

import pandas as pd

from voicerace.experiments.sweep.folder import PICTURES
from voicerace.experiments.sweep.result import SweepResult
from voicerace.experiments.sweep.spec import SweepSpec
from voicerace.experiments.sweep.sweep import trials_of
from voicerace.experiments.sweep.trials import ACHIEVED
from voicerace.files import write_bytes
from voicerace.model.catalog.profiles import FORWARDER_TIMES, TIMES
from voicerace.report.images import image_of
from voicerace.report.plots import alt_outcome, plot_outcome
from voicerace.report.plots.gap_map import alt_map, plot_map

__all__ = ["draw_sweep"]

#: Maximum number of trials in a picture.
_DRAWN: Final = 20_000


def draw_sweep(run: SweepResult, *, computable: bool = False) -> None:
    """Write the pictures of a sweep: ``outcome`` over one time, or ``map-RELEASE`` over two, as SVG (as PNG if large).

    Sweeps over more times, or with drawn times, have no picture. Neither has a sweep over two times with several sessions at
    the same two times of a release.

    Args:
        run: a sweep.
        computable: whether the sweep was live against programs that have models. The live sessions are then drawn at their
            achieved delays, over the models' outcomes on the same grid.
    """
    if not 0 < run.info["trials"]["done"] <= _DRAWN:
        return
    trials = run.trials
    axes = [name for name in (*TIMES, *FORWARDER_TIMES) if name in trials.columns and trials[name].nunique() > 1]
    if not 1 <= len(axes) <= 2 or (trials["drawn"] != "").any():
        return
    if len(axes) == 2:
        _draw_maps(run, trials, axes)
        return
    axis, real = axes[0], None
    if computable:
        spec = SweepSpec.of(run.info["parameters"])
        real = trials.assign(**{axis: trials[f"{axis}_achieved"].fillna(trials[axis])}) if axis in ACHIEVED else trials
        times = spec.times | {axis: _one_further(sorted(trials[axis].unique()), spec.times[axis])}
        releases = tuple(dict.fromkeys(real["release"]))
        trials = trials_of(spec.model_copy(update={"releases": releases, "times": times, "ties": False}))
    _write(run, "outcome", image_of(partial(plot_outcome, trials, axis, real), alt_outcome(trials, axis, real)))


def _draw_maps(run: SweepResult, trials: pd.DataFrame, axes: Sequence[str]) -> None:
    """Draw one map per release."""
    if trials.duplicated(["release", *axes]).any():
        return
    x, y = sorted(axes, key=lambda name: name != "gap_ms")
    for release in dict.fromkeys(trials["release"]):
        alt = alt_map(trials, x, y, release)
        _write(run, f"map-{release}", image_of(partial(plot_map, trials, x, y, release), alt))


def _write(run: SweepResult, name: str, image: tuple[str, bytes]) -> None:
    pictures = run.folder / PICTURES
    pictures.mkdir(exist_ok=True)
    write_bytes(pictures / f"{name}.{'svg' if 'svg' in image[0] else 'png'}", image[1])


def _one_further(values: Sequence[float], text: str) -> str:
    """Return the grid with one more step, because achieved delays can exceed the last value."""
    step = values[-1] - values[-2]
    if ":" in text:
        return f"{values[0]}:{values[-1] + step}:{step}"
    return ",".join(map(str, [*values, values[-1] + step]))
