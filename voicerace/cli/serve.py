"""The verb `serve`: run the mock API or the model of a proxy as a server for an app, an SDK or a proxy."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from voicerace.analysis.verdict import judge
from voicerace.cli import options
from voicerace.cli.printing import known_outcomes, print_refused
from voicerace.cli.targets import listen_address
from voicerace.cli.text import session_line
from voicerace.cli.verbs import Verbs
from voicerace.engine.live import clock
from voicerace.engine.live.faults import Fault
from voicerace.engine.live.limits import Limits
from voicerace.engine.live.origins import Origins
from voicerace.engine.live.server import SessionServer
from voicerace.engine.live.serving import Make, Server, mock_session, proxy_handlers, upstream_handlers
from voicerace.engine.live.targets import UpstreamTarget
from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError
from voicerace.experiments.sweep.folder import RECORDINGS, RUN, commit, new_folder, point_latest, utc_now, versions
from voicerace.files import write_text
from voicerace.model.catalog.providers import DEFAULT_PROVIDER
from voicerace.model.catalog.scenarios import DEFAULT_PLAN
from voicerace.scrubber import printable
from voicerace.trace.recording import Recording

__all__ = ["app"]

app = Verbs()

_REALTIME = "/v1/realtime?model=gpt-realtime"
_Listen = Annotated[str, typer.Option(metavar="[HOST:]PORT", help="Address to listen on; port 0 selects a free port.")]
_Sessions = Annotated[
    int | None,
    typer.Option(
        "--sessions", metavar="N", min=1, help="Stop after N sessions; required for a real API.", show_default="no limit"
    ),
]
_AtOnce = Annotated[
    int,
    typer.Option(
        metavar="N", min=1, max=4000, help="Sessions at the same time; more get HTTP status 503.", rich_help_panel="Limits"
    ),
]
_LifetimeS = Annotated[
    float, typer.Option(metavar="S", min=0.1, max=86_400, help="Maximum duration of a session in s.", rich_help_panel="Limits")
]
_SessionMib = Annotated[
    float,
    typer.Option(
        metavar="MIB", min=0.001, max=4096, help="Maximum size of the messages of a session in MiB.", rich_help_panel="Limits"
    ),
]
_Certificate = Annotated[Path | None, typer.Option(metavar="FILE", help="Certificate chain (PEM), to serve wss://.")]
_Key = Annotated[
    Path | None,
    typer.Option(
        "--certificate-key", metavar="FILE", help="Private key of the certificate (PEM).", show_default="in the same file"
    ),
]


@app.callback(invoke_without_command=True)
def serve(context: typer.Context) -> None:
    """Run a mock Realtime API or the model of a proxy as a server.

    It records and judges every session.
    """
    if context.invoked_subcommand is None:
        raise InputError("command", "is missing", "allowed are serve upstream and serve proxy")


@app.command()
@options.takes_times
def upstream(
    times: Mapping[str, object],
    listen: _Listen = "127.0.0.1:8181",
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help="Fault to inject (repeatable): drop | delay=MS | withhold | duplicate | garble, each with optional @TYPE "
            "and #N, or refuse=STATUS.",
        ),
    ] = None,
    direct: options.Direct = False,
    modality: options.Modality = "session",
    calls: options.MockCalls = 1,
    plan: options.Plan = DEFAULT_PLAN,
    preamble: options.Preamble = False,
    profile: options.Profile = "loopback",
    knob: options.Knob = None,
    provider: options.Provider = DEFAULT_PROVIDER,
    seed: options.Seed = 0,
    certificate: _Certificate = None,
    certificate_key: _Key = None,
    allow_origin: options.AllowOrigin = None,
    sessions: _Sessions = None,
    at_once: _AtOnce = 200,
    lifetime_s: _LifetimeS = Limits.lifetime_s,
    session_mib: _SessionMib = 64.0,
    out: options.RunFolder = None,
    fail_on: options.FailOn = None,
) -> int:
    """Serve a mock Realtime API. By default it answers every user message with a function call, and the result with a reply.

    The item of a call is done with its arguments, unless --item-done-ms or the profile sets a later time.
    """
    known_outcomes(fail_on)
    session = mock_session(
        plan,
        times=times,
        profile=profile,
        modality=modality,
        calls=calls,
        preamble=preamble,
        knobs_given=options.knob_words(knob),
        provider=provider,
        seed=seed,
    )
    faults = tuple(Fault.of(word) for word in fault or ())
    tls = _tls(certificate, certificate_key)
    known = _known(session, "modality", "calls", "preamble", "profile", "times", "knobs", "provider", "seed")
    parameters = {"faults": fault or [], "plan": plan, "direct": direct, **known}
    targets = {"upstream": [{"name": "mock"}]}
    limits = Limits(at_once, lifetime_s, session_mib)
    origins = Origins.of(allow_origin or ())
    ends = (tls, limits, origins, sessions, out, fail_on or [])
    serving = Serving("serve upstream", "a mock of the Realtime API", listen, _REALTIME, parameters, targets, *ends)
    return _serve(serving, lambda: upstream_handlers(session, faults, direct=direct))


@app.command()
@options.takes_times
def proxy(
    times: Mapping[str, object],
    upstream: Annotated[
        str, typer.Option(metavar="API", help="Realtime API for the proxy: openai (OPENAI_API_KEY) | ws(s)://...")
    ],
    release: Annotated[str, typer.Option(metavar="TAG", help="Release of the proxy, or a unique backend version.")] = "0.9.1",
    model: Annotated[str, typer.Option(metavar="NAME", help="Model to request with --upstream openai.")] = "gpt-realtime",
    key_from: options.KeyFrom = None,
    listen: _Listen = "127.0.0.1:8182",
    profile: options.Profile = "loopback",
    seed: options.Seed = 0,
    allow_origin: options.AllowOrigin = None,
    sessions: _Sessions = None,
    at_once: _AtOnce = 200,
    lifetime_s: _LifetimeS = Limits.lifetime_s,
    session_mib: _SessionMib = 64.0,
    out: options.RunFolder = None,
    fail_on: options.FailOn = None,
) -> int:
    """Serve the model of a proxy release, connected to a Realtime API."""
    known_outcomes(fail_on)
    target = UpstreamTarget.of(upstream, model, key_from)
    if target.url is None:
        raise InputError("upstream", upstream, "openai, ws://... or wss://...; for a mock: voicerace serve upstream")
    if target.costs and sessions is None:
        raise InputError("sessions", "is missing", f"add a limit; every session connects to {target.name}")
    session = SessionConfig.of(release=release, times=times, profile=profile, seed=seed)
    targets = {
        "proxy": [{"name": f"model:{session.release.tag}", "source": session.release.source, "release": session.release.tag}],
        "upstream": [target.to_json()],
    }
    parameters = _known(session, "release", "profile", "times", "seed")
    limits = Limits(at_once, lifetime_s, session_mib)
    origins = Origins.of(allow_origin or (), holds_key=target.holds_key)
    ends = (None, limits, origins, sessions, out, fail_on or [])
    about = f"the model of the proxy {session.release.tag}"
    serving = Serving("serve proxy", about, listen, "/openai", parameters, targets, *ends)
    return _serve(serving, lambda: proxy_handlers(session, target))


@dataclass(frozen=True)
class Serving:
    """The parameters that both verbs share.

    Attributes:
        kind: name of the verb, ``serve upstream`` or ``serve proxy``.
        about: description of the server in responses to plain HTTP requests.
        listen: address to listen on, ``[HOST:]PORT``.
        path: path of the printed URL.
        parameters: ``parameters`` of `run.json`.
        targets: ``targets`` of `run.json`.
        tls: TLS settings; None serves ``ws://``.
        limits: limits of connections and messages.
        origins: accepted web pages and host names.
        sessions: maximum number of sessions; None disables the limit.
        out: folder of the run; None for a new folder in ``runs``.
        fail_on: outcomes that make the exit status 1.
    """

    kind: str
    about: str
    listen: str
    path: str
    parameters: Mapping[str, Any]
    targets: Mapping[str, Any]
    tls: ssl.SSLContext | None
    limits: Limits
    origins: Origins
    sessions: int | None
    out: Path | None
    fail_on: Sequence[str]


def _serve(serving: Serving, make: Callable[[], Make]) -> int:
    """Serve until Ctrl-C, SIGTERM or the last session, and return the exit status: 143 after SIGTERM, 1 if a session had an
    outcome in `fail_on`, else 0.
    """
    host, port = listen_address("listen", serving.listen)
    found: Counter[str] = Counter()
    terminated = False

    def ended(file: Path, recording: Recording) -> None:
        number = found.total() + 1
        try:
            verdict = judge(recording)
            found[verdict.outcome] += 1
            line = session_line(number, recording, verdict, file)
        except Exception as error:  # an unexpected error in one session must not stop the server
            found.update({"unknown": number - found.total()})
            line = f"{number:>4}  unknown: not judged; {file.name}"
            reason = printable(f"{type(error).__name__}: {error}")
            print(f"voicerace: {file} is kept and could not be judged ({reason})", file=sys.stderr, flush=True)
        _say(line)

    async def serve(listener: SessionServer, folder: Path) -> None:
        server = Server(listener, make(), folder / RECORDINGS, ended, serving.sessions)
        loop = asyncio.get_running_loop()

        def terminate() -> None:
            nonlocal terminated
            terminated = True
            server.stop.set()

        loop.add_signal_handler(signal.SIGINT, server.stop.set)
        loop.add_signal_handler(signal.SIGTERM, terminate)
        _say(f"listening on {listener.address}{serving.path}, recordings in {folder / RECORDINGS}")
        await server.run()

    async def recorded() -> None:
        # Open the port first, so that a server that cannot start creates no folder.
        async with SessionServer(
            host,
            port,
            tls=serving.tls,
            limits=serving.limits,
            origins=serving.origins,
            about=f"{serving.about} (`voicerace {serving.kind}`)",
            path=serving.path,
            refused=print_refused,
        ) as listener:
            info = _info(serving, listener.address)
            with new_folder(serving.out, info["parameters"]) as folder:
                _write_info(folder, info)
                try:
                    await serve(listener, folder)
                finally:
                    info |= {"end": utc_now(), "complete": True, "sessions": dict(found)}
                    _write_info(folder, info)
                    if serving.out is None:
                        point_latest(folder)

    clock.run(recorded())
    if terminated:
        return 128 + signal.SIGTERM
    return int(any(outcome in serving.fail_on for outcome in found))


def _say(line: str) -> None:
    """Print a line and flush, because another program can read the address."""
    print(line, flush=True)


def _known(session: SessionConfig, *names: str) -> dict[str, Any]:
    """Return the fields `names` of a session's provenance."""
    return {name: value for name, value in session.provenance().items() if name in names}


def _info(serving: Serving, listen: str) -> dict[str, Any]:
    """Return the initial content of `run.json`."""
    return {
        "voicerace_run": 1,
        "kind": serving.kind,
        "parameters": {**serving.parameters, "listen": listen, "sessions": serving.sessions},
        "versions": versions(),
        "commit": commit(),
        "seed": serving.parameters["seed"],
        "clock": "monotonic",
        "targets": dict(serving.targets),
        "sessions": {},
        "start": utc_now(),
        "end": None,
        "complete": False,
    }


def _write_info(folder: Path, info: Mapping[str, Any]) -> None:
    write_text(folder / RUN, json.dumps(info, indent=2, ensure_ascii=False) + "\n")


def _tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return the server's TLS settings; None without a certificate.

    Raises:
        InputError: a key is given without a certificate, or a file is not PEM.
    """
    if certificate is None:
        if key is not None:
            raise InputError("certificate_key", "given without a certificate", "add --certificate FILE")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror if not isinstance(error, ssl.SSLError) else error.reason
        raise InputError("certificate", f"{certificate}: {reason or 'no PEM'}", "a certificate and its key, PEM") from None
    return context
