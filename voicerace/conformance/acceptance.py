"""Acceptance test of a proxy: plays the sessions of `experiments.checks` and judges each.

The test can also play the sessions of findings. The session of a finding has fixed times for all timers and messages, with
any proxy.

A session passes if the recording shows an answer to every tool turn. An unknown outcome is a failure. In addition to the
bad outcomes of a verdict, a session can fail as ``wedged``, as ``unconfigured`` (the proxy sent no session.update, although
the host got SettingsApplied, or because a forwarder dropped Settings), or as ``unheard`` (the proxy sent no part of the reply
to the host).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from xml.etree import ElementTree as ET

from voicerace.analysis.verdict import Verdict, judge
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.errors import InputError
from voicerace.experiments.achieved_times import measurements
from voicerace.experiments.checks import CASES, ERROR_FIRST, Case
from voicerace.experiments.explore.finding import Finding
from voicerace.experiments.explore.replay import session_for
from voicerace.experiments.explore.stories import ALL_STORIES
from voicerace.model.catalog.profiles import FORWARDER_TIMES
from voicerace.model.catalog.releases import ProxyRelease, proxy_release
from voicerace.trace.recording import Recording

if TYPE_CHECKING:
    from voicerace.engine.live.play import Live

__all__ = [
    "AcceptanceReport", "Between", "Checked", "Wrong", "check_client", "check_live", "check_virtual", "junit", "off_time",
]  # fmt: skip


#: Names of the delays that decide the outcome of a case.
_DECIDES: Final = ("tool_ms", "gap_ms", "repeat_ms")
#: Maximum deviation of a deciding delay in ms. It is smaller than the distance from any case to the next boundary.
_OFF_MS: Final = 50.0
#: Maximum number of attempts at a session whose delays a busy machine makes too long.
_TRIES: Final = 3


class Wrong(NamedTuple):
    """A fault of a session. `word` is an outcome or one of `experiments.checks.WORDS`, and `why` is the reason."""

    word: str
    why: str


@dataclass(frozen=True)
class Checked:
    """The result of one case. `faults` is empty if the case passed."""

    case: Case
    recording: Recording
    verdict: Verdict
    faults: tuple[Wrong, ...]

    @property
    def wrong(self) -> tuple[str, ...]:
        """The distinct words of the faults."""
        return tuple(dict.fromkeys(each.word for each in self.faults))

    @property
    def why(self) -> str:
        """The distinct reasons of the faults as text, without reasons that are part of another reason."""
        reasons = dict.fromkeys(each.why for each in self.faults)
        return "; ".join(why for why in reasons if not any(why in other for other in reasons if other != why))

    @property
    def steps(self) -> int:
        """The number of events in the session."""
        return len(self.recording.events)

    @property
    def lasted_s(self) -> float:
        """Seconds from the session's start to its last message."""
        times = (event.received_ns or event.sent_ns or 0 for event in self.recording.events)
        return max(times, default=0) / 1e9


@dataclass
class AcceptanceReport:
    """The results of a check.

    Attributes:
        target: name of the proxy.
        checked: results in the order of the cases.
    """

    target: str
    checked: list[Checked] = field(default_factory=list)

    @property
    def failed(self) -> list[Checked]:
        return [each for each in self.checked if each.wrong]

    @property
    def shortest(self) -> Checked | None:
        """The failed case with the fewest messages; an observed fault takes precedence over an unknown outcome."""
        return min(self.failed, key=lambda each: ("unknown" in each.wrong, each.steps), default=None)


@dataclass(frozen=True)
class Between:
    """The forwarder of a check's sessions: its name as in `SessionConfig.of`, and its `forwarder_open_ms`."""

    forwarder: str
    open_ms: str = FORWARDER_TIMES["forwarder_open_ms"]


def sessions(
    release: str, findings: Sequence[Finding] = (), between: Between | None = None
) -> list[tuple[Case, SessionConfig]]:
    """Return (case, session) pairs: the cases with the component of `release`, then findings with their own component.

    Raises:
        InputError: a finding names an unknown release or scenario, or findings are given with a forwarder.
    """
    if between is None:
        cases = list(CASES)
    elif findings:
        raise InputError("findings", "given with a forwarder", "one of them: the schedule of a finding has no forwarder")
    else:
        own = {"forwarder_open_ms": between.open_ms}
        further = {"forwarder": between.forwarder}
        cases = [
            replace(each, settings={**each.settings, **further, "times": {**each.settings["times"], **own}}) for each in CASES
        ]
    standard = [(case, SessionConfig.of(release=release, **case.settings)) for case in cases]
    proxy = proxy_release(release)
    return [*standard, *(_played_by(proxy, each) for each in findings)]


def _played_by(proxy: ProxyRelease, finding: Finding) -> tuple[Case, SessionConfig]:
    """Return (case, session) for a finding's session, played with the given proxy.

    The case allows the outcomes that the reference gate cannot avoid.

    Raises:
        InputError: the finding names an unknown release or scenario.
    """
    session = replace(session_for(finding), release=proxy)
    story = ALL_STORIES[finding.story]
    scenario = story.scenario
    by, steps = {each.by for each in scenario.inputs}, {step for each in scenario.inputs for step in each.steps}
    unavoidable = {
        "stale": finding.handler in ERROR_FIRST or "function_output" in story.knobs,
        "noisy": "voice" in by,
        "abandoned": "loss" in by or "session_end_ms" in story.bounds,
        "interrupted": "incomplete" in steps,
        "failed": bool({"failed", "error"} & steps),
        "wedged": "session_end_ms" in story.bounds,  # A text on its way is lost.
        "no_result": scenario.tool_end == "none",
    }
    name = f"{finding.release} {finding.name} ({finding.story} {finding.handler})"
    allowed = frozenset(word for word, holds in unavoidable.items() if holds)
    case = Case(name, {"scenario": finding.story, "handler": finding.handler}, allowed)
    return case, session


def check_virtual(
    target: str,
    release: str,
    allowed: Iterable[str] = (),
    findings: Sequence[Finding] = (),
    between: Between | None = None,
) -> AcceptanceReport:
    """Check the model of a release in virtual time, with a forwarder or without, and return the report.

    Raises:
        InputError: as `sessions`.
    """
    planned = sessions(release, findings, between)
    return AcceptanceReport(target, [_checked(case, simulate(session), allowed) for case, session in planned])


def check_live(
    target: str,
    release: str,
    engine: Callable[[], Live],
    allowed: Iterable[str] = (),
    at_once: int = 8,
    tick: Callable[[], object] = lambda: None,
    findings: Sequence[Finding] = (),
    between: Between | None = None,
) -> AcceptanceReport:
    """Check the proxy of a live engine on real sockets and return the report.

    Args:
        target: name of the proxy.
        release: the release whose component and times the sessions use.
        engine: returns a new engine.
        allowed: outcomes that every case accepts.
        at_once: number of concurrent sessions. They delay each other by milliseconds, which the cases tolerate. A session
            with a larger deviation is played again. After the last attempt its outcome is `unknown`.
        tick: called after each session.
        findings: findings to play as additional sessions.
        between: model of the engine's forwarder.

    Raises:
        InputError: the target does not start; or as `sessions`.
    """
    from voicerace.engine.live.background import play_all  # imports websockets, which a test of a model does not need

    planned = sessions(release, findings, between)
    found: dict[int, Checked] = {}
    waiting = {number: session for number, (_, session) in enumerate(planned)}
    for left in range(_TRIES - 1, -1, -1):
        # Repeated sessions run two at a time, so that they delay each other less.
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
    return AcceptanceReport(target, [found[number] for number in sorted(found)])


def check_client(
    command: Sequence[str],
    cases: Sequence[Case],
    allowed: Iterable[str] = (),
    at_once: int = 4,
    log: Path | None = None,
    tick: Callable[[], object] = lambda: None,
) -> AcceptanceReport:
    """Check a client program that connects to the API without a proxy, with the mock API, and return the report.

    Args:
        command: the program with its arguments (docs/clients.md).
        cases: the cases.
        allowed: outcomes that every case accepts.
        at_once: number of sessions, and so of processes, that run at the same time.
        log: file for the output of the program.
        tick: called after each session.

    Raises:
        InputError: the program does not exist.
    """
    from voicerace.engine.live.background import play_all
    from voicerace.engine.live.direct import DirectClient

    planned = [(number, SessionConfig.of(**case.settings)) for number, case in enumerate(cases)]
    found: dict[int, Checked] = {}
    for number, recording in play_all(lambda: DirectClient(command, log), planned, at_once):
        done = _checked(cases[number], recording, allowed)
        found[number] = replace(done, faults=tuple(each for each in done.faults if each.word not in cases[number].allowed))
        tick()
    return AcceptanceReport("client", [found[number] for number in sorted(found)])


def off_time(session: SessionConfig, recording: Recording) -> str | None:
    """Return a text that names the delay that the machine made too long; None if no delay deviates.

    Sessions of findings are not checked, because their schedule sets the time of every message.
    """
    if session.schedule is not None:
        return None
    # expected delays are measured in virtual time, because a handler that answers at once has no tool time
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
    """Yield the session's faults that `allowed` does not contain. An unknown outcome is a fault."""
    applied = any(each.type == "SettingsApplied" for each in recording.events)
    dropped = bool(verdict.unconfigured) and "forwarder" in recording.provenance
    if verdict.session_updates == 0 and (applied or dropped):
        # this fault causes all other faults of the session
        if "unconfigured" not in allowed:
            how = "SettingsApplied was sent to the host" if applied else "the forwarder dropped Settings"
            yield Wrong("unconfigured", f"{how}, session.update was never sent")
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


def junit(report: AcceptanceReport) -> str:
    """Return the report as JUnit XML: one test case per session, with its duration in seconds.

    Elements and attributes are those of the schema of Jenkins' xUnit plugin (junit-10.xsd).
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
    """Return a text with ``?`` in place of characters that XML cannot contain. The text may come from the tested proxy."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)
