"""A host that awaits its tool in the loop that reads its socket, and therefore reads later messages late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from voicerace.model.parameters import Times
from voicerace.trace.recording import Payload

__all__ = ["Reader"]


class Reader:
    """The pauses of the host's reader: `reader_ms` after each function call. Messages that arrive in a pause are read at its
    end, in their order. The messages that the host sends are not delayed.

    Args:
        times, seed: those of the session.

    Attributes:
        until_ns: end of the pause on the engine's clock.
    """

    def __init__(self, times: Times, seed: int) -> None:
        self._times = times
        self._seed = seed
        self._calls = 0
        self.until_ns = 0

    @classmethod
    def of(cls, times: Times, seed: int) -> Self | None:
        """The reader of a session; None for a host without pauses."""
        return None if times.never_positive("reader_ms") else cls(times, seed)

    def read(self, payload: Payload, now_ns: int) -> bool:
        """Note that the host reads a message; return whether a pause begins."""
        if not isinstance(payload, Mapping) or payload.get("type") != "FunctionCallRequest":
            return False
        self.until_ns = now_ns + self._times.ns("reader_ms", self._calls, self._seed)
        self._calls += 1
        return self.until_ns > now_ns

    def reconnected(self) -> None:
        """Note another connection of the host, whose messages it reads."""
        self.until_ns = 0
