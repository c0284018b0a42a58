"""The verb `formula`: derive the condition of each outcome in named times."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from voicerace.cli import options
from voicerace.cli.printing import print_json, print_lines, writable, writing
from voicerace.cli.tables import print_table
from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError
from voicerace.files import write_text
from voicerace.model.catalog.scenarios import SCENARIOS

__all__ = ["formula"]


@options.takes_times
def formula(
    times: Mapping[str, object],
    release: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TAG", help="Release of the proxy, or a unique backend version (repeatable).", show_default="0.9.1"
        ),
    ] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help=f"Scenario (repeatable): {' | '.join(SCENARIOS)}.", show_default="single"),
    ] = None,
    handler: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="How the app answers a function call (repeatable).", show_default="return"),
    ] = None,
    component: options.ComponentTag = None,
    profile: options.Profile = "loopback",
    free: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LOW:HIGH",
            help="Interval in ms of a time that the formula contains (repeatable). The other times are constants.",
            show_default="those of docs/formula.md",
        ),
    ] = None,
    share: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=DISTRIBUTION", help="Draw a time and print the share of each outcome (repeatable)."),
    ] = None,
    draws: Annotated[int, typer.Option(metavar="N", min=1, help="With --share: number of draws.")] = 1_000_000,
    seed: options.Seed = 0,
    most: Annotated[int, typer.Option(metavar="N", min=1, help="Maximum number of regions of the box of times.")] = 400,
    as_latex: Annotated[bool, typer.Option("--latex", help="Print LaTeX.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Where to write the formulas.")] = None,
    as_json: options.Json = False,
) -> int:
    """Derive the condition of each outcome in named times.

    It holds for values in the printed intervals.
    """
    # Imported here, because --help needs neither numpy nor scipy.
    from voicerace.experiments.formula.formula import derive
    from voicerace.experiments.formula.setting import default_box, intervals
    from voicerace.experiments.formula.share import Shares
    from voicerace.experiments.formula.text import latex, lines, record_of

    writable(out)
    drawn = _pairs("share", share)
    records: list[dict[str, Any]] = []
    for tag in options.names_given(release) or ["0.9.1"]:
        for story in options.names_given(scenario) or ["single"]:
            for style in options.names_given(handler) or ["return"]:
                session = SessionConfig.of(
                    release=tag, scenario=story, handler=style, times=times, profile=profile, component_tag=component
                )
                box = {**default_box(session, times), **intervals(_pairs("free", free))}
                shares = Shares.drawn(drawn, draws, seed) if drawn else None
                found = derive(session, shares.box if shares is not None else box, most)
                record = record_of(found)
                if shares is not None:
                    record |= shares.of(found)
                records.append(record)
                if as_json:
                    continue
                if as_latex:
                    print(latex(found))
                    continue
                print_lines(
                    [f"{tag}, scenario {story}, handler {style}", *(f"  {line}" for line in lines(found)), *_limits(record)]
                )
                if shares is not None:
                    _show_shares(record)
    if as_json:
        print_json({"schema": 1, "formulas": records})
    if out is not None:
        writing(out, lambda: write_text(out, json.dumps({"schema": 1, "formulas": records}, indent=1) + "\n"))
    return 0


def _limits(record: Mapping[str, Any]) -> list[str]:
    box = ", ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in record["box"].items())
    fixed = ", ".join(f"{name} {value}" for name, value in record["constants"].items())
    return [f"  for {box} ms ({record['regions']} regions)", f"  with {fixed} ms"]


def _show_shares(record: Mapping[str, Any]) -> None:
    rows = [
        (name, f"{each['share']:.4%}", f"{each['low']:.4%} to {each['high']:.4%}") for name, each in record["shares"].items()
    ]
    print_table(("outcome", "share", "95 % interval"), rows, f"{record['draws']} draws", right=("share",))
    moved = [
        (name, f"{each['low']:.2%}", f"{each['high']:.2%}", f"{each['change']:+.2%}")
        for name, each in record["sensitivity"].items()
    ]
    heads = ("time", "bad at its 10 % quantile", "at its 90 % quantile", "change")
    print_table(heads, moved, "Share of bad outcomes with one time fixed, the others drawn", right=heads[1:])


def _pairs(option: str, given: list[str] | None) -> dict[str, str]:
    found = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(option, f"{text!r:.60} has no value", "NAME=VALUE")
        found[name.replace("-", "_")] = value
    return found
