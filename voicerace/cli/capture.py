"""The verb `capture`: run a command with relays around its proxy. Only the command writes to standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voicerace.cli import options
from voicerace.cli.printing import print_refused, writing
from voicerace.model.catalog.scenarios import DEFAULT_PLAN
from voicerace.scrubber import printable

if TYPE_CHECKING:
    from voicerace.captures.live import Captured

__all__ = ["capture"]

_RELAY = "LISTEN=TARGET"


@options.takes_times
def capture(
    times: Mapping[str, object],
    command: Annotated[
        list[str] | None, typer.Argument(metavar="-- COMMAND", help="Command to run, with its arguments.")
    ] = None,
    host: Annotated[str | None, typer.Option(metavar=_RELAY, help="Relay between component and proxy.")] = None,
    upstream: Annotated[
        str | None, typer.Option(metavar=f"{_RELAY} | mock", help="Relay between proxy and upstream; mock starts a mock API.")
    ] = None,
    direct: options.Direct = False,
    forwarder: Annotated[
        str | None,
        typer.Option(metavar="backend:DIR", help="Checkout whose forwarder is started in front of the --host relay."),
    ] = None,
    plan: options.Plan = DEFAULT_PLAN,
    calls: options.MockCalls = 1,
    profile: options.Profile = "loopback",
    allow_origin: options.AllowOrigin = None,
    out: options.RunFolder = None,
) -> int:
    """Run a command with relays around its proxy; record and judge.

    The exit status is that of the command, or 2 if the command succeeds and its sessions cannot be written.

    LISTEN is PORT (0: a free one), HOST:PORT or ws://HOST:PORT. TARGET is ws://HOST:PORT or wss://... The command finds
    the relays in VOICERACE_HOST_URL and VOICERACE_UPSTREAM_URL, and the forwarder (path /openai) in VOICERACE_FORWARDER_URL.
    Results are printed to standard error and kept in run.json.

    With --upstream mock, or LISTEN=mock, the command finds the mock API in VOICERACE_URL. --plan, --calls, --profile and the
    times are of this mock.
    """
    from voicerace.captures.live import capture as run_capture
    from voicerace.engine.live.serving import mock_session

    of_mock = bool(times) or (plan, calls, profile) != (DEFAULT_PLAN, 1, "loopback")
    mock = mock_session(plan, times=times, calls=calls, profile=profile) if of_mock else None
    done: Captured = writing(
        out or Path("runs"),
        lambda: run_capture(
            command or [],
            host=host,
            upstream=upstream,
            mock=mock,
            direct=direct,
            forwarder=None if forwarder is None else options.backend_directory(forwarder, "forwarder"),
            out=out,
            allow_origins=allow_origin or (),
            listening=_announce,
            refused=print_refused,
        ),
    )
    _print(_lines(done))
    return done.status


def _announce(urls: Mapping[str, str]) -> None:
    _print(f"{side}{'' if side == 'forwarder' else ' relay'} at {url}" for side, url in urls.items())


def _lines(done: Captured) -> Iterator[str]:
    """Yield lines for each session with its faults and notes, then for the delay of the relays and the folder."""
    for session in done.sessions:
        verdict = session.verdict
        wedged = " (and the session is wedged)" if verdict.wedged else ""
        yield (
            f"session {session.number}: {verdict.outcome}{wedged}: {printable(verdict.why, 300)}; "
            f"{session.events} events in {session.file.name}"
        )
        yield from (f"  fault: {printable(each, 300)}" for each in session.faults)
        yield from (f"  note: {printable(each, 300)}" for each in session.notes)
    for each in done.unread:
        yield f"left out: {printable(each, 300)}"
    for side, added in done.added_ms.items():
        if added["messages"]:
            spread = f"{added['median']:.3f} ms (median), {added['p99']:.3f} ms (p99)"
            yield f"the {side} relay added {spread} to {added['messages']} messages"
        elif not added["connections"]:
            yield f"no connection to the {side} relay"
    yield f"{len(done.sessions)} session{'' if len(done.sessions) == 1 else 's'} in {done.folder}"


def _print(lines: Iterator[str]) -> None:
    for line in lines:
        print(f"voicerace: {line}", file=sys.stderr, flush=True)
