"""Where our parties sit when others come to them over a WebSocket: the mock upstream, and the model of the proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from http.client import responses
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import WebSocketException
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from voicerace.engine.live.actor_host import ActorHost
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

__all__ = ["Endpoint", "ProxySeat", "UpstreamEndpoint", "refusal"]

Watch = Callable[[Link, Payload, int], None]


class Endpoint:
    """What the seats have in common: one session, one connection that comes in.

    Args:
        session: whose parties and times.
        recorder: takes down what passes.
        both_ours: the one who comes is another place of this process and records its own end.
        watch: sees what passes here.

    Attributes:
        comes: the link of those who come.
        over: done when the connection has ended.
    """

    comes: Link

    def __init__(
        self, session: SessionConfig, recorder: Recorder, *, both_ours: bool = False, watch: Watch | None = None
    ) -> None:
        self.session = session
        self.recorder = recorder
        self.both_ours = both_ours
        self.watch = watch
        self.place: ActorHost | None = None
        self.connection: ServerConnection | None = None
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        return None

    def subprotocol(self, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        """The proxies and the API answer a browser's offer with its first."""
        return offered[0] if offered else None

    async def serve(self, connection: ServerConnection) -> None:
        self.connection = connection
        try:
            await self.sit(connection)
        except WebSocketException:
            raise
        except Exception as error:  # the server would only log it
            if self.place is None:
                raise
            self.place.fail(error)
        finally:
            if self.place is not None:
                self.place.end()
            self._end()

    def hang_up(self) -> None:
        """Drop the connection."""
        if self.connection is not None:
            drop(self.connection)
        elif not self.over.done():
            self.recorder.fault(self.comes, f"{self.comes.sender} left before the handshake was answered")
            self._end()

    def _end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

    async def sit(self, connection: ServerConnection) -> None:
        """Take part until the connection ends."""
        raise NotImplementedError

    def _place(self, name: str, party: Actor) -> ActorHost:
        session = self.session
        self.place = ActorHost({name: party}, session.times, session.seed, self.recorder, self.watch, playing=session.playing)
        return self.place

    def _delays(self, rtt: str, *, towards_upstream: bool) -> tuple[int, int]:
        """(out, in) of one of the two network links, in nanoseconds."""
        whole = self.session.times.ns(rtt, 0, self.session.seed)
        up, down = whole // 2, whole - whole // 2
        return (up, down) if towards_upstream else (down, up)


class UpstreamEndpoint(Endpoint):
    """The mock upstream, for one connection.

    Args (beside those of `Endpoint`):
        tamper: spoils what it sends.
        refuse: answer the handshake with this HTTP status.
        party: who sits here, when it is not the session's first.
    """

    comes = PROXY_TO_UPSTREAM

    def __init__(
        self,
        session: SessionConfig,
        recorder: Recorder,
        *,
        both_ours: bool = False,
        watch: Watch | None = None,
        tamper: Tamper | None = None,
        refuse: int | None = None,
        party: Actor | None = None,
    ) -> None:
        super().__init__(session, recorder, both_ours=both_ours, watch=watch)
        self.party = party or session.parties()["upstream"]
        self.tamper = tamper
        self.refuse = refuse
        self.line: FramedConnection | None = None

    async def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.refuse is None:
            return None
        self.recorder.fault(UPSTREAM_TO_PROXY, f"the handshake was refused with HTTP {self.refuse} (--fault)")
        self._end()
        return refusal(self.refuse, "refused on purpose")

    async def sit(self, connection: ServerConnection) -> None:
        place = self._place("upstream", self.party)
        out_ns, in_ns = self._delays("upstream_rtt_ms", towards_upstream=False)
        self.line = FramedConnection(
            place,
            UPSTREAM_TO_PROXY,
            connection,
            out_ns=out_ns,
            in_ns=0 if self.both_ours else in_ns,
            both_ours=self.both_ours,
            tamper=self.tamper,
        )
        place.start()
        await self.line.run()

    async def barrier(self) -> None:
        """Return when the proxy has handled all that was sent to it."""
        if self.line is not None:
            await self.line.barrier()


class ProxySeat(Endpoint):
    """The model of a proxy, for one host.

    Args (beside those of `Endpoint`):
        dial: opens its connection to the upstream.
        upstream_ours: the upstream is another place of this process.
    """

    comes = COMPONENT_TO_PROXY

    def __init__(
        self,
        session: SessionConfig,
        recorder: Recorder,
        dial: Callable[[], Coroutine[Any, Any, ClientConnection]],
        *,
        both_ours: bool = False,
        upstream_ours: bool = False,
        watch: Watch | None = None,
    ) -> None:
        super().__init__(session, recorder, both_ours=both_ours, watch=watch)
        self.dial = dial
        self.upstream_ours = upstream_ours

    async def sit(self, connection: ServerConnection) -> None:
        place = self._place("proxy", self.session.parties()["proxy"])
        out_ns, in_ns = self._delays("host_rtt_ms", towards_upstream=False)
        host = FramedConnection(
            place,
            PROXY_TO_COMPONENT,
            connection,
            out_ns=out_ns,
            in_ns=0 if self.both_ours else in_ns,
            both_ours=self.both_ours,
        )
        far = await self._dialled(connection)
        place.start()
        if far is None:
            if self.recorder.faults:
                place.closed(UPSTREAM_TO_PROXY, None)
            await host.run()
            return
        out_ns, in_ns = self._delays("upstream_rtt_ms", towards_upstream=True)
        upstream = FramedConnection(
            place,
            PROXY_TO_UPSTREAM,
            far,
            out_ns=out_ns,
            in_ns=0 if self.upstream_ours else in_ns,
            both_ours=self.upstream_ours,
        )
        await _both(host.run(), upstream.run())

    async def _dialled(self, connection: ServerConnection) -> ClientConnection | None:
        """The connection to the upstream; None when it did not open, or the host left before it did."""
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


async def _both(*lines: Coroutine[Any, Any, None]) -> None:
    """Two lines until both have ended; neither outlives the other's failure."""
    tasks = [asyncio.ensure_future(line) for line in lines]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def refusal(status: int, why: str) -> Response:
    """The answer to a handshake, with any status: the library knows the registered ones only."""
    reason = responses.get(status, "Refused")
    body = f"{why}\n".encode()
    headers = Headers([("Content-Type", "text/plain"), ("Content-Length", str(len(body))), ("Connection", "close")])
    return Response(status, reason, headers, body)
