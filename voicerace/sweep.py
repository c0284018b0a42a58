"""Many trials: every session of a grid played, judged and written down, one row each.

The folder is the artefact: `run.json` first, then chunk after chunk: its recordings, then its part of the table. A killed
sweep goes on where its table ends. In virtual time the same spec gives the same bytes, whoever played which chunk; live, a
trial also says what its delays came to. What a sweep cannot show is what its engine cannot.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pandas as pd
from tqdm import tqdm

from voicerace.chunks import SAMPLE, Work, chunk_count, chunk_size, file_word, played
from voicerace.engines.session import Session
from voicerace.errors import InputError
from voicerace.executors import Executor
from voicerace.files import write_bytes, write_text
from voicerace.recording import Recording
from voicerace.run import SCHEMA, Run
from voicerace.sweep_folder import (
    PICTURES,
    RECORDINGS,
    RUN,
    TABLE,
    commit,
    new_folder,
    old_folder,
    point_latest,
    resumed,
    untouched,
    utc_now,
    versions,
)
from voicerace.sweep_live import LiveSweep
from voicerace.sweep_spec import Plan, SweepSpec, assumed_of
from voicerace.sweep_table import SUMMARY, checked_rows, counted, part_bytes, parts, read_trials
from voicerace.tables.profiles import SERVER_TIMES, TIMES
from voicerace.tables.releases import PROXIES
from voicerace.trials import ACHIEVED, frame_of, row_of

__all__ = ["Run", "SweepSpec", "sweep", "trials_of"]

#: Trials that `trials_of` keeps in memory, and that a picture is drawn of.
_IN_MEMORY: Final = 200_000
_DRAWN: Final = 20_000


def trials_of(spec: SweepSpec | Mapping[str, Any], progress: bool = False) -> pd.DataFrame:
    """The trials of a sweep in virtual time without a folder: for a slider, a test, a quick look. See `Run.trials`.

    Raises:
        InputError: the spec does not fit, or is more than fits into memory.
    """
    spec = SweepSpec.of(spec)
    plan = Plan.of(spec)
    if len(plan) > _IN_MEMORY:
        raise InputError("times", f"{len(plan)} trials", f"at most {_IN_MEMORY} at once; a sweep writes more into a folder")
    rows = []
    with _bar(len(plan), 0, progress) as bar:
        for trial, session in plan:
            rows.append(row_of(trial, session, *played(session, with_ties=plan.ties)))
            bar.update()
    return frame_of(rows, plan.further_columns)


def sweep(
    spec: SweepSpec | Mapping[str, Any],
    out: Path | str | None = None,
    progress: bool = True,
    live: LiveSweep | None = None,
    resume: bool = False,
    executor: Executor | None = None,
) -> Run:
    """Run a grid of sessions and write it down.

    Recordings: of a live sweep all. In virtual time all, when there are at most `spec.keep` trials; else every finding
    (`Verdict.bad`) and a sample of the rest, which does not depend on anything else; any other is made again from its seed
    (`Run.again`). `run.json` says which.

    Args:
        spec: a `SweepSpec`, or its fields. A live sweep takes its releases from its targets.
        out: the folder; without one ``runs/<UTC time>-<hash>``, and ``runs/latest`` points to it afterwards.
        progress: a bar on standard error.
        live: play on real sockets against these targets, instead of in virtual time.
        resume: go on with the sweep in `out` that was stopped or killed; the spec and the targets have to be the same.
        executor: who plays it, in virtual time; without one, this process. It changes nothing in the folder.

    Raises:
        InputError: the spec does not fit, the folder is taken, or holds nothing to go on with.
        KeyboardInterrupt: passed on; the chunks that were done are kept.
    """
    spec = SweepSpec.of(spec)
    if live is not None:
        planned: Sequence[tuple[int, Session]] | Plan = live.planned(spec)
    else:
        planned = Plan.of(spec)
    if live is not None:
        if not resume:
            live.check(len(planned))
        live.sing()
    keep_all = live is not None or len(planned) <= spec.keep
    info = _info(spec, len(planned), live, keep_all)
    goes_on = resume and not (out is not None and untouched(Path(out)))
    with old_folder(out, info) if goes_on else new_folder(out, spec.to_json(), resumable=True) as folder:
        if goes_on:
            info |= resumed(folder)
        try:
            if isinstance(planned, Plan):
                _write_info(folder, info)
                _virtual(folder, Work(planned, keep_all), executor or Executor(), progress)
            else:
                assert live is not None  # noqa: S101  # what was planned is a list
                _live(folder, planned, live, info, progress, goes_on=goes_on)
        except KeyboardInterrupt:
            kept_in = f"{checked_rows(folder)} of {len(planned)} trials are kept in {folder}"
            raise KeyboardInterrupt(f"{kept_in}; the same command goes on with --resume --out {folder}") from None
        finally:
            run = _finished(folder, info, len(planned), spec, live)
            if out is None:
                point_latest(folder)
    return run


def _virtual(folder: Path, work: Work, executor: Executor, progress: bool) -> None:
    """Play the chunks that the table lacks."""
    trials = len(work.plan)
    size = chunk_size(trials)
    done = {int(file.stem) for file in parts(folder)}
    left = [number for number in range(chunk_count(trials)) if number not in done]
    before = trials - sum(min(size, trials - number * size) for number in left)
    with closing(executor.map(work, left)) as chunks, _bar(trials, before, progress) as bar:
        for chunk in chunks:
            for name, content in chunk.recordings.items():
                write_bytes(folder / RECORDINGS / name, content)
            # Last, because it says that the chunk is done.
            write_bytes(folder / TABLE / f"{chunk.number:06d}.parquet", chunk.part)
            bar.update(chunk.trials)


def _live(
    folder: Path,
    planned: Sequence[tuple[int, Session]],
    live: LiveSweep,
    info: dict[str, Any],
    progress: bool,
    *,
    goes_on: bool,
) -> None:
    """Play the sessions that have no recording yet; the table is one part, written at the end."""
    rows = _rows_of(folder, planned) if goes_on else {}
    left = [(number, each) for number, each in enumerate(planned) if number not in rows]
    if goes_on:
        live.check(len(left))
    _write_info(folder, info)
    sessions: Generator[tuple[int, Recording, str | None]] = live.played(left, len(planned), folder)
    try:
        with closing(sessions), _bar(len(planned), len(rows), progress) as bar:
            for number, recording, tie in sessions:
                row = rows[number] = row_of(*planned[number], recording, tie)
                row["recording"] = f"{number:06d}-{file_word(row['release'])}-{row['outcome']}.jsonl"
                write_text(folder / RECORDINGS / row["recording"], "".join(line + "\n" for line in recording.lines()))
                bar.update()
    finally:
        write_bytes(folder / TABLE / "000000.parquet", part_bytes([rows[number] for number in sorted(rows)]))


def _rows_of(folder: Path, planned: Sequence[tuple[int, Session]]) -> dict[int, dict[str, Any]]:
    """The trials that a stopped live sweep has done, by number.

    A killed one has no table, but every session that ended has its recording, which is judged again.
    """
    rows = {}
    for row in read_trials(folder).to_dict("records"):
        rows[int(row["recording"].partition("-")[0])] = {str(name): value for name, value in row.items()}
    for path in sorted((folder / RECORDINGS).glob("[0-9]*-*.jsonl")):
        number = int(path.name.partition("-")[0])
        if number not in rows and number < len(planned):
            rows[number] = row_of(*planned[number], Recording.read(path), None) | {"recording": path.name}
    return rows


def _finished(folder: Path, info: dict[str, Any], planned: int, spec: SweepSpec, live: LiveSweep | None) -> Run:
    """The summary, the picture and the end of `run.json`: of a sweep that is complete, or was stopped."""
    done = checked_rows(folder)
    info["recordings"]["kept"] = sum(counted(folder, "recording").values())
    info |= {"end": utc_now(), "complete": done == planned, "trials": {"planned": planned, "done": done}}
    run = Run(folder, info)
    write_text(folder / SUMMARY, run.outcomes.to_csv(index=False, lineterminator="\n"))
    if 0 < done <= _DRAWN:
        _draw(folder, run.trials, spec, live)
    _write_info(folder, info)
    return run


def _draw(folder: Path, trials: pd.DataFrame, spec: SweepSpec, live: LiveSweep | None) -> None:
    """The picture of a sweep along one time; a sweep of another shape has none.

    Live sessions stand where their delay came to, on what the models compute for the same grid.
    """
    axes = [name for name in TIMES if name in trials.columns and trials[name].nunique() > 1]
    if len(axes) != 1 or (trials["drawn"] != "").any():
        return
    axis, real = axes[0], None
    if live is not None and live.computable:
        real = trials.assign(**{axis: trials[f"{axis}_achieved"].fillna(trials[axis])}) if axis in ACHIEVED else trials
        times = spec.times | {axis: _one_further(sorted(trials[axis].unique()), spec.times[axis])}
        releases = tuple(dict.fromkeys(real["release"]))
        trials = trials_of(spec.model_copy(update={"releases": releases, "times": times, "ties": False}))
    # Here, because most sweeps have no picture, and a worker never: loading it takes a third of the time of a start.
    from voicerace.plots import alt_outcome, plot_outcome, to_image

    kind, image = to_image(plot_outcome(trials, axis, real), alt_outcome(trials, axis, real))
    pictures = folder / PICTURES
    pictures.mkdir(exist_ok=True)
    write_bytes(pictures / f"outcome.{'svg' if 'svg' in kind else 'png'}", image)


def _one_further(values: Sequence[float], text: str) -> str:
    """The grid and one step beyond it: what is asked for at the last value comes a little later."""
    step = values[-1] - values[-2]
    if ":" in text:
        return f"{values[0]}:{values[-1] + step}:{step}"
    return ",".join(map(str, [*values, values[-1] + step]))


def _info(spec: SweepSpec, planned: int, live: LiveSweep | None, keep_all: bool) -> dict[str, Any]:
    targets = {
        "proxy": [{"name": f"model:{tag}", "source": PROXIES[tag].source, "release": tag} for tag in spec.releases],
        "component": [{"name": spec.component or "each proxy's own"}],
        "upstream": [{"name": "mock"}],
    }
    assumed = assumed_of(spec)
    if live is not None and not live.mocked:
        assumed = {name: text for name, text in assumed.items() if name not in (*SERVER_TIMES, "upstream_rtt_ms")}
    return {
        "voicerace_run": SCHEMA,
        "parameters": spec.to_json(),
        "assumed": assumed,
        "versions": versions(),
        "commit": commit(),
        "seed": spec.seed,
        "clock": "virtual" if live is None else "monotonic",
        "targets": targets if live is None else targets | live.to_json(),
        "recordings": {
            "rule": "all" if keep_all else f"every finding, and about one in {SAMPLE} of the rest",
            "kept": 0,
        },
        "trials": {"planned": planned, "done": 0},
        "start": utc_now(),
        "end": None,
        "complete": False,
    }


def _write_info(folder: Path, info: Mapping[str, Any]) -> None:
    write_text(folder / RUN, json.dumps(info, indent=2, ensure_ascii=False) + "\n")


def _bar(total: int, done: int, progress: bool) -> Any:
    return tqdm(total=total, initial=done, desc="sweep", unit="trial", file=sys.stderr, disable=not progress)
