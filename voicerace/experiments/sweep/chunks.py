"""A sweep in chunks: what one worker does, wherever it runs, and what it hands back.

A chunk is a stretch of the plan. How long it is follows from the plan alone, and what is in it from its number, so the
table is the same whoever plays which chunk and in which order. A worker touches no files: the process that holds the
folder's lock writes.
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
#: Of the trials without a finding, one in so many is kept.
SAMPLE: Final = 64


def chunk_size(trials: int) -> int:
    """Trials of a chunk: few enough that several processes have something to do, and that little is lost with one."""
    return max(_LEAST, min(_MOST, -(-trials // 64)))


def chunk_count(trials: int) -> int:
    return -(-trials // chunk_size(trials))


@dataclass(frozen=True)
class Chunk:
    """A chunk that was played.

    Attributes:
        number: its place in the plan.
        trials: how many.
        part: its part of the table, as parquet.
        recordings: file name -> content, of those that are kept.
    """

    number: int
    trials: int
    part: bytes
    recordings: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """What a worker needs to know; a call plays one chunk.

    Attributes:
        plan: of the whole sweep.
        keep_all: every recording is kept, each in a file of its own; else the findings and a sample, in one per chunk.
    """

    plan: Plan
    keep_all: bool

    def __call__(self, number: int) -> Chunk:
        """Play chunk `number`."""
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
    """As `Work`, without recordings: a call gives the rows of one chunk, see `trials.row_of`."""

    plan: Plan

    def __call__(self, number: int) -> list[dict[str, Any]]:
        """Play chunk `number`."""
        size = chunk_size(len(self.plan))
        with uncollected():
            return [
                row_of(trial, session, *played(session, with_ties=self.plan.ties))
                for trial, session in self.plan.part(number * size, (number + 1) * size)
            ]


def played(session: SessionConfig, *, with_ties: bool) -> tuple[Recording, str | None]:
    """A session's recording, and the outcome of the other order of a tie, if it was looked for and there is one."""
    return ties(session, lambda each: judge(each).outcome) if with_ties else (simulate(session), None)


def sampled(number: int) -> bool:
    """Whether a trial without a finding is kept: as good as by chance, and the same for everybody who asks."""
    return zlib.crc32(str(number).encode()) % SAMPLE == 0


def file_word(release: str) -> str:
    """A release as a part of a file's name."""
    return "".join(char if char.isalnum() or char in ".-" else "-" for char in release)


def _bytes(name: str, recordings: list[Recording]) -> bytes:
    text = "".join(line + "\n" for recording in recordings for line in recording.lines()).encode("ascii")
    # No time stamp: the same recordings are the same bytes.
    return gzip.compress(text, compresslevel=1, mtime=0) if name.endswith(".gz") else text


@contextmanager
def uncollected() -> Iterator[None]:
    """Without garbage collection: sessions leave no cycles behind, and looking for them takes a tenth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
