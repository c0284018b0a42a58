"""The relay: stands between two neighbours, passes every frame on, and writes down when it came and when it went on.

It keeps path, query, headers, subprotocol, frame types and close codes, and refuses a handshake as its target does. On
both sides it reads one monotonic clock, so the delay it adds is in its recording: `received_ns` minus `sent_ns` of every
event. What it does not pass on: pings (each side has its own), fragmentation, compression.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from voicerace.engines.connecting import NotConnectedError, open_connection
from voicerace.engines.line import why_closed
from voicerace.engines.recorder import Recorder
from voicerace.recording import Link, Payload, Recording
from voicerace.secrets import Scrubber
from voicerace.wire.frames import payload_of

__all__ = ["Relay", "added_ns"]

#: Of one hop only, or set by the client library itself.
_NOT_PASSED: Final = frozenset({"host", "connection", "upgrade", "content-length", "transfer-encoding", "user-agent"})


class Relay:
    """One connection, from who comes in (near) to the target (far).

    Args:
        near, far: their parties' names, neighbours of a session.
        target: ``ws(s)://host:port``.
        recorder: takes down what passes.
        path: path and query at the target; without it, those that the near side asks for.
        headers: set in the far handshake instead of what the near side sent.
        shield: hides these secrets from the near side as well (a child that must never see the real key).
        watch: sees what passes.

    Attributes:
        over: done when both connections have ended, or the far one did not open.
    """

    def __init__(
        self,
        near: str,
        far: str,
        target: str,
        recorder: Recorder,
        *,
        path: str | None = None,
        headers: Mapping[str, str] | None = None,
        shield: Scrubber | None = None,
        watch: Callable[[Link, Payload, int], None] | None = None,
    ) -> None:
        self.up, self.down = Link(near, far), Link(far, near)
        self.target = target
        self.recorder = recorder
        self.path = path
        self.headers = dict(headers or {})
        self.shield = shield
        self.watch = watch
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._near: ServerConnection | None = None
        self._far: ClientConnection | None = None

    async def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Open the far side first: what it refuses is refused here too."""
        ours = {name.lower() for name in self.headers}
        passed = [
            (name, value)
            for name, value in request.headers.raw_items()
            if name.lower() not in _NOT_PASSED | ours and not name.lower().startswith("sec-websocket-")
        ]
        offered = [
            Subprotocol(word.strip())
            for value in request.headers.get_all("Sec-WebSocket-Protocol")
            for word in value.split(",")
        ]
        try:
            url = self.target + (request.path if self.path is None else self.path)
            self._far = await open_connection(url, [*passed, *self.headers.items()], offered or None)
        except NotConnectedError as error:
            self.recorder.fault(self.down, f"{self.up.receiver}: {error.reason}")
            self._end()
            # A number that the library knows no phrase for is passed on as the nearest that it does.
            known = error.status in {int(each) for each in HTTPStatus}
            return connection.respond(HTTPStatus(error.status) if known and error.status else HTTPStatus.BAD_GATEWAY, "\n")
        return None

    def subprotocol(self, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return self._far.subprotocol if self._far is not None else None

    async def serve(self, connection: ServerConnection) -> None:
        if self._far is None:
            raise RuntimeError("served before it was admitted")
        self._near = connection
        try:
            await asyncio.gather(
                self._pump(connection, self._far, self.up, None), self._pump(self._far, connection, self.down, self.shield)
            )
        finally:
            self._end()

    async def barrier(self) -> None:
        """Return when the near side has handled all that was passed to it."""
        if self._near is not None:
            try:
                async with asyncio.timeout(1.0):
                    await (await self._near.ping())
            except (TimeoutError, ConnectionClosed):
                return

    def hang_up(self) -> None:
        """Drop what is still open."""
        for connection in (self._near, self._far):
            if connection is not None:
                connection.transport.abort()

    def _end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

    async def _pump(self, source: Connection, sink: Connection, link: Link, shield: Scrubber | None) -> None:
        recorder, watch = self.recorder, self.watch
        while True:
            try:
                raw = await source.recv()
            except ConnectionClosed as closed:
                await self._close(closed, sink, link)
                return
            # Parsing waits until somebody reads the recording: the neighbours wait for the frame.
            seq = recorder.seen(link, "message", raw, "relay")
            if shield is not None:
                payload = shield.payload(raw)
                raw = payload if isinstance(payload, (bytes, str)) else raw
            try:
                await sink.send(raw)
            except ConnectionClosed:
                continue  # the other direction has it from its own end; what comes is still worth recording
            recorder.arrived(seq)
            if watch is not None:
                watch(link, payload_of(raw), seq)

    async def _close(self, closed: ConnectionClosed, sink: Connection, link: Link) -> None:
        """End the other connection as this one ended."""
        if sink.protocol.close_sent is not None or sink.protocol.close_rcvd is not None:
            return  # it was this end that answered the other's closing
        if closed.rcvd is None or (closed.sent is not None and not closed.rcvd_then_sent):
            self.recorder.fault(link, why_closed(closed, link.sender))
            sink.transport.abort()
            return
        code = None if closed.rcvd.code == 1005 else int(closed.rcvd.code)
        seq = self.recorder.seen(link, "close", {"code": code}, "relay")
        # None sends a close frame without a code, as it came in.
        await sink.close(code, closed.rcvd.reason)  # type: ignore[arg-type]
        self.recorder.arrived(seq)


def added_ns(recording: Recording) -> list[int]:
    """What the relay added to the way of each message, in nanoseconds, in the order of the recording."""
    return [
        event.received_ns - event.sent_ns
        for event in recording.events
        if event.observed_at == "relay"
        and event.kind == "message"
        and event.sent_ns is not None
        and event.received_ns is not None
    ]
