"""Opens the WebSocket connections of the experiments, to the mock or to an API at an address."""

from __future__ import annotations

from typing import Final, Self

from websockets.asyncio.client import ClientConnection

from voicerace.conformance.contract.asked_upstream import AskedUpstream
from voicerace.conformance.contract.client import Patience
from voicerace.engine.live.actor_host import ActorHost
from voicerace.engine.live.connecting import open_connection
from voicerace.engine.live.endpoints import UpstreamEndpoint
from voicerace.engine.live.recorder import Recorder
from voicerace.engine.live.server import SessionServer
from voicerace.engine.live.targets import UpstreamTarget
from voicerace.engine.session import SessionConfig
from voicerace.model.actors.actor import Actor
from voicerace.model.catalog.profiles import SERVER_TIMES

__all__ = ["AddressApi", "AskedEndpoint", "MockApi"]

#: Timeouts in seconds for an API on another machine.
_REMOTE: Final = Patience(15.0, 2.0)
#: Timeouts in seconds for the mock, in addition to its own times.
_LOCAL: Final = Patience(5.0, 0.3)
#: Number of draws of a random time. The maximum of the draws estimates the longest value.
_DRAWS: Final = 20


class AskedEndpoint(UpstreamEndpoint):
    """Serves one connection with a mock upstream without a plan (`AskedUpstream`)."""

    def _host(self, name: str, actor: Actor) -> ActorHost:
        times = self.session.times
        asked = AskedUpstream(
            knobs=self.session.knobs,
            item_done_early=times.has("item_done_ms"),
            slot_lags=not times.never_positive("slot_lag_ms"),
            limits_lag=not times.never_positive("rate_limits_ms"),
        )
        self.actor_host = ActorHost({name: asked}, times, self.session.seed, self.recorder, self.watch)
        return self.actor_host


class MockApi:
    """Serves the mock while the context is open.

    Args:
        session: configuration with the knobs and times; other settings have no effect.
    """

    def __init__(self, session: SessionConfig) -> None:
        self.session = session
        self.server = SessionServer()
        self.endpoints: list[AskedEndpoint] = []

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        return self

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        await self.server.__aexit__(None, error, None)
        for endpoint in self.endpoints:
            # an exception in the mock is a bug, so it must not count as an answer
            if endpoint.actor_host is not None and endpoint.actor_host.broken is not None and error is None:
                raise endpoint.actor_host.broken

    async def dial(self) -> ClientConnection:
        # the endpoint's recording is discarded, because an experiment records the client's side
        endpoint = AskedEndpoint(self.session, Recorder({}))
        self.endpoints.append(endpoint)
        return await open_connection(self.server.address + self.server.expect(endpoint))

    @property
    def patience(self) -> Patience:
        """The timeouts in seconds, derived from the mock's times."""
        times, seed = self.session.times, self.session.seed

        def longest_s(name: str) -> float:
            return max(times.ns(name, index, seed) for index in range(_DRAWS)) / 1e9 if times.has(name) else 0.0

        rtt_s = longest_s("upstream_rtt_ms")
        answer_s = _LOCAL.answer_s + sum(longest_s(name) for name in SERVER_TIMES) + rtt_s
        return Patience(answer_s, _LOCAL.quiet_s + longest_s("create_ms") + rtt_s)


class AddressApi:
    """Opens connections to an API at an address."""

    patience = _REMOTE

    def __init__(self, target: UpstreamTarget) -> None:
        self.target = target

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def dial(self) -> ClientConnection:
        return await open_connection(self.target.url or "", [*self.target.headers().items()])
