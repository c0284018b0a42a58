"""Many trials: every session of a grid played, judged and written down, one row each.

The folder is the artefact: recordings and `run.json` first, then `trials.csv`. In virtual time the same spec gives the
same bytes of trials; live, a trial also says what its delays came to. What a sweep cannot show is what its engine cannot.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd
from tqdm import tqdm

from voicerace.engines.session import Session
from voicerace.engines.virtual import simulate, ties
from voicerace.errors import InputError
from voicerace.plots import alt_outcome, plot_outcome, to_image
from voicerace.recording import Recording, read_recordings
from voicerace.sweep_folder import (
    PICTURES,
    RECORDINGS,
    RUN,
    TRIALS,
    commit,
    new_folder,
    old_folder,
    point_latest,
    read_run,
    resumed,
    utc_now,
    versions,
    write_text,
)
from voicerace.sweep_live import LiveSweep
from voicerace.sweep_spec import SweepSpec, sessions
from voicerace.tables.profiles import TIMES
from voicerace.tables.releases import PROXIES
from voicerace.trials import ACHIEVED, frame_of, read_trials, row_of
from voicerace.verdict import judge

__all__ = ["Run", "SweepSpec", "sweep", "trials_of"]

_SCHEMA: Final = 1
#: In a sweep of more trials than `keep`: recordings kept of each story and outcome.
_PER_OUTCOME: Final = 3
_STORY: Final = ("release", "scenario", "handler", "modality", "calls", "outcome", "tie_outcome")


@dataclass(frozen=True)
class Run:
    """A finished, or interrupted, run.

    Attributes:
        folder: where it is.
        info: `run.json`: parameters, versions, commit, seed, clock, targets, start, end, how many trials of how many.
        trials: one row per trial; times in ms. A drawn time's column is the session's first draw of it, and the time
            is named in ``drawn``. A per-call time that differs from call to call has further columns, ``tool_ms_2``...
    """

    folder: Path
    info: Mapping[str, Any]
    trials: pd.DataFrame

    @property
    def complete(self) -> bool:
        """False when the sweep was stopped before its last trial."""
        return bool(self.info["complete"])

    @classmethod
    def open(cls, path: Path | str) -> Run:
        """Read a run folder.

        Raises:
            InputError: `path` is no run folder, its sweep never ended, or its table does not fit its `run.json`.
        """
        folder = Path(path)
        info = read_run(folder)
        if info["voicerace_run"] != _SCHEMA:
            raise InputError(str(folder), f"run schema {info['voicerace_run']!r}", f"this version reads {_SCHEMA}")
        if info.get("end") is None:
            raise InputError(str(folder), "the sweep has not ended", "a run with its table")
        try:
            trials = read_trials(folder / TRIALS)
        except OSError as error:
            raise InputError(str(folder), f"{TRIALS}: {error.strerror}", "a run with its table") from None
        except (KeyError, ValueError) as error:
            raise InputError(str(folder), f"{TRIALS}: {error}", "the table as the sweep wrote it") from None
        if len(trials) != info["trials"]["done"]:
            raise InputError(str(folder), f"{len(trials)} trials, {info['trials']['done']} were done", "the table as written")
        return cls(folder, info, trials)

    def recording(self, name: str) -> Recording:
        """The recording that a row names in its column ``recording``.

        Raises:
            InputError: no such recording was kept.
        """
        if not name or Path(name).name != name:
            raise InputError("recording", f"{name!r} was not kept", "a name of the column recording")
        return read_recordings(self.folder / RECORDINGS / name)[0]


def trials_of(spec: SweepSpec | Mapping[str, Any], progress: bool = False) -> pd.DataFrame:
    """The trials of a sweep in virtual time without a folder: for a slider, a test, a quick look. See `Run.trials`."""
    spec = spec if isinstance(spec, SweepSpec) else SweepSpec(**spec)
    planned = list(sessions(spec))
    played = _simulated(list(enumerate(planned)), spec.ties)
    bar = _with_bar(played, len(planned), 0, progress)
    return frame_of([row_of(*planned[number], recording, tie) for number, recording, tie in bar])


def sweep(
    spec: SweepSpec | Mapping[str, Any],
    out: Path | str | None = None,
    progress: bool = True,
    live: LiveSweep | None = None,
    resume: bool = False,
) -> Run:
    """Run a grid of sessions and write it down.

    Recordings: of a live sweep all. In virtual time all, when there are at most `spec.keep` trials; else, of every
    outcome of every story (release, scenario, handler, modality, calls), the first three, a tie being an outcome of its
    own. `run.json` says which.

    Args:
        spec: a `SweepSpec`, or its fields. A live sweep takes its releases from its targets.
        out: the folder; without one ``runs/<UTC time>-<hash>``, and ``runs/latest`` points to it afterwards.
        progress: a bar on standard error.
        live: play on real sockets against these targets, instead of in virtual time.
        resume: go on with the sweep in `out` that was stopped; the spec and the targets have to be the same.

    Raises:
        InputError: the spec does not fit, the folder is taken, or holds nothing to go on with.
        KeyboardInterrupt: passed on, after what was done has been written.
    """
    spec = spec if isinstance(spec, SweepSpec) else SweepSpec(**spec)
    planned = live.planned(spec) if live is not None else list(sessions(spec))
    if live is not None and not resume:
        live.check(len(planned))
    keep_all = live is not None or len(planned) <= spec.keep
    info = _info(spec, len(planned), live, keep_all)
    with old_folder(out, info) if resume else new_folder(out, spec.to_json()) as folder:
        rows = _rows_of(folder, planned, live) if resume else {}
        left = [(number, each) for number, each in enumerate(planned) if number not in rows]
        if live is not None and resume:
            live.check(len(left))
        if resume:
            info |= resumed(folder)
        kept = Counter(tuple(row[name] for name in _STORY) for row in rows.values())
        _write_info(folder, info)
        played = live.played(left, len(planned), folder) if live is not None else _simulated(left, spec.ties)
        try:
            with closing(played):
                for number, recording, tie in _with_bar(played, len(planned), len(rows), progress):
                    row = rows[number] = row_of(*planned[number], recording, tie)
                    story = tuple(row[name] for name in _STORY)
                    kept[story] += 1
                    if keep_all or kept[story] <= _PER_OUTCOME:
                        row["recording"] = f"{number:06d}-{_file_word(row['release'])}-{row['outcome']}.jsonl"
                        text = "".join(line + "\n" for line in recording.lines())
                        write_text(folder / RECORDINGS / row["recording"], text)
        except KeyboardInterrupt:
            kept_in = f"{len(rows)} of {len(planned)} trials are kept in {folder}"
            raise KeyboardInterrupt(f"{kept_in}; the same command goes on with --resume --out {folder}") from None
        finally:
            trials = frame_of([rows[number] for number in sorted(rows)])
            write_text(folder / TRIALS, trials.to_csv(index=False, lineterminator="\n"))
            _draw(folder, trials, spec, live)
            info["recordings"]["kept"] = sum(bool(row["recording"]) for row in rows.values())
            counts = {"planned": len(planned), "done": len(rows)}
            info |= {"end": utc_now(), "complete": len(rows) == len(planned), "trials": counts}
            _write_info(folder, info)
            if out is None:
                point_latest(folder)
    return Run(folder, info, trials)


def _rows_of(folder: Path, planned: Sequence[tuple[int, Session]], live: LiveSweep | None) -> dict[int, dict[str, Any]]:
    """The trials that a stopped sweep has done, by number.

    A killed live sweep has no table, but every session that ended has its recording, which is judged again.
    """
    try:
        done = read_trials(folder / TRIALS).to_dict("records")
    except FileNotFoundError:
        done = []
    except (OSError, KeyError, ValueError) as error:
        raise InputError(str(folder), f"{TRIALS}: {error}", "the table as the sweep wrote it") from None
    named = [{str(name): value for name, value in row.items()} for row in done]
    if live is None:
        return dict(enumerate(named))
    rows = {int(row["recording"].partition("-")[0]): row for row in named}
    for path in sorted((folder / RECORDINGS).glob("[0-9]*-*.jsonl")):
        number = int(path.name.partition("-")[0])
        if number not in rows and number < len(planned):
            rows[number] = row_of(*planned[number], Recording.read(path), None) | {"recording": path.name}
    return rows


def _file_word(release: str) -> str:
    return "".join(char if char.isalnum() or char in ".-" else "-" for char in release)


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
        trials = trials_of(spec.model_copy(update={"releases": tuple(dict.fromkeys(real["release"])), "ties": False}))
    kind, image = to_image(plot_outcome(trials, axis, real), alt_outcome(trials, axis, real))
    pictures = folder / PICTURES
    pictures.mkdir(exist_ok=True)
    (pictures / f"outcome.{'svg' if 'svg' in kind else 'png'}").write_bytes(image)


def _info(spec: SweepSpec, planned: int, live: LiveSweep | None, keep_all: bool) -> dict[str, Any]:
    targets = {
        "proxy": [{"name": f"model:{tag}", "source": PROXIES[tag].source, "release": tag} for tag in spec.releases],
        "component": [{"name": spec.component or "each proxy's own"}],
        "upstream": [{"name": "mock"}],
    }
    return {
        "voicerace_run": _SCHEMA,
        "parameters": spec.to_json(),
        "versions": versions(),
        "commit": commit(),
        "seed": spec.seed,
        "clock": "virtual" if live is None else "monotonic",
        "targets": targets if live is None else targets | live.to_json(),
        "recordings": {
            "rule": "all" if keep_all else f"the first {_PER_OUTCOME} of each outcome of each story",
            "kept": 0,
        },
        "trials": {"planned": planned, "done": 0},
        "start": utc_now(),
        "end": None,
        "complete": False,
    }


def _write_info(folder: Path, info: Mapping[str, Any]) -> None:
    write_text(folder / RUN, json.dumps(info, indent=2, ensure_ascii=False) + "\n")


_Played = Iterator[tuple[int, Recording, str | None]]


def _simulated(
    left: Sequence[tuple[int, tuple[int, Session]]], with_ties: bool
) -> Generator[tuple[int, Recording, str | None]]:
    for number, (_, session) in left:
        if with_ties:
            yield number, *ties(session, lambda each: judge(each).outcome)
        else:
            yield number, simulate(session), None


def _with_bar(played: _Played, total: int, done: int, progress: bool) -> _Played:
    with tqdm(total=total, initial=done, desc="sweep", unit="trial", file=sys.stderr, disable=not progress) as bar:
        for each in played:
            yield each
            bar.update()
