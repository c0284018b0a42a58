"""What a server of ours takes from whoever comes: so many sessions at a time, each so long and of so many bytes.

A recording keeps every message, in memory too: without an end of a session's bytes a client could fill both. The size of
one message is the line's (`engines.line.MAX_FRAME`), the time of a handshake the door's.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from websockets.asyncio.server import ServerConnection

__all__ = ["POLICY", "Limited", "Limits"]

#: Closed because of a limit of ours (RFC 6455, 7.4.1: a policy is violated).
POLICY: Final = 1008


@dataclass(frozen=True)
class Limits:
    """The ends of a server's patience.

    Attributes:
        at_once: sessions at a time; another one is refused with 503. The default is for servers whose clients are ours.
        lifetime_s: of a session. The API ends one after 60 minutes (REALTIME, doc); a minute more lets it do so first.
        session_mib: that one session may send. An hour of audio without a pause is 250.
    """

    at_once: int = 4_000
    lifetime_s: float = 3_660.0
    session_mib: float = 512.0


class Limited(ServerConnection):
    """A connection that ends when its limits are met, with a reason that its recording keeps."""

    limits = Limits()

    def __init__(self, *arguments: Any, **given: Any) -> None:
        super().__init__(*arguments, **given)
        self._taken = 0
        self._ending: asyncio.Task[None] | None = None

    def data_received(self, data: bytes) -> None:
        self._taken += len(data)
        if self._taken > self.limits.session_mib * 2**20:
            # Nothing more is read, not even an answer to our close: the close timeout drops the connection.
            self.end(f"more than {self.limits.session_mib:g} MiB in one session")
            return
        super().data_received(data)

    def end(self, reason: str) -> None:
        """Close the connection because of a limit."""
        if self._ending is None:
            self._ending = self.loop.create_task(self.close(POLICY, reason))
