"""Measure the CPU time of the command line's start, relative to the import of typer, rich and pydantic.

The runs alternate, so that a change of the machine's speed affects both. The table contains medians of times and of ratios.

    python benchmarks/start.py [RUNS]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

COMMANDS = (["--help"], ["--version"], ["releases"], ["run", "--json"], ["check", "--help"], ["sweep", "--help"])
BARE = ["-c", "import typer, rich, pydantic"]


def cpu_s(arguments: list[str]) -> float:
    """Run one Python process and return its user and system time in seconds."""
    child = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{arguments}: status {status}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    print(f"{'command':<24}{'CPU s':>8}{'bare CPU s':>12}{'ratio':>8}")
    for command in COMMANDS:
        pairs = [(cpu_s(["-m", "voicerace", *command]), cpu_s(BARE)) for _ in range(runs + 1)][1:]
        own, bare = (statistics.median(values) for values in zip(*pairs, strict=True))
        ratio = statistics.median(first / second for first, second in pairs)
        print(f"voicerace {' '.join(command):<14}{own:>8.2f}{bare:>12.2f}{ratio:>8.1f}")


if __name__ == "__main__":
    main()
