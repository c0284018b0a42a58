"""Compute and read the run of a letter: the folder of the delay sweep, with additional tables.

`letter/` contains one table per part, computed in virtual time. `letter.json` contains the parameters of each part, with which
every row can be computed again. The folder of a plain sweep has no parts.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import pandas as pd
from tqdm import tqdm

from voicerace.analysis.verdict import judge
from voicerace.conformance.hypotheses import suspicions
from voicerace.conformance.reported import Retrodiction, retrodict
from voicerace.conformance.reported_runs import REPORTED, Reported
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.errors import InputError
from voicerace.experiments.executors import Executor
from voicerace.experiments.result_cache import cached_map, folder_of_cache
from voicerace.experiments.sweep.chunks import uncollected
from voicerace.experiments.sweep.folder import fresh_folder
from voicerace.experiments.sweep.spec import Plan, SweepSpec
from voicerace.experiments.sweep.sweep import play_ahead as sweep_ahead
from voicerace.experiments.sweep.sweep import sweep, trials_of
from voicerace.experiments.workarounds import until_heard_ms
from voicerace.files import write_bytes, write_text
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.profiles import FIXED_NETWORK, RECORDED
from voicerace.model.catalog.releases import REFERENCE, component_for, proxy_release
from voicerace.model.catalog.workarounds import WORKAROUNDS, why_not
from voicerace.report.parameters import LetterParameters
from voicerace.report.plots.gap_map import observed_gap_ms
from voicerace.report.sweep_picture import draw_sweep
from voicerace.trace.recording import Recording

__all__ = [
    "GAP_MS",
    "PARTS",
    "again",
    "cures",
    "delay_spec",
    "make",
    "play_ahead",
    "read_part",
    "read_record",
    "retrodictions",
    "specs_of",
]

#: Gap of the delay sweep in ms. The map has a range of gaps.
GAP_MS: Final = 300
_MOST_MS: Final = 600
#: Times of the recorded sessions of running proxies, with the published gap. The reply is shorter than some tool times.
_STYLES: Final = {"tool_ms": "0:3000:500", "gap_ms": "8", "upstream_rtt_ms": "70", "reply_ms": "1500"}
#: Scenarios without user speech. Their times are drawn from recordings of the real API.
_SCENARIOS: Final = ("single", "parallel", "double", "chained", "inject")
_TOOLS_MS: Final = (50, 150, 300, 1000)
_GAPS_MS: Final = (8, 150, 300, 600)
#: Number of draws per documented run and gap.
_DOCUMENTED_DRAWS: Final = 20
#: Gap in ms that exceeds the wait of every workaround.
_LONG_GAP_MS: Final = 5_000
#: Name of a part -> description of its table.
PARTS: Final = {
    "map": "the outcome over gap and tool time",
    "reference": "the same with the reference gate",
    "styles": "handler styles, and how often the result is sent",
    "drawn": "other scenarios, their times drawn",
    "cures": "workarounds in the app",
}
_LETTER: Final = "letter.json"
_FOLDER: Final = "letter"


def specs_of(parameters: LetterParameters) -> dict[str, list[dict[str, Any]]]:
    """Return the sweep specifications of each part, by the part's name. `cures` is omitted, because it is not a sweep."""
    releases = parameters.played
    grid = f"0:{_MOST_MS}:{parameters.map_step_ms:g}"
    maps = [{"tool_ms": grid, "gap_ms": grid, **FIXED_NETWORK}]
    if observed_gap_ms() % parameters.map_step_ms:
        maps.append({"tool_ms": grid, "gap_ms": f"{observed_gap_ms():g}", **FIXED_NETWORK})
    every = {"ties": False, "seed": parameters.seed}
    drawn = {"scenarios": _SCENARIOS, "profile": RECORDED, "trials": parameters.draws}
    return {
        "map": [{**every, "releases": releases, "times": times} for times in maps],
        "reference": [{**every, "releases": (REFERENCE.tag,), "times": times} for times in maps],
        "styles": [{**every, "releases": releases, "handlers": tuple(HANDLERS), "times": _STYLES}],
        "drawn": [{**every, "releases": (*releases, REFERENCE.tag), **drawn}],
    }


def delay_spec(parameters: LetterParameters) -> dict[str, Any]:
    """Return the specification of the delay sweep, with one gap, one network, and ties."""
    times = {"tool_ms": f"0:{_MOST_MS - 100}:{parameters.step_ms:g}", "gap_ms": f"{GAP_MS}", **FIXED_NETWORK}
    return {"releases": parameters.played, "times": times, "seed": parameters.seed}


def make(parameters: LetterParameters, tick: Callable[[str], object] = lambda _: None) -> Path:
    """Compute the delay sweep and all parts, write them to a new folder, and return the folder.

    Args:
        parameters: the parameters of the letter; `out` is the folder.
        tick: function that is called with the name of each part before the part is computed.

    Raises:
        InputError: the folder is not empty, or a parameter is not valid.
    """
    folder = Path(parameters.out) if parameters.out else fresh_folder(Path("runs"), parameters.model_dump(mode="json"))
    play_ahead(parameters)
    tick("delay")
    draw_sweep(sweep(delay_spec(parameters), out=folder, progress=False, cached=True))
    (folder / _FOLDER).mkdir()
    specs = specs_of(parameters)
    for name, those in specs.items():
        tick(name)
        _write(folder, name, pd.concat([trials_of(spec, cached=True) for spec in those], ignore_index=True))
    tick("cures")
    _write(folder, "cures", cures(parameters.played))
    record = {
        "schema": 1,
        "parameters": parameters.model_dump(
            mode="json", exclude={"run", "out", "capture", "to", "customer", "sender", "audience", "code"}
        ),
        "parts": {name: [SweepSpec(**spec).to_json() for spec in those] for name, those in specs.items()},
    }
    write_text(folder / _LETTER, json.dumps(record, indent=2) + "\n")
    return folder


def play_ahead(parameters: LetterParameters, progress: bool = False) -> None:
    """Use all cores to fill `result_cache` with the results of `make`, of the suspicions and of the documented runs.

    Without a cache, this function does nothing.

    Args:
        parameters: the parameters of the letter.
        progress: whether to show a bar if standard error is a terminal.
    """
    if folder_of_cache() is None:
        return
    releases = list(parameters.played)
    tasks: list[tuple[Callable[..., object], Any]] = [
        *((_cures_ahead, release) for release in releases),
        *((_trials_ahead, spec) for specs in specs_of(parameters).values() for spec in specs),
        (sweep_ahead, delay_spec(parameters)),
        *((_suspicions_ahead, release) for release in releases),
        *((_retrodiction_ahead, number) for number in range(len(REPORTED))),
    ]
    requests = {number: ["ahead", task.__name__, given] for number, (task, given) in enumerate(tasks)}
    bar = tqdm(total=len(tasks), desc="sessions", unit="part", file=sys.stderr, disable=None if progress else True)
    with closing(cached_map(_Ahead(tuple(tasks)), requests, Executor(-1))) as done, bar:
        for _ in done:
            bar.update()


@dataclass(frozen=True)
class _Ahead:
    tasks: tuple[tuple[Callable[..., object], Any], ...]

    def __call__(self, number: int) -> None:
        task, given = self.tasks[number]
        # Python reports the default lock of tqdm, a semaphore, as leaked if this worker is killed.
        tqdm.set_lock(threading.RLock())
        with uncollected():
            task(given)


def _cures_ahead(release: str) -> None:
    cures((release,))


def _trials_ahead(spec: Mapping[str, Any]) -> None:
    trials_of(spec, cached=True)


def _suspicions_ahead(release: str) -> None:
    suspicions((release,), cached=True)


def _retrodiction_ahead(number: int) -> None:
    retrodictions(REPORTED[number : number + 1])


def retrodictions(runs: Sequence[Reported] = REPORTED) -> list[Retrodiction]:
    """Compare the models with each documented run against the real API, and return one (cached) result per run."""
    return retrodict(_DOCUMENTED_DRAWS, runs, cached=True)


def read_part(folder: Path, name: str) -> pd.DataFrame | None:
    """Return the table of a part; None if the run does not have the part.

    Raises:
        InputError: the table cannot be read.
    """
    path = folder / _FOLDER / f"{name}.parquet"
    if not path.is_file():
        return None
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(str(path), str(error).splitlines()[0], "a table as `voicerace report` writes it") from None


def again(record: Mapping[str, Any], part: str, row: int) -> Recording:
    """Compute a row of a part again from its parameters and return the recording.

    Raises:
        InputError: the part has no such row.
    """
    for spec in record["parts"][part]:
        plan = _plan(json.dumps(spec))
        if row < len(plan):
            ((_, session),) = plan.part(row, row + 1)
            return simulate(session)
        row -= len(plan)
    raise InputError("trial", f"row {row} of {part}", "a row of its table")


@cache
def _plan(spec: str) -> Plan:
    """Return the plan of a sweep, from its specification in `letter.json`."""
    return Plan.of(SweepSpec(**json.loads(spec)))


def read_record(folder: Path) -> dict[str, Any]:
    """Return the parsed `letter.json`; empty for a plain sweep.

    Raises:
        InputError: the file is not valid.
    """
    path = folder / _LETTER
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text("utf-8"))
        if record["schema"] != 1 or not isinstance(record["parts"], dict):
            raise ValueError("another schema")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(str(path), str(error), "as `voicerace report` writes it") from None
    return dict(record)


def cures(
    releases: tuple[str, ...], gaps_ms: Sequence[float] = _GAPS_MS, network: Mapping[str, str] = FIXED_NETWORK
) -> pd.DataFrame:
    """Simulate every workaround over a small grid of gaps and tool times, in every drawn scenario.

    Returns:
        Columns: release, workaround (``none`` without a workaround), possible, scenario, gap_ms, tool_ms, outcome, bad,
        heard_ms (time until an informed reply; missing without one). The scenario `single` has an additional gap, longer
        than the wait of any workaround. A workaround that the release does not allow has one row without an outcome.
    """
    requests = {number: ["cures", release, list(gaps_ms), dict(network)] for number, release in enumerate(releases)}
    found = dict(cached_map(partial(_cures_of, releases, gaps_ms, network), requests))
    rows = [row for number in sorted(found) for row in found[number]]
    columns = ["release", "workaround", "possible", "scenario", "gap_ms", "tool_ms", "outcome", "bad", "heard_ms"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype({
        "scenario": "str", "gap_ms": "float64", "tool_ms": "float64", "heard_ms": "float64", "bad": "boolean", "outcome": "str",
    })  # fmt: skip


def _cures_of(
    releases: Sequence[str], gaps_ms: Sequence[float], network: Mapping[str, str], number: int
) -> list[dict[str, Any]]:
    """Return the rows of `cures` for the release at index `number`."""
    release = releases[number]
    row = proxy_release(release)
    rows: list[dict[str, Any]] = []
    for name in (None, *WORKAROUNDS):
        key = {"release": release, "workaround": name or "none"}
        if name == "await-and-return":
            continue  # all sessions of `cures` use the handler style `return`
        if name and why_not(name, row, component_for(row).tag, "return"):
            rows.append({**key, "possible": False})
            continue
        for scenario, gap, tool in _cells(gaps_ms):
            times: dict[str, object] = {**network, "gap_ms": f"{gap:g}", "tool_ms": str(tool)}
            recording = simulate(SessionConfig.of(release=release, scenario=scenario, times=times, workaround=name))
            verdict = judge(recording)
            found = {"outcome": verdict.outcome, "bad": verdict.bad, "heard_ms": until_heard_ms(recording)}
            rows.append({**key, "possible": True, "scenario": scenario, "gap_ms": float(gap), "tool_ms": float(tool), **found})
    return rows


def _cells(gaps_ms: Sequence[float]) -> Iterator[tuple[str, float, int]]:
    """Yield (scenario, gap in ms, tool time in ms) of every session of a workaround."""
    for scenario in _SCENARIOS:
        for gap in dict.fromkeys((*gaps_ms, _LONG_GAP_MS)) if scenario == "single" else gaps_ms:
            for tool in _TOOLS_MS:
                yield scenario, gap, tool


def _write(folder: Path, name: str, frame: pd.DataFrame) -> None:
    write_bytes(folder / _FOLDER / f"{name}.parquet", frame.to_parquet(index=False))
