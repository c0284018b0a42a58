"""`voicerace report`: the letter that a customer opens, from a run of its own or one that is there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from voicerace.cli.printing import print_lines
from voicerace.errors import InputError
from voicerace.model.catalog.releases import proxy_release

__all__ = ["report"]


def report(
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page; its claims go beside it, ending in .json.")] = Path(
        "reports/report.html"
    ),
    run: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the page of this run, of report or of a sweep over --tool-ms.")
    ] = None,
    into: Annotated[Path | None, typer.Option(metavar="DIR", help="A new folder for a run of its own. [runs/...]")] = None,
    capture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Show its sessions: a log, a HAR file, a recording.")
    ] = None,
    release: Annotated[
        list[str] | None,
        typer.Option(metavar="TAG", help="In use; may be repeated. [from the capture, else as the customer reported]"),
    ] = None,
    to: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the customer. [voice-commerce]")] = None,
    customer: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="TOML file with what the letter says of one customer (reports/README.md)."),
    ] = None,
    sender: Annotated[str, typer.Option("--from", help="Author of the letter.")] = "the dg_react_agent team",
    releases: Annotated[
        str | None, typer.Option(metavar="TAGS", help="To play, with commas. [0.9.1,0.9.4,0.10.2,0.11.1]")
    ] = None,
    step_ms: Annotated[float | None, typer.Option(metavar="MS", help="Between the delays. [20]")] = None,
    map_step_ms: Annotated[float | None, typer.Option(metavar="MS", help="Of the map of delay against gap. [40]")] = None,
    draws: Annotated[
        int | None, typer.Option(metavar="N", help="Sessions per story and release with drawn times. [40]")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="S", help="Of the drawn times. [0]")] = None,
    pdf: Annotated[Path | None, typer.Option(metavar="FILE", help="Print it, too; needs a Chromium on this machine.")] = None,
    code: Annotated[bool, typer.Option("--code", help="Add the code of the notebook, folded.")] = False,
) -> int:
    """Write the report for a customer as one HTML file.

    The path of the page is printed last.
    """
    played = {"releases": releases, "step_ms": step_ms, "map_step_ms": map_step_ms, "draws": draws, "seed": seed, "out": into}
    if run is not None and (given := [name for name, value in played.items() if value is not None]):
        name = "into" if given[0] == "out" else given[0]
        raise InputError(name, "given with --run, whose sessions are played already", "one of the two")
    for tag in release or ():
        proxy_release(tag)
    if to is not None and not to.strip():
        raise InputError("to", "empty", "the name of the customer")
    # nbformat loads jsonschema, and that a parser of international addresses: seconds, and no notebook has such an address.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    # The notebook machinery takes longer to load than any other verb takes to run.
    from voicerace.report.build import build

    parameters: dict[str, Any] = {name: value for name, value in played.items() if value is not None and name != "out"}
    parameters |= {"to": to or "", "sender": sender, "code": code}
    for name, path in (("run", run), ("out", into), ("capture", capture), ("customer", customer)):
        if path is not None:
            parameters[name] = str(path)
    if release:
        parameters["release"] = list(release)
    done = build(out, parameters, pdf)
    print_lines([str(done.claims), *([str(done.pdf)] if done.pdf else []), str(done.page)])
    return 0
