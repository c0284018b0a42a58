"""A WebSocket server that many sessions share: who waits for a visitor gets it, anybody else meets the host of the house.

Plain HTTP, and a web page that has no business here, is answered by the door itself and reaches no visitor.

A visitor is told by the path it asks for (a token of ours), or, where a running program decides the path, by its turn:
one session at a time connects that program and takes the connection it opens next.
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

#: A page can make up reasons without end; so many are reported.
_MOST_REASONS: Final = 20


class ConnectionHandler(Protocol):
    """One expected connection."""

    async def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Before the handshake is answered; a response refuses it."""

    def subprotocol(self, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        """The subprotocol to answer with."""

    async def serve(self, connection: ServerConnection) -> None:
        """The open connection, until it is over."""

    def hang_up(self) -> None:
        """The one who came has gone again before `serve`."""


@dataclass(eq=False)
class SessionServer:
    """The server.

    Attributes:
        host, port: where it listens; port 0 takes a free one.
        otherwise: makes the handler of an unexpected connection; without it such a connection gets a 404.
        tls: serve ``wss://``.
        limits: of what it takes.
        origins: which web pages and host names are accepted.
        about: what the server is, for clients that send plain HTTP.
        path: where clients connect, for the same.
        refused: called with the reason of a handshake that `origins` refuses, once for every reason.
    """

    host: str = "127.0.0.1"
    port: int = 0
    otherwise: Callable[[Request], ConnectionHandler] | None = None
    tls: ssl.SSLContext | None = None
    limits: Limits = field(default_factory=Limits)
    origins: Origins = field(default_factory=Origins)
    about: str = "a party of voicerace"
    path: str = ""
    refused: Callable[[str], None] | None = None

    def __post_init__(self) -> None:
        self._reasons: set[str] = set()
        self._tokens: dict[str, ConnectionHandler] = {}
        self._next: tuple[ConnectionHandler, asyncio.Event] | None = None
        self._turn = asyncio.Lock()
        self._at_door: dict[ServerConnection, ConnectionHandler] = {}
        self._inside: set[ServerConnection] = set()
        self._watching: set[asyncio.Task[None]] = set()
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        try:
            self._server = await serve(
                self._serve,
                self.host,
                self.port,
                process_request=self._admit,
                select_subprotocol=lambda connection, offered: self._at_door[connection].subprotocol(offered),
                compression=None,
                ping_interval=None,
                # A visitor may have to open a connection of its own first.
                open_timeout=OPEN_TIMEOUT_S + 5.0,
                close_timeout=CLOSE_TIMEOUT_S,
                max_size=MAX_FRAME,
                max_queue=None,
                logger=QUIET,
                ssl=self.tls,
                create_connection=type("Connection", (Limited,), {"limits": self.limits, "door": self}),
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
        """``ws://host:port``, without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'wss' if self.tls else 'ws'}://{host}:{self.port}"

    def describe(self) -> str:
        """What this server is and how to connect: the answer to plain HTTP."""
        return (
            f"This is {self.about}: a WebSocket server. It answers no other request, so no WebRTC or REST call.\n"
            f"Connect a WebSocket client to {self.address}{self.path}\n"
        )

    def expect(self, visitor: ConnectionHandler) -> str:
        """Wait for a visitor that we send ourselves; gives the path it has to ask for."""
        token = secrets.token_hex(8)
        self._tokens[token] = visitor
        return f"/session/{token}"

    @contextlib.asynccontextmanager
    async def turn(self, visitor: ConnectionHandler) -> AsyncIterator[asyncio.Event]:
        """While this is open, the next connection is the visitor's; gives what is set when it has come."""
        async with self._turn:
            came = asyncio.Event()
            self._next = (visitor, came)
            try:
                yield came
            finally:
                self._next = None

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if not any("websocket" in value.lower() for value in request.headers.get_all("Upgrade")):
            return plain_answer(connection, self.describe())  # a probe for whether something listens is no session
        if (refusal := self.origins.refusal(request.headers, self.host)) is not None:
            status, reason = refusal
            self._tell(reason)
            return connection.respond(status, f"{reason}\n")
        if len(self._inside) >= self.limits.at_once:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, f"{self.limits.at_once} sessions are open already\n")
        # Before anything is awaited: of two at one moment, the second is counted with the first.
        self._inside.add(connection)
        try:
            return await self._shown_in(connection, request)
        finally:
            if connection not in self._at_door:
                self._inside.discard(connection)

    async def _shown_in(self, connection: ServerConnection, request: Request) -> Response | None:
        token = request.path.partition("?")[0].rpartition("/")[2]
        visitor = self._tokens.pop(token, None)
        if visitor is None and self._next is not None:
            (visitor, came), self._next = self._next, None
            came.set()
        if visitor is None and self.otherwise is not None:
            visitor = self.otherwise(request)
        if visitor is None:
            return connection.respond(HTTPStatus.NOT_FOUND, "no session is waiting for you\n")
        try:
            response = await visitor.admit(connection, request)
        except BaseException:
            visitor.hang_up()
            raise
        if response is None:
            self._at_door[connection] = visitor
            self._watch(connection)
        return response

    def _tell(self, reason: str) -> None:
        if self.refused is not None and reason not in self._reasons and len(self._reasons) < _MOST_REASONS:
            self._reasons.add(reason)
            self.refused(reason)

    def _watch(self, connection: ServerConnection) -> None:
        """Tell a visitor that was admitted, and goes before the handshake is answered: nobody else would."""

        async def see_off() -> None:
            await connection.wait_closed()
            self._inside.discard(connection)
            if (visitor := self._at_door.pop(connection, None)) is not None:
                visitor.hang_up()

        task = asyncio.ensure_future(see_off())
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    async def _serve(self, connection: ServerConnection) -> None:
        visitor = self._at_door.pop(connection, None)
        if visitor is None:
            return  # gone already
        lifetime_s = self.limits.lifetime_s
        over = connection.loop.call_later(lifetime_s, _end, connection, f"open for more than {lifetime_s:g} s")
        try:
            with contextlib.suppress(WebSocketException):
                await visitor.serve(connection)
        finally:
            over.cancel()


def _end(connection: ServerConnection, reason: str) -> None:
    if isinstance(connection, Limited):
        connection.end(reason)
