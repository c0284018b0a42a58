"""The verb `fix`: change a copy of a checkout so that its proxy, component and forwarder do not cause the race."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voicerace.cli import options
from voicerace.cli.printing import print_json, print_lines, writing
from voicerace.cli.tables import facts, print_table
from voicerace.errors import InputError
from voicerace.files import write_text

if TYPE_CHECKING:
    from voicerace.conformance.acceptance import AcceptanceReport
    from voicerace.conformance.fix.evidence import Evidence
    from voicerace.experiments.explore.finding import Finding

__all__ = ["fix"]

PATCH, FOLLOW_UP = "fix.patch", "follow-up.md"


def fix(
    checkout: Annotated[
        Path, typer.Option(metavar="DIR", help="Checkout of the proxy's repository, with the backend's dependencies installed.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="New folder for the fixed copy, the patch and the draft of an issue.")
    ],
    prove: Annotated[
        bool, typer.Option("--prove", help="Check both running proxies, before and after, instead of their models.")
    ] = False,
    as_json: options.Json = False,
) -> int:
    """Change a copy of a checkout so that it does not cause the race.

    The proxy gets a gate that follows the active response, the component sends one result per call, and the forwarder keeps
    early messages. Exit 1 if a session fails with the fixed proxy.
    """
    from voicerace.conformance.fix.apply import apply
    from voicerace.conformance.fix.evidence import evidence_of
    from voicerace.conformance.fix.follow_up import follow_up
    from voicerace.engine.live.source import backend_version
    from voicerace.model.catalog.releases import FIXED, proxy_of_source

    done = apply(checkout, out)
    row = proxy_of_source(done.source, backend_version(checkout))
    if row is None:
        raise InputError(
            "--checkout", f"program {done.source} is unknown, so its fix has no model", "a checkout of a known release"
        )
    sides = (_live(checkout, row.tag), _live(out, row.tag + FIXED)) if prove else ()
    found = evidence_of(row.tag, *sides)
    writing(out / PATCH, lambda: write_text(out / PATCH, done.patch))
    draft = follow_up(done, row.tag, found, live=prove)
    writing(out / FOLLOW_UP, lambda: write_text(out / FOLLOW_UP, draft))
    added, removed = done.lines
    if as_json:
        played = {name: vars(each) for name, each in (("before", found.before), ("after", found.after))}
        print_json({
            "schema": 1, "release": row.tag, "source": done.source, "changed": {k: list(v) for k, v in done.changed.items()},
            "added": added, "removed": removed, "live": prove, "findings": found.findings, **played, "cost": vars(found.cost),
        })  # fmt: skip
    else:
        _show(row.tag, found, "the running proxies" if prove else "the models")
        written = {
            "fixed copy": out,
            "patch": f"{out / PATCH} ({added} lines added, {removed} removed)",
            "issue": out / FOLLOW_UP,
        }
        print_lines(facts(**written))
        print_lines(["", f"To check it again: voicerace check --proxy backend:{out} --release {row.tag}{FIXED}"])
    return int(found.after.failed > 0)


def _show(release: str, found: Evidence, played: str) -> None:
    rows = [
        (name, str(each.sessions), str(each.failed), each.words)
        for name, each in (("before", found.before), ("after", found.after))
    ]
    print_table(("", "sessions", "failed", "faults"), rows, f"{release}: check with {found.findings} findings, with {played}")


def _live(directory: Path, release: str) -> Callable[[Sequence[Finding]], AcceptanceReport]:
    """Return a function that plays a check with the running proxy of a checkout."""

    def play(findings: Sequence[Finding]) -> AcceptanceReport:
        from tqdm import tqdm

        from voicerace.conformance.acceptance import check_live
        from voicerace.engine.live.play import Live
        from voicerace.engine.live.targets import ProxyTarget
        from voicerace.experiments.checks import CASES

        proxy = ProxyTarget.of(f"backend:{directory}", release)
        with tqdm(total=len(CASES) + len(findings), desc=release, unit="session", file=sys.stderr, disable=None) as bar:
            return check_live(proxy.name, release, lambda: Live(proxy, None), (), 8, bar.update, findings)

    return play
