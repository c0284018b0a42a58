"""Measure the time from a slider move to the new verdict and picture, as p50 and p95 over many moves.

The time is that of the kernel, without the browser.
"""

from __future__ import annotations

import random
import time

from voicerace.report.notebook.sliders import Sliders

MOVES = 200


def main() -> None:
    sliders, rng = Sliders(), random.Random(0)
    choices = sliders.choices
    marks = {"verdict": 0.0, "picture": 0.0}
    for name, shown in (("verdict", sliders.says), ("picture", sliders.picture)):
        shown.observe(lambda _, name=name: marks.update({name: time.perf_counter()}), "value")
    taken: dict[str, list[float]] = {name: [] for name in marks}
    for _ in range(MOVES):
        name = rng.choice([*choices])
        choice = choices[name]
        value = rng.choice(choice.options) if hasattr(choice, "options") else rng.uniform(choice.min, choice.max)
        begun = time.perf_counter()
        choice.value = value
        for what, at in marks.items():
            if at > begun:
                taken[what].append((at - begun) * 1000)
    for what, times in taken.items():
        times.sort()
        p50, p95 = (times[int(len(times) * share)] for share in (0.5, 0.95))
        print(f"{what:8} {len(times)} of {MOVES} moves: p50 {p50:.1f} ms, p95 {p95:.1f} ms, most {times[-1]:.1f} ms")


if __name__ == "__main__":
    main()
