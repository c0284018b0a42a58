"""The verb `explore`: find bad outcomes in every order of events that the bounds of the times allow."""

from __future__ import annotations

import json
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from tqdm import tqdm

from voicerace.cli import options
from voicerace.cli.printing import print_json, print_lines, writable, writing
from voicerace.cli.tables import facts, print_table, terminal_width
from voicerace.errors import InputError
from voicerace.experiments.explore.bounds import Bounds
from voicerace.experiments.explore.explorer import ExplorationResult
from voicerace.experiments.explore.explorer import explore as run_explore
from voicerace.experiments.explore.finding import Finding, sentence_of
from voicerace.experiments.explore.matrix import rows, stored
from voicerace.experiments.explore.stories import ALL_STORIES, client_stories, stories
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
    scenario: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help=f"Scenario to explore (repeatable): {' | '.join(ALL_STORIES)}.", show_default="all"),
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
    matrix: Annotated[
        bool, typer.Option("--matrix", help="Print what data/explore has per scenario, handler and release. Explore nothing.")
    ] = False,
    as_json: options.Json = False,
) -> int:
    """Find every order of events that leads to a bad outcome.

    It varies the order of deliveries, tool results, events of the API and timers within the bounds of each time.
    """
    names, handlers = options.names_given(scenario), options.names_given(handler)
    selected = stories(names, handlers)
    Bounds.of(bounds or ())
    if matrix:
        _matrix(options.names_given(release), selected, as_json=as_json)
        return 0
    tags = options.names_given(release) or ["0.9.1"]
    if len(tags) > 1 and (as_json or out is not None):
        raise InputError("release", f"{len(tags)} given", "allowed is one with --json or --out")
    given = [release_named(tag) for tag in tags]
    if handlers and (clients := [row.tag for row in given if isinstance(row, ClientRelease)]):
        raise InputError("handler", f"given with {clients[0]}", "no handler: a client runs its tools itself")
    writable(out)
    for tag, row in zip(tags, given, strict=True):
        own = client_stories(names) if isinstance(row, ClientRelease) else selected
        _explore(tag, own, bounds or (), max_states, component, workaround, jobs, out, as_json=as_json)
    return 0


def _matrix(releases: Sequence[str], selected: Sequence[tuple[str, str]], *, as_json: bool) -> None:
    """Print the stored explorations: one row per pair of scenario and handler, one column per release."""
    explorations = stored(releases)
    found = [(story, handler, cells) for story, handler, cells in rows(explorations) if (story, handler) in selected]
    if as_json:
        print_json(
            {
                each.release: [
                    {"scenario": story, "handler": handler, **vars(cell)}
                    for story, handler, cells in found
                    if (cell := cells[position]) is not None
                ]
                for position, each in enumerate(explorations)
            }
        )
        return
    heads = ("scenario", "handler", *(each.release for each in explorations))
    print_table(heads, [(story, handler, *(cell and str(cell) for cell in cells)) for story, handler, cells in found])


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
    with tqdm(file=sys.stderr, total=len(selected), unit="pair", disable=None) as bar:
        progress = _Progress(bar, len(selected), serial=jobs == 1)
        found = run_explore(tag, selected, bounds, max_states, component, progress.tick, workaround, jobs)
    record = found.to_json()
    # Print before the file is written, because writing can fail.
    if as_json:
        print_json(record)
    else:
        _show(found, record)
    if out is not None:
        writing(out, lambda: write_text(out, _lines(record)))
        if not as_json:
            print_lines([f"written        {out}"])


class _Progress:
    """Progress of an exploration: pairs done of all, states so far, and the time left if each pair takes as long as those done.

    Args:
        bar: the bar on a terminal. If it is disabled, one line per pair is printed on standard error.
        pairs: number of pairs of scenario and handler.
        serial: whether pairs are explored one after another. Otherwise `tick` is called when a pair is done.
    """

    def __init__(self, bar: Any, pairs: int, *, serial: bool) -> None:
        self.bar, self.pairs, self.serial = bar, pairs, serial
        self.states: dict[str, int] = {}
        self.began = time.monotonic()

    def tick(self, name: str, states: int) -> None:
        """Show that a pair has reached a number of states."""
        new = name not in self.states
        self.states[name] = states
        self.bar.n = len(self.states) - self.serial
        self.bar.set_description(name, refresh=False)
        self.bar.set_postfix_str(self.text(self.bar.n, time.monotonic() - self.began), refresh=False)
        self.bar.refresh()
        if new and self.bar.disable:
            print(f"exploring {name}; {self.text(self.bar.n, time.monotonic() - self.began)}", file=sys.stderr, flush=True)

    def text(self, done: int, seconds: float) -> str:
        """Return the progress after `seconds` with `done` pairs done, as text."""
        left = f", about {seconds / done * (self.pairs - done):.0f} s left" if done else ""
        return f"{done} of {self.pairs} pairs, {sum(self.states.values()):,} states{left}"


def _lines(record: dict[str, Any]) -> str:
    """Return JSON text with one line per key of the record, so that the first lines of the file are its header."""
    return "{\n" + ",\n".join(f'"{key}":{json.dumps(value, separators=(",", ":"))}' for key, value in record.items()) + "\n}\n"


def _show(found: ExplorationResult, record: dict[str, Any]) -> None:
    whole, pairs = record["pairs_whole"], record["pairs"]
    print_lines(
        [f"{found.release}: {len(found.findings)} findings; {whole} of {pairs} pairs of scenario and handler explored whole"]
    )
    for each in found.findings.values():
        print_lines(["", each.name, *_wrapped(_paragraph(each))])
    intervals = [name for name, (low, high) in record["bounds"].items() if low != high]
    print_lines(
        [
            "",
            *facts(
                states=f"{record['states']:,}",
                not_whole=", ".join(record["pairs_not_whole"]) or "none",
                unconfirmed=record["unconfirmed"],
                took=f"{record['seconds']} s, {record['peak_rss_mb']} MB at most",
                bounds=", ".join(f"{n} {record['bounds'][n][0]:g}-{record['bounds'][n][1]:g}" for n in intervals) + " ms",
            ),
        ]
    )


def _paragraph(finding: Finding) -> str:
    """Return a description of a finding: the scenario, the handler, what happens, and the size of its shortest trace."""
    return (
        f"Scenario {finding.story} ({ALL_STORIES[finding.story].sentence}), handler {finding.handler}: "
        f"{sentence_of(finding.signature)} "
        f"The shortest trace has {len(finding.trace)} steps, {finding.slack_ms:g} ms or more apart where their order matters."
    )


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, (terminal_width() or 100) - 2, initial_indent="  ", subsequent_indent="  ")
