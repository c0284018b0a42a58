"""Run every case through a checkout's proxy and its model, keep the table of results and a choice of recordings."""

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
#: A wait for the timer behind a result.
_LONG_MS = 20_000
_DEATH_S = 10.0

#: The table of results: a row per case. Times are in ms, one value per call where there are several; `outcome` and the
#: counts are of the session with the running proxy, `model_outcome` of the same session with the model.
COLUMNS = (
    "release", "source", "case", "scenario", "handler", "modality", "calls", "tool_end", "preamble", "knobs", *TIMES,
    "outcome", "model_outcome", "refusals", "host_errors", "response_creates", "replies", "wedged", "messages",
    "differences",
)  # fmt: skip


class TooBusyError(InputError):
    """The machine was too busy for the proxy's own timers, however often it was tried."""


@dataclass
class Conformance:
    """The result for one program.

    Attributes:
        release: the row it was compared with.
        source: hash of the program.
        rows: one per case, in `COLUMNS`.
        recordings: what passed at the proxy, by case name.
        found: differences by case name.
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
        """The stem of its files."""
        return self.release.tag

    def write(self, folder: Path) -> list[Path]:
        """Write `<tag>.csv`, all rows, and `<tag>.jsonl.gz`, the recordings chosen for replay."""
        folder.mkdir(parents=True, exist_ok=True)
        table, kept = folder / f"{self.name}.csv", folder / f"{self.name}.jsonl.gz"
        frame = pd.DataFrame(self.rows, columns=list(COLUMNS))
        write_text(table, frame.to_csv(index=False, lineterminator="\n"))
        write_recordings(kept, (self.recordings[name] for name in self.chosen()))
        return [table, kept]

    def chosen(self) -> Iterator[str]:
        """Every script, every case with a difference, and the sessions that are the first of a kind.

        A kind is an outcome of a handler, a scenario with its modality, or the way in which the tool ends.
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
    """Compare the proxy of a checkout with a row of the table.

    Args:
        directory: the checkout, its dependencies installed.
        release: the row; without it the one whose program this is, by the hash of its source.
        log: takes the proxy's output.
        progress: called with cases done and cases in all.

    Raises:
        InputError: no proxy there, or a program that no row knows and none was named.
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
    """The row that a checkout's proxy is compared with, and the hash of its source.

    Raises:
        InputError: no proxy there, or a program that no row knows and none was named.
    """
    source = source_hash(directory)
    row = proxy_release(release) if release else proxy_of_source(source, backend_version(directory))
    if row is None:
        raise InputError("release", f"the program {source} is unknown", "name the row to compare it with: --release")
    return row, source


def _session(result: Conformance, name: str, session: SessionConfig, proxy: Running) -> None:
    """Closed loop: the session goes on with what the proxy sends."""

    def play(party: ComparedProxy) -> Recording:
        engine = VirtualEngine(session, {**session.actors(), "proxy": party})
        party.now_ns = lambda: engine.now_ns
        return engine.run()

    url = proxy.backend().url
    party, recording = _in_time(name, lambda: RunningProxy(url, proxy.upstream), result.release, play)
    provenance = {**session.provenance(), "proxy": f"backend:{result.source}", "case": name}
    model = judge(simulate(session))
    _note(result, name, party, provenance, judge(recording), model)


def run_script(result: Conformance, script: Script, proxy: Running, *, scenario: str = "script") -> ComparedProxy:
    """Open loop: one input after the other, a millisecond apart; what came of it is noted in `result`.

    Raises:
        TooBusyError: the machine never was quick enough for the proxy's own timers.
    """
    backend = proxy.backend()
    connect = partial(RunningProxy, backend.url, proxy.upstream, reachable=script.reachable)
    party, _ = _in_time(script.name, connect, result.release, partial(_play, script))
    if party.ended:
        _await_death(backend)
    provenance = {
        "release": result.release.tag,
        "scenario": scenario,
        "proxy": f"backend:{result.source}",
        "upstream": "script",
        "case": script.name,
    }
    _note(result, script.name, party, provenance, None, None)
    return party


def _in_time(
    name: str, connect: Callable[[], RunningProxy], release: ProxyRelease, play: Callable[[ComparedProxy], T]
) -> tuple[ComparedProxy, T]:
    """Play a case until the machine was quick enough for the proxy's own timers, which go on in real time.

    Raises:
        TooBusyError: it never was.
    """
    for _ in range(_TRIES):
        real = connect()
        party = ComparedProxy(real, Proxy(release))
        try:
            played = play(party)
        finally:
            party.real.end()
        # A recording that its own model cannot follow, where the two agreed, has a timer that was seen too late.
        if not party.late and (party.differences or not replay(party.recording({}), release)):
            return party, played
    raise TooBusyError("conformance", f"{name}: the machine was too busy {_TRIES} times", "a machine that is less busy")


def _play(script: Script, party: ComparedProxy) -> None:
    now = 0
    party.now_ns = lambda: now
    if not script.reachable:
        party.closed("upstream", None)
    for step in script.steps:
        now += 1_000_000
        if step.wait_ms >= _LONG_MS and not party.model.release.defers:
            continue  # nothing that takes so long ever waits in these releases
        if step.wait_ms:
            now += ns(step.wait_ms)
            party.silence(step.wait_ms)
        elif step.closes:
            party.closed(step.sender, step.code)
        else:
            party.message(step.sender, step.payload)
    party.look_at_the_clock()


def _await_death(backend: Backend) -> None:
    """Its connections are gone; the process follows."""
    deadline = time.monotonic() + _DEATH_S
    while backend.alive and time.monotonic() < deadline:
        time.sleep(0.02)


def _note(
    result: Conformance,
    name: str,
    party: ComparedProxy,
    provenance: dict[str, Any],
    real: Verdict | None,
    model: Verdict | None,
) -> None:
    if party.differences:
        result.found[name] = party.differences
    result.recordings[name] = party.recording(provenance)
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
            "messages": party.messages,
            "differences": len(party.differences),
        }
    )
