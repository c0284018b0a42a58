"""Live engine: plays sessions on real WebSockets and the real clock, with models or running programs as actors.

`Live` manages what sessions share: the servers, and the child process of a checkout's proxy. Every session has its own
actors, sockets and recording, so many sessions can run at once on one event loop. An error that ends a session is recorded as
a fault, and the other sessions continue.

Limit: if the upstream connection of a proxy is not observed (`unseen`), the outcome is derived from the host side only.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from websockets.asyncio.client import ClientConnection

from voicerace.engine.live.actor_host import ActorHost
from voicerace.engine.live.backend import Backend
from voicerace.engine.live.clock import Collecting
from voicerace.engine.live.connecting import NotConnectedError, open_connection
from voicerace.engine.live.connection import FramedConnection, drop
from voicerace.engine.live.endpoints import ProxyEndpoint, UpstreamEndpoint
from voicerace.engine.live.forwarded import LateHandler, connect_forwarder, hold_route
from voicerace.engine.live.forwarder_program import ForwarderProgram, ForwarderTarget
from voicerace.engine.live.observing import Observer
from voicerace.engine.live.origins import Origins
from voicerace.engine.live.recorder import Recorder
from voicerace.engine.live.relay import Relay, relay_to
from voicerace.engine.live.server import SessionServer
from voicerace.engine.live.targets import ProxyTarget, UpstreamTarget, scrubber
from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError
from voicerace.model.actors.actor import Actor
from voicerace.model.actors.user import User
from voicerace.model.catalog.profiles import SERVER_TIMES
from voicerace.scrubber import Scrubber
from voicerace.trace.recording import (
    COMPONENT_TO_FORWARDER,
    COMPONENT_TO_PROXY,
    FORWARDER_LINKS,
    LINKS,
    PROXY_TO_COMPONENT,
    UPSTREAM_LINKS,
    Recording,
)  # fmt: skip

__all__ = ["Live", "upstream_of"]

#: Maximum time in seconds without a message before the first input of a session.
_OPENING_S: Final = 10.0
#: Time in seconds added to the longest regular time without a message.
_SILENCE_MARGIN_S: Final = 5.0
#: Maximum time in seconds until the connections of a stopped session have ended.
_STOPPED_S: Final = 1.0
_UPSTREAM_PATH: Final = "/v1/realtime?model=gpt-realtime"


class Live:
    """Plays sessions against one proxy and one upstream, while the context is open.

    Args:
        proxy: the proxy.
        forwarder: running forwarder between component and proxy, or None. The sessions need the model of one, too.
        upstream: the Realtime API. None selects the default (`upstream_of`).
        log: file for the output of a checkout's proxy.
        listen: (host, port) of the upstream in the configuration of a proxy at a URL. The mock or a relay listens on this
            address.
        silence_s: time in seconds without a message after which a session is ended. None: 10 s before the first
            input, then a value that depends on the session's times.
        scrub: removes secrets from recordings. None removes the keys in the environment and of both targets.

    Raises:
        InputError: the targets and `listen` do not fit together; or, when the context opens: the checkout's proxy does
            not start, or a port is in use.
    """

    def __init__(
        self,
        proxy: ProxyTarget,
        upstream: UpstreamTarget | None = None,
        *,
        forwarder: ForwarderTarget | None = None,
        log: Path | None = None,
        listen: tuple[str, int] | None = None,
        silence_s: float | None = None,
        scrub: Scrubber | None = None,
    ) -> None:
        self.proxy, self.forwarder = proxy, forwarder
        self.upstream = upstream_of(proxy, upstream)
        if proxy.kind == "url" and self.upstream.kind != "unseen" and listen is None:
            raise InputError("upstream", f"{self.upstream.name} behind a running proxy", "with --listen, the address it uses")
        if proxy.kind != "url" and (self.upstream.kind == "unseen" or listen is not None):
            raise InputError("listen", f"given with {proxy.name}", "only with a proxy at ws://... and an upstream")
        self.scrub = scrub or scrubber(proxy, self.upstream)
        self.silence_s = silence_s
        self._log = log
        # Only proxies connect to this server. A proxy can use any host name of this machine.
        origins = Origins(holds_key=self.upstream.holds_key, any_host=True)
        self.upstream_server = SessionServer(*(listen or ("127.0.0.1", 0)), origins=origins)
        self.proxy_server = SessionServer()
        #: Server to which the forwarder connects.
        self.forwarder_server = SessionServer()
        self.backend: Backend | None = None
        self.forwarder_program: ForwarderProgram | None = None
        self._reviving = asyncio.Lock()
        self._collecting = Collecting()
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(self._collecting)
            await stack.enter_async_context(self.upstream_server)
            if self.proxy.kind == "model":
                await stack.enter_async_context(self.proxy_server)
            if self.proxy.kind == "backend":
                url = self.upstream_server.address + _UPSTREAM_PATH
                self.backend = Backend(self.proxy.directory or Path(), url, log=self._log)
            if self.forwarder is not None:
                await stack.enter_async_context(self.forwarder_server)
                url = f"{self.forwarder_server.address}/openai"
                self.forwarder_program = ForwarderProgram(self.forwarder.directory, url, log=self._log)
            for program in self._programs:
                stack.push_async_callback(program.end)
                await program.begin()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._stack.aclose()
        # The loop closes the sockets of dropped connections in its next iterations.
        for _ in range(3):
            await asyncio.sleep(0)

    @property
    def _programs(self) -> list[Backend]:
        return [each for each in (self.backend, self.forwarder_program) if each is not None]

    async def _revive(self) -> None:
        """Restart a program whose process has ended. One audio frame can end a proxy (docs/release-facts.md#user-audio)."""
        async with self._reviving:
            for program in self._programs:
                if not program.alive:
                    await program.end()
                    await program.begin()

    async def play(self, session: SessionConfig, unfinished: Callable[[Recording], None] | None = None) -> Recording:
        """Play one session to its end, and return its recording.

        Args:
            session: configuration of the session.
            unfinished: called with the recording if the session is cancelled.

        Raises:
            InputError: a checkout's program could not be restarted.
        """
        await self._revive()
        with self._collecting.session():
            playing = _Play(self, session)
            try:
                return await playing.run()
            except asyncio.CancelledError:
                if unfinished is not None:
                    unfinished(playing.recorder.close())
                raise

    def provenance(self, session: SessionConfig) -> dict[str, Any]:
        """Return the provenance of a session's recording, without the times that a real API determines."""
        found = session.provenance()
        left_out = set() if self.upstream.kind == "mock" else {*SERVER_TIMES, "upstream_rtt_ms"}
        found["times"] = {name: value for name, value in found["times"].items() if name not in left_out}
        found["release"] = self.proxy.release.tag if self.proxy.release else None
        found |= {"proxy": self.proxy.name, "source": self.proxy.source, "upstream": self.upstream.name}
        found |= {} if self.forwarder is None else {"forwarder_source": self.forwarder.source}
        return found | {"engine": "live", "start": datetime.now(UTC).isoformat(timespec="milliseconds")}


def upstream_of(proxy: ProxyTarget, upstream: UpstreamTarget | None) -> UpstreamTarget:
    """Return `upstream` if it is not None, else `unseen` for a proxy at a URL, else the mock."""
    return upstream or UpstreamTarget("unseen" if proxy.kind == "url" else "mock")


class _Play:
    """Session with its actors and the connections between them."""

    def __init__(self, live: Live, session: SessionConfig) -> None:
        self.live = live
        # A real API has a real network, so no network is emulated between proxy and API.
        remote = live.upstream.url is not None
        session = replace(session, times=session.times.with_ns("upstream_rtt_ms", 0)) if remote else session
        self.session = session = session.begun()
        unseen = live.upstream.kind == "unseen"
        links = (*LINKS, *(FORWARDER_LINKS if live.forwarder is not None else ()))
        observed = tuple(each for each in links if not (unseen and each in UPSTREAM_LINKS))
        self.recorder = Recorder(live.provenance(session), observed, live.scrub)
        actors = session.actors()
        self.user = actors["user"]
        here = {name: actors[name] for name in ("user", "app", "component")}
        #: Set when the host must reconnect.
        self._reconnect = asyncio.Event()
        #: The component's link, and whether its receiver is an actor of this process.
        self.link = COMPONENT_TO_PROXY if live.forwarder is None else COMPONENT_TO_FORWARDER
        self.proxy_ours = live.proxy.kind == "model" and live.forwarder is None
        self.endpoints: list[UpstreamEndpoint | ProxyEndpoint | Relay] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self.observer = Observer(self.user, self.link, self.endpoints, self._tasks)
        self.host = ActorHost(
            here, session.times, session.seed, self.recorder, self.observer.host_passed, self._reconnect.set, session.cursor,
            forwarded=live.forwarder is not None,
        )  # fmt: skip
        self.observer.host = self.host
        self._mock: Actor | None = None
        #: Description of the missing event for the reason of a timeout; empty if no event is missing.
        self._missing = ""

    async def run(self) -> Recording:
        connections = asyncio.ensure_future(self._connections())
        try:
            await self._until_silent(connections)
        finally:
            self.recorder.stopped = not connections.done()
            connections.cancel()
            await asyncio.wait({connections})
            await self._end()
        if not connections.cancelled() and (error := connections.exception()) is not None:
            raise error
        for host in (self.host, *(getattr(endpoint, "actor_host", None) for endpoint in self.endpoints)):
            if host is not None and host.broken is not None:
                raise host.broken
        self.endpoints.clear()  # Breaking the reference cycles frees the objects without a garbage collection.
        return self.recorder.close()

    async def _until_silent(self, connections: asyncio.Future[None]) -> None:
        """Wait until the host's connections have ended. If no message passes for too long, record a fault and return."""
        while not connections.done():
            allowed = self._silence_s()
            now_ns = int(asyncio.get_running_loop().time() * 1e9)
            left = allowed - (now_ns - self.recorder.last_ns) / 1e9
            if left <= 0:
                why = f"silence: nothing passed for {allowed:g} s{self._missing}"
                self.recorder.fault(PROXY_TO_COMPONENT, why)
                return
            await asyncio.wait({connections}, timeout=left)

    def _silence_s(self) -> float:
        """Return the currently allowed maximum time without a message in seconds."""
        if self.live.silence_s is not None:
            return self.live.silence_s
        if isinstance(self.user, User) and self.user.state.said == 0:
            return _OPENING_S
        return self.session.longest_ns() / 1e9 + _SILENCE_MARGIN_S

    async def _connections(self) -> None:
        """Run the host's connections one after another until the last connection has ended."""
        first = True
        while await self._connection(first=first) and isinstance(self.user, User) and self.user.state.offline:
            first = False
            await self._reconnect.wait()
            self._reconnect.clear()

    async def _connection(self, *, first: bool) -> bool:
        """Run one connection of the host until it ends, and return whether it opened."""
        try:
            connection = await self._connect()
        except NotConnectedError as error:
            if not self.recorder.faults:
                self.recorder.fault(PROXY_TO_COMPONENT, f"proxy: {error.reason}")
            return False
        rtt_ns = self.session.times.ns("host_rtt_ms", 0, self.session.seed)
        framed = FramedConnection(
            self.host,
            self.link,
            connection,
            out_ns=rtt_ns // 2,
            in_ns=0 if self.proxy_ours else rtt_ns - rtt_ns // 2,
            both_ours=self.proxy_ours,
        )
        if first:
            self.host.start()
        await framed.run()
        return True

    async def _connect(self) -> ClientConnection:
        """Connect the host to the proxy, and return the connection.

        Route a running proxy's upstream connection to the mock or to a relay, unless the upstream is `unseen`.
        """
        live = self.live
        if live.forwarder_program is not None:
            return await self._connect_forwarder(live.forwarder_program.url)
        if live.proxy.kind == "model":
            return await self._open_at(live.proxy_server, self._proxy_endpoint(self.session))
        url = self._proxy_url
        if live.upstream.kind == "unseen":
            return await open_connection(url)
        upstream = self._upstream_handler()
        self.endpoints.append(upstream)
        async with live.upstream_server.route_next(upstream) as arrived:
            connection = None
            try:
                connection = await open_connection(url)
                # The proxy opens one upstream connection per host connection. Other sessions connect after that connection has
                # arrived.
                self._missing = ", and the proxy opened no connection to its upstream"
                await arrived.wait()
                self._missing = ""
            except BaseException:
                if connection is not None:
                    drop(connection)
                raise
            finally:
                if not arrived.is_set():
                    self.endpoints.remove(upstream)
        return connection

    @property
    def _proxy_url(self) -> str:
        return self.live.proxy.url or (self.live.backend.url if self.live.backend else "")

    def _proxy_endpoint(self, session: SessionConfig) -> ProxyEndpoint:
        mock = self.live.upstream.kind == "mock"
        return ProxyEndpoint(
            session, self.recorder, self._dial, both_ours=self.proxy_ours, upstream_ours=mock, watch=self.observer.proxy_passed
        )

    async def _connect_forwarder(self, url: str) -> ClientConnection:
        """Connect the host to the forwarder, and return the connection. The forwarder's connection gets the proxy."""
        live, session = self.live, self.session
        proxy: ProxyEndpoint | Relay
        if live.proxy.kind == "model":
            # The forwarder runs beside the proxy, so the network is between component and forwarder.
            proxy = self._proxy_endpoint(replace(session, times=session.times.with_ns("host_rtt_ms", 0)))
        else:
            proxy = relay_to(self._proxy_url, "component", "proxy", self.recorder)

        async def prepare() -> None:
            if live.proxy.kind != "model" and live.upstream.kind != "unseen":
                upstream = self._upstream_handler()
                self.endpoints.append(upstream)
                await hold_route(live.upstream_server, upstream, self._tasks)

        delay_s = session.times.ns("forwarder_open_ms", 0, session.seed) / 1e9
        late = LateHandler(proxy, delay_s, prepare, lambda: self.recorder.opened(COMPONENT_TO_PROXY))
        return await connect_forwarder(url, live.forwarder_server, late, self.endpoints, self._tasks)

    async def _open_at(self, server: SessionServer, endpoint: UpstreamEndpoint | ProxyEndpoint) -> ClientConnection:
        """Connect to an actor of this process, and return the connection."""
        self.endpoints.append(endpoint)
        try:
            return await open_connection(server.address + server.expect(endpoint))
        except BaseException:
            self.endpoints.remove(endpoint)
            raise

    def _upstream_handler(self) -> UpstreamEndpoint | Relay:
        """Return the handler of a running proxy's upstream connection: the mock, or a relay to the real API."""
        upstream = self.live.upstream
        if upstream.kind == "mock":
            return UpstreamEndpoint(self.session, self.recorder, watch=self.observer.upstream_passed, actor=self._next_mock())
        further = {"headers": upstream.headers(), "shield": self.live.scrub, "watch": self.observer.upstream_passed}
        return relay_to(upstream.url or "", "proxy", "upstream", self.recorder, **further)

    async def _dial(self) -> ClientConnection:
        """Connect the proxy's model to its upstream, and return the connection."""
        upstream = self.live.upstream
        if upstream.url is not None:
            return await open_connection(upstream.url, [*upstream.headers().items()])
        endpoint = UpstreamEndpoint(self.session, self.recorder, both_ours=True, actor=self._next_mock())
        return await self._open_at(self.live.upstream_server, endpoint)

    def _next_mock(self) -> Actor:
        """Return the mock upstream for the next connection, renewed if there was an earlier connection."""
        self._mock = self._mock.renew() if self._mock is not None else self.session.actors()["upstream"]
        return self._mock

    async def _end(self) -> None:
        """End the host, wait for the other connections of the session, and drop the connections that are still open."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self.host.end()
        await self._until_over(_STOPPED_S if self.recorder.stopped else _SILENCE_MARGIN_S)
        for endpoint in self.endpoints:
            if not endpoint.over.done():
                endpoint.hang_up()
        await self._until_over(_STOPPED_S)

    async def _until_over(self, patience_s: float) -> None:
        if running := [endpoint.over for endpoint in self.endpoints if not endpoint.over.done()]:
            await asyncio.wait(running, timeout=patience_s)
