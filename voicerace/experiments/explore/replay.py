"""Replays a finding by its schedule, in virtual time or on sockets. The replay must have the finding's signature.

On sockets the user, the app, the component, the upstream and the links to the proxy follow the schedule. The proxy has its
own times. A real clock is less exact than the schedule, so each finding gets several attempts. For a failed attempt, the result
states whether the order of messages differed or the proxy behaved differently.
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
from voicerace.experiments.explore.schedule_check import Deviation, deviation_of
from voicerace.experiments.explore.signature import Signature, signatures
from voicerace.experiments.explore.stories import ALL_STORIES, session_of, stories
from voicerace.model.catalog.clients import Release
from voicerace.model.parameters import Times
from voicerace.trace.recording import Recording

if TYPE_CHECKING:
    from voicerace.engine.live.background import Engine

__all__ = ["Replay", "judged", "replayed", "replays", "session_for"]

#: Number of concurrent sessions in the first, second and later attempts. Concurrent sessions delay each other.
_AT_ONCE: Final = (6, 3, 1)
#: Minimum spacings in ns of a link's messages on sockets, so that a program answers each message before the next arrives. The
#: largest spacing that the finding allows is used.
_SPACINGS_NS: Final = (AT_SOCKETS_NS, 1_000_000, 500_000, 200_000)


@dataclass(frozen=True)
class Replay:
    """Result of a replay.

    Attributes:
        recording: recording of the last attempt.
        verdict: verdict of the last attempt.
        signatures: bad paths of the last attempt.
        tries: number of attempts.
        confirmed: number of attempts with the finding's signature.
        deviation: first deviation from the schedule if the last attempt did not confirm the finding, else None.
    """

    finding: Finding
    recording: Recording
    verdict: Verdict
    signatures: tuple[Signature, ...]
    tries: int
    confirmed: int
    deviation: Deviation | None = None

    @property
    def result(self) -> Literal["confirmed", "not confirmed", "order not kept"]:
        """Result as text. "order not kept" does not refute the finding: the machine was too slow for the finding's slack."""
        if self.confirmed:
            return "confirmed"
        return "order not kept" if self.deviation is not None and self.deviation.order else "not confirmed"

    def to_json(self) -> dict[str, Any]:
        verdict = self.verdict
        return {
            "name": self.finding.name,
            "confirmed": self.confirmed > 0,
            "came_to": self.result,
            "tries": self.tries,
            "tries_confirmed": self.confirmed,
            "expected": self.finding.signature._asdict(),
            "found": [each._asdict() for each in self.signatures],
            "slip": self.deviation.to_json() if self.deviation is not None else None,
            "outcome": verdict.outcome,
            "wedged": verdict.wedged,
            "why": verdict.why,
        }


def session_for(finding: Finding) -> SessionConfig:
    """Return the session of a finding, including the schedule.

    Raises:
        InputError: the finding's scenario, handler, release or times are unknown.
    """
    one_of("scenario", finding.story, ALL_STORIES)
    stories([finding.story], [finding.handler])
    session = session_of(finding.story, finding.handler, finding.release, finding.component, finding.workaround)
    return replace(session, times=Times.of(finding.times), schedule=finding.schedule)


def replayed(finding: Finding) -> Replay:
    """Play a `finding` by its schedule in virtual time."""
    session = session_for(finding)
    return judged(finding, VirtualEngine(session).run(), session.release, 1)


def replays(
    findings: Sequence[Finding], live: Callable[[], Engine], release: Release | None = None, tries: int = 3
) -> Generator[tuple[int, Replay]]:
    """Replay findings on sockets. Yield (index, result) of each finding once it is confirmed or has had all attempts.

    Args:
        findings: the findings.
        live: makes the engine.
        release: release of the proxy if known; by default the release of each finding.
        tries: maximum number of attempts per finding.

    Raises:
        InputError: a finding names an unknown release or scenario, or the proxy does not start.
    """
    from voicerace.engine.live.background import play_all  # imports websockets, which virtual time does not need

    planned = [_planned(each) for each in findings]
    remaining = {number: replace(each, release=release or each.release) for number, (each, _) in enumerate(planned)}
    for number in range(1, tries + 1):
        at_once = _AT_ONCE[min(number, len(_AT_ONCE)) - 1]
        with closing(play_all(live, list(remaining.items()), min(at_once, len(remaining)))) as played:
            for index, recording in played:
                done = judged(findings[index], recording, remaining[index].release, number, planned[index][1])
                if done.confirmed or number == tries:
                    del remaining[index]
                    yield index, done
        if not remaining:
            return


def _planned(finding: Finding) -> tuple[SessionConfig, Recording]:
    """Return the session for sockets, and its recording in virtual time with the same spacing of messages.

    A client needs time for its start, which later times cannot make up for, so its session has no plan of absolute times.
    """
    session = session_for(finding)
    plans = []
    for spacing_ns in _SPACINGS_NS:
        begun = replace(session, min_spacing_ns=spacing_ns).begun()
        plan = VirtualEngine(begun).run()
        at_sockets = replace(
            session, min_spacing_ns=spacing_ns, plan=begun.cursor.moments if begun.cursor and not session.client else None
        )
        if finding.signature in signatures(plan, session.release):
            return at_sockets, plan
        plans.append((at_sockets, plan))
    return plans[0]


def judged(finding: Finding, recording: Recording, release: Release, tries: int, plan: Recording | None = None) -> Replay:
    """Return the result of comparing a recording with its finding. `plan` is the recording of the same session in virtual
    time."""
    verdict = judge(recording)
    found = signatures(recording, release, verdict)
    confirmed = finding.signature in found
    deviation = deviation_of(recording, plan) if plan is not None and not confirmed else None
    return Replay(finding, recording, verdict, found, tries, int(confirmed), deviation)
