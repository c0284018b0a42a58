"""Relay between two neighbours: passes on every message, and records when it arrived and when it was sent on.

The relay keeps URL path, query, headers, subprotocol, frame types and close codes. It refuses a handshake if the target does.
Both times of a message come from one monotonic clock, so `received_ns` minus `sent_ns` is the delay that the relay adds.

The relay does not pass on pings, fragmentation, compression, headers in the answer to a handshake, or plain HTTP. It does not
measure the network on either side, or the time of a message in the socket before it is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from voicerace.engine.live.connecting import NotConnectedError, open_connection
from voicerace.engine.live.connection import CLOSE_TIMEOUT_S, drop, why_closed
from voicerace.engine.live.recorder import Recorder
from voicerace.engine.live.targets import address
from voicerace.model.protocol.frames import payload_of
from voicerace.scrubber import Scrubber
from voicerace.trace.recording import Link, Payload, Recording

__all__ = ["Relay", "added_ns", "relay_to"]

#: Names of headers that a relay must not pass on (RFC 9110, 7.6.1).
_HOP: Final = frozenset(
    {"connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)


@dataclass(eq=False)
class Relay:
    """Relayed connection from a client (near side) to a target (far side).

    Attributes:
        near: name of the client's actor.
        far: name of the target's actor.
        target: address of the target, ``ws(s)://host:port``.
        recorder: records the messages.
        path: URL path and query at the target. None uses the path and query of the client's request.
        headers: headers for the target. They replace client headers with the same names.
        shield: removes secrets from messages to the client, which must not get the real key. None removes nothing.
        watch: called with (link, payload, number) of every message.
        drop_closes: whether to record a dropped connection also as a close (1006), because some programs end without a
            close frame.
        over: done when both connections have ended, or when the connection to the target did not open.
    """

    near: str
    far: str
    target: str
    recorder: Recorder
    path: str | None = field(default=None, kw_only=True)
    headers: Mapping[str, str] = field(default_factory=dict, kw_only=True, repr=False)
    shield: Scrubber | None = field(default=None, kw_only=True, repr=False)
    watch: Callable[[Link, Payload, int], None] | None = field(default=None, kw_only=True)
    drop_closes: bool = field(default=False, kw_only=True)
    over: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future(), init=False)

    def __post_init__(self) -> None:
        self.up, self.down = Link(self.near, self.far), Link(self.far, self.near)
        self._admitting = False
        self._near: ServerConnection | None = None
        self._far: ClientConnection | None = None
        #: Connections that the relay itself ended, which are not recorded as faults of an actor.
        self._ended: set[Connection] = set()

    async def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Connect to the target before answering the handshake. Return a refusal if the target refuses, else None."""
        self._admitting = True
        left_out = _HOP | {"host"} | {name.lower() for name in self.headers}
        passed = [
            (name, value)
            for name, value in request.headers.raw_items()
            if name.lower() not in left_out and not name.lower().startswith("sec-websocket-")
        ]
        offered = [
            Subprotocol(word.strip())
            for value in request.headers.get_all("Sec-WebSocket-Protocol")
            for word in value.split(",")
            if word.strip()
        ]
        try:
            url = self.target + (request.path if self.path is None else self.path)
            self._far = await open_connection(url, [*passed, *self.headers.items()], offered or None)
        except NotConnectedError as error:
            self.recorder.fault(self.down, f"{self.up.receiver}: {error.reason}")
            self._end()
            return self._refusal(connection, error.response)
        if self.over.done():  # `hang_up` was called meanwhile
            drop(self._far)
        return None

    def _refusal(self, connection: ServerConnection, response: Response | None) -> Response:
        """Return the relay's response after a refusal by the target, or 502 if the target gave no response."""
        if response is None:
            return connection.respond(HTTPStatus.BAD_GATEWAY, "\n")
        kept = Headers([(name, value) for name, value in response.headers.raw_items() if name.lower() not in _HOP])
        body = bytes(response.body or b"")
        phrase = response.reason_phrase
        if self.shield is not None:
            # An API that refuses a key can quote the key in its response.
            kept, body, phrase = Headers(), b"\n", self.shield.text(phrase)
        kept["Connection"], kept["Content-Length"] = "close", str(len(body))
        return Response(response.status_code, phrase, kept, body)

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
            self.hang_up()

    async def barrier(self) -> None:
        """Wait until the client has handled all messages passed to it, at most one second."""
        if self._near is not None:
            try:
                async with asyncio.timeout(1.0):
                    await (await self._near.ping())
            except (TimeoutError, ConnectionClosed):
                return

    async def leave(self) -> None:
        """Close both connections with code 1001, and drop the connections that are still open."""
        present = [each for each in (self._near, self._far) if each is not None]
        self._ended.update(present)
        await asyncio.gather(*(each.close(1001) for each in present))
        self.hang_up()

    def hang_up(self) -> None:
        """Drop both connections. Record a fault if the client left before its handshake was answered."""
        if self._admitting and self._near is None and not self.over.done():
            self.recorder.fault(self.up, f"{self.up.sender} left before the handshake was answered")
        for connection in (self._near, self._far):
            if connection is not None:
                self._ended.add(connection)
                drop(connection)
        self._end()

    def _end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

    async def _pump(self, source: Connection, sink: Connection, link: Link, shield: Scrubber | None) -> None:
        recorder, watch = self.recorder, self.watch
        while True:
            try:
                raw = await source.recv()
            except ConnectionClosed as closed:
                await self._close(closed, sink, source, link)
                return
            # Parsing here would delay the message. It is parsed when the recording is read.
            seq = recorder.seen(link, "message", raw, "relay")
            if shield is not None:
                payload = shield.payload(raw)
                raw = payload if isinstance(payload, (bytes, str)) else raw
            try:
                await sink.send(raw)
            except ConnectionClosed:
                # The task of the other direction handles the closed connection. This task still records later messages.
                recorder.lost(seq)
                recorder.flush()
                continue
            recorder.arrived(seq)
            recorder.flush()
            if watch is not None:
                watch(link, payload_of(raw), seq)

    async def _close(self, closed: ConnectionClosed, sink: Connection, source: Connection, link: Link) -> None:
        """End `sink` as `source` has ended, and record the end."""
        rcvd = closed.rcvd
        if rcvd is not None and (closed.sent is None or closed.rcvd_then_sent):
            code = None if rcvd.code == 1005 else int(rcvd.code)
            seq = self.recorder.seen(link, "close", {"code": code}, "relay")
            if sink not in self._ended and sink.protocol.close_rcvd is None:
                self._ended.add(sink)
                self.recorder.arrived(seq)
                self.recorder.flush()
                # With None, the library sends a close frame without a code.
                reason = rcvd.reason if self.shield is None else self.shield.text(rcvd.reason)
                await sink.close(code, reason)  # type: ignore[arg-type]
            else:
                self.recorder.lost(seq)  # Both ends closed at the same time.
                self.recorder.flush()
        elif source not in self._ended:
            if self.drop_closes and closed.sent is None:
                self.recorder.arrived(self.recorder.seen(link, "close", {"code": 1006}, "relay"))
            self.recorder.fault(link, why_closed(closed, link.sender))
            self._ended.add(sink)
            # The transport writes earlier messages and then ends the connection without a close frame.
            sink.transport.close()
            asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, drop, sink)


def relay_to(url: str, near: str, far: str, recorder: Recorder, **further: Any) -> Relay:
    """Return a relay to a URL, whose path and query it uses. `further`: other attributes of `Relay`."""
    at = address(url)
    return Relay(near, far, at, recorder, path=url[len(at) :], **further)


def added_ns(recording: Recording) -> list[int]:
    """Return the delay in ns that the relay added to each message, in the order of the recording."""
    return [
        event.received_ns - event.sent_ns
        for event in recording.events
        if event.observed_at == "relay"
        and event.kind == "message"
        and event.sent_ns is not None
        and event.received_ns is not None
    ]
