"""Compares the models with runs against the real API that the proxy's maintainers documented (`conformance.reported_runs`).

Each run is played with the times recorded at the real API and, for comparison, with longer gaps, which no recording shows. The
documents contain no times, so the result is the share of random draws that agree with the documented outcome.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from voicerace.analysis.verdict import judge
from voicerace.conformance.reported_runs import REPORTED, RUN_TIMES, Reported
from voicerace.engine.sim.virtual import simulate
from voicerace.experiments.executors import Executor
from voicerace.experiments.result_cache import cached_map
from voicerace.experiments.sweep.chunks import uncollected
from voicerace.experiments.sweep.spec import Plan, SweepSpec
from voicerace.model.catalog.profiles import PROFILES, RECORDED

__all__ = ["GAPS", "Fit", "Retrodiction", "retrodict", "summary"]

#: Name of a gap -> `gap_ms`, with the recorded gap first.
GAPS: Final = {"recorded": PROFILES[RECORDED].values["gap_ms"] or "", "150 ms": "150", "300 ms": "300"}
#: Minimum share of agreeing draws for "fits", and for "possible".
_USUAL, _POSSIBLE = 0.5, 0.05


@dataclass(frozen=True)
class Fit:
    """The agreement of one documented run with the model, for one gap.

    Attributes:
        agree: number of draws that agree with the document; None if the document states no outcome to compare.
        draws: number of draws.
        found: outcome -> number of draws.
    """

    agree: int | None
    draws: int
    found: Mapping[str, int]

    @property
    def word(self) -> str:
        """``fits`` (half of the draws or more agree), ``possible`` (one of 20 or more), ``does not fit`` or ``undecided``."""
        if self.agree is None:
            return "undecided"
        share = self.agree / self.draws
        return "fits" if share >= _USUAL else "possible" if share >= _POSSIBLE else "does not fit"


@dataclass(frozen=True)
class Retrodiction:
    """The agreement of one documented run with the model.

    Attributes:
        run: the documented run.
        fits: name of the gap -> fit.
    """

    run: Reported
    fits: Mapping[str, Fit]

    def to_json(self) -> dict[str, Any]:
        fits = {gap: {"fit": fit.word, "agree": fit.agree, "outcomes": dict(fit.found)} for gap, fit in self.fits.items()}
        return self.run._asdict() | {"fits": fits}


def retrodict(
    draws: int = 100,
    runs: Sequence[Reported] = REPORTED,
    gaps: Mapping[str, str] = GAPS,
    *,
    cached: bool = False,
    executor: Executor | None = None,
) -> list[Retrodiction]:
    """Play every run with every gap and return one result per run. Replies are audio, as in the documented runs.

    Args:
        draws: number of draws for each run and gap.
        runs: the documented runs.
        gaps: name of a gap -> `gap_ms`.
        cached: whether to read from and write to `result_cache`.
        executor: plays the runs; by default this process.
    """
    requests = {number: ["reported", list(run), dict(gaps), draws] if cached else None for number, run in enumerate(runs)}
    found = dict(cached_map(partial(_retrodiction, tuple(runs), dict(gaps), draws), requests, executor))
    return [found[number] for number in range(len(runs))]


def _retrodiction(runs: Sequence[Reported], gaps: Mapping[str, str], draws: int, number: int) -> Retrodiction:
    run = runs[number]
    with uncollected():
        return Retrodiction(run, {name: _fit(run, gap_ms, draws) for name, gap_ms in gaps.items()})


def _fit(run: Reported, gap_ms: str, draws: int) -> Fit:
    spec = SweepSpec(
        releases=(run.row,),
        handlers=(run.handler,),
        modalities=("audio",),
        profile=RECORDED,
        times={**RUN_TIMES[run.client], "gap_ms": gap_ms},
        trials=draws,
        ties=False,
    )
    agree, found = 0, Counter[str]()
    for _, session in Plan.of(spec):
        verdict = judge(simulate(session))
        errors = verdict.turn.host_errors if verdict.turn is not None else None
        found[verdict.outcome] += 1
        agree += (not run.outcomes or verdict.outcome in run.outcomes) and run.host_errors in (None, errors)
    return Fit(agree if run.decides else None, draws, dict(found.most_common()))


def summary(found: Sequence[Retrodiction]) -> dict[str, dict[str, int]]:
    """Return name of the gap -> `Fit.word` -> number of runs."""
    return {gap: dict(Counter(each.fits[gap].word for each in found)) for gap in (found[0].fits if found else ())}


def lines(found: Sequence[Retrodiction]) -> Iterator[str]:
    """Yield the lines of a table for a terminal."""
    for each in found:
        run = each.run
        row = run.row if run.exact else f"{run.row} (by reading)"
        yield f"{run.date}  {run.what}, {run.revision}: proxy {row}, {run.client} {run.handler}"
        yield f"    seen        {run.seen}"
        for gap, fit in each.fits.items():
            outcomes = ", ".join(f"{outcome} {count}" for outcome, count in fit.found.items())
            agreed = "" if fit.agree is None else f", {fit.agree} of {fit.draws} agree"
            yield f"    {gap:<12}{fit.word}{agreed}: {outcomes}"
        if run.why_not:
            yield f"    undecided   {run.why_not}"
        yield f"    source      docs/issues/{run.source}"
    for gap, words in summary(found).items():
        decided = sum(count for word, count in words.items() if word != "undecided")
        counts = ", ".join(f"{words.get(word, 0)} {word}" for word in ("fits", "possible", "does not fit"))
        yield f"gap {gap:<9} of {decided} runs: {counts} ({words.get('undecided', 0)} undecided)"
