"""Read the log records about the API's audio that ``OPENAI_PROXY_TTS_BOUNDARY_DEBUG=1`` adds, and align them with its events.

From the second ``response.output_audio.delta`` on, the proxy logs ``TTS boundary after chunk N`` with the bytes of chunk N
(counted from 0), the bytes of the next chunk, which is in this delta, and the samples on both sides. At
``response.output_audio.done`` it logs ``TTS chunk lengths`` with the bytes of the first ten chunks. Each record follows that of
its event. The numbers show lost records: each chunk has a delta, and each boundary repeats the bytes of the chunk before it.
Source: `server.ts` at the tags 0.9.0 to 0.11.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from voicerace.model.protocol import realtime
from voicerace.trace.recording import UPSTREAM_TO_PROXY, Event

__all__ = ["AudioChunks", "ChunkRecord", "chunk_record"]

#: Number of chunks that ``TTS chunk lengths`` lists at most.
_LISTED: Final = 10
_NUMBER: Final = r"(\d{1,9})"
_BOUNDARY: Final = re.compile(rf"TTS boundary after chunk {_NUMBER}: lengths {_NUMBER}, {_NUMBER}; last A \(LE: ", re.ASCII)
_LENGTHS: Final = re.compile(rf"TTS chunk lengths \(first {_NUMBER}\): (\d{{1,9}}(?:, \d{{1,9}})*)(\.\.\.)?", re.ASCII)


class ChunkRecord(NamedTuple):
    """Numbers of one record about audio.

    Attributes:
        position: position of the first chunk in `sizes`, counted from 0 in the response's audio.
        sizes: sizes of consecutive chunks in bytes.
        last: whether the response's audio is complete, so that the proxy begins to count at 0 again.
        more: whether more chunks precede the end than are listed.
    """

    position: int
    sizes: tuple[int, ...]
    last: bool
    more: bool = False

    @property
    def body(self) -> str:
        """The body of a record with these numbers, without the samples, which are sound."""
        if not self.last:
            return f"TTS boundary after chunk {self.position}: lengths {self.sizes[0]}, {self.sizes[1]}; last A (LE: "
        return f"TTS chunk lengths (first {len(self.sizes)}): {', '.join(map(str, self.sizes))}{'...' * self.more}"


def chunk_record(body: str) -> ChunkRecord | None:
    """Return the numbers in a record's body; None if it is another record, or one that the proxy cannot write."""
    if boundary := _BOUNDARY.match(body):
        position, before, here = map(int, boundary.groups())
        return ChunkRecord(position, (before, here), last=False)
    if lengths := _LENGTHS.fullmatch(body):
        sizes = tuple(map(int, lengths[2].split(", ")))
        if int(lengths[1]) == len(sizes) <= _LISTED and (lengths[3] is None or len(sizes) == _LISTED):
            return ChunkRecord(0, sizes, last=True, more=lengths[3] is not None)
    return None


@dataclass
class AudioChunks:
    """The audio of one connection.

    Attributes:
        logged: whether a record about audio was read.
        total_bytes: bytes of all chunks that the records name.
        deltas: number of audio deltas since the last complete audio.
        sizes: bytes of the chunks since the last complete audio, as far as the records name them.
    """

    logged: bool = False
    total_bytes: int = 0
    deltas: int = 0
    sizes: list[int] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether the records name the bytes of every delta so far."""
        return self.deltas == len(self.sizes)

    def take(self, body: str, events: Iterable[Event]) -> Iterator[str]:
        """Add a record and the events that it contains. Yield a doubt if other records must be missing or damaged."""
        for event in events:
            self.deltas += event.link == UPSTREAM_TO_PROXY and event.type == realtime.AUDIO_DELTA
        if not body.startswith("TTS "):
            return
        self.logged = True
        record = chunk_record(body)
        if record is None:
            yield "a record about audio without its numbers"
            return
        if not self.sizes and record.position == 0 and not record.more:
            self._add(record.sizes[0])  # no record names the first chunk alone
        if record.last:
            fits = tuple(self.sizes[:_LISTED]) == record.sizes and record.more == (len(self.sizes) > _LISTED)
        else:
            fits = len(self.sizes) == record.position + 1 and self.sizes[-1] == record.sizes[0]
            self._add(record.sizes[1])
        if not fits:
            yield "a record about audio that does not follow those of the chunks before it"
        if self.deltas != len(self.sizes):
            yield "a record about audio that names another number of chunks than there are deltas"
        if record.last:
            self.sizes, self.deltas = [], 0

    def _add(self, size: int) -> None:
        self.sizes.append(size)
        self.total_bytes += size
