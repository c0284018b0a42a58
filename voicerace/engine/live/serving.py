"""Runs actors as servers for any app, SDK or proxy. Every connection is a session with its own recording."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from voicerace.analysis.trace_index import DIRECT
from voicerace.engine.live.client import client_of
from voicerace.engine.live.connecting import open_connection
from voicerace.engine.live.endpoints import ProxyEndpoint, UpstreamEndpoint, refusal
from voicerace.engine.live.faults import Fault, Tampering
from voicerace.engine.live.recorder import Recorder
from voicerace.engine.live.server import ConnectionHandler, SessionServer
from voicerace.engine.live.targets import UpstreamTarget, scrubber
from voicerace.engine.session import SessionConfig
from voicerace.model.catalog.profiles import PROFILES
from voicerace.model.catalog.scenarios import DEFAULT_PLAN, inputs_of, plan_of
from voicerace.model.names import name_of
from voicerace.trace.recording import UPSTREAM_LINKS, WIRES, Recording

__all__ = ["Server", "mock_provenance", "mock_session", "proxy_handlers", "served_provenance", "upstream_handlers"]


class SessionHandler(ConnectionHandler, Protocol):
    """Connection handler with a recorder. `over` is a future that is done when the session has ended."""

    over: asyncio.Future[None]
    recorder: Recorder


#: Function that returns a session's handler for a recording file and a handshake request.
Make = Callable[[Path, Request], SessionHandler]


@dataclass(eq=False)
class Server:
    """Serves sessions until it is stopped.

    Attributes:
        server: server that accepts the connections.
        make: makes the handler of a new connection.
        folder: folder for the recordings, one per session.
        ended: called with (file, recording) when a session has ended.
        most: number of sessions after which the server stops. None disables the limit.
    """

    server: SessionServer
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
        self.server.otherwise = self._handler

    async def run(self) -> None:
        """Serve until `stop` is set or `most` sessions have ended. Sessions that are still open are recorded as stopped.

        Raises:
            Exception: `ended` raised it; the first such exception stops the server.
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

    def _handler(self, request: Request) -> ConnectionHandler:
        if self.stop.is_set() or self._begun == self.most:
            return _Refusing()
        self._begun += 1
        path = self.folder / f"{self._begun:06d}.jsonl"
        handler = self.make(path, request)
        task = asyncio.ensure_future(self._attend(handler, path))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return handler

    async def _attend(self, handler: SessionHandler, path: Path) -> None:
        recorder = handler.recorder
        try:
            while not handler.over.done():
                # Regular flushes limit the loss if the process is killed.
                await asyncio.wait({handler.over}, timeout=0.2)
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


class _Refusing:
    """Connection handler that refuses every client, used when no more sessions are accepted."""

    async def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        return refusal(503, "no more sessions here")

    def subprotocol(self, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return None

    async def serve(self, connection: ServerConnection) -> None:
        return

    def hang_up(self) -> None:
        return


def mock_session(
    plan: str = DEFAULT_PLAN,
    *,
    calls: int = 1,
    profile: str = "loopback",
    times: Mapping[str, object] | None = None,
    **given: Any,
) -> SessionConfig:
    """Return the configuration of a served mock.

    Unless the profile or `times` set `item_done_ms`, it is 0, because some clients start a tool at `response.output_item.done`,
    which the API sends 1 ms after the arguments (recorded). At the end of the gap it would hide their race.

    Args:
        plan: the responses per user turn, see `inputs_of`.
        calls: number of function calls in a response with calls.
        profile: name of the profile.
        times: time name -> value, as for `SessionConfig.of`.
        given: further arguments of `SessionConfig.of`.

    Raises:
        InputError: an argument is not valid.
    """
    early = {} if PROFILES[name_of("profile", profile)].values.get("item_done_ms") is not None else {"item_done_ms": "0"}
    times = {**early, **(times or {})}
    session = SessionConfig.of(scenario="parallel", calls=calls, profile=profile, times=times, **given)
    return replace(session, scenario=replace(session.scenario, inputs=inputs_of(plan)))


def upstream_handlers(session: SessionConfig, faults: tuple[Fault, ...] = (), *, direct: bool = False) -> Make:
    """Return a maker of handlers for the mock upstream with the session's plan, times and knobs.

    Args:
        session: configuration of the mock.
        faults: faults to inject.
        direct: whether the clients are connected without a proxy.
    """
    refuse = next((int(fault.value) for fault in faults if fault.kind == "refuse"), None)
    scrub = scrubber(None, None)
    own: dict[str, Any] = {"faults": [fault.word for fault in faults]} if faults else {}
    own |= mock_provenance(session, direct=direct)

    def make(path: Path, request: Request) -> SessionHandler:
        found = served_provenance(session, upstream="mock") | {"client": client_of(request, scrub)}
        recorder = Recorder(found | own, UPSTREAM_LINKS, scrub, path)
        return UpstreamEndpoint(session, recorder, tamper=Tampering(faults), refuse=refuse)

    return make


def proxy_handlers(session: SessionConfig, upstream: UpstreamTarget) -> Make:
    """Return a function that makes handlers for the model of the session's proxy, connected to `upstream`."""
    scrub = scrubber(None, upstream)

    async def dial() -> ClientConnection:
        return await open_connection(upstream.url or "", [*upstream.headers().items()])

    def make(path: Path, request: Request) -> SessionHandler:
        proxy = {"proxy": f"model:{session.release.tag}", "source": session.release.source}
        found = served_provenance(session, upstream=upstream.name) | proxy | {"release": session.release.tag}
        found["client"] = client_of(request, scrub)
        recorder = Recorder(found, WIRES, scrub, path)
        return ProxyEndpoint(session, recorder, dial)

    return make


def mock_provenance(session: SessionConfig, *, direct: bool) -> dict[str, str]:
    """Return what a served mock's recordings name if it is not the default: the plan, and the topology without a proxy."""
    plan = plan_of(session.scenario.inputs)
    return ({"plan": plan} if plan != DEFAULT_PLAN else {}) | ({"topology": DIRECT} if direct else {})


def served_provenance(session: SessionConfig, upstream: str) -> dict[str, Any]:
    """Return the provenance of a recording, with the settings that the served actor uses."""
    known = session.provenance()
    decided: tuple[str, ...] = ("modality", "calls", "preamble", "profile", "times", "knobs", "seed")
    if upstream != "mock":
        decided = ("profile", "times", "seed")
        known["times"] = {name: known["times"][name] for name in ("host_rtt_ms", "upstream_rtt_ms")}
    found: dict[str, Any] = {name: known[name] for name in decided}
    if upstream == "mock" and "provider" in known:
        found["provider"] = known["provider"]
    return found | {"upstream": upstream, "engine": "serve", "start": datetime.now(UTC).isoformat(timespec="milliseconds")}
