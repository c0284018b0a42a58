"""Plays a recorded session of the real API to the mock in virtual time, with the same client messages.

The player sends each client message after it has read the server message that precedes the client message in the recording.
The recording also supplies the items of the responses and the speech that server VAD detects.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any, Final, NamedTuple

from voicerace.model.actors.actor import Cancel, Effects, Send, SetTimer
from voicerace.model.actors.response_plan import OutputPlan, ResponsePlan
from voicerace.model.actors.upstream import Upstream
from voicerace.model.protocol import input_audio, realtime
from voicerace.model.protocol.realtime import Message
from voicerace.trace.recording import Recording

__all__ = ["PassedMessage", "RecordedModel", "passed", "plans_of", "play"]

#: Delay in ms of one direction between client and server.
_LINK_MS: Final = 30.0
#: Delay in ms between the last message that the client reads and its next message.
_THINK_MS: Final = 1.0
#: Times of the mock in ms, close to the recorded times (`captures.api_times`). Only their order affects the result.
_TIMES_MS: Final[Mapping[str, float]] = {
    "ack_ms": 5,
    "create_ms": 30,
    "first_item_ms": 300,
    "call_gap_ms": 10,
    "arguments_ms": 60,
    "reply_ms": 900,
    "preamble_ms": 200,
    "gap_ms": 4,
    "reply_gap_ms": 4,
    "item_done_ms": 1,
    "vad_ms": 200,
    "idle_timeout_ms": 5_000,
    "server_turn_ms": 0,
    "slot_lag_ms": 0,
    "rate_limits_ms": 30,
}
_LOUD: Final = input_audio.append(b"\x00\x20" * 240)
_SILENT: Final = input_audio.append(bytes(480))
#: Prefixes of the message types without a fixed position in the order. The player sends no client message in reaction to
#: these.
_UNORDERED: Final = ("rate_limits.updated", "conversation.item.input_audio_transcription.", "output_audio_buffer.")


class PassedMessage(NamedTuple):
    """A message that the client sent or read."""

    by: str
    message: Mapping[str, Any]


class _ClientMessage(NamedTuple):
    """A client message of the recording.

    Attributes:
        message: the message.
        after: (type of the preceding server message, number of messages of this type that the client had read).
    """

    message: Mapping[str, Any]
    after: tuple[str, int] | None


def passed(recording: Recording) -> list[PassedMessage]:
    """Return the recording's messages in the order in which the client sent or read them."""
    return [
        PassedMessage(event.link.sender, event.payload)
        for event in recording.events
        if event.kind == "message" and isinstance(event.payload, Mapping)
    ]


def plans_of(messages: Sequence[PassedMessage]) -> list[ResponsePlan]:
    """Return the items of each recorded response as a plan for the mock."""
    found: dict[str, list[OutputPlan]] = {}
    for each in messages:
        kind, message = each.message.get("type"), each.message
        if kind == realtime.RESPONSE_CREATED:
            found[str(realtime.response_of(message).get("id"))] = []
        elif kind == realtime.OUTPUT_ADDED:
            item = realtime.item_of(message)
            call = item.get("type") == "function_call"
            output = OutputPlan("call", "{}", str(item.get("name"))) if call else OutputPlan("message", "spoken or written")
            outputs = found.setdefault(str(message.get("response_id", list(found)[-1])), [])
            outputs.append(output)
    return [ResponsePlan(tuple(outputs)) for outputs in found.values()]


def _unfolded(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a session.update with turn_detection inside audio, where the client sent it.

    In a session that was copied as a table, turn_detection is beside audio.
    """
    session = message.get("session")
    if not isinstance(session, Mapping) or "turn_detection" not in session:
        return message
    own = {name: value for name, value in session.items() if name != "turn_detection"}
    return {**message, "session": {**own, "audio": {"input": {"turn_detection": session["turn_detection"]}}}}


def _client_messages(messages: Sequence[PassedMessage]) -> Iterator[_ClientMessage]:
    """Yield the client messages, with loud audio at each speech_started and silent audio at each speech_stopped."""
    read: Counter[str] = Counter()
    after: tuple[str, int] | None = None
    for by, message in messages:
        kind = str(message.get("type"))
        if by == "proxy":
            if kind != input_audio.APPEND:
                yield _ClientMessage(_unfolded(message), after)
            continue
        if kind == input_audio.SPEECH_STARTED:
            yield _ClientMessage(_LOUD, after)
        elif kind == input_audio.SPEECH_STOPPED:
            yield _ClientMessage(_SILENT, after)
        read[kind] += 1
        if not kind.startswith(_UNORDERED):
            after = (kind, read[kind])


class _Player:
    """Plays the client messages of one recording to a mock."""

    def __init__(self, upstream: Upstream, messages: Sequence[PassedMessage]) -> None:
        self.upstream = upstream
        self.due = list(_client_messages(messages))
        self.calls = _calls(messages)
        self.mock_calls: list[str] = []
        self.queue: list[tuple[float, int, Callable[[], None]]] = []
        self.numbers = count()
        self.timers: dict[str, int] = {}
        self.read: Counter[str] = Counter()
        self.passed: list[PassedMessage] = []
        self.now = 0.0
        self.limit = 3 * len(messages) + 50

    def at(self, delay_ms: float, action: Callable[[], None]) -> int:
        number = next(self.numbers)
        heapq.heappush(self.queue, (self.now + delay_ms, number, action))
        return number

    def run(self) -> list[PassedMessage]:
        self.carry_out(self.upstream.start())
        self.client()
        while len(self.passed) < self.limit:
            if not self.queue:
                if not self.due:
                    break
                self.send()
                continue
            self.now, _, action = heapq.heappop(self.queue)
            action()
        return self.passed

    def carry_out(self, effects: Effects) -> None:
        for effect in effects:
            match effect:
                case Send(payload=payload) if isinstance(payload, Mapping):
                    self.at(_LINK_MS, lambda payload=payload: self.receive(payload))  # type: ignore[misc]
                case SetTimer(name=name, after=after):
                    number = self.at(_TIMES_MS[after], lambda name=name: self.fire(name))  # type: ignore[misc]
                    self.timers[name] = number
                case Cancel(name=name):
                    gone = self.timers.pop(name, None)
                    self.queue = [each for each in self.queue if each[1] != gone]
                    heapq.heapify(self.queue)

    def fire(self, name: str) -> None:
        self.timers.pop(name, None)
        self.carry_out(self.upstream.timer(name))

    def receive(self, message: Mapping[str, Any]) -> None:
        self.passed.append(PassedMessage("upstream", message))
        self.read[str(message.get("type"))] += 1
        item = realtime.item_of(message)
        if message.get("type") == realtime.OUTPUT_ADDED and "call_id" in item:
            self.mock_calls.append(str(item["call_id"]))
        self.client()

    def client(self) -> None:
        """Send the client messages that were sent after the messages read so far."""
        while self.due and (self.due[0].after is None or self.read[self.due[0].after[0]] >= self.due[0].after[1]):
            self.send()

    def send(self) -> None:
        message = self.due.pop(0).message
        self.at(_THINK_MS, lambda: self.sent(message))

    def sent(self, message: Mapping[str, Any]) -> None:
        self.passed.append(PassedMessage("proxy", message))
        self.at(_LINK_MS, lambda: self.carry_out(self.upstream.message("proxy", self.with_mock_id(message))))

    def with_mock_id(self, message: Mapping[str, Any]) -> Message:
        """Return the message with the mock's call id in place of the recorded call id."""
        item = realtime.item_of(message)
        if (call := item.get("call_id")) in self.calls and self.calls.index(call) < len(self.mock_calls):
            return {**message, "item": {**item, "call_id": self.mock_calls[self.calls.index(call)]}}
        return dict(message)


def _calls(messages: Sequence[PassedMessage]) -> list[Any]:
    """Return the call ids of the recorded responses, in order."""
    items = [realtime.item_of(each.message) for each in messages if each.message.get("type") == realtime.OUTPUT_ADDED]
    return [item["call_id"] for item in items if "call_id" in item]


class RecordedModel(Upstream):
    """A mock whose responses have the items of a recording. The arguments are those of `Upstream`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__((("reply",),), **settings)
        self.plans: list[ResponsePlan] = []

    def _next_plan(self, asked: Mapping[str, Any]) -> ResponsePlan:
        super()._next_plan(asked)
        return self.plans.pop(0) if self.plans else ResponsePlan((OutputPlan("message", "More than was recorded."),))


def play(upstream: RecordedModel, recording: Recording) -> list[PassedMessage]:
    """Play a recording's client messages to a mock and return the messages of both sides, in the client's order."""
    messages = passed(recording)
    upstream.plans = plans_of(messages)
    return _Player(upstream, messages).run()
