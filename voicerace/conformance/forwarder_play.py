"""Plays scripted exchanges with a running forwarder and with its model, and describes what each end observes.

A running forwarder is driven without sleeping where possible: the library `ws` answers a ping after the frames before it, so
a pong shows that the forwarder has handled them. Only the absence of a close is awaited in real time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.http11 import Request, Response

from voicerace.conformance.forwarder_cases import ForwarderStep
from voicerace.model.actors.actor import Cancel, Close, Effects, Open, Send
from voicerace.model.actors.forwarder import Forwarder
from voicerace.model.catalog.forwarders import ForwarderRelease
from voicerace.model.protocol.frames import frame_of

__all__ = ["PROCESS_ENDS", "ScriptedProxy", "modelled", "played"]

PROCESS_ENDS: Final = "the process ends"
#: Time in seconds in which a frame, a close or an opening that a step causes must be observed.
_QUIET_S: Final = 0.25
_PATIENCE_S: Final = 10.0


def modelled(row: ForwarderRelease, steps: Sequence[ForwarderStep], *, reachable: bool = True) -> list[list[str]]:
    """Return what both ends observe after each step, according to the model of a generation.

    Args:
        row: the generation.
        steps: the exchange.
        reachable: whether the proxy listens.
    """
    actors: dict[int, Forwarder] = {}
    cancelled: set[int] = set()
    found = []
    for act, value, number in steps:
        actor = actors.setdefault(number, Forwarder(row))
        effects: Effects = ()
        seen: list[str] = []
        match act:
            case "connect":
                actor.start()
                effects = () if reachable else actor.closed("proxy", None)
            case "text" | "binary":
                effects = actor.message("component", _payload(act, value))
            case "invalid" if not actor.state.opened and not row.survives:
                seen = [PROCESS_ENDS]
            case "invalid":
                seen, effects = [f"browser {number} closed 1002"], actor.closed("component", 1002)
            case "leave" | "drop":
                effects = actor.closed("component", None if act == "drop" else _code(value))
            case "open" if number not in cancelled:
                effects = actor.timer("open")
            case "refuse" | "end" | "cut":
                effects = actor.closed("proxy", None if act != "end" else _code(value))
            case "reply" | "reply_binary":
                effects = actor.message("proxy", _payload(act, value))
        cancelled |= {number for each in effects if isinstance(each, Cancel)}
        found.append(sorted(seen + [line for each in effects for line in _described(each, number)]))
    return found


def _described(effect: object, number: int) -> list[str]:
    ends = {"proxy": "proxy", "component": "browser"}
    match effect:
        case Send(to=to, payload=payload):
            return [f"{ends[to]} {number} gets {frame_of(payload)!r}"]
        case Close(to=to, code=code):
            return [f"{ends[to]} {number} closed {1005 if code is None else code}"]
        case Open():
            return [f"proxy {number} opened"]
    return []


def _payload(act: str, value: str | int | None) -> str | bytes:
    return str(value).encode() if act.endswith("binary") else str(value)


def _code(value: str | int | None) -> int | None:
    return value if isinstance(value, int) else None


class ScriptedProxy:
    """A proxy whose openings the script controls. It listens while the context is open.

    Attributes:
        arrived: handshakes of the forwarder, in order; each waits for a decision (``open`` or ``refuse``).
    """

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[asyncio.Future[str]] = asyncio.Queue()
        self._opened: dict[ServerConnection, asyncio.Future[str]] = {}
        self.connections: dict[asyncio.Future[str], ServerConnection] = {}
        self._server: Server | None = None

    async def __aenter__(self) -> ScriptedProxy:
        self._server = await serve(
            self._handle, "127.0.0.1", 0, process_request=self._decide, compression=None, ping_interval=None, open_timeout=None
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close(close_connections=True)
            for each in self._opened.values():
                if not each.done():
                    each.set_result("refuse")
            await self._server.wait_closed()

    @property
    def url(self) -> str:
        if self._server is None:
            raise RuntimeError("the server is not running")
        return f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}/openai"

    async def _decide(self, connection: ServerConnection, request: Request) -> Response | None:
        decision: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._opened[connection] = decision
        self.arrived.put_nowait(decision)
        if await decision == "open":
            return None
        return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "not now\n")

    async def _handle(self, connection: ServerConnection) -> None:
        self.connections[self._opened[connection]] = connection
        await connection.wait_closed()


class _End:
    """One connection of the exchange, as its own end observes it."""

    def __init__(self, name: str, connection: ClientConnection | ServerConnection) -> None:
        self.name = name
        self.connection = connection
        self.seen: list[str] = []
        self.closed_here = False
        self.reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        try:
            async for frame in self.connection:
                self.seen.append(f"{self.name} gets {frame!r}")
        except ConnectionClosed:
            pass
        if not self.closed_here:
            self.seen.append(f"{self.name} closed {self.connection.close_code}")

    async def handled(self) -> None:
        """Wait until the forwarder has handled the frames sent so far, or the connection has ended."""
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            await asyncio.wait_for(await self.connection.ping(), _PATIENCE_S)

    def take(self) -> list[str]:
        seen, self.seen = self.seen, []
        return seen


async def played(
    url: str, proxy: ScriptedProxy | None, steps: Sequence[ForwarderStep], alive: object = None
) -> list[list[str]]:
    """Return what both ends observe after each step of an exchange with a running forwarder.

    Args:
        url: URL of the forwarder.
        proxy: the proxy that the forwarder connects to; None if it is not up.
        steps: the exchange.
        alive: function that returns whether the forwarder's process runs.
    """
    browsers: dict[int, _End] = {}
    proxies: dict[int, _End] = {}
    decisions: dict[int, asyncio.Future[str]] = {}
    found: list[list[str]] = []
    try:
        for step in steps:
            seen = await _step(step, url, proxy, browsers, proxies, decisions)
            ends = [*browsers.values(), *proxies.values()]
            for end in ends:
                await end.handled()
            if step.act in ("leave", "drop", "end", "cut", "invalid", "refuse", "connect"):
                await asyncio.sleep(_QUIET_S)
            for end in ends:
                await end.handled()
                seen += end.take()
            if callable(alive) and not alive():
                seen = [PROCESS_ENDS]
            found.append(sorted(seen))
    finally:
        for end in (*browsers.values(), *proxies.values()):
            end.closed_here = True
            end.connection.transport.abort()
            await asyncio.wait({end.reading})
        for decision in decisions.values():
            if not decision.done():
                decision.set_result("refuse")
    return found


async def _step(
    step: ForwarderStep,
    url: str,
    proxy: ScriptedProxy | None,
    browsers: dict[int, _End],
    proxies: dict[int, _End],
    decisions: dict[int, asyncio.Future[str]],
) -> list[str]:
    """Carry out a step. Return the opening that it causes, if any."""
    act, value, number = step
    if act == "connect":
        browsers[number] = _End(f"browser {number}", await connect(url, proxy=None, compression=None, ping_interval=None))
        if proxy is not None:
            decisions[number] = await asyncio.wait_for(proxy.arrived.get(), _PATIENCE_S)
        return []
    if act in ("open", "refuse"):
        decisions[number].set_result(act)
        if act == "open" and proxy is not None and (opened := await _opened(proxy, decisions[number])) is not None:
            proxies[number] = _End(f"proxy {number}", opened)
            return [f"proxy {number} opened"]
        return []
    end = proxies.get(number) if act in ("reply", "reply_binary", "end", "cut") else browsers[number]
    if end is None:
        return []
    with contextlib.suppress(WebSocketException):
        if act in ("text", "binary", "reply", "reply_binary"):
            await end.connection.send(_payload(act, value))
        elif act == "invalid":
            end.connection.transport.write(b"\xf3\x80\x00\x00\x00\x00")  # a masked frame of a reserved kind
        else:
            end.closed_here = True
            if act in ("drop", "cut"):
                end.connection.transport.abort()
            elif value is None:
                end.connection.protocol.send_close()
                end.connection.transport.write(b"".join(end.connection.protocol.data_to_send()))
            else:
                await end.connection.close(_code(value) or 1000)
    return []


async def _opened(proxy: ScriptedProxy, decision: asyncio.Future[str]) -> ServerConnection | None:
    """Return the forwarder's connection when it is open and answers a ping; None if the forwarder has left."""
    for _ in range(int(_QUIET_S / 0.01)):
        if (connection := proxy.connections.get(decision)) is not None:
            with contextlib.suppress(ConnectionClosed, TimeoutError):
                await asyncio.wait_for(await connection.ping(), _PATIENCE_S)
                return connection
            return None
        await asyncio.sleep(0.01)
    return None
