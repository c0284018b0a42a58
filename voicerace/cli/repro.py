"""The verb `repro`: play the smallest session that can show the fault, on any target, and record it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from voicerace.analysis.summary import summary
from voicerace.analysis.verdict import judge
from voicerace.cli import options, text
from voicerace.cli.printing import known_outcomes, new_file, print_json, print_lines, writing
from voicerace.cli.repro_app import (
    App,
    AppRequest,
    Cause,
    Checkout,
    Strict,
    app_proxy,
    refuse_without_app,
    reproduce,
)
from voicerace.cli.tables import facts
from voicerace.cli.targets import Targets, played, played_as, takes_targets
from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError
from voicerace.model.catalog.scenarios import REPRO

__all__ = ["repro"]


@options.takes_times
@takes_targets
def repro(
    times: Mapping[str, object],
    targets: Targets,
    release: options.Release = None,
    component: options.ComponentTag = None,
    handler: options.Handler = "return",
    modality: options.Modality = "session",
    forwarder: options.Forwarder = None,
    forwarder_open_ms: options.ForwarderOpenMs = None,
    profile: options.Profile = "loopback",
    knob: options.Knob = None,
    seed: options.Seed = 0,
    out: options.Out = None,
    force: options.Force = False,
    as_json: options.Json = False,
    fail_on: options.FailOn = None,
    app: App = False,
    checkout: Checkout = None,
    strict: Strict = None,
    cause: Cause = None,
) -> int:
    """Play the smallest session that can show the fault, on real sockets.

    The recording is written to --out, or to `runs/repro-TIME.jsonl`. With --app the host is a React app in Chromium, around the
    built component of a checkout; --out is then a folder, which holds the app to take along.
    """
    known_outcomes(fail_on)
    if not app:
        new_file(out, force=force)
    if not app:
        refuse_without_app(checkout=checkout, strict=strict, cause=cause)
    elif forwarder is not None:
        raise InputError("forwarder", "given with --app", "nothing: the app has the forwarder of its checkout")
    targets, forwarder = targets.with_forwarder(forwarder, live=True)
    proxy = app_proxy(targets, checkout, release) if app else targets.one_proxy(release)
    session = SessionConfig.of(
        release=played_as(proxy, release),
        component_tag=component,
        handler=handler,
        times=options.with_forwarder_time(times, forwarder, forwarder_open_ms),
        profile=profile,
        modality=modality,
        knobs_given=options.knob_words(knob),
        forwarder=forwarder,
        seed=seed,
    )
    if app:
        request = AppRequest(proxy, checkout or Path(), session, strict is not False, cause or "none", out, as_json)
        return reproduce(request, fail_on or ())
    file = out or Path("runs") / f"repro-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}.jsonl"
    targets.engine(proxy)  # raise an error for invalid options before anything is printed
    patience_s = session.times.ns("deadline_ms", 0, seed) / 1e9
    print(f"voicerace: connecting to {proxy.name}; a turn without a reply ends after {patience_s:g} s", file=sys.stderr)
    recording = played(targets, proxy, replace(session, scenario=REPRO), file)
    writing(file, lambda: recording.write(file))
    verdict = judge(recording)
    if as_json:
        print_json(summary(recording, verdict) | {"recording": str(file)})
    else:
        print_lines(text.session_lines(recording, verdict))
        print_lines(facts(proxy=proxy.name, recording=file))
    return int(verdict.outcome in (fail_on or ()))
