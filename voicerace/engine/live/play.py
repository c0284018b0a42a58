"""The live engine: sessions on real WebSockets and the real clock; each actor is a model or the real program.

`Live` holds what outlives a session: the servers, and the child process of a checkout's proxy. Every session gets fresh actors,
sockets and a recording of its own, so many can run at once on one event loop. An accident that ends a session is a fault in its
recording; the other sessions continue.

What this cannot show: a program whose upstream connection nobody watches (`unseen`) is judged by its host side alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
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
from voicerace.engine.live.origins import Origins
from voicerace.engine.live.recorder import Recorder
from voicerace.engine.live.relay import Relay
from voicerace.engine.live.server import SessionServer
from voicerace.engine.live.targets import ProxyTarget, UpstreamTarget, address, scrubber
from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError
from voicerace.model.actors.actor import Actor, Effects
from voicerace.model.actors.user import User
from voicerace.model.catalog.profiles import SERVER_TIMES
from voicerace.scrubber import Scrubber
from voicerace.trace.recording import COMPONENT_TO_PROXY, LINKS, PROXY_TO_COMPONENT, UPSTREAM_LINKS, Link, Payload, Recording

__all__ = ["Live", "upstream_of"]

#: A session without any message waits this long for its connections and Settings.
_OPENING_S: Final = 10.0
#: Above the longest time in which a session may rightly be silent.
_SILENCE_MARGIN_S: Final = 5.0
#: What is left of a session that was stopped has so long to end by itself.
_STOPPED_S: Final = 1.0
_UPSTREAM_PATH: Final = "/v1/realtime?model=gpt-realtime"


class Live:
    """Plays sessions against one proxy and one upstream, while the context is open.

    Args:
        proxy, upstream: the targets.
        log: takes the output of a checkout's proxy.
        listen: (host, port) where a proxy that runs elsewhere is configured to find its upstream; what connects there
            is ours to answer or to relay.
        silence_s: a session in which nothing passes for so long is ended; without it, what its own times allow, and
            10 s before the first words.
        scrub: takes secrets out of what is recorded; without it, every key of the environment.

    Raises (on entering):
        InputError: the checkout's proxy does not start, or a port is taken.
    """

    def __init__(
        self,
        proxy: ProxyTarget,
        upstream: UpstreamTarget | None = None,
        *,
        log: Path | None = None,
        listen: tuple[str, int] | None = None,
        silence_s: float | None = None,
        scrub: Scrubber | None = None,
    ) -> None:
        self.proxy = proxy
        self.upstream = upstream_of(proxy, upstream)
        if proxy.kind == "url" and self.upstream.kind != "unseen" and listen is None:
            raise InputError("upstream", f"{self.upstream.name} behind a running proxy", "with --listen, the address it uses")
        if proxy.kind != "url" and (self.upstream.kind == "unseen" or listen is not None):
            raise InputError("listen", f"given with {proxy.name}", "only with a proxy at ws://... and an upstream")
        self.scrub = scrub or scrubber(proxy, self.upstream)
        self.silence_s = silence_s
        self._log = log
        # Proxies connect here, under whatever name they find this machine; no web page does.
        origins = Origins(holds_key=self.upstream.holds_key, any_host=True)
        self.upstream_door, self.proxy_door = SessionServer(*(listen or ("127.0.0.1", 0)), origins=origins), SessionServer()
        self.backend: Backend | None = None
        self._reviving = asyncio.Lock()
        self._collecting = Collecting()
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(self._collecting)
            await stack.enter_async_context(self.upstream_door)
            if self.proxy.kind == "model":
                await stack.enter_async_context(self.proxy_door)
            if self.proxy.kind == "backend":
                stack.push_async_callback(self._end_backend)
                await self._start_backend()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._stack.aclose()
        # A connection that was dropped lets its socket go in the loop's next rounds: the loop must not end before.
        for _ in range(3):
            await asyncio.sleep(0)

    async def _start_backend(self) -> None:
        url = self.upstream_door.address + _UPSTREAM_PATH
        self.backend = Backend(self.proxy.directory or Path(), url, log=self._log)
        starting = asyncio.ensure_future(asyncio.to_thread(self.backend.__enter__))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            # The thread goes on by itself: what it has started must not outlive us.
            self.backend.give_up()
            await asyncio.wait({starting})
            raise

    async def _end_backend(self) -> None:
        if self.backend is not None:
            await self.backend.end()

    async def _revive_backend(self) -> None:
        """Start the proxy again when a session has ended its process (docs/release-facts.md#user-audio: one frame can)."""
        async with self._reviving:
            if self.backend is not None and not self.backend.alive:
                await self._end_backend()
                await self._start_backend()

    async def play(self, session: SessionConfig, unfinished: Callable[[Recording], None] | None = None) -> Recording:
        """One session, to its end.

        Args:
            unfinished: gets the recording of a session that is cancelled.

        Raises:
            InputError: the checkout's proxy could not be started again.
        """
        await self._revive_backend()
        with self._collecting.session():
            playing = _Play(self, session)
            try:
                return await playing.run()
            except asyncio.CancelledError:
                if unfinished is not None:
                    unfinished(playing.recorder.close())
                raise

    def provenance(self, session: SessionConfig) -> dict[str, Any]:
        """What a recording says of itself; times that a real server decides are left out."""
        found = session.provenance()
        left_out = set() if self.upstream.kind == "mock" else {*SERVER_TIMES, "upstream_rtt_ms"}
        found["times"] = {name: value for name, value in found["times"].items() if name not in left_out}
        found["release"] = self.proxy.release.tag if self.proxy.release else None
        found |= {"proxy": self.proxy.name, "source": self.proxy.source, "upstream": self.upstream.name}
        return found | {"engine": "live", "start": datetime.now(UTC).isoformat(timespec="milliseconds")}


def upstream_of(proxy: ProxyTarget, upstream: UpstreamTarget | None) -> UpstreamTarget:
    """The upstream that a proxy meets: the mock unless another is named; a running proxy has its own."""
    return upstream or UpstreamTarget("unseen" if proxy.kind == "url" else "mock")


class _Play:
    """One session: its places, and how they find each other."""

    def __init__(self, live: Live, session: SessionConfig) -> None:
        self.live = live
        # A real upstream has a network of its own: none is emulated on the way to it.
        remote = live.upstream.url is not None
        session = replace(session, times=session.times.with_ns("upstream_rtt_ms", 0)) if remote else session
        self.session = session = session.begun()
        unseen = live.upstream.kind == "unseen"
        observed = tuple(each for each in LINKS if not (unseen and each in UPSTREAM_LINKS))
        self.recorder = Recorder(live.provenance(session), observed, live.scrub)
        actors = session.actors()
        self.user = actors["user"]
        here = {name: actors[name] for name in ("user", "app", "component")}
        self.host = ActorHost(here, session.times, session.seed, self.recorder, self._host_passed, self._wanted, session.cursor)
        #: Set while the host wants a connection that it does not have.
        self._unconnected = asyncio.Event()
        self._mock: Actor | None = None
        self.proxy_ours = live.proxy.kind == "model"
        self.endpoints: list[UpstreamEndpoint | ProxyEndpoint | Relay] = []
        #: What the session waits for before anybody can say anything, for the reason when it does not come.
        self._missing = ""
        self._barred = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> Recording:
        talk = asyncio.ensure_future(self._talk())
        try:
            await self._patiently(talk)
        finally:
            self.recorder.stopped = not talk.done()
            talk.cancel()
            await asyncio.wait({talk})
            await self._end()
        if not talk.cancelled() and (error := talk.exception()) is not None:
            raise error
        hosts = (self.host, *(getattr(endpoint, "actor_host", None) for endpoint in self.endpoints))
        broken = [each.broken for each in hosts if each is not None]
        for error in broken:
            if error is not None:
                raise error
        self.endpoints.clear()  # they know us: nobody has to collect what is cut loose
        return self.recorder.close()

    async def _patiently(self, talk: asyncio.Future[None]) -> None:
        """Wait until the host's connection has ended, or nothing has passed for too long."""
        while not talk.done():
            allowed = self._allowed_s()
            left = allowed - (self._clock_ns() - self.recorder.last_ns) / 1e9
            if left <= 0:
                why = f"silence: nothing passed for {allowed:g} s{self._missing}"
                self.recorder.fault(PROXY_TO_COMPONENT, why)
                return
            await asyncio.wait({talk}, timeout=left)

    def _clock_ns(self) -> int:
        return int(asyncio.get_running_loop().time() * 1e9)

    def _allowed_s(self) -> float:
        if self.live.silence_s is not None:
            return self.live.silence_s
        if isinstance(self.user, User) and self.user.state.said == 0:
            return _OPENING_S
        return self.session.longest_ns() / 1e9 + _SILENCE_MARGIN_S

    async def _talk(self) -> None:
        """Connect the host and take part until its last connection ends."""
        first = True
        while await self._connection(first=first) and isinstance(self.user, User) and self.user.state.offline:
            first = False
            await self._unconnected.wait()
            self._unconnected.clear()

    def _wanted(self) -> None:
        self._unconnected.set()

    async def _connection(self, *, first: bool) -> bool:
        """One connection of the host's, to its end; False when there was none."""
        try:
            connection = await self._connect()
        except NotConnectedError as error:
            if not self.recorder.faults:
                self.recorder.fault(PROXY_TO_COMPONENT, f"proxy: {error.reason}")
            return False
        whole = self.session.times.ns("host_rtt_ms", 0, self.session.seed)
        line = FramedConnection(
            self.host,
            COMPONENT_TO_PROXY,
            connection,
            out_ns=whole // 2,
            in_ns=0 if self.proxy_ours else whole - whole // 2,
            both_ours=self.proxy_ours,
        )
        if first:
            self.host.start()
        await line.run()
        return True

    async def _connect(self) -> ClientConnection:
        """The host's connection to the proxy, with the proxy's own upstream connection made ours where it can be."""
        live = self.live
        if live.proxy.kind == "model":
            visitor = ProxyEndpoint(
                self.session,
                self.recorder,
                self._dial,
                both_ours=True,
                upstream_ours=live.upstream.kind == "mock",
                watch=self._proxy_passed,
            )
            return await self._open_at(live.proxy_door, visitor)
        url = live.proxy.url or (live.backend.url if live.backend else "")
        if live.upstream.kind == "unseen":
            return await open_connection(url)
        upstream = self._upstream_visitor()
        self.endpoints.append(upstream)
        async with live.upstream_door.turn(upstream) as came:
            connection = None
            try:
                connection = await open_connection(url)
                # One upstream connection per host connection: the next session waits until this one has come.
                self._missing = ", and the proxy opened no connection to its upstream"
                await came.wait()
                self._missing = ""
            except BaseException:
                if connection is not None:
                    drop(connection)
                raise
            finally:
                if not came.is_set():
                    self.endpoints.remove(upstream)
        return connection

    async def _open_at(self, door: SessionServer, visitor: UpstreamEndpoint | ProxyEndpoint) -> ClientConnection:
        """A connection to an actor of ours, at its door."""
        self.endpoints.append(visitor)
        try:
            return await open_connection(door.address + door.expect(visitor))
        except BaseException:
            self.endpoints.remove(visitor)
            raise

    def _upstream_visitor(self) -> UpstreamEndpoint | Relay:
        """What the upstream connection of a running proxy meets: the mock, or a relay to the real one."""
        upstream = self.live.upstream
        if upstream.kind == "mock":
            return UpstreamEndpoint(self.session, self.recorder, watch=self._upstream_passed, actor=self._next_mock())
        return Relay(
            "proxy",
            "upstream",
            address(upstream.url or ""),
            self.recorder,
            path=(upstream.url or "")[len(address(upstream.url or "")) :],
            headers=upstream.headers(),
            shield=self.live.scrub,
            watch=self._upstream_passed,
        )

    async def _dial(self) -> ClientConnection:
        """The model proxy's connection to its upstream."""
        upstream = self.live.upstream
        if upstream.url is not None:
            return await open_connection(upstream.url, [*upstream.headers().items()])
        endpoint = UpstreamEndpoint(self.session, self.recorder, both_ours=True, actor=self._next_mock())
        return await self._open_at(self.live.upstream_door, endpoint)

    def _next_mock(self) -> Actor:
        """The mock upstream of the next connection."""
        self._mock = self._mock.renew() if self._mock is not None else self.session.actors()["upstream"]
        return self._mock

    # -- the user watches --------------------------------------------------------------------------------------------

    def _host_passed(self, link: Link, payload: Payload, seq: int) -> None:
        if link == COMPONENT_TO_PROXY or link.receiver == "app":
            self._act(self._observe(link, payload, seq))

    def _proxy_passed(self, link: Link, payload: Payload, seq: int) -> None:
        if link in UPSTREAM_LINKS:
            self._act(self._observe(link, payload, seq))

    def _upstream_passed(self, link: Link, payload: Payload, seq: int) -> None:
        """Seen at the upstream's end: what the user makes of it waits until the running proxy has seen it too."""
        effects = self._observe(link, payload, seq)
        if effects:
            self._later(self._act_behind(effects))

    def _observe(self, link: Link, payload: Payload, seq: int) -> Effects:
        if isinstance(self.user, User):
            return self.user.observe(link.sender, link.receiver, payload, seq)
        return ()

    def _act(self, effects: Effects) -> None:
        if effects:
            self.host.act("user", effects)

    async def _act_behind(self, effects: Effects) -> None:
        async with self._barred:
            endpoint = self.endpoints[-1]
            if not isinstance(endpoint, ProxyEndpoint):
                await endpoint.barrier()
            self._act(effects)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self) -> None:
        """Wait a little for the connections behind the proxy, then end what is left."""
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
        if still := [endpoint.over for endpoint in self.endpoints if not endpoint.over.done()]:
            await asyncio.wait(still, timeout=patience_s)
