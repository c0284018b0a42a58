"""The mock of the Realtime API against recordings of the real one (`data/api`): what the server sends, message by message.

Compared are the order of types, items and roles; the keys of every message (as paths); every value that is no withheld text;
and the ids: two places with one id in the recording have one id in the mock. Runs of deltas count as one. What the user said is
transcribed beside everything else, so those events are compared among themselves. Each difference is in `EXPLAINED` with its
reason, or it is a fault.
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

__all__ = ["COMPARED", "ApiConformance", "Difference", "compare_recording", "conform_api", "mock_for", "recordings_to_compare"]

#: The providers whose sessions are compared.
COMPARED: Final = tuple(PROVIDERS)

Kind = Literal["missing", "extra", "key missing", "key extra", "value", "id", "client"]

#: A text that the recording does not keep.
_WITHHELD: Final = "…"
_IDS: Final = ("id", "item_id", "response_id", "call_id", "previous_item_id", "conversation_id")


class Difference(NamedTuple):
    """One difference between a recording and the mock.

    Attributes:
        kind: a message that only the recording (``missing``) or only the mock (``extra``) has; a key of that sort; a value;
            an ``id`` that stands for two; a message before which the ``client`` had sent less or more.
        connection: the recording's name; `provider` and `model` of it.
        event: the message's type, with its item's type and role.
        path: of the key or value, as ``item.content[].text``.
        recorded, mock: what each has.
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
    """The sessions of one connection, in their provider's protocol, that have every message from the first on."""
    return [
        each
        for each in api_recordings(*(providers or COMPARED))
        if each.provenance.get("protocol") == PROVIDERS[str(each.provenance.get("provider"))].protocol
        and not each.provenance.get("breaks")
        and sum(event.type == realtime.SESSION_CREATED for event in each.events) <= 1
        and not str(each.provenance.get("connection")).startswith("log__")
    ]


def mock_for(recording: Recording) -> RecordedModel:
    """The mock as `voicerace` runs it, with the recording's provider."""
    provider = str(recording.provenance.get("provider"))
    # A session that was copied as a table has no settings: what it replied in says what they were.
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
    """A message's type, with the type and role of its item, by which messages are aligned."""
    item = realtime.item_of(message)
    # Only a message's role is compared as a part of what it is: xAI gives a call and its output one too.
    kinds = ("type", "role") if item.get("type") == "message" else ("type",)
    more = " ".join(str(item[key]) for key in kinds if item.get(key))
    part = message.get("part")
    if isinstance(part, Mapping) and message.get("type") == "response.content_part.added":
        more = str(part.get("type"))
    return f"{message.get('type')}({more})" if more else str(message.get("type"))


def _beside(message: Mapping[str, Any]) -> bool:
    """Whether a message is of the user's transcript, which comes at no fixed place among the others."""
    return str(message.get("type")).startswith("conversation.item.input_audio_transcription.")


def _condensed(messages: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Without deltas after the first of their kind and item."""
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
    """Every key as a path, with its value; the elements of a list share one path."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            at = f"{path}.{key}" if path else str(key)
            yield at, None if isinstance(inner, (Mapping, list)) else inner
            yield from _leaves(inner, at)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, f"{path}[]")


class _Comparison:
    """The comparison of one recording with what the mock sent."""

    def __init__(self, recording: Recording) -> None:
        about = recording.provenance
        self.about = (str(about.get("connection")), str(about.get("provider")), str(about.get("model")))
        self.all_keys = about.get("fields") == "all"
        self.ids: dict[Any, Any] = {}
        self.back: dict[Any, Any] = {}
        self.found: list[Difference] = []

    def add(self, kind: Kind, event: str, *more: Any) -> None:
        self.found.append(Difference(kind, *self.about, event, *more))

    def run(self, recorded: Sequence[PassedMessage], mock: Sequence[PassedMessage]) -> int:
        """Compare; gives how many of the recording's messages were compared."""
        server = [_condensed(each.message for each in side if each.by == "upstream") for side in (recorded, mock)]
        for beside in (False, True):
            self.stream(*([each for each in side if _beside(each) == beside] for side in server))
        self.client_order(recorded, mock)
        return len(server[0])

    def stream(self, *server: Sequence[Mapping[str, Any]]) -> None:
        """Compare messages that come in one order."""
        labels = [[_label(message) for message in side] for side in server]
        for tag, i, k, j, m in SequenceMatcher(None, labels[0], labels[1], autojunk=False).get_opcodes():
            if tag == "equal":
                for a, b in zip(server[0][i:k], server[1][j:m], strict=True):
                    self.messages(a, b)
                continue
            for label in labels[0][i:k]:
                self.add("missing", label)
            # A recording stops at any message; what the mock sends after its last is not compared.
            for label in labels[1][j:m] if k < len(labels[0]) else ():
                self.add("extra", label)

    def messages(self, recorded: Mapping[str, Any], mock: Mapping[str, Any]) -> None:
        label = _label(recorded)
        ours, theirs = dict(_leaves(mock)), dict(_leaves(recorded))
        for path in theirs.keys() - ours.keys():
            self.add("key missing", label, path)
        if self.all_keys:
            for path in ours.keys() - theirs.keys():
                self.add("key extra", label, path)
        for path in theirs.keys() & ours.keys():
            self.value(label, path, theirs[path], ours[path])

    def value(self, label: str, path: str, theirs: Any, ours: Any) -> None:
        name = path.rsplit(".", 1)[-1]
        if theirs == _WITHHELD or path == "event_id":
            return
        if name not in _IDS or None in (theirs, ours):
            if theirs != ours:
                self.add("value", label, path, theirs, ours)
            return
        if self.ids.setdefault(theirs, ours) != ours or self.back.setdefault(ours, theirs) != theirs:
            self.add("id", label, path, theirs, ours)

    def client_order(self, recorded: Sequence[PassedMessage], mock: Sequence[PassedMessage]) -> None:
        """How much the client had sent before each rate_limits.updated: it comes late enough to be overtaken."""
        counts = [list(_sent_before(side, "rate_limits.updated")) for side in (recorded, mock)]
        for theirs, ours in zip(*counts, strict=False):
            if theirs != ours:
                self.add("client", "rate_limits.updated", "", theirs, ours)


def _sent_before(messages: Sequence[PassedMessage], kind: str) -> Iterator[int]:
    sent = 0
    for by, message in messages:
        sent += by == "proxy" and not str(message.get("type")).startswith("input_audio_buffer.")
        if message.get("type") == kind:
            yield sent


def compare_recording(recording: Recording, upstream: RecordedModel) -> tuple[int, list[Difference]]:
    """Play one recording to a mock; how many messages were compared, and every difference."""
    comparison = _Comparison(recording)
    messages = comparison.run(passed(recording), play(upstream, recording))
    return messages, comparison.found


# -- all ---------------------------------------------------------------------------------------------------------------


@dataclass
class ApiConformance:
    """What was compared.

    Attributes:
        sessions, messages: per provider.
        explained: how many differences each row of `EXPLAINED` stands for.
        unexplained: the differences that no row explains.
    """

    sessions: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    explained: dict[Explained, Counter[str]] = field(default_factory=dict)
    unexplained: list[Difference] = field(default_factory=list)

    def rows(self) -> list[dict[str, Any]]:
        """One row per provider: sessions, messages, differences explained and not."""
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
    """Compare the mock with the recordings of some providers, or of all.

    Args:
        providers: of `COMPARED`.
        mock: makes the mock that a recording is compared with.
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
