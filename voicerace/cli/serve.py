"""`voicerace serve`: the mock upstream, or the model of a proxy, as a server for anybody's app, SDK or proxy."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from voicerace.analysis.verdict import judge
from voicerace.cli import options
from voicerace.cli.printing import known_outcomes, tell_refused
from voicerace.cli.targets import listen_address
from voicerace.cli.text import session_line
from voicerace.cli.verbs import Verbs
from voicerace.engine.live import clock
from voicerace.engine.live.faults import Fault
from voicerace.engine.live.limits import Limits
from voicerace.engine.live.origins import Origins
from voicerace.engine.live.server import SessionServer
from voicerace.engine.live.serving import Make, Server, proxy_handlers, upstream_handlers
from voicerace.engine.live.targets import UpstreamTarget
from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError
from voicerace.experiments.sweep.folder import RECORDINGS, RUN, commit, new_folder, point_latest, utc_now, versions
from voicerace.files import write_text
from voicerace.model.catalog.providers import DEFAULT_PROVIDER
from voicerace.scrubber import printable
from voicerace.trace.recording import Recording

__all__ = ["app"]

app = Verbs()

_REALTIME = "/v1/realtime?model=gpt-realtime"
_Listen = Annotated[str, typer.Option(metavar="[HOST:]PORT", help="Where to listen; port 0 takes a free one.")]
_Sessions = Annotated[
    int | None,
    typer.Option("--sessions", metavar="N", min=1, help="Take N sessions, then stop; required on a real API. [no end]"),
]
_AtOnce = Annotated[
    int,
    typer.Option(metavar="N", min=1, max=4000, help="Sessions at a time; another one gets a 503.", rich_help_panel="Limits"),
]
_LifetimeS = Annotated[
    float, typer.Option(metavar="S", min=0.1, max=86_400, help="A session is ended after so long.", rich_help_panel="Limits")
]
_SessionMib = Annotated[
    float,
    typer.Option(metavar="MIB", min=0.001, max=4096, help="A session that sends more is ended.", rich_help_panel="Limits"),
]
_FailOn = Annotated[list[str] | None, typer.Option(metavar="OUTCOME", help="Exit 1 on it; may be repeated.")]
_Certificate = Annotated[Path | None, typer.Option(metavar="FILE", help="Serve wss:// with this certificate chain (PEM).")]
_Key = Annotated[Path | None, typer.Option("--certificate-key", metavar="FILE", help="Its private key. [in the same file]")]


@app.callback(invoke_without_command=True)
def serve(context: typer.Context) -> None:
    """Run a mock Realtime API or the model of a proxy as a server.

    Every session is recorded and judged.
    """
    if context.invoked_subcommand is None:
        raise InputError("command", "is missing", "serve upstream or serve proxy; see --help")


@app.command()
@options.takes_times
def upstream(
    times: Mapping[str, object],
    listen: _Listen = "127.0.0.1:8181",
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help="drop | delay=MS | withhold | duplicate | garble, each with @TYPE and #N if wanted | refuse=STATUS",
        ),
    ] = None,
    modality: options.Modality = "session",
    calls: Annotated[int, typer.Option(metavar="N", help="Function calls in one response: 1 to 8.")] = 1,
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
    out: options.Out = None,
    fail_on: _FailOn = None,
) -> int:
    """A mock Realtime API: every user message is answered by a function call, its result by a reply."""
    known_outcomes(fail_on)
    session = SessionConfig.of(
        scenario="parallel",
        times=times,
        profile=profile,
        modality=modality,
        calls=calls,
        preamble=preamble,
        knobs_given=options.knob_words(knob),
        provider=provider,
        seed=seed,
    )
    every = replace(session, scenario=replace(session.scenario, inputs=session.scenario.inputs[:1]))
    faults = tuple(Fault.of(word) for word in fault or ())
    tls = _tls(certificate, certificate_key)
    told = _known(every, "modality", "calls", "preamble", "profile", "times", "knobs", "provider", "seed")
    parameters = {"faults": fault or [], **told}
    targets = {"upstream": [{"name": "mock"}]}
    limits = Limits(at_once, lifetime_s, session_mib)
    origins = Origins.of(allow_origin or ())
    ends = (tls, limits, origins, sessions, out, fail_on or [])
    serving = Serving("serve upstream", "a mock of the Realtime API", listen, _REALTIME, parameters, targets, *ends)
    return _serve(serving, lambda: upstream_handlers(every, faults))


@app.command()
@options.takes_times
def proxy(
    times: Mapping[str, object],
    upstream: Annotated[str, typer.Option(metavar="URL", help="openai (OPENAI_API_KEY) | ws(s)://...")],
    release: Annotated[str, typer.Option(metavar="TAG", help="The proxy's release.")] = "0.9.1",
    model: Annotated[str, typer.Option(help="The model asked for at --upstream openai.")] = "gpt-realtime",
    key_from: Annotated[
        str | None, typer.Option(metavar="VARIABLE", help="The variable whose value is the upstream's Bearer token.")
    ] = None,
    listen: _Listen = "127.0.0.1:8182",
    profile: options.Profile = "loopback",
    seed: options.Seed = 0,
    allow_origin: options.AllowOrigin = None,
    sessions: _Sessions = None,
    at_once: _AtOnce = 200,
    lifetime_s: _LifetimeS = Limits.lifetime_s,
    session_mib: _SessionMib = 64.0,
    out: options.Out = None,
    fail_on: _FailOn = None,
) -> int:
    """The model of a release's proxy, in front of a Realtime API."""
    known_outcomes(fail_on)
    target = UpstreamTarget.of(upstream, model, key_from)
    if target.url is None:
        raise InputError("upstream", upstream, "openai, ws://... or wss://...; for a mock: voicerace serve upstream")
    if target.costs and sessions is None:
        raise InputError("sessions", "is missing", f"a limit; every session would meet {target.name}")
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
    """What the two verbs have in common.

    Attributes:
        kind: the verb.
        about: what the server is, for clients that send plain HTTP.
        listen: ``[HOST:]PORT``.
        path: where clients are told to connect.
        parameters, targets: for `run.json`.
        tls: to serve ``wss://``.
        limits: of what it takes.
        origins: which web pages and host names are accepted.
        sessions: how many; None for no end.
        out: the folder; None for a new one in ``runs``.
        fail_on: outcomes.
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
    """Serve until Ctrl-C, SIGTERM or the last session; exit 1 when a session ended as `fail_on` says, 143 after SIGTERM."""
    host, port = listen_address("listen", serving.listen)
    found: Counter[str] = Counter()
    terminated = False

    def ended(file: Path, recording: Recording) -> None:
        number = found.total() + 1
        try:
            verdict = judge(recording)
            found[verdict.outcome] += 1
            line = session_line(number, recording, verdict, file)
        except Exception as error:  # what nobody thought of in one session must not end those of others
            found.update({"unknown": number - found.total()})
            line = f"{number:>4}  unknown: not judged; {file.name}"
            said = printable(f"{type(error).__name__}: {error}")
            print(f"voicerace: {file} is kept and could not be judged ({said})", file=sys.stderr, flush=True)
        _say(line)

    async def serve(door: SessionServer, folder: Path) -> None:
        server = Server(door, make(), folder / RECORDINGS, ended, serving.sessions)
        loop = asyncio.get_running_loop()

        def terminate() -> None:
            nonlocal terminated
            terminated = True
            server.stop.set()

        loop.add_signal_handler(signal.SIGINT, server.stop.set)
        loop.add_signal_handler(signal.SIGTERM, terminate)
        _say(f"listening on {door.address}{serving.path}, recordings in {folder / RECORDINGS}")
        await server.run()

    async def recorded() -> None:
        # The port first: a server that cannot be leaves no folder.
        async with SessionServer(
            host,
            port,
            tls=serving.tls,
            limits=serving.limits,
            origins=serving.origins,
            about=f"{serving.about} (`voicerace {serving.kind}`)",
            path=serving.path,
            refused=tell_refused,
        ) as door:
            info = _info(serving, door.address)
            with new_folder(serving.out, info["parameters"]) as folder:
                _write_info(folder, info)
                try:
                    await serve(door, folder)
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
    """To whoever waits for it: another program reads the address from here."""
    print(line, flush=True)


def _known(session: SessionConfig, *names: str) -> dict[str, Any]:
    """What decides a session, of what it says of itself."""
    return {name: value for name, value in session.provenance().items() if name in names}


def _info(serving: Serving, listen: str) -> dict[str, Any]:
    """`run.json`, before anybody has come."""
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
    """The server's TLS settings.

    Raises:
        InputError: a key without a certificate, or files that are none.
    """
    if certificate is None:
        if key is not None:
            raise InputError("certificate_key", "given without a certificate", "with --certificate")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror if not isinstance(error, ssl.SSLError) else error.reason
        raise InputError("certificate", f"{certificate}: {reason or 'no PEM'}", "a certificate and its key, PEM") from None
    return context
