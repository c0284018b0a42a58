"""Play drawn exchanges to a checkout's proxy and its model, and shrink each difference to the smallest exchange.

hypothesis draws and shrinks. It is a development dependency, so only maintainers' tools import this module.
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

#: Input, link and message types of a difference. Two differences with equal values are of the same kind.
Kind = tuple[object, ...]
#: Maximum number of smaller exchanges that are tried, because each runs in real time.
_SHRINKS = 250


@dataclass
class Least:
    """The smallest exchange that shows a kind of difference, and all differences in this exchange."""

    script: Script
    differences: list[Difference]

    def lines(self) -> list[str]:
        """Return a description of the steps and the differences, as lines."""
        return [
            "the smallest exchange that differs:",
            *(f"  {number} {shown(step)}" for number, step in enumerate(self.script.steps)),
            *(f"  {each}" for each in self.differences),
        ]


class DrawnConformance(Conformance):
    """The result for one program in drawn exchanges. Its file names differ from those of the regular cases."""

    @property
    def name(self) -> str:
        return f"{self.release.tag}-drawn"

    def chosen(self) -> Iterator[str]:
        """Yield the name of every exchange that has a difference, or a reaction that no earlier exchange has."""
        seen: set[tuple[object, ...]] = set()
        for row in self.rows:
            kinds = set(_reactions(self.recordings[row["case"]]))
            if row["case"] in self.found or not kinds <= seen:
                seen |= kinds
                yield row["case"]


def _reactions(recording: Recording) -> Iterator[tuple[object, ...]]:
    """Yield the proxy's immediate reactions as (type of the input, type of a sent message, ...)."""
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
        result: one row per exchange, and the recordings.
        findings: the smallest exchange of each kind of difference.
        skipped: number of exchanges for which the machine was too busy.
    """

    result: Conformance
    findings: list[Least] = field(default_factory=list)
    skipped: int = 0

    @property
    def done(self) -> int:
        return len(self.result.rows) + self.skipped


class _DiffersError(Exception):
    """Signals to hypothesis that an exchange differs."""


def conform_drawn(
    directory: Path | str,
    release: str | None = None,
    *,
    count: int,
    number: int = 0,
    log: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Drawn:
    """Compare the proxy of a checkout with the model of a release in drawn exchanges, and return the result.

    Args:
        directory: the checkout, with its dependencies installed.
        release: tag of the release; by default the release with the hash of the checkout's source.
        count: number of exchanges.
        number: the seed.
        log: file for the proxy's output.
        progress: called with the numbers of finished exchanges and of all exchanges.

    Raises:
        InputError: the checkout has no proxy, or its program is unknown and `release` is missing.
    """
    drawn = Drawn(DrawnConformance(*row_of(directory, release)))
    with running(directory, log) as proxy:

        def run(result: Conformance, script: Script) -> list[Difference]:
            if progress is not None:
                progress(drawn.done, count)
            return run_script(result, script, proxy, scenario="drawn").differences

        known: set[Kind] = set()
        while drawn.done < count:
            # hypothesis ends a round after it has shrunk one kind of difference.
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
    """Draw until `count` exchanges are done or one shows a new kind of difference. Return the shrunk exchange, or None."""
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
        # The results of smaller exchanges are not recorded, because these exchanges are variants of one exchange.
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
    """Return a description of a step in one line."""
    if step.wait_ms:
        return f"nothing is sent for {step.wait_ms} ms"
    if step.closes:
        return f"{step.sender} closes" + ("" if step.code is None else f" with {step.code}")
    payload = step.payload
    if isinstance(payload, bytes):
        return f"{step.sender} sends {len(payload)} bytes" + (f" {payload!r}" if len(payload) < 100 else "")
    return f"{step.sender} sends " + (json.dumps(payload) if isinstance(payload, Mapping) else f"the text {payload!r}")
