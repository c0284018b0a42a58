"""A recorded session of the real API, played to the mock in virtual time: the same client messages, the same plan.

Each client message is given to the mock where its client sent it: after the client read the server message that stands
before it in the recording. What the model did (its responses' items) and what server VAD heard come from the recording.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any, Final, NamedTuple

from voicerace.model.actors.actor import Cancel, Effects, Send, SetTimer
from voicerace.model.actors.response_plan import Output, Plan
from voicerace.model.actors.upstream import Upstream
from voicerace.model.protocol import input_audio, realtime
from voicerace.model.protocol.realtime import Message
from voicerace.trace.recording import Recording

__all__ = ["PassedMessage", "RecordedModel", "passed", "plans_of", "play"]

#: One way between client and server, and between reading and sending, in ms.
_WAY_MS: Final = 30.0
_THINK_MS: Final = 1.0
#: Near the recorded times (`captures.api_times`); only their order matters here.
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
    "slot_lag_ms": 0,
    "rate_limits_ms": 30,
}
_LOUD: Final = input_audio.append(b"\x00\x20" * 240)
_SILENT: Final = input_audio.append(bytes(480))
#: They come beside the rest of the order (what ran out of the response's way), so no client message waits for one.
_BESIDE: Final = ("rate_limits.updated", "conversation.item.input_audio_transcription.", "output_audio_buffer.")


class PassedMessage(NamedTuple):
    """A message in the order in which the client read and sent them."""

    by: str
    message: Mapping[str, Any]


class _Due(NamedTuple):
    """A client message, and how many server messages of a type its client had read before it."""

    message: Mapping[str, Any]
    after: tuple[str, int] | None


def passed(recording: Recording) -> list[PassedMessage]:
    """The recording's messages in order."""
    return [
        PassedMessage(event.link.sender, event.payload)
        for event in recording.events
        if event.kind == "message" and isinstance(event.payload, Mapping)
    ]


def plans_of(messages: Sequence[PassedMessage]) -> list[Plan]:
    """The items of each response in a recording, as the plan of the mock's."""
    found: dict[str, list[Output]] = {}
    for each in messages:
        kind, message = each.message.get("type"), each.message
        if kind == realtime.RESPONSE_CREATED:
            found[str(realtime.response_of(message).get("id"))] = []
        elif kind == realtime.OUTPUT_ADDED:
            item = realtime.item_of(message)
            call = item.get("type") == "function_call"
            output = Output("call", "{}", str(item.get("name"))) if call else Output("message", "spoken or written")
            outputs = found.setdefault(str(message.get("response_id", list(found)[-1])), [])
            outputs.append(output)
    return [Plan(tuple(outputs)) for outputs in found.values()]


def _unfolded(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """A session.update as it was sent; a session that was copied as a table has turn_detection beside the audio."""
    session = message.get("session")
    if not isinstance(session, Mapping) or "turn_detection" not in session:
        return message
    own = {name: value for name, value in session.items() if name != "turn_detection"}
    return {**message, "session": {**own, "audio": {"input": {"turn_detection": session["turn_detection"]}}}}


def _due(messages: Sequence[PassedMessage]) -> Iterator[_Due]:
    """The client messages; audio becomes the loud and the silent piece that server VAD's events tell of."""
    read: Counter[str] = Counter()
    after: tuple[str, int] | None = None
    for by, message in messages:
        kind = str(message.get("type"))
        if by == "proxy":
            if kind != input_audio.APPEND:
                yield _Due(_unfolded(message), after)
            continue
        if kind == input_audio.SPEECH_STARTED:
            yield _Due(_LOUD, after)
        elif kind == input_audio.SPEECH_STOPPED:
            yield _Due(_SILENT, after)
        read[kind] += 1
        if not kind.startswith(_BESIDE):
            after = (kind, read[kind])


class _Player:
    """The one run of a recording."""

    def __init__(self, upstream: Upstream, messages: Sequence[PassedMessage]) -> None:
        self.upstream = upstream
        self.due = list(_due(messages))
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
                    self.at(_WAY_MS, lambda payload=payload: self.receive(payload))  # type: ignore[misc]
                case SetTimer(name=name, after=after):
                    number = self.at(_TIMES_MS[after], lambda name=name: self.ring(name))  # type: ignore[misc]
                    self.timers[name] = number
                case Cancel(name=name):
                    gone = self.timers.pop(name, None)
                    self.queue = [each for each in self.queue if each[1] != gone]
                    heapq.heapify(self.queue)

    def ring(self, name: str) -> None:
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
        """Send what the client sent after the messages that it has read."""
        while self.due and (self.due[0].after is None or self.read[self.due[0].after[0]] >= self.due[0].after[1]):
            self.send()

    def send(self) -> None:
        message = self.due.pop(0).message
        self.at(_THINK_MS, lambda: self.sent(message))

    def sent(self, message: Mapping[str, Any]) -> None:
        self.passed.append(PassedMessage("proxy", message))
        self.at(_WAY_MS, lambda: self.carry_out(self.upstream.message("proxy", self.mine(message))))

    def mine(self, message: Mapping[str, Any]) -> Message:
        """The message with the mock's call id in place of the recorded one."""
        item = realtime.item_of(message)
        if (call := item.get("call_id")) in self.calls and self.calls.index(call) < len(self.mock_calls):
            return {**message, "item": {**item, "call_id": self.mock_calls[self.calls.index(call)]}}
        return dict(message)


def _calls(messages: Sequence[PassedMessage]) -> list[Any]:
    """The call ids that the model made, in order."""
    items = [realtime.item_of(each.message) for each in messages if each.message.get("type") == realtime.OUTPUT_ADDED]
    return [item["call_id"] for item in items if "call_id" in item]


class RecordedModel(Upstream):
    """The mock whose model makes the items of a recording. Args: those of `Upstream`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__((("reply",),), **settings)
        self.plans: list[Plan] = []

    def _next_plan(self, asked: Mapping[str, Any]) -> Plan:
        super()._next_plan(asked)
        return self.plans.pop(0) if self.plans else Plan((Output("message", "More than was recorded."),))


def play(upstream: RecordedModel, recording: Recording) -> list[PassedMessage]:
    """Give a recording's client messages to a mock whose model makes the recorded items; all that passes, in order."""
    messages = passed(recording)
    upstream.plans = plans_of(messages)
    return _Player(upstream, messages).run()
