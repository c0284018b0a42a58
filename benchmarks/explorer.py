"""Compare the speed of the explorer in two source trees: ``python -m benchmarks.explorer TREE RELEASE [SCENARIO ...]``.

For each scenario with handler `return`, this tree and the other explore in turn, each in its own process, so a busy machine
slows both alike. The table has the seconds of processor time, states, findings and memory of both, and their ratio.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parents[1]
_RUN = """
import json, sys, time
from voicerace.experiments.explore.explorer import explore
began = time.process_time()
result = explore(sys.argv[1], [(sys.argv[2], "return")], (), 400_000)
row = result.stats[0]
print(json.dumps({"seconds": time.process_time() - began, "states": row.states, "mb": row.peak_rss_mb,
                  "findings": sorted(map(list, result.findings))}))
"""


def explored(tree: Path, release: str, scenario: str) -> dict[str, Any]:
    """Explore one scenario with the code of a tree."""
    command = [sys.executable, "-c", _RUN, release, scenario]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(tree)}, cwd=tree, check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main(arguments: Sequence[str]) -> None:
    other, release, *scenarios = arguments
    print("scenario         seconds: other  here  ratio   states: other    here   MB: other here   findings")
    totals = [0.0, 0.0]
    for scenario in scenarios or ("single", "double", "text-at-reply", "voice-at-call"):
        before, after = explored(Path(other), release, scenario), explored(_HERE, release, scenario)
        totals = [totals[0] + before["seconds"], totals[1] + after["seconds"]]
        same = "the same" if before["findings"] == after["findings"] else f"{before['findings']} -> {after['findings']}"
        print(
            f"{scenario:16} {before['seconds']:14.1f} {after['seconds']:5.1f} {before['seconds'] / after['seconds']:6.1f}"
            f" {before['states']:15} {after['states']:7} {before['mb']:12} {after['mb']:4}   {same}",
            flush=True,
        )
    print(f"in total {totals[0] / totals[1]:.1f} times faster")


if __name__ == "__main__":
    main(sys.argv[1:])
