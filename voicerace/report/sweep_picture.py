"""Draw the picture in a sweep's folder: outcomes along the swept time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from voicerace.experiments.sweep.folder import PICTURES
from voicerace.experiments.sweep.result import SweepResult
from voicerace.experiments.sweep.spec import SweepSpec
from voicerace.experiments.sweep.sweep import trials_of
from voicerace.experiments.sweep.trials import ACHIEVED
from voicerace.files import write_bytes
from voicerace.model.catalog.profiles import FORWARDER_TIMES, TIMES
from voicerace.report.images import image_of
from voicerace.report.plots import alt_outcome, plot_outcome

__all__ = ["draw_sweep"]

#: Maximum number of trials in a picture.
_DRAWN: Final = 20_000


def draw_sweep(run: SweepResult, *, computable: bool = False) -> None:
    """Write ``pictures/outcome.svg`` (a PNG if large) for a sweep over one time. Other sweeps have no picture.

    Args:
        run: a sweep.
        computable: whether the sweep was live against programs that have models. The live sessions are then drawn at their
            achieved delays, over the models' outcomes on the same grid.
    """
    if not 0 < run.info["trials"]["done"] <= _DRAWN:
        return
    trials = run.trials
    axes = [name for name in (*TIMES, *FORWARDER_TIMES) if name in trials.columns and trials[name].nunique() > 1]
    if len(axes) != 1 or (trials["drawn"] != "").any():
        return
    axis, real = axes[0], None
    if computable:
        spec = SweepSpec.of(run.info["parameters"])
        real = trials.assign(**{axis: trials[f"{axis}_achieved"].fillna(trials[axis])}) if axis in ACHIEVED else trials
        times = spec.times | {axis: _one_further(sorted(trials[axis].unique()), spec.times[axis])}
        releases = tuple(dict.fromkeys(real["release"]))
        trials = trials_of(spec.model_copy(update={"releases": releases, "times": times, "ties": False}))
    kind, image = image_of(partial(plot_outcome, trials, axis, real), alt_outcome(trials, axis, real))
    pictures = run.folder / PICTURES
    pictures.mkdir(exist_ok=True)
    write_bytes(pictures / f"outcome.{'svg' if 'svg' in kind else 'png'}", image)


def _one_further(values: Sequence[float], text: str) -> str:
    """Return the grid with one more step, because achieved delays can exceed the last value."""
    step = values[-1] - values[-2]
    if ":" in text:
        return f"{values[0]}:{values[-1] + step}:{step}"
    return ",".join(map(str, [*values, values[-1] + step]))
