"""`python -m tests.faults`: run every target in its own process, print counts, and exit with 1 if there are findings."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.faults.run import SERVERS, TARGETS, Result, play


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, help="per target [10000]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first input")
    parser.add_argument("--only", action="append", choices=[*TARGETS, *SERVERS], help="target, repeatable [all]")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time")
    given = parser.parse_args()
    good = True
    # Each target runs in a new process, so that its memory peak is its own.
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        waiting = [
            pool.submit(play, name, given.inputs, given.seed, given.first) for name in given.only or [*TARGETS, *SERVERS]
        ]
        for each in waiting:
            result = each.result()
            good &= result.good
            show(result)
    return 0 if good else 1


def show(result: Result) -> None:
    total = result.counts.total() + len(result.found)
    said = ", ".join(f"{count} {name}" for name, count in sorted(result.counts.items()))
    print(f"{result.target:<15}{total:>7} inputs  {len(result.found)} crashes or hangs  {said}")
    print(
        f"{'':<15}slowest {result.slowest_s:.2f} s, memory +{result.grown_mib:.0f} MiB, {result.seconds:.0f} s in all",
        flush=True,
    )
    for (where, what), count in Counter((each.where, each.what.partition(":")[0]) for each in result.found).most_common():
        first = next(each for each in result.found if each.where == where and each.what.startswith(what))
        again = f"--only {result.target} --first {first.number} --inputs 1"
        print(f"{'':<15}{count} times at {where or '?'}: {first.what!r}; one of them: {again}")


if __name__ == "__main__":
    sys.exit(main())
