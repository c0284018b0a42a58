"""What tells one finding from another, read off a recording: outcome, holder, writer, releasing event, number of results.

The same function names what the explorer found, what a replay showed and what was recorded at real sockets. It adds two
things to the verdict's outcomes, because both are told of and neither is a tool turn's: ``wedged``, a session whose last
user input gets no reply, and ``unconfigured``, a session whose Settings look applied while no session.update was ever sent.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, NamedTuple

from voicerace.analysis.outcomes import Turn, Verdict
from voicerace.analysis.trace_index import TraceIndex, time_of
from voicerace.analysis.verdict import judge
from voicerace.experiments.explore.attribution import Attribution, CreateOrigin
from voicerace.model.catalog.releases import ProxyRelease
from voicerace.model.protocol import input_audio, realtime
from voicerace.model.protocol.ledger import Create, Response
from voicerace.trace.recording import APP_TO_COMPONENT, PROXY_TO_UPSTREAM, Event, Recording

__all__ = ["Signature", "signatures"]

#: A running proxy has handled what came, and what it sends then has come, within this time.
_HANDLING_NS: Final = 50_000_000


class Signature(NamedTuple):
    """A path to a bad outcome.

    Attributes:
        outcome: the verdict's, or ``wedged``, ``unconfigured``.
        holder: what held the slot at the refusal: ``calls``, ``reply to <writer>``, ``server``; empty without one.
        writer: who wanted the create that was refused, or never sent, or that began what was wrong.
        cleared_by: what the proxy was handling when it sent that create, or for a missing one the event that had passed.
        results: results of the turn that reached the upstream.
    """

    outcome: str
    holder: str
    writer: str
    cleared_by: str
    results: int


def signatures(
    recording: Recording, release: ProxyRelease, verdict: Verdict | None = None, *, before_ns: int | None = None
) -> tuple[Signature, ...]:
    """The bad paths in a recording of one session, in the order of its turns; none when all is well.

    Args:
        before_ns: only of the tool turns that were decided before; nothing of the session as a whole.
    """
    reader = _Reader(recording, release)
    verdict = verdict or judge(recording)
    bad = [turn for turn in verdict.turns if turn.bad]
    if before_ns is not None:
        bad = [t for t in bad if all(time_of(reader.passage.by_seq[seq], "upstream") <= before_ns for seq in t.events)]
        return tuple(dict.fromkeys(map(reader.turn, bad)))
    found = [reader.turn(turn) for turn in bad]
    applied = any(e.link.sender == "proxy" and e.type == "SettingsApplied" for e in recording.events)
    if verdict.session_updates == 0 and applied:
        found.append(Signature("unconfigured", "", "Settings", "", 0))
    if verdict.wedged:
        found.append(reader.wedged())
    return tuple(dict.fromkeys(found))


def _handled(sent_ns: int, arrivals: Sequence[int]) -> int:
    """When there came what a proxy on a real clock was handling when it sent something; without one, when it sent it."""
    before = bisect_right(arrivals, sent_ns)
    return arrivals[before - 1] if before and sent_ns - arrivals[before - 1] <= _HANDLING_NS else sent_ns


class _Reader:
    """The creates of a recording, each with who wanted it."""

    def __init__(self, recording: Recording, release: ProxyRelease) -> None:
        self.passage = TraceIndex(recording)
        self.asked: dict[int, CreateOrigin] = {}
        self.missed: dict[int, tuple[str, str]] = {}
        self._read(recording, release)

    def _read(self, recording: Recording, release: ProxyRelease) -> None:
        """Go through what came to the proxy and what it sent upstream, instant by instant."""
        gate = Attribution()
        came: dict[int, list[Event]] = {}
        went: dict[int, list[Event]] = {}
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
            # A commit and its create are sent at once (docs/release-facts.md#user-audio), whatever comes between them live.
            if not (before == input_audio.COMMIT and event.type == realtime.RESPONSE_CREATE):
                handled = _handled(at, arrivals) if recording.clock == "monotonic" else at
            went.setdefault(handled, []).append(event)
            before = event.type
        for now in sorted({*came, *went}):
            arrived = came.get(now, [])
            for index, event in enumerate(arrived):
                gate.handles(event.link.sender, event.payload, together=index > 0)
            sent = went.get(now, [])
            if sent and not arrived:
                audio = any(each.type in (input_audio.COMMIT, input_audio.APPEND) for each in sent)
                gate.rings("audio_quiet" if audio else "recovery")
            for event in sent:
                if (asked := gate.sends(event.payload, release.create_on)) is not None:
                    self.asked[event.seq] = asked
                elif gate.sent == "function_call_output":
                    self.missed[event.seq] = (gate.result, gate.missed)

    # -- one finding -------------------------------------------------------------------------------------------------

    def turn(self, turn: Turn) -> Signature:
        """The path to a turn's outcome."""
        ledger = self.passage.ledger
        refused = [c for c in ledger.creates if c.answer == "refused" and c.answered in turn.events]
        heard = [r for r in ledger.responses.values() if r.heard in turn.events]
        if turn.outcome in ("rejected", "lost", "noisy") and refused:
            wanted = [c for c in refused if self._of(c).writer != "user text"] or refused
            create = wanted[0]
            asked = self._of(create)
            return Signature(turn.outcome, self._holder(create), asked.writer, asked.by, turn.submissions)
        if turn.outcome in ("duplicated", "stale", "late", "interrupted") and heard:
            if turn.outcome == "duplicated":
                reply = heard[-1]
            elif turn.outcome == "stale":
                reply = heard[0]
            else:
                calls = list(turn.calls)
                reply = next((r for r in heard if ledger.informed(r, calls)), heard[0])
            asked = self._began(reply)
            return Signature(turn.outcome, "", asked.writer, asked.by, turn.submissions)
        outputs = [key for key in turn.events if key in self.missed]
        writer, passed = self.missed[outputs[-1]] if outputs else ("result", "")
        if turn.outcome == "failed":
            last = [c for c in ledger.creates if c.key in turn.events]
            if last:
                asked = self._of(last[-1])
                return Signature("failed", last[-1].answer, asked.writer, asked.by, turn.submissions)
        return Signature(turn.outcome, "", writer, passed, turn.submissions)

    def wedged(self) -> Signature:
        """Why the last user input got no reply."""
        passage, ledger = self.passage, self.passage.ledger
        if not ledger.inputs or self._lost_input():
            return Signature("wedged", "", "user audio" if self._spoke() else "user text", "never sent", 0)
        last = passage.order[ledger.inputs[-1].key]
        creates = [c for c in ledger.creates if passage.order[c.key] > last]
        refused = [c for c in creates if c.answer == "refused"]
        if refused:
            asked = self._of(refused[-1])
            return Signature("wedged", self._holder(refused[-1]), asked.writer, asked.by, 0)
        writer = "user text" if ledger.inputs[-1].text is not None else "user audio"
        return Signature("wedged", "", writer, "no create" if not creates else "no reply", 0)

    def _lost_input(self) -> bool:
        """Whether something the user said, or the app in the user's name, never became an item."""
        events = self.passage.recording.events
        said = sum(e.link.sender == "user" and e.type in ("say", "speak") for e in events)
        written = sum(e.link.sender == "user" and e.type == "say" for e in events)
        by_app = sum(e.link == APP_TO_COMPONENT and e.type == "injectUserMessage" for e in events) - written
        return said + max(by_app, 0) > len(self.passage.ledger.inputs)

    def _spoke(self) -> bool:
        words = [e.type for e in self.passage.recording.events if e.link.sender == "user" and e.type in ("say", "speak")]
        return bool(words) and "speak" in words

    def _of(self, create: Create) -> CreateOrigin:
        return self.asked.get(create.key, CreateOrigin("unknown", ""))

    def _began(self, reply: Response) -> CreateOrigin:
        return CreateOrigin("server", "server") if reply.create is None else self._of(self.passage.ledger.creates[reply.create])

    def _holder(self, create: Create) -> str:
        """What was in the way of a refused create."""
        response = self.passage.ledger.responses.get(create.names or "")
        if response is None:
            return "unknown"
        if response.calls:
            return "calls"
        writer = self._began(response).writer
        return "server" if writer == "server" else f"reply to {writer}"
