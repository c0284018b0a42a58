"""The loop with which all engines carry out the effects of actors."""

from __future__ import annotations

from collections.abc import Iterable

from voicerace.model.actors.actor import Cancel, Close, Effect, Open, Send, SetTimer
from voicerace.trace.recording import Payload

__all__ = ["Interpreter"]


class Interpreter:
    """Base class of the engines. `apply` calls one method per effect. By default these methods do nothing."""

    def apply(self, actor: str, effects: Iterable[Effect]) -> None:
        """Carry out the effects that the actor named `actor` returned, in order."""
        for effect in effects:
            if isinstance(effect, Send):
                self.send(actor, effect.to, effect.payload)
            elif isinstance(effect, SetTimer):
                self.set_timer(actor, effect)
            elif isinstance(effect, Cancel):
                self.cancel_timer(actor, effect.name)
            elif isinstance(effect, Close):
                self.close(actor, effect.to, effect.code)
            elif isinstance(effect, Open):
                self.open(actor, effect.to)

    def send(self, actor: str, to: str, payload: Payload) -> None:
        """Send a message to the neighbour `to`."""

    def set_timer(self, actor: str, timer: SetTimer) -> None:
        """Start a timer. Replace the actor's pending timer of the same name, if there is one."""

    def cancel_timer(self, actor: str, name: str) -> None:
        """Stop a timer if it runs."""

    def close(self, actor: str, to: str, code: int | None) -> None:
        """Close the connection to the neighbour `to`."""

    def open(self, actor: str, to: str) -> None:
        """Reopen the connection to the neighbour `to`."""
