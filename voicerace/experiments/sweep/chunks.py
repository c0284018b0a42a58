"""Chunks of a sweep, to be played by workers.

A chunk is a range of consecutive trials. Its size depends only on the plan, and its content only on its number, so the table
does not depend on the workers or on the order of the chunks. Only the process that has locked the folder writes files.
"""

from __future__ import annotations

import gc
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from voicerace.analysis.verdict import judge
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate, ties
from voicerace.experiments.sweep.spec import Plan
from voicerace.experiments.sweep.table import part_bytes
from voicerace.experiments.sweep.trials import row_of
from voicerace.trace.recording import Recording

__all__ = ["SAMPLE", "Chunk", "Rows", "Work", "chunk_count", "chunk_size", "file_word", "played", "uncollected"]

_MOST: Final = 1000
_LEAST: Final = 20
#: About one in `SAMPLE` recordings without a bad outcome is kept.
SAMPLE: Final = 64


def chunk_size(trials: int) -> int:
    """Return the number of trials per chunk. Chunks are small so that an interruption loses few trials."""
    return max(_LEAST, min(_MOST, -(-trials // 64)))


def chunk_count(trials: int) -> int:
    return -(-trials // chunk_size(trials))


@dataclass(frozen=True)
class Chunk:
    """Result of a chunk.

    Attributes:
        number: index of the chunk in the plan.
        trials: number of trials.
        part: content of the parquet file with the chunk's rows.
        recordings: file name -> content of the kept recordings.
    """

    number: int
    trials: int
    part: bytes
    recordings: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """Function that plays one chunk in a worker.

    Attributes:
        plan: plan of the sweep.
        keep_all: whether every recording is kept in its own file. Otherwise bad outcomes and a sample are kept, in one file per
            chunk.
    """

    plan: Plan
    keep_all: bool

    def __call__(self, number: int) -> Chunk:
        """Play chunk `number` and return its result."""
        size = chunk_size(len(self.plan))
        rows: list[dict[str, Any]] = []
        kept: dict[str, list[Recording]] = {}
        with uncollected():
            for trial_number, (trial, session) in enumerate(self.plan.part(number * size, (number + 1) * size), number * size):
                recording, tie = played(session, with_ties=self.plan.ties)
                row = row_of(trial, session, recording, tie)
                rows.append(row)
                if self.keep_all:
                    row["recording"] = f"{trial_number:06d}-{file_word(row['release'])}-{row['outcome']}.jsonl"
                    kept[row["recording"]] = [recording]
                elif row["bad"] or sampled(trial_number):
                    name = f"{number:06d}.jsonl.gz"
                    row["recording"] = f"{name}:{len(kept.setdefault(name, []))}"
                    kept[name].append(recording)
        files = {name: _bytes(name, recordings) for name, recordings in kept.items()}
        return Chunk(number, len(rows), part_bytes(rows, self.plan.further_columns), files)


@dataclass(frozen=True)
class Rows:
    """Function that plays one chunk in a worker and returns the chunk's rows (see `trials.row_of`)."""

    plan: Plan

    def __call__(self, number: int) -> list[dict[str, Any]]:
        """Play chunk `number` and return its rows."""
        size = chunk_size(len(self.plan))
        with uncollected():
            return [
                row_of(trial, session, *played(session, with_ties=self.plan.ties))
                for trial, session in self.plan.part(number * size, (number + 1) * size)
            ]


def played(session: SessionConfig, *, with_ties: bool) -> tuple[Recording, str | None]:
    """Return (recording, outcome of the other order of a tie). The outcome is None without a tie, or if `with_ties` is
    False."""
    return ties(session, lambda each: judge(each).outcome) if with_ties else (simulate(session), None)


def sampled(number: int) -> bool:
    """Return whether to keep the recording of a trial without a bad outcome. The choice depends only on `number`."""
    return zlib.crc32(str(number).encode()) % SAMPLE == 0


def file_word(release: str) -> str:
    """Return a release as part of a file name."""
    return "".join(char if char.isalnum() or char in ".-" else "-" for char in release)


def _bytes(name: str, recordings: list[Recording]) -> bytes:
    text = "".join(line + "\n" for recording in recordings for line in recording.lines()).encode("ascii")
    # No time stamp, so that equal recordings give equal bytes.
    return gzip.compress(text, compresslevel=1, mtime=0) if name.endswith(".gz") else text


@contextmanager
def uncollected() -> Iterator[None]:
    """Disable garbage collection in the context, because it would take 10 % of the time. Sessions have no reference cycles."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
