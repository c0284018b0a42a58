"""Plays and judges every session of a grid, and writes one row per session.

`run.json` is written first, then the recordings and the part of the table of each chunk. A killed sweep can be resumed without
replaying complete parts. In virtual time, equal specs give equal bytes with any executor. Live trials also have achieved times.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pandas as pd
from tqdm import tqdm

from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError, stopped
from voicerace.experiments.checksums import Checksums
from voicerace.experiments.executors import Executor
from voicerace.experiments.result_cache import cached_map
from voicerace.experiments.sweep.chunks import SAMPLE, Rows, Work, chunk_count, chunk_size, file_word
from voicerace.experiments.sweep.folder import (
    RECORDINGS,
    RUN,
    TABLE,
    commit,
    new_folder,
    old_folder,
    point_latest,
    read_sweep,
    resumed,
    untouched,
    utc_now,
    versions,
)
from voicerace.experiments.sweep.live import LiveSweep
from voicerace.experiments.sweep.result import SCHEMA, SweepResult
from voicerace.experiments.sweep.resume import done_chunks, done_rows, verified
from voicerace.experiments.sweep.spec import Plan, SweepSpec, assumed_of, request_of
from voicerace.experiments.sweep.table import SUMMARY, checked_rows, counted, part_bytes, parts
from voicerace.experiments.sweep.trials import frame_of, row_of
from voicerace.files import write_text
from voicerace.model.catalog.profiles import SERVER_TIMES
from voicerace.model.catalog.releases import PROXIES
from voicerace.trace.recording import Recording

__all__ = ["SweepResult", "SweepSpec", "play_ahead", "sweep", "trials_of"]

#: Maximum number of trials that `trials_of` plays.
_IN_MEMORY: Final = 200_000


def trials_of(
    spec: SweepSpec | Mapping[str, Any], progress: bool = False, *, cached: bool = False, executor: Executor | None = None
) -> pd.DataFrame:
    """Play a sweep in virtual time without a run folder, and return its trials (see `SweepResult.trials`).

    Args:
        spec: a `SweepSpec`, or its fields.
        progress: whether to show a progress bar on standard error.
        cached: whether to use `result_cache`.
        executor: plays the chunks; None for this process.

    Raises:
        InputError: the spec is invalid, or has more than `_IN_MEMORY` trials.
    """
    spec = SweepSpec.of(spec)
    plan = Plan.of(spec)
    if len(plan) > _IN_MEMORY:
        raise InputError("times", f"{len(plan)} trials", f"at most {_IN_MEMORY} at once; a sweep writes more into a folder")
    chunks: dict[int, list[dict[str, Any]]] = {}
    requests = _requests("rows", spec, range(chunk_count(len(plan))), cached)
    with closing(cached_map(Rows(plan), requests, executor)) as found, _bar(len(plan), 0, progress) as bar:
        for number, rows in found:
            chunks[number] = rows
            bar.update(len(rows))
    return frame_of([row for number in sorted(chunks) for row in chunks[number]], plan.further_columns)


def play_ahead(spec: SweepSpec | Mapping[str, Any]) -> None:
    """Play a sweep in virtual time and store its chunks in `result_cache`, for later use by a `sweep` with ``cached``.

    Raises:
        InputError: the spec is invalid.
    """
    spec = SweepSpec.of(spec)
    plan = Plan.of(spec)
    work = Work(plan, len(plan) <= spec.keep)
    for _ in cached_map(work, _requests("chunk", spec, range(chunk_count(len(plan))), cached=True)):
        pass


def _requests(kind: str, spec: SweepSpec, numbers: Iterable[int], cached: bool) -> dict[int, list[Any] | None]:
    """Return the requests for `cached_map`: by chunk number, everything that determines the chunk, or None."""
    request = request_of(spec) if cached else None
    return {number: None if request is None else [kind, request, number] for number in numbers}


def sweep(
    spec: SweepSpec | Mapping[str, Any],
    out: Path | str | None = None,
    progress: bool = True,
    live: LiveSweep | None = None,
    resume: bool = False,
    executor: Executor | None = None,
    cached: bool = False,
) -> SweepResult:
    """Play a grid of sessions, write the results to a run folder, and return them.

    A live sweep, and a sweep of at most `spec.keep` trials, keeps all recordings. Other sweeps keep recordings with bad
    outcomes (`Verdict.bad`) and a fixed sample of the other recordings. `SweepResult.again` reproduces a recording that is not
    kept. `run.json` contains this rule.

    Args:
        spec: a `SweepSpec`, or its fields. A live sweep uses the releases of its targets instead.
        out: the folder; None selects ``runs/<UTC time>-<hash>``, to which ``runs/latest`` then points.
        progress: whether to show a progress bar on standard error.
        live: targets of a live sweep, or None for a sweep in virtual time.
        resume: whether to continue the stopped or killed sweep in `out`, whose spec and targets must be equal. Changed files
            are reported on standard error, and their trials are replayed.
        executor: plays the chunks in virtual time; None for this process.
        cached: whether to use `result_cache` in virtual time.

    Raises:
        InputError: the spec is invalid, the folder is in use, or it has no sweep to resume.
        SweepStoppedError: the disk is full, a process was killed, or a target is lost. Finished trials are kept.
        SweepInterrupted: the user interrupted the sweep. Finished trials are kept.
    """
    spec = SweepSpec.of(spec)
    planned: Sequence[tuple[int, SessionConfig]] | Plan = Plan.of(spec) if live is None else live.planned(spec)
    keep_all = live is not None or len(planned) <= spec.keep
    info = _info(spec, len(planned), live, keep_all)
    resumes = resume and not (out is not None and untouched(Path(out)))
    if live is not None and not resumes:
        live.check(len(planned))
        live.run_sanity_check()
    with old_folder(out, info) if resumes else new_folder(out, spec.to_json(), resumable=True) as folder:
        checksums = verified(folder) if resumes else Checksums(folder)
        chunks = done_chunks(folder, planned) if isinstance(planned, Plan) else set()
        rows = done_rows(folder, planned) if resumes and not isinstance(planned, Plan) else {}
        if resumes:
            left = chunk_count(len(planned)) - len(chunks) if live is None else len(planned) - len(rows)
            if not left and read_sweep(folder)["complete"] and parts(folder):
                raise InputError(str(folder), "the sweep is complete", "one that was stopped")
            if live is not None:
                live.check(left)
                live.run_sanity_check()
            info |= resumed(folder)
        try:
            _write_info(folder, info)
            if isinstance(planned, Plan):
                to_play = [number for number in range(chunk_count(len(planned))) if number not in chunks]
                _virtual(checksums, Work(planned, keep_all), _requests("chunk", spec, to_play, cached), executor, progress)
            else:
                assert live is not None  # noqa: S101  # a live sweep plans a list
                _live(folder, checksums, planned, rows, live, progress)
            run = _finished(folder, checksums, info, len(planned))
        except BaseException as error:
            # Writing can fail, because the disk is full or the table is damaged.
            with contextlib.suppress(OSError, InputError):
                _finished(folder, checksums, info, len(planned))
            if isinstance(error, KeyboardInterrupt | InputError | OSError) and not isinstance(error, BrokenPipeError):
                raise stopped(error, folder, _kept(folder, live), len(planned)) from None
            raise
        finally:
            if out is None:
                point_latest(folder)
    return run


def _kept(folder: Path, live: LiveSweep | None) -> int:
    """Return the number of trials that ``--resume`` does not replay, without reading the recordings."""
    if live is not None:
        return sum(1 for _ in (folder / RECORDINGS).glob("[0-9]*-*.jsonl"))
    try:
        return checked_rows(folder)
    except InputError:
        return 0


def _virtual(checksums: Checksums, work: Work, left: Mapping[int, Any], executor: Executor | None, progress: bool) -> None:
    """Play the chunks `left` and write their recordings and parts."""
    trials = len(work.plan)
    size = chunk_size(trials)
    before = trials - sum(min(size, trials - number * size) for number in left)
    with closing(cached_map(work, left, executor)) as chunks, _bar(trials, before, progress) as bar:
        for _, chunk in chunks:
            files = {f"{RECORDINGS}/{name}": content for name, content in chunk.recordings.items()}
            # The part is written last, because its existence marks the chunk as done.
            checksums.write({**files, f"{TABLE}/{chunk.number:06d}.parquet": chunk.part})
            bar.update(chunk.trials)


def _live(
    folder: Path,
    checksums: Checksums,
    planned: Sequence[tuple[int, SessionConfig]],
    rows: dict[int, dict[str, Any]],
    live: LiveSweep,
    progress: bool,
) -> None:
    """Play the sessions without a row in `rows`, and add their rows. The table's only part is written at the end."""
    left = [(number, each) for number, each in enumerate(planned) if number not in rows]
    sessions: Generator[tuple[int, Recording, str | None]] = live.played(left, len(planned), folder)
    try:
        with closing(sessions), _bar(len(planned), len(rows), progress) as bar:
            for number, recording, tie in sessions:
                row = row_of(*planned[number], recording, tie)
                row["recording"] = f"{number:06d}-{file_word(row['release'])}-{row['outcome']}.jsonl"
                text = "".join(line + "\n" for line in recording.lines())
                checksums.write({f"{RECORDINGS}/{row['recording']}": text.encode()})
                rows[number] = row
                bar.update()
    finally:
        checksums.write({f"{TABLE}/000000.parquet": part_bytes([rows[number] for number in sorted(rows)])})


def _finished(folder: Path, checksums: Checksums, info: dict[str, Any], planned: int) -> SweepResult:
    """Write the summary and the final `run.json` of a complete or stopped sweep, and return its results."""
    checksums.finish()
    done = checked_rows(folder)
    info["recordings"]["kept"] = sum(counted(folder, "recording").values())
    info |= {"end": utc_now(), "complete": done == planned, "trials": {"planned": planned, "done": done}}
    run = SweepResult(folder, info)
    write_text(folder / SUMMARY, run.outcomes.to_csv(index=False, lineterminator="\n"))
    _write_info(folder, info)
    return run


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
