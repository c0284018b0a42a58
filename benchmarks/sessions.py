"""Measure the speed and memory of virtual time: `make bench`, or ``make bench TRIALS=1000000`` for larger sweeps.

The baseline is SimPy, which passes the same number of messages through three actors and four links with a delay. The messages
are bare numbers, while voicerace's sessions contain the protocol, record every message and keep the user's state. Both run
alternately in this process. The fastest rounds are compared, because any disturbance makes a round longer. Garbage collection
is off, as in the chunks of a sweep. The link is the example "Event Latency" of SimPy's documentation, with a process for each
message in flight. In a minimal link, as a second baseline, the receiver waits for the delay. If two messages are sent together,
the second arrives a delay after the first.

Further rows give the cost of a trial by sweep size with the memory peak, the same cells on real sockets, and the explorer. If
``VOICERACE_CHECKOUTS`` names a folder of checkouts, the cells also run with real proxies. Absolute figures depend on the
machine.
"""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import simpy

from voicerace import SessionConfig, judge, simulate
from voicerace.engine.live.targets import ProxyTarget
from voicerace.experiments.explore.explorer import explore
from voicerace.experiments.explore.stories import stories
from voicerace.experiments.sweep.live import LiveSweep
from voicerace.experiments.sweep.spec import SweepSpec, sessions
from voicerace.experiments.sweep.sweep import sweep

ROUNDS = 50
TURNS = 10
#: Number of sessions per round. It is small, so that some rounds are undisturbed on a busy machine.
SESSIONS = 1
#: Number of trials of the smallest sweep. Each larger sweep has ten times as many trials.
FIRST = 100
MOST = 10_000
#: Maximum number of states of an exploration.
STATES = 4_000
RELEASES = ("0.9.1", "0.11.1")
LINKS = 4
DELAY = 10


class Cable:
    """The link of SimPy's "Event Latency" example, in which every message waits in its own process."""

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
    """A minimal link, in which the receiver waits for the delay of each message."""

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
    """Pass messages from host to proxy to upstream and back, until `messages` have passed a link. Return the exact number."""
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


@dataclass(frozen=True)
class Row:
    """A line of the table. `ratio` is the ratio of the value `here` to the value of `against`."""

    what: str
    here: str = ""
    ratio: float | None = None
    against: str = ""


def against_simpy() -> list[Row]:
    """Return rows with the messages and sessions per second in the fastest round, relative to SimPy's."""
    session = SessionConfig.of(release="0.9.1", times={"tool_ms": 300})
    each = len(simulate(session).events)
    messages = each * SESSIONS
    work: dict[str, Callable[[], object]] = {
        "cable": lambda: relay(Cable, messages),
        "bare": lambda: relay(Bare, messages),
        "sessions": lambda: repeat(lambda: simulate(session)),
        "judged": lambda: repeat(lambda: judge(simulate(session))),
    }
    took: dict[str, list[float]] = {name: [] for name in work}
    gc.disable()
    for _ in range(TURNS):
        for name, one in work.items():
            took[name] += [seconds(one) for _ in range(ROUNDS)]
    gc.enable()
    least_s = {name: min(found) for name, found in took.items()}
    per_second = {name: messages / found for name, found in least_s.items()}

    def ratio(own: str, base: str) -> float:
        return least_s[base] / least_s[own]

    usual, least = "SimPy, a process per message", "SimPy, as little as it takes"
    played, judged = (f"{per_second[name] / each:,.0f}/s" for name in ("sessions", "judged"))
    return [
        Row("messages, of sessions", f"{per_second['sessions']:,.0f}/s", ratio("sessions", "cable"), usual),
        Row("", "", ratio("sessions", "bare"), least),
        Row(f"sessions, {each} messages each", played, ratio("sessions", "cable"), usual),
        Row("sessions and verdicts", judged, ratio("judged", "cable"), usual),
        Row("", "", ratio("judged", "bare"), least),
    ]


def sweeps(most: int, place: Path) -> list[Row]:
    """Return rows with the CPU time of a trial and the memory peak by sweep size. The sweeps keep all findings."""
    rows, first = [], None
    trials = FIRST
    while trials <= most:
        cost_ms, peak_mb = alone("--sweep", trials, place / str(trials))
        first = first or (cost_ms, peak_mb)
        against = f"one of {FIRST}"
        rows.append(Row(f"a trial of a sweep of {trials:,}", f"{cost_ms:.2f} ms", cost_ms / first[0], against))
        rows.append(Row("  its peak of memory", f"{peak_mb:.0f} MB", peak_mb / first[1], against))
        trials *= 10
    return rows


def on_sockets() -> list[Row]:
    """Return rows with the time of consecutive sessions on real sockets, relative to the same sessions in virtual time."""
    folder = os.environ.get("VOICERACE_CHECKOUTS")
    rows = [against_virtual(f"model:{tag}", tag) for tag in RELEASES]
    for tag in RELEASES:
        checkout = Path(folder or ".") / f"v{tag}"
        if folder and checkout.is_dir():
            rows.append(against_virtual(f"backend:{checkout}", tag))
        else:
            rows.append(Row(f"a session with the running {tag}", "absent: VOICERACE_CHECKOUTS names no checkout of it"))
    return rows


def against_virtual(target: str, tag: str) -> Row:
    times = {"tool_ms": "0:150:50", "gap_ms": 80, "reply_ms": 30, "deadline_ms": 300}
    spec = {"times": times, "ties": False}
    cells = [session for _, session in sessions(SweepSpec(**spec, releases=tag))]
    virtual = min(seconds(partial(_judged, cells)) for _ in range(ROUNDS)) / len(cells)
    with tempfile.TemporaryDirectory() as folder:
        live = LiveSweep([ProxyTarget.of(target)], canary=False)
        before = time.perf_counter()
        run = sweep(spec, Path(folder), progress=False, live=live)
        took = (time.perf_counter() - before) / len(run.trials)
    what = "running" if target.startswith("backend:") else "model of"
    return Row(f"a session with the {what} {tag}", f"{took:.2f} s", took / virtual, "the same in virtual time, judged")


def exploring() -> list[Row]:
    """Return rows with the states per second of an exploration, relative to the messages per second of sessions."""
    session = SessionConfig.of(release="0.9.1", times={"tool_ms": 300})
    messages = len(simulate(session).events)
    a_message = min(seconds(lambda: simulate(session)) for _ in range(ROUNDS)) / messages
    a_state_ms, peak_mb = alone("--explore", STATES)
    return [
        Row("states of an exploration", f"{1e3 / a_state_ms:,.0f}/s", a_message / (a_state_ms / 1e3), "messages of sessions"),
        Row("  its peak of memory", f"{peak_mb:.0f} MB"),
    ]


def _judged(cells: Sequence[SessionConfig]) -> None:
    for session in cells:
        judge(simulate(session))


# -- measurements in a separate process, which has its own memory peak -----------------------------------------------------


def alone(*words: object) -> tuple[float, float]:
    """Run this script with arguments and return (CPU time of a trial or a state in ms, memory peak in MB)."""
    done = subprocess.run([sys.executable, __file__, *map(str, words)], check=True, capture_output=True, text=True)
    cost_ms, peak_mb = done.stdout.split()
    return float(cost_ms), float(peak_mb)


def _sweep(trials: int, folder: Path) -> float:
    draws = {"tool_ms": "uniform(0,300)", "gap_ms": "uniform(10,250)"}
    spec = {"releases": RELEASES, "times": draws, "trials": trials // len(RELEASES), "ties": False}
    return seconds(lambda: sweep(spec, out=folder, progress=False)) / trials * 1e3


def _explore(states: int) -> float:
    before = time.process_time()
    found = explore("0.9.1", stories(["single"], ["return"]), (), states)
    return (time.process_time() - before) / found.to_json()["states"] * 1e3


def _tell(cost_ms: float) -> None:
    print(cost_ms, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


# -- the table -----------------------------------------------------------------------------------------------------------


def line(row: Row) -> str:
    ratio = "" if row.ratio is None else f"{row.ratio:.2g}" if row.ratio < 1 else f"{row.ratio:.{2 if row.ratio < 10 else 0}f}"
    return f"{row.what:<34}{row.here:>12}{ratio:>9}  {row.against}".rstrip()


def main(words: Sequence[str]) -> None:
    match words:
        case ["--sweep", trials, folder]:
            _tell(_sweep(int(trials), Path(folder)))
            return
        case ["--explore", states]:
            _tell(_explore(int(states)))
            return
    most = int(words[0]) if words else MOST
    print(f"{'one core':<34}{'here':>12}{'ratio':>9}  to")
    with tempfile.TemporaryDirectory() as place:
        for part in (against_simpy, partial(sweeps, most, Path(place)), on_sockets, exploring):
            for row in part():
                print(line(row), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
