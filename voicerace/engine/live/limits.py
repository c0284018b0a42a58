"""Limits the sessions of a server: their number, and the duration, bytes and event-loop share of each.

The bytes of a session are limited because a recording keeps every message on disk and in memory. `connection.MAX_FRAME`
limits the size of one message, and `SessionServer` the duration of a handshake. A client that sends faster than its frames
are handled gets a limited share of the event loop.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol

from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.http11 import Response

__all__ = ["POLICY", "ClosesInTime", "Limited", "Limits", "plain_answer"]

#: Close code for an exceeded limit (RFC 6455, 7.4.1: policy violation).
POLICY: Final = 1008
#: Maximum number of pings per second. An answer takes about 5 µs of processor time. Usual clients ping a few times a minute.
_MAX_PINGS_PER_S: Final = 1_000
#: Maximum number of bytes parsed at a time. The library would parse up to 256 KiB, which takes 0.2 s if all frames are empty.
_SLICE: Final = 8 * 2**10
#: Number of frames in a slice, or of unhandled messages, above which the loop runs other tasks before the next slice.
_MANY_FRAMES: Final = 64
#: Delay in seconds before the next slice while too many messages are unhandled.
_PAUSE_S: Final = 0.001
#: Number of consecutively received messages after which the loop runs other tasks.
_IN_A_ROW: Final = 16
#: Matches requests that the library closes without an answer: a method other than GET, or a body.
_PLAIN: Final = re.compile(
    rb"(?!GET )(?P<method>[A-Z]{1,20}) [^\r\n]+ HTTP/1\.[01]\r\n"
    rb"|GET [^\r\n]+ HTTP/1\.[01]\r\n(?:[^\r\n]+\r\n)*?(?i:content-length:[ \t]*0*[1-9]|transfer-encoding:)"
)
#: Maximum number of bytes of a request that are compared with `_PLAIN`.
_MAX_HEAD: Final = 16 * 2**10


@dataclass(frozen=True)
class Limits:
    """The limits of a server.

    Attributes:
        at_once: maximum number of open sessions. Further sessions are refused with HTTP status 503.
        lifetime_s: maximum duration of a session in seconds. The default is one minute longer than the API's maximum
            (docs/protocol-facts.md#session-lifetime).
        session_mib: maximum amount of data in MiB that the client of a session can send. One hour of audio is about 250 MiB.
    """

    at_once: int = 4_000
    lifetime_s: float = 3_660.0
    session_mib: float = 512.0


class ClosesInTime(Connection):
    """Connection whose `close` returns within the close timeout even if the peer does not read.

    The library's close timeout starts only after the close frame is written, and such a peer prevents the write.
    """

    async def close(self, code: int = 1000, reason: str = "") -> None:
        try:
            async with asyncio.timeout(None if self.close_timeout is None else self.close_timeout + 0.5):
                await super().close(code, reason)
        except TimeoutError:
            self.transport.abort()
            await self.wait_closed()


class Describes(Protocol):
    """Server that describes itself to plain HTTP clients."""

    def describe(self) -> str: ...


class Limited(ClosesInTime, ServerConnection):
    """Server connection that is closed when a limit is exceeded. The reason is recorded."""

    limits = Limits()
    described_by: Describes

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._received = 0
        self._ending: asyncio.Task[None] | None = None
        self._refused = False
        self._head = b""
        self._rest = b""
        self._feeding: asyncio.Handle | None = None
        #: Number of frames in the current slice, of messages not received yet, and of consecutively received messages.
        self._frames = self._waiting = self._in_a_row = 0
        self._pings, self._pings_since_s = 0, 0.0

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._received += len(data)
        if self._received > self.limits.session_mib * 2**20:
            self._refuse(f"more than {self.limits.session_mib:g} MiB in one session")
        elif self.request is None and (response := self._plain(data)) is not None:
            self._refused = True
            self.protocol.send_response(response)
            self.send_data()
        else:
            self._rest += data
            if self._feeding is None:
                self._feed()

    def _feed(self) -> None:
        """Pass received bytes to the library in slices. After a slice with many frames, let the loop run other tasks."""
        self._feeding = None
        while self._rest and not self._refused:
            self._frames = 0
            part, self._rest = self._rest[:_SLICE], self._rest[_SLICE:]
            super().data_received(part)
            if self._rest and max(self._frames, self._waiting) > _MANY_FRAMES:
                self.transport.pause_reading()
                pause_s = _PAUSE_S if self._waiting > _MANY_FRAMES else 0.0
                self._feeding = self.loop.call_later(pause_s, self._feed)
                return
        if not self._refused:
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._feeding is not None:
            self._feeding.cancel()
        super().connection_lost(exc)

    def process_event(self, event: Any) -> None:
        super().process_event(event)
        if isinstance(event, Frame):
            self._frames += 1
            if event.opcode is Opcode.PING:
                self._count_ping()
            elif event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT) and event.fin:
                self._waiting += 1

    async def recv(self, decode: bool | None = None) -> Any:
        message = await super().recv(decode)
        self._waiting -= 1
        self._in_a_row += 1
        # `recv` does not suspend its caller while the library has buffered messages.
        if self._in_a_row >= _IN_A_ROW:
            self._in_a_row = 0
            await asyncio.sleep(0)
        return message

    def end(self, reason: str) -> None:
        """Close the connection because of a limit."""
        if self._ending is None:
            self._ending = self.loop.create_task(self.close(POLICY, reason))

    def _refuse(self, reason: str) -> None:
        """Close like `end` but stop reading, so that the connection is dropped after the close timeout."""
        self._refused = True
        self._rest = b""
        self.transport.pause_reading()
        self.end(reason)

    def _count_ping(self) -> None:
        now_s = self.loop.time()
        if now_s - self._pings_since_s >= 1.0:
            self._pings, self._pings_since_s = 0, now_s
        self._pings += 1
        if self._pings > _MAX_PINGS_PER_S:
            self._refuse(f"more than {_MAX_PINGS_PER_S:,} pings in a second")

    def _plain(self, data: bytes) -> Response | None:
        """Return the response to a plain HTTP request that the library would not answer; None for other data."""
        self._head = (self._head + data)[:_MAX_HEAD]
        found = _PLAIN.match(self._head) if b"\n" in data else None
        if found is None:
            return None
        return plain_answer(self, self.described_by.describe(), (found["method"] or b"GET").decode("ascii"))


def plain_answer(connection: ServerConnection, text: str, method: str = "GET") -> Response:
    """Return the response to a plain HTTP request: 426 to GET, 405 to other methods (RFC 9110, 15.5.6 and 15.5.22)."""
    status = HTTPStatus.UPGRADE_REQUIRED if method == "GET" else HTTPStatus.METHOD_NOT_ALLOWED
    response = connection.respond(status, text)
    response.headers["Upgrade"] = "websocket"
    if method != "GET":
        response.headers["Allow"] = "GET"
    if method == "HEAD":
        response.body = b""
    return response
