"""Kill a sweep with `kill -9` at random moments, resume it, and compare the tables row by row.

`kills.py 20` plays a sweep once without a kill and 20 times with a kill. Each of the 20 is killed shortly after it has written
a random number of parts, with one and two processes alternately, and resumed with ``--resume``. The script compares the tables
and counts the chunks that workers began twice. A second sweep in the folder, during or after the first, must be refused. The
exit status is 1 if a row is lost, doubled or different.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from voicerace.errors import InputError
from voicerace.experiments.executors import Executor
from voicerace.experiments.sweep.chunks import chunk_count
from voicerace.experiments.sweep.result import SweepResult
from voicerace.experiments.sweep.sweep import sweep

TRIALS = 800
SPEC: dict[str, Any] = {
    "releases": "0.9.1,0.11.1",
    "times": {"tool_ms": "uniform(0,300)", "gap_ms": "uniform(10,250)"},
    "trials": TRIALS // 2,
    "ties": False,
}
#: Maximum delay in s of the kill after the newest part, about the duration of a chunk.
LATER_S = 0.3
PATIENCE_S = 300.0


@dataclass(frozen=True)
class Noted:
    """A function that appends a chunk's number to a file and then runs `work`."""

    work: Callable[[int], Any]
    file: str

    def __call__(self, number: int) -> Any:
        with open(self.file, "a", encoding="utf-8") as file:  # appends of several processes do not mix
            file.write(f"{number}\n")
        return self.work(number)


@dataclass(frozen=True)
class Noting(Executor):
    """An executor that records the chunks that it began in `file`."""

    file: str = ""

    def map(self, work: Callable[[int], Any], numbers: Iterable[int]) -> Generator[Any]:
        yield from super().map(Noted(work, self.file), numbers)


def play(folder: str, began: str, jobs: str, *more: str) -> int:
    """Play the sweep in this process, which can be killed. Return the exit status: 2 if the sweep is refused, else 0."""
    try:
        sweep(SPEC, out=folder, progress=False, resume="resume" in more, executor=Noting(int(jobs), file=began))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def command(folder: Path, began: Path, jobs: int, *more: str) -> list[str]:
    return [sys.executable, __file__, "--play", str(folder), str(began), str(jobs), *more]


def refused(folder: Path, began: Path, saying: str) -> bool:
    """Start another sweep in the folder, and return whether it is refused with this error text."""
    done = subprocess.run(command(folder, began, 1), capture_output=True, text=True, check=False)
    return done.returncode == 2 and saying in done.stderr


def parts(folder: Path) -> dict[str, tuple[int, int]]:
    """Return name of a written part -> (inode, time of modification in ns)."""
    return {each.name: (each.stat().st_ino, each.stat().st_mtime_ns) for each in (folder / "table").glob("[0-9]*.parquet")}


def killed(folder: Path, began: Path, jobs: int, after: int, later_s: float) -> bool:
    """Start the sweep and kill it `later_s` after it has written `after` parts. Return False if it ended before the kill."""
    with subprocess.Popen(command(folder, began, jobs)) as child:
        until = time.monotonic() + PATIENCE_S
        while child.poll() is None and len(parts(folder)) < after and time.monotonic() < until:
            time.sleep(0.002)
        time.sleep(later_s)
        os.kill(child.pid, signal.SIGKILL)
        return child.wait() == -signal.SIGKILL


def one(place: Path, whole: SweepResult, jobs: int, after: int, later_s: float, *, second: bool) -> dict[str, Any]:
    """Kill a sweep, resume it, and return a row with the comparison. If `second`, also start a second sweep in the folder."""
    folder, began = place / "run", place / "began"
    was_killed = killed(folder, began, jobs, after, later_s)
    before = parts(folder)
    subprocess.run(command(folder, began, jobs, "resume"), check=True)
    run = SweepResult.open(folder)
    table = compared(run.trials, whole.trials)
    return {
        "jobs": jobs,
        "killed": was_killed,
        "parts": len(before),
        "again": sum(count > 1 for count in Counter(_numbers(began)).values()),
        **table,
        "same": table["other"] == 0 and run.complete and _bytes(folder) == _bytes(whole.folder),
        "kept": all(parts(folder)[name] == known for name, known in before.items()),
        "refused": not second or refused(folder, began, "holds a run already"),
    }


def compared(rows: pd.DataFrame, expected: pd.DataFrame) -> dict[str, int]:
    """Return the numbers of trials that are missing in a table, that it contains twice, and that differ from `expected`."""
    keys = ["release", "trial"]
    once = rows.drop_duplicates(keys).set_index(keys)
    known = expected.set_index(keys)
    both = known.index.intersection(once.index)
    return {
        "lost": len(known) - len(both),
        "doubled": len(rows) - len(once),
        "other": sum(not once.loc[key].equals(known.loc[key]) for key in both),
    }


def _numbers(began: Path) -> list[int]:
    return [int(line) for line in began.read_text(encoding="utf-8").split()] if began.exists() else []


def _bytes(folder: Path) -> dict[str, bytes]:
    """Return path -> content of the files of a run that must not depend on interruptions."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in ("run.json", ".lock"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def main(words: Sequence[str]) -> int:
    if words[:1] == ["--play"]:
        return play(*words[1:])
    kills, chance = int(words[0]) if words else 20, random.Random(int(words[1]) if words[1:] else 0)
    with tempfile.TemporaryDirectory() as place:
        whole = sweep(SPEC, out=Path(place) / "whole", progress=False)
        chunks = chunk_count(TRIALS)
        print(f"{TRIALS} trials in {chunks} chunks; each line a sweep that was killed and resumed")
        good = True
        for number in range(kills):
            here = Path(place) / str(number)
            here.mkdir()
            after, later_s = chance.randrange(chunks - 1), chance.uniform(0, LATER_S)
            row = one(here, whole, 1 + number % 2, after, later_s, second=number < 2)
            clean = row["lost"] == row["doubled"] == row["other"] == 0 and row["again"] <= row["jobs"]
            good &= bool(clean and row["killed"] and row["same"] and row["kept"] and row["refused"])
            print(f"{number + 1:>3}  " + "  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    print("every table is the same, nothing doubled, at most one chunk per process played again" if good else "NOT the same")
    return int(not good)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
