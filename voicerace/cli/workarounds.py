"""`voicerace workarounds`: what an app can do by itself, per release, and what that costs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from voicerace.cli import options
from voicerace.cli.printing import print_json, print_lines
from voicerace.explore.bounds import Bounds
from voicerace.tables.releases import proxy_release
from voicerace.tables.workarounds import WORKAROUNDS
from voicerace.tables.workarounds import workaround as row_of
from voicerace.workarounds import BOUNDS, Effect, effect_of

__all__ = ["workarounds"]

#: One of each generation that the letter speaks of.
_RELEASES = ("0.9.1", "0.9.4", "0.10.2", "0.11.1")


def workarounds(
    release: Annotated[
        list[str] | None, typer.Option(metavar="TAG", help="May be repeated. [" + ", ".join(_RELEASES) + "]")
    ] = None,
    workaround: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help=" | ".join(WORKAROUNDS) + "; may be repeated. [all]")
    ] = None,
    bounds: Annotated[
        list[str] | None, typer.Option(metavar="NAME=LOW:HIGH", help="A duration's interval in ms; may be repeated.")
    ] = None,
    max_states: Annotated[int, typer.Option(metavar="N", min=1, help="States per story at most.")] = 20_000,
    as_json: options.Json = False,
) -> int:
    """Explore what an app can do about the race with the component's public API: what it removes, leaves, brings, costs."""
    tags = [proxy_release(each).tag for each in release or _RELEASES]
    names = list(workaround or WORKAROUNDS)
    for name in names:
        row_of(name)
    Bounds.of((*BOUNDS, *(bounds or ())))
    effects = []
    with tqdm(total=len(tags) * len(names), file=sys.stderr, disable=None) as bar:
        for tag in tags:
            for name in names:
                bar.set_description(f"{tag} {name}")
                effects.append(effect_of(tag, name, times=bounds or (), limit=max_states))
                bar.update()
    if as_json:
        print_json({"schema": 1, "bounds": [*BOUNDS, *(bounds or ())], "effects": [each.to_json() for each in effects]})
        return 0
    for tag in tags:
        _show(tag, [each for each in effects if each.release == tag])
    for name in names:
        row = WORKAROUNDS[name]
        print_lines([f"{name}: {row.sentence}", f"costs: {row.costs}", "", row.typescript, ""])
    return 0


def _show(tag: str, effects: list[Effect]) -> None:
    table = Table(title=f"{tag}: findings by story", title_justify="left")
    for column in ("workaround", "removed", "left", "new", "not met", "air ms", "heard"):
        table.add_column(column, overflow="fold")
    for each in effects:
        if each.why_not is not None:
            table.add_row(each.workaround, "not possible", *[""] * 5)
            continue
        air, bare = ("none" if value is None else f"{value:.0f}" for value in (each.air_ms, each.air_without_ms))
        counts = [str(len(pairs)) for pairs in (each.removed, each.left, each.new, each.not_met)]
        heard = f"{each.heard_without} -> {each.heard}/{each.sessions}"
        table.add_row(each.workaround, *counts, f"{bare} -> {air}", heard)
    Console().print(table)
    print_lines([f"{each.workaround}: {each.why_not}" for each in effects if each.why_not is not None])
    print_lines([f"{each.workaround}: not all explored: {', '.join(each.incomplete)}" for each in effects if each.incomplete])
    for each in effects:
        for word, pairs in (("left", each.left), ("new", each.new)):
            print_lines(f"{each.workaround}: {word}: {story}: {name}" for story, name in pairs)
    print_lines([""])
