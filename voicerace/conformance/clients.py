"""Compares the models of clients with recordings of the running clients, message by message.

The model gets at the recorded times what the running client got: the API's events, the user's texts, and the ends of its tools.
A user text, and the result of a client that sends each result at once, count as arrived when the client sent the item, because
a recording does not show when they arrived inside of the client. Compared are kind, order and time of all items and requests,
and the call of each result, until the user leaves. session.update and conversation.item.retrieve are not compared: they change
nothing in these sessions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count, zip_longest
from typing import Any, Final

from voicerace.captures.timers import TimerTable
from voicerace.model.actors.actor import Cancel, Effects, Send, SetTimer
from voicerace.model.actors.client import Client
from voicerace.model.catalog.clients import CLIENTS, PREFIX, ClientRelease
from voicerace.model.catalog.profiles import CLIENT_TIMES_MS
from voicerace.model.parameters import Times
from voicerace.model.protocol import realtime
from voicerace.trace.recording import PROXY_TO_UPSTREAM, UPSTREAM_TO_PROXY, USER_TO_APP, Recording
from voicerace.units import ns

__all__ = ["ComparedClient", "compare_client"]

_COMPARED: Final = (realtime.ITEM_CREATE, realtime.RESPONSE_CREATE, realtime.RESPONSE_CANCEL)
#: Maximum times in ns by which the client can send a message before the model, and after it. The client needs processor time.
_BEFORE_NS, _AFTER_NS = ns(20), ns(200)
#: Maximum time in ns by which a result can precede the end of its tool's time: the precision of a timer in Node.js.
_EARLY_NS: Final = ns(2)


@dataclass(frozen=True)
class ComparedClient:
    """Result of the comparison of one session.

    Attributes:
        client: name of the client.
        case: name of the session.
        messages: number of compared messages of the running client.
        differences: descriptions of the differences, up to the first message that differs or comes at another time.
        lag_ms: longest time by which the running client sent a message later than the model.
    """

    client: str
    case: str
    messages: int
    differences: tuple[str, ...]
    lag_ms: float


def compare_client(recording: Recording, release: ClientRelease | None = None) -> ComparedClient | None:
    """Compare a recording of `voicerace check --client` with a model.

    Args:
        recording: the recording.
        release: row of the model; by default that of the client in the provenance.

    Returns:
        The result, or None for a session that loses its connection.
    """
    provenance = recording.provenance
    name = str(provenance.get("checked_client"))
    if any(event.kind == "fault" or event.type == "lose" for event in recording.events):
        return None
    compared = _Compared(recording, release or CLIENTS[PREFIX + name])
    expected, found = compared.play(), [(_key(each.payload), each.sent_ns or 0) for each in compared.sent]
    problems = list(compared.problems)
    lags = [0]
    for number, (model, real) in enumerate(zip_longest(expected, found)):
        if model is None or real is None or model[0] != real[0]:
            texts = (each[0] if each else "nothing" for each in (model, real))
            problems.append("message {}: the model sends {}, the client sent {}".format(number, *texts))
            break
        lags.append(real[1] - model[1])
        if not -_BEFORE_NS <= lags[-1] <= _AFTER_NS:
            off = f"{abs(lags[-1]) / 1e6:.0f} ms {'before' if lags[-1] < 0 else 'after'} the model"
            problems.append(f"message {number}: the client sent {real[0]} {off}")
            break
    return ComparedClient(name, str(provenance.get("case", "")), len(found), tuple(problems), max(lags) / 1e6)


def _key(payload: Any) -> str:
    """Return the part of a message that is compared."""
    item = realtime.item_of(payload) if payload["type"] == realtime.ITEM_CREATE else {}
    return " ".join(str(each) for each in (payload["type"], item.get("type"), item.get("role"), item.get("call_id")) if each)


class _Compared:
    """The model with the inputs of a recorded session.

    Attributes:
        sent: compared messages of the running client.
        problems: results that the client sent before their tool had ended.
    """

    def __init__(self, recording: Recording, release: ClientRelease) -> None:
        self.release = release
        self.client = Client(release)
        self.problems: list[str] = []
        left = next((e.seq for e in recording.events if e.link == USER_TO_APP and e.type == "leave"), len(recording.events))
        own = [e for e in recording.events if e.link == PROXY_TO_UPSTREAM and e.kind == "message" and e.seq < left]
        self.sent = [event for event in own if event.type in _COMPARED]
        self._times = Times.of(dict(recording.provenance["times"]))
        self._seed = int(recording.provenance["seed"])
        self._timers = TimerTable()
        self._inputs = sorted(self._all_inputs(recording), key=lambda each: each[:2])
        self._expected: list[tuple[str, int]] = []
        #: Ids and metadata of the running client -> those of the model, for items and requests.
        self._ids: dict[str, str] = {}
        self._unpaired: dict[str, list[Mapping[str, Any]]] = {
            kind: [e.payload for e in self.sent if e.type == kind and isinstance(e.payload, Mapping)] for kind in _COMPARED
        }

    def _all_inputs(self, recording: Recording) -> Iterator[tuple[int, int, str, Mapping[str, Any]]]:
        """Yield (time in ns, number, sender, message) of each input."""
        numbers = count()
        texts = iter([e for e in self.sent if _key(e.payload).endswith("message user")])
        for event in recording.events:
            if event.kind != "message" or not isinstance(event.payload, Mapping):
                continue
            if event.link == UPSTREAM_TO_PROXY and event.received_ns is not None:
                yield event.received_ns, next(numbers), "upstream", event.payload
            elif event.link == USER_TO_APP:
                item = next(texts, None) if self.release.text == "sent" and event.type == "say" else None
                yield (item or event).sent_ns or 0, next(numbers), "user", event.payload

    def play(self) -> list[tuple[str, int]]:
        """Return (key, time in ns) of each message that the model sends."""
        self._note(0, self.client.start())
        for at, _, sender, payload in self._inputs:
            self._end_timers(at)
            self._note(at, self.client.message(sender, self._translated(payload) if sender == "upstream" else payload))
        self._end_timers(None)
        return self._expected

    def _end_timers(self, until: int | None) -> None:
        while (ended := self._timers.pop(until)) is not None:
            self._note(ended[0], self.client.timer(ended[2]))

    def _note(self, now: int, effects: Effects) -> None:
        for effect in effects:
            if isinstance(effect, Cancel):
                self._timers.cancel("proxy", effect.name)
            elif isinstance(effect, SetTimer):
                self._timers.set("proxy", effect.name, self._due(now, effect))
            elif isinstance(effect, Send) and isinstance(effect.payload, Mapping) and effect.payload["type"] in _COMPARED:
                self._expected.append((_key(effect.payload), now))
                self._pair(effect.payload)

    def _due(self, now: int, timer: SetTimer) -> int:
        """Return the end of a timer: for a tool whose result is always sent, when the client sent the result."""
        if timer.after != "tool_ms":
            return now + ns(CLIENT_TIMES_MS[timer.after])
        due = now + self._times.ns("tool_ms", timer.index, self._seed)
        call = timer.name.split(":")[1]
        result = next((e for e in self.sent if _key(e.payload).endswith(f"function_call_output {call}")), None)
        if result is None or result.sent_ns is None:
            return due
        if result.sent_ns < due - _EARLY_NS:
            self.problems.append(f"the result of {call} was sent {(due - result.sent_ns) / 1e6:.1f} ms before its tool's end")
        return result.sent_ns if self.release.results == "each" and self.release.at_speech == "nothing" else due

    # -- ids ---------------------------------------------------------------------------------------------------------

    def _pair(self, own: Mapping[str, Any]) -> None:
        """Pair the ids of a message of the model with those of the client's message of this type at the same position."""
        waiting = self._unpaired[str(own["type"])]
        if waiting:
            real = waiting.pop(0)
            for mine, theirs in ((own.get("event_id"), real.get("event_id")), (_id(own), _id(real)), (_tag(own), _tag(real))):
                if mine and theirs:
                    self._ids[theirs] = mine

    def _translated(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an event of the API with the model's ids in place of the running client's."""
        if payload.get("type") == realtime.ERROR:
            error = realtime.error_of(payload)
            return {**payload, "error": {**error, "event_id": self._ids.get(str(error.get("event_id")))}}
        if (item := realtime.item_of(payload)) and str(item.get("id")) in self._ids:
            return {**payload, "item": {**item, "id": self._ids[str(item["id"])]}}
        if (tag := _tag(payload)) is not None:
            response = realtime.response_of(payload)
            return {**payload, "response": {**response, "metadata": {"request": self._ids.get(tag)}}}
        return payload


def _id(payload: Mapping[str, Any]) -> str | None:
    return realtime.item_of(payload).get("id")


def _tag(payload: Mapping[str, Any]) -> str | None:
    """Return a text for the metadata of a request or response."""
    response = payload.get("response")
    metadata = response.get("metadata") if isinstance(response, Mapping) else None
    return metadata.get("request") or repr(sorted(metadata.items())) if isinstance(metadata, Mapping) and metadata else None
