"""The verb `capture`: somebody's own run with relays around their proxy. Standard output belongs to the command."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voicerace.cli import options
from voicerace.cli.printing import tell_refused, writing
from voicerace.scrubber import printable

if TYPE_CHECKING:
    from voicerace.captures.live import Captured

__all__ = ["capture"]

_RELAY = "LISTEN=TARGET"


def capture(
    command: Annotated[list[str] | None, typer.Argument(metavar="-- COMMAND", help="What to run, with its arguments.")] = None,
    host: Annotated[str | None, typer.Option(metavar=_RELAY, help="A relay between component and proxy.")] = None,
    upstream: Annotated[str | None, typer.Option(metavar=_RELAY, help="A relay between proxy and upstream.")] = None,
    allow_origin: options.AllowOrigin = None,
    out: options.Out = None,
) -> int:
    """Run a command with relays around its proxy; record and judge.

    Exits with the status of the command.

    LISTEN is PORT (0: a free one), HOST:PORT or ws://HOST:PORT; TARGET is ws://HOST:PORT or wss://... The command finds
    the relays in VOICERACE_HOST_URL and VOICERACE_UPSTREAM_URL. What was found goes to standard error and run.json. Where
    the command ended well and its sessions cannot be written, the status is 2.
    """
    from voicerace.captures.live import capture as run_capture

    done: Captured = writing(
        out or Path("runs"),
        lambda: run_capture(
            command or [],
            host=host,
            upstream=upstream,
            out=out,
            allow_origins=allow_origin or (),
            listening=_announce,
            refused=tell_refused,
        ),
    )
    _say(_lines(done))
    return done.status


def _announce(urls: Mapping[str, str]) -> None:
    _say(f"{side} relay at {url}" for side, url in urls.items())


def _lines(done: Captured) -> Iterator[str]:
    """One line per session and what is uncertain about it, then what the relays added, then where all of it is."""
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
            yield f"nobody connected to the {side} relay"
    yield f"{len(done.sessions)} session{'' if len(done.sessions) == 1 else 's'} in {done.folder}"


def _say(lines: Iterator[str]) -> None:
    for line in lines:
        print(f"voicerace: {line}", file=sys.stderr, flush=True)
