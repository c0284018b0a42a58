"""Records the events of one live session, with times from one monotonic clock.

`observed_at` specifies where a message is observed. ``engine``: at both ends, which are actors of this process. ``socket``: at
the end in this process and at the socket to a running program, because the network is emulated between them. ``relay``: in a
relay. A fault is an event with a link and a reason.
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
    """Collects the events of one session.

    Args:
        provenance: provenance of the recording.
        observed: observed links.
        scrub: removes secrets from payloads and reasons.
        sink: file to which `flush` writes the complete events, so that a killed process loses only messages in flight.
            Events are written in the order of their completion; `close` sorts them.
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
        """Return the time since the start of the session in ns, and store the current time in `last_ns`."""
        self.last_ns = time.monotonic_ns()
        return self.last_ns - self.origin_ns

    def sent(self, link: Link, kind: Literal["message", "close"], payload: Payload, observed_at: str) -> int:
        """Record that a message leaves its sender, and return the message's number."""
        seq = self._enter(_Entry(link, kind, self.now_ns(), None, payload, observed_at))
        if observed_at == "engine":
            self._pending.setdefault(link, deque()).append(seq)
        return seq

    def opened(self, link: Link) -> None:
        """Record that a host connection is reopened. Messages in flight on links of the proxy are lost."""
        now = self.now_ns()
        self._enter(_Entry(link, "open", now, now, {}, "engine", settled=True))
        for each, waiting in self._pending.items():
            if "proxy" in each:
                waiting.clear()

    def arrived(self, seq: int) -> None:
        """Record that a message has reached the other end."""
        self._log[seq].received_ns = self.now_ns()
        self._log[seq].settled = True

    def lost(self, seq: int) -> None:
        """Record that a message will not reach the other end."""
        self._log[seq].settled = True

    def received(self, link: Link, kind: Literal["message", "close"]) -> int | None:
        """Record that the oldest message in flight on a link between two actors has arrived.

        Return the message's number, or None if no message is in flight.
        """
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
        """Record a running program's message as read from the socket, and return its number. `arrived`
        completes it."""
        return self._enter(_Entry(link, kind, self.now_ns() if sent_ns is None else sent_ns, None, payload, observed_at))

    def fault(self, link: Link, reason: str) -> None:
        """Record a fault on a link, and flush."""
        reason = self._scrub.text(reason)
        self.faults.append(reason)
        now = self.now_ns()
        self._enter(_Entry(link, "fault", now, now, {"reason": reason}, "engine", settled=True))
        self.flush()

    def flush(self) -> None:
        """Write the complete events that are not written yet to the sink."""
        if self._sink is not None and self._unwritten:
            self._write_out([seq for seq in self._unwritten if self._log[seq].settled])

    def finish(self) -> None:
        """Write the remaining events, including incomplete events, and close the sink."""
        self._write_out(self._unwritten)
        if self._complete:
            self._write(f'{{"end":{len(self._log)}}}')
        if self._sink is not None:
            self._sink.close()
            self._sink = None

    def close(self) -> Recording:
        """Call `finish`, rewrite the sink with sorted events if necessary, and return the recording."""
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
        """Add a write error to the faults of the recording, because a full disk must not end the session."""
        with contextlib.suppress(OSError):
            if self._sink is not None:
                self._sink.close()
        self._sink = None
        self._in_order = False  # Makes `close` write the file again.
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
