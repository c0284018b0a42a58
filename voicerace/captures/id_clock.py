"""Decode the time at which the Realtime API generated an id from the id's characters, with an error of up to 1 s.

In ids of OpenAI and Azure OpenAI, the five characters after ``event_``, ``resp_``, ``item_`` and ``sess_`` are a number of
seconds since 2019-12-20 in base 62 (digits, capitals, small letters). `session.expires_at` is the time in the session's id plus
one hour in 24 of 29 recorded sessions, and one second later in 5 (``data/api``, ``tests/test_id_clock.py``). OpenAI does not
document the format, so `read_ids` decodes a session only if its ids agree with each other:

- at least two ids of the API have the format, and each contains a plausible date;
- all times lie within `LONGEST_S` (two random ids do so with a probability of 1/60,000); - the times in ids of events and
responses, in the order of first arrival, never decrease by more than `SPREAD_S`; - no id in a message is more than `SPREAD_S`
newer than the message's own event id.

Ids that a client sent are ignored, since the API repeats them. xAI's ids are UUIDs and are not decoded. Azure Voice Live uses
random event ids together with OpenAI's response ids. These ids disagree, so its sessions are not decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from voicerace.model.protocol import realtime
from voicerace.trace.recording import Event, Recording

__all__ = ["LIFETIME_S", "LONGEST_S", "SPREAD_S", "IdClock", "RefusedAge", "read_ids", "second_of"]

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#: Unix time in seconds of the five characters 00000.
_EPOCH: Final = 1_576_800_000
#: Pattern of an id with a time, followed by 16 characters, or in ``data/api`` by an underscore and a short name.
_ID: Final = re.compile(r"(event|resp|item|sess)_([0-9A-Za-z]{5})(?:[0-9A-Za-z]{16}|_[a-z]\d+)")
#: First plausible Unix time in seconds: the Realtime API was released in October 2024.
_FIRST: Final = int(datetime(2024, 9, 1, tzinfo=UTC).timestamp())
_LAST: Final = int(datetime(2040, 1, 1, tzinfo=UTC).timestamp())
#: `session.expires_at` minus the time in the session's id, in seconds.
LIFETIME_S: Final = 3600
LONGEST_S: Final = LIFETIME_S + 300
#: Maximum difference in seconds between the times in ids that were generated in the same second.
SPREAD_S: Final = 2
#: Fields of a message that contain an id.
_OWN: Final = ("event_id", "response_id", "item_id")


def second_of(identifier: object) -> int | None:
    """Return the Unix time in an id in seconds; None if the id has another format or no plausible date.

    A random id can match the format, so the time in a single id is uncertain. `read_ids` compares all ids of a session.
    """
    found = _ID.fullmatch(identifier) if isinstance(identifier, str) else None
    if found is None:
        return None
    seconds = 0
    for each in found[2]:
        seconds = seconds * 62 + _DIGITS.index(each)
    return seconds + _EPOCH if _FIRST <= seconds + _EPOCH < _LAST else None


@dataclass(frozen=True, slots=True)
class RefusedAge:
    """Age of an active response at the refusal that names it.

    Attributes:
        seq: seq of the refusal.
        age_s: time in the refusal's event id minus the time in the active response's id, in whole seconds.
    """

    seq: int
    age_s: int


@dataclass(frozen=True)
class IdClock:
    """Times decoded from the ids of one session.

    Attributes:
        seconds: seq of an event -> Unix time in seconds, from its event id, or from the response's id in a
            response.created.
        ids: number of decoded ids.
        refused: age of the active response for each refusal that names the response.
        offset_s: the capture's absolute clock minus the time in the ids in seconds. This is the minimum over all events,
            because messages arrive after their ids are generated; None if the capture has no absolute time.
    """

    seconds: Mapping[int, int]
    ids: int
    refused: tuple[RefusedAge, ...]
    offset_s: float | None

    @property
    def start(self) -> int:
        """Return the earliest Unix time in the ids in seconds."""
        return min(self.seconds.values())

    @property
    def end(self) -> int:
        """Return the latest Unix time in the ids in seconds."""
        return max(self.seconds.values())


def read_ids(recording: Recording) -> IdClock | None:
    """Decode the times in the ids of one session; return None if the ids disagree or are missing."""
    client_ids = frozenset(_client_ids(recording))
    newest: int | None = None
    seconds: dict[int, int] = {}
    made: dict[str, int] = {}
    for event in _came(recording):
        own: int | None = None  # time in the event id of this message
        for key, identifier in _ids_of(event):
            if identifier in made or identifier in client_ids or (shape := _ID.fullmatch(identifier)) is None:
                continue
            at = second_of(identifier)
            if at is None or (own is not None and at > own + SPREAD_S):
                return None  # the date is not plausible, or is newer than the message
            made[identifier] = at
            if key == "event_id":
                own = at
            if shape[1] in ("event", "resp"):
                if newest is not None and at < newest - SPREAD_S:
                    return None
                newest = max(at, newest or at)
            if key == "event_id" or (key == "response" and event.type == realtime.RESPONSE_CREATED):
                seconds.setdefault(event.seq, at)
    if len(made) < 2 or not seconds or max(made.values()) - min(made.values()) > LONGEST_S:
        return None
    refused = tuple(_refused(recording, seconds, max(made.values())))
    return IdClock(seconds, len(made), refused, _offset(recording, seconds))


def _came(recording: Recording) -> Iterator[Event]:
    """Yield the messages of the API in the order of the recording."""
    return (e for e in recording.events if e.link.sender == "upstream" and isinstance(e.payload, Mapping))


def _ids_of(event: Event) -> Iterator[tuple[str, str]]:
    """Yield (field, id) for each id in a message. For an id in a nested object, `field` is the object's field."""
    message: Any = event.payload
    for key in _OWN:
        yield key, str(message.get(key))
    for key in ("session", "response", "item"):
        inner = message.get(key)
        if isinstance(inner, Mapping):
            yield key, str(inner.get("id"))


def _client_ids(recording: Recording) -> Iterator[str]:
    """Yield the ids that a client sent."""
    for event in recording.events:
        if event.link.receiver == "upstream" and isinstance(event.payload, Mapping):
            for _, identifier in _ids_of(event):
                yield identifier


def _refused(recording: Recording, seconds: Mapping[int, int], last: int) -> Iterator[RefusedAge]:
    for event in _came(recording):
        message: Any = event.payload
        if event.seq in seconds and realtime.is_refusal(message):
            made = second_of(realtime.response_named_by(message))
            # The response can be older than the capture, but not older than the session.
            if made is not None and last - LONGEST_S <= made <= seconds[event.seq] + SPREAD_S:
                yield RefusedAge(event.seq, max(0, seconds[event.seq] - made))


def _offset(recording: Recording, seconds: Mapping[int, int]) -> float | None:
    zero = recording.provenance.get("file_start_us")
    if not isinstance(zero, int) or isinstance(zero, bool):
        return None
    by_seq = {event.seq: event.received_ns for event in recording.events}
    found = [zero / 1e6 + at / 1e9 - made for seq, made in seconds.items() if (at := by_seq[seq]) is not None]
    return min(found, default=None)
