"""Verifies the files of a stopped sweep before it is resumed.

Changed files are moved to the folder of damaged files, and their trials are replayed.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError
from voicerace.experiments.checksums import Checksums, changed, existing, listed
from voicerace.experiments.sweep.chunks import chunk_count, chunk_size
from voicerace.experiments.sweep.folder import RECORDINGS, TABLE, set_aside
from voicerace.experiments.sweep.spec import Plan
from voicerace.experiments.sweep.table import parts, recordings_of
from voicerace.experiments.sweep.trials import row_of
from voicerace.trace.recording import Recording

__all__ = ["done_chunks", "done_rows", "verified"]


def verified(folder: Path) -> Checksums:
    """Set aside every changed part and recording, report each on standard error, and return the remaining checksums.

    A folder from an earlier version has no checksums, so its files are used without verification.
    """
    known = listed(folder)
    if known is None:
        if files := existing(folder):
            _report(
                f"{folder} has no checksums: its {len(files)} files cannot be verified, and those that can be read are kept"
            )
        known = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}
    for name, wrong in [*changed(folder, known)]:
        if (folder / name).exists():  # A missing file was possibly never written.
            _set_aside(folder, name, wrong)
            known.pop(name, None)
    return Checksums(folder, known)


def done_chunks(folder: Path, plan: Plan) -> set[int]:
    """Return the numbers of the chunks whose part and recordings exist. Other parts are set aside."""
    trials = len(plan)
    size, count = chunk_size(trials), chunk_count(trials)
    present = {path.name for path in (folder / RECORDINGS).iterdir()}
    done = set()
    for number, file in ((_number(file), file) for file in parts(folder)):
        try:
            if number is None or number >= count:
                raise InputError(file.name, "no part of this sweep")
            rows, recordings = recordings_of(file)
            if rows != min(size, trials - number * size):
                raise InputError(file.name, f"holds {rows} trials, which is another number than its place has")
            if missing := sorted(recordings - present):
                raise InputError(file.name, f"its recording {missing[0]} is missing or was set aside")
            done.add(number)
        except InputError as error:
            _set_aside(folder, f"{TABLE}/{file.name}", error.found)
    return done


def done_rows(folder: Path, planned: Sequence[tuple[int, SessionConfig]]) -> dict[int, dict[str, Any]]:
    """Return the rows of a live sweep's finished trials by number, from their recordings. Other files are set aside."""
    rows: dict[int, dict[str, Any]] = {}
    for path in sorted((folder / RECORDINGS).glob("[0-9]*-*.jsonl")):
        try:
            number = int(path.name.partition("-")[0])
            if not 0 <= number < len(planned) or number in rows:
                raise InputError(path.name, "no recording of this sweep, or a second one of its trial")
            rows[number] = row_of(*planned[number], Recording.read(path), None) | {"recording": path.name}
        except ValueError as error:  # including InputError
            _set_aside(folder, f"{RECORDINGS}/{path.name}", str(error))
    return rows


def _number(part: Path) -> int | None:
    return int(part.stem) if part.stem.isascii() and part.stem.isdigit() and part.stem == f"{int(part.stem):06d}" else None


def _set_aside(folder: Path, name: str, wrong: str) -> None:
    set_aside(folder, name)
    _report(f"{str(folder / name)!r}: {wrong}; set aside in {folder / 'damaged'}, and what is lost with it is played again")


def _report(line: str) -> None:
    print(f"voicerace: {line}", file=sys.stderr)
