"""The data of the letter's two pages: shares of wrong turns per release, with times recorded at the real API.

Shares of one call per turn are from data/answers.csv, other shares from the run's part ``drawn``. All are independent draws.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from voicerace.analysis.verdict import BAD
from voicerace.experiments.answers import Cell, program_of
from voicerace.experiments.rates import wilson
from voicerace.model.catalog.profiles import PROFILES, RECORDED
from voicerace.model.catalog.releases import PROXIES, REFERENCE
from voicerace.model.durations import Uniform
from voicerace.model.parameters import parse
from voicerace.report.blocks import Support
from voicerace.report.context import ReportContext, bad_outcomes
from voicerace.report.phrasing import name_of

__all__ = ["Decision", "ReleaseShares", "Share"]

_MODALITY: Final = "audio"
#: Share of wrong turns with one returned result above which a release is not recommended.
_AVOID: Final = 0.5


@dataclass(frozen=True)
class Share:
    """Wrong turns among independent draws.

    Attributes:
        wrong: number of draws with a bad outcome.
        of: number of draws.
        outcome: the most frequent outcome.
        source: the file, or the part of the run, with the draws.
    """

    wrong: int
    of: int
    outcome: str
    source: str

    @property
    def percent(self) -> str:
        """The share as text. It is ``0 %`` or ``100 %`` only if the count is."""
        share = 100 * self.wrong / self.of
        return f"{share:.0f} %" if self.wrong in (0, self.of) else f"{min(99.0, max(1.0, share)):.0f} %"

    @property
    def interval(self) -> str:
        """The 95 % Wilson interval as text, in percent, rounded outwards to two decimals or to whole numbers."""
        digits = 2 if self.of >= 1_000 else 0
        low, high = (100 * value for value in wilson(self.wrong, self.of))
        scale = 10**digits
        return f"{math.floor(low * scale) / scale:.{digits}f} to {math.ceil(high * scale) / scale:.{digits}f} %"

    def support(self, what: str) -> Support:
        return Support("model", self.wrong, self.of, what, drawn=True, source=self.source)


@dataclass(frozen=True)
class ReleaseShares:
    """Shares of wrong turns of a release; None where nothing was drawn.

    Attributes:
        tag: tag of the release.
        returned: one call; the handler returns the result.
        awaited: one call; the handler awaits the tool, then sends through the ref.
        later: one call; the handler returns at once and sends later through the ref.
        parallel: several calls in one response, each result returned.
        text: the user writes during the call and during the reply; the result is returned.
    """

    tag: str
    returned: Share
    awaited: Share
    later: Share
    parallel: Share | None
    text: Share | None

    @property
    def name(self) -> str:
        return "the patched proxy" if self.tag == REFERENCE.tag else name_of(self.tag)

    @property
    def refuses(self) -> bool:
        """Whether a second result causes a refusal: the reported error."""
        return self.awaited.outcome == "noisy"

    @property
    def stalls(self) -> bool:
        return self.returned.wrong > _AVOID * self.returned.of


@dataclass(frozen=True)
class Decision:
    """The data of both pages. Properties that need missing evidence are None or empty."""

    context: ReportContext

    @cached_property
    def shares(self) -> Mapping[str, ReleaseShares]:
        """Shares of every release with answers, by tag, and of the reference gate."""
        tags = [*PROXIES, REFERENCE.tag]
        return {tag: found for tag in tags if (found := self._shares(tag)) is not None}

    def _shares(self, tag: str) -> ReleaseShares | None:
        first, answers = program_of(), self.context.evidence.answers
        styles = []
        for style in ("return", "async_ref", "void_ref"):
            answer = answers.get(Cell(first[tag], style, _MODALITY))
            if answer is None or not answer.draws:
                return None
            wrong = sum(count for outcome, count in answer.counts.items() if outcome in BAD)
            styles.append(Share(wrong, answer.draws, answer.counts.most_common(1)[0][0], "answers.csv"))
        returned, awaited, later = styles
        return ReleaseShares(tag, returned, awaited, later, self._drawn(tag, "parallel"), self._drawn(tag, "inject"))

    def _drawn(self, tag: str, scenario: str) -> Share | None:
        frame = self.context.part("drawn")
        if frame is None:
            return None
        own = frame[(frame["release"] == tag) & (frame["scenario"] == scenario)]
        wrong, of = bad_outcomes(own["outcome"])
        return Share(wrong, of, str(own["outcome"].mode().iloc[0]), "the run, part drawn") if of else None

    @property
    def in_use(self) -> list[ReleaseShares]:
        return [self.shares[tag] for tag in self.context.in_use if tag in self.shares]

    @property
    def patched(self) -> ReleaseShares | None:
        return self.shares.get(REFERENCE.tag)

    @property
    def best(self) -> ReleaseShares | None:
        """The release of the run with the fewest wrong turns; of equal ones the one in use, then the newest."""
        rows = [row for tag in self.context.releases if (row := self.shares.get(tag)) and not row.stalls]
        order = list(PROXIES)

        def rank(row: ReleaseShares) -> tuple[float, float, float, bool, int]:
            several = row.parallel.wrong / row.parallel.of if row.parallel else 1.0
            awaited = row.awaited.wrong / row.awaited.of
            return (
                row.returned.wrong / row.returned.of,
                several,
                awaited,
                row.tag not in self.context.in_use,
                -order.index(row.tag),
            )

        return min(rows, key=rank, default=None)

    @property
    def refusing(self) -> str:
        """Releases in which a second result causes the reported error, as text."""
        return _ranges(row.tag for row in self.shares.values() if row.refuses and row.tag in PROXIES)

    @property
    def stalling(self) -> str:
        """Releases that give no reply even to one returned result, as text."""
        return _ranges(row.tag for row in self.shares.values() if row.stalls and row.tag in PROXIES)

    @property
    def gap_ms(self) -> tuple[float, float]:
        """The recorded gap (shortest, longest) in ms."""
        gap = parse("gap_ms", PROFILES[RECORDED].values["gap_ms"])
        assert isinstance(gap, Uniform)  # noqa: S101  # the catalogue's own row
        return gap.low, gap.high

    @property
    def fixes(self) -> Mapping[str, Mapping[str, Any]]:
        """Evidence for the fix of each release in use, else for all fixed releases."""
        found = self.context.evidence.fixes
        first = program_of()
        programs = {first[tag] for tag in self.context.in_use}
        mine = {tag: record for tag, record in found.items() if first[tag] in programs}
        return mine or found


def _ranges(tags: Iterable[str]) -> str:
    """Return published tags as text; consecutive tags of the catalogue are ``first to last``."""
    order = [tag for tag in PROXIES if re.fullmatch(r"[\d.]+", tag)]
    found: list[list[str]] = []
    for tag in (each for each in tags if each in order):
        if found and order.index(found[-1][-1]) + 1 == order.index(tag):
            found[-1].append(tag)
        else:
            found.append([tag])
    parts = [each[0] if len(each) == 1 else f"{each[0]} to {each[-1]}" for each in found]
    return ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1] if parts else ""
