"""`voicerace replay`: findings of an exploration once more, in virtual time or at the sockets of a running proxy."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from voicerace.cli import options, text
from voicerace.cli.printing import print_json, print_lines
from voicerace.cli.targets import Targets, sigterm_interrupts, takes_targets
from voicerace.engines.live import upstream_of
from voicerace.engines.targets import ProxyTarget
from voicerace.errors import InputError
from voicerace.explore.finding import Finding
from voicerace.explore.replay import Replay, replayed, replays
from voicerace.explore.signature import Signature

__all__ = ["replay"]


@takes_targets
def replay(
    targets: Targets,
    finding: Annotated[
        Path, typer.Argument(metavar="FINDING.json", help="A file of `voicerace explore --out`, or one finding.")
    ],
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Which of the file's findings. [all]")] = None,
    tries: Annotated[
        int, typer.Option(metavar="N", min=1, max=100, help="Live: play a finding so often, until it is confirmed.")
    ] = 3,
    as_json: options.Json = False,
) -> int:
    """Play findings once more by their schedules, in virtual time or --live. Exit 1 when one does not come to what it says."""
    findings = _read(finding, name)
    proxy = None
    if targets.live:
        proxy = targets.one_proxy(findings[0].release)
        played = _played_live(findings, targets, proxy, tries)
    else:
        targets.refuse_in_virtual_time()
        played = [replayed(each) for each in findings]
    if as_json:
        print_json({"schema": 1, "proxy": proxy and proxy.name, "replays": [each.to_json() for each in played]})
        return int(not all(each.confirmed for each in played))
    for each in played:
        said = f"{each.confirmed} of {each.tries} tries" if targets.live else "confirmed" if each.confirmed else "NOT CONFIRMED"
        if targets.live:
            said = f"{'confirmed' if each.confirmed else 'NOT CONFIRMED'}, in {said}"
        print_lines(
            [
                f"finding        {each.finding.name}: {said}",
                f"expected       {_words(each.finding.signature)}",
                *(f"found          {_words(sign)}" for sign in each.signatures or [None]),
                *text.verdict_lines(each.verdict),
                "",
            ]
        )
    if proxy is not None:
        print_lines(
            [f"proxy          {proxy.name}", f"confirmed      {sum(map(bool, (e.confirmed for e in played)))} of {len(played)}"]
        )
    return int(not all(each.confirmed for each in played))


def _played_live(findings: Sequence[Finding], targets: Targets, proxy: ProxyTarget, tries: int) -> list[Replay]:
    """The findings at sockets, in their order.

    Raises:
        InputError: the upstream is not ours: nobody tells it when to say what.
    """
    upstream = upstream_of(proxy, targets.upstream_target())
    if upstream.kind != "mock":
        raise InputError("upstream", f"{upstream.name} keeps no schedule", "mock; with a proxy at ws://..., beside --listen")
    found: dict[int, Replay] = {}
    with (
        sigterm_interrupts(),
        contextlib.closing(replays(findings, lambda: targets.engine(proxy), proxy.release, tries)) as each,
    ):
        for number, done in each:
            said = "confirmed" if done.confirmed else "not confirmed"
            print(f"voicerace: {done.finding.name}: {said} in try {done.tries}", file=sys.stderr)
            found[number] = done
    return [found[number] for number in sorted(found)]


def _words(sign: Signature | None) -> str:
    """What tells a finding apart, on one line."""
    if sign is None:
        return "nothing bad"
    count = f"{sign.results} result{'' if sign.results == 1 else 's'}"
    held = f", in {sign.holder}" if sign.holder else ""
    return f"{sign.outcome}: create for {sign.writer}, by {sign.cleared_by or 'nothing'}{held}, {count}"


def _read(path: Path, name: str | None) -> list[Finding]:
    """The findings of a file, or the one with a name.

    Raises:
        InputError: the file is none, or holds none of this name.
    """
    try:
        record = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(str(path), error.strerror or "cannot be read") from None
    except ValueError as error:
        raise InputError(str(path), f"no JSON ({error})", "a file of `voicerace explore --out`") from None
    listed = record.get("findings") if isinstance(record, dict) else None
    records = listed if isinstance(listed, list) else [record]
    found = [Finding.from_json(each) for each in records]
    if name is not None:
        names = [each.name for each in found]
        found = [each for each in found if each.name == name]
        if not found:
            raise InputError("name", f"{name!r} is not in {path}", f"allowed are {', '.join(names) or 'none'}")
    return found
