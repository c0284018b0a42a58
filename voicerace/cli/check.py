"""The verb `check`: test a proxy for the race, for example in CI."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
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
    from voicerace.conformance.acceptance import AcceptanceReport, Between

__all__ = ["check"]


@takes_targets
def check(
    targets: Targets,
    release: options.Release = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="OUTCOME", help=f"Outcome to allow, or {' | '.join(WORDS)} (repeatable)."),
    ] = None,
    client: Annotated[
        str | None,
        typer.Option(metavar="COMMAND", help="Command of a client that connects to the API without a proxy, in quotes."),
    ] = None,
    draws: Annotated[
        int, typer.Option(metavar="N", min=0, max=1000, help="With --client: draws of each session with recorded times.")
    ] = 3,
    findings: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE.json",
            help="File of `voicerace explore --out` whose findings are replayed as well (repeatable).",
        ),
    ] = None,
    forwarder: options.Forwarder = None,
    forwarder_open_ms: options.ForwarderOpenMs = None,
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

    from voicerace.conformance.acceptance import check_live, check_virtual
    from voicerace.experiments.explore.finding import read_findings

    allowed = tuple(allow or ())
    _allowed(allowed)
    if client is not None:
        given = {"proxy": targets.proxy, "upstream": targets.upstream, "release": release, "findings": findings}
        given |= {"forwarder": forwarder}
        return _client(client, allowed, draws, at_once or 4, targets.log, given, (junit_file, out), as_json=as_json)
    proxy = targets.one_proxy(release)
    upstream = targets.upstream_target()
    if upstream is not None and upstream.costs:
        raise InputError("upstream", upstream.name, "the mock: a check plays many sessions and sets their times")
    if proxy.kind == "url" and targets.listen is None:
        raise InputError("listen", "is missing", "add --listen, the address at which the running proxy expects its upstream")
    tag = played_as(proxy, release)
    writable(junit_file, out)
    virtual = proxy.kind == "model" and not targets.live
    targets, forwarder = targets.with_forwarder(forwarder, live=not virtual)
    between = _between(forwarder, forwarder_open_ms)
    known = [each for path in findings or () for each in read_findings(path)]
    if virtual:
        replace(targets, proxy=()).refuse_in_virtual_time(at_once=at_once)
        report = check_virtual(proxy.name, tag, allowed, known, between)
    else:
        watched = replace(targets, upstream=targets.upstream or "mock") if proxy.kind == "url" else targets
        with tqdm(total=len(CASES) + len(known), unit="session", file=sys.stderr, disable=None) as bar:
            report = check_live(
                proxy.name, tag, lambda: watched.engine(proxy), allowed, at_once or 8, bar.update, known, between
            )
    # Print before files are written, because writing can fail.
    if as_json:
        print_json(_record(report))
    else:
        _show(report)
    return _written(report, junit_file, out)


def _between(forwarder: str | None, open_ms: str | None) -> Between | None:
    """Return the forwarder of the sessions; None without one.

    Raises:
        InputError: the time is given without a forwarder.
    """
    from voicerace.conformance.acceptance import Between

    time = options.with_forwarder_time({}, forwarder, open_ms)
    return None if forwarder in (None, "none") else Between(str(forwarder), *(str(value) for value in time.values()))


def _client(
    command: str,
    allowed: tuple[str, ...],
    draws: int,
    at_once: int,
    log: Path | None,
    refused: Mapping[str, object],
    files: tuple[Path | None, Path | None],
    *,
    as_json: bool,
) -> int:
    """Check a client without a proxy. `refused` are options that cannot be combined with it; `files` JUnit and recordings."""
    from tqdm import tqdm

    from voicerace.conformance.acceptance import check_client
    from voicerace.experiments.client_checks import client_cases

    if given := [name for name, value in refused.items() if value]:
        raise InputError(given[0], "given with --client", "allowed with it are --allow, --draws, --at-once, --log and files")
    writable(*files, log)
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InputError("client", f"{command!r:.60}: {error}", "a command as in a shell") from None
    cases = client_cases(draws)
    with tqdm(total=len(cases), unit="session", file=sys.stderr, disable=None) as bar:
        report = check_client(words, cases, allowed, at_once, log, bar.update)
    if as_json:
        print_json(_record(report))
    else:
        _show_client(report)
    return _written(report, *files)


def _show_client(report: AcceptanceReport) -> None:
    """Print a row per case and, for a failed check, the shortest trace."""
    from voicerace.experiments.client_checks import group_of

    rows = [
        (each.case.name, each.verdict.outcome, ", ".join(each.wrong) or "passed", printable(each.why or each.verdict.why))
        for each in report.checked
    ]
    print_table(("session", "outcome", "result", "why"), rows)
    if report.failed:
        print()
    _show_shortest(report)
    groups = dict.fromkeys(group_of(each.case) for each in report.checked)
    print_lines(
        f"{name}: {sum(not each.wrong for each in those)} of {len(those)} passed"
        for name in groups
        if (those := [each for each in report.checked if group_of(each.case) == name])
    )
    print_lines([f"{report.target}: {len(report.checked) - len(report.failed)} of {len(report.checked)} sessions passed"])


def _show_shortest(report: AcceptanceReport) -> None:
    """Print the shortest failed session with its verdict."""
    if (shortest := report.shortest) is not None:
        shown = text.session_lines(shortest.recording, shortest.verdict)
        print_lines([f"the shortest, {shortest.case.name}:", *shown, ""])


def _written(report: AcceptanceReport, junit_file: Path | None, out: Path | None) -> int:
    """Write the files of a report, and return the exit status."""
    from voicerace.conformance.acceptance import junit
    from voicerace.trace.recording import write_recordings

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
    _show_shortest(report)
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
