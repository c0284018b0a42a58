"""The origin of a `response.create`, and what made the proxy send it, from the events at the proxy in their order.

An exploration and a reader of recordings use the same attribution, so that both name a create alike. Nothing in here
says when a proxy sends a create: it sees one go, and names it by what came in, and what had gone out, right before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from voicerace.model.catalog.releases import A, I, R, T
from voicerace.model.protocol import agent, input_audio, realtime
from voicerace.trace.recording import Payload

__all__ = ["EVENTS", "Attribution", "CreateOrigin"]

#: Events of the upstream that a release's gate may wait for: type -> letter of the release table.
EVENTS: Final = {realtime.TEXT_DONE: T, realtime.RESPONSE_DONE: R, realtime.AUDIO_DONE: A}
_ITEMS: Final = (realtime.ITEM_ADDED, realtime.ITEM_DONE, realtime.ITEM_CREATED)


class CreateOrigin(NamedTuple):
    """One create: who wanted it (a result, a repeated result, the default error, user text, user audio), and what the
    proxy was handling when it went: ``result`` at once, a letter, ``item``, or a timer's name."""

    writer: str
    by: str


@dataclass
class Attribution:
    """Attributes the creates of the proxy.

    Attributes:
        reasons: what the proxy is handling, in order (several only where a recording cannot tell them apart).
        sent: what it has sent upstream in this handling.
        results: call id -> results of the app's own that came.
        waiting: results that no create was sent for yet, by what they are.
        texts: user texts that no create was sent for yet.
        passed: the gate's event that came last, in this turn.
        missed: that event when the newest result came: a proxy that waits for one more may wait for ever.
        result: what the newest result is.
    """

    reasons: tuple[str, ...] = ()
    sent: str = ""
    results: dict[str, int] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    texts: int = 0
    passed: str = ""
    missed: str = ""
    result: str = ""

    def handles(self, sender: str, payload: Payload, *, together: bool = False) -> None:
        """A message came in; `together` with the one before, in the same instant."""
        reason = "other"
        kind = payload.get("type") if isinstance(payload, dict) else None
        if sender == "component":
            if kind == "FunctionCallResponse" and isinstance(payload, dict):
                reason = "result"
                self._result(str(payload.get("id")), default=agent.is_default_error(payload.get("content")))
            elif kind == "InjectUserMessage":
                self.texts += 1
            elif kind is None:
                reason = "audio"
        elif kind in EVENTS:
            reason = self.passed = EVENTS[str(kind)]
        elif kind in _ITEMS and isinstance(payload, dict):
            output = realtime.item_of(payload).get("type") == "function_call_output"
            reason = I if kind == realtime.ITEM_DONE and output else "item"
        self.reasons = (*self.reasons, reason) if together else (reason,)
        if not together:
            self.sent = ""

    def _result(self, call_id: str, *, default: bool) -> None:
        if default:
            self.result = "default error"
        else:
            self.result = "repeated result" if self.results.get(call_id) else "result"
            self.results[call_id] = self.results.get(call_id, 0) + 1
        self.waiting = (*self.waiting, self.result)
        self.missed = self.passed

    def rings(self, timer: str) -> None:
        """A timer of the proxy."""
        self.reasons, self.sent = (timer,), ""

    def sends(self, payload: Payload, releasing: frozenset[str]) -> CreateOrigin | None:
        """A message to the upstream; returns the origin of a create. `releasing`: the events that release a create after a
        result (`create_on`)."""
        kind = payload.get("type") if isinstance(payload, dict) else None
        if kind != realtime.RESPONSE_CREATE:
            output = kind == realtime.ITEM_CREATE and isinstance(payload, dict)
            item = realtime.item_of(payload) if output and isinstance(payload, dict) else {}
            self.sent = str(item.get("type")) if output else "commit" if kind == input_audio.COMMIT else "other"
            return None
        before, self.sent = self.sent, "create"
        if before == "function_call_output" and "result" in releasing:
            self.waiting = ()
            return CreateOrigin(self.result, "result")
        if before == "commit":
            return CreateOrigin("user audio", "audio_quiet")
        released = next((each for each in self.reasons if each in releasing or each == "recovery"), None)
        if self.waiting and released is not None and not (before == "create" and released == I):
            writer, self.waiting = "+".join(sorted(set(self.waiting))), ()
            return CreateOrigin(writer, released)
        self.texts = 0
        return CreateOrigin("user text", next((each for each in self.reasons if each in (I, "item")), "item"))

    def next_turn(self) -> None:
        """A turn is over: forget its calls and events, but not the creates that still wait."""
        self.results = {}
        self.passed = self.missed = ""
