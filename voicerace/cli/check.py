"""The verb `check`: test a proxy for the race, for example in CI."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicerace.analysis.outcomes import OUTCOMES
from voicerace.cli import options, text
from voicerace.cli.printing import print_json, print_lines, writable, writing
from voicerace.cli.tables import print_table
from voicerace.cli.targets import Targets, played_as, takes_targets
from voicerace.errors import InputError, one_of
from voicerace.experiments.checks import CASES, GAP_MS, WORDS
from voicerace.files import write_text
from voicerace.model.catalog.profiles import RECORDED
from voicerace.scrubber import printable

if TYPE_CHECKING:
    from voicerace.conformance.acceptance import AcceptanceReport

__all__ = ["check"]


@takes_targets
def check(
    targets: Targets,
    release: options.Release = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="OUTCOME", help=f"Outcome to allow, or {' | '.join(WORDS)} (repeatable)."),
    ] = None,
    findings: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE.json",
            help="File of `voicerace explore --out` whose findings are replayed as well (repeatable).",
        ),
    ] = None,
    at_once: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=64, help="Live sessions at the same time.", show_default="8")
    ] = None,
    junit_file: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Where to write a JUnit XML report.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.jsonl", help="Where to write the recordings of failed sessions.")
    ] = None,
    as_json: options.Json = False,
) -> int:
    """Test a proxy for the race; exit 1 with the shortest trace.

    A model:TAG is tested in virtual time, other proxies on real sockets with the mock API. Outcomes that no proxy can
    avoid are allowed: `stale` if the component's own error is the first result, `noisy` if the server also begins
    responses. --findings also replays the findings of another proxy, message by message.
    """
    # Imported here, because --help does not need these modules.
    from tqdm import tqdm

    from voicerace.conformance.acceptance import check_live, check_virtual, junit
    from voicerace.experiments.explore.finding import read_findings
    from voicerace.trace.recording import write_recordings

    allowed = tuple(allow or ())
    _allowed(allowed)
    proxy = targets.one_proxy(release)
    upstream = targets.upstream_target()
    if upstream is not None and upstream.costs:
        raise InputError("upstream", upstream.name, "the mock: a check plays many sessions and sets their times")
    if proxy.kind == "url" and targets.listen is None:
        raise InputError("listen", "is missing", "add --listen, the address at which the running proxy expects its upstream")
    tag = played_as(proxy, release)
    writable(junit_file, out)
    known = [each for path in findings or () for each in read_findings(path)]
    if proxy.kind == "model" and not targets.live:
        replace(targets, proxy=()).refuse_in_virtual_time(at_once=at_once)
        report = check_virtual(proxy.name, tag, allowed, known)
    else:
        watched = replace(targets, upstream=targets.upstream or "mock") if proxy.kind == "url" else targets
        with tqdm(total=len(CASES) + len(known), unit="session", file=sys.stderr, disable=None) as bar:
            report = check_live(proxy.name, tag, lambda: watched.engine(proxy), allowed, at_once or 8, bar.update, known)
    # Print before files are written, because writing can fail.
    if as_json:
        print_json(_record(report))
    else:
        _show(report)
    if junit_file is not None:
        writing(junit_file, lambda: write_text(junit_file, junit(report)))
    if out is not None:
        writing(out, lambda: write_recordings(out, [each.recording for each in report.failed]))
    return int(bool(report.failed))


def _allowed(words: Sequence[str]) -> None:
    """Check the values of ``--allow``.

    Raises:
        InputError: an outcome does not exist, or is `unknown`.
    """
    known = [each for each in (*OUTCOMES, *WORDS) if each not in ("answered", "unknown")]
    for word in words:
        if word == "unknown":
            raise InputError("allow", "unknown", "a session that shows nothing cannot be allowed")
        one_of("allow", word, known)


def _record(report: AcceptanceReport) -> dict[str, Any]:
    return {
        "schema": 1,
        "target": report.target,
        "sessions": len(report.checked),
        "failed": len(report.failed),
        "cases": [
            {
                "name": each.case.name,
                "outcome": each.verdict.outcome,
                "wedged": each.verdict.wedged,
                "wrong": list(each.wrong),
                "allowed": sorted(each.case.allowed),
                "why": each.why or each.verdict.why,
            }
            for each in report.checked
        ],
        "shortest": report.shortest.case.name if report.shortest else None,
    }


def _show(report: AcceptanceReport) -> None:
    if report.failed:
        rows = [(each.case.name, ", ".join(each.wrong), printable(each.why)) for each in report.failed]
        print_table(("session", "wrong", "why"), rows, f"{report.target}: what did not pass")
    if (shortest := report.shortest) is not None:
        print_lines([f"the shortest, {shortest.case.name}:", text.TIMELINE_HEAD, *text.timeline(shortest.recording), ""])
        print_lines(text.verdict_lines(shortest.verdict))
    names = {each.name for each in CASES}
    groups: dict[str, list[bool]] = {"with recorded times": [], f"with a gap of {GAP_MS} ms": [], "findings": []}
    recorded, plain, findings = groups.values()
    for each in report.checked:
        group = findings if each.case.name not in names else recorded if RECORDED in each.case.name else plain
        group.append(not each.wrong)
    parts = [f"{sum(passed)} of {len(passed)} {name}" for name, passed in groups.items() if passed]
    allowed = sum(not each.wrong and each.verdict.outcome != "answered" for each in report.checked)
    print_lines(
        [
            f"{report.target}: {len(report.checked) - len(report.failed)} of {len(report.checked)} sessions passed",
            f"  {', '.join(parts)}; {allowed} passed with an outcome that the case allows beside answered",
        ]
    )
