"""Drawn exchanges through a checkout's proxy and its model; what differs is shrunk to the least that does.

hypothesis draws and shrinks. It is a dependency of development only, so this module is imported by who explores.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.errors import Flaky

from voicerace.conformance.compare import Difference
from voicerace.conformance.drawn import drawn_scripts
from voicerace.conformance.run import Conformance, TooBusyError, row_of, run_script
from voicerace.conformance.steps import Script, shown
from voicerace.engines.backend import Backend
from voicerace.engines.lockstep import UpstreamSocket

__all__ = ["Explored", "Finding", "conform_drawn"]

#: What two differences have in common that are taken for one: the input, the link, the types on both sides.
Kind = tuple[object, ...]
#: How often a smaller exchange is tried, each in real time.
_SHRINKS = 250


@dataclass
class Finding:
    """A kind of difference: the least exchange that shows it, and what differs there."""

    script: Script
    differences: list[Difference]

    def lines(self) -> list[str]:
        """It in words: the steps, and what differs."""
        return [
            "the least exchange that differs:",
            *(f"  {number} {shown(step)}" for number, step in enumerate(self.script.steps)),
            *(f"  {each}" for each in self.differences),
        ]


@dataclass
class Explored:
    """The result of an exploration.

    Attributes:
        result: a row per exchange, and the recordings.
        findings: one per kind of difference.
        skipped: exchanges that the machine was too busy for.
    """

    result: Conformance
    findings: list[Finding] = field(default_factory=list)
    skipped: int = 0

    @property
    def done(self) -> int:
        return len(self.result.rows) + self.skipped


class _DiffersError(Exception):
    """Tells hypothesis that an exchange differs."""


def conform_drawn(
    directory: Path | str,
    release: str | None = None,
    *,
    count: int,
    number: int = 0,
    log: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Explored:
    """Compare the proxy of a checkout with a row of the table, in `count` drawn exchanges.

    Args:
        directory: the checkout, its dependencies installed.
        release: the row; without it the one whose program this is, by the hash of its source.
        count: how many exchanges.
        number: the seed.
        log: takes the proxy's output.
        progress: called with exchanges done and exchanges in all.

    Raises:
        InputError: no proxy there, or a program that no row knows and none was named.
    """
    explored = Explored(Conformance(*row_of(directory, release), drawn=True))
    with UpstreamSocket() as upstream, ExitStack() as running:
        backend = running.enter_context(Backend(directory, upstream.url, log))

        def run(result: Conformance, script: Script) -> list[Difference]:
            nonlocal backend
            if not backend.alive:
                backend = running.enter_context(Backend(directory, upstream.url, log))
            if progress is not None:
                progress(explored.done, count)
            return run_script(result, script, backend, upstream, scenario="drawn").differences

        known: set[Kind] = set()
        while explored.done < count:
            # Each kind of difference ends a round of hypothesis, shrunk.
            before = explored.done
            found = _round(explored, run, count, number, known)
            number += 1
            if found is not None:
                explored.findings.append(found)
                known |= {_kind(each) for each in found.differences}
            if explored.done == before:
                break
    return explored


def _round(
    explored: Explored,
    run: Callable[[Conformance, Script], list[Difference]],
    count: int,
    number: int,
    known: set[Kind],
) -> Finding | None:
    """Draw until `count` exchanges are done or one differs in a way that is not known; that one is shrunk."""
    result = explored.result
    least: Finding | None = None
    wanted: Kind | None = None
    tries = 0

    @seed(number)
    @settings(
        max_examples=count - explored.done,
        database=None,
        deadline=None,
        derandomize=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
    )
    @given(drawn_scripts())
    def trial(script: Script) -> None:
        nonlocal least, wanted, tries
        tries += wanted is not None
        if tries > _SHRINKS:
            return
        named = replace(script, name=f"drawn-{len(result.rows):04d}")
        # While it shrinks, nothing is noted: those exchanges are of one family.
        into = result if wanted is None else replace(result, rows=[], recordings={}, found={})
        try:
            differences = run(into, named)
        except TooBusyError:
            explored.skipped += wanted is None
            return
        kinds = [_kind(each) for each in differences]
        if wanted is None:
            wanted = next((kind for kind in kinds if kind not in known), None)
        if wanted is not None and wanted in kinds:
            least = Finding(named, differences)
            raise _DiffersError

    with contextlib.suppress(_DiffersError, Flaky):
        trial()
    return least


def _kind(difference: Difference) -> Kind:
    return (
        difference.cause,
        difference.link,
        tuple(str(each[0]) for each in difference.expected),
        tuple(str(each[0]) for each in difference.found),
    )
