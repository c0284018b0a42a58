"""Derives the origin of each `response.create` of a proxy from the events at the proxy, in order.

Explorations and the readers of recordings share this module, so both name a request alike. The origin depends on the proxy's
last input and on the last message that the proxy sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from voicerace.model.catalog.clients import ClientRelease, Release
from voicerace.model.catalog.releases import A, I, ProxyRelease, R, T
from voicerace.model.protocol import agent, input_audio, realtime
from voicerace.trace.recording import Payload

__all__ = ["EVENTS", "Attribution", "ClientAttribution", "CreateOrigin", "attribution_for"]

#: Letter in the release table of each type of upstream event that can release a request.
EVENTS: Final = {realtime.TEXT_DONE: T, realtime.RESPONSE_DONE: R, realtime.AUDIO_DONE: A}
#: Inputs at which the reference gate can send a request that waited, and those of them that free the slot.
_GATED: Final = frozenset({R, I, "item", "refusal", "gate", "other"})
_FREED: Final = frozenset({R, "refusal", "gate"})
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
        reason: the input that the proxy is handling.
        sent: the last message sent upstream while handling it.
        results: call id -> number of the app's own results.
        waiting: kinds of the results without a request yet.
        texts: number of user texts without a request yet.
        passed: letter of the last release event in this turn.
        missed: value of `passed` when the newest result came. A proxy that waits for another such event can wait forever.
        result: kind of the newest result.
        asked: writer of the last request, which the reference gate repeats after a refusal.
        refused: whether that request was refused.
    """

    reason: str = ""
    sent: str = ""
    results: dict[str, int] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    texts: int = 0
    passed: str = ""
    missed: str = ""
    result: str = ""
    asked: str = ""
    refused: bool = False

    def handles(self, sender: str, payload: Payload) -> None:
        """Record that the proxy received a message."""
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
        elif isinstance(payload, dict) and realtime.is_refusal(payload):
            reason, self.refused = "refusal", True
        self.reason, self.sent = reason, ""

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
        self.reason, self.sent = timer, ""

    def explains(self, release: ProxyRelease) -> bool:
        """Return whether the input that the proxy is handling, or the message sent before, can be the cause of a request."""
        return (
            (self.sent == "function_call_output" and "result" in release.create_on)
            or self.sent == "commit"
            or bool(self.waiting and self.reason in (release.create_on if release.gate is None else _FREED))
            or bool(self.texts and self.reason in (I, "item"))
        )

    def sends(self, payload: Payload, release: ProxyRelease) -> CreateOrigin | None:
        """Record a message to the upstream and return its origin if it is a request of a proxy of this release."""
        kind = payload.get("type") if isinstance(payload, dict) else None
        if kind != realtime.RESPONSE_CREATE:
            output = kind == realtime.ITEM_CREATE and isinstance(payload, dict)
            item = realtime.item_of(payload) if output and isinstance(payload, dict) else {}
            self.sent = str(item.get("type")) if output else "commit" if kind == input_audio.COMMIT else "other"
            return None
        before, self.sent = self.sent, "create"
        origin = self._origin(before, release)
        self.asked, self.refused = origin.writer, False
        return origin

    def _origin(self, before: str, release: ProxyRelease) -> CreateOrigin:
        if before == "function_call_output" and "result" in release.create_on:
            self.waiting = ()
            return CreateOrigin(self.result, "result")
        if before == "commit":
            return CreateOrigin("user audio", "audio_quiet")
        if self.waiting and self.reason in _releasing(release) and not (before == "create" and self.reason == I):
            writer, self.waiting = "+".join(sorted(set(self.waiting))), ()
            return CreateOrigin(writer, self.reason)
        if self.refused and release.gate is not None and self.asked:
            return CreateOrigin(self.asked, self.reason)
        self.texts = 0
        return CreateOrigin("user text", self.reason if self.reason == I else "item")

    def key(self, release: ProxyRelease) -> tuple[object, ...]:
        """Return the part that the origins of later requests, or of missing ones, depend on."""
        # A release that can delay the request after a result: the event before the result matters.
        passed = self.passed if release.defers else ""
        missing = (self.waiting, self.missed, self.result) if self.waiting else ()
        repeated = (self.asked, self.refused) if release.gate is not None else ""
        return self.texts > 0, passed, missing, repeated

    def next_turn(self) -> None:
        """Start a new turn: clear calls and events, and keep waiting requests."""
        self.results = {}
        self.passed = self.missed = ""


@dataclass
class ClientAttribution(Attribution):
    """Attributes the requests of a client without a proxy, which sends results and texts itself.

    A request is sent at the ``result`` or ``text`` if the API has neither ended a response nor refused a request since then.
    """

    def handles(self, sender: str, payload: Payload) -> None:
        if isinstance(payload, dict) and payload.get("type") == realtime.RESPONSE_DONE:
            self.reason = self.passed = R
        elif isinstance(payload, dict) and realtime.is_refusal(payload):
            self.reason = "refusal"

    def timer_ended(self, timer: str) -> None:
        """The end of a tool shows in the result that the client sends."""

    def sends(self, payload: Payload, release: Release) -> CreateOrigin | None:
        """Record a message to the API and return its origin if it is a request."""
        kind = payload.get("type") if isinstance(payload, dict) else None
        if isinstance(payload, dict) and kind == realtime.ITEM_CREATE:
            item = realtime.item_of(payload)
            self.sent = str(item.get("type"))
            if self.sent == "function_call_output":
                self.reason = "result"
                self._result(str(item.get("call_id")), default=False)
            elif item.get("role") == "user":
                self.reason = "text"
                self.texts += 1
        if kind != realtime.RESPONSE_CREATE:
            return None
        writers = {*self.waiting, *(["user text"] if self.texts else [])} or {self.asked}
        self.asked, self.waiting, self.texts = "+".join(sorted(writers)), (), 0
        return CreateOrigin(self.asked, self.reason)

    def key(self, release: Release) -> tuple[object, ...]:
        return self.texts > 0, self.waiting, self.reason, self.asked, self.result, self.missed


def attribution_for(release: Release) -> Attribution:
    """Return a new attribution for a session of a proxy or a client."""
    return ClientAttribution() if isinstance(release, ClientRelease) else Attribution()


def _releasing(release: ProxyRelease) -> frozenset[str]:
    """Return the inputs at which a proxy sends the request for a result that waits."""
    return release.create_on | (_GATED if release.gate is not None else {"recovery"})
