"""What passes in one live session, written down as it is seen, on one monotonic clock.

Three ways to see a message: both its ends are ours (``engine``); our end only, the other being a running program
(``socket``: the emulated network lies on our side, so the far time is the moment at the socket); or in passing
(``relay``). A fault is an event like the others, because it is what was seen: it says on which link, and why.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from voicerace.model.protocol.frames import payload_of
from voicerace.scrubber import Scrubber
from voicerace.trace.recording import LINKS, Event, Link, Payload, Recording

__all__ = ["Recorder"]


@dataclass(slots=True)
class _Entry:
    link: Link
    kind: Literal["message", "close", "open", "fault"]
    sent_ns: int | None
    received_ns: int | None
    payload: Payload
    observed_at: str
    settled: bool = False


class Recorder:
    """The events of one session.

    Args:
        provenance: what the recording says of itself.
        observed: the links that are watched.
        scrub: takes secrets out of payloads and reasons before they are kept.
        sink: a file that gets an event at the first `flush` after nothing more is to be learned of it, so that a
            killed process loses only what was on its way. Until `close`, an event that took long stands behind later
            ones of other links.
    """

    def __init__(
        self,
        provenance: Mapping[str, Any],
        observed: tuple[Link, ...] = LINKS,
        scrub: Scrubber | None = None,
        sink: Path | None = None,
    ) -> None:
        self.provenance = dict(provenance)
        self.observed = observed
        self.origin_ns = self.last_ns = time.monotonic_ns()
        self.faults: list[str] = []
        self.stopped = False
        self._scrub = scrub or Scrubber(())
        self._log: list[_Entry] = []
        self._pending: dict[Link, deque[int]] = {}
        self._unwritten: list[int] = []
        self._last_written = -1
        self._in_order = True
        self._path = sink
        self._sink: IO[str] | None = None
        if sink is not None:
            try:
                self._sink = sink.open("w", encoding="ascii", buffering=1)
            except OSError as error:
                self._unwritable(error)
            self._write(next(self._recording(complete=False).lines()))

    def now_ns(self) -> int:
        """Nanoseconds since the session began."""
        self.last_ns = time.monotonic_ns()
        return self.last_ns - self.origin_ns

    def sent(self, link: Link, kind: Literal["message", "close"], payload: Payload, observed_at: str) -> int:
        """A message leaves its sender; gives its number."""
        seq = self._enter(_Entry(link, kind, self.now_ns(), None, payload, observed_at))
        if observed_at == "engine":
            self._pending.setdefault(link, deque()).append(seq)
        return seq

    def opened(self, link: Link) -> None:
        """A connection is opened again: what was on its way on the one before, and behind it, is lost."""
        now = self.now_ns()
        self._enter(_Entry(link, "open", now, now, {}, "engine", settled=True))
        for each, waiting in self._pending.items():
            if "proxy" in each:
                waiting.clear()

    def arrived(self, seq: int) -> None:
        """A message sent earlier has reached the other end."""
        self._log[seq].received_ns = self.now_ns()
        self._log[seq].settled = True

    def lost(self, seq: int) -> None:
        """A message sent earlier will not reach the other end any more."""
        self._log[seq].settled = True

    def received(self, link: Link, kind: Literal["message", "close"]) -> int | None:
        """The oldest message on the way on a link whose ends are both ours has arrived; None when there is none."""
        waiting = self._pending.get(link)
        while waiting:
            seq = waiting.popleft()
            if self._log[seq].kind == kind:
                self.arrived(seq)
                return seq
        return None

    def seen(
        self, link: Link, kind: Literal["message", "close"], payload: Payload, observed_at: str, sent_ns: int | None = None
    ) -> int:
        """A message of somebody else's, seen when it came in; `arrived` says when it went on."""
        return self._enter(_Entry(link, kind, self.now_ns() if sent_ns is None else sent_ns, None, payload, observed_at))

    def fault(self, link: Link, reason: str) -> None:
        """Something went wrong on a link that no actor did on purpose."""
        reason = self._scrub.text(reason)
        self.faults.append(reason)
        now = self.now_ns()
        self._enter(_Entry(link, "fault", now, now, {"reason": reason}, "engine", settled=True))
        self.flush()

    def flush(self) -> None:
        """Write to the sink what was settled since the last time."""
        if self._sink is not None and self._unwritten:
            self._write_out([seq for seq in self._unwritten if self._log[seq].settled])

    def finish(self) -> None:
        """The session is over, or is no longer watched: write the rest and close the sink."""
        self._write_out(self._unwritten)
        if self._complete:
            self._write(f'{{"end":{len(self._log)}}}')
        if self._sink is not None:
            self._sink.close()
            self._sink = None

    def close(self) -> Recording:
        """As `finish`, with the sink's events in order; gives what was recorded."""
        self.finish()
        recording = self._recording(complete=self._complete)
        if self._path is not None and not self._in_order:
            with contextlib.suppress(OSError):
                recording.write(self._path)
        return recording

    @property
    def _complete(self) -> bool:
        return not self.stopped and not self.faults

    def _enter(self, entry: _Entry) -> int:
        self._log.append(entry)
        seq = len(self._log) - 1
        if self._sink is not None:
            self._unwritten.append(seq)
        return seq

    def _write_out(self, seqs: list[int]) -> None:
        for seq in seqs:
            self._write(self._event(seq).line())
            self._in_order &= seq > self._last_written
            self._last_written = max(seq, self._last_written)
        written = set(seqs)
        self._unwritten = [seq for seq in self._unwritten if seq not in written]

    def _write(self, line: str) -> None:
        try:
            if self._sink is not None:
                self._sink.write(line + "\n")
        except OSError as error:
            self._unwritable(error)

    def _unwritable(self, error: OSError) -> None:
        """A full disk must not end the session: what cannot be written is a fault of the recording."""
        with contextlib.suppress(OSError):
            if self._sink is not None:
                self._sink.close()
        self._sink = None
        self._in_order = False  # there may be room again when the session has ended
        self.faults.append(f"the recording cannot be written: {error.strerror}")

    def _recording(self, *, complete: bool) -> Recording:
        return Recording(
            events=tuple(self._event(seq) for seq in range(len(self._log))),
            provenance=self.provenance,
            clock="monotonic",
            observed=self.observed,
            complete=complete,
        )

    def _event(self, seq: int) -> Event:
        entry = self._log[seq]
        payload = entry.payload
        if isinstance(payload, str) and entry.observed_at == "relay":
            payload = payload_of(payload)
        payload = self._scrub.payload(payload)
        return Event(seq, entry.link, entry.kind, entry.sent_ns, entry.received_ns, payload, entry.observed_at)
