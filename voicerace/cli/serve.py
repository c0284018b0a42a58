"""`voicerace serve`: the mock upstream, or the model of a proxy, as a server for anybody's app, SDK or proxy."""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from voicerace.cli import options
from voicerace.cli.printing import known_outcomes, print_lines
from voicerace.cli.targets import listen_address
from voicerace.cli.text import session_line
from voicerace.engines.door import Door
from voicerace.engines.faults import Fault
from voicerace.engines.serving import Make, Server, proxy_visitors, upstream_visitors
from voicerace.engines.session import Session
from voicerace.engines.targets import UpstreamTarget, address
from voicerace.errors import InputError
from voicerace.recording import Recording
from voicerace.sweep_folder import RECORDINGS, new_folder
from voicerace.verdict import judge

__all__ = ["app"]

app = typer.Typer(help="A server for anybody's app, SDK or proxy; every session is recorded and judged.", no_args_is_help=True)

_REALTIME = "/v1/realtime?model=gpt-realtime"
_Listen = Annotated[str, typer.Option(metavar="[HOST:]PORT", help="Where to listen; port 0 takes a free one.")]
_Sessions = Annotated[int | None, typer.Option("--sessions", metavar="N", min=1, help="Stop after N sessions. [never]")]
_FailOn = Annotated[list[str] | None, typer.Option(metavar="OUTCOME", help="Exit 1 on it; may be repeated.")]
_Certificate = Annotated[Path | None, typer.Option(metavar="FILE", help="Serve wss:// with this certificate chain (PEM).")]
_Key = Annotated[Path | None, typer.Option("--certificate-key", metavar="FILE", help="Its private key. [in the same file]")]


@app.command()
@options.takes_times
def upstream(
    times: Mapping[str, object],
    listen: _Listen = "127.0.0.1:8181",
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help="drop | delay=MS | withhold | duplicate | garble, each [@TYPE][#N] | refuse=STATUS"),
    ] = None,
    modality: options.Modality = "text",
    calls: Annotated[int, typer.Option(metavar="N", help="Function calls in one response: 1 to 8.")] = 1,
    preamble: options.Preamble = False,
    profile: options.Profile = "loopback",
    knob: options.Knob = None,
    seed: options.Seed = 0,
    certificate: _Certificate = None,
    certificate_key: _Key = None,
    sessions: _Sessions = None,
    out: options.Out = None,
    fail_on: _FailOn = None,
) -> int:
    """A mock Realtime API: every user message is answered by a function call, its result by a reply."""
    known_outcomes(fail_on)
    session = Session.of(
        scenario="parallel",
        times=times,
        profile=profile,
        modality=modality,
        calls=calls,
        preamble=preamble,
        knobs_given=options.knob_words(knob),
        seed=seed,
    )
    every = replace(session, scenario=replace(session.scenario, inputs=session.scenario.inputs[:1]))
    faults = tuple(Fault.of(word) for word in fault or ())
    tls = _tls(certificate, certificate_key)
    return _serve(listen, tls, _REALTIME, lambda: upstream_visitors(every, faults), sessions, out, fail_on)


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
    sessions: _Sessions = None,
    out: options.Out = None,
    fail_on: _FailOn = None,
) -> int:
    """The model of a release's proxy, in front of a Realtime API."""
    known_outcomes(fail_on)
    target = UpstreamTarget.of(upstream, model, key_from)
    if target.url is None:
        raise InputError("upstream", upstream, "openai, ws://... or wss://...; for a mock: voicerace serve upstream")
    session = Session.of(release=release, times=times, profile=profile, seed=seed)
    return _serve(listen, None, "/openai", lambda: proxy_visitors(session, target), sessions, out, fail_on)


def _serve(
    listen: str,
    tls: ssl.SSLContext | None,
    path: str,
    make: Callable[[], Make],
    sessions: int | None,
    out: Path | None,
    fail_on: list[str] | None,
) -> int:
    """Serve until Ctrl-C, SIGTERM or the last session; exit 1 when a session ended as `fail_on` says."""
    host, port = listen_address("listen", listen)
    found = []

    def ended(file: Path, recording: Recording) -> None:
        verdict = judge(recording)
        found.append(verdict.outcome)
        print_lines([session_line(len(found), recording, verdict, file)])

    async def serve(folder: Path) -> None:
        async with Door(host, port, tls=tls) as door:
            server = Server(door, make(), folder, ended, sessions)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, server.stop.set)
            print_lines([f"listening on {door.address}{path}, recordings in {folder}"])
            await server.run()

    with new_folder(out, {"listen": address(f"ws://{host}:{port}")}) as folder:
        asyncio.run(serve(folder / RECORDINGS))
    return int(any(outcome in (fail_on or ()) for outcome in found))


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
