"""Shows the messages of a live session to its user, who acts on them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from voicerace.engine.live.actor_host import ActorHost
from voicerace.engine.live.endpoints import ProxyEndpoint, UpstreamEndpoint
from voicerace.engine.live.relay import Relay
from voicerace.model.actors.actor import Actor, Effects
from voicerace.model.actors.user import User
from voicerace.trace.recording import UPSTREAM_LINKS, Link, Payload

__all__ = ["Observer"]


class Observer:
    """Shows messages to the user of a session.

    Args:
        user: the user. Only a `User` observes messages.
        host_link: link on which the component sends.
        endpoints: the session's connections. The last is that of the upstream, or of the proxy's model.
        tasks: the session's tasks, to which delayed effects are added.
    """

    def __init__(
        self,
        user: Actor,
        host_link: Link,
        endpoints: Sequence[UpstreamEndpoint | ProxyEndpoint | Relay],
        tasks: set[asyncio.Task[Any]],
    ) -> None:
        self.user = user
        self.host_link = host_link
        #: Host that carries out effects of the user.
        self.host: ActorHost | None = None
        self._endpoints = endpoints
        self._tasks = tasks
        self._barrier_lock = asyncio.Lock()

    def host_passed(self, link: Link, payload: Payload, seq: int) -> None:
        if link == self.host_link or link.receiver == "app":
            self._act(self._observe(link, payload, seq))

    def proxy_passed(self, link: Link, payload: Payload, seq: int) -> None:
        if link in UPSTREAM_LINKS:
            self._act(self._observe(link, payload, seq))

    def upstream_passed(self, link: Link, payload: Payload, seq: int) -> None:
        """Pass a message seen at the upstream to the user. Delay the user's effects until the proxy has handled the message."""
        effects = self._observe(link, payload, seq)
        if effects:
            task = asyncio.ensure_future(self._act_after_barrier(effects))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _observe(self, link: Link, payload: Payload, seq: int) -> Effects:
        if isinstance(self.user, User):
            return self.user.observe(link.sender, link.receiver, payload, seq)
        return ()

    def _act(self, effects: Effects) -> None:
        if effects and self.host is not None:
            self.host.act("user", effects)

    async def _act_after_barrier(self, effects: Effects) -> None:
        async with self._barrier_lock:
            endpoint = self._endpoints[-1]
            if not isinstance(endpoint, ProxyEndpoint):
                await endpoint.barrier()
            self._act(effects)
