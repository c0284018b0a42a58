"""Reads the signature of each finding from a recording: outcome, holder, writer, releasing event, number of results.

Explorations, replays and recordings from sockets use the same function. It adds two outcomes of a session to those of a tool
turn: ``wedged``, the last user input got no reply, and ``unconfigured``, no session.update was sent although
the host got SettingsApplied, or because its Settings were lost.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from voicerace.analysis.outcomes import Turn, Verdict
from voicerace.analysis.trace_index import TraceIndex, time_of
from voicerace.analysis.verdict import judge
from voicerace.experiments.explore.attribution import Attribution, ClientAttribution, CreateOrigin
from voicerace.model.catalog.clients import ClientRelease, Release
from voicerace.model.catalog.releases import ProxyRelease
from voicerace.model.protocol import input_audio, realtime
from voicerace.model.protocol.ledger import Create, Response
from voicerace.trace.recording import APP_TO_COMPONENT, PROXY_TO_UPSTREAM, Event, Recording

__all__ = ["Signature", "signatures"]

#: Maximum time in ns in which a running proxy handles a message and sends its answer.
_HANDLING_NS: Final = 50_000_000


class Signature(NamedTuple):
    """Path to a bad outcome.

    Attributes:
        outcome: outcome of the verdict, or ``wedged`` or ``unconfigured``.
        holder: response that held the slot at the refusal: ``calls``, ``reply to <writer>`` or ``server``. Empty without a
            refusal.
        writer: cause of the request that was refused, missing, or started the wrong response.
        cleared_by: input that the proxy handled when it sent the request or, for a missing request, the event that had passed.
        results: number of the turn's results that reached the upstream.
    """

    outcome: str
    holder: str
    writer: str
    cleared_by: str
    results: int


def signatures(
    recording: Recording, release: Release, verdict: Verdict | None = None, *, before_ns: int | None = None
) -> tuple[Signature, ...]:
    """Return the bad paths in a recording of one session, in the order of its turns.

    Args:
        recording: the recording.
        release: release of the proxy, or the client's row.
        verdict: verdict of the recording, if known.
        before_ns: return only paths of tool turns that were decided by this time, and no path of the session. None returns all.
    """
    reader = _Reader(recording, release)
    verdict = verdict or judge(recording)
    bad = [turn for turn in verdict.turns if turn.bad]
    if before_ns is not None:
        bad = [t for t in bad if all(time_of(reader.index.by_seq[seq], "upstream") <= before_ns for seq in t.events)]
        return tuple(dict.fromkeys(map(reader.turn, bad)))
    found = [reader.turn(turn) for turn in bad]
    applied = any(e.link.sender == "proxy" and e.type == "SettingsApplied" for e in recording.events)
    if verdict.session_updates == 0 and (applied or reader.index.ledger.responses):
        found.append(Signature("unconfigured", "", "Settings", "" if applied else "not applied", 0))
    if verdict.wedged:
        found.append(reader.wedged())
    return tuple(dict.fromkeys(found))


def _handled(sent_ns: int, arrivals: Sequence[int]) -> int:
    """Return when the input arrived that a proxy on a real clock handled when it sent a message, or `sent_ns` if unknown."""
    before = bisect_right(arrivals, sent_ns)
    return arrivals[before - 1] if before and sent_ns - arrivals[before - 1] <= _HANDLING_NS else sent_ns


def _in_order(arrived: list[Event], sent: Sequence[Event]) -> list[Event]:
    """Return messages that arrived at one time in the order in which the virtual engine lets the proxy handle them.

    Those of the upstream come first, except the answers to a message that the proxy `sent` at this time.
    """

    def position(event: Event) -> tuple[int, bool, int]:
        return sum(each.seq < event.seq for each in sent), event.link.sender != "upstream", event.seq

    return arrived if len(arrived) < 2 else sorted(arrived, key=position)


def _handle(gate: Attribution, arrived: deque[Event]) -> None:
    event = arrived.popleft()
    gate.handles(event.link.sender, event.payload)


def _handle_cause(gate: Attribution, arrived: deque[Event], sent: Event, release: ProxyRelease) -> None:
    """Handle messages that arrived at one time up to the one that the proxy answered with `sent`."""
    if sent.type == realtime.RESPONSE_CREATE:
        while arrived and not gate.explains(release):
            _handle(gate, arrived)
        return
    payload = sent.payload if isinstance(sent.payload, dict) else {}
    item = realtime.item_of(payload) if sent.type == realtime.ITEM_CREATE else {}
    call_id = item.get("call_id") if item.get("type") == "function_call_output" else None
    answered = "FunctionCallResponse" if call_id is not None else "InjectUserMessage" if item.get("role") == "user" else ""
    wanted = [
        position
        for position, event in enumerate(arrived)
        if event.type == answered
        and (call_id is None or (isinstance(event.payload, dict) and event.payload.get("id") == call_id))
    ]
    for _ in range(wanted[0] + 1 if wanted else 1 if not answered and gate.sent == "" and arrived else 0):
        _handle(gate, arrived)


class _Reader:
    """Finds the origins of the requests in a recording."""

    def __init__(self, recording: Recording, release: Release) -> None:
        self.index = TraceIndex(recording)
        self.origins: dict[int, CreateOrigin] = {}
        self.missed: dict[int, tuple[str, str]] = {}
        if isinstance(release, ClientRelease):
            self._read_client(recording, release)
        else:
            self._read(recording, release)

    def _read_client(self, recording: Recording, release: ClientRelease) -> None:
        """Attribute the messages of a client, in order of time."""
        gate = ClientAttribution()
        events = [(event.at_ns("proxy"), event) for event in recording.events if event.kind == "message"]
        # At equal times the client handles a message before it sends one.
        for _, event in sorted(
            ((at, e) for at, e in events if at is not None), key=lambda each: (each[0], each[1].link[0] == "proxy")
        ):
            if event.link != PROXY_TO_UPSTREAM:
                gate.handles(event.link.sender, event.payload)
            elif (origin := gate.sends(event.payload, release)) is not None:
                self.origins[event.seq] = origin
            elif gate.sent == "function_call_output":
                self.missed[event.seq] = (gate.result, gate.missed)

    def _read(self, recording: Recording, release: ProxyRelease) -> None:
        """Attribute the messages from and to the proxy, in order of time."""
        gate = Attribution()
        came: dict[int, list[Event]] = {}
        sent_at: dict[int, list[Event]] = {}
        out: list[tuple[int, Event]] = []
        for event in recording.events:
            if event.kind != "message":
                continue
            if event.link.receiver == "proxy" and event.received_ns is not None:
                came.setdefault(event.received_ns, []).append(event)
            elif event.link == PROXY_TO_UPSTREAM and event.sent_ns is not None:
                out.append((event.sent_ns, event))
        arrivals = sorted(came)
        handled, before = 0, ""
        for at, event in sorted(out, key=lambda each: each[0]):
            # A commit and its request are sent together (docs/release-facts.md#user-audio), even if an input arrives between
            # them.
            if not (before == input_audio.COMMIT and event.type == realtime.RESPONSE_CREATE):
                handled = _handled(at, arrivals) if recording.clock == "monotonic" else at
            sent_at.setdefault(handled, []).append(event)
            before = event.type
        for now in sorted({*came, *sent_at}):
            sent = sent_at.get(now, [])
            arrived = deque(_in_order(came.get(now, []), sent))
            if sent and not arrived:
                audio = any(each.type in (input_audio.COMMIT, input_audio.APPEND) for each in sent)
                gate.timer_ended("audio_quiet" if audio else "recovery" if release.gate is None else "gate")
            elif arrived:
                gate.timer_ended("")  # an earlier input is no cause
            for event in sent:
                _handle_cause(gate, arrived, event, release)
                if (origin := gate.sends(event.payload, release)) is not None:
                    self.origins[event.seq] = origin
                elif gate.sent == "function_call_output":
                    self.missed[event.seq] = (gate.result, gate.missed)
            while arrived:
                _handle(gate, arrived)

    # -- one finding -------------------------------------------------------------------------------------------------

    def turn(self, turn: Turn) -> Signature:
        """Return the signature of a turn's outcome."""
        ledger = self.index.ledger
        refused = [c for c in ledger.creates if c.answer == "refused" and c.answered in turn.events]
        heard = [r for r in ledger.responses.values() if r.heard in turn.events]
        if turn.outcome in ("rejected", "lost", "noisy") and refused:
            wanted = [c for c in refused if self._origin(c).writer != "user text"] or refused
            create = wanted[0]
            origin = self._origin(create)
            return Signature(turn.outcome, self._holder(create), origin.writer, origin.by, turn.submissions)
        if turn.outcome in ("duplicated", "stale", "late", "interrupted") and heard:
            if turn.outcome == "duplicated":
                reply = heard[-1]
            elif turn.outcome == "stale":
                reply = heard[0]
            else:
                calls = list(turn.calls)
                reply = next((r for r in heard if ledger.informed(r, calls)), heard[0])
            origin = self._origin_of_reply(reply)
            return Signature(turn.outcome, "", origin.writer, origin.by, turn.submissions)
        outputs = [key for key in turn.events if key in self.missed]
        writer, passed = self.missed[outputs[-1]] if outputs else ("result", "")
        if turn.outcome == "failed":
            last = [c for c in ledger.creates if c.key in turn.events]
            if last:
                origin = self._origin(last[-1])
                return Signature("failed", last[-1].answer, origin.writer, origin.by, turn.submissions)
        return Signature(turn.outcome, "", writer, passed, turn.submissions)

    def wedged(self) -> Signature:
        """Return the signature of a session whose last user input got no reply."""
        index, ledger = self.index, self.index.ledger
        if not ledger.inputs or self._lost_input():
            return Signature("wedged", "", "user audio" if self._spoke() else "user text", "never sent", 0)
        last = index.order[ledger.inputs[-1].key]
        creates = [c for c in ledger.creates if index.order[c.key] > last]
        refused = [c for c in creates if c.answer == "refused"]
        if refused:
            origin = self._origin(refused[-1])
            return Signature("wedged", self._holder(refused[-1]), origin.writer, origin.by, 0)
        writer = "user text" if ledger.inputs[-1].text is not None else "user audio"
        return Signature("wedged", "", writer, "no create" if not creates else "no reply", 0)

    def _lost_input(self) -> bool:
        """Return whether an input of the user, or of the app for the user, did not become an item."""
        events = self.index.recording.events
        said = sum(e.link.sender == "user" and e.type in ("say", "speak") for e in events)
        written = sum(e.link.sender == "user" and e.type == "say" for e in events)
        by_app = sum(e.link == APP_TO_COMPONENT and e.type == "injectUserMessage" for e in events) - written
        return said + max(by_app, 0) > len(self.index.ledger.inputs)

    def _spoke(self) -> bool:
        inputs = [e.type for e in self.index.recording.events if e.link.sender == "user" and e.type in ("say", "speak")]
        return bool(inputs) and "speak" in inputs

    def _origin(self, create: Create) -> CreateOrigin:
        return self.origins.get(create.key, CreateOrigin("unknown", ""))

    def _origin_of_reply(self, reply: Response) -> CreateOrigin:
        return (
            CreateOrigin("server", "server") if reply.create is None else self._origin(self.index.ledger.creates[reply.create])
        )

    def _holder(self, create: Create) -> str:
        """Return what held the slot at the refusal of a request."""
        response = self.index.ledger.responses.get(create.names or "")
        if response is None:
            return "unknown"
        if response.calls:
            return "calls"
        writer = self._origin_of_reply(response).writer
        return "server" if writer == "server" else f"reply to {writer}"
