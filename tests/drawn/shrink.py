"""Play drawn exchanges through a checkout's proxy and its model, and shrink each difference to the smallest exchange.

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

#: Two differences are of one kind if they have the same input, link and types on both sides.
Kind = tuple[object, ...]
#: Maximum number of smaller exchanges that are tried, each in real time.
_SHRINKS = 250


@dataclass
class Least:
    """A kind of difference: the smallest exchange that shows it, and the differences in it."""

    script: Script
    differences: list[Difference]

    def lines(self) -> list[str]:
        """Return a description: the steps and the differences."""
        return [
            "the smallest exchange that differs:",
            *(f"  {number} {shown(step)}" for number, step in enumerate(self.script.steps)),
            *(f"  {each}" for each in self.differences),
        ]


class DrawnConformance(Conformance):
    """Result for one program in drawn exchanges, which are kept in separate files."""

    @property
    def name(self) -> str:
        return f"{self.release.tag}-drawn"

    def chosen(self) -> Iterator[str]:
        """Yield every exchange with a difference, and those with a reaction that no earlier exchange had."""
        seen: set[tuple[object, ...]] = set()
        for row in self.rows:
            kinds = set(_reactions(self.recordings[row["case"]]))
            if row["case"] in self.found or not kinds <= seen:
                seen |= kinds
                yield row["case"]


def _reactions(recording: Recording) -> Iterator[tuple[object, ...]]:
    """Yield the proxy's immediate reactions: the input's type, and the types of the messages that it sent."""
    reaction: list[object] = []
    for event in recording.events:
        if event.link.receiver == "proxy":
            yield tuple(reaction)
            reaction = []
        reaction.append((event.link.sender == "proxy", event.kind, event.type))
    yield tuple(reaction)


@dataclass
class Drawn:
    """Result of drawn exchanges.

    Attributes:
        result: a row per exchange, and the recordings.
        findings: the smallest exchange of each kind of difference.
        skipped: exchanges for which the machine was too busy.
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
    """Compare the proxy of a checkout with a row of the table, in `count` drawn exchanges.

    Args:
        directory: the checkout with installed dependencies.
        release: the row. By default the row with the same program, by source hash.
        count: number of exchanges.
        number: the seed.
        log: file for the proxy's output.
        progress: called with the number of finished exchanges and the total.

    Raises:
        InputError: no proxy in the directory, or an unknown program without a named row.
    """
    drawn = Drawn(DrawnConformance(*row_of(directory, release)))
    with running(directory, log) as proxy:

        def run(result: Conformance, script: Script) -> list[Difference]:
            if progress is not None:
                progress(drawn.done, count)
            return run_script(result, script, proxy, scenario="drawn").differences

        known: set[Kind] = set()
        while drawn.done < count:
            # Each kind of difference ends one round of hypothesis, after shrinking.
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
    """Draw until `count` exchanges are done or one has an unknown kind of difference, which is shrunk."""
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
        # Results are not recorded while shrinking, because those exchanges are variants of one.
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
    """Return a step as one line."""
    if step.wait_ms:
        return f"nothing is sent for {step.wait_ms} ms"
    if step.closes:
        return f"{step.sender} closes" + ("" if step.code is None else f" with {step.code}")
    payload = step.payload
    if isinstance(payload, bytes):
        return f"{step.sender} sends {len(payload)} bytes" + (f" {payload!r}" if len(payload) < 100 else "")
    return f"{step.sender} sends " + (json.dumps(payload) if isinstance(payload, Mapping) else f"the text {payload!r}")
