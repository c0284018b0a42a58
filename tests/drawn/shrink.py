"""Drawn exchanges through a checkout's proxy and its model; what differs is shrunk to the least that does.

hypothesis draws and shrinks. It is a dependency of development only, so this module is imported by those who draw.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.errors import Flaky

from tests.drawn.exchanges import drawn_scripts
from voicerace.conformance.compare import Difference
from voicerace.conformance.conform import Conformance, TooBusyError, row_of, run_script
from voicerace.conformance.running import running
from voicerace.conformance.steps import ExchangeStep, Script
from voicerace.trace.recording import Recording

__all__ = ["Drawn", "Least", "conform_drawn"]

#: What two differences have in common that are taken for one: the input, the link, the types on both sides.
Kind = tuple[object, ...]
#: How often a smaller exchange is tried, each in real time.
_SHRINKS = 250


@dataclass
class Least:
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


class DrawnConformance(Conformance):
    """The result for one program in drawn exchanges, which are kept in files of their own."""

    @property
    def name(self) -> str:
        return f"{self.release.tag}-drawn"

    def chosen(self) -> Iterator[str]:
        """Every exchange with a difference, and those with a reaction that none before had."""
        seen: set[tuple[object, ...]] = set()
        for row in self.rows:
            kinds = set(_reactions(self.recordings[row["case"]]))
            if row["case"] in self.found or not kinds <= seen:
                seen |= kinds
                yield row["case"]


def _reactions(recording: Recording) -> Iterator[tuple[object, ...]]:
    """What the proxy was seen to do at once: the input's type, and the types of what it sent then."""
    reaction: list[object] = []
    for event in recording.events:
        if event.link.receiver == "proxy":
            yield tuple(reaction)
            reaction = []
        reaction.append((event.link.sender == "proxy", event.kind, event.type))
    yield tuple(reaction)


@dataclass
class Drawn:
    """The result of drawn exchanges.

    Attributes:
        result: a row per exchange, and the recordings.
        findings: the least exchange of each kind of difference.
        skipped: exchanges that the machine was too busy for.
    """

    result: Conformance
    findings: list[Least] = field(default_factory=list)
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
) -> Drawn:
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
    drawn = Drawn(DrawnConformance(*row_of(directory, release)))
    with running(directory, log) as proxy:

        def run(result: Conformance, script: Script) -> list[Difference]:
            if progress is not None:
                progress(drawn.done, count)
            return run_script(result, script, proxy, scenario="drawn").differences

        known: set[Kind] = set()
        while drawn.done < count:
            # Each kind of difference ends a round of hypothesis, shrunk.
            before = drawn.done
            found = _round(drawn, run, count, number, known)
            number += 1
            if found is not None:
                drawn.findings.append(found)
                known |= {_kind(each) for each in found.differences}
            if drawn.done == before:
                break
    return drawn


def _round(
    drawn: Drawn,
    run: Callable[[Conformance, Script], list[Difference]],
    count: int,
    number: int,
    known: set[Kind],
) -> Least | None:
    """Draw until `count` exchanges are done or one differs in a way that is not known; that one is shrunk."""
    result = drawn.result
    least: Least | None = None
    wanted: Kind | None = None
    tries = 0

    @seed(number)
    @settings(
        max_examples=count - drawn.done,
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
            drawn.skipped += wanted is None
            return
        kinds = [_kind(each) for each in differences]
        if wanted is None:
            wanted = next((kind for kind in kinds if kind not in known), None)
        if wanted is not None and wanted in kinds:
            least = Least(named, differences)
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


def shown(step: ExchangeStep) -> str:
    """A step in one line."""
    if step.wait_ms:
        return f"nobody says anything for {step.wait_ms} ms"
    if step.closes:
        return f"{step.sender} closes" + ("" if step.code is None else f" with {step.code}")
    payload = step.payload
    if isinstance(payload, bytes):
        return f"{step.sender} sends {len(payload)} bytes" + (f" {payload!r}" if len(payload) < 100 else "")
    return f"{step.sender} sends " + (json.dumps(payload) if isinstance(payload, Mapping) else f"the text {payload!r}")
