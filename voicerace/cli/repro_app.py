"""The option `--app` of the verb `repro`: play the session with a React app in Chromium, around a checkout's component."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicerace.analysis.summary import summary
from voicerace.cli import text
from voicerace.cli.printing import print_json, print_lines, writing
from voicerace.cli.tables import facts
from voicerace.errors import InputError, one_of
from voicerace.scrubber import printable

if TYPE_CHECKING:
    from voicerace.captures.live.app_run import AppRun, Expected
    from voicerace.captures.live.record import WatchedSession
    from voicerace.cli.targets import Targets
    from voicerace.engine.given_results import GivenResult
    from voicerace.engine.live.targets import ProxyTarget
    from voicerace.engine.session import SessionConfig
    from voicerace.trace.recording import Recording

__all__ = ["App", "AppRequest", "Cause", "Checkout", "Strict", "app_proxy", "refuse_without_app", "reproduce"]

_PANEL = "React app"
#: The names in `captures.live.app_run.CAUSES`, which this module imports only when a command runs.
_CAUSES = ("none", "retry", "leaky_effect", "remount", "two_components", "hot_handler", "hot_remount")

App = Annotated[bool, typer.Option("--app", help="Play the session with a React app in Chromium.", rich_help_panel=_PANEL)]
Checkout = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="With --app: checkout of voice-agent-react with its built component.", rich_help_panel=_PANEL
    ),
]
Strict = Annotated[
    bool | None,
    typer.Option(
        "--strict/--no-strict", help="With --app: render under StrictMode.", show_default="strict", rich_help_panel=_PANEL
    ),
]
Cause = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help=f"With --app: what else the app does: {' | '.join(_CAUSES)}.", show_default="none",
        rich_help_panel=_PANEL,
    ),
]  # fmt: skip


@dataclass(frozen=True)
class AppRequest:
    """The options of `repro --app`.

    Attributes:
        proxy: the running proxy, a checkout.
        checkout: checkout of the component and the forwarder.
        session: handler, times and the mock's plan.
        strict: whether the app is rendered under StrictMode.
        cause: the app's additional action, a name in `_CAUSES`.
        out: folder of the app and its runs; None for a new folder in ``runs``.
        as_json: whether to print JSON.
    """

    proxy: ProxyTarget
    checkout: Path
    session: SessionConfig
    strict: bool
    cause: str
    out: Path | None
    as_json: bool


def refuse_without_app(**given: object) -> None:
    """Refuse the options of --app if --app is not given.

    Raises:
        InputError: an option is given.
    """
    for name, value in given.items():
        if value is not None:
            raise InputError(name, "given without --app", "add --app")


def app_proxy(targets: Targets, checkout: Path | None, release: str | None) -> ProxyTarget:
    """Return the proxy of `repro --app`: the proxy of --proxy if given, else the checkout's proxy.

    Raises:
        InputError: no built checkout is given, or an option does not fit --app.
    """
    from voicerace.captures.live.app_folder import built_checkout
    from voicerace.engine.live.targets import ProxyTarget

    if checkout is None:
        raise InputError("checkout", "is missing", "--checkout DIR, a checkout of voice-agent-react with its built component")
    for name in ("upstream", "key_from", "listen", "log", "silence_s"):
        if getattr(targets, name) is not None:
            raise InputError(name, "given with --app", "only the mock; the app's README.md shows other APIs")
    built_checkout(checkout)
    proxy = targets.one_proxy(release) if targets.proxy else ProxyTarget.of(f"backend:{checkout}", release)
    if proxy.kind != "backend":
        raise InputError("proxy", f"{proxy.name} with --app", "backend:DIR")
    return proxy


def reproduce(request: AppRequest, fail_on: Collection[str]) -> int:
    """Make the app's folder if it does not exist, run the app once, print the result, and return the exit status."""
    from voicerace.captures.live import app_folder, app_run

    one_of("cause", request.cause, _CAUSES)
    found = app_folder.programs()
    checkout = app_folder.built_checkout(request.checkout)
    folder = request.out or Path("runs") / f"repro-app-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
    app = folder / "app"
    if app_folder.make_folder(app):
        print(f"voicerace: the app is in {app}", file=sys.stderr)
    if app_folder.install(app, found.npm):
        print("voicerace: its packages are installed (npm ci)", file=sys.stderr)
    out = next(each for n in range(1, 1_000_000) if not (each := folder / f"run-{n:03d}").exists())
    print(f"voicerace: {request.proxy.name}, handler {request.session.handler}; Chromium runs the app", file=sys.stderr)
    run = writing(
        out,
        lambda: app_run.play_app(
            app.absolute(),
            checkout,
            request.proxy.directory or checkout,
            request.session,
            found,
            out,
            strict=request.strict,
            cause=request.cause,
        ),
    )
    _print(request, app, run)
    return int(any(each.verdict.outcome in fail_on for each, _ in run.sessions))


def _print(request: AppRequest, app: Path, run: AppRun) -> None:
    from voicerace.captures.live import app_run

    rows = []
    for watched, recording in run.sessions:
        found = app_run.results(recording)
        models = app_run.expected(request.session, recording, strict=request.strict, cause=request.cause)
        rows.append((watched, recording, found, models))
    if request.as_json:
        sessions = [_json(*row) for row in rows]
        print_json(
            {
                "schema": 1,
                "proxy": request.proxy.name,
                "handler": request.session.handler,
                "strict": request.strict,
                "cause": request.cause,
                "errors": run.errors(),
                "notes": list(run.notes),
                "sessions": sessions,
                "app": str(app),
            }
        )
        return
    strict = "StrictMode" if request.strict else "no StrictMode"
    print_lines(facts(proxy=request.proxy.name, app=f"handler {request.session.handler}, {strict}, cause {request.cause}"))
    print_lines(facts(connections=len(rows), onError="; ".join(run.errors()) or "never"))
    for watched, recording, found, models in rows:
        print_lines(_lines(watched, recording, found, models))
    print_lines(["", "by hand:", *_by_hand(request, app)])


def _lines(watched: WatchedSession, recording: Recording, found: list[GivenResult], models: Expected | None) -> Iterator[str]:
    yield ""
    settings = sum(event.type == "Settings" for event in recording.events)
    shown = ", ".join(
        f"{'the default error' if each.default_error else 'a result'} at {each.after_ms:.1f} ms" for each in found
    )
    yield from facts(settings=settings, sent=shown or "no result")
    yield from text.verdict_lines(watched.verdict)
    if settings == 0:
        yield "note           the proxy got no Settings: the component sent none, or the forwarder dropped them"
    if models is not None:
        first, *others = models.outcomes
        same = "the same" if first == (seen := watched.verdict.outcome) else "as close" if seen in others else "ANOTHER"
        also = f", or {' or '.join(others)} if a message is {models.room_ms:.0f} ms later or earlier" if others else ""
        count = "" if models.results in (None, len(found)) else f"; the model of the component sends {models.results} results"
        yield from facts(
            models=f"{first} ({same}){also}; with these results and the measured gap of {models.gap_ms:.1f} ms{count}"
        )
    yield from (f"note           {printable(each, 300)}" for each in watched.notes)
    yield from facts(recording=watched.file)


def _json(watched: WatchedSession, recording: Recording, found: list[GivenResult], models: Expected | None) -> dict[str, Any]:
    return {
        **summary(recording, watched.verdict),
        "settings": sum(event.type == "Settings" for event in recording.events),
        "results": [{"after_ms": each.after_ms, "default_error": each.default_error} for each in found],
        "model_outcomes": None if models is None else list(models.outcomes),
        "model_results": None if models is None else models.results,
        "room_ms": None if models is None else models.room_ms,
        "gap_ms": None if models is None else models.gap_ms,
        "recording": str(watched.file),
    }


def _by_hand(request: AppRequest, app: Path) -> Iterator[str]:
    """Yield the commands that start the mock and the app for the user's own browser."""
    session = request.session
    given: Mapping[str, str] = session.times.to_json()
    times = [f"--{name.replace('_', '-')}={given[name]}" for name in ("gap_ms", "reply_ms") if name in given]
    options = ["--handler", session.handler, "--cause", request.cause, "--tool-ms", given["tool_ms"]]
    options += ["--strict"] if request.strict else []
    yield f"  voicerace serve upstream --profile {session.profile} {shlex.join(times)}"
    url = "ws://127.0.0.1:8181/v1/realtime?model=gpt-realtime"
    variables = (
        f"CHECKOUT={shlex.quote(str(request.checkout.absolute()))} OPENAI_API_KEY=none OPENAI_REALTIME_URL={shlex.quote(url)}"
    )
    yield f"  cd {shlex.quote(str(app))} && {variables} npm start -- {shlex.join(options)}"
