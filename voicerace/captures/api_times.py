"""Times between messages of the real API, measured in recordings.

`api_times` yields an `ApiTime` per measured pair of messages. Its input is the recordings in ``data/api``, or other recordings
with times. All times were measured at the client, with a resolution of 1 ms. A time between two messages of the API depends on
the API only. A time from a message of the client to a message of the API also contains the network's round trip.

`ApiTime.time` is a name in `voicerace.model.catalog.profiles.TIMES` if the pair measures that time. Of these names,
``create_ms`` and ``ack_ms`` contain the round trip; ``gap_ms``, ``first_item_ms``, ``arguments_ms``, ``item_done_ms``,
``reply_ms`` and ``reply_gap_ms`` do not. The other names are:

- ``update_ms``: session.update -> session.updated, with the round trip;
- ``rate_limits_ms``: response.done -> rate_limits.updated;
- ``committed_ms``: input_audio_buffer.committed -> response.created;
- ``last_delta_ms``: last delta of a content -> its ``.done``;
- ``burst_ms``: first ``.done`` of a response -> response.done;
- ``first_audio_ms``: audio part -> its first delta;
- ``gap_at_most_ms``: item of a call -> response.done, if the recording has no arguments.done;
- ``call_item_done_ms``: arguments.done -> conversation.item.done;
- ``closing_ms``: any other ``.done`` -> response.done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import pandas as pd

from voicerace.captures.api import api_recordings, row_of
from voicerace.model.protocol import realtime
from voicerace.trace.recording import Event, Recording
from voicerace.units import ms

__all__ = ["ApiTime", "api_times", "api_times_frame", "api_times_summary"]

#: Prefix of a type name in the beta protocol or the Responses API -> prefix of the current name.
_RENAMED: Final = {
    "response.audio.": "response.output_audio.",
    "response.audio_transcript.": "response.output_audio_transcript.",
    "response.text.": "response.output_text.",
    "response.completed": realtime.RESPONSE_DONE,
}
_ENVELOPE: Final = "response.event/"
_CONFIRMS: Final = ("conversation.item.added", "conversation.item.created")
_OUTPUTS: Final = ("function_call_arguments", "output_text", "output_audio", "output_audio_transcript")
#: Content types that the user sees or hears.
_CONTENTS: Final = ("output_text", "output_audio")


class ApiTime(NamedTuple):
    """One measured time.

    Attributes:
        time: name of the time, as listed in the module's docstring.
        what: description of the two messages.
        provider: provider of the session.
        protocol: GA, beta, xai, live, or cascade (Voice Live with a model that is not a realtime model).
        model: name of the model; None if unknown.
        session: name of the session.
        row_from: row of the first message in the source, from 1; None if unknown.
        row_to: row of the second message in the source, from 1; None if unknown.
        ms: measured time in ms.
        clock: program whose clock measured the time.
    """

    time: str
    what: str
    provider: str
    protocol: str
    model: str | None
    session: str
    row_from: int | None
    row_to: int | None
    ms: float
    clock: str


def api_times(recordings: Iterable[Recording] | None = None) -> Iterator[ApiTime]:
    """Yield the times measured in the recordings; None selects those in ``data/api``."""
    for recording in api_recordings() if recordings is None else recordings:
        yield from _Walk(recording).times()


def api_times_frame(recordings: Iterable[Recording] | None = None) -> pd.DataFrame:
    """Return the values of `api_times` as a table with one row per value."""
    return pd.DataFrame(api_times(recordings), columns=list(ApiTime._fields))


def api_times_summary(recordings: Iterable[Recording] | None = None) -> pd.DataFrame:
    """Return a table with one row per provider, protocol and time.

    The columns are the number of values `n`, the number of `sessions`, `min`, `median`, `max`, and the sorted `values` in ms.
    """
    rows = []
    for (provider, protocol, time), found in api_times_frame(recordings).groupby(["provider", "protocol", "time"], sort=True):
        values = sorted(found["ms"])
        rows.append(
            {
                "provider": provider, "protocol": protocol, "time": time, "n": len(values),
                "sessions": found["session"].nunique(), "min": values[0], "median": float(pd.Series(values).median()),
                "max": values[-1], "values": tuple(values),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


@dataclass
class _ResponseTimes:
    """The messages of one response that start or end a measured time."""

    created: Event | None = None
    first: Event | None = None
    first_done: Event | None = None
    #: Kind of content -> its last delta.
    deltas: dict[str, Event] = field(default_factory=dict)
    #: Kind of content -> its last ``.done``.
    dones: dict[str, Event] = field(default_factory=dict)
    #: Item id -> its output_item.added. The key "call item" maps to the first conversation item of type function_call.
    added: dict[str, Event] = field(default_factory=dict)
    #: Item type -> its last output_item.done.
    items: dict[str, Event] = field(default_factory=dict)
    calls: list[Event] = field(default_factory=list)
    parts: dict[str, Event] = field(default_factory=dict)


class _Walk:
    """Measures the times of one recording, message by message."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        provenance = recording.provenance
        self.source = {key: str(provenance.get(key) or "") for key in ("provider", "protocol", "connection", "times")}
        self.model = provenance.get("model")
        breaks = provenance.get("breaks")
        self.breaks = frozenset(breaks if isinstance(breaks, list) else ())
        self.forget()

    def forget(self) -> None:
        """Reset the state, because rows are missing and no time may be measured across the gap."""
        self.updates: list[Event] = []
        self.creates: list[Event] = []
        self.items: list[Event] = []
        self.known: set[str] = set()
        self.committed: Event | None = None
        self.done: Event | None = None
        self.responses: dict[str, _ResponseTimes] = {}
        self.current = _ResponseTimes()
        self.arguments: Event | None = None

    def times(self) -> Iterator[ApiTime]:
        for event in self.recording.events:
            if event.seq in self.breaks or event.kind != "message":
                self.forget()
            if event.kind == "message" and isinstance(event.payload, Mapping):
                if event.link.receiver == "upstream":
                    self._sent(event)
                else:
                    yield from self._came(event, event.payload)

    def _sent(self, event: Event) -> None:
        kept = {
            realtime.SESSION_UPDATE: self.updates,
            realtime.RESPONSE_CREATE: self.creates,
            realtime.ITEM_CREATE: self.items,
        }.get(event.type)
        if kept is not None:
            kept.append(event)

    def _came(self, event: Event, message: Mapping[str, Any]) -> Iterator[ApiTime]:
        kind = _kind(event)
        if kind == realtime.SESSION_UPDATED and self.updates:
            yield from self._pair("update_ms", "session.update sent -> session.updated", self.updates.pop(0), event)
        elif kind in _CONFIRMS:
            yield from self._confirmed(event, message)
        elif kind == "conversation.item.done" and self.arguments is not None and _type(message) in ("", "function_call"):
            yield from self._pair(
                "call_item_done_ms", "function_call_arguments.done -> conversation.item.done", self.arguments, event
            )
            self.arguments = None
        elif kind == "input_audio_buffer.committed":
            self.committed = event
        elif kind == "rate_limits.updated":
            if self.done is not None:
                yield from self._pair("rate_limits_ms", "response.done -> rate_limits.updated", self.done, event)
            self.done = None
        elif kind == realtime.ERROR and self.creates and realtime.is_refusal(message):
            self.creates.pop(0)
        elif kind == realtime.RESPONSE_CREATED:
            yield from self._created(event, message)
        elif kind.startswith("response."):
            yield from self._output(event, message, kind)

    def _created(self, event: Event, message: Mapping[str, Any]) -> Iterator[ApiTime]:
        self.current = self.responses[str(realtime.response_of(message).get("id"))] = _ResponseTimes(created=event)
        if self.creates:
            yield from self._pair("create_ms", "response.create sent -> response.created", self.creates.pop(0), event)
        elif self.committed is not None:
            what = "input_audio_buffer.committed -> response.created"
            yield from self._pair("committed_ms", what, self.committed, event)
        self.committed = None

    def _confirmed(self, event: Event, message: Mapping[str, Any]) -> Iterator[ApiTime]:
        """Yield the time that ends with an added item. The client's items of equal type and role are confirmed in order."""
        item = realtime.item_of(message)
        if (identifier := str(item.get("id"))) in self.known:
            return
        if "id" in item:
            self.known.add(identifier)
        for index, create in enumerate(self.items):
            sent: Any = create.payload
            own = realtime.item_of(sent)
            if own.get("type") == item.get("type") and own.get("role", item.get("role")) == item.get("role"):
                del self.items[index]
                what = f"conversation.item.create({item.get('type')}) sent -> added/created"
                yield from self._pair("ack_ms", what, create, event)
                return
        if item.get("type") == "function_call" or item.get("role") == "assistant":
            yield from self._first(self.current, event)
            if item.get("type") == "function_call":
                self.current.added.setdefault("call item", event)

    def _first(self, response: _ResponseTimes, event: Event) -> Iterator[ApiTime]:
        if response.first is None and response.created is not None:
            response.first = event
            yield from self._pair("first_item_ms", "response.created -> first output_item.added", response.created, event)

    def _output(self, event: Event, message: Mapping[str, Any], kind: str) -> Iterator[ApiTime]:
        of = self.responses.get(str(message.get("response_id") or realtime.response_of(message).get("id")), self.current)
        _, name, what = [*kind.split(".", 2), ""][:3]
        if what == "done" or name == "done":
            of.first_done = of.first_done or event
        if kind == "response.output_item.added":
            self.known.add(str(realtime.item_of(message).get("id")))
            of.added.setdefault(str(realtime.item_of(message).get("id")), event)
            yield from self._first(of, event)
        elif kind == "response.content_part.added" and _part_type(message) == "audio":
            of.parts[str(message.get("item_id"))] = event
        elif name in _OUTPUTS and what == "delta":
            if name == "output_audio" and (part := of.parts.pop(str(message.get("item_id")), None)) is not None:
                yield from self._pair("first_audio_ms", "content_part.added(audio) -> first audio delta", part, event)
            of.deltas[name] = event
        elif name in _OUTPUTS and what == "done":
            yield from self._content_done(of, event, message, name)
        elif kind == "response.output_item.done":
            yield from self._item_done(of, event, message)
        elif kind == realtime.RESPONSE_DONE:
            yield from self._ended(of, event)

    def _content_done(self, of: _ResponseTimes, event: Event, message: Mapping[str, Any], name: str) -> Iterator[ApiTime]:
        last = of.deltas.get(name)
        if last is not None and name != "output_audio_transcript":
            whats = {
                "function_call_arguments": "last function_call_arguments.delta -> .done",
                "output_text": "last text delta -> output_text.done",
                "output_audio": "last audio delta -> output_audio.done",
            }
            yield from self._pair("last_delta_ms", whats[name], last, event)
        if name == "function_call_arguments":
            of.calls.append(event)
            self.arguments = event
            added = of.added.get(str(message.get("item_id")))
            if added is not None:
                yield from self._pair("arguments_ms", "output_item.added(function_call) -> arguments.done", added, event)
        elif name in _CONTENTS and of.first is not None:
            yield from self._pair("reply_ms", f"first output_item.added -> {name}.done", of.first, event)
        of.dones[name] = event

    def _item_done(self, of: _ResponseTimes, event: Event, message: Mapping[str, Any]) -> Iterator[ApiTime]:
        kind = _type(message)
        of.items[kind] = event
        if kind == "function_call" and of.calls:
            yield from self._pair("item_done_ms", "function_call_arguments.done -> output_item.done", of.calls[-1], event)

    def _ended(self, of: _ResponseTimes, event: Event) -> Iterator[ApiTime]:
        self.done = event
        if of.calls:
            yield from self._pair("gap_ms", "function_call_arguments.done -> response.done/completed", of.calls[-1], event)
        elif (item := of.added.get("call item")) is not None:
            yield from self._pair("gap_at_most_ms", "function_call item -> response.done", item, event)
        contents = [of.dones[name] for name in _CONTENTS if name in of.dones]
        for name in ("output_text", "output_audio", "output_audio_transcript"):
            if name in of.dones:
                ends = not of.calls and of.dones[name] is contents[-1] if contents else False
                suffix = "/completed" if name == "output_text" else ""
                what = f"{name}.done -> response.done{suffix}"
                yield from self._pair("reply_gap_ms" if ends else "closing_ms", what, of.dones[name], event)
        for kind, item in of.items.items():
            yield from self._pair("closing_ms", f"output_item.done({kind}) -> response.done/completed", item, event)
        if of.first_done is not None and of.first_done is not event:
            yield from self._pair("burst_ms", "first .done of a response -> response.done", of.first_done, event)

    def _pair(self, time: str, what: str, start: Event, end: Event) -> Iterator[ApiTime]:
        since, until = start.at_ns("proxy"), end.at_ns("proxy")
        if since is None or until is None:
            return
        rows = row_of(self.recording, start.seq), row_of(self.recording, end.seq)
        source = self.source
        yield ApiTime(
            time, what, source["provider"], source["protocol"], self.model if isinstance(self.model, str) else None,
            source["connection"], *rows, round(ms(until - since), 3), source["times"],
        )  # fmt: skip


def _kind(event: Event) -> str:
    """Return the current name of a message's type."""
    kind = event.type.removeprefix(_ENVELOPE)
    for before, now in _RENAMED.items():
        if kind.startswith(before):
            return now + kind[len(before) :]
    return kind


def _type(message: Mapping[str, Any]) -> str:
    return str(realtime.item_of(message).get("type", ""))


def _part_type(message: Mapping[str, Any]) -> object:
    """Return the type of a message's content part; None if the message has no part."""
    part = message.get("part")
    return part.get("type") if isinstance(part, Mapping) else None
