"""The verb `conformance`: compare a proxy with its model, and the mock with recordings of the real API."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from voicerace.cli import options
from voicerace.cli.printing import print_json, print_lines, writing
from voicerace.cli.tables import facts, print_table
from voicerace.conformance import conform
from voicerace.conformance.api import COMPARED, conform_api
from voicerace.errors import InputError, one_of
from voicerace.files import shipped
from voicerace.trace.recording import read_recordings

__all__ = ["conformance"]

#: `lag`: longest time by which the running client sent a message later than the model.
_CLIENT_COLUMNS = ("client", "program", "sessions", "messages", "different", "lag")


def _reported(draws: int, *, as_json: bool, refused: Mapping[str, object]) -> int:
    """Play the models with the documented runs against the real API, print the outcomes, and return exit status 0."""
    from voicerace.conformance import reported

    if given := [name for name, value in refused.items() if value]:
        raise InputError(given[0], "given with --reported", "allowed with it are --draws and --json")
    found = reported.retrodict(draws)
    if as_json:
        print_json({"schema": 1, "draws": draws, "runs": [each.to_json() for each in found], "fits": reported.summary(found)})
    else:
        print_lines(reported.lines(found))
    return 0


def _clients(*, as_json: bool) -> int:
    """Compare the models of clients with the recordings in data/field. Return exit status 1 if a message differs."""
    from voicerace.conformance.clients import compare_client
    from voicerace.model.catalog.clients import CLIENTS, PREFIX

    rows, different = [], []
    for tag, row in CLIENTS.items():
        path = shipped("data/field") / f"{tag.removeprefix(PREFIX)}.jsonl.gz"
        compared = [each for recording in read_recordings(path) if (each := compare_client(recording)) is not None]
        different += [each for each in compared if each.differences]
        wrong = sum(bool(each.differences) for each in compared)
        lag_ms = max(each.lag_ms for each in compared)
        rows.append((tag, row.program, len(compared), sum(each.messages for each in compared), wrong, f"{lag_ms:.0f} ms"))
    if as_json:
        print_json({"schema": 1, "clients": [dict(zip(_CLIENT_COLUMNS, row, strict=True)) for row in rows]})
    else:
        print_table(_CLIENT_COLUMNS, rows, "clients", right=_CLIENT_COLUMNS[2:])
        print_lines([f"{each.client}, {each.case}: {text}" for each in different for text in each.differences])
    return int(bool(different))


def conformance(
    proxy: Annotated[
        str | None, typer.Option(metavar="backend:DIR", help="Checkout of the proxy, with its dependencies installed.")
    ] = None,
    forwarder: Annotated[
        str | None,
        typer.Option(metavar="backend:DIR", help="Checkout whose forwarder (and own proxy) is compared with its model."),
    ] = None,
    clients: Annotated[
        bool, typer.Option("--clients", help="Compare the models of clients with the recordings in data/field.")
    ] = False,
    api: Annotated[bool, typer.Option("--api", help="Compare the mock with recordings of the real API.")] = False,
    provider: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="With --api: provider to compare (repeatable).", show_default="all")
    ] = None,
    release: Annotated[
        str | None,
        typer.Option(
            metavar="TAG",
            help="Release to compare with; with --forwarder a generation, F0 or F1.",
            show_default="by the hash of the source",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the table and the recordings.")] = Path(
        "data/conformance"
    ),
    log: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to write the proxy's output.")] = None,
    reported: Annotated[
        bool, typer.Option("--reported", help="Play the maintainers' documented runs against the real API instead.")
    ] = False,
    draws: Annotated[
        int, typer.Option(metavar="N", min=1, max=10_000, help="With --reported: number of sessions per run and gap.")
    ] = 100,
    as_json: options.Json = False,
) -> int:
    """Compare a proxy with its model, or the mock with the real API.

    Compares every message of a running proxy (--proxy), or of recordings of the real API (--api). Exit 1 if they differ.
    --clients compares clients without a proxy. With --reported: plays documented runs against the real API with the
    models; exit 0.
    """
    if reported:
        refused = {"proxy": proxy, "forwarder": forwarder, "api": api, "release": release, "log": log}
        return _reported(draws, as_json=as_json, refused=refused)
    if clients:
        if given := [name for name, value in {"proxy": proxy, "forwarder": forwarder, "api": api}.items() if value]:
            raise InputError(given[0], "given with --clients", "allowed with it is --json")
        return _clients(as_json=as_json)
    if forwarder is not None:
        for name, given in {"proxy": proxy, "api": api, "provider": provider}.items():
            if given:
                raise InputError(
                    f"--{name}", "given with --forwarder", "allowed with it are --release, --out, --log and --json"
                )
        return _forwarder(options.backend_directory(forwarder, "forwarder"), release, out, log, as_json=as_json)
    if api:
        if proxy is not None:
            raise InputError("--api", "given with --proxy", "allowed is one of the two")
        return _api(provider or [], as_json=as_json)
    if provider:
        raise InputError("--provider", "given without --api", "add --api")
    if proxy is None:
        raise InputError("proxy", "is missing", "backend:DIR, or --api, or --reported")
    directory = options.backend_directory(proxy)
    with tqdm(file=sys.stderr, unit="case", disable=None) as bar:

        def progress(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        result = conform(directory, release, log=log, progress=progress)
    files = writing(out, lambda: result.write(out))
    sessions = sum(row["scenario"] != "script" for row in result.rows)
    if as_json:
        print_json(
            {
                "schema": 1,
                "release": result.release.tag,
                "source": result.source,
                "sessions": sessions,
                "scripts": len(result.rows) - sessions,
                "messages": sum(row["messages"] for row in result.rows),
                "differences": result.differences,
                "found": {name: [str(each) for each in found] for name, found in result.found.items()},
                "files": [file.name for file in files],
            }
        )
    else:
        for name, found in result.found.items():
            print_lines(f"{name}: {each}" for each in found)
        print_lines(
            facts(
                release=f"{result.release.tag} (program {result.source})",
                sessions=f"{sessions}, and {len(result.rows) - sessions} scripted exchanges",
                messages=f"{sum(row['messages'] for row in result.rows)} of the proxy compared",
                differences=result.differences,
            )
        )
        print_lines(line for file in files for line in facts(written=file))
    return int(result.differences > 0)


def _forwarder(directory: Path, generation: str | None, out: Path, log: Path | None, *, as_json: bool) -> int:
    from voicerace.conformance.forwarder import conform_forwarder  # imports websockets

    with tqdm(file=sys.stderr, unit="case", disable=None) as bar:

        def progress(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        result = conform_forwarder(directory, log, progress, generation=generation)
    files = writing(out, lambda: result.write(out))
    compared = sum(row["compared"] == "yes" for row in result.rows)
    if as_json:
        print_json(
            {
                "schema": 1,
                "generation": result.row.generation,
                "source": result.source,
                "release": result.release.tag if result.release else None,
                "compared": compared,
                "differences": result.differences,
                "rows": list(result.rows),
                "files": [file.name for file in files],
            }
        )
    else:
        for row in result.rows:
            if row["model"] != row["running"]:
                note = "" if row["compared"] == "yes" else " (not compared: it depends on the machine)"
                print_lines([f"{row['case']}, {row['step']}: model: {row['model']}; running: {row['running']}{note}"])
        print_lines(
            facts(
                forwarder=f"{result.row.generation} (program {result.source})",
                compared=f"{compared} steps of {len({row['case'] for row in result.rows})} cases",
                differences=result.differences,
            )
        )
        print_lines(line for file in files for line in facts(written=file))
    return int(result.differences > 0)


def _api(providers: list[str], *, as_json: bool) -> int:
    for name in providers:
        one_of("provider", name, COMPARED)
    result = conform_api(*(providers or COMPARED))
    rows = result.rows()
    if as_json:
        explained = [{**row._asdict(), "differences": sum(found.values())} for row, found in result.explained.items()]
        print_json({
            "schema": 1,
            "providers": rows,
            "explained": explained,
            "unexplained": [each._asdict() for each in result.unexplained],
        })  # fmt: skip
    else:
        print_lines(str(each) for each in result.unexplained)
        for row, found in result.explained.items():
            print_lines([f"explained: {sum(found.values())} x {row.kind}: {f'{row.event} {row.path}'.rstrip()}: {row.why}"])
        print_lines(facts(**{
            each["provider"]: f"{each['sessions']} sessions, {each['messages']} messages compared, "
            f"{each['explained']} differences explained, {each['differences']} not"
            for each in rows
        }))  # fmt: skip
    return int(bool(result.unexplained))
