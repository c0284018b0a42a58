"""The verbs. Exit status: 0 done, 1 a finding (only from the verbs that say so), 2 bad input, in one line."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from tqdm import tqdm

from voicerace.cli import captures, options, serve, text
from voicerace.cli import repro as repro_verb
from voicerace.cli.boundary import boundary
from voicerace.cli.capture import capture
from voicerace.cli.check import check
from voicerace.cli.contract import contract
from voicerace.cli.doctor import doctor
from voicerace.cli.explore import explore
from voicerace.cli.once import Verbs
from voicerace.cli.printing import known_outcomes, new_file, plain, print_json, print_lines, writing
from voicerace.cli.replay import replay
from voicerace.cli.report import report
from voicerace.cli.targets import Targets, played, played_as, sigterm_interrupts, takes_targets
from voicerace.cli.workarounds import workarounds
from voicerace.conformance import conform
from voicerace.engines.session import Session
from voicerace.engines.virtual import ties
from voicerace.errors import InputError
from voicerace.executors import Executor
from voicerace.run import Run
from voicerace.summary import summary
from voicerace.sweep import sweep as run_sweep
from voicerace.sweep_live import LiveSweep
from voicerace.sweep_table import counted
from voicerace.tables.releases import PROXIES
from voicerace.verdict import judge

__all__ = ["app", "main"]

app = Verbs(
    name="voicerace",
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit status."""
    command = typer.main.get_command(app)
    try:
        # Not `command.main`: it keeps Ctrl-C and a closed pipe to itself.
        with command.make_context("voicerace", list(sys.argv[1:] if arguments is None else arguments)) as context:
            status = command.invoke(context)
        # Here, where it can be told: on the way out the interpreter could only complain.
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except typer.Exit as done:
        return done.exit_code
    except InputError as error:
        return _fail(str(error))
    except typer.TyperException as error:
        # Typer's usage errors; `format_message` names the option, `str` only says what is wrong with it.
        described = getattr(error, "format_message", None)
        return _fail(described() if described is not None else str(error))
    except (KeyboardInterrupt, typer.Abort) as stopped:
        said = f": {stopped}" if str(stopped) else ""
        print(f"\nvoicerace: interrupted{said}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read the output has gone (`| head`).
        _give_up_output()
        return 0
    except OSError as error:
        # A full disk, a folder that is read-only, a file that went away: also where no verb thought of it.
        try:
            sys.stdout.flush()
        except OSError:
            _give_up_output()
        return _fail(f"{error.filename or 'output'}: {error.strerror or error}")


def _fail(message: str) -> int:
    line = text.printable(" ".join(message.split()))
    with contextlib.suppress(OSError):  # standard error may be on the same full disk
        print(f"voicerace: error: {line}", file=sys.stderr)
    return 2


def _give_up_output() -> None:
    """Nobody takes what is still to be printed; the interpreter must not complain about it on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@app.callback(invoke_without_command=True)
def voicerace(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """When does a Realtime API refuse a response around a function call?"""
    if show_version:
        print(f"voicerace {version('voicerace')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        verbs = sorted(
            [each.name or each.callback.__name__ for each in app.registered_commands if each.callback]
            + [each.name for each in app.registered_groups if each.name]
        )
        raise InputError("command", "is missing", f"allowed are {', '.join(verbs)}; see --help")


@app.command()
@options.takes_times
@takes_targets
def run(
    times: Mapping[str, object],
    targets: Targets,
    release: options.Release = None,
    component: options.ComponentTag = None,
    scenario: options.ScenarioName = "single",
    handler: options.Handler = "return",
    modality: options.Modality = "text",
    calls: options.Calls = None,
    preamble: options.Preamble = False,
    idle_close: options.IdleClose = False,
    tool_end: options.ToolEnd = "result",
    workaround: options.Workaround = None,
    hold_ms: options.HoldMs = None,
    fallback_ms: options.FallbackMs = None,
    profile: options.Profile = "loopback",
    knob: options.Knob = None,
    seed: options.Seed = 0,
    out: options.Out = None,
    force: options.Force = False,
    as_json: options.Json = False,
    fail_on: options.FailOn = None,
) -> int:
    """Play one session and judge it: of the models in virtual time, or with --live on real sockets.

    A time is 50, one value per call 50,80, or a draw: uniform(20,80), lognormal(4,0.5), @file.csv.
    """
    known_outcomes(fail_on)
    new_file(out, force=force)
    proxy = targets.one_proxy(release) if targets.live else None
    if proxy is None:
        targets.refuse_in_virtual_time()
    session = Session.of(
        release=played_as(proxy, release),
        component_tag=component,
        scenario=scenario,
        handler=handler,
        times=options.with_workaround_times(times, workaround, hold_ms, fallback_ms),
        profile=profile,
        modality=modality,
        calls=calls,
        preamble=preamble,
        idle_close=idle_close,
        tool_end=tool_end,
        workaround=workaround,
        knobs_given=options.knob_words(knob),
        seed=seed,
    )
    tie_outcome = None
    if proxy is not None:
        recording = played(targets, proxy, session, out)
    else:
        recording, tie_outcome = ties(session, lambda each: judge(each).outcome)
    verdict = judge(recording)
    if out is not None:
        writing(out, lambda: recording.write(out))
    if as_json:
        print_json(summary(recording, verdict, tie_outcome))
    else:
        print_lines([text.TIMELINE_HEAD, *text.timeline(recording)])
        print_lines(["", *text.verdict_lines(verdict)])
        if tie_outcome is not None:
            print_lines([f"tie            two things meet in one instant; in the other order: {tie_outcome}"])
    return int(verdict.outcome in (fail_on or ()))


@app.command()
def releases(as_json: options.Json = False) -> int:
    """Show what each release of the proxy does; * marks what changed against the row before."""
    if as_json:
        rows = [dataclasses.asdict(row) for row in PROXIES.values()]
        print_json({"schema": 1, "releases": [plain(row) for row in rows]})
    else:
        print_lines([*text.release_lines(), "", *text.RELEASE_LEGEND])
    return 0


def _drawer() -> Any:
    """What draws and shrinks exchanges; it needs hypothesis, which is there for development only."""
    try:
        return importlib.import_module("voicerace.conformance.run_drawn")
    except ModuleNotFoundError as missing:
        raise InputError("drawn", f"{missing.name} is not installed", "the project with its extra `dev`") from None


@app.command()
def conformance(
    proxy: Annotated[str, typer.Option(metavar="backend:DIR", help="A checkout whose proxy has its dependencies.")],
    release: Annotated[str | None, typer.Option(metavar="TAG", help="The row to compare with. [by the source's hash]")] = None,
    drawn: Annotated[int, typer.Option(min=0, metavar="N", help="Instead of the cases: N exchanges drawn by chance.")] = 0,
    seed: Annotated[int, typer.Option(metavar="S", help="Where drawing begins; with --drawn.")] = 0,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where table and recordings go.")] = Path("data/conformance"),
    log: Annotated[Path | None, typer.Option(metavar="FILE", help="Takes the proxy's output.")] = None,
    as_json: options.Json = False,
) -> int:
    """Compare a running proxy with its model, message by message. Exit 1 when they differ."""
    directory = options.backend_directory(proxy)
    findings: list[str] = []
    with tqdm(file=sys.stderr, unit="case", disable=None) as bar:

        def progress(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        if drawn:
            done = _drawer().conform_drawn(directory, release, count=drawn, number=seed, log=log, progress=progress)
            result, findings = done.result, [line for each in done.findings for line in each.lines()]
        else:
            result = conform(directory, release, log=log, progress=progress)
    files = writing(out, lambda: result.write(out))
    sessions = sum(row["scenario"] not in ("script", "drawn") for row in result.rows)
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
                "least": findings,
                "found": {name: [str(each) for each in found] for name, found in result.found.items()},
                "files": [file.name for file in files],
            }
        )
    else:
        for name, found in result.found.items():
            print_lines(f"{name}: {each}" for each in found)
        print_lines(findings)
        print_lines(
            [
                f"release        {result.release.tag} (program {result.source})",
                f"sessions       {sessions}, and {len(result.rows) - sessions} {'drawn' if drawn else 'scripted'} exchanges",
                f"messages       {sum(row['messages'] for row in result.rows)} of the proxy compared",
                f"differences    {result.differences}",
                *(f"written        {file}" for file in files),
            ]
        )
    return int(result.differences > 0)


@app.command()
@options.takes_times
@takes_targets
def sweep(
    times: Mapping[str, object],
    targets: Targets,
    release: Annotated[str | None, typer.Option("--releases", metavar="TAGS", help="Tags with commas, or all. [0.9.1]")] = None,
    component: options.ComponentTag = None,
    scenarios: Annotated[str, typer.Option(help="With commas, or all.")] = "single",
    handlers: Annotated[str, typer.Option(help="With commas, or all.")] = "return",
    modalities: Annotated[str, typer.Option(help="With commas, or all.")] = "text",
    calls: Annotated[str, typer.Option(metavar="N,N", help="Function calls in one response (parallel).")] = "",
    profile: options.Profile = "loopback",
    knob: options.Knob = None,
    trials: Annotated[int, typer.Option(metavar="N", help="Sessions per cell, when a time is drawn or with --live.")] = 1,
    seed: options.Seed = 0,
    ties: Annotated[bool, typer.Option("--ties/--no-ties", help="Look for ties: several sessions per trial.")] = True,
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
    """Play a grid of sessions, write the run folder, print the outcomes. Any time may be a grid: 0:400:10."""
    known_outcomes(fail_on)
    live = None
    if targets.live:
        upstream = targets.upstream_target()
        proxies = targets.proxies(release)
        live = LiveSweep(proxies, upstream, at_once or 1, max_sessions, targets.address(), targets.silence_s, canary, jobs)
        if targets.log is not None:
            raise InputError("log", "given to a sweep", "nothing: the run's folder takes it")
        if dask is not None:
            raise InputError("dask", "given to a live sweep", "--jobs, --at-once: one clock measures it")
    else:
        targets.refuse_in_virtual_time(at_once=at_once, max_sessions=max_sessions, no_canary=not canary)
    spec = {
        "releases": release or "0.9.1",
        "component": component,
        "scenarios": scenarios,
        "handlers": handlers,
        "modalities": modalities,
        "calls": calls or (),
        "times": dict(times),
        "profile": profile,
        "knobs": dict(options.knob_words(knob)),
        "trials": trials,
        "seed": seed,
        "ties": ties,
        "keep": keep,
    }
    with sigterm_interrupts():
        executor = Executor(1 if live is not None else jobs, dask)
        done = writing(out or Path("runs"), lambda: run_sweep(spec, out=out, live=live, resume=resume, executor=executor))
    who, trials = "release" if live is None else "proxy", done.info["trials"]["done"]
    counts = done.outcomes.groupby([who, "outcome"], sort=False)["trials"].sum()
    if as_json:
        found = [{who: name, "outcome": outcome, "trials": int(n)} for (name, outcome), n in counts.items()]
        print_json({"schema": 1, "run": str(done.folder), "trials": trials, "outcomes": found, "all_alike": done.all_alike})
    else:
        print_lines(f"{name:<18}{outcome:<13}{n:>8}" for (name, outcome), n in counts.items())
        faults = sorted(counted(done.folder, "fault").items(), key=lambda each: -each[1])
        print_lines(f"fault, {n} times: {text.printable(reason)}" for reason, n in faults)
        if done.all_alike is not None:
            print_lines([text.all_alike(done.all_alike)])
        print_lines([f"{trials} trials in {done.folder}"])
    return int(done.outcomes["outcome"].isin(fail_on or ()).any())


@app.command()
def again(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a sweep in virtual time.")],
    trial: Annotated[int, typer.Argument(metavar="TRIAL", help="Its row in the table, from 0.")],
    out: options.Out = None,
    force: options.Force = False,
) -> int:
    """Make the recording of a sweep's trial again from its seed: the same bytes as when it was played."""
    new_file(out, force=force)
    recording = Run.open(run).again(trial)
    if out is not None:
        writing(out, lambda: recording.write(out))
    print_lines([text.TIMELINE_HEAD, *text.timeline(recording), "", *text.verdict_lines(judge(recording))])
    return 0


# Verbs with a file of their own.
for verb in (captures.inspect, captures.redact, captures.export, captures.compare):
    app.command()(verb)
app.command("repro")(repro_verb.repro)
app.add_typer(serve.app, name="serve")
app.command()(contract)
app.command()(check)
app.command()(explore)
app.command()(replay)
app.command()(report)
app.command()(boundary)
app.command()(workarounds)
app.command()(doctor)
app.command(context_settings={"allow_interspersed_args": False})(capture)
