"""The timers of a proxy's model, on a clock that somebody else tells."""

from __future__ import annotations

from voicerace.model.actors.actor import Cancel, Effect, Effects, SetTimer
from voicerace.model.actors.proxy import Proxy
from voicerace.model.catalog.profiles import PROXY_TIMES_MS
from voicerace.units import ns

__all__ = ["Timers"]


class Timers:
    """Which of a model's timers run, and when each is due; what the model sends then is taken down by the caller."""

    def __init__(self) -> None:
        self._due_ns: dict[str, int] = {}

    def note(self, now_ns: int, effects: Effects) -> None:
        """The model set and cancelled timers."""
        for effect in effects:
            if isinstance(effect, SetTimer):
                self._due_ns[effect.name] = now_ns + ns(PROXY_TIMES_MS[effect.after])
            elif isinstance(effect, Cancel):
                self._due_ns.pop(effect.name, None)

    def until(self, now_ns: int, model: Proxy) -> Effects:
        """Let run out what is due by now, in order; gives all that the model does then."""
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
