"""A running proxy and its model side by side, as one party: both get every input, the session goes on with the proxy's
answers, and what differs is noted. What passed at the proxy is kept in the order in which the proxy handled it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple, Self

from voicerace.conformance.compare import Difference, Signatures, differences
from voicerace.engine.live.lockstep import RunningProxy
from voicerace.engine.timers import Timers
from voicerace.model.actors.actor import ABNORMAL, Cancel, Close, Effects, Send, SetTimer
from voicerace.model.actors.proxy import Proxy
from voicerace.model.catalog.profiles import PROXY_TIMES_MS
from voicerace.trace.recording import COMPONENT_TO_PROXY, WIRES, Event, Link, Payload, Recording
from voicerace.units import ns

__all__ = ["ComparedProxy"]

#: How much later than its timer a proxy may speak, before it is taken to be silent.
_PATIENCE_S = 2.0
#: How far real time may be ahead of the session's while one of the proxy's timers runs: less than any script leaves it.
_AHEAD_S = 0.1
#: Timers that are awaited in real time even where the model says nothing when they run out.
_SHORT_MS = 1_000


class _Running(NamedTuple):
    """One of the model's timers: when it was set, in both times, and how long it lasts."""

    real_s: float
    virtual_ns: int
    span_ms: int


class ComparedProxy:
    """The party; `now_ns` tells the time of the engine that carries it.

    Attributes:
        differences: where the two went apart.
        messages: how many the proxy sent.
        late: the machine was so busy that one of the proxy's timers may have run out too early: this is no evidence.
        ended: the proxy dropped a connection, as a process does that ends.
    """

    def __init__(self, real: RunningProxy, model: Proxy) -> None:
        self.real = real
        self.model = model
        self.now_ns: Callable[[], int] = lambda: 0
        self.differences: list[Difference] = []
        self.events: list[Event] = []
        self.messages = 0
        self.late = False
        self.ended = False
        self._step = 0
        self._timers = Timers()
        self._running: dict[str, _Running] = {}
        self._overrun_s = 0.0
        self._model_words, self._real_words = Signatures(), Signatures()

    def again(self) -> Self:
        """Both on another connection of the host's; the books go on."""
        self._keep(COMPONENT_TO_PROXY, "open", {}, received=True)
        self.real, self.model = self.real.again(), self.model.again()
        self._timers, self._running = Timers(), {}
        return self

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
        """The engine's clock says that one of the model's timers has run out; the proxy's goes on in real time."""
        self._look_at_the_clock([name])
        running = self._running.pop(name)
        expected = self.model.timer(name)
        left_s = running.span_ms / 1e3 - (self._real_s() - running.real_s)
        if _speaks(expected):
            found = self.real.await_message(left_s + _PATIENCE_S)
        else:
            found = self.real.await_message(left_s + _AHEAD_S) if running.span_ms < _SHORT_MS else ()
        return self._compare(f"timer {name}", found, expected)

    def silence(self, span_ms: int) -> None:
        """Nobody says anything for `span_ms`: see, in real time, what the proxy says by itself. `now_ns` is the span's end."""
        expected = self._timers.until(self.now_ns(), self.model)
        begun = time.monotonic()
        found = self.real.await_message(span_ms / 1e3 + (_PATIENCE_S if _speaks(expected) else 0.0))
        passed_s = time.monotonic() - begun
        self._overrun_s += max(0.0, passed_s - span_ms / 1e3)
        # When it spoke, to the millisecond: a recording of it shows how long its wait was.
        left_ns = ns(span_ms) - min(ns(span_ms), ns(int(passed_s * 1e3)))
        self._compare(f"{span_ms} ms of silence", found, expected, self.now_ns() - left_ns)

    def look_at_the_clock(self) -> None:
        """The exchange is over: see whether one of the timers that still run may have run out."""
        self._look_at_the_clock(tuple(self._running))

    def _real_s(self) -> float:
        return time.monotonic() - self._overrun_s

    def _look_at_the_clock(self, names: Iterable[str]) -> None:
        for name in names:
            if running := self._running.get(name):
                passed_s = (self.now_ns() - running.virtual_ns) / 1e9
                self.late |= self._real_s() - running.real_s > passed_s + _AHEAD_S

    def recording(self, provenance: Mapping[str, Any]) -> Recording:
        """What passed at the proxy: inputs when it got them, its own messages when it sent them."""
        return Recording(tuple(self.events), dict(provenance), "virtual", WIRES, complete=True)

    def _compare(self, cause: str, found: Effects, expected: Effects, at_ns: int | None = None) -> Effects:
        for effect in found:
            if isinstance(effect, Send):
                self._keep(Link("proxy", effect.to), "message", effect.payload, received=False, at_ns=at_ns)
                self.messages += 1
            elif isinstance(effect, Close):
                self.ended |= effect.code == ABNORMAL
                self._keep(Link("proxy", effect.to), "close", {"code": effect.code}, received=False, at_ns=at_ns)
        self.differences += differences(self._step, cause, self._model_words.of(expected), self._real_words.of(found))
        self._step += 1
        self._note(expected)
        # Timers run in virtual time, so they are the model's; everything that is sent is the proxy's.
        return [*found, *(effect for effect in expected if isinstance(effect, (SetTimer, Cancel)))]

    def _note(self, effects: Effects) -> None:
        """The model's timers: on the script's clock, and on ours."""
        self._timers.note(self.now_ns(), effects)
        for effect in effects:
            if isinstance(effect, (SetTimer, Cancel)):
                self._look_at_the_clock([effect.name])
                self._running.pop(effect.name, None)
            if isinstance(effect, SetTimer):
                span_ms = PROXY_TIMES_MS[effect.after]
                self._running[effect.name] = _Running(self._real_s(), self.now_ns(), span_ms)

    def _keep(
        self,
        link: Link,
        kind: Literal["message", "close", "open"],
        payload: Payload,
        *,
        received: bool,
        at_ns: int | None = None,
    ) -> None:
        now = self.now_ns() if at_ns is None else at_ns
        sent_ns, received_ns = (None, now) if received else (now, None)
        self.events.append(Event(len(self.events), link, kind, sent_ns, received_ns, payload, "proxy"))


def _speaks(effects: Effects) -> bool:
    return any(isinstance(effect, Send) for effect in effects)
