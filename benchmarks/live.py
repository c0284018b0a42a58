"""Can the live engine's times be believed? How late its delays end, against bare sleeps: ratios within one run.

Sessions of the model proxy and the mock on real sockets, all on one event loop: how much longer `tool_ms` and `gap_ms`
took than was asked, and how long messages were on wires that were asked to take no time. Beside them bare sleeps of the
same durations, at the same time: in the same loop, and in a process that does nothing else, on a loop of the same kind.
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
#: At p99, with so many sessions: not above these ratios.
GOALS_AT = 50
GOALS = {"same loop": 1.5, "idle": 5.0}

#: A range of delays, four calls in a response, and replies of an ordinary length: a session lasts about 3 s.
TIMES = {"tool_ms": "uniform(50,500)", "gap_ms": "uniform(50,500)", "reply_ms": 1000, "deadline_ms": 1000}
#: A session alone has short replies, so that there is enough to count.
ALONE = {**TIMES, "reply_ms": 100, "deadline_ms": 600}


def at(quantile: float, values: Sequence[float]) -> float:
    """The value that so many of them do not exceed."""
    return sorted(values)[max(0, math.ceil(quantile * len(values)) - 1)]


def run(work: Coroutine[Any, Any, T]) -> T:
    """As the engine runs: on its loop."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(work)


async def bare_sleeps(count: int, seconds: float) -> list[float]:
    """How late, in ms, the sleeps of `count` sleepers ended that slept for tool times over and over."""
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
    """How late, in ms, the delays of live sessions ended, `at_once` of them at any time, and bare sleeps beside them."""
    played: list[tuple[SessionConfig, Recording]] = []
    until = time.monotonic() + seconds

    async def one_after_another(number: int) -> None:
        # Spread over the length of a session, so that the same things do not happen to all of them at once.
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
    """Achieved minus asked, in ms, of every tool and every gap."""
    return [
        (each.ns - asked.times.ns(each.name, each.index, asked.seed)) / 1e6
        for asked, recording in played
        for each in measurements(recording)
        if each.name in ("tool_ms", "gap_ms")
    ]


def underway(played: Sequence[tuple[SessionConfig, Recording]]) -> list[float]:
    """How long, in ms, each message was between proxy and host, or upstream."""
    return [
        (event.received_ns - event.sent_ns) / 1e6
        for _, recording in played
        for event in recording.events
        if "proxy" in event.link and event.sent_ns is not None and event.received_ns is not None
    ]


@contextlib.contextmanager
def idle_process(seconds: float) -> Iterator[Callable[[], list[float]]]:
    """Bare sleeps in a process that does nothing else, at the same time; gives what waits for their errors."""
    with subprocess.Popen([sys.executable, __file__, "sleeps", str(seconds)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        line = child.stdout.readline
        line()  # it has started
        yield lambda: json.loads(line())


def delays(at_once: Sequence[int] = AT_ONCE, rounds: int = ROUNDS, seconds: float = 3.0) -> list[dict[str, Any]]:
    """One row per number of sessions; times in ms and ratios, medians over the rounds."""
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
    """The rows of `delays` for people."""
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
