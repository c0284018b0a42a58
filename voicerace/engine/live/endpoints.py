"""Connection handlers for actors that accept a WebSocket connection: the mock upstream and the model of the proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from http.client import responses
from typing import Any, ClassVar

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import WebSocketException
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from voicerace.engine.live.actor_host import ActorHost
from voicerace.engine.live.clock import side_by_side
from voicerace.engine.live.connecting import NotConnectedError
from voicerace.engine.live.connection import FramedConnection, Tamper, drop
from voicerace.engine.live.recorder import Recorder
from voicerace.engine.session import SessionConfig
from voicerace.model.actors.actor import Actor
from voicerace.trace.recording import (
    COMPONENT_TO_PROXY,
    PROXY_TO_COMPONENT,
    PROXY_TO_UPSTREAM,
    UPSTREAM_TO_PROXY,
    Link,
    Payload,
)

__all__ = ["Endpoint", "ProxyEndpoint", "UpstreamEndpoint", "refusal"]

Watch = Callable[[Link, Payload, int], None]


@dataclass(eq=False)
class Endpoint:
    """Handles an actor's only incoming connection in a session.

    Attributes:
        incoming: link on which the peer sends.
        session: configuration of the session.
        recorder: records the messages of the session.
        both_ours: whether the peer is an actor of this process, which records its own end.
        watch: called with (link, payload, number) of every message.
        over: future that is done when the connection has ended.
    """

    incoming: ClassVar[Link]

    session: SessionConfig
    recorder: Recorder
    both_ours: bool = field(default=False, kw_only=True)
    watch: Watch | None = field(default=None, kw_only=True)
    actor_host: ActorHost | None = field(default=None, init=False)
    connection: ServerConnection | None = field(default=None, init=False)
    over: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future(), init=False)

    async def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        return None

    def subprotocol(self, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        """Return the first offered subprotocol, as the proxies and the API do."""
        return offered[0] if offered else None

    async def serve(self, connection: ServerConnection) -> None:
        self.connection = connection
        try:
            await self.handle(connection)
        except WebSocketException:
            raise
        except Exception as error:  # Caught here, because the server would only log the error.
            if self.actor_host is None:
                raise
            self.actor_host.fail(error)
        finally:
            if self.actor_host is not None:
                self.actor_host.end()
            self._end()

    def hang_up(self) -> None:
        """Drop the connection. If no connection was opened, record a fault and end the session."""
        if self.connection is not None:
            drop(self.connection)
        elif not self.over.done():
            self.recorder.fault(self.incoming, f"{self.incoming.sender} left before the handshake was answered")
            self._end()

    def _end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

    async def handle(self, connection: ServerConnection) -> None:
        """Run the actor until the connection ends."""
        raise NotImplementedError

    def _host(self, name: str, actor: Actor) -> ActorHost:
        session = self.session
        self.actor_host = ActorHost(
            {name: actor}, session.times, session.seed, self.recorder, self.watch, cursor=session.cursor
        )
        return self.actor_host

    def _framed(
        self, actor_host: ActorHost, link: Link, socket: Connection, rtt: str, *, ours: bool, tamper: Tamper | None = None
    ) -> FramedConnection:
        """Return a connection that delays each message by half of the round-trip time `rtt`.

        The link in the direction from the API to the host gets the odd nanosecond.
        """
        rtt_ns = self.session.times.ns(rtt, 0, self.session.seed)
        up, down = rtt_ns // 2, rtt_ns - rtt_ns // 2
        out_ns, in_ns = (up, down) if link.receiver == "upstream" else (down, up)
        return FramedConnection(
            actor_host, link, socket, out_ns=out_ns, in_ns=0 if ours else in_ns, both_ours=ours, tamper=tamper
        )


@dataclass(eq=False)
class UpstreamEndpoint(Endpoint):
    """Runs the mock upstream for one connection. Further attributes: see `Endpoint`.

    Attributes:
        tamper: injects faults into sent messages.
        refuse: HTTP status with which to refuse the handshake. None accepts it.
        actor: model of the API. None uses a new model with the session's configuration.
    """

    incoming = PROXY_TO_UPSTREAM

    tamper: Tamper | None = field(default=None, kw_only=True)
    refuse: int | None = field(default=None, kw_only=True)
    actor: Actor | None = field(default=None, kw_only=True)
    framed: FramedConnection | None = field(default=None, init=False)

    async def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.refuse is None:
            return None
        self.recorder.fault(UPSTREAM_TO_PROXY, f"the handshake was refused with HTTP {self.refuse} (--fault)")
        self._end()
        return refusal(self.refuse, "refused on purpose")

    async def handle(self, connection: ServerConnection) -> None:
        actor_host = self._host("upstream", self.actor or self.session.actors()["upstream"])
        link = UPSTREAM_TO_PROXY
        self.framed = self._framed(actor_host, link, connection, "upstream_rtt_ms", ours=self.both_ours, tamper=self.tamper)
        actor_host.start()
        await self.framed.run()

    async def barrier(self) -> None:
        """Wait until the proxy has handled all sent messages."""
        if self.framed is not None:
            await self.framed.barrier()


@dataclass(eq=False)
class ProxyEndpoint(Endpoint):
    """Runs the model of the proxy for one host connection. Further attributes: see `Endpoint`.

    Attributes:
        dial: opens the proxy's connection to the upstream.
        upstream_ours: whether the upstream is an actor of this process.
    """

    incoming = COMPONENT_TO_PROXY

    dial: Callable[[], Coroutine[Any, Any, ClientConnection]]
    upstream_ours: bool = field(default=False, kw_only=True)

    async def handle(self, connection: ServerConnection) -> None:
        actor_host = self._host("proxy", self.session.actors()["proxy"])
        host = self._framed(actor_host, PROXY_TO_COMPONENT, connection, "host_rtt_ms", ours=self.both_ours)
        far = await self._connected_upstream(connection)
        actor_host.start()
        if far is None:
            if self.recorder.faults:
                actor_host.closed(UPSTREAM_TO_PROXY, None)
            await host.run()
            return
        upstream = self._framed(actor_host, PROXY_TO_UPSTREAM, far, "upstream_rtt_ms", ours=self.upstream_ours)
        await side_by_side(host.run(), upstream.run())

    async def _connected_upstream(self, connection: ServerConnection) -> ClientConnection | None:
        """Connect to the upstream. Return None if the connection did not open, or if the host left earlier."""
        dialling = asyncio.ensure_future(self.dial())
        leaving = asyncio.ensure_future(connection.wait_closed())
        try:
            await asyncio.wait({dialling, leaving}, return_when=asyncio.FIRST_COMPLETED)
            return dialling.result() if dialling.done() else None
        except NotConnectedError as error:
            self.recorder.fault(UPSTREAM_TO_PROXY, f"upstream: {error.reason}")
            return None
        finally:
            dialling.cancel()
            leaving.cancel()
            await asyncio.wait({dialling, leaving})


def refusal(status: int, why: str) -> Response:
    """Return a response that refuses a handshake. Unlike the library's function, accept unregistered status codes."""
    reason = responses.get(status, "Refused")
    body = f"{why}\n".encode()
    headers = Headers([("Content-Type", "text/plain"), ("Content-Length", str(len(body))), ("Connection", "close")])
    return Response(status, reason, headers, body)
