"""A running proxy and its model side by side, as one party: both get every input, the session goes on with the proxy's
answers, and what differs is noted. What passed at the proxy is kept in the order in which the proxy handled it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from voicerace.conformance.compare import Difference, Signatures, differences
from voicerace.engines.lockstep import RunningProxy
from voicerace.parties.party import Cancel, Close, Effects, Send, SetTimer
from voicerace.parties.proxy import Proxy
from voicerace.recording import Event, Link, Payload, Recording

__all__ = ["PROXY_LINKS", "ComparedProxy"]

PROXY_LINKS = (
    Link("component", "proxy"),
    Link("proxy", "component"),
    Link("proxy", "upstream"),
    Link("upstream", "proxy"),
)
#: Longer than any timer of the proxy's.
_TIMER_PATIENCE_S = 22.0


class ComparedProxy:
    """The party; `now_ns` tells the time of the engine that carries it."""

    def __init__(self, real: RunningProxy, model: Proxy) -> None:
        self.real = real
        self.model = model
        self.now_ns: Callable[[], int] = lambda: 0
        self.differences: list[Difference] = []
        self.events: list[Event] = []
        self.messages = 0
        self._step = 0
        self._model_words, self._real_words = Signatures(), Signatures()

    def start(self) -> Effects:
        return ()

    def message(self, sender: str, payload: Payload) -> Effects:
        self._keep(Link(sender, "proxy"), "message", payload, received=True)
        cause = payload.get("type") if isinstance(payload, Mapping) else type(payload).__name__
        return self._compare(f"{sender}: {cause}", self.real.message(sender, payload), self.model.message(sender, payload))

    def closed(self, sender: str, code: int | None) -> Effects:
        self._keep(Link(sender, "proxy"), "close", {"code": code}, received=True)
        return self._compare(f"{sender} closes", self.real.closed(sender, code), self.model.closed(sender, code))

    def timer(self, name: str) -> Effects:
        expected = self.model.timer(name)
        found = self.real.await_message(_TIMER_PATIENCE_S) if expected else ()
        return self._compare(f"timer {name}", found, expected)

    def silence(self) -> None:
        """Wait in real time, longer than any of the proxy's timers, and see what it sends by itself."""
        expected = self.model.timer("recovery") if self.model.release.recovery else ()
        self._compare("20 s of silence", self.real.await_message(_TIMER_PATIENCE_S), expected)

    def recording(self, provenance: Mapping[str, Any]) -> Recording:
        """What passed at the proxy: inputs when it got them, its own messages when it sent them."""
        return Recording(tuple(self.events), dict(provenance), "virtual", PROXY_LINKS, complete=True)

    def _compare(self, cause: str, found: Effects, expected: Effects) -> Effects:
        for effect in found:
            if isinstance(effect, Send):
                self._keep(Link("proxy", effect.to), "message", effect.payload, received=False)
                self.messages += 1
            elif isinstance(effect, Close):
                self._keep(Link("proxy", effect.to), "close", {"code": effect.code}, received=False)
        self.differences += differences(self._step, cause, self._model_words.of(expected), self._real_words.of(found))
        self._step += 1
        # Timers run in virtual time, so they are the model's; everything that is sent is the proxy's.
        return [*found, *(effect for effect in expected if isinstance(effect, (SetTimer, Cancel)))]

    def _keep(self, link: Link, kind: Literal["message", "close"], payload: Payload, *, received: bool) -> None:
        now = self.now_ns()
        sent_ns, received_ns = (None, now) if received else (now, None)
        self.events.append(Event(len(self.events), link, kind, sent_ns, received_ns, payload, "proxy"))
