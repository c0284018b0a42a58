"""The evidence for a fix: sessions of the acceptance check and findings before and after it, and the added latency."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from voicerace.analysis.verdict import judge
from voicerace.conformance.acceptance import AcceptanceReport, check_virtual
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.experiments.explore.finding import Finding, read_findings
from voicerace.files import shipped
from voicerace.model.catalog.profiles import RECORDED
from voicerace.model.catalog.releases import FIXED

__all__ = ["DRAWS", "Cost", "Evidence", "Played", "all_findings", "cost_of", "evidence_of"]

#: Number of drawn sessions from which the added latency is computed.
DRAWS: Final = 200


@dataclass(frozen=True)
class Played:
    """The sessions of one check.

    Attributes:
        target: the checked proxy.
        sessions: number of sessions.
        failed: number of failed sessions.
        faults: fault -> number of sessions with it, in descending order.
    """

    target: str
    sessions: int
    failed: int
    faults: dict[str, int]

    @classmethod
    def of(cls, report: AcceptanceReport) -> Played:
        faults = Counter(word for each in report.failed for word in each.wrong)
        return cls(report.target, len(report.checked), len(report.failed), dict(faults.most_common()))

    @property
    def words(self) -> str:
        """Return the faults with their numbers as text."""
        return ", ".join(f"{name} {count}" for name, count in self.faults.items())


@dataclass(frozen=True)
class Cost:
    """Response latency of a call, from `response.done` of the call to the first output of the reply at the host.

    Attributes:
        sessions: number of drawn sessions that were answered before and after the fix.
        before_ms: median of these sessions before the fix; None without such sessions.
        after_ms: median of these sessions after the fix.
        answered: numbers of answered sessions (before, after) among all draws.
        draws: number of draws.
    """

    sessions: int
    before_ms: float | None
    after_ms: float | None
    answered: tuple[int, int]
    draws: int


@dataclass(frozen=True)
class Evidence:
    """The evidence for one release. `findings` is the number of findings among the sessions."""

    release: str
    findings: int
    before: Played
    after: Played
    cost: Cost


def all_findings() -> list[Finding]:
    """Return the findings of all explored releases."""
    return [each for file in sorted(shipped("data/explore").glob("*.json")) for each in read_findings(file)]


def evidence_of(
    release: str,
    before: Callable[[Sequence[Finding]], AcceptanceReport] | None = None,
    after: Callable[[Sequence[Finding]], AcceptanceReport] | None = None,
) -> Evidence:
    """Check a release and its fix with all cases and all findings.

    Args:
        release: tag of the release.
        before: plays the check with the proxy before the fix; by default its model in virtual time.
        after: plays the check with the proxy after the fix; by default its model in virtual time.
    """
    findings = all_findings()
    first = before(findings) if before else check_virtual(f"model:{release}", release, findings=findings)
    second = after(findings) if after else check_virtual(f"model:{release}{FIXED}", release + FIXED, findings=findings)
    return Evidence(release, len(findings), Played.of(first), Played.of(second), cost_of(release))


def cost_of(release: str, draws: int = DRAWS) -> Cost:
    """Return response latencies before and after the fix, with recorded times (handler `return`, scenario `single`)."""

    def latencies(tag: str) -> list[float | None]:
        sessions = (SessionConfig.of(release=tag, profile=RECORDED, seed=seed) for seed in range(draws))
        turns = (judge(simulate(each)).turns[0] for each in sessions)
        return [turn.dead_air_ms if turn.outcome == "answered" else None for turn in turns]

    before, after = latencies(release), latencies(release + FIXED)
    both = [(a, b) for a, b in zip(before, after, strict=True) if a is not None and b is not None]
    answered = (sum(each is not None for each in before), sum(each is not None for each in after))
    if not both:
        return Cost(0, None, None, answered, draws)
    return Cost(len(both), median(a for a, _ in both), median(b for _, b in both), answered, draws)
