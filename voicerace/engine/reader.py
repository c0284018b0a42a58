"""Models a host that awaits its tool in its socket-reading loop, and therefore reads later messages late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from voicerace.model.parameters import Times
from voicerace.trace.recording import Payload

__all__ = ["Reader"]


class Reader:
    """Pauses the host's reader for `reader_ms` after each function call.

    Messages that arrive during a pause are read in order when it ends. Messages from the host are not delayed.

    Args:
        times: times of the session.
        seed: seed of the session.

    Attributes:
        until_ns: end of the pause in ns of the engine's clock.
    """

    def __init__(self, times: Times, seed: int) -> None:
        self._times = times
        self._seed = seed
        self._calls = 0
        self.until_ns = 0

    @classmethod
    def of(cls, times: Times, seed: int) -> Self | None:
        """Return the reader of a session, or None for a host without pauses."""
        return None if times.never_positive("reader_ms") else cls(times, seed)

    def read(self, payload: Payload, now_ns: int) -> bool:
        """Record that the host reads a message, and return whether a pause begins."""
        if not isinstance(payload, Mapping) or payload.get("type") != "FunctionCallRequest":
            return False
        self.until_ns = now_ns + self._times.ns("reader_ms", self._calls, self._seed)
        self._calls += 1
        return self.until_ns > now_ns

    def reconnected(self) -> None:
        """End the pause, because the host has a new connection."""
        self.until_ns = 0
