"""The verb `report`: write the report for a customer, from a new or an existing run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from voicerace.cli.options import names_given
from voicerace.cli.printing import print_lines
from voicerace.errors import InputError
from voicerace.model.catalog.releases import proxy_release

__all__ = ["report"]


def report(
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="HTML file to write; its claims are written next to it as .json.",
            show_default="reports/report.html, with --field reports/field.html",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Existing run to report on, of report or of a sweep over --tool-ms."),
    ] = None,
    into: Annotated[
        Path | None, typer.Option(metavar="DIR", help="New folder for the run.", show_default="runs/TIME-HASH")
    ] = None,
    capture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Capture whose sessions are shown: log, HAR file or recording.")
    ] = None,
    release: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TAG",
            help="Release in use (repeatable).",
            show_default="from the capture, else as the customer reported",
        ),
    ] = None,
    to: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the customer.", show_default="voice-commerce")] = None,
    customer: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="TOML file with the letter's texts for one customer (reports/README.md)."),
    ] = None,
    sender: Annotated[str, typer.Option("--from", metavar="NAME", help="Author of the letter.")] = "the dg_react_agent team",
    audience: Annotated[
        Literal["customer", "maintainers"],
        typer.Option("--for", metavar="NAME", help="Readers of the page: customer · maintainers (of the proxy)."),
    ] = "customer",
    releases: Annotated[
        list[str] | None,
        typer.Option(metavar="TAGS", help="Releases to play, with commas.", show_default="0.9.1,0.9.4,0.10.2,0.11.1"),
    ] = None,
    step_ms: Annotated[
        float | None, typer.Option(metavar="MS", help="Step between the delays of the result.", show_default="20")
    ] = None,
    map_step_ms: Annotated[
        float | None, typer.Option(metavar="MS", help="Step of the map of delay and gap.", show_default="40")
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(metavar="N", help="Sessions per scenario and release with drawn times.", show_default="40"),
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of drawn times.", show_default="0")] = None,
    pdf: Annotated[Path | None, typer.Option(metavar="FILE", help="PDF file to print as well; needs Chromium.")] = None,
    code: Annotated[bool, typer.Option("--code", help="Add the code of the notebook, folded.")] = False,
    field: Annotated[
        bool, typer.Option("--field", help="Instead, write the page of the clients in data/field (docs/clients.md).")
    ] = False,
    client: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="With --field: client whose sessions are drawn (repeatable).", show_default="all"),
    ] = None,
) -> int:
    """Write the report for a customer as one HTML file.

    The last line of the output is the path of the page.
    """
    out = out or Path("reports/field.html" if field else "reports/report.html")
    if client and not field:
        raise InputError("client", "given without --field", "only with --field are sessions of clients drawn")
    if field:
        of_letter = {
            "run": run, "into": into, "capture": capture, "release": release, "to": to, "customer": customer,
            "releases": releases, "step_ms": step_ms, "map_step_ms": map_step_ms, "draws": draws, "seed": seed,
            "code": code or None, "for": None if audience == "customer" else audience,
        }  # fmt: skip
        if wrong := next((name for name, value in of_letter.items() if value is not None), None):
            raise InputError(wrong, "given with --field", "allowed with it are --client, --out and --pdf")
        return _field(out, client or (), pdf)
    in_use = names_given(release)
    played = {
        "releases": ",".join(releases) if releases else None,
        "step_ms": step_ms,
        "map_step_ms": map_step_ms,
        "draws": draws,
        "seed": seed,
        "out": into,
    }
    if run is not None and (given := [name for name, value in played.items() if value is not None]):
        name = "into" if given[0] == "out" else given[0]
        raise InputError(name, "given with --run, whose sessions exist already", "allowed is one of the two")
    for tag in in_use:
        proxy_release(tag)
    if to is not None and not to.strip():
        raise InputError("to", "empty", "the name of the customer")
    _without_slow_imports()
    from voicerace.report.build import build

    parameters: dict[str, Any] = {name: value for name, value in played.items() if value is not None and name != "out"}
    parameters |= {"to": to or "", "sender": sender, "audience": audience, "code": code}
    for name, path in (("run", run), ("out", into), ("capture", capture), ("customer", customer)):
        if path is not None:
            parameters[name] = str(path)
    if in_use:
        parameters["release"] = in_use
    done = build(out, parameters, pdf)
    print_lines([str(done.claims), *([str(done.pdf)] if done.pdf else []), str(done.page)])
    return 0


def _field(out: Path, drawn: Sequence[str], pdf: Path | None) -> int:
    """Write the page of the clients in data/field."""
    _without_slow_imports()
    from voicerace.report.build import build_field

    build_field(out, drawn, pdf)
    print_lines([*([str(pdf)] if pdf else []), str(out)])
    return 0


def _without_slow_imports() -> None:
    # nbformat imports rfc3987_syntax through jsonschema. The import takes seconds and is not needed here.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
