"""Derives the origin of each `response.create` of a proxy from the events at the proxy, in order.

Explorations and the readers of recordings share this module, so both name a request alike. The origin depends on the proxy's
last input and on the last message that the proxy sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from voicerace.model.catalog.releases import A, I, R, T
from voicerace.model.protocol import agent, input_audio, realtime
from voicerace.trace.recording import Payload

__all__ = ["EVENTS", "Attribution", "CreateOrigin"]

#: Letter in the release table of each type of upstream event that can release a request.
EVENTS: Final = {realtime.TEXT_DONE: T, realtime.RESPONSE_DONE: R, realtime.AUDIO_DONE: A}
_ITEMS: Final = (realtime.ITEM_ADDED, realtime.ITEM_DONE, realtime.ITEM_CREATED)


class CreateOrigin(NamedTuple):
    """Origin of a request.

    Attributes:
        writer: cause of the request: a result, a repeated result, the default error, user text, or user audio.
        by: input that the proxy handled when it sent the request: ``result``, a letter of `EVENTS`, ``item``, or a timer's
            name.
    """

    writer: str
    by: str


@dataclass
class Attribution:
    """Attributes the requests of the proxy.

    Attributes:
        reasons: inputs that the proxy is handling, in order. A recording can contain several inputs at the same time.
        sent: kind of the last message that the proxy sent upstream while handling these inputs.
        results: number of the app's own results by call id.
        waiting: kinds of the results that have no request yet.
        texts: number of user texts that have no request yet.
        passed: letter of the last release event in this turn.
        missed: value of `passed` when the newest result came. A proxy that waits for another such event can wait forever.
        result: kind of the newest result.
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
        """Record that the proxy received a message. `together`: at the same time as the previous message."""
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

    def timer_ended(self, timer: str) -> None:
        """Record the end of a timer of the proxy, or the close of a connection."""
        self.reasons, self.sent = (timer,), ""

    def sends(self, payload: Payload, releasing: frozenset[str]) -> CreateOrigin | None:
        """Record a message to the upstream and return its origin if it is a request.

        `releasing`: release events of the proxy for requests after a result (`create_on`).
        """
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
        """Start a new turn: clear calls and events, and keep waiting requests."""
        self.results = {}
        self.passed = self.missed = ""
