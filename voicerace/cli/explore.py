"""`voicerace explore` and `voicerace replay`: every order that times allow, and a finding of it once more."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from voicerace.cli import options, text
from voicerace.cli.printing import print_json, print_lines, writing
from voicerace.errors import InputError
from voicerace.explore.bounds import Bounds
from voicerace.explore.explorer import Explored
from voicerace.explore.explorer import explore as run_explore
from voicerace.explore.finding import Finding, sentence_of
from voicerace.explore.replay import replayed
from voicerace.explore.stories import STORIES, stories
from voicerace.tables.handlers import HANDLERS
from voicerace.verdict import judge

__all__ = ["explore", "replay"]


def explore(
    release: options.Release = None,
    component: options.ComponentTag = None,
    story: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help=" | ".join(STORIES) + "; may be repeated. [all]")
    ] = None,
    handler: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help=" | ".join(HANDLERS) + "; may be repeated. [the story's]")
    ] = None,
    bounds: Annotated[
        list[str] | None, typer.Option(metavar="NAME=LOW:HIGH", help="A duration's interval in ms; may be repeated.")
    ] = None,
    workaround: options.Workaround = None,
    max_states: Annotated[int, typer.Option(metavar="N", min=1, help="States per story and handler at most.")] = 200_000,
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Where to write all of it.")] = None,
    as_json: options.Json = False,
) -> int:
    """Find every path to a bad outcome: every order of deliveries, tools, upstream progress and timers that times allow."""
    wanted = stories(story or (), handler or ())
    Bounds.of(bounds or ())
    with tqdm(file=sys.stderr, unit="state", disable=None) as bar:

        def tick(name: str, states: int) -> None:
            bar.set_description(name)
            bar.n = states
            bar.refresh()

        found = run_explore(release or "0.9.1", wanted, bounds or (), max_states, component, tick, workaround)
    record = found.to_json()
    if out is not None:
        writing(out, lambda: out.write_text(json.dumps(record, indent=1) + "\n", "utf-8"))
    if as_json:
        print_json(record)
    else:
        _show(found, record)
        if out is not None:
            print_lines([f"written        {out}"])
    return 0


def _show(found: Explored, record: dict[str, Any]) -> None:
    table = Table(title=f"{found.release}: {len(found.findings)} findings", title_justify="left")
    for name in ("name", "what happens", "story", "handler", "steps", "room"):
        table.add_column(name, overflow="fold")
    for each in found.findings.values():
        steps, room = str(len(each.trace)), f"{each.room_ms:g} ms"
        table.add_row(each.name, sentence_of(each.signature), each.story, each.handler, steps, room)
    Console().print(table)
    unlike = [name for name, (low, high) in record["bounds"].items() if low != high]
    print_lines(
        [
            f"states         {record['states']}, every order explored: {'yes' if record['complete'] else 'no'}",
            f"unconfirmed    {record['unconfirmed']}",
            f"took           {record['seconds']} s, {record['peak_rss_mb']} MB at most",
            "bounds         " + ", ".join(f"{n} {record['bounds'][n][0]:g}-{record['bounds'][n][1]:g}" for n in unlike) + " ms",
        ]
    )


def replay(
    finding: Annotated[
        Path, typer.Argument(metavar="FINDING.json", help="A file of `voicerace explore --out`, or one finding.")
    ],
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Which of the file's findings. [all]")] = None,
    as_json: options.Json = False,
) -> int:
    """Play findings once more by their schedules, in virtual time. Exit 1 when one does not come to what it says."""
    rows = []
    for each in _read(finding, name):
        recording, found = replayed(each)
        verdict = judge(recording)
        rows.append((each, verdict, each.signature in found))
    if as_json:
        print_json(
            {
                "schema": 1,
                "replays": [
                    {"name": f.name, "confirmed": ok, "outcome": v.outcome, "wedged": v.wedged, "why": v.why}
                    for f, v, ok in rows
                ],
            }
        )
    else:
        for each, verdict, same in rows:
            print_lines(
                [f"finding        {each.name}: {'confirmed' if same else 'NOT CONFIRMED'}", *text.verdict_lines(verdict), ""]
            )
    return int(not all(same for _, _, same in rows))


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
