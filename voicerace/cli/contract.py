"""`voicerace contract`: does an API keep what the models assume of it?"""

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

_MOCKS_TIMES = ("upstream_rtt_ms", *SERVER_TIMES)


@options.takes_times
def contract(
    times: Mapping[str, object],
    upstream: Annotated[str, typer.Option(help="mock | openai (OPENAI_API_KEY) | ws(s)://...")] = "mock",
    model: Annotated[str, typer.Option(help="The model asked for at openai.")] = "gpt-realtime",
    key_from: Annotated[
        str | None, typer.Option(metavar="VARIABLE", help="The variable whose value is the upstream's Bearer token.")
    ] = None,
    fact: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this one; may be repeated. [all]")] = None,
    repeats: Annotated[
        int | None, typer.Option(metavar="N", min=0, max=1000, help="Function calls for the times alone. [mock 5, else 3]")
    ] = None,
    max_sessions: options.MaxSessions = None,
    at_once: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=64, help="Sessions at a time. [mock 8, else 1]")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="The mock's times that are not given. [loopback]")] = None,
    knob: options.Knob = None,
    seed: options.Seed = 0,
    trace: Annotated[bool, typer.Option("--trace", help="Print the events that decide each fact.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the recordings and contract.json there.")] = None,
    as_json: options.Json = False,
) -> int:
    """Test an API for the facts that the models rest on.

    One small experiment per fact: what is open first, then bounded, then settled. Exit 1 when one is broken.

    Times and --knob are the mock's; an API has its own.
    """
    target = UpstreamTarget.of(upstream, model, key_from)
    session = None
    if target.kind == "mock":
        for name in times:
            if name not in _MOCKS_TIMES:
                raise InputError(name, "no upstream has this time", f"allowed are {', '.join(_MOCKS_TIMES)}")
        session = SessionConfig.of(times=times, profile=profile or "loopback", knobs_given=options.knob_words(knob), seed=seed)
    else:
        given = [*times, *(["knob"] if knob else []), *(["profile"] if profile else []), *(["seed"] if seed else [])]
        if given:
            raise InputError(given[0], f"given for {target.name}", "only for the mock; an API has its own")
    if out is not None:
        writing(out, lambda: out.mkdir(parents=True, exist_ok=True))  # before anything is paid for
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
