"""Recordings of the real Realtime API, shipped in ``data/api``.

Each `Recording` contains the messages of one session between a client and the API. `benchmarks/condense.py` removed texts and
audio. `Recording.provenance` describes the source:

- ``connection``: name of the session;
- ``provider``: openai, azure, gateway-openai, azure-voice-live, xai or openai-live;
- ``protocol``: GA, beta, xai, or live (gpt-live, which is not the Realtime API);
- ``model``, ``date``, ``repository``, ``path``, ``commit``, ``license``, ``note``: None if unknown;
- ``times``: program whose clock gave the times of the events; None if the recording has no times; - ``fields``: ``all`` if
every key of every message is present, ``some`` if the session was copied from a table; - ``rows``: row numbers of the events in
the source table; absent if they are 1, 2, ...; - ``breaks``: seqs of the events before which messages are missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from voicerace.files import shipped
from voicerace.trace.recording import Recording, iter_recordings

__all__ = ["API", "api_recordings", "row_of"]

#: Value of ``made_by`` in the provenance of these recordings.
API: Final = "api recording"


def api_recordings(*providers: str) -> Iterator[Recording]:
    """Yield the recordings of the given providers, or all recordings if none is given.

    Raises:
        InputError: the data files are not installed.
    """
    for path in sorted(shipped("data/api").glob("*.jsonl.gz")):
        for recording in iter_recordings(path):
            if not providers or recording.provenance.get("provider") in providers:
                yield recording


def row_of(recording: Recording, seq: int) -> int | None:
    """Return the row number of an event in the source table, from 1; None if the source has no row for the event."""
    rows = recording.provenance.get("rows")
    row = rows[seq] if isinstance(rows, list) and seq < len(rows) else None if isinstance(rows, list) else seq + 1
    return row if isinstance(row, int) else None
