"""`voicerace explore`: every order that times allow."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from tqdm import tqdm

from voicerace.cli import options
from voicerace.cli.printing import print_json, print_lines, writable, writing
from voicerace.cli.tables import facts, print_table
from voicerace.experiments.explore.bounds import Bounds
from voicerace.experiments.explore.explorer import ExplorationResult
from voicerace.experiments.explore.explorer import explore as run_explore
from voicerace.experiments.explore.finding import sentence_of
from voicerace.experiments.explore.stories import STORIES, stories
from voicerace.files import write_text
from voicerace.model.catalog.handlers import HANDLERS

__all__ = ["explore"]


def explore(
    release: options.Release = None,
    component: options.ComponentTag = None,
    story: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help=" | ".join(STORIES) + "; may be repeated. [all]")
    ] = None,
    handler: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help=" | ".join(HANDLERS) + "; may be repeated. [the story's]")
    ] = None,
    bounds: options.BoundsOption = None,
    workaround: options.Workaround = None,
    max_states: Annotated[int, typer.Option(metavar="N", min=1, help="States per story and handler at most.")] = 200_000,
    jobs: Annotated[int, typer.Option(metavar="N", help="Stories side by side, each in a process; -1: one per core.")] = 1,
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Where to write all of it.")] = None,
    as_json: options.Json = False,
) -> int:
    """Find every order of events that leads to a bad outcome.

    Orders of deliveries, tools, stages of the API and timers, within the bounds of each time.
    """
    wanted = stories(story or (), handler or ())
    Bounds.of(bounds or ())
    writable(out)
    begun = ""
    with tqdm(file=sys.stderr, unit="state", disable=None) as bar:

        def tick(name: str, states: int) -> None:
            nonlocal begun
            if bar.disable and name != begun:
                print(f"exploring {name}", file=sys.stderr, flush=True)
            begun = name
            bar.set_description(name)
            bar.n = states
            bar.refresh()

        found = run_explore(release or "0.9.1", wanted, bounds or (), max_states, component, tick, workaround, jobs)
    record = found.to_json()
    # First, so that a full disk does not take what was found with it.
    if as_json:
        print_json(record)
    else:
        _show(found, record)
    if out is not None:
        writing(out, lambda: write_text(out, json.dumps(record, separators=(",", ":")) + "\n"))
        if not as_json:
            print_lines([f"written        {out}"])
    return 0


def _show(found: ExplorationResult, record: dict[str, Any]) -> None:
    rows = [
        (each.name, sentence_of(each.signature), each.story, each.handler, len(each.trace), f"{each.slack_ms:g} ms")
        for each in found.findings.values()
    ]
    heads = ("name", "what happens", "story", "handler", "steps", "room")
    print_table(heads, rows, f"{found.release}: {len(rows)} findings", right=("steps", "room"))
    unlike = [name for name, (low, high) in record["bounds"].items() if low != high]
    print_lines(
        facts(
            states=f"{record['states']}, every order explored: {'yes' if record['complete'] else 'no'}",
            unconfirmed=record["unconfirmed"],
            took=f"{record['seconds']} s, {record['peak_rss_mb']} MB at most",
            bounds=", ".join(f"{n} {record['bounds'][n][0]:g}-{record['bounds'][n][1]:g}" for n in unlike) + " ms",
        )
    )
