"""The verb `sweep`: a grid of sessions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from voicerace.cli import options, text
from voicerace.cli.printing import known_outcomes, print_json, print_lines, writing
from voicerace.cli.targets import Targets, takes_targets
from voicerace.errors import InputError
from voicerace.scrubber import printable

__all__ = ["sweep"]


@options.takes_times
@takes_targets
@options.takes_grid
def sweep(
    times: Mapping[str, object],
    targets: Targets,
    spec: Mapping[str, Any],
    trials: Annotated[int, typer.Option(metavar="N", help="Sessions per cell, when a time is drawn or with --live.")] = 1,
    ties: Annotated[
        bool | None,
        typer.Option("--ties/--no-ties", help="Look for ties: several sessions per trial. [not with uniform, lognormal times]"),
    ] = None,
    keep: Annotated[int, typer.Option(metavar="N", help="Keep all recordings up to N trials; live, all.")] = 200,
    at_once: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=1000, help="Live sessions side by side, at each proxy. [1]")
    ] = None,
    max_sessions: options.MaxSessions = None,
    canary: Annotated[bool, typer.Option("--canary/--no-canary", help="Live: first a session whose end is known.")] = True,
    jobs: Annotated[int, typer.Option(metavar="N", help="Processes, -1: one per core. Live: proxies side by side.")] = 1,
    dask: Annotated[str | None, typer.Option(metavar="ADDRESS", help="A dask scheduler plays it: tcp://HOST:PORT.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the stopped or killed sweep in --out.")] = False,
    out: options.Out = None,
    fail_on: options.FailOn = None,
    as_json: options.Json = False,
) -> int:
    """Play a grid of sessions and summarise the outcomes.

    Any time may be a grid: 0:400:10. Writes the run folder.
    """
    # Here, so that the help is there before pandas is.
    from voicerace.cli.sweep_summary import cells_json, print_cells
    from voicerace.experiments.executors import Executor
    from voicerace.experiments.sweep.live import LiveSweep
    from voicerace.experiments.sweep.spec import continuous_draws
    from voicerace.experiments.sweep.sweep import sweep as run_sweep
    from voicerace.experiments.sweep.table import counted
    from voicerace.model.parameters import parse_times
    from voicerace.report.sweep_picture import draw_sweep

    known_outcomes(fail_on)
    live = None
    if targets.live:
        upstream = targets.upstream_target()
        proxies = targets.proxies(spec.get("releases"))
        live = LiveSweep(proxies, upstream, at_once or 1, max_sessions, targets.address(), targets.silence_s, canary, jobs)
        if targets.log is not None:
            raise InputError("log", "given to a sweep", "nothing: the run's folder takes it")
        if dask is not None:
            raise InputError("dask", "given to a live sweep", "--jobs, --at-once: one clock measures it")
    else:
        targets.refuse_in_virtual_time(at_once=at_once, max_sessions=max_sessions, no_canary=not canary)
    given = {**spec, "times": dict(times), "trials": trials, "ties": ties, "keep": keep}
    executor = Executor(1 if live is not None else jobs, dask)
    done = writing(out or Path("runs"), lambda: run_sweep(given, out=out, live=live, resume=resume, executor=executor))
    writing(done.folder, lambda: draw_sweep(done, computable=live is not None and live.computable))
    trials = done.info["trials"]["done"]
    drawn = live is None and ties is not False and continuous_draws(parse_times(times, spec["profile"]))
    if as_json:
        head = {"schema": 2, "run": str(done.folder), "trials": trials, "ties": done.info["parameters"]["ties"]}
        print_json({**head, "assumed": done.assumed, "outcomes": cells_json(done), "all_alike": done.all_alike})
    else:
        print_cells(done)
        faults = sorted(counted(done.folder, "fault").items(), key=lambda each: -each[1])
        print_lines(f"fault, {n} times: {printable(reason)}" for reason, n in faults)
        if done.all_alike is not None:
            print_lines([text.all_alike(done.all_alike)])
        print_lines(text.assumed_lines(done.assumed, spec["profile"]))
        if drawn:
            print_lines([text.ties_with_draws(drawn, looked_for=bool(ties))])
        print_lines([f"{trials} trials in {done.folder}"])
    return int(done.outcomes["outcome"].isin(fail_on or ()).any())
