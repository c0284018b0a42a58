"""The verb `explore`: find bad outcomes in every order of events that the bounds of the times allow."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from tqdm import tqdm

from voicerace.cli import options
from voicerace.cli.printing import print_json, print_lines, writable, writing
from voicerace.cli.tables import facts, print_table
from voicerace.errors import InputError
from voicerace.experiments.explore.bounds import Bounds
from voicerace.experiments.explore.explorer import ExplorationResult
from voicerace.experiments.explore.explorer import explore as run_explore
from voicerace.experiments.explore.finding import sentence_of
from voicerace.experiments.explore.stories import STORIES, client_stories, stories
from voicerace.files import write_text
from voicerace.model.catalog.clients import ClientRelease, release_named
from voicerace.model.catalog.handlers import HANDLERS

__all__ = ["explore"]


def explore(
    release: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TAG", help="Release of the proxy, or a unique backend version (repeatable).", show_default="0.9.1"
        ),
    ] = None,
    component: options.ComponentTag = None,
    story: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help=f"Scenario to explore (repeatable): {' | '.join(STORIES)}.", show_default="all"),
    ] = None,
    handler: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"How the app answers a call (repeatable): {' | '.join(HANDLERS)}.",
            show_default="those of the scenario",
        ),
    ] = None,
    bounds: options.BoundsOption = None,
    workaround: options.Workaround = None,
    max_states: Annotated[
        int, typer.Option(metavar="N", min=1, help="Maximum number of states per scenario and handler.")
    ] = 200_000,
    jobs: Annotated[
        int, typer.Option(metavar="N", help="Number of processes, each with one scenario at a time; -1 for one per core.")
    ] = 1,
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Where to write findings and statistics.")] = None,
    as_json: options.Json = False,
) -> int:
    """Find every order of events that leads to a bad outcome.

    It varies the order of deliveries, tool results, events of the API and timers within the bounds of each time.
    """
    names, handlers = options.names_given(story), options.names_given(handler)
    selected = stories(names, handlers)
    Bounds.of(bounds or ())
    tags = options.names_given(release) or ["0.9.1"]
    if len(tags) > 1 and (as_json or out is not None):
        raise InputError("release", f"{len(tags)} given", "allowed is one with --json or --out")
    rows = [release_named(tag) for tag in tags]
    if handlers and (clients := [row.tag for row in rows if isinstance(row, ClientRelease)]):
        raise InputError("handler", f"given with {clients[0]}", "no handler: a client runs its tools itself")
    writable(out)
    for tag, row in zip(tags, rows, strict=True):
        own = client_stories(names) if isinstance(row, ClientRelease) else selected
        _explore(tag, own, bounds or (), max_states, component, workaround, jobs, out, as_json=as_json)
    return 0


def _explore(
    tag: str,
    selected: Sequence[tuple[str, str]],
    bounds: Sequence[str],
    max_states: int,
    component: str | None,
    workaround: str | None,
    jobs: int,
    out: Path | None,
    *,
    as_json: bool,
) -> None:
    """Explore one release with progress on standard error, then print the result and write it to a file if requested."""
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

        found = run_explore(tag, selected, bounds, max_states, component, tick, workaround, jobs)
    record = found.to_json()
    # Print before the file is written, because writing can fail.
    if as_json:
        print_json(record)
    else:
        _show(found, record)
    if out is not None:
        writing(out, lambda: write_text(out, json.dumps(record, separators=(",", ":")) + "\n"))
        if not as_json:
            print_lines([f"written        {out}"])


def _show(found: ExplorationResult, record: dict[str, Any]) -> None:
    rows = [
        (each.name, sentence_of(each.signature), each.story, each.handler, len(each.trace), f"{each.slack_ms:g} ms")
        for each in found.findings.values()
    ]
    heads = ("name", "what happens", "story", "handler", "steps", "room")
    print_table(heads, rows, f"{found.release}: {len(rows)} findings", right=("steps", "room"))
    intervals = [name for name, (low, high) in record["bounds"].items() if low != high]
    print_lines(
        facts(
            states=f"{record['states']}, every order explored: {'yes' if record['complete'] else 'no'}",
            unconfirmed=record["unconfirmed"],
            took=f"{record['seconds']} s, {record['peak_rss_mb']} MB at most",
            bounds=", ".join(f"{n} {record['bounds'][n][0]:g}-{record['bounds'][n][1]:g}" for n in intervals) + " ms",
        )
    )
