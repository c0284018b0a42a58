"""The acceptance test for a proxy: the sessions of `tables.checks`, and what came of each. For a fix, and for CI."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from voicerace.engines.background import play_all
from voicerace.engines.live import Live
from voicerace.engines.session import Session
from voicerace.engines.virtual import simulate
from voicerace.recording import Recording
from voicerace.tables.checks import CASES, Case
from voicerace.verdict import Verdict, judge

__all__ = ["Checked", "Report", "check_live", "check_virtual", "junit"]


@dataclass(frozen=True)
class Checked:
    """One case: its recording, the verdict, and what is wrong with it; nothing when it passed."""

    case: Case
    recording: Recording
    verdict: Verdict
    wrong: tuple[str, ...]

    @property
    def steps(self) -> int:
        """Messages until the session ended."""
        return len(self.recording.events)


@dataclass
class Report:
    """A whole check.

    Attributes:
        target: what was checked.
        checked: in the order of the cases.
    """

    target: str
    checked: list[Checked] = field(default_factory=list)

    @property
    def failed(self) -> list[Checked]:
        return [each for each in self.checked if each.wrong]

    @property
    def shortest(self) -> Checked | None:
        """The failed case with the fewest messages; one that shows a fault before one that shows nothing."""
        return min(self.failed, key=lambda each: ("unknown" in each.wrong, each.steps), default=None)


def sessions(release: str) -> list[tuple[Case, Session]]:
    """The cases as sessions with the component of `release`."""
    return [(case, Session.of(release=release, **case.settings)) for case in CASES]


def check_virtual(target: str, release: str, allowed: Iterable[str] = ()) -> Report:
    """Check the model of a release, in virtual time."""
    return Report(target, [_checked(case, simulate(session), allowed) for case, session in sessions(release)])


def check_live(
    target: str,
    release: str,
    engine: Callable[[], Live],
    allowed: Iterable[str] = (),
    at_once: int = 8,
    tick: Callable[[], object] = lambda: None,
) -> Report:
    """Check what is behind a live engine, on real sockets.

    Args:
        target: its name.
        release: whose component and times the sessions take.
        engine: makes the engine.
        allowed: outcomes that are let through everywhere.
        at_once: sessions side by side; they delay each other by milliseconds, which the cases leave room for.
        tick: called for every session that has ended.

    Raises:
        InputError: the target does not start.
    """
    planned = sessions(release)
    found: dict[int, Checked] = {}
    waiting = [(number, session) for number, (_, session) in enumerate(planned)]
    for number, recording in play_all(engine, waiting, at_once):
        found[number] = _checked(planned[number][0], recording, allowed)
        tick()
    return Report(target, [found[number] for number in sorted(found)])


def _checked(case: Case, recording: Recording, allowed: Iterable[str]) -> Checked:
    verdict = judge(recording)
    return Checked(case, recording, verdict, tuple(dict.fromkeys(_wrong(verdict, {*allowed, *case.allowed}))))


def _wrong(verdict: Verdict, allowed: set[str]) -> Iterator[str]:
    """Bad outcomes that are not allowed; what was not shown is no success."""
    for turn in verdict.turns:
        if (turn.bad or turn.outcome == "unknown") and turn.outcome not in allowed:
            yield turn.outcome
    if not verdict.turns and "unknown" not in allowed:
        yield "unknown"
    if verdict.wedged and "wedged" not in allowed:
        yield "wedged"


def junit(report: Report) -> str:
    """The report as JUnit XML: one test case for each session. What a proxy said in it is not repeated."""
    suite = ET.Element(
        "testsuite", name=f"voicerace check {report.target}", tests=str(len(report.checked)), failures=str(len(report.failed))
    )
    for each in report.checked:
        one = ET.SubElement(suite, "testcase", classname=f"voicerace.{each.case.settings['scenario']}", name=each.case.name)
        if each.wrong:
            failure = ET.SubElement(one, "failure", message=", ".join(each.wrong))
            failure.text = each.verdict.why
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"
