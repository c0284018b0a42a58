"""Compares the server messages of the mock with recordings of the real Realtime API (`data/api`).

The comparison covers the order of types, items and roles, the keys of every message (as paths), and every value except
withheld texts. Ids that are equal in the recording must be equal in the mock. Consecutive deltas count as one message.
Transcription events of user audio have no fixed position in the order, so they are compared separately. A difference is a
fault unless `EXPLAINED` gives its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, Final, Literal, NamedTuple

from voicerace.captures.api import api_recordings
from voicerace.conformance.api_explained import EXPLAINED, Explained
from voicerace.conformance.api_play import PassedMessage, RecordedModel, passed, play
from voicerace.model.catalog.providers import PROVIDERS
from voicerace.model.protocol import input_audio, realtime
from voicerace.trace.recording import Recording

__all__ = [
    "COMPARED",
    "ApiConformance",
    "ApiDifference",
    "compare_recording",
    "conform_api",
    "mock_for",
    "recordings_to_compare",
]

#: Providers whose sessions are compared.
COMPARED: Final = tuple(PROVIDERS)

Kind = Literal["missing", "extra", "key missing", "key extra", "value", "id", "client"]

#: Placeholder that replaces a text in a recording.
_WITHHELD: Final = "…"
_IDS: Final = ("id", "item_id", "response_id", "call_id", "previous_item_id", "conversation_id")


class ApiDifference(NamedTuple):
    """One difference between a recording and the mock.

    Attributes:
        kind: ``missing``: only the recording has the message; ``extra``: only the mock has the message; ``key missing`` and
            ``key extra``: the same for a key; ``value``: the values differ; ``id``: one id on one side corresponds to two
            ids on the other; ``client``: the numbers of client messages before this message differ.
        connection: name of the recording.
        provider: provider of the recording.
        model: model of the recording.
        event: type of the message, with its item's type and role.
        path: path of the key or value, for example ``item.content[].text``.
        recorded: value in the recording.
        mock: value in the mock's message.
    """

    kind: Kind
    connection: str
    provider: str
    model: str
    event: str
    path: str = ""
    recorded: Any = None
    mock: Any = None

    def __str__(self) -> str:
        at = f"{self.event} {self.path}".rstrip()
        values = f": recorded {self.recorded!r}, mock {self.mock!r}" if self.kind in ("value", "id", "client") else ""
        return f"{self.provider} {self.connection}: {self.kind}: {at}{values}"


def recordings_to_compare(*providers: str) -> list[Recording]:
    """Return the recordings that contain one connection from its first message on, in the provider's protocol."""
    return [
        each
        for each in api_recordings(*(providers or COMPARED))
        if each.provenance.get("protocol") == PROVIDERS[str(each.provenance.get("provider"))].protocol
        and not each.provenance.get("breaks")
        and sum(event.type == realtime.SESSION_CREATED for event in each.events) <= 1
        and not str(each.provenance.get("connection")).startswith("log__")
    ]


def mock_for(recording: Recording) -> RecordedModel:
    """Return a mock with the recording's provider and modality."""
    provider = str(recording.provenance.get("provider"))
    # a session that was copied as a table has no settings, so the types of its replies determine the modality
    parts = [event.payload.get("part") for event in recording.events if isinstance(event.payload, Mapping)]
    written = any(isinstance(part, Mapping) and part.get("type") == "text" for part in parts)
    return RecordedModel(
        modality="text" if written and recording.provenance.get("fields") == "some" else None,
        idles=any(event.type == input_audio.TIMEOUT_TRIGGERED for event in recording.events),
        limits_lag=True,
        provider=provider,
    )


# -- comparing ---------------------------------------------------------------------------------------------------------


def _label(message: Mapping[str, Any]) -> str:
    """Return the label that aligns messages: the type, with the type and role of its item."""
    item = realtime.item_of(message)
    # the role is part of the label only for messages, because xAI also sets a role on a call and on its output
    kinds = ("type", "role") if item.get("type") == "message" else ("type",)
    more = " ".join(str(item[key]) for key in kinds if item.get(key))
    part = message.get("part")
    if isinstance(part, Mapping) and message.get("type") == "response.content_part.added":
        more = str(part.get("type"))
    return f"{message.get('type')}({more})" if more else str(message.get("type"))


def _is_transcription(message: Mapping[str, Any]) -> bool:
    """Return whether a message belongs to the transcription of user audio, which has no fixed position."""
    return str(message.get("type")).startswith("conversation.item.input_audio_transcription.")


def _condensed(messages: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the messages, with only the first delta of each type and item."""
    kept, seen = [], set()
    for message in messages:
        if str(message.get("type")).endswith(".delta"):
            what = (message.get("type"), message.get("item_id"), message.get("output_index"))
            if what in seen:
                continue
            seen.add(what)
        kept.append(message)
    return kept


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path, value) for every key. The elements of a list share one path."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            at = f"{path}.{key}" if path else str(key)
            yield at, None if isinstance(inner, (Mapping, list)) else inner
            yield from _leaves(inner, at)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, f"{path}[]")


class _Comparison:
    """Compares one recording with the messages of the mock, and collects the differences."""

    def __init__(self, recording: Recording) -> None:
        about = recording.provenance
        self.about = (str(about.get("connection")), str(about.get("provider")), str(about.get("model")))
        self.all_keys = about.get("fields") == "all"
        self.mock_ids: dict[Any, Any] = {}
        self.recorded_ids: dict[Any, Any] = {}
        self.found: list[ApiDifference] = []

    def add(self, kind: Kind, event: str, *more: Any) -> None:
        self.found.append(ApiDifference(kind, *self.about, event, *more))

    def run(self, recorded: Sequence[PassedMessage], mock: Sequence[PassedMessage]) -> int:
        """Compare all messages and return the number of recorded messages."""
        server = [_condensed(each.message for each in side if each.by == "upstream") for side in (recorded, mock)]
        for transcribed in (False, True):
            self.stream(*([each for each in side if _is_transcription(each) == transcribed] for side in server))
        self.client_order(recorded, mock)
        return len(server[0])

    def stream(self, *server: Sequence[Mapping[str, Any]]) -> None:
        """Compare two sequences of messages whose order is fixed."""
        labels = [[_label(message) for message in side] for side in server]
        for tag, i, k, j, m in SequenceMatcher(None, labels[0], labels[1], autojunk=False).get_opcodes():
            if tag == "equal":
                for a, b in zip(server[0][i:k], server[1][j:m], strict=True):
                    self.messages(a, b)
                continue
            for label in labels[0][i:k]:
                self.add("missing", label)
            # a recording can stop at any message, so later messages of the mock are not compared
            for label in labels[1][j:m] if k < len(labels[0]) else ():
                self.add("extra", label)

    def messages(self, recorded: Mapping[str, Any], mock: Mapping[str, Any]) -> None:
        label = _label(recorded)
        mock_values, recorded_values = dict(_leaves(mock)), dict(_leaves(recorded))
        for path in recorded_values.keys() - mock_values.keys():
            self.add("key missing", label, path)
        if self.all_keys:
            for path in mock_values.keys() - recorded_values.keys():
                self.add("key extra", label, path)
        for path in recorded_values.keys() & mock_values.keys():
            self.value(label, path, recorded_values[path], mock_values[path])

    def value(self, label: str, path: str, recorded: Any, mock: Any) -> None:
        name = path.rsplit(".", 1)[-1]
        if recorded == _WITHHELD or path == "event_id":
            return
        if name not in _IDS or None in (recorded, mock):
            if recorded != mock:
                self.add("value", label, path, recorded, mock)
            return
        if self.mock_ids.setdefault(recorded, mock) != mock or self.recorded_ids.setdefault(mock, recorded) != recorded:
            self.add("id", label, path, recorded, mock)

    def client_order(self, recorded: Sequence[PassedMessage], mock: Sequence[PassedMessage]) -> None:
        """Compare the numbers of client messages before each rate_limits.updated, which has no fixed position."""
        counts = [list(_sent_before(side, "rate_limits.updated")) for side in (recorded, mock)]
        for recorded_count, mock_count in zip(*counts, strict=False):
            if recorded_count != mock_count:
                self.add("client", "rate_limits.updated", "", recorded_count, mock_count)


def _sent_before(messages: Sequence[PassedMessage], kind: str) -> Iterator[int]:
    sent = 0
    for by, message in messages:
        sent += by == "proxy" and not str(message.get("type")).startswith("input_audio_buffer.")
        if message.get("type") == kind:
            yield sent


def compare_recording(recording: Recording, upstream: RecordedModel) -> tuple[int, list[ApiDifference]]:
    """Play one recording to a mock and return (number of compared messages, differences)."""
    comparison = _Comparison(recording)
    messages = comparison.run(passed(recording), play(upstream, recording))
    return messages, comparison.found


# -- all ---------------------------------------------------------------------------------------------------------------


@dataclass
class ApiConformance:
    """The result of a comparison.

    Attributes:
        sessions: number of compared sessions per provider.
        messages: number of compared messages per provider.
        explained: row of `EXPLAINED` -> number of differences per provider.
        unexplained: differences without a row in `EXPLAINED`.
    """

    sessions: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    explained: dict[Explained, Counter[str]] = field(default_factory=dict)
    unexplained: list[ApiDifference] = field(default_factory=list)

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per provider: the numbers of sessions, messages, explained differences and other differences."""
        faults = Counter(each.provider for each in self.unexplained)
        return [
            {
                "provider": provider,
                "sessions": self.sessions[provider],
                "messages": self.messages[provider],
                "explained": sum(found[provider] for found in self.explained.values()),
                "differences": faults[provider],
            }
            for provider in sorted(self.sessions)
        ]


def conform_api(*providers: str, mock: Callable[[Recording], RecordedModel] = mock_for) -> ApiConformance:
    """Compare the mock with recordings of the real API and return the result.

    Args:
        providers: members of `COMPARED`; all of them if empty.
        mock: returns the mock for a recording.
    """
    result = ApiConformance()
    for recording in recordings_to_compare(*providers):
        provider = str(recording.provenance.get("provider"))
        messages, found = compare_recording(recording, mock(recording))
        result.sessions[provider] += 1
        result.messages[provider] += messages
        for difference in found:
            row = next((each for each in EXPLAINED if each.fits(difference)), None)
            if row is None:
                result.unexplained.append(difference)
            else:
                result.explained.setdefault(row, Counter())[provider] += 1
    return result
