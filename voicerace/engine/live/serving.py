"""Our actors as servers for anybody's app, SDK or proxy: every connection is a session with a recording of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from voicerace.engine.live.client import client_of
from voicerace.engine.live.connecting import open_connection
from voicerace.engine.live.endpoints import ProxyEndpoint, UpstreamEndpoint, refusal
from voicerace.engine.live.faults import Fault, Tampering
from voicerace.engine.live.recorder import Recorder
from voicerace.engine.live.server import ConnectionHandler, SessionServer
from voicerace.engine.live.targets import UpstreamTarget, scrubber
from voicerace.engine.session import SessionConfig
from voicerace.trace.recording import UPSTREAM_LINKS, WIRES, Recording

__all__ = ["Server", "proxy_visitors", "upstream_visitors"]


class SessionHandler(ConnectionHandler, Protocol):
    """A visitor that says when it has gone, and what was recorded of it."""

    over: asyncio.Future[None]
    recorder: Recorder


#: Makes the visitor of a session from the file that its recording goes to as it comes, and the request that opens it.
Make = Callable[[Path, Request], SessionHandler]


@dataclass(eq=False)
class Server:
    """Serves until it is stopped.

    Attributes:
        door: the server whose connections this takes.
        make: makes the handler of a new connection.
        folder: takes a recording per session.
        ended: called with (file, recording) when a session is over.
        most: take that many sessions, and stop when they have ended; None for never.
    """

    door: SessionServer
    make: Make
    folder: Path
    ended: Callable[[Path, Recording], None]
    most: int | None = None

    def __post_init__(self) -> None:
        self.stop = asyncio.Event()
        self._begun = 0
        self._ended = 0
        self._failed: Exception | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.door.otherwise = self._visitor

    async def run(self) -> None:
        """Until `stop` is set, or enough sessions have ended; what is open then is recorded as far as it came.

        Raises: what `ended` raised, which ends the serving too.
        """
        try:
            await self.stop.wait()
        finally:
            self.stop.set()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._failed is not None:
            raise self._failed

    def _visitor(self, request: Request) -> ConnectionHandler:
        if self.stop.is_set() or self._begun == self.most:
            return _SentAway()
        self._begun += 1
        path = self.folder / f"{self._begun:06d}.jsonl"
        visitor = self.make(path, request)
        task = asyncio.ensure_future(self._attend(visitor, path))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return visitor

    async def _attend(self, visitor: SessionHandler, path: Path) -> None:
        recorder = visitor.recorder
        try:
            while not visitor.over.done():
                # What has come so far is on the disk when the process is killed.
                await asyncio.wait({visitor.over}, timeout=0.2)
                recorder.flush()
        except asyncio.CancelledError:
            recorder.stopped = True
        try:
            self.ended(path, recorder.close())
        except Exception as error:
            self._failed = self._failed or error
            self.stop.set()
        self._ended += 1
        if self._ended == self.most:
            self.stop.set()


class _SentAway:
    """A client that comes when no more sessions are taken."""

    async def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        return refusal(503, "no more sessions here")

    def subprotocol(self, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return None

    async def serve(self, connection: ServerConnection) -> None:
        return

    def hang_up(self) -> None:
        return


def upstream_visitors(session: SessionConfig, faults: tuple[Fault, ...] = ()) -> Make:
    """The mock upstream, with a session's plan, times and knobs; every user input gets the steps of the first."""
    refuse = next((int(fault.value) for fault in faults if fault.kind == "refuse"), None)
    scrub = scrubber(None, None)
    spoilt = {"faults": [fault.word for fault in faults]} if faults else {}

    def make(path: Path, request: Request) -> SessionHandler:
        found = _provenance(session, upstream="mock") | {"client": client_of(request, scrub)}
        recorder = Recorder(found | spoilt, UPSTREAM_LINKS, scrub, path)
        return UpstreamEndpoint(session, recorder, tamper=Tampering(faults), refuse=refuse)

    return make


def proxy_visitors(session: SessionConfig, upstream: UpstreamTarget) -> Make:
    """The model of a proxy, in front of an upstream at an address."""
    scrub = scrubber(None, upstream)

    async def dial() -> ClientConnection:
        return await open_connection(upstream.url or "", [*upstream.headers().items()])

    def make(path: Path, request: Request) -> SessionHandler:
        proxy = {"proxy": f"model:{session.release.tag}", "source": session.release.source}
        found = _provenance(session, upstream=upstream.name) | proxy | {"release": session.release.tag}
        found["client"] = client_of(request, scrub)
        recorder = Recorder(found, WIRES, scrub, path)
        return ProxyEndpoint(session, recorder, dial)

    return make


def _provenance(session: SessionConfig, upstream: str) -> dict[str, Any]:
    """Only what this side decides: app, component and the other program are somebody else's."""
    known = session.provenance()
    ours: tuple[str, ...] = ("modality", "calls", "preamble", "profile", "times", "knobs", "seed")
    if upstream != "mock":
        ours = ("profile", "times", "seed")
        known["times"] = {name: known["times"][name] for name in ("host_rtt_ms", "upstream_rtt_ms")}
    found: dict[str, Any] = {name: known[name] for name in ours}
    if upstream == "mock" and "provider" in known:
        found["provider"] = known["provider"]
    return found | {"upstream": upstream, "engine": "serve", "start": datetime.now(UTC).isoformat(timespec="milliseconds")}
