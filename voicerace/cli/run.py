"""The verb `run`: play one session and print its verdict and its timeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from voicerace.analysis.summary import earlier_summary, summary
from voicerace.analysis.verdict import judge
from voicerace.cli import options, text
from voicerace.cli.printing import known_outcomes, new_file, print_json, print_lines, writing
from voicerace.cli.targets import Targets, played, played_as, takes_targets
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate, ties
from voicerace.errors import InputError
from voicerace.model.catalog.providers import DEFAULT_PROVIDER
from voicerace.model.parameters import assumed_times

__all__ = ["run"]


@options.takes_times
@takes_targets
def run(
    times: Mapping[str, object],
    targets: Targets,
    release: options.Release = None,
    component: options.ComponentTag = None,
    scenario: options.ScenarioName = "single",
    handler: options.Handler = "return",
    modality: options.Modality = "session",
    calls: options.Calls = None,
    preamble: options.Preamble = False,
    idle_close: options.IdleClose = False,
    tool_end: options.ToolEnd = None,
    workaround: options.Workaround = None,
    hold_ms: options.HoldMs = None,
    fallback_ms: options.FallbackMs = None,
    forwarder: options.Forwarder = None,
    forwarder_open_ms: options.ForwarderOpenMs = None,
    profile: options.Profile = "loopback",
    knob: options.Knob = None,
    provider: options.Provider = DEFAULT_PROVIDER,
    seed: options.Seed = 0,
    earlier: Annotated[
        float | None,
        typer.Option(metavar="MS", help="Compare with the same session whose result is MS ms earlier (negative: later)."),
    ] = None,
    out: options.Out = None,
    force: options.Force = False,
    as_json: options.Json = False,
    fail_on: options.FailOn = None,
) -> int:
    """Play one session and judge it; --live plays it on real sockets.

    Times are in ms: 50, or 50,80 with one value per function call. Drawn times: uniform(20,80), p50=400,p95=900,
    lognormal(median=400,sigma=0.5), choice(4,8,12), or @file.csv, which draws from the first column of a file.
    """
    known_outcomes(fail_on)
    new_file(out, force=force)
    proxy = targets.one_proxy(release) if targets.live else None
    targets, forwarder = targets.with_forwarder(forwarder, live=targets.live)
    times = options.with_forwarder_time(times, forwarder, forwarder_open_ms)
    if proxy is None:
        targets.refuse_in_virtual_time()
    elif earlier is not None:
        raise InputError("earlier", "given with --live", "only for a session in virtual time")
    session = SessionConfig.of(
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
        provider=provider,
        forwarder=forwarder,
        seed=seed,
    )
    other = None if earlier is None else session.shifted(tool_ms=-earlier)
    tie_outcome = None
    if proxy is not None:
        recording = played(targets, proxy, session, out)
    else:
        recording, tie_outcome = ties(session, lambda each: judge(each).outcome)
    verdict = judge(recording)
    moved = None if other is None else judge(simulate(other))
    if out is not None:
        writing(out, lambda: recording.write(out))
    if as_json:
        given = {} if moved is None else {"earlier": {"by_ms": earlier, **earlier_summary(moved)}}
        print_json({**summary(recording, verdict, tie_outcome), **given})
    else:
        if moved is not None and earlier is not None:
            when = f"result {abs(earlier):g} ms {'earlier' if earlier >= 0 else 'later'}"
            print_lines([*text.compared_lines({"as given": verdict, when: moved}), "", "As given:"])
        print_lines([*text.session_lines(recording, verdict), ""])
        if tie_outcome is not None:
            print_lines([f"tie            two events happen at once; in the other order: {tie_outcome}"])
        assumed = assumed_times({*times, *session.scenario.times}, profile, forwarded=session.forwarder is not None)
        # With a real upstream, the mock's times are not used.
        used = {name: value for name, value in assumed.items() if name in recording.provenance["times"]}
        print_lines(text.assumed_lines(used, profile))
    return int(verdict.outcome in (fail_on or ()))
