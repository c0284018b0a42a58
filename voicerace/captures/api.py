"""The recordings of the real Realtime API that come with the project: ``data/api``.

Each is a session between a client and the API, condensed (benchmarks/condense.py), as a `Recording` of the one link
between them. `Recording.provenance` names its source:

- ``connection``: the session's name; ``provider``: openai, azure, gateway-openai, azure-voice-live, xai, openai-live;
- ``protocol``: GA, beta, xai, or live (gpt-live, which is not the Realtime API);
- ``model``, ``date``, ``repository``, ``path``, ``commit``, ``license``, ``note``: None where they are not known;
- ``times``: whose clock the events have, or None: then the order is known and nothing else;
- ``fields``: ``all`` when every key of every message is there, ``some`` when the session was copied as a table;
- ``rows``: the rows of that table where they are not 1, 2, ...; ``breaks``: events before which messages are missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from voicerace.files import shipped
from voicerace.trace.recording import Recording, iter_recordings

__all__ = ["API", "api_recordings", "row_of"]

#: Their `made_by`.
API: Final = "api recording"


def api_recordings(*providers: str) -> Iterator[Recording]:
    """The recordings of some providers, or all; the logs of others (`logs.jsonl.gz`) are among their provider's.

    Raises:
        InputError: the data are not part of this installation.
    """
    for path in sorted(shipped("data/api").glob("*.jsonl.gz")):
        for recording in iter_recordings(path):
            if not providers or recording.provenance.get("provider") in providers:
                yield recording


def row_of(recording: Recording, seq: int) -> int | None:
    """The number of an event's row in its source, from 1; None when it has none."""
    rows = recording.provenance.get("rows")
    row = rows[seq] if isinstance(rows, list) and seq < len(rows) else None if isinstance(rows, list) else seq + 1
    return row if isinstance(row, int) else None
