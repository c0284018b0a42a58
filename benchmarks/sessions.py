"""How fast is virtual time? Messages and sessions per second against SimPy, the cost of a session as sweeps grow, and memory.

SimPy moves as many bare numbers through the same relay of three parties, four links with a delay each: as its own
documentation models a cable (a process for each message on its way), and with as little as SimPy allows (the receiver waits
the delay). Ours carries the protocol, records every message and keeps what the user knows. All in this process, by turns;
the medians of the rounds are held against each other.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import simpy

from voicerace import Session, judge, simulate
from voicerace.engines.targets import ProxyTarget
from voicerace.sweep import sweep
from voicerace.sweep_live import LiveSweep
from voicerace.sweep_spec import SweepSpec, sessions

ROUNDS = 9
SESSIONS = 100
#: Trials of the sweeps. 10^6 takes half an hour, and a real proxy a checkout: ``sessions.py 1000000 backend:DIR``.
SWEEPS = (100, 1_000, 10_000)
LINKS = 4
DELAY = 10


class Cable:
    """SimPy's "Event Latency" example: every message waits in a process of its own."""

    def __init__(self, env: simpy.Environment) -> None:
        self.env = env
        self.store = simpy.Store(env)

    def latency(self, value: int) -> Generator[Any, Any, None]:
        yield self.env.timeout(DELAY)
        yield self.store.put(value)

    def put(self, value: int) -> None:
        self.env.process(self.latency(value))

    def take(self) -> Generator[Any, Any, Any]:
        return (yield self.store.get())


class Bare:
    """As little as it takes: the receiver waits the delay."""

    def __init__(self, env: simpy.Environment) -> None:
        self.env = env
        self.store = simpy.Store(env)

    def put(self, value: int) -> None:
        self.store.put(value)

    def take(self) -> Generator[Any, Any, Any]:
        value = yield self.store.get()
        yield self.env.timeout(DELAY)
        return value


def relay(link: type[Cable] | type[Bare], messages: int) -> int:
    """Host, proxy, upstream and back, until so many messages have passed a link; gives how many did."""
    env = simpy.Environment()
    links = [link(env) for _ in range(LINKS)]
    passed = 0

    def host() -> Generator[Any, Any, None]:
        nonlocal passed
        for number in range(messages // LINKS):
            links[0].put(number)
            yield from links[-1].take()
            passed += 1

    def between(source: Any, sink: Any) -> Generator[Any, Any, None]:
        nonlocal passed
        while True:
            value = yield from source.take()
            passed += 1
            sink.put(value)

    for source, sink in pairwise(links):
        env.process(between(source, sink))
    env.run(env.process(host()))
    return passed


def seconds(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def repeat(work: Callable[[], object]) -> None:
    for _ in range(SESSIONS):
        work()


def against_simpy() -> list[tuple[str, float, float]]:
    """(what, messages per second over those of SimPy's cables, over those of its bare stores); medians of the rounds."""
    session = Session.of(release="0.9.1", times={"tool_ms": 300})
    messages = len(simulate(session).events) * SESSIONS
    rows: dict[str, Callable[[], object]] = {
        "SimPy, a process per message": lambda: relay(Cable, messages),
        "SimPy, as little as it takes": lambda: relay(Bare, messages),
        "sessions": lambda: repeat(lambda: simulate(session)),
        "sessions and verdicts": lambda: repeat(lambda: judge(simulate(session))),
    }
    found: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(ROUNDS):
        for name, work in rows.items():
            found[name].append(seconds(work))
    cable, bare, *_ = found.values()

    def ratio(base: Sequence[float], own: Sequence[float]) -> float:
        return statistics.median(theirs / ours for theirs, ours in zip(base, own, strict=True))

    return [(name, ratio(cable, own), ratio(bare, own)) for name, own in found.items()]


def against_live(proxies: Sequence[str]) -> list[tuple[str, float, float]]:
    """The same cells on real sockets, one session after the other: (proxy, s per session, over virtual time's)."""
    times = {"tool_ms": "0:150:50", "gap_ms": 80, "reply_ms": 30, "deadline_ms": 300}
    rows = []
    for name in proxies:
        target = ProxyTarget.of(name)
        spec = {"releases": target.release.tag if target.release else "0.9.1", "times": times, "ties": False}
        with tempfile.TemporaryDirectory() as folder:
            before = time.perf_counter()
            live = sweep(spec, Path(folder) / "live", progress=False, live=LiveSweep([target]))
            took = (time.perf_counter() - before) / len(live.trials)
        cells = [session for _, session in sessions(SweepSpec(**spec))]
        virtual = statistics.median(seconds(partial(_judged, cells)) for _ in range(ROUNDS)) / len(cells)
        rows.append((name, took, took / virtual))
    return rows


def _judged(cells: Sequence[Session]) -> None:
    for session in cells:
        judge(simulate(session))


def one_sweep(trials: int, folder: Path) -> tuple[float, float]:
    """Processor time per trial in ms, and the peak of memory in MB, of a sweep in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", str(trials), str(folder)], check=True, capture_output=True, text=True
    )
    per_trial, peak = done.stdout.split()
    return float(per_trial), float(peak)


def _one(trials: int, folder: Path) -> None:
    draws = {"tool_ms": "uniform(0,300)", "gap_ms": "uniform(10,250)"}
    spec = {"releases": "0.9.1,0.11.1", "times": draws, "trials": trials // 2, "ties": False}
    took = seconds(lambda: sweep(spec, out=folder, progress=False))
    print(took / trials * 1e3, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main(words: Sequence[str]) -> None:
    match words:
        case ["--one", trials, folder]:
            _one(int(trials), Path(folder))
            return
    print(f"messages per second, medians of {ROUNDS} rounds; goal: sessions at 1 against a process per message")
    print(f"{'':<30}{'against it':>12}{'against as little as it takes':>32}")
    for name, cable, bare in against_simpy():
        print(f"{name:<30}{cable:>12.2f}{bare:>32.2f}")
    sizes = [int(word) for word in words if word.isdigit()] or SWEEPS
    print("the same cells on real sockets, one after the other, against virtual time")
    for name, took, ratio in against_live(["model:0.9.1", *(word for word in words if word.startswith("backend:"))]):
        print(f"{name:<30}{took:>10.2f} s a session{ratio:>12.0f}")
    print("a trial's cost as sweeps grow, drawn times, every finding kept; and the peak of memory")
    print(f"{'trials':<12}{'time per trial':>16}{'against the first':>20}{'peak MB':>10}")
    first = None
    with tempfile.TemporaryDirectory() as folder:
        for trials in sizes:
            cost, peak = one_sweep(trials, Path(folder) / str(trials))
            first = first or cost
            print(f"{trials:<12}{cost:>13.2f} ms{cost / first:>20.2f}{peak:>10.0f}")


if __name__ == "__main__":
    main(sys.argv[1:])
