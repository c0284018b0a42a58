"""Serve the model of a proxy and the mock upstream from a separate thread, for clients in other processes.

The query of each connection names the proxy's upstream (``?upstream=ws://…``), so a test can insert a relay on a free port.
Limitation: both servers share one event loop, so they are not two processes.
"""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from voicerace.engine.live.connecting import open_connection
from voicerace.engine.live.endpoints import ProxyEndpoint, UpstreamEndpoint
from voicerace.engine.live.recorder import Recorder
from voicerace.engine.live.server import ConnectionHandler, SessionServer
from voicerace.engine.session import SessionConfig

__all__ = ["Stack"]


class _Proxy(ProxyEndpoint):
    def __init__(self, session: SessionConfig, otherwise: str) -> None:
        super().__init__(session, Recorder({}), self._dial)
        self._upstream = otherwise

    async def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        self._upstream = parse_qs(urlsplit(request.path).query).get("upstream", [self._upstream])[0]
        return await super().admit(connection, request)

    async def _dial(self) -> ClientConnection:
        return await open_connection(f"{self._upstream}/v1/realtime?model=mock")


class Stack:
    """A context manager that runs both servers.

    Args:
        session: actors and times of every connection.
        refuse: HTTP status with which the upstream refuses handshakes; None to accept them.

    Attributes:
        host_url: ``ws://host:port`` of the proxy.
        upstream_url: ``ws://host:port`` of the upstream.
    """

    def __init__(self, session: SessionConfig, refuse: int | None = None) -> None:
        self.session = session
        self.refuse = refuse
        self.host_url = self.upstream_url = ""
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self) -> None:
        async with SessionServer(otherwise=self._upstream) as upstream, SessionServer(otherwise=self._proxy) as proxy:
            self.host_url, self.upstream_url = proxy.address, upstream.address
            self._up.set()
            await self._end.wait()

    def _upstream(self, request: Request) -> ConnectionHandler:
        return UpstreamEndpoint(self.session, Recorder({}), refuse=self.refuse)

    def _proxy(self, request: Request) -> ConnectionHandler:
        return _Proxy(self.session, self.upstream_url)
