"""The verb `sweep`: play a grid of sessions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from voicerace.cli import options, text
from voicerace.cli.printing import known_outcomes, print_json, print_lines, writing
from voicerace.cli.targets import Targets, takes_targets
from voicerace.errors import InputError, one_of
from voicerace.scrubber import printable

__all__ = ["sweep"]


@options.takes_times
@takes_targets
@options.takes_grid
def sweep(
    times: Mapping[str, object],
    targets: Targets,
    spec: Mapping[str, Any],
    trials: Annotated[int, typer.Option(metavar="N", help="Sessions per cell, if a time is drawn or with --live.")] = 1,
    ties: Annotated[
        bool | None,
        typer.Option(
            "--ties/--no-ties",
            help="Look for ties: several sessions per trial.",
            show_default="no-ties with uniform or lognormal times, else ties",
        ),
    ] = None,
    keep: Annotated[int, typer.Option(metavar="N", help="Keep all recordings of up to N trials; with --live always.")] = 200,
    at_once: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=1000, help="Live sessions at the same time, per proxy.", show_default="1"),
    ] = None,
    max_sessions: options.MaxSessions = None,
    forwarder_open_ms: options.ForwarderOpenMs = None,
    canary: Annotated[
        bool, typer.Option("--canary/--no-canary", help="With --live: first play a session with a known outcome.")
    ] = True,
    jobs: Annotated[
        int, typer.Option(metavar="N", help="Number of processes; -1 for one per core. With --live: proxies at the same time.")
    ] = 1,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Dask scheduler that plays the sweep: tcp://HOST:PORT.")
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="How outcomes are found: engine | formula (docs/formula.md). By formula, no run folder is written.",
        ),
    ] = "engine",
    resume: Annotated[bool, typer.Option("--resume", help="Continue the stopped sweep in --out.")] = False,
    out: options.RunFolder = None,
    fail_on: options.FailOn = None,
    as_json: options.Json = False,
) -> int:
    """Play a grid of sessions and summarise the outcomes.

    Times are in ms: 50, 50,80 with one value per function call, or a grid 0:400:10, of which every value is played. Drawn
    times: uniform(20,80), p50=400,p95=900, lognormal(median=400,sigma=0.5), choice(4,8,12), or @file.csv, which draws from
    the first column of a file. The results are written to a run folder.
    """
    # Imported here, because --help does not need pydantic.
    from voicerace.experiments.sweep.spec import SweepSpec, continuous_draws

    known_outcomes(fail_on)
    one_of("by", by, ("engine", "formula"))
    targets, forwarder = targets.with_forwarder(spec.get("forwarder"), live=targets.live)
    spec = {**spec, "forwarder": forwarder}
    times = options.with_forwarder_time(times, forwarder, forwarder_open_ms)
    given = SweepSpec(**{**spec, "times": dict(times), "trials": trials, "ties": ties, "keep": keep})
    if by == "formula":
        if targets.live or resume or out is not None or dask is not None:
            raise InputError("by", "formula with --live, --resume, --out or --dask", "engine")
        return _by_formula(given, fail_on, as_json=as_json)
    # Imported after the check, so that an invalid value is reported before pandas is imported.
    from voicerace.cli.sweep_summary import cells_json, print_cells
    from voicerace.experiments.executors import Executor
    from voicerace.experiments.sweep.live import LiveSweep
    from voicerace.experiments.sweep.sweep import sweep as run_sweep
    from voicerace.experiments.sweep.table import counted
    from voicerace.model.parameters import parse_times
    from voicerace.report.sweep_picture import draw_sweep

    live = None
    if targets.live:
        upstream = targets.upstream_target()
        proxies = targets.proxies(spec.get("releases"))
        live = LiveSweep(
            proxies, upstream, at_once or 1, max_sessions, targets.address(), targets.silence_s, canary, jobs, targets.forwarder
        )
        if targets.log is not None:
            raise InputError("log", "given to a sweep", "nothing: the output is in the folder of the run")
        if dask is not None:
            raise InputError("dask", "given to a live sweep", "--jobs or --at-once: a live sweep needs one clock")
    else:
        targets.refuse_in_virtual_time(at_once=at_once, max_sessions=max_sessions, no_canary=not canary)
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


def _by_formula(spec: Any, fail_on: list[str] | None, *, as_json: bool) -> int:
    """Print the outcomes of a sweep by formula."""
    from voicerace.cli.sweep_summary import cells_json, print_cells
    from voicerace.experiments.formula.sweeping import sweep_by_formula
    from voicerace.experiments.sweep.spec import assumed_of

    done = sweep_by_formula(spec)
    if as_json:
        print_json({"schema": 2, "by": "formula", "trials": done.trials, "played": done.played, "outcomes": cells_json(done)})
    else:
        print_cells(done)
        print_lines(text.assumed_lines(assumed_of(spec), spec.profile))
        print_lines([f"{done.trials} trials by formula, {done.played} of them played"])
    return int(done.outcomes["outcome"].isin(fail_on or ()).any())
