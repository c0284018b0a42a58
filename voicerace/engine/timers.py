"""The timers of a proxy's model in a recording: they run on the recording's clock."""

from __future__ import annotations

from voicerace.model.actors.actor import Effect, Effects, SetTimer
from voicerace.model.actors.effects import Interpreter
from voicerace.model.actors.proxy import Proxy
from voicerace.model.catalog.profiles import PROXY_TIMES_MS
from voicerace.units import ns

__all__ = ["Timers"]


class Timers(Interpreter):
    """The running timers of one proxy model, and when each is due. What the model sends is left to the caller."""

    def __init__(self) -> None:
        self._now_ns = 0
        self._due_ns: dict[str, int] = {}

    def note(self, now_ns: int, effects: Effects) -> None:
        """Start and stop the timers that the model set and cancelled at `now_ns`."""
        self._now_ns = now_ns
        self.apply("proxy", effects)

    def set_timer(self, actor: str, timer: SetTimer) -> None:
        self._due_ns[timer.name] = self._now_ns + ns(PROXY_TIMES_MS[timer.after])

    def cancel_timer(self, actor: str, name: str) -> None:
        self._due_ns.pop(name, None)

    def until(self, now_ns: int, model: Proxy) -> Effects:
        """End the timers that are due by `now_ns`, in order, and return all effects of the model."""
        done: list[Effect] = []
        while self._due_ns:
            due_ns, name = min((due_ns, name) for name, due_ns in self._due_ns.items())
            if due_ns > now_ns:
                break
            del self._due_ns[name]
            effects = model.timer(name)
            self.note(due_ns, effects)
            done += effects
        return done
