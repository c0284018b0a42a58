"""The proxy's side of a running forwarder: connects the forwarder's connection of a session with the session's proxy.

The forwarder connects to a server of this process, which answers the handshake after `forwarder_open_ms`. The connection then
goes to the model of the proxy, or through a relay to the running proxy. So both hops of a session are recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from voicerace.engine.live.connecting import open_connection
from voicerace.engine.live.endpoints import ProxyEndpoint, UpstreamEndpoint
from voicerace.engine.live.relay import Relay
from voicerace.engine.live.server import ConnectionHandler, SessionServer

__all__ = ["LateHandler", "connect_forwarder", "hold_route"]


@dataclass(eq=False)
class LateHandler:
    """Prepares a connection and answers its handshake after a delay, and passes it to another handler.

    Attributes:
        handler: handles the connection.
        delay_s: delay of the answer in seconds.
        prepare: called after the delay, before the other handler admits the connection.
        opened: called when the other handler has admitted the connection.
    """

    handler: ConnectionHandler
    delay_s: float
    prepare: Callable[[], Coroutine[Any, Any, None]]
    opened: Callable[[], object]

    async def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        await asyncio.sleep(self.delay_s)
        await self.prepare()
        response = await self.handler.admit(connection, request)
        if response is None:
            self.opened()
        return response

    def subprotocol(self, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return self.handler.subprotocol(offered)

    async def serve(self, connection: ServerConnection) -> None:
        await self.handler.serve(connection)

    def hang_up(self) -> None:
        self.handler.hang_up()


async def hold_route(server: SessionServer, handler: ConnectionHandler, tasks: set[asyncio.Task[Any]]) -> asyncio.Task[bool]:
    """Route the server's next connection to a handler, and return when the route is set.

    Args:
        server: the server.
        handler: handler of its next connection.
        tasks: the session's tasks, which are cancelled at its end. The task that holds the route is added.

    Returns:
        The task that holds the route until the connection arrives.
    """
    ready = asyncio.Event()

    async def hold() -> bool:
        async with server.route_next(handler) as arrived:
            ready.set()
            return await arrived.wait()

    task = asyncio.ensure_future(hold())
    tasks.add(task)
    await ready.wait()
    return task


async def connect_forwarder(
    url: str,
    server: SessionServer,
    late: LateHandler,
    endpoints: list[UpstreamEndpoint | ProxyEndpoint | Relay],
    tasks: set[asyncio.Task[Any]],
) -> ClientConnection:
    """Connect the component to a running forwarder, and return the connection.

    Args:
        url: the forwarder's URL.
        server: the server to which the forwarder connects.
        late: handler of the forwarder's connection.
        endpoints: the session's connections. The handler of the forwarder's connection is added if the forwarder connects.
        tasks: as for `hold_route`.

    Raises:
        NotConnectedError: the forwarder is not reachable, or refuses.
    """
    routed = await hold_route(server, late, tasks)

    def arrived(task: asyncio.Task[bool]) -> None:
        if not task.cancelled() and isinstance(late.handler, (ProxyEndpoint, Relay)):
            endpoints.insert(0, late.handler)

    routed.add_done_callback(arrived)
    try:
        return await open_connection(url)
    except BaseException:
        routed.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await routed
        raise
