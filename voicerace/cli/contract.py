"""The verb `contract`: test an API for the facts that the models assume."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from voicerace.cli import options
from voicerace.cli.printing import print_json, print_lines, writing
from voicerace.conformance.contract import check_contract
from voicerace.conformance.contract.show import contract_lines, trace_lines
from voicerace.engine.live.targets import UpstreamTarget
from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError
from voicerace.model.catalog.profiles import SERVER_TIMES

__all__ = ["contract"]

_MOCK_TIMES = ("upstream_rtt_ms", *SERVER_TIMES)


@options.takes_times
def contract(
    times: Mapping[str, object],
    upstream: Annotated[
        str, typer.Option(metavar="API", help="API to test: mock | openai (OPENAI_API_KEY) | ws(s)://...")
    ] = "mock",
    model: Annotated[str, typer.Option(metavar="NAME", help="Model to request with --upstream openai.")] = "gpt-realtime",
    key_from: options.KeyFrom = None,
    fact: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Fact to test (repeatable).", show_default="all")
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            max=1000,
            help="Function calls that only measure times.",
            show_default="5 of the mock, 3 of an API",
        ),
    ] = None,
    max_sessions: options.MaxSessions = None,
    at_once: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=64, help="Sessions at the same time.", show_default="8 of the mock, 1 of an API"),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Source of the mock's times that are not given.", show_default="loopback"),
    ] = None,
    knob: options.Knob = None,
    seed: options.Seed = 0,
    trace: Annotated[bool, typer.Option("--trace", help="Print the events that decide each fact.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for the recordings and contract.json.")] = None,
    as_json: options.Json = False,
) -> int:
    """Test an API for the facts that the models assume.

    Plays one small experiment per fact, undocumented facts first. Exit 1 if the API breaks a fact.

    Times and --knob configure the mock; an API has its own.
    """
    target = UpstreamTarget.of(upstream, model, key_from)
    session = None
    if target.kind == "mock":
        for name in times:
            if name not in _MOCK_TIMES:
                raise InputError(name, "is not a time of the API", f"allowed are {', '.join(_MOCK_TIMES)}")
        session = SessionConfig.of(times=times, profile=profile or "loopback", knobs_given=options.knob_words(knob), seed=seed)
    else:
        given = [*times, *(["knob"] if knob else []), *(["profile"] if profile else []), *(["seed"] if seed else [])]
        if given:
            raise InputError(given[0], f"given for {target.name}", "only for the mock; an API has its own")
    if out is not None:
        writing(out, lambda: out.mkdir(parents=True, exist_ok=True))  # before the sessions, which can cost money
    with tqdm(file=sys.stderr, unit="session", disable=None) as bar:

        def progress(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        found = check_contract(
            target,
            session,
            facts=fact or (),
            repeats=repeats,
            max_sessions=max_sessions,
            at_once=at_once,
            folder=out,
            progress=progress,
        )
    files = writing(out, lambda: found.write(out)) if out is not None else []
    if as_json:
        print_json(found.to_json() | ({"files": [file.name for file in files]} if files else {}))
    else:
        print_lines(contract_lines(found))
        if trace:
            print_lines(trace_lines(found))
        if files:
            print_lines(["", f"{len(files)} files in {out}"])
    return int(found.count("broken") > 0)
