"""A bench for one party: a clock, its timers, and all it sends.

What it cannot show: links (what the party sends has arrived at once, what it is told takes no time) and any other
party. Two timers of one moment ring in the order they were set.
"""

from __future__ import annotations

from typing import Any

from voicerace.model.actors.actor import Actor, Cancel, Effects, Send, SetTimer
from voicerace.model.actors.upstream import Knobs, Upstream
from voicerace.model.parameters import Times
from voicerace.model.protocol import realtime
from voicerace.trace.recording import Payload
from voicerace.units import ms, ns

__all__ = ["Bench", "mock"]


class Bench:
    """One started party.

    Attributes:
        sent: (ms, message) of all it sent, in order.
        now_ns: the bench's clock.
    """

    def __init__(self, party: Actor, neighbour: str, **times_ms: object) -> None:
        self.party = party
        self.neighbour = neighbour
        self.times = Times.of(times_ms)
        self.sent: list[tuple[float, Payload]] = []
        self.now_ns = 0
        self._timers: dict[str, tuple[int, int]] = {}
        self._set = 0
        self._do(party.start())

    def tell(self, *messages: Payload) -> Bench:
        """The neighbour's messages arrive now, one behind the other."""
        for message in messages:
            self._do(self.party.message(self.neighbour, message))
        return self

    def wait(self, milliseconds: float) -> Bench:
        """Let time pass; timers at its very end ring too."""
        until = self.now_ns + ns(milliseconds)
        while self._timers and min(self._timers.values())[0] <= until:
            self._ring()
        self.now_ns = until
        return self

    def settle(self) -> Bench:
        """Let time pass until no timer is left."""
        while self._timers:
            self._ring()
        return self

    def until(self, kind: str) -> Bench:
        """Let time pass until a message of this type was sent once more than so far."""
        before = self.types().count(kind)
        while self.types().count(kind) == before:
            assert self._timers, f"nothing more happens, and no {kind} came"
            self._ring()
        return self

    def messages(self, kind: str | None = None) -> list[dict[str, Any]]:
        """What was sent, of one type if `kind` is given."""
        return [each for _, each in self.sent if isinstance(each, dict) and kind in (None, each["type"])]

    def types(self) -> list[str]:
        return [each["type"] for each in self.messages()]

    def when(self, kind: str) -> list[float]:
        """The times in ms at which messages of a type were sent."""
        return [at for at, each in self.sent if isinstance(each, dict) and each["type"] == kind]

    def codes(self) -> list[str | None]:
        """The codes of the errors sent."""
        return [realtime.error_of(each).get("code") for each in self.messages("error")]

    def _ring(self) -> None:
        (self.now_ns, _), name = min((at, name) for name, at in self._timers.items())
        del self._timers[name]
        self._do(self.party.timer(name))

    def _do(self, effects: Effects) -> None:
        for effect in effects:
            match effect:
                case Send():
                    self.sent.append((ms(self.now_ns), effect.payload))
                case SetTimer():
                    self._set += 1
                    self._timers[effect.name] = (self.now_ns + self.times.ns(effect.after, effect.index, 0), self._set)
                case Cancel():
                    self._timers.pop(effect.name, None)


def mock(
    *plan: tuple[str, ...], calls: int = 1, modality: str | None = "text", preamble: bool = False, knobs: Knobs | None = None,
    provider: str = "openai", **times_ms: object,
) -> Bench:  # fmt: skip
    """The mock upstream on a bench; without a plan its first input is answered by calls, then by replies."""
    party = Upstream(
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
    bench = Bench(party, "proxy", **times_ms)
    # As if session.update had brought it: a model without tools calls none.
    party.state.session["tools"] = [{"type": "function", "name": "get_weather"}]
    return bench
