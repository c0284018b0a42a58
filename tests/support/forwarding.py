"""A forwarder of our own in place of a checkout's, so that live sessions with a forwarder need no checkout."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from voicerace.engine.live.forwarder_program import ForwarderTarget
from voicerace.model.catalog.forwarders import FORWARDERS

__all__ = ["OwnForwarder", "target"]


def target(generation: str) -> ForwarderTarget:
    return ForwarderTarget(Path(), "0" * 12, FORWARDERS[generation])


class OwnForwarder:
    """Has the interface of `ForwarderProgram`. Before the opening it drops messages, or queues them if `queues` is set."""

    queues = False
    alive = False

    def __init__(self, directory: Path, proxy_url: str, log: Path | None = None) -> None:
        self.proxy_url = proxy_url
        self.url = ""
        self._server: Server | None = None

    async def begin(self) -> None:
        self._server = await serve(self._relay, "127.0.0.1", 0, compression=None, ping_interval=None)
        self.url = f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}/openai"
        self.alive = True

    async def end(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _relay(self, browser: ServerConnection) -> None:
        queue: list[Any] = []
        proxy: list[Any] = []

        async def read_browser() -> None:
            with contextlib.suppress(ConnectionClosed):
                async for frame in browser:
                    if proxy:
                        await proxy[0].send(frame)
                    elif self.queues:
                        queue.append(frame)
            if proxy:
                await proxy[0].close()

        reading = asyncio.ensure_future(read_browser())
        async with connect(self.proxy_url, proxy=None, compression=None, ping_interval=None) as connection:
            for frame in queue:
                await connection.send(frame)
            proxy.append(connection)
            with contextlib.suppress(ConnectionClosed):
                async for frame in connection:
                    await browser.send(frame)
        await browser.close()
        await reading
