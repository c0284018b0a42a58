"""Recordings of the real Realtime API, shipped in ``data/api``.

Each is a session between a client and the API, condensed (benchmarks/condense.py), as a `Recording` of the link between
them. `Recording.provenance` names its source:

- ``connection``: the session's name; ``provider``: openai, azure, gateway-openai, azure-voice-live, xai, openai-live;
- ``protocol``: GA, beta, xai, or live (gpt-live, which is not the Realtime API);
- ``model``, ``date``, ``repository``, ``path``, ``commit``, ``license``, ``note``: None if unknown;
- ``times``: the program whose clock the events have; None if only the order is known;
- ``fields``: ``all`` if every key of every message is present, ``some`` if the session was copied as a table;
- ``rows``: the row numbers of that table, unless they are 1, 2, ...; ``breaks``: events before which messages are missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from voicerace.files import shipped
from voicerace.trace.recording import Recording, iter_recordings

__all__ = ["API", "api_recordings", "row_of"]

#: `made_by` of these recordings.
API: Final = "api recording"


def api_recordings(*providers: str) -> Iterator[Recording]:
    """Yield the recordings of the given providers, or of all. Those of `logs.jsonl.gz` count for their provider.

    Raises:
        InputError: the installation lacks the data.
    """
    for path in sorted(shipped("data/api").glob("*.jsonl.gz")):
        for recording in iter_recordings(path):
            if not providers or recording.provenance.get("provider") in providers:
                yield recording


def row_of(recording: Recording, seq: int) -> int | None:
    """Return the row number of an event in its source, from 1; None if it has none."""
    rows = recording.provenance.get("rows")
    row = rows[seq] if isinstance(rows, list) and seq < len(rows) else None if isinstance(rows, list) else seq + 1
    return row if isinstance(row, int) else None
