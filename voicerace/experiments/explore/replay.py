"""A finding once more, by its schedule, in virtual time or at sockets: the same verdict, or the exploration is wrong.

At sockets our actors keep the schedule: the user, the app, the component, the upstream, and the links to the proxy. The
proxy has its own times. A real clock disturbs what was planned to the microsecond, so a finding has more than one try; a
try in which the messages came in another order than planned is told from one in which the proxy did something else.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from voicerace.analysis.outcomes import Verdict
from voicerace.analysis.verdict import judge
from voicerace.engine.schedule import AT_SOCKETS_NS
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import VirtualEngine
from voicerace.errors import one_of
from voicerace.experiments.explore.finding import Finding
from voicerace.experiments.explore.schedule_check import Deviation, slip_of
from voicerace.experiments.explore.signature import Signature, signatures
from voicerace.experiments.explore.stories import STORIES, session_of, stories
from voicerace.model.catalog.releases import ProxyRelease
from voicerace.model.parameters import Times
from voicerace.trace.recording import Recording

if TYPE_CHECKING:
    from voicerace.engine.live.play import Live

__all__ = ["Replay", "judged", "replayed", "replays", "session_for"]

#: Side by side at sockets, in the first try and the later ones: sessions disturb each other.
_AT_ONCE: Final = (6, 3, 1)
#: Messages of a link are kept apart at sockets, so that a program has answered one before the next comes; where a finding
#: leaves no room for that, by less.
_APART_NS: Final = (AT_SOCKETS_NS, 1_000_000, 500_000, 200_000)


@dataclass(frozen=True)
class Replay:
    """What a finding came to.

    Attributes:
        recording, verdict, signatures: of the last try; the bad paths in it.
        tries, confirmed: so many, and how many of them came to what the finding says.
        slip: of a last try that did not: where it first left the schedule.
    """

    finding: Finding
    recording: Recording
    verdict: Verdict
    signatures: tuple[Signature, ...]
    tries: int
    confirmed: int
    slip: Deviation | None = None

    @property
    def came_to(self) -> Literal["confirmed", "not confirmed", "order not kept"]:
        """In a word; the last says nothing of the finding: the machine was too busy for the room that it leaves."""
        if self.confirmed:
            return "confirmed"
        return "order not kept" if self.slip is not None and self.slip.order else "not confirmed"

    def to_json(self) -> dict[str, Any]:
        verdict = self.verdict
        return {
            "name": self.finding.name,
            "confirmed": self.confirmed > 0,
            "came_to": self.came_to,
            "tries": self.tries,
            "tries_confirmed": self.confirmed,
            "expected": self.finding.signature._asdict(),
            "found": [each._asdict() for each in self.signatures],
            "slip": self.slip.to_json() if self.slip is not None else None,
            "outcome": verdict.outcome,
            "wedged": verdict.wedged,
            "why": verdict.why,
        }


def session_for(finding: Finding) -> SessionConfig:
    """The session that a finding is about, with its schedule.

    Raises:
        InputError: its story, handler, release or times are unknown.
    """
    one_of("story", finding.story, STORIES)
    stories([finding.story], [finding.handler])
    session = session_of(finding.story, finding.handler, finding.release, finding.component, finding.workaround)
    return replace(session, times=Times.of(finding.times), schedule=finding.schedule)


def replayed(finding: Finding) -> Replay:
    """Play a `finding` by its schedule in virtual time."""
    session = session_for(finding)
    return judged(finding, VirtualEngine(session).run(), session.release, 1)


def replays(
    findings: Sequence[Finding], live: Callable[[], Live], release: ProxyRelease | None = None, tries: int = 3
) -> Generator[tuple[int, Replay]]:
    """What findings come to at sockets, each with its place among them, as they are confirmed or had all their tries.

    Args:
        live: makes the engine.
        release: the proxy's, where it is known; else the one that the finding is about.
        tries: how often one is played that is not confirmed.

    Raises:
        InputError: a finding is about nothing we know, or the proxy does not start.
    """
    from voicerace.engine.live.background import play_all  # imports websockets, which a replay in virtual time does not need

    planned = [_planned(each) for each in findings]
    left = {number: replace(each, release=release or each.release) for number, (each, _) in enumerate(planned)}
    for number in range(1, tries + 1):
        at_once = _AT_ONCE[min(number, len(_AT_ONCE)) - 1]
        with closing(play_all(live, list(left.items()), min(at_once, len(left)))) as played:
            for which, recording in played:
                done = judged(findings[which], recording, left[which].release, number, planned[which][1])
                if done.confirmed or number == tries:
                    del left[which]
                    yield which, done
        if not left:
            return


def _planned(finding: Finding) -> tuple[SessionConfig, Recording]:
    """The session as it is played at sockets, and what it gives in virtual time with messages as far apart as there."""
    session = session_for(finding)
    plans = []
    for apart in _APART_NS:
        begun = replace(session, min_spacing_ns=apart).begun()
        plan = VirtualEngine(begun).run()
        at_sockets = replace(session, min_spacing_ns=apart, plan=begun.cursor.moments if begun.cursor is not None else None)
        if finding.signature in signatures(plan, session.release):
            return at_sockets, plan
        plans.append((at_sockets, plan))
    return plans[0]


def judged(finding: Finding, recording: Recording, release: ProxyRelease, tries: int, plan: Recording | None = None) -> Replay:
    """What a recording says of the finding that was played; `plan` is the same session in virtual time."""
    verdict = judge(recording)
    found = signatures(recording, release, verdict)
    confirmed = finding.signature in found
    slip = slip_of(recording, plan) if plan is not None and not confirmed else None
    return Replay(finding, recording, verdict, found, tries, int(confirmed), slip)
