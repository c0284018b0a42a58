"""Many trials: every session of a grid simulated, judged and written down, one row each.

The folder is the artefact: recordings and `run.json` first, then `trials.csv`. The same spec gives the same bytes of
trials. What a sweep cannot show is what the virtual engine cannot show.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd
from tqdm import tqdm

from voicerace.engines.session import Session
from voicerace.engines.virtual import simulate, ties
from voicerace.errors import InputError
from voicerace.parameters import Fixed
from voicerace.plots import alt_outcome, plot_outcome, to_image
from voicerace.recording import Recording, read_recordings
from voicerace.sweep_folder import (
    PICTURES,
    RECORDINGS,
    RUN,
    TRIALS,
    commit,
    new_folder,
    point_latest,
    read_run,
    utc_now,
    versions,
    write_text,
)
from voicerace.sweep_spec import SweepSpec, sessions
from voicerace.tables.profiles import TIMES
from voicerace.tables.releases import PROXIES
from voicerace.units import ms
from voicerace.verdict import judge

__all__ = ["Run", "SweepSpec", "sweep", "trials_of"]

_SCHEMA: Final = 1
#: In a sweep of more trials than `keep`: recordings kept of each story and outcome.
_PER_OUTCOME: Final = 3
_WORDS: Final = ("release", "component", "scenario", "handler", "modality", "profile", "knobs", "drawn")
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
    "recording": "str",
}


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
            trials = _read_trials(folder / TRIALS)
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
    """The trials of a sweep without a folder: for a slider, a test, a quick look. See `Run.trials`."""
    spec = spec if isinstance(spec, SweepSpec) else SweepSpec(**spec)
    return _frame([row for row, _ in _trials(spec, progress)])


def sweep(spec: SweepSpec | Mapping[str, Any], out: Path | str | None = None, progress: bool = True) -> Run:
    """Run a grid of sessions and write it down.

    Recordings: all, when there are at most `spec.keep` trials; else, of every outcome of every story (release,
    scenario, handler, modality, calls), the first three, a tie being an outcome of its own. `run.json` says which.

    Args:
        spec: a `SweepSpec`, or its fields.
        out: the folder; without one ``runs/<UTC time>-<hash>``, and ``runs/latest`` points to it afterwards.
        progress: a bar on standard error.

    Raises:
        InputError: the spec does not fit, or the folder is taken.
        KeyboardInterrupt: passed on, after what was done has been written.
    """
    spec = spec if isinstance(spec, SweepSpec) else SweepSpec(**spec)
    planned = sum(1 for _ in sessions(spec))
    with new_folder(out, spec.to_json()) as folder:
        info = _info(spec, planned)
        _write_info(folder, info)
        rows: list[dict[str, Any]] = []
        kept: Counter[tuple[Any, ...]] = Counter()
        try:
            for row, recording in _trials(spec, progress):
                story = tuple(row[name] for name in ("release", "scenario", "handler", "modality", "calls", "outcome"))
                kept[story, row["tie_outcome"]] += 1
                if planned <= spec.keep or kept[story, row["tie_outcome"]] <= _PER_OUTCOME:
                    row["recording"] = f"{len(rows):06d}-{row['release']}-{row['outcome']}.jsonl"
                    text = "".join(line + "\n" for line in recording.lines())
                    write_text(folder / RECORDINGS / row["recording"], text)
                rows.append(row)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"{len(rows)} of {planned} trials are kept in {folder}") from None
        finally:
            trials = _frame(rows)
            write_text(folder / TRIALS, trials.to_csv(index=False, lineterminator="\n"))
            _draw(folder, trials)
            info["recordings"]["kept"] = sum(bool(row["recording"]) for row in rows)
            info |= {"end": utc_now(), "complete": len(rows) == planned, "trials": {"planned": planned, "done": len(rows)}}
            _write_info(folder, info)
            if out is None:
                point_latest(folder)
    return Run(folder, info, trials)


def _draw(folder: Path, trials: pd.DataFrame) -> None:
    """The picture of a sweep along one time; a sweep of another shape has none."""
    axes = [name for name in TIMES if name in trials.columns and trials[name].nunique() > 1]
    if len(axes) != 1 or (trials["drawn"] != "").any():
        return
    kind, image = to_image(plot_outcome(trials, axes[0]), alt_outcome(trials, axes[0]))
    pictures = folder / PICTURES
    pictures.mkdir(exist_ok=True)
    (pictures / f"outcome.{'svg' if 'svg' in kind else 'png'}").write_bytes(image)


def _info(spec: SweepSpec, planned: int) -> dict[str, Any]:
    every = planned <= spec.keep
    return {
        "voicerace_run": _SCHEMA,
        "parameters": spec.to_json(),
        "versions": versions(),
        "commit": commit(),
        "seed": spec.seed,
        "clock": "virtual",
        "targets": {
            "proxy": [{"name": f"model:{tag}", "source": PROXIES[tag].source} for tag in spec.releases],
            "component": [{"name": spec.component or "each proxy's own"}],
            "upstream": [{"name": "mock"}],
        },
        "recordings": {
            "rule": "all" if every else f"the first {_PER_OUTCOME} of each outcome of each story",
            "kept": 0,
        },
        "trials": {"planned": planned, "done": 0},
        "start": utc_now(),
        "end": None,
        "complete": False,
    }


def _write_info(folder: Path, info: Mapping[str, Any]) -> None:
    write_text(folder / RUN, json.dumps(info, indent=2, ensure_ascii=False) + "\n")


# -- trials ----------------------------------------------------------------------------------------------------------


def _trials(spec: SweepSpec, progress: bool) -> Iterator[tuple[dict[str, Any], Recording]]:
    planned = list(sessions(spec))
    with tqdm(planned, desc="sweep", unit="trial", file=sys.stderr, disable=not progress) as bar:
        for trial, session in bar:
            if spec.ties:
                recording, tie = ties(session, lambda each: judge(each).outcome)
            else:
                recording, tie = simulate(session), None
            yield _row(trial, session, recording, tie), recording


def _row(trial: int, session: Session, recording: Recording, tie: str | None) -> dict[str, Any]:
    verdict = judge(recording)
    turn = verdict.turn
    provenance = session.provenance()
    drawn = [name for name, value in session.times.values.items() if not isinstance(value, Fixed)]
    row: dict[str, Any] = {name: provenance[name] for name in ("release", "component", "scenario", "handler", "modality")}
    row |= {
        "calls": session.calls,
        "profile": session.profile,
        "knobs": ",".join(f"{name}={value}" for name, value in sorted(provenance["knobs"].items())),
    }
    for name in TIMES:
        has = session.times.has(name)
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
        "recording": "",
    }
    for name in ("response_creates", "refusals", "host_errors", "replies", "margin_ms", "lead_ms", "dead_air_ms"):
        row[name] = getattr(turn, name) if turn is not None else None
    return row


def _further_calls(session: Session) -> dict[str, float]:
    """Per-call times of the second call on, where they can differ from the first's: ``tool_ms_2`` and so on."""
    found = {}
    for name, value in session.times.values.items():
        if TIMES[name].per_call and not (isinstance(value, Fixed) and len(value.values_ns) == 1):
            for index in range(1, session.calls):
                found[f"{name}_{index + 1}"] = ms(session.times.ns(name, index, session.seed))
    return found


def _frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a frame whose columns and types do not depend on what was found."""
    extra = sorted({name for row in rows for name in row if name.rpartition("_")[2].isdigit()})
    types = _types(extra)
    columns: dict[str, pd.Series[Any]] = {
        name: pd.Series([row.get(name) for row in rows], dtype=kind) for name, kind in types.items()
    }
    return pd.DataFrame(columns)


def _types(extra: Sequence[str] = ()) -> dict[str, str]:
    """Column -> pandas type, in the order of the columns."""
    before = ("release", "component", "scenario", "handler", "modality")
    types = dict.fromkeys(before, "str") | {"calls": "int64", "profile": "str", "knobs": "str"}
    types |= dict.fromkeys(TIMES, "float64") | dict.fromkeys(extra, "float64")
    return types | {"drawn": "str", "trial": "int64", "seed": "int64"} | _FOUND


def _read_trials(path: Path) -> pd.DataFrame:
    with path.open(encoding="utf-8", newline="") as file:
        header = file.readline().rstrip("\n").split(",")
        extra = [name for name in header if name.rpartition("_")[2].isdigit()]
        types = _types(extra)
        if missing := set(types) - set(header):
            raise KeyError(f"no column {', '.join(sorted(missing))}")
        file.seek(0)
        frame = pd.read_csv(file, dtype=types, keep_default_na=False, na_values=[""])
    for name in ("knobs", "drawn", "recording"):
        frame[name] = frame[name].fillna("")
    return pd.DataFrame(frame[list(types)])
