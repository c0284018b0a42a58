"""Drive one actor with a clock and its timers, and record the messages that it sends.

Limitations: there are no links, so every message arrives at once, and there is no other actor.
"""

from __future__ import annotations

from typing import Any

from voicerace.captures.timers import TimerTable
from voicerace.model.actors.actor import Actor, SetTimer
from voicerace.model.actors.effects import Interpreter
from voicerace.model.actors.upstream import Knobs, Upstream
from voicerace.model.parameters import Times
from voicerace.model.protocol import realtime
from voicerace.trace.recording import Payload
from voicerace.units import ms, ns

__all__ = ["Bench", "mock"]


class Bench(Interpreter):
    """One started actor, with a clock and a record of its messages.

    Attributes:
        sent: (ms, message) of each sent message, in order.
        now_ns: current time of the bench in ns.
    """

    def __init__(self, actor: Actor, neighbour: str, **times_ms: object) -> None:
        self.actor = actor
        self.neighbour = neighbour
        self.times = Times.of(times_ms)
        self.sent: list[tuple[float, Payload]] = []
        self.now_ns = 0
        self._timers = TimerTable()
        self.apply("actor", actor.start())

    def tell(self, *messages: Payload) -> Bench:
        """Deliver messages of the neighbour at the current time, in order."""
        for message in messages:
            self.apply("actor", self.actor.message(self.neighbour, message))
        return self

    def wait(self, milliseconds: float) -> Bench:
        """Advance the clock by `milliseconds` and fire the timers that are due, including those at the end."""
        until = self.now_ns + ns(milliseconds)
        while self._ring(until):
            pass
        self.now_ns = until
        return self

    def settle(self) -> Bench:
        """Advance the clock until no timer is left."""
        while self._ring():
            pass
        return self

    def until(self, kind: str) -> Bench:
        """Advance the clock until a further message of type `kind` is sent."""
        before = self.types().count(kind)
        while self.types().count(kind) == before:
            assert self._ring(), f"nothing more happens, and no {kind} came"
        return self

    def messages(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the sent messages, or only those of type `kind`."""
        return [each for _, each in self.sent if isinstance(each, dict) and kind in (None, each["type"])]

    def types(self) -> list[str]:
        return [each["type"] for each in self.messages()]

    def when(self, kind: str) -> list[float]:
        """Return the times in ms at which messages of a type were sent."""
        return [at for at, each in self.sent if isinstance(each, dict) and each["type"] == kind]

    def codes(self) -> list[str | None]:
        return [realtime.error_of(each).get("code") for each in self.messages("error")]

    def _ring(self, until: int | None = None) -> bool:
        """Fire the next timer. Return False if no timer is due by `until` (in ns)."""
        if (ended := self._timers.pop(until)) is None:
            return False
        self.now_ns, actor, name = ended
        self.apply(actor, self.actor.timer(name))
        return True

    def send(self, actor: str, to: str, payload: Payload) -> None:
        self.sent.append((ms(self.now_ns), payload))

    def set_timer(self, actor: str, timer: SetTimer) -> None:
        self._timers.set(actor, timer.name, self.now_ns + self.times.ns(timer.after, timer.index, 0))

    def cancel_timer(self, actor: str, name: str) -> None:
        self._timers.cancel(actor, name)


def mock(
    *plan: tuple[str, ...], calls: int = 1, modality: str | None = "text", preamble: bool = False, knobs: Knobs | None = None,
    provider: str = "openai", **times_ms: object,
) -> Bench:  # fmt: skip
    """Return the mock upstream on a bench.

    Without a plan, the mock answers the first input with calls and later inputs with replies.
    """
    actor = Upstream(
        plan or (("calls", "reply"), ("reply",)),  # type: ignore[arg-type]
        calls=calls,
        modality=modality,  # type: ignore[arg-type]
        preamble=preamble,
        knobs=knobs,
        item_done_early="item_done_ms" in times_ms,
        slot_lags="slot_lag_ms" in times_ms,
        limits_lag="rate_limits_ms" in times_ms,
        idles="idle_timeout_ms" in times_ms,
        provider=provider,
    )
    bench = Bench(actor, "proxy", **times_ms)
    # A session.update would set the tools. A model without tools makes no calls.
    actor.state.session["tools"] = [{"type": "function", "name": "get_weather"}]
    return bench
