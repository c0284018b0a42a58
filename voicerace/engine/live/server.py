"""WebSocket server shared by sessions. It routes expected connections to their sessions, and others to a fallback handler.

The server recognises an expected connection by a token in its URL path. If a running program determines the URL path, only one
session at a time connects that program and gets the next connection. The server itself answers plain HTTP and refuses web pages
from other sites.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, Protocol, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import WebSocketException
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from voicerace.engine.live.connecting import OPEN_TIMEOUT_S, QUIET
from voicerace.engine.live.connection import CLOSE_TIMEOUT_S, MAX_FRAME
from voicerace.engine.live.limits import Limited, Limits, plain_answer
from voicerace.engine.live.origins import Origins
from voicerace.errors import InputError

__all__ = ["ConnectionHandler", "SessionServer"]

#: Maximum number of reported reasons, because a web page can cause any number of different reasons.
_MAX_REASONS: Final = 20


class ConnectionHandler(Protocol):
    """Handles one connection."""

    async def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Prepare before the handshake is answered. Return None to accept the handshake, or a response to refuse it."""

    def subprotocol(self, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        """Return the subprotocol to accept, or None."""

    async def serve(self, connection: ServerConnection) -> None:
        """Handle the open connection until it ends."""

    def hang_up(self) -> None:
        """Release resources after the client has left before `serve`."""


@dataclass(eq=False)
class SessionServer:
    """Server that listens while the context is open.

    Attributes:
        host: host on which the server listens.
        port: port on which the server listens. 0 selects a free port.
        otherwise: makes the handler of an unexpected connection. None refuses the connection with 404.
        tls: TLS context for ``wss://``; None for ``ws://``.
        limits: limits of the server.
        origins: accepted web pages and host names.
        about: description of the server for plain HTTP clients.
        path: URL path that the text for plain HTTP clients names.
        refused: called with the reason for which `origins` refuses a handshake, once per reason.
    """

    host: str = "127.0.0.1"
    port: int = 0
    otherwise: Callable[[Request], ConnectionHandler] | None = None
    tls: ssl.SSLContext | None = None
    limits: Limits = field(default_factory=Limits)
    origins: Origins = field(default_factory=Origins)
    about: str = "an actor of voicerace"
    path: str = ""
    refused: Callable[[str], None] | None = None

    def __post_init__(self) -> None:
        self._reasons: set[str] = set()
        self._tokens: dict[str, ConnectionHandler] = {}
        self._next: tuple[ConnectionHandler, asyncio.Event] | None = None
        self._next_lock = asyncio.Lock()
        self._handshaking: dict[ServerConnection, ConnectionHandler] = {}
        self._connected: set[ServerConnection] = set()
        self._watching: set[asyncio.Task[None]] = set()
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        try:
            self._server = await serve(
                self._serve,
                self.host,
                self.port,
                process_request=self._admit,
                select_subprotocol=lambda connection, offered: self._handshaking[connection].subprotocol(offered),
                compression=None,
                ping_interval=None,
                # A handler can open its own connection before the handshake is answered.
                open_timeout=OPEN_TIMEOUT_S + 5.0,
                close_timeout=CLOSE_TIMEOUT_S,
                max_size=MAX_FRAME,
                max_queue=None,
                logger=QUIET,
                ssl=self.tls,
                create_connection=type("Connection", (Limited,), {"limits": self.limits, "described_by": self}),
            )
        except (OSError, OverflowError) as error:
            number = getattr(error, "errno", None)
            reason = os.strerror(number) if isinstance(number, int) and number in errno.errorcode else str(error)
            raise InputError("listen", f"{self.host}:{self.port}: {reason}", "a free port of this machine") from None
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    @property
    def address(self) -> str:
        """Address of the server as ``ws(s)://host:port``, without a URL path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'wss' if self.tls else 'ws'}://{host}:{self.port}"

    def describe(self) -> str:
        """Return the text that describes the server, and how to connect, to plain HTTP clients."""
        return (
            f"This is {self.about}: a WebSocket server. It answers no other request, so no WebRTC or REST call.\n"
            f"Connect a WebSocket client to {self.address}{self.path}\n"
        )

    def expect(self, handler: ConnectionHandler) -> str:
        """Register a handler for a connection from this process, and return the URL path for that connection."""
        token = secrets.token_hex(8)
        self._tokens[token] = handler
        return f"/session/{token}"

    @contextlib.asynccontextmanager
    async def route_next(self, handler: ConnectionHandler) -> AsyncIterator[asyncio.Event]:
        """Route the next connection to a handler while the context is open. The event is set when the connection arrives."""
        async with self._next_lock:
            arrived = asyncio.Event()
            self._next = (handler, arrived)
            try:
                yield arrived
            finally:
                self._next = None

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if not any("websocket" in value.lower() for value in request.headers.get_all("Upgrade")):
            return plain_answer(connection, self.describe())  # for example, a probe of the port
        if (refusal := self.origins.refusal(request.headers, self.host)) is not None:
            status, reason = refusal
            self._report(reason)
            return connection.respond(status, f"{reason}\n")
        if len(self._connected) >= self.limits.at_once:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, f"{self.limits.at_once} sessions are open already\n")
        # The connection is added before the first `await`, so that the limit also applies to simultaneous connections.
        self._connected.add(connection)
        try:
            return await self._routed(connection, request)
        finally:
            if connection not in self._handshaking:
                self._connected.discard(connection)

    async def _routed(self, connection: ServerConnection, request: Request) -> Response | None:
        """Route a connection to its handler. Return None, or a response to refuse the connection."""
        token = request.path.partition("?")[0].rpartition("/")[2]
        handler = self._tokens.pop(token, None)
        if handler is None and self._next is not None:
            (handler, arrived), self._next = self._next, None
            arrived.set()
        if handler is None and self.otherwise is not None:
            handler = self.otherwise(request)
        if handler is None:
            return connection.respond(HTTPStatus.NOT_FOUND, "no session is waiting for you\n")
        try:
            response = await handler.admit(connection, request)
        except BaseException:
            handler.hang_up()
            raise
        if response is None:
            self._handshaking[connection] = handler
            self._watch(connection)
        return response

    def _report(self, reason: str) -> None:
        if self.refused is not None and reason not in self._reasons and len(self._reasons) < _MAX_REASONS:
            self._reasons.add(reason)
            self.refused(reason)

    def _watch(self, connection: ServerConnection) -> None:
        """Notify the handler if the client leaves after `admit` and before the handshake is answered."""

        async def until_closed() -> None:
            await connection.wait_closed()
            self._connected.discard(connection)
            if (handler := self._handshaking.pop(connection, None)) is not None:
                handler.hang_up()

        task = asyncio.ensure_future(until_closed())
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    async def _serve(self, connection: ServerConnection) -> None:
        handler = self._handshaking.pop(connection, None)
        if handler is None:
            return  # The client has left.
        lifetime_s = self.limits.lifetime_s
        over = connection.loop.call_later(lifetime_s, _end, connection, f"open for more than {lifetime_s:g} s")
        try:
            with contextlib.suppress(WebSocketException):
                await handler.serve(connection)
        finally:
            over.cancel()


def _end(connection: ServerConnection, reason: str) -> None:
    if isinstance(connection, Limited):
        connection.end(reason)
