"""Measure sweeps by formula: `python -m benchmarks.formula`, on one core, against SimPy and the virtual engine in one run.

A trial is one session of scenario `single` on 0.9.1 with four drawn times. SimPy passes the number of messages of a session, as
in `benchmarks.sessions`. The engine plays and judges the session. ``--equal N`` instead compares N draws of each scenario with
the engine and prints the number of differences.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from benchmarks.sessions import Bare, Cable, relay, seconds
from voicerace import SessionConfig, judge, simulate
from voicerace.experiments.formula.formula import Formula, derive
from voicerace.experiments.formula.polyhedron import Space
from voicerace.units import ns

BOX = {"tool_ms": (0, ns(1000)), "gap_ms": (0, ns(1000)), "host_rtt_ms": (0, ns(200)), "upstream_rtt_ms": (0, ns(200))}
TRIALS = 1_000_000
ROUNDS = 10
#: Scenario and handler of each comparison with the engine.
STORIES = (("single", "return"), ("single", "void_ref"), ("parallel", "return"), ("double", "return"))


def drawn(found: Formula, trials: int) -> dict[str, np.ndarray]:
    return dict(zip(found.box, Space(found.box, 1).draws(trials).T.copy(), strict=True))


def session_at(found: Formula, values: dict[str, np.ndarray], trial: int) -> SessionConfig:
    times = found.session.times
    for name, each in values.items():
        times = times.with_ns(name, int(each[trial]))
    return replace(found.session, times=times)


def speed() -> None:
    made: list[Formula] = []
    session = SessionConfig.of(release="0.9.1")
    took_s = seconds(lambda: made.append(derive(session, BOX)))
    (found,) = made
    values = drawn(found, TRIALS)
    played = [session_at(found, values, trial) for trial in range(20)]
    messages = len(simulate(played[0]).events)
    gc.disable()
    least = {
        "by formula": min(seconds(lambda: found.codes(values)) for _ in range(ROUNDS)) / TRIALS,
        "virtual engine, judged": min(seconds(lambda: [judge(simulate(each)) for each in played]) for _ in range(ROUNDS)) / 20,
        "SimPy, a process per message": min(seconds(partial(relay, Cable, messages * 20)) for _ in range(ROUNDS)) / 20,
        "SimPy, as little as it takes": min(seconds(partial(relay, Bare, messages * 20)) for _ in range(ROUNDS)) / 20,
    }
    gc.enable()
    print(f"the formula is derived in {took_s:.1f} s; {TRIALS:,} trials")
    for name, each in least.items():
        print(f"{name:30} {1 / each:>14,.0f} trials/s   formula is {each / least['by formula']:,.0f} times as fast")


def equal(draws: int) -> int:
    wrong = 0
    for scenario, handler in STORIES:
        found = derive(SessionConfig.of(release="0.9.1", scenario=scenario, handler=handler), BOX)
        values = drawn(found, draws)
        codes = found.codes(values)
        differ = sum(
            code < 0 or judge(simulate(session_at(found, values, trial))).outcome != found.outcomes[code]
            for trial, code in enumerate(codes)
        )
        print(f"{scenario:10} {handler:10} {draws:,} draws, {differ} differ", flush=True)
        wrong += differ
    return int(wrong > 0)


def main(words: Sequence[str]) -> int:
    if words and words[0] == "--equal":
        return equal(int(words[1]))
    speed()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
