"""Run timers on the clock of a recording or a script."""

from __future__ import annotations

from voicerace.model.actors.actor import Effect, Effects, SetTimer
from voicerace.model.actors.effects import Interpreter
from voicerace.model.actors.proxy import Proxy
from voicerace.model.catalog.profiles import PROXY_TIMES_MS
from voicerace.units import ns

__all__ = ["TimerTable", "Timers"]


class TimerTable:
    """The running timers, identified by actor and name, with due times in any unit."""

    def __init__(self) -> None:
        self._due: dict[tuple[str, str], tuple[int, int]] = {}
        self._count = 0

    def set(self, actor: str, name: str, due: int) -> None:
        """Start a timer. It replaces a running timer with the same actor and name."""
        self._count += 1
        self._due[actor, name] = (due, self._count)

    def cancel(self, actor: str, name: str) -> None:
        """Stop a timer if it is running."""
        self._due.pop((actor, name), None)

    def pop(self, until: int | None = None) -> tuple[int, str, str] | None:
        """Remove and return the timer with the earliest due time. Of timers with equal due times, return the first set.

        Args:
            until: latest due time to consider; None for no limit.

        Returns:
            (due, actor, name), or None if no timer is due.
        """
        if not self._due:
            return None
        (actor, name), (due, _) = min(self._due.items(), key=lambda timer: timer[1])
        if until is not None and due > until:
            return None
        del self._due[actor, name]
        return due, actor, name


class Timers(Interpreter):
    """The running timers of one proxy model during a replay. The caller handles the messages that the model sends."""

    def __init__(self) -> None:
        self._now_ns = 0
        self._table = TimerTable()

    def note(self, now_ns: int, effects: Effects) -> None:
        """Start and stop timers for the effects that the model returned at `now_ns`."""
        self._now_ns = now_ns
        self.apply("proxy", effects)

    def set_timer(self, actor: str, timer: SetTimer) -> None:
        self._table.set(actor, timer.name, self._now_ns + ns(PROXY_TIMES_MS[timer.after]))

    def cancel_timer(self, actor: str, name: str) -> None:
        self._table.cancel(actor, name)

    def until(self, now_ns: int, model: Proxy) -> Effects:
        """Pass each timer due by `now_ns` to the model, in order, and return the model's effects."""
        done: list[Effect] = []
        while (ended := self._table.pop(now_ns)) is not None:
            due_ns, _, name = ended
            effects = model.timer(name)
            self.note(due_ns, effects)
            done += effects
        return done
