"""A finding once more, by its schedule, in virtual time or at sockets: the same verdict, or the exploration is wrong.

At sockets our parties keep the schedule: the user, the app, the component, the upstream, and the links to the proxy. The
proxy has its own times. A real clock disturbs what was planned to the microsecond, so a finding has more than one try.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Final

from voicerace.engines.background import play_all
from voicerace.engines.live import Live
from voicerace.engines.session import Session
from voicerace.engines.virtual import VirtualEngine
from voicerace.errors import InputError
from voicerace.explore.finding import Finding
from voicerace.explore.signature import Signature, signatures
from voicerace.explore.stories import STORIES, session_of, stories
from voicerace.outcomes import Verdict
from voicerace.parameters import Times
from voicerace.recording import Recording
from voicerace.tables.releases import ProxyRelease
from voicerace.verdict import judge

__all__ = ["Replay", "replayed", "replays", "session_for"]

#: Side by side at sockets: more of them would disturb each other.
_AT_ONCE: Final = 6


@dataclass(frozen=True)
class Replay:
    """What a finding came to.

    Attributes:
        recording, verdict, signatures: of the last try; the bad paths in it.
        tries, confirmed: so many, and how many of them came to what the finding says.
    """

    finding: Finding
    recording: Recording
    verdict: Verdict
    signatures: tuple[Signature, ...]
    tries: int
    confirmed: int

    def to_json(self) -> dict[str, Any]:
        verdict = self.verdict
        return {
            "name": self.finding.name,
            "confirmed": self.confirmed > 0,
            "tries": self.tries,
            "tries_confirmed": self.confirmed,
            "expected": self.finding.signature._asdict(),
            "found": [each._asdict() for each in self.signatures],
            "outcome": verdict.outcome,
            "wedged": verdict.wedged,
            "why": verdict.why,
        }


def session_for(finding: Finding) -> Session:
    """The session that a finding is about, with its schedule.

    Raises:
        InputError: its story, handler, release or times are unknown.
    """
    if finding.story not in STORIES:
        raise InputError("story", f"{finding.story!r} is unknown", f"allowed are {', '.join(STORIES)}")
    stories([finding.story], [finding.handler])
    session = session_of(finding.story, finding.handler, finding.release, finding.component, finding.workaround)
    return replace(session, times=Times.of(finding.times), schedule=finding.schedule)


def replayed(finding: Finding) -> Replay:
    """What its schedule gives in virtual time."""
    session = session_for(finding)
    return _judged(finding, VirtualEngine(session).run(), session.release, 1)


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
    sessions = [session_for(each) for each in findings]
    sessions = [replace(each, release=release or each.release) for each in sessions]
    left = dict(enumerate(sessions))
    for number in range(1, tries + 1):
        with closing(play_all(live, list(left.items()), min(_AT_ONCE, len(left)))) as played:
            for which, recording in played:
                done = _judged(findings[which], recording, sessions[which].release, number)
                if done.confirmed or number == tries:
                    del left[which]
                    yield which, done
        if not left:
            return


def _judged(finding: Finding, recording: Recording, release: ProxyRelease, tries: int) -> Replay:
    verdict = judge(recording)
    found = signatures(recording, release, verdict)
    return Replay(finding, recording, verdict, found, tries, int(finding.signature in found))
