"""Run faulty programs: a relay that acts in place of one message of a regular program, and others.

Limitation: all programs run on one machine without delays, so real network failures are not covered.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.support.played import session as made
from voicerace.analysis.verdict import Verdict, judge
from voicerace.engine.live.connecting import QUIET, open_connection
from voicerace.engine.live.endpoints import ProxyEndpoint, UpstreamEndpoint, refusal
from voicerace.engine.live.faults import Fault, Tampering
from voicerace.engine.live.play import Live
from voicerace.engine.live.recorder import Recorder
from voicerace.engine.live.server import SessionServer
from voicerace.engine.live.targets import ProxyTarget, UpstreamTarget
from voicerace.engine.session import SessionConfig
from voicerace.trace.recording import Recording

__all__ = [
    "CLEAN", "Act", "abort", "api", "close", "free_port", "judged", "mute", "own_tasks", "play_live", "proxy",
    "proxy_fails", "raw", "refusing", "rogue", "say", "session", "still", "unreachable",
]  # fmt: skip

#: Action on the client's connection that a faulty program performs in place of a message.
Act = Callable[[ServerConnection], Awaitable[None]]
#: Connection options without limits, so that only the engine's limits apply.
_PLAIN: Any = {
    "compression": None, "ping_interval": None, "max_size": None, "max_queue": None, "close_timeout": 0.3, "logger": QUIET,
}  # fmt: skip
QUICK = {"gap_ms": 80, "reply_ms": 30, "deadline_ms": 260}


def session(**given: Any) -> SessionConfig:
    """Return a session with a tool turn of about 0.2 s, in which the request is refused by default."""
    return made(**{**QUICK, "tool_ms": 10, **given})


# -- actions ---------------------------------------------------------------------------------------------------------


def close(code: int | None, reason: str = "") -> Act:
    async def act(connection: ServerConnection) -> None:
        await connection.close(code, reason)  # type: ignore[arg-type]  # None: without a code

    return act


async def abort(connection: ServerConnection) -> None:
    """Drop the TCP connection after a delay, so that the client can read earlier messages."""
    await asyncio.sleep(0.02)
    connection.transport.abort()


def raw(octets: bytes) -> Act:
    """Return an action that writes bytes that are not a valid frame."""

    async def act(connection: ServerConnection) -> None:
        connection.transport.write(octets)

    return act


def say(*frames: str | bytes | dict[str, Any]) -> Act:
    """Return an action that sends these frames instead of the message."""

    async def act(connection: ServerConnection) -> None:
        for frame in frames:
            await connection.send(json.dumps(frame) if isinstance(frame, dict) else frame)

    return act


async def still(connection: ServerConnection) -> None:
    """Send no further message, and keep the connection open."""
    await connection.wait_closed()


# -- faulty programs -------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def rogue(target: str, kind: str, act: Act, nth: int = 1, every: int = 1) -> AsyncIterator[str]:
    """Run a relay to `target` with one fault per connection, on every `every`-th connection; yield its address.

    The relay performs `act` in place of message number `nth` of type `kind` from the target.
    """
    count = 0

    async def relay(near: ServerConnection) -> None:
        nonlocal count
        count += 1
        spoils = count % every == 0
        async with connect(target, **_PLAIN) as far:
            up = asyncio.ensure_future(_pass(near, far))
            down = asyncio.ensure_future(_pass(far, near, kind if spoils else None, act, nth))
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            if down.done() and not up.done():
                await near.close()
            up.cancel()
            down.cancel()
            await asyncio.wait({up, down})

    async with serve(relay, "127.0.0.1", 0, **_PLAIN) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _pass(source: Connection, sink: Any, kind: str | None = None, act: Act | None = None, nth: int = 1) -> None:
    seen = 0
    with contextlib.suppress(ConnectionClosed):
        async for frame in source:
            if kind is not None and act is not None and _kind(frame) == kind:
                seen += 1
                if seen == nth:
                    await act(sink)
                    continue
            await sink.send(frame)
        return
    await asyncio.sleep(0)


def _kind(frame: str | bytes) -> str:
    try:
        value = json.loads(frame)
    except ValueError:
        return ""
    return str(value.get("type")) if isinstance(value, dict) else ""


@contextlib.asynccontextmanager
async def refusing(status: int, body: str = "") -> AsyncIterator[str]:
    """Run a server that refuses every handshake with an HTTP status; yield its address."""

    async def refuse(connection: ServerConnection, request: Request) -> Response:
        return refusal(status, body)

    async with serve(still, "127.0.0.1", 0, process_request=refuse, logger=QUIET) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@contextlib.asynccontextmanager
async def unreachable() -> AsyncIterator[str]:
    """Yield an address at which no server listens."""
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    yield f"ws://127.0.0.1:{port}"


@contextlib.asynccontextmanager
async def mute() -> AsyncIterator[str]:
    """Run a TCP server that accepts connections and never sends anything; yield its address."""
    open_: set[asyncio.StreamWriter] = set()
    server = await asyncio.start_server(lambda reader, writer: open_.add(writer), "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        for writer in open_:
            writer.transport.abort()
        server.close()
        await server.wait_closed()


# -- regular programs ------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def api(played: SessionConfig, faults: Sequence[str] = (), tls: Any = None) -> AsyncIterator[str]:
    """Run the mock API as an external server; yield its address."""
    spoilt = tuple(Fault.of(word) for word in faults)
    server = SessionServer(otherwise=lambda request: UpstreamEndpoint(played, Recorder({}), tamper=Tampering(spoilt)), tls=tls)
    async with server:
        yield server.address


@contextlib.asynccontextmanager
async def proxy(played: SessionConfig, upstream: str) -> AsyncIterator[str]:
    """Run the model of a proxy as an external server with the given upstream; yield its address."""
    server = SessionServer(otherwise=lambda request: ProxyEndpoint(played, Recorder({}), lambda: open_connection(upstream)))
    async with server:
        yield server.address


# -- sessions with these programs ------------------------------------------------------------------------------------


async def play_live(
    proxy: str = "model:0.9.1",
    upstream: str | None = None,
    played: SessionConfig | None = None,
    *,
    within_s: float = 2.5,
    silence_s: float = 1.0,
    **more: Any,
) -> Recording:
    """Play one session; assert that it ends within `within_s` seconds and leaves no task running."""
    target = UpstreamTarget.of(upstream) if upstream is not None else None
    before = asyncio.all_tasks()
    async with Live(ProxyTarget.of(proxy), target, silence_s=silence_s, **more) as live:
        async with asyncio.timeout(within_s):
            recording = await live.play(played or session())
        # The test's own servers need a moment to detect that all clients have left.
        for _ in range(50):
            if own_tasks(before):
                await asyncio.sleep(0.01)
        assert not own_tasks(before), f"left behind: {own_tasks(before)}"
    return recording


def own_tasks(before: Collection[asyncio.Task[Any]] = ()) -> list[str]:
    """Return the names of running tasks of the engines that are not in `before`."""
    names = []
    for task in asyncio.all_tasks() - {*before}:
        code = getattr(task.get_coro(), "cr_code", None)
        if code is not None and "voicerace/engine" in code.co_filename:
            names.append(code.co_qualname)
    return names


def judged(recording: Recording) -> Verdict:
    """Return the verdict; assert that a recording is complete if and only if it has no fault."""
    verdict = judge(recording)
    assert recording.complete == (verdict.fault is None)
    return verdict


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def proxy_fails(act: Act, kind: str) -> Verdict:
    """Return the verdict on a session whose external proxy performs `act` in place of a message of type `kind`."""

    async def failing() -> Recording:
        port, played = free_port(), session()
        async with proxy(played, f"ws://127.0.0.1:{port}") as good, rogue(good, kind, act) as url:
            return await play_live(url, "mock", played, listen=("127.0.0.1", port))

    return judged(CLEAN(failing()))


class _Clean:
    """Run a test's coroutine; raise errors that asyncio would only log, and fail if a task is left."""

    def __call__(self, work: Awaitable[Any]) -> Any:
        complaints: list[str] = []

        async def main() -> Any:
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(str(context)))
            result = await work
            await asyncio.sleep(0)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"left behind: {left}"
            return result

        result = asyncio.run(main())
        assert not complaints, complaints
        return result


CLEAN = _Clean()
