"""A host whose reader is blocked: it awaits its tool in the loop that reads its socket, so it reads later messages late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from voicerace.model.parameters import Times
from voicerace.trace.recording import Payload

__all__ = ["Reader"]


class Reader:
    """When the host reads. From each function call that it reads, it reads nothing for `reader_ms`; the messages that arrive
    meanwhile are read when that time is over, in their order. The messages that the host sends are not delayed.

    Args:
        times, seed: of the session.

    Attributes:
        until_ns: nothing is read before this moment of the engine's clock.
    """

    def __init__(self, times: Times, seed: int) -> None:
        self._times = times
        self._seed = seed
        self._calls = 0
        self.until_ns = 0

    @classmethod
    def of(cls, times: Times, seed: int) -> Self | None:
        """None for a session whose host always reads."""
        return None if times.never_positive("reader_ms") else cls(times, seed)

    def read(self, payload: Payload, now_ns: int) -> bool:
        """The host has read a message; True if it reads nothing more until `until_ns`."""
        if not isinstance(payload, Mapping) or payload.get("type") != "FunctionCallRequest":
            return False
        self.until_ns = now_ns + self._times.ns("reader_ms", self._calls, self._seed)
        self._calls += 1
        return self.until_ns > now_ns

    def reconnected(self) -> None:
        """The host has another connection, whose messages it reads."""
        self.until_ns = 0
