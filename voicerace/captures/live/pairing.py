"""Pair the recorded connections of a proxy into sessions. A proxy opens one upstream connection per host connection.

Pairs are chosen by three criteria. Times: upstream connections are opened in the order of the host connections, each while its
host connection is open. Contents: a message on one connection has the content of its cause, an earlier message on the other
connection. User texts and results go from the host to the API, function calls from the API to the host. Delays: among pairs
with equal contents, the pair with the shorter delay between cause and effect is chosen. An uncertain pair has a note.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from voicerace.model.protocol import realtime
from voicerace.trace.recording import Event, Recording

__all__ = ["PairedSession", "Trace", "joined", "pair", "trace"]

GUESSED: Final = "several sessions ran at once and their contents are alike: that these connections belong together is a guess"
MISFIT: Final = "the contents of the host's and the upstream's connection do not fit: that they belong together is a guess"


class SharedContent(NamedTuple):
    """Content of a message that the proxy forwards: a user text, the id of a function call, or the call id of a result."""

    kind: str
    key: str


@dataclass(frozen=True)
class Trace:
    """Properties of a connection that identify its session. Times are in ns on the capture's clock.

    Attributes:
        path: file of the connection's recording.
        side: ``host`` or ``upstream``.
        opened_ns: time when the connection was opened.
        ended_ns: time when the connection ended; None if it stayed open.
        contents: (time at the proxy, content) of each message with a `SharedContent`, in order.
    """

    path: Path
    side: str
    opened_ns: int
    ended_ns: int | None
    contents: tuple[tuple[int, SharedContent], ...] = ()

    def opens_during(self, other: Trace) -> bool:
        return other.opened_ns <= self.opened_ns and (other.ended_ns is None or self.opened_ns <= other.ended_ns)


@dataclass(frozen=True)
class PairedSession:
    """The connections of one session, the host's first, and a note if the pairing is uncertain."""

    traces: tuple[Trace, ...]
    note: str | None = None


class _Fit(NamedTuple):
    """Number of effects with a cause minus number of effects without a cause, and mean delay from cause to effect in ns."""

    net: int
    delay_ns: float


def trace(path: Path, recording: Recording) -> Trace:
    """Extract the properties of a connection from its recording."""
    opened = int(recording.provenance.get("opened_ns", 0))
    times = [at for event in recording.events if (at := event.at_ns("proxy")) is not None]
    ended = any(event.kind != "message" for event in recording.events)
    return Trace(
        path,
        str(recording.provenance.get("side")),
        opened,
        opened + max(times, default=0) if ended else None,
        tuple((opened + (event.at_ns("proxy") or 0), content) for event in recording.events for content in _contents(event)),
    )


def pair(traces: Sequence[Trace]) -> list[PairedSession]:
    """Return the sessions in order of their start. An unmatched connection is a separate session."""
    hosts = sorted((each for each in traces if each.side == "host"), key=lambda each: each.opened_ns)
    upstreams = sorted((each for each in traces if each.side == "upstream"), key=lambda each: each.opened_ns)
    tried = {(h, u): _fit(host, up) for h, host in enumerate(hosts) for u, up in enumerate(upstreams)}
    fits = {each: fit for each, fit in tried.items() if fit is not None}
    # Choose the best fit first; among equal fits, the oldest upstream connection and the oldest unmatched host connection.
    chosen: dict[int, int] = {}
    taken: set[int] = set()
    for h, u in sorted(fits, key=lambda each: (-fits[each].net, fits[each].delay_ns, each[1], each[0])):
        if h not in chosen and u not in taken:
            chosen[h] = u
            taken.add(u)
    further: dict[int, list[Trace]] = defaultdict(list)
    alone = []
    for u in sorted(set(range(len(upstreams))) - taken):
        # Either the proxy reconnected, or the host's connection was not captured.
        up = upstreams[u]
        again = [h for h in chosen if (h, u) in fits and (fits[h, u].net > 0 or not _overlap(up, upstreams[chosen[h]]))]
        if again:
            further[max(again, key=lambda h: fits[h, u].net)].append(up)
        else:
            alone.append(PairedSession((up,)))
    sessions = []
    for h, host in enumerate(hosts):
        own = sorted([upstreams[chosen[h]], *further[h]], key=lambda each: each.opened_ns) if h in chosen else ()
        sessions.append(PairedSession((host, *own), _doubt(h, chosen, fits)))
    return sorted([*sessions, *alone], key=lambda each: min(one.opened_ns for one in each.traces))


def _doubt(h: int, chosen: Mapping[int, int], fits: Mapping[tuple[int, int], _Fit]) -> str | None:
    """Return why the pair of host `h` is uncertain: contents differ or another pairing fits equally. None if certain."""
    if h not in chosen:
        return None
    u = chosen[h]
    if fits[h, u].net < 0:
        return MISFIT
    for other in {each for each, _ in fits} - {h}:
        other_up = chosen.get(other)
        if (other, u) not in fits or (other_up is not None and (h, other_up) not in fits):
            continue
        swapped = fits[other, u].net + (fits[h, other_up].net if other_up is not None else 0)
        if swapped >= fits[h, u].net + (fits[other, other_up].net if other_up is not None else 0):
            return GUESSED
    return None


def _fit(host: Trace, upstream: Trace) -> _Fit | None:
    """Return the fit of two connections; None if they cannot belong to one session."""
    if not _overlap(host, upstream):
        return None
    effects = without = delay = 0
    causes: dict[SharedContent, list[int]] = defaultdict(list)
    # Sort a cause before an effect with the same time.
    both = [(at, content.kind == "call", content) for at, content in host.contents]
    both += [(at, content.kind != "call", content) for at, content in upstream.contents]
    for at, is_effect, content in sorted(both):
        if not is_effect:
            causes[content].append(at)
        elif waiting := causes[content]:
            effects += 1
            delay += at - waiting.pop(0)
        else:
            without += 1
    net = effects - without
    # If the upstream connection was opened before the host's, only contents can show that they belong to one session.
    return _Fit(net, delay / max(1, effects)) if upstream.opens_during(host) or net > 0 else None


def _overlap(one: Trace, other: Trace) -> bool:
    return one.opens_during(other) or other.opens_during(one)


def _contents(event: Event) -> Iterator[SharedContent]:
    payload = event.payload
    if event.kind != "message" or not isinstance(payload, Mapping):
        return
    match (event.link.sender, payload.get("type")):
        case ("component", "InjectUserMessage"):
            yield SharedContent("text", str(payload.get("content")))
        case ("component", "Settings"):
            # The proxy sends the history in Settings to the API as conversation items.
            for message in _list(_map(_map(payload.get("agent")).get("context")).get("messages")):
                if _map(message).get("role") == "user":
                    yield SharedContent("text", str(_map(message).get("content")))
        case ("component", "FunctionCallResponse"):
            yield SharedContent("result", str(payload.get("id")))
        case ("proxy", "FunctionCallRequest"):
            for call in _list(payload.get("functions")):
                yield SharedContent("call", str(_map(call).get("id")))
        case ("proxy", realtime.ITEM_CREATE):
            item = realtime.item_of(payload)
            if item.get("type") == "function_call_output":
                yield SharedContent("result", str(item.get("call_id")))
            elif item.get("role") == "user":
                yield from (SharedContent("text", str(_map(each).get("text"))) for each in _list(item.get("content"))[:1])
        case ("upstream", realtime.ARGUMENTS_DONE):
            yield SharedContent("call", str(payload.get("call_id")))


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def joined(recordings: Sequence[Recording], number: int, note: str | None = None) -> Recording:
    """Join the recordings of a session's connections. Times are counted from the opening of the first connection.

    Args:
        recordings: recordings of the connections, the host's first.
        number: number of the session, used in its name.
        note: reason why the pairing is uncertain; None if it is certain.
    """
    opened = [int(each.provenance.get("opened_ns", 0)) for each in recordings]
    first = min(opened)
    moved = [
        (since + (event.sent_ns or 0), position, event, since)
        for position, (recording, since) in enumerate(zip(recordings, (each - first for each in opened), strict=True))
        for event in sorted(recording.events, key=lambda event: event.seq)
    ]
    events = tuple(
        replace(
            event,
            seq=seq,
            sent_ns=None if event.sent_ns is None else event.sent_ns + since,
            received_ns=None if event.received_ns is None else event.received_ns + since,
        )
        for seq, (_, _, event, since) in enumerate(sorted(moved, key=lambda each: each[:2]))
    )
    earliest = recordings[opened.index(first)].provenance
    own = {name: value for name, value in earliest.items() if name not in ("side", "opened_ns", "connection", "client")}
    connections = [
        {"side": each.provenance.get("side"), "opened_ns": since - first}
        | {name: value for name, value in each.provenance.items() if name == "client"}
        for each, since in zip(recordings, opened, strict=True)
    ]
    return Recording(
        events=events,
        provenance={**own, "connection": f"session {number}", "connections": connections},
        clock="monotonic",
        observed=tuple(dict.fromkeys(link for each in recordings for link in each.observed)),
        complete=all(each.complete for each in recordings),
        notes=(*(note for each in recordings for note in each.notes), *([note] if note else ())),
    )
