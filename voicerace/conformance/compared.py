"""Combines a running proxy and its model into one actor.

Both get every input. The session continues with the effects of the running proxy, and the actor collects the differences.
The actor records events in the order in which the proxy handled them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple, Self

from voicerace.captures.timers import Timers
from voicerace.conformance.compare import Difference, Signatures, differences
from voicerace.engine.live.lockstep import RunningProxy
from voicerace.model.actors.actor import ABNORMAL, Cancel, Effects, Send, SetTimer
from voicerace.model.actors.effects import Interpreter
from voicerace.model.actors.proxy import Proxy
from voicerace.model.catalog.profiles import PROXY_TIMES_MS
from voicerace.trace.recording import COMPONENT_TO_PROXY, WIRES, Event, Link, Payload, Recording
from voicerace.units import ns

__all__ = ["ComparedProxy"]

#: Maximum wait in seconds for a proxy's message after the end of the timer that triggers the message.
_PATIENCE_S = 2.0
#: Maximum lead in seconds of real time over the session's time while a timer of the proxy runs. It is less than the slack
#: of any script.
_AHEAD_S = 0.1
#: Duration in ms below which a timer is awaited in real time even if the model sends nothing at its end.
_SHORT_MS = 1_000


class _Running(NamedTuple):
    """A running timer of the model.

    Attributes:
        real_s: start in real time.
        virtual_ns: start in virtual time.
        span_ms: duration.
    """

    real_s: float
    virtual_ns: int
    span_ms: int


class ComparedProxy(Interpreter):
    """An actor that consists of a running proxy and its model; see the module's docstring.

    Attributes:
        now_ns: returns the current time of the engine that calls the actor.
        differences: differences between proxy and model.
        messages: number of messages that the proxy sent.
        late: whether a timer of the proxy may have ended too early because the machine was busy. Then the result is invalid.
        ended: whether the proxy dropped a connection, which happens when its process ends.
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
        self._sent_ns = 0
        self._timers = Timers()
        self._running: dict[str, _Running] = {}
        self._overrun_s = 0.0
        self._model_signatures, self._real_signatures = Signatures(), Signatures()

    def renew(self) -> Self:
        """Connect proxy and model again after a new connection of the host, and return this actor."""
        self._record(COMPONENT_TO_PROXY, "open", {}, received=True)
        self.real, self.model = self.real.renew(), self.model.renew()
        self._timers, self._running = Timers(), {}
        return self

    def start(self) -> Effects:
        return ()

    def message(self, sender: str, payload: Payload) -> Effects:
        self._record(Link(sender, "proxy"), "message", payload, received=True)
        cause = payload.get("type") if isinstance(payload, Mapping) else type(payload).__name__
        return self._compare(f"{sender}: {cause}", self.real.message(sender, payload), self.model.message(sender, payload))

    def closed(self, sender: str, code: int | None) -> Effects:
        self._record(Link(sender, "proxy"), "close", {"code": code}, received=True)
        return self._compare(f"{sender} closes", self.real.closed(sender, code), self.model.closed(sender, code))

    def timer(self, name: str) -> Effects:
        """Handle the end of a timer of the model and return the proxy's effects.

        The proxy's own timer runs in real time.
        """
        self._check_timers([name])
        running = self._running.pop(name)
        expected = self.model.timer(name)
        left_s = running.span_ms / 1e3 - (self._real_s() - running.real_s)
        if _sends(expected):
            found = self.real.await_message(left_s + _PATIENCE_S)
        else:
            found = self.real.await_message(left_s + _AHEAD_S) if running.span_ms < _SHORT_MS else ()
        return self._compare(f"timer {name}", found, expected)

    def silence(self, span_ms: int) -> None:
        """Send nothing for `span_ms` of real time and compare the proxy's messages. The span ends at `now_ns()`."""
        expected = self._timers.until(self.now_ns(), self.model)
        begun = time.monotonic()
        found = self.real.await_message(span_ms / 1e3 + (_PATIENCE_S if _sends(expected) else 0.0))
        passed_s = time.monotonic() - begun
        self._overrun_s += max(0.0, passed_s - span_ms / 1e3)
        # the recorded message has its real delay in whole milliseconds, so that a recording shows how long the proxy waited
        left_ns = ns(span_ms) - min(ns(span_ms), ns(int(passed_s * 1e3)))
        self._compare(f"{span_ms} ms of silence", found, expected, self.now_ns() - left_ns)

    def check_timers(self) -> None:
        """Set `late` if a timer that the model still runs after the exchange may already have ended in the proxy."""
        self._check_timers(tuple(self._running))

    def _real_s(self) -> float:
        return time.monotonic() - self._overrun_s

    def _check_timers(self, names: Iterable[str]) -> None:
        for name in names:
            if running := self._running.get(name):
                passed_s = (self.now_ns() - running.virtual_ns) / 1e9
                self.late |= self._real_s() - running.real_s > passed_s + _AHEAD_S

    def recording(self, provenance: Mapping[str, Any]) -> Recording:
        """Return the events at the proxy: inputs with the receive time, the proxy's messages with the send time."""
        return Recording(tuple(self.events), dict(provenance), "virtual", WIRES, complete=True)

    def _compare(self, cause: str, found: Effects, expected: Effects, at_ns: int | None = None) -> Effects:
        self.differences += differences(self._step, cause, self._model_signatures.of(expected), self._real_signatures.of(found))
        self._step += 1
        # the messages are the proxy's; the timers are the model's, because the model's timers run in virtual time
        effects = [*found, *(effect for effect in expected if isinstance(effect, (SetTimer, Cancel)))]
        self._sent_ns = self.now_ns() if at_ns is None else at_ns
        self._timers.note(self.now_ns(), effects)
        self.apply("proxy", effects)
        return effects

    def send(self, actor: str, to: str, payload: Payload) -> None:
        self._record(Link(actor, to), "message", payload, received=False)
        self.messages += 1

    def close(self, actor: str, to: str, code: int | None) -> None:
        self.ended |= code == ABNORMAL
        self._record(Link(actor, to), "close", {"code": code}, received=False)

    def set_timer(self, actor: str, timer: SetTimer) -> None:
        self.cancel_timer(actor, timer.name)
        self._running[timer.name] = _Running(self._real_s(), self.now_ns(), PROXY_TIMES_MS[timer.after])

    def cancel_timer(self, actor: str, name: str) -> None:
        self._check_timers([name])
        self._running.pop(name, None)

    def _record(self, link: Link, kind: Literal["message", "close", "open"], payload: Payload, *, received: bool) -> None:
        sent_ns, received_ns = (None, self.now_ns()) if received else (self._sent_ns, None)
        self.events.append(Event(len(self.events), link, kind, sent_ns, received_ns, payload, "proxy"))


def _sends(effects: Effects) -> bool:
    return any(isinstance(effect, Send) for effect in effects)
