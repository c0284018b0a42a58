"""Compute the rows of a swimlane: the messages that affect the race, and the responses in the slot.

The rows omit rate limits, content parts, output items, items without effect, echoes, and messages that a proxy forwards
unchanged. Deltas and audio of one response are one row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from voicerace.analysis.outcomes import TABLE
from voicerace.analysis.trace_index import TraceIndex
from voicerace.analysis.verdict import Turn, Verdict, judge
from voicerace.model.protocol import agent, realtime
from voicerace.model.protocol.ledger import Ledger, Response
from voicerace.model.protocol.results import COMPONENT, placeholder_in
from voicerace.trace.recording import Event, Recording

__all__ = ["FIRST", "Bar", "Kind", "Labels", "Lanes", "MessageRow", "Window", "lanes_of", "spans_of"]

Window: TypeAlias = Literal["turn", "all"]
Kind: TypeAlias = Literal["plain", "call", "result", "default_error", "create", "refused", "refusal", "notice", "reply"]

FIRST: Final = "the first message"
_LANES: Final = {"component": "host", "app": "host", "user": "host"}
_TARGETS: Final = {"model": "model", "backend": "running", "ws": "running", "wss": "running"}  # by prefix of `proxy`
_SILENT_HOST: Final = "the host is not notified"
_NO_CREATE: Final = "no response.create is sent"
_LABELS: Final = {
    "session.created": "session.created",
    "session.updated": "session.updated",
    realtime.TEXT_DONE: "response.output_text.done",
    realtime.AUDIO_DONE: "response.output_audio.done",
    "input_audio_buffer.speech_started": "speech started",
    "input_audio_buffer.speech_stopped": "speech stopped",
    "input_audio_buffer.committed": "audio committed",
    "input_audio_buffer.timeout_triggered": "idle timeout",
    "input_audio_buffer.commit": "commit audio",
    realtime.RESPONSE_CANCEL: "response.cancel",
    realtime.SESSION_UPDATE: "session.update",
    "Settings": "Settings",
    "SettingsApplied": "SettingsApplied",
    "UserStartedSpeaking": "user started speaking",
}


@dataclass(frozen=True)
class MessageRow:
    """One drawn message.

    Attributes:
        seq: sequence number of the event.
        sender, receiver: lanes of the ends: host, forwarder, proxy or upstream.
        sent_ns: send time in ns since the function call; `received_ns` if not recorded.
        received_ns: receive time in ns since the function call; `sent_ns` if not recorded.
        label: short text.
        kind: role of the message in the race.
        arrived: whether the message reached its receiver.
        folded: number of messages that the row represents.
        note: text in this row's other column.
        held: whether the forwarder held the message.
    """

    seq: int
    sender: str
    receiver: str
    sent_ns: int
    received_ns: int
    label: str
    kind: Kind = "plain"
    arrived: bool = True
    folded: int = 1
    note: str = ""
    held: bool = False


@dataclass(frozen=True)
class Bar:
    """A response in the slot.

    `create`, `created` and `done` are the seqs of its `response.create`, `response.created` and `response.done`; None if not
    in the picture. `open` is whether `response.done` was not recorded. `held_ns` is the response's time in the slot; None
    if unknown.
    """

    response_id: str
    create: int | None
    created: int | None
    done: int | None
    open: bool
    held_ns: int | None


@dataclass(frozen=True)
class Lanes:
    """The content of a swimlane.

    Attributes:
        rows: the messages in send order.
        bars: the responses in start order.
        origin: name of the event at time 0.
        verdict: verdict on the complete recording.
        turn: the drawn turn; None if the complete session is drawn.
        names: proxy, scenario and handler of the recording, as text.
        unseen: notes on links that were not recorded.
        direct: whether a client was connected to the API without a proxy. It then has the lane of the proxy.
        forwarder: whether the session has a forwarder.
    """

    rows: tuple[MessageRow, ...]
    bars: tuple[Bar, ...]
    origin: str
    verdict: Verdict
    turn: Turn | None
    names: str
    unseen: tuple[str, ...]
    direct: bool
    forwarder: bool = False


def lanes_of(recording: Recording, window: Window = "turn") -> Lanes:
    """Return the lanes of the worst tool turn of a recording, or of the complete recording."""
    recording = recording.without_forwarder
    verdict = judge(recording)
    turn = verdict.turn if window == "turn" else None
    index = TraceIndex(recording)
    ledger = index.ledger
    start, end, closing = _window(recording, ledger, turn)
    shown = [event for event in recording.events if start <= event.seq < end]
    origin_ns, origin = _origin(shown or recording.events)
    labels = Labels(ledger)
    rows: list[MessageRow] = []
    heard: dict[str, int] = {}
    for event in [*shown, *closing]:
        if "user" in event.link or "app" in event.link:
            continue
        found = labels.of(event)
        if found is None:
            continue
        label, kind, fold = found
        if fold and fold in heard:
            first = rows[heard[fold]]
            rows[heard[fold]] = replace(first, folded=first.folded + 1)
            continue
        if fold:
            heard[fold] = len(rows)
        rows.append(_row(event, label, kind, origin_ns, rows))
    rows.sort(key=lambda row: (row.sent_ns, row.seq))
    rows = _noted(rows, turn, verdict.wedged, recording, bool(closing))
    bars = tuple(_bars(recording, ledger, {row.seq for row in rows}, (start, end)))
    unseen = () if index.direct else tuple(_unseen(recording))
    return Lanes(tuple(rows), bars, origin, verdict, turn, _names(recording.provenance), unseen, index.direct)


# -- selection -------------------------------------------------------------------------------------------------------


def _inputs(recording: Recording, ledger: Ledger) -> list[Event]:
    """Return the first event of each user input on a drawn link."""
    typed = [event for event in recording.events if event.type == "InjectUserMessage"]
    keys = {each.key for each in ledger.inputs}
    return typed or [event for event in recording.events if event.seq in keys]


def _window(recording: Recording, ledger: Ledger, turn: Turn | None) -> tuple[int, int, list[Event]]:
    """Return (first seq, last seq + 1, the next user input if the turn ends without a reply)."""
    last = recording.events[-1].seq + 1 if recording.events else 0
    if turn is None:
        return 0, last, []
    inputs = _inputs(recording, ledger)
    start = max((event.seq for event in inputs if event.seq <= turn.events[0]), default=0)
    following = next((event for event in inputs if event.seq > turn.events[-1]), None)
    if following is None:
        return start, last, []
    return start, following.seq, [following] if TABLE[turn.outcome].silent else []


def _origin(events: Sequence[Event]) -> tuple[int, str]:
    for event in events:
        if event.type == realtime.ARGUMENTS_DONE and (at := event.at_ns("upstream")) is not None:
            return at, "the function call"
    times = [time for event in events for time in (event.sent_ns, event.received_ns) if time is not None]
    return min(times, default=0), FIRST


# -- rows ------------------------------------------------------------------------------------------------------------


def _row(event: Event, label: str, kind: Kind, origin_ns: int, before: Sequence[MessageRow]) -> MessageRow:
    sender, receiver = (_LANES.get(actor, actor) for actor in event.link)
    sent, received = event.sent_ns, event.received_ns
    if sent is None and received is None:
        # a message without times gets the time of the previous message
        sent = before[-1].sent_ns + origin_ns if before else origin_ns
    known = sent if sent is not None else received
    assert known is not None  # noqa: S101  # the branch above sets `sent` if both are None
    start = sent if sent is not None else known
    stop = received if received is not None else known
    return MessageRow(event.seq, sender, receiver, start - origin_ns, stop - origin_ns, label, kind, event.arrived)


class Labels:
    """Labels of the messages of a recording."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.calls = [call for response in ledger.responses.values() for call in response.calls]
        self.refused = {create.key for create in ledger.creates if create.answer == "refused"}
        self.confirmed = {output.confirmed: output for output in ledger.outputs if output.confirmed is not None}
        self.first_call = min((each.calls_done[0] for each in ledger.responses.values() if each.calls_done), default=None)

    def of(self, event: Event) -> tuple[str, Kind, str] | None:
        """Return (label, kind, key) of a message; None for an omitted message. Messages with equal keys are one row."""
        if event.kind == "close":
            return "connection closed", "plain", ""
        if event.kind == "open":
            return "connection opened again", "plain", ""
        if isinstance(event.payload, bytes):
            return ("audio", "plain", f"audio {event.link}")
        if not isinstance(event.payload, Mapping):
            return "text that is not JSON", "plain", f"text {event.link}"
        match tuple(event.link):
            case ("upstream", "proxy"):
                return self._from_upstream(event, event.payload)
            case ("proxy", "upstream"):
                return self._to_upstream(event, event.payload)
            case ("component", "proxy"):
                return self._from_host(event.payload)
        return self._to_host(event.payload)

    def _from_upstream(self, event: Event, payload: Mapping[str, Any]) -> tuple[str, Kind, str] | None:
        kind = event.type
        if kind == realtime.RESPONSE_CREATED:
            return "response.created", "plain", ""
        if kind == realtime.RESPONSE_DONE:
            status = str(realtime.response_of(payload).get("status") or "no status")
            return "response.done" + ("" if status == "completed" else f" ({status})"), "plain", ""
        if kind == realtime.ARGUMENTS_DONE:
            return f"function call{self._number(payload.get('call_id'))}", "call", ""
        if kind == realtime.ERROR:
            if realtime.is_refusal(payload):
                return f"✗ refused: {_short(realtime.response_named_by(payload) or 'a response')} active", "refusal", ""
            return f"error: {realtime.error_of(payload).get('code')}", "plain", ""
        if (output := self.confirmed.get(event.seq)) is not None:
            return f"{self._result(output.call_id, output.placeholder)} confirmed", "plain", ""
        if kind in realtime.HEARD and kind not in (realtime.TEXT_DONE, realtime.AUDIO_DONE):
            return self._reply(payload)
        return (_LABELS[kind], "plain", "") if kind in _LABELS else None

    def _reply(self, payload: Mapping[str, Any]) -> tuple[str, Kind, str] | None:
        response = self.ledger.responses.get(str(payload.get("response_id")))
        if response is None:
            return None
        return self._knows(response), "reply", f"heard {response.id}"

    def _knows(self, response: Response) -> str:
        """Return the label of a reply. The label states whether the model had the result when the reply began."""
        if response.calls:
            return "speaks before the call"
        if self.first_call is None or response.created < self.first_call:
            return "reply begins"
        if self.ledger.informed(response, self.calls):
            return "reply begins, knows the result"
        return "reply begins WITHOUT the result"

    def _to_upstream(self, event: Event, payload: Mapping[str, Any]) -> tuple[str, Kind, str] | None:
        kind = event.type
        if kind == realtime.RESPONSE_CREATE:
            return ("response.create ✗", "refused", "") if event.seq in self.refused else ("response.create", "create", "")
        if kind == realtime.ITEM_CREATE:
            item = realtime.item_of(payload)
            if item.get("type") == "function_call_output":
                sender = _sender(item.get("output"))
                return f"item: {self._result(item.get('call_id'), sender)}", "default_error" if sender else "result", ""
            return ("item: user message" if item.get("role") == "user" else "item: context"), "plain", ""
        if kind == "input_audio_buffer.append":
            return "audio", "plain", "append"
        return (_LABELS[kind], "plain", "") if kind in _LABELS else None

    def _from_host(self, payload: Mapping[str, Any]) -> tuple[str, Kind, str] | None:
        match payload.get("type"):
            case "InjectUserMessage":
                return "user message", "plain", ""
            case "FunctionCallResponse":
                sender = _sender(payload.get("content"))
                who = f"from the {sender or 'app'}"
                return f"{self._result(payload.get('id'), sender)} {who}", "default_error" if sender else "result", ""
            case "KeepAlive":
                return None
            case str(kind):
                return _LABELS.get(kind, kind), "plain", ""
        return "message without a type", "plain", ""

    def _to_host(self, payload: Mapping[str, Any]) -> tuple[str, Kind, str] | None:
        match payload.get("type"):
            case "FunctionCallRequest":
                ids = [each.get("id") for each in payload.get("functions") or () if isinstance(each, Mapping)]
                return f"FunctionCallRequest{self._number(ids[0] if ids else None)}", "call", ""
            case "Error":
                code = payload.get("code")
                if realtime.is_refusal_code(code):
                    return "✗ Error: active response", "notice", ""
                return f"Error: {code}", "plain", ""
            case "ConversationText" if agent.is_reply_output(payload):
                return "agent's text", "plain", ""
            case str(kind) if kind in _LABELS and "." not in kind:
                return _LABELS[kind], "plain", ""
        return None

    def _number(self, call_id: object) -> str:
        """Return a space and the number of a call, from 1. The text is empty if the recording has only one call."""
        if len(self.calls) < 2 or call_id not in self.calls:
            return ""
        return f" {self.calls.index(str(call_id)) + 1}"

    def _result(self, call_id: object, placeholder: str | None) -> str:
        labels = {None: "result", COMPONENT.sender: "default error"}
        return f"{labels.get(placeholder, 'placeholder')}{self._number(call_id)}"


def _noted(
    rows: list[MessageRow], turn: Turn | None, wedged: bool | None, recording: Recording, closing: bool
) -> list[MessageRow]:
    """Return the rows with notes on a missing notification or request."""
    if turn is None:
        return rows
    if turn.outcome == "lost" and recording.observes("proxy", "component"):
        rows = [replace(row, note=_SILENT_HOST) if row.kind == "refusal" else row for row in rows]
    if closing:
        answered = {False: ", and is answered", True: ", in vain", None: ""}[wedged]
        note = _NO_CREATE if turn.outcome == "stalled" else ""
        rows[-1] = replace(rows[-1], label=f"user speaks again{answered}", note=note)
    return rows


# -- other parts -----------------------------------------------------------------------------------------------------


def _bars(recording: Recording, ledger: Ledger, inside: set[int], window: tuple[int, int]) -> list[Bar]:
    by_seq = {event.seq: event for event in recording.events}
    bars = []
    for response in ledger.responses.values():
        create = None if response.create is None else ledger.creates[response.create].key
        begun = by_seq[create if create is not None else response.created].at_ns("upstream")
        done = None if response.done is None else by_seq[response.done].at_ns("upstream")
        if response.created >= window[1] or (response.done is not None and response.done < window[0]):
            continue
        bars.append(
            Bar(
                _short(response.id),
                create if create in inside else None,
                response.created if response.created in inside else None,
                response.done if response.done in inside else None,
                response.done is None,
                None if begun is None or done is None else done - begun,
            )
        )
    return bars


def spans_of(lanes: Lanes) -> Iterator[tuple[Bar, int | None, int | None]]:
    """Yield (bar, begin, end), with times in ns since the function call; None for a time outside the picture."""
    by_seq = {row.seq: row for row in lanes.rows}
    for bar in lanes.bars:
        begin = by_seq[bar.create].received_ns if bar.create is not None else None
        if begin is None and bar.created is not None:
            begin = by_seq[bar.created].sent_ns
        yield bar, begin, by_seq[bar.done].sent_ns if bar.done is not None else None


def _sender(content: object) -> str | None:
    """Return the sender of a placeholder result; None for a result from the app."""
    placeholder = placeholder_in(content)
    return None if placeholder is None else placeholder.sender


def _short(name: str) -> str:
    """Return an id, shortened to fit beside a bar."""
    return name if len(name) <= 11 else f"…{name[-8:]}"


def _names(provenance: Mapping[str, Any]) -> str:
    if "checked_client" in provenance:
        return f"{provenance['checked_client']}, {provenance.get('case')}"
    parts = []
    if "release" in provenance:
        target = _TARGETS.get(str(provenance.get("proxy", "")).partition(":")[0])
        parts.append(f"proxy {provenance['release']}" + (f" ({target})" if target else ""))
    parts += [f"{name} {provenance[name]}" for name in ("scenario", "handler") if name in provenance]
    return ", ".join(parts) or "a recorded session"


def _unseen(recording: Recording) -> list[str]:
    links = (("component", "proxy", "host and proxy"), ("proxy", "upstream", "proxy and upstream"))
    seen = recording.observes
    return [f"not recorded between {name}" for a, b, name in links if not (seen(a, b) or seen(b, a))]
