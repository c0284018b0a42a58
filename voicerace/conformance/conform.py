"""Runs every case with a checkout's proxy and its model. Writes a table of results, and selected recordings."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from voicerace.analysis.verdict import Verdict, judge
from voicerace.conformance.cases import Script, scripts, sessions
from voicerace.conformance.compare import Difference
from voicerace.conformance.compared import ComparedProxy
from voicerace.conformance.replay import replay
from voicerace.conformance.running import Running, running
from voicerace.engine.live.backend import Backend
from voicerace.engine.live.lockstep import RunningProxy
from voicerace.engine.live.source import backend_version, source_hash
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import VirtualEngine, simulate
from voicerace.errors import InputError
from voicerace.files import write_text
from voicerace.model.actors.proxy import Proxy
from voicerace.model.catalog.profiles import TIMES
from voicerace.model.catalog.releases import ProxyRelease, proxy_of_source, proxy_release
from voicerace.trace.recording import Recording, write_recordings
from voicerace.units import ns

__all__ = ["COLUMNS", "Conformance", "TooBusyError", "conform", "row_of", "run_script"]

T = TypeVar("T")

_TRIES = 8
#: Duration in ms of the proxy's timer that some releases start after a result.
_LONG_MS = 20_000
_EXIT_S = 10.0

#: Columns of the results, with one row per case. Times are in ms, with one value per call if there are several calls.
#: `outcome` and the counts describe the session with the running proxy. `model_outcome` describes the session with the
#: model.
COLUMNS = (
    "release", "source", "case", "scenario", "handler", "modality", "calls", "tool_end", "preamble", "knobs", *TIMES,
    "outcome", "model_outcome", "refusals", "host_errors", "response_creates", "replies", "wedged", "messages",
    "differences",
)  # fmt: skip


class TooBusyError(InputError):
    """The machine was too busy for the proxy's own timers in every attempt."""


@dataclass
class Conformance:
    """The result for one proxy program.

    Attributes:
        release: release whose model the program was compared with.
        source: hash of the program.
        rows: one row per case, with `COLUMNS`.
        recordings: case -> events at the proxy.
        found: case -> differences.
    """

    release: ProxyRelease
    source: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    recordings: dict[str, Recording] = field(default_factory=dict)
    found: dict[str, list[Difference]] = field(default_factory=dict)

    @property
    def differences(self) -> int:
        return sum(len(each) for each in self.found.values())

    @property
    def name(self) -> str:
        """Stem of the file names."""
        return self.release.tag

    def write(self, folder: Path) -> list[Path]:
        """Write `<tag>.csv` with all rows and `<tag>.jsonl.gz` with the recordings of `chosen`, and return the paths."""
        folder.mkdir(parents=True, exist_ok=True)
        table, kept = folder / f"{self.name}.csv", folder / f"{self.name}.jsonl.gz"
        frame = pd.DataFrame(self.rows, columns=list(COLUMNS))
        write_text(table, frame.to_csv(index=False, lineterminator="\n"))
        write_recordings(kept, (self.recordings[name] for name in self.chosen()))
        return [table, kept]

    def chosen(self) -> Iterator[str]:
        """Yield the name of every script, of every case with a difference, and of the first session of each kind.

        A kind is a handler with an outcome, a scenario with a modality, or an end of the tool.
        """
        seen: set[tuple[object, ...]] = set()
        for row in self.rows:
            kinds = {(row["handler"], row["outcome"]), (row["scenario"], row["modality"]), (row["tool_end"],)}
            if row["scenario"] == "script" or row["case"] in self.found or not kinds <= seen:
                seen |= kinds
                yield row["case"]


def conform(
    directory: Path | str,
    release: str | None = None,
    *,
    log: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Conformance:
    """Compare the proxy of a checkout with the model of a release and return the result.

    Args:
        directory: the checkout, with its dependencies installed.
        release: tag of the release; None for the release whose source has the checkout's hash.
        log: file for the proxy's output.
        progress: called with the numbers of finished cases and of all cases.

    Raises:
        InputError: the checkout has no proxy, or its program is unknown and `release` is missing.
    """
    result = Conformance(*row_of(directory, release))
    cases: list[SessionConfig | Script] = [*sessions(result.release.tag), *scripts()]
    with running(directory, log) as proxy:
        for number, case in enumerate(cases):
            if isinstance(case, SessionConfig):
                _session(result, f"session-{number:03d}", case, proxy)
            else:
                run_script(result, case, proxy)
            if progress is not None:
                progress(number + 1, len(cases))
    return result


def row_of(directory: Path | str, release: str | None) -> tuple[ProxyRelease, str]:
    """Return (release to compare a checkout's proxy with, hash of the proxy's source).

    Raises:
        InputError: the checkout has no proxy, or its program is unknown and `release` is missing.
    """
    source = source_hash(directory)
    row = proxy_release(release) if release else proxy_of_source(source, backend_version(directory))
    if row is None:
        raise InputError("release", f"the program {source} is unknown", "name the row to compare it with: --release")
    return row, source


def _session(result: Conformance, name: str, session: SessionConfig, proxy: Running) -> None:
    """Run a session in which the other actors react to the proxy's messages, and add a row to `result`."""

    def play(compared: ComparedProxy) -> Recording:
        engine = VirtualEngine(session, {**session.actors(), "proxy": compared})
        compared.now_ns = lambda: engine.now_ns
        return engine.run()

    url = proxy.backend().url
    compared, recording = _in_time(name, lambda: RunningProxy(url, proxy.upstream), result.release, play)
    provenance = {**session.provenance(), "proxy": f"backend:{result.source}", "case": name}
    model = judge(simulate(session))
    _add_row(result, name, compared, provenance, judge(recording), model)


def run_script(result: Conformance, script: Script, proxy: Running, *, scenario: str = "script") -> ComparedProxy:
    """Run a script with inputs at intervals of a millisecond, add a row to `result`, and return the compared actor.

    Raises:
        TooBusyError: the machine was too busy for the proxy's own timers in every attempt.
    """
    backend = proxy.backend()
    connect = partial(RunningProxy, backend.url, proxy.upstream, reachable=script.reachable)
    compared, _ = _in_time(script.name, connect, result.release, partial(_play, script))
    if compared.ended:
        _await_exit(backend)
    provenance = {
        "release": result.release.tag,
        "scenario": scenario,
        "proxy": f"backend:{result.source}",
        "upstream": "script",
        "case": script.name,
    }
    _add_row(result, script.name, compared, provenance, None, None)
    return compared


def _in_time(
    name: str, connect: Callable[[], RunningProxy], release: ProxyRelease, play: Callable[[ComparedProxy], T]
) -> tuple[ComparedProxy, T]:
    """Repeat a case until no timer of the proxy was late. These timers run in real time. Return (actor, result of `play`).

    Raises:
        TooBusyError: the machine was too busy in every attempt.
    """
    for _ in range(_TRIES):
        real = connect()
        compared = ComparedProxy(real, Proxy(release))
        try:
            played = play(compared)
        finally:
            compared.real.end()
        # if proxy and model agreed but the replay of the recording differs, the end of a timer was handled too late
        if not compared.late and (compared.differences or not replay(compared.recording({}), release)):
            return compared, played
    raise TooBusyError("conformance", f"{name}: the machine was too busy {_TRIES} times", "a machine that is less busy")


def _play(script: Script, compared: ComparedProxy) -> None:
    now = 0
    compared.now_ns = lambda: now
    if not script.reachable:
        compared.closed("upstream", None)
    for step in script.steps:
        now += 1_000_000
        if step.wait_ms >= _LONG_MS and not compared.model.release.defers:
            continue  # a release that does not defer requests has no timer of this length
        if step.wait_ms:
            now += ns(step.wait_ms)
            compared.silence(step.wait_ms)
        elif step.closes:
            compared.closed(step.sender, step.code)
        else:
            compared.message(step.sender, step.payload)
    compared.check_timers()


def _await_exit(backend: Backend) -> None:
    """Wait at most `_EXIT_S` seconds for the proxy's process to end after its connections have closed."""
    deadline = time.monotonic() + _EXIT_S
    while backend.alive and time.monotonic() < deadline:
        time.sleep(0.02)


def _add_row(
    result: Conformance,
    name: str,
    compared: ComparedProxy,
    provenance: dict[str, Any],
    real: Verdict | None,
    model: Verdict | None,
) -> None:
    if compared.differences:
        result.found[name] = compared.differences
    result.recordings[name] = compared.recording(provenance)
    times = provenance.get("times", {})
    turn = real.turn if real else None
    result.rows.append(
        {
            **{column: provenance.get(column) for column in COLUMNS},
            **{name: times.get(name) for name in TIMES},
            "release": result.release.tag,
            "source": result.source,
            "knobs": json.dumps(provenance.get("knobs", {}), separators=(",", ":")),
            "outcome": real.outcome if real else None,
            "model_outcome": model.outcome if model else None,
            "wedged": real.wedged if real else None,
            **{name: getattr(turn, name, None) for name in ("refusals", "host_errors", "response_creates", "replies")},
            "messages": compared.messages,
            "differences": len(compared.differences),
        }
    )
