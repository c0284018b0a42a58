"""The acceptance test for a proxy: the sessions of `experiments.checks`, and what came of each. For a fix, and for CI.

To these come, where they are given, the sessions of findings: ways in which some release failed, each with its own time for
every timer and message, whoever is the proxy now.

A session passes when every tool turn in it was shown to come to a good end; what was not shown is no success. Beside the
outcomes of a verdict it may fail as ``wedged``; as ``unconfigured``: the app was told that its Settings are applied, and no
session.update was ever sent; as ``unheard``: the proxy passed nothing of the reply on to the host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple
from xml.etree import ElementTree as ET

from voicerace.analysis.verdict import Verdict, judge
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.experiments.achieved_times import measurements
from voicerace.experiments.checks import CASES, ERROR_FIRST, Case
from voicerace.experiments.explore.finding import Finding
from voicerace.experiments.explore.replay import session_for
from voicerace.experiments.explore.stories import STORIES
from voicerace.model.catalog.releases import ProxyRelease, proxy_release
from voicerace.trace.recording import Recording

if TYPE_CHECKING:
    from voicerace.engine.live.play import Live

__all__ = ["Checked", "Report", "Wrong", "check_live", "check_virtual", "junit", "off_time"]


#: Delays on our side that the cases are about, and how far each may be off: less than from there to the next boundary.
_DECIDES: Final = ("tool_ms", "gap_ms", "repeat_ms")
_OFF_MS: Final = 50.0
#: So often a session is played whose delays a busy machine stretched.
_TRIES: Final = 3


class Wrong(NamedTuple):
    """One thing that is wrong with a session: an outcome or one of `experiments.checks.WORDS`, and why."""

    word: str
    why: str


@dataclass(frozen=True)
class Checked:
    """One case: its recording, the verdict, and what is wrong with it; nothing when it passed."""

    case: Case
    recording: Recording
    verdict: Verdict
    faults: tuple[Wrong, ...]

    @property
    def wrong(self) -> tuple[str, ...]:
        """What is wrong, in words."""
        return tuple(dict.fromkeys(each.word for each in self.faults))

    @property
    def why(self) -> str:
        """What is wrong, in sentences."""
        said = dict.fromkeys(each.why for each in self.faults)
        return "; ".join(why for why in said if not any(why in other for other in said if other != why))

    @property
    def steps(self) -> int:
        """Messages until the session ended."""
        return len(self.recording.events)

    @property
    def lasted_s(self) -> float:
        """From the session's start to its last message."""
        times = (event.received_ns or event.sent_ns or 0 for event in self.recording.events)
        return max(times, default=0) / 1e9


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


def sessions(release: str, findings: Sequence[Finding] = ()) -> list[tuple[Case, SessionConfig]]:
    """The cases as sessions with the component of `release`, then those of findings, with the component of each.

    Raises:
        InputError: a finding is about nothing we know.
    """
    ours = [(case, SessionConfig.of(release=release, **case.settings)) for case in CASES]
    proxy = proxy_release(release)
    return [*ours, *(_played_by(proxy, each) for each in findings)]


def _played_by(proxy: ProxyRelease, finding: Finding) -> tuple[Case, SessionConfig]:
    """A finding's session with another proxy, as a case; allowed is what the reference gate cannot avoid either.

    Raises:
        InputError: it is about nothing we know.
    """
    session = replace(session_for(finding), release=proxy)
    scenario = STORIES[finding.story].scenario
    by = {each.by for each in scenario.inputs}
    unavoidable = {
        "stale": finding.handler in ERROR_FIRST,
        "noisy": "voice" in by,
        "abandoned": "loss" in by,
        "no_result": scenario.tool_end == "none",
    }
    name = f"{finding.release} {finding.name} ({finding.story} {finding.handler})"
    allowed = frozenset(word for word, holds in unavoidable.items() if holds)
    case = Case(name, {"scenario": finding.story, "handler": finding.handler}, allowed)
    return case, session


def check_virtual(target: str, release: str, allowed: Iterable[str] = (), findings: Sequence[Finding] = ()) -> Report:
    """Check the model of a release, in virtual time.

    Raises:
        InputError: a finding is about nothing we know.
    """
    return Report(target, [_checked(case, simulate(session), allowed) for case, session in sessions(release, findings)])


def check_live(
    target: str,
    release: str,
    engine: Callable[[], Live],
    allowed: Iterable[str] = (),
    at_once: int = 8,
    tick: Callable[[], object] = lambda: None,
    findings: Sequence[Finding] = (),
) -> Report:
    """Check what is behind a live engine, on real sockets.

    Args:
        target: its name.
        release: whose component and times the sessions take.
        engine: makes the engine.
        allowed: outcomes that are let through everywhere.
        at_once: sessions side by side; they delay each other by milliseconds, which the cases leave room for. Where one's
            own delays are further off than that, it is played again, and is `unknown` in the end.
        tick: called for every session that has ended.
        findings: whose sessions are played too.

    Raises:
        InputError: the target does not start, or a finding is about nothing we know.
    """
    from voicerace.engine.live.background import play_all  # imports websockets, which a check of a model does not need

    planned = sessions(release, findings)
    found: dict[int, Checked] = {}
    waiting = {number: session for number, (_, session) in enumerate(planned)}
    for left in range(_TRIES - 1, -1, -1):
        # Those that were late disturb each other less the fewer they are.
        for number, recording in play_all(engine, list(waiting.items()), at_once if left == _TRIES - 1 else 2):
            case, session = planned[number]
            late = off_time(session, recording)
            if late is not None and left:
                continue
            done = _checked(case, recording, allowed)
            found[number] = done if late is None else replace(done, faults=(*done.faults, Wrong("unknown", late)))
            tick()
        waiting = {number: session for number, session in waiting.items() if number not in found}
        if not waiting:
            break
    return Report(target, [found[number] for number in sorted(found)])


def off_time(session: SessionConfig, recording: Recording) -> str | None:
    """Why a session was not the one that was asked for: a delay on our side that the machine stretched; None where none was.

    The sessions of findings have times of their own for every message, and more room than this in few places: not asked here.
    """
    if session.schedule is not None:
        return None
    # Held against virtual time: a handler that answers at once has no tool time, whatever was asked for.
    due = {(each.name, each.index): each.ns / 1e6 for each in measurements(simulate(session))}
    for each in measurements(recording):
        asked, took = due.get((each.name, each.index)), each.ns / 1e6
        if each.name in _DECIDES and asked is not None and abs(took - asked) > _OFF_MS:
            return f"the machine was too busy: {each.name} was {took:.0f}, asked for were {asked:.0f}"
    return None


def _checked(case: Case, recording: Recording, allowed: Iterable[str]) -> Checked:
    verdict = judge(recording)
    return Checked(case, recording, verdict, tuple(_wrong(case, recording, verdict, {*allowed, *case.allowed})))


def _wrong(case: Case, recording: Recording, verdict: Verdict, allowed: set[str]) -> Iterator[Wrong]:
    """What is wrong and not allowed; what was not shown is no success."""
    if verdict.session_updates == 0 and any(each.type == "SettingsApplied" for each in recording.events):
        # A session that the API knows nothing of: what else it shows follows from that.
        if "unconfigured" not in allowed:
            yield Wrong("unconfigured", "SettingsApplied was sent to the host, session.update was never sent")
        return
    if verdict.fault is not None:
        yield Wrong("unknown", verdict.fault)
    for turn in verdict.turns:
        ended_by_user = turn.outcome in ("interrupted", "failed") and turn.by == "user"
        if turn.outcome != "answered" and not ended_by_user and turn.outcome not in allowed:
            yield Wrong(turn.outcome, turn.why)
        elif turn.outcome == "answered" and turn.dead_air_ms is None and "unheard" not in allowed:
            yield Wrong("unheard", "the proxy passed nothing of the reply on to the host")
    if len(verdict.turns) < case.turns:
        why = verdict.why if not verdict.turns else f"{len(verdict.turns)} of {case.turns} turns made their function call"
        yield Wrong("unknown", why)
    elif verdict.wedged is None and verdict.fault is None:
        yield Wrong("unknown", "the session ended before the user's last words")
    if verdict.wedged and "wedged" not in allowed:
        yield Wrong("wedged", "the user's last words got no reply")


def junit(report: Report) -> str:
    """The report as JUnit XML: one test case for each session, with the seconds that it lasted.

    Elements and attributes are those that the schema of Jenkins' xUnit plugin (junit-10.xsd) knows.
    """
    seconds = sum(each.lasted_s for each in report.checked)
    counts = {"tests": str(len(report.checked)), "failures": str(len(report.failed)), "errors": "0"}
    counts["time"] = f"{seconds:.3f}"
    suites = ET.Element("testsuites", {"name": "voicerace check", **counts})
    suite = ET.SubElement(suites, "testsuite", {"name": _plain(f"voicerace check {report.target}"), **counts})
    for each in report.checked:
        name = f"voicerace.{each.case.settings['scenario']}"
        one = ET.SubElement(suite, "testcase", classname=name, name=each.case.name, time=f"{each.lasted_s:.3f}")
        if each.wrong:
            words = ", ".join(each.wrong)
            failure = ET.SubElement(one, "failure", type=each.wrong[0], message=_plain(f"{words}: {each.why}"))
            failure.text = _plain("\n".join(f"{fault.word}: {fault.why}" for fault in each.faults))
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _plain(text: str) -> str:
    """Text that may be a proxy's own, without what no XML can hold."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)
