"""What a server of ours takes from whoever comes: so many sessions at a time, each so long and of so many bytes.

A recording keeps every message, in memory too: without an end of a session's bytes a client could fill both. The size of
one message is the line's (`engine.live.connection.MAX_FRAME`), the time of a handshake the door's. A client that sends faster
than its frames are handled waits for the others: each connection has a bounded share of every turn of the event loop.
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

#: Closed because of a limit of ours (RFC 6455, 7.4.1: a policy is violated).
POLICY: Final = 1008
#: Clients ping a few times a minute. The library answers each ping, about 5 µs of the processor.
_MOST_PINGS_PER_S: Final = 1_000
#: Bytes that are parsed in one go. The library parses all that a read brings, up to 256 KiB: 0.2 s where every frame is empty.
_SLICE: Final = 8 * 2**10
#: Frames in a slice, and messages not yet handled, above which the next slice waits for the loop's other work.
_MANY_FRAMES: Final = 64
#: Until the next slice, where messages wait to be received.
_PAUSE_S: Final = 0.001
#: So many messages are handed out before the loop's other work gets a turn.
_IN_A_ROW: Final = 16
#: A request that the library cannot read: it ends the connection without an answer. Every method but GET, and a body.
_PLAIN: Final = re.compile(
    rb"(?!GET )(?P<method>[A-Z]{1,20}) [^\r\n]+ HTTP/1\.[01]\r\n"
    rb"|GET [^\r\n]+ HTTP/1\.[01]\r\n(?:[^\r\n]+\r\n)*?(?i:content-length:[ \t]*0*[1-9]|transfer-encoding:)"
)
_MOST_HEAD: Final = 16 * 2**10


@dataclass(frozen=True)
class Limits:
    """The ends of a server's patience.

    Attributes:
        at_once: sessions at a time; another one is refused with 503. The default is for servers whose clients are ours.
        lifetime_s: of a session. The API ends one after 60 minutes (docs/protocol-facts.md#session-lifetime); a minute more
            lets it do so first.
        session_mib: that one session may send. An hour of audio without a pause is 250.
    """

    at_once: int = 4_000
    lifetime_s: float = 3_660.0
    session_mib: float = 512.0


class ClosesInTime(Connection):
    """A connection whose `close` returns in time although the peer reads nothing.

    The library's close timeout begins when the close frame has been written, and a peer that does not read keeps it from
    being written.
    """

    async def close(self, code: int = 1000, reason: str = "") -> None:
        try:
            async with asyncio.timeout(None if self.close_timeout is None else self.close_timeout + 0.5):
                await super().close(code, reason)
        except TimeoutError:
            self.transport.abort()
            await self.wait_closed()


class Describes(Protocol):
    """A server that says what it is."""

    def describe(self) -> str: ...


class Limited(ClosesInTime, ServerConnection):
    """A connection that ends when its limits are met, with a reason that its recording keeps."""

    limits = Limits()
    door: Describes

    def __init__(self, *arguments: Any, **given: Any) -> None:
        super().__init__(*arguments, **given)
        self._taken = 0
        self._ending: asyncio.Task[None] | None = None
        self._refused = False
        self._head = b""
        self._rest = b""
        self._feeding: asyncio.Handle | None = None
        #: Frames of the current slice, messages that wait to be received, and messages received in a row.
        self._frames = self._waiting = self._in_a_row = 0
        self._pings, self._pings_since_s = 0, 0.0

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._taken += len(data)
        if self._taken > self.limits.session_mib * 2**20:
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
        """Hand what was read to the library; after a slice of many small frames the loop's other work comes first."""
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
        # Where messages wait, receiving them never suspends the caller.
        if self._in_a_row >= _IN_A_ROW:
            self._in_a_row = 0
            await asyncio.sleep(0)
        return message

    def end(self, reason: str) -> None:
        """Close the connection because of a limit."""
        if self._ending is None:
            self._ending = self.loop.create_task(self.close(POLICY, reason))

    def _refuse(self, reason: str) -> None:
        """As `end`; nothing more is read, not even an answer to our close: the close timeout drops the connection."""
        self._refused = True
        self._rest = b""
        self.transport.pause_reading()
        self.end(reason)

    def _count_ping(self) -> None:
        now_s = self.loop.time()
        if now_s - self._pings_since_s >= 1.0:
            self._pings, self._pings_since_s = 0, now_s
        self._pings += 1
        if self._pings > _MOST_PINGS_PER_S:
            self._refuse(f"more than {_MOST_PINGS_PER_S:,} pings in a second")

    def _plain(self, data: bytes) -> Response | None:
        """The answer to a request that is none for a WebSocket, and that the library would not answer."""
        self._head = (self._head + data)[:_MOST_HEAD]
        found = _PLAIN.match(self._head) if b"\n" in data else None
        if found is None:
            return None
        return plain_answer(self, self.door.describe(), (found["method"] or b"GET").decode("ascii"))


def plain_answer(connection: ServerConnection, text: str, method: str = "GET") -> Response:
    """The answer to plain HTTP: 426 to GET, 405 to every other method (RFC 9110, 15.5.6 and 15.5.22)."""
    status = HTTPStatus.UPGRADE_REQUIRED if method == "GET" else HTTPStatus.METHOD_NOT_ALLOWED
    response = connection.respond(status, text)
    response.headers["Upgrade"] = "websocket"
    if method != "GET":
        response.headers["Allow"] = "GET"
    if method == "HEAD":
        response.body = b""
    return response
