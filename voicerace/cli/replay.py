"""The verb `replay`: replay findings of an exploration, in virtual time or with a running proxy."""

from __future__ import annotations

import csv
import io
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from voicerace.cli import options, text
from voicerace.cli.printing import print_json, print_lines, writable, writing
from voicerace.cli.tables import print_table
from voicerace.cli.targets import Targets, takes_targets
from voicerace.engine.live.play import upstream_of
from voicerace.engine.live.targets import ProxyTarget
from voicerace.errors import InputError
from voicerace.experiments.explore.finding import Finding, read_findings
from voicerace.experiments.explore.replay import Replay, replayed, replays
from voicerace.experiments.explore.signature import Signature
from voicerace.files import write_text
from voicerace.model.catalog.clients import PREFIX
from voicerace.scrubber import printable

__all__ = ["replay"]

#: Columns of the --out file, which has one row per finding. `seen` is the result of the last attempt if that differs from the
#: finding. `proxy_hash` is the hash of the proxy's source.
_COLUMNS = ("name", "outcome", "story", "handler", "confirmed", "came_to", "tries", "room_ms", "seen", "proxy", "proxy_hash")


@takes_targets
def replay(
    targets: Targets,
    finding: Annotated[
        Path, typer.Argument(metavar="FINDINGS.json", help="File of `voicerace explore --out`, or one finding.")
    ],
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the finding to replay.", show_default="all")] = None,
    tries: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=100, help="With --live: maximum number of tries per finding.", show_default="3"),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="Where to write a table with a row per finding.")] = None,
    client: Annotated[
        str | None,
        typer.Option(metavar="COMMAND", help="With --live: command of the findings' client, in quotes (docs/clients.md)."),
    ] = None,
    as_json: options.Json = False,
) -> int:
    """Replay findings of explore, in virtual time or live.

    Exit 1 if a finding has another outcome than in the file.

    `order not kept` means that the machine was too busy to keep the finding's order of events; it refutes nothing.
    """
    findings = read_findings(finding, name)
    direct = findings[0].release.startswith(PREFIX)
    if targets.live and direct is (client is None):
        wanted = "--client COMMAND for a finding of a client, and only for one"
        raise InputError("client", "is missing" if direct else f"given for {findings[0].release}", wanted)
    proxy = targets.one_proxy(findings[0].release) if targets.live and client is None else None
    if not targets.live:
        targets.refuse_in_virtual_time(tries=tries, client=client)
        playing: Iterator[tuple[int, Replay]] = enumerate(map(replayed, findings))
    elif proxy is None:
        if targets.proxy or targets.upstream:
            raise InputError("proxy", "given with --client", "neither --proxy nor --upstream: the client connects to the mock")
        playing = _with_client(findings, shlex.split(client or ""), targets.log, tries or 3)
    else:
        playing = _live(findings, targets, proxy, tries or 3)
    writable(out)
    done: dict[int, Replay] = {}
    try:
        with tqdm(total=len(findings), unit="finding", file=sys.stderr, disable=None) as bar:
            for number, each in playing:
                done[number] = each
                bar.set_postfix_str(each.finding.name)
                bar.update()
    finally:
        # Results are written after an interruption too.
        played = [done[number] for number in sorted(done)]
        if out is not None:
            writing(out, lambda: _write(out, played, proxy, client))
    if as_json:
        print_json({"schema": 1, "proxy": proxy and proxy.name, "replays": [each.to_json() for each in played]})
    else:
        _show(played, proxy.name if proxy else client or "in virtual time")
    return int(not all(each.confirmed for each in played))


def _live(findings: Sequence[Finding], targets: Targets, proxy: ProxyTarget, tries: int) -> Iterator[tuple[int, Replay]]:
    """Replay the findings on real sockets. Yield (index, result) in the order of completion.

    Raises:
        InputError: the upstream is not the mock, so its messages cannot be scheduled.
    """
    upstream = upstream_of(proxy, targets.upstream_target())
    if upstream.kind != "mock":
        raise InputError("upstream", f"{upstream.name} keeps no schedule", "mock; with a proxy at ws://... add --listen")
    with closing(replays(findings, lambda: targets.engine(proxy), proxy.release, tries)) as each:
        yield from each


def _with_client(
    findings: Sequence[Finding], command: Sequence[str], log: Path | None, tries: int
) -> Iterator[tuple[int, Replay]]:
    """Replay the findings with a running client. Yield (index, result) in the order of completion."""
    from voicerace.engine.live.direct import DirectClient

    with closing(replays(findings, lambda: DirectClient(command, log), None, tries)) as each:
        yield from each


def _show(played: Sequence[Replay], title: str) -> None:
    rows = []
    for each in played:
        found = each.finding
        names = (found.name, found.story, found.handler, f"{found.slack_ms:g} ms")
        rows.append((*names, each.result, each.tries, printable(_seen(each))))
    heads = ("finding", "story", "handler", "room", "came to", "tries", "seen instead")
    print_table(heads, rows, title, right=("room", "tries"))
    for each in played if len(played) == 1 else [each for each in played if not each.confirmed]:
        print_lines(
            [
                f"finding        {each.finding.name}: {each.result}",
                f"expected       {_signature_text(each.finding.signature)}",
                *(f"found          {_signature_text(sign)}" for sign in each.signatures or [None]),
                *([f"left the plan  at the {left.location}: {printable(left.message)}"] if (left := each.deviation) else []),
                *text.verdict_lines(each.verdict),
                "",
            ]
        )
    print_lines([f"confirmed      {sum(bool(each.confirmed) for each in played)} of {len(played)}"])


def _seen(each: Replay) -> str:
    """Return the result of a replay as text if it differs from the finding, else an empty text."""
    if each.confirmed:
        return ""
    found = "; ".join(map(_signature_text, each.signatures)) or _signature_text(None)
    return f"{found} ({each.deviation.message})" if each.deviation is not None else found


def _write(path: Path, played: Sequence[Replay], proxy: ProxyTarget | None, client: str | None) -> None:
    played_on = proxy.name if proxy else "client" if client else "virtual"
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(_COLUMNS)
    for each in played:
        found = each.finding
        rows.writerow(
            [found.name, found.signature.outcome, found.story, found.handler, str(each.confirmed > 0).lower(),
             each.result, each.tries, f"{found.slack_ms:g}", _seen(each), played_on,
             (proxy and proxy.source) or ""]
        )  # fmt: skip
    write_text(path, file.getvalue())


def _signature_text(sign: Signature | None) -> str:
    """Return a signature as one line; None means no bad outcome."""
    if sign is None:
        return "nothing bad"
    count = f"{sign.results} result{'' if sign.results == 1 else 's'}"
    held = f", in {sign.holder}" if sign.holder else ""
    return f"{sign.outcome}: create for {sign.writer}, by {sign.cleared_by or 'nothing'}{held}, {count}"
