"""Run a relay and its target on real sockets, and read the recordings of the relay."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from voicerace.engine.live.recorder import Recorder
from voicerace.engine.live.relay import Relay
from voicerace.engine.live.server import SessionServer
from voicerace.trace.recording import Event, Link, Recording

__all__ = ["DOWN", "UP", "Between", "codes", "dial", "echo", "events", "reasons", "relayed", "run", "target", "url_of"]

UP, DOWN = Link("component", "proxy"), Link("proxy", "component")
Handler = Callable[[ServerConnection], Awaitable[None]]


class Between:
    """A server that relays each connection to a target, with the list of its relays."""

    def __init__(self, target: str, **options: Any) -> None:
        self.relays: list[Relay] = []
        self.server = SessionServer(otherwise=lambda _: self._relay(target, options))

    def _relay(self, target: str, options: dict[str, Any]) -> Relay:
        relay = Relay("component", "proxy", target, Recorder({}, (UP, DOWN)), **options)
        self.relays.append(relay)
        return relay

    async def recordings(self) -> list[Recording]:
        """Wait until every connection has ended, and return the recordings."""
        async with asyncio.timeout(10):
            for relay in self.relays:
                await relay.over
        return [relay.recorder.close() for relay in self.relays]

    async def recording(self) -> Recording:
        (recording,) = await self.recordings()
        return recording


@contextlib.asynccontextmanager
async def target(handler: Handler, **options: Any) -> AsyncIterator[Server]:
    async with serve(handler, "127.0.0.1", 0, max_size=None, compression=None, **options) as server:
        yield server


def url_of(server: Server, scheme: str = "ws") -> str:
    return f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@contextlib.asynccontextmanager
async def relayed(handler: Handler, process: Any = None, **options: Any) -> AsyncIterator[Between]:
    """Run a target and a relay to it; yield the relay's server."""
    async with target(handler, process_request=process) as server:
        between = Between(url_of(server), **options)
        async with between.server:
            yield between


def dial(between: Between, path: str = "/", **options: Any) -> connect:
    return connect(between.server.address + path, proxy=None, max_size=None, **options)


def run(work: Coroutine[Any, Any, None]) -> None:
    async def within_limit() -> None:
        async with asyncio.timeout(30):
            await work

    asyncio.run(within_limit())


async def echo(connection: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for message in connection:
            await connection.send(message)


def events(recording: Recording, link: Link, kind: str = "message") -> list[Event]:
    return [event for event in recording.on(link) if event.kind == kind]


def codes(recording: Recording, link: Link) -> list[Any]:
    return [event.payload["code"] for event in events(recording, link, "close") if isinstance(event.payload, dict)]


def reasons(recording: Recording) -> list[str]:
    return [event.payload["reason"] for event in recording.events if event.kind == "fault" and isinstance(event.payload, dict)]
