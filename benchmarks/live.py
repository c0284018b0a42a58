"""Measure how late the live engine's delays end, relative to bare sleeps in the same run.

Sessions of the model proxy and the mock run on real sockets, all on one event loop. The benchmark measures the excess of
`tool_ms` and `gap_ms` over the configured values, and the time of messages on links without a delay. Bare sleeps of the same
durations run at the same time on the same loop, and in an otherwise idle process with a loop of the same kind.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from voicerace import SessionConfig
from voicerace.engine.live.clock import new_loop
from voicerace.engine.live.play import Live
from voicerace.engine.live.targets import ProxyTarget
from voicerace.experiments.achieved_times import measurements
from voicerace.trace.recording import Recording

T = TypeVar("T")
AT_ONCE = (1, 50, 200)
ROUNDS = 3
#: Number of concurrent sessions for which `GOALS` apply.
GOALS_AT = 50
#: Bare sleeps -> maximum ratio of the lateness at p99.
GOALS = {"same loop": 1.5, "idle": 5.0}

#: Times in ms of several concurrent sessions, with a range of delays and long replies. A session lasts about 3 s.
TIMES = {"tool_ms": "uniform(50,500)", "gap_ms": "uniform(50,500)", "reply_ms": 1000, "deadline_ms": 1000}
#: Times in ms of a single session, with short replies, so that there are enough samples.
ALONE = {**TIMES, "reply_ms": 100, "deadline_ms": 600}


def at(quantile: float, values: Sequence[float]) -> float:
    """Return the value that a share `quantile` of the values does not exceed."""
    return sorted(values)[max(0, math.ceil(quantile * len(values)) - 1)]


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on an event loop of the engine's kind and return its result."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(work)


async def bare_sleeps(count: int, seconds: float) -> list[float]:
    """Return the lateness in ms of each sleep of `count` concurrent tasks that repeatedly sleep for tool times."""
    errors: list[float] = []
    until = time.monotonic() + seconds

    async def sleeper(number: int) -> None:
        index = 0
        times = session(number).times
        while True:
            asked = times.ns("tool_ms", index, number) / 1e9
            before = time.monotonic()
            if before + asked > until:
                return
            await asyncio.sleep(asked)
            errors.append((time.monotonic() - before - asked) * 1e3)
            index += 1

    await asyncio.gather(*(sleeper(number) for number in range(count)))
    return errors


def session(seed: int, *, alone: bool = False) -> SessionConfig:
    return SessionConfig.of(
        release="0.9.1", scenario="parallel", calls=8 if alone else 4, times=ALONE if alone else TIMES, seed=seed
    )


async def live_delays(at_once: int, seconds: float) -> dict[str, list[float]]:
    """Return the lateness in ms of the delays in `at_once` concurrent live sessions, and of concurrent bare sleeps."""
    played: list[tuple[SessionConfig, Recording]] = []
    until = time.monotonic() + seconds

    async def one_after_another(number: int) -> None:
        # The starts are spread over the length of a session, so that events of different sessions are not simultaneous.
        await asyncio.sleep(number * min(3.0, seconds) / at_once)
        seed = number
        while seed == number or time.monotonic() < until:
            asked = session(seed, alone=at_once == 1)
            played.append((asked, await live.play(asked)))
            seed += at_once

    async with Live(ProxyTarget.of("model:0.9.1")) as live:
        *_, sleeps = await asyncio.gather(*map(one_after_another, range(at_once)), bare_sleeps(at_once, seconds))
    if faults := [recording for _, recording in played if not recording.complete]:
        raise RuntimeError(f"{len(faults)} of {len(played)} sessions did not end")
    return {"engine": late(played), "wires": underway(played), "same loop": sleeps}


def late(played: Sequence[tuple[SessionConfig, Recording]]) -> list[float]:
    """Return the achieved minus the configured time in ms of every tool and every gap."""
    return [
        (each.ns - asked.times.ns(each.name, each.index, asked.seed)) / 1e6
        for asked, recording in played
        for each in measurements(recording)
        if each.name in ("tool_ms", "gap_ms")
    ]


def underway(played: Sequence[tuple[SessionConfig, Recording]]) -> list[float]:
    """Return the transit time in ms of each message between proxy and host or upstream."""
    return [
        (event.received_ns - event.sent_ns) / 1e6
        for _, recording in played
        for event in recording.events
        if "proxy" in event.link and event.sent_ns is not None and event.received_ns is not None
    ]


@contextlib.contextmanager
def idle_process(seconds: float) -> Iterator[Callable[[], list[float]]]:
    """Run bare sleeps in an idle process during the context. Yield a function that waits for and returns their lateness."""
    with subprocess.Popen([sys.executable, __file__, "sleeps", str(seconds)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        line = child.stdout.readline
        line()  # the process has started
        yield lambda: json.loads(line())


def delays(at_once: Sequence[int] = AT_ONCE, rounds: int = ROUNDS, seconds: float = 3.0) -> list[dict[str, Any]]:
    """Return one row per number of sessions, with times in ms and ratios as medians over the rounds."""
    found: dict[int, list[dict[str, list[float]]]] = {count: [] for count in at_once}
    for _ in range(rounds):
        for count in at_once:
            with idle_process(seconds) as idle:
                engine = run(live_delays(count, seconds))
                found[count].append(engine | {"idle": idle()})
    rows = []
    for count, each_round in found.items():
        row: dict[str, Any] = {"sessions": count}
        for name in ("engine", "wires", *GOALS):
            row[name] = {
                "p50": statistics.median(at(0.5, each[name]) for each in each_round),
                "p99": statistics.median(at(0.99, each[name]) for each in each_round),
                "samples": sum(len(each[name]) for each in each_round),
            }
        for name in GOALS:
            row[f"p99 / {name}"] = statistics.median(at(0.99, each["engine"]) / at(0.99, each[name]) for each in each_round)
        rows.append(row)
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [f"{'sessions':>8}  {'':<10}{'samples':>8}{'p50 ms':>9}{'p99 ms':>9}{'p99 ratio':>11}{'goal':>6}"]
    for row in rows:
        for name in ("engine", "wires", *GOALS):
            cell = row[name]
            count = row["sessions"] if name == "engine" else ""
            line = f"{count:>8}  {name:<10}{cell['samples']:>8}{cell['p50']:>9.3f}{cell['p99']:>9.3f}"
            if name in GOALS:
                goal = f"{GOALS[name]:g}" if row["sessions"] == GOALS_AT else ""
                line += f"{row[f'p99 / {name}']:>11.2f}{goal:>6}"
            lines.append(line)
    return "\n".join(lines)


def main(words: Sequence[str]) -> None:
    match words:
        case ["sleeps", seconds]:
            print("ready", flush=True)
            print(json.dumps(run(bare_sleeps(50, float(seconds)))))
        case _:
            print(f"how late delays end, against bare sleeps; medians of {ROUNDS} rounds")
            print(table(delays()))


if __name__ == "__main__":
    main(sys.argv[1:])
