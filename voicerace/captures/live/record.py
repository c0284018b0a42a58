"""A command, run between relays: what passed is recorded as it passes, joined into sessions and judged when it is over.

The folder holds a recording per connection while the command runs, and a recording per session afterwards. A capture
that is killed leaves the former, each of them readable.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Final

from voicerace.analysis.summary import summary
from voicerace.analysis.verdict import Verdict, judge
from voicerace.captures.live.pairing import Trace, Traces, joined, pair, trace
from voicerace.engine.live import clock
from voicerace.engine.live.command import Signals, check_command
from voicerace.engine.live.origins import Origins
from voicerace.engine.live.relay import added_ns
from voicerace.engine.live.tap import Tap, TapSpec
from voicerace.errors import InputError
from voicerace.experiments.sweep.folder import RECORDINGS, RUN, commit, new_folder, point_latest, utc_now, versions
from voicerace.files import write_text
from voicerace.scrubber import Scrubber
from voicerace.trace.recording import Recording
from voicerace.units import ms

__all__ = ["Captured", "WatchedSession", "capture"]

_SCHEMA: Final = 1
#: What a command's end sets off (its sockets close, the proxy closes its own) has this long to pass.
_GRACE_S: Final = 2.0
#: The status of a command that ended well, when what was recorded of it cannot be written.
_NOT_WRITTEN: Final = 2


@dataclass(frozen=True)
class WatchedSession:
    """One session of a capture.

    Attributes:
        number: in the order they began.
        file: its recording.
        verdict: what to make of it.
        events: how many were recorded.
        complete: False when a connection was cut or dropped.
        faults: what went wrong that no party did on purpose.
        notes: what is uncertain, or missing.
    """

    number: int
    file: Path
    verdict: Verdict
    events: int
    complete: bool
    faults: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Captured:
    """A capture that is over.

    Attributes:
        folder: where it is.
        status: the command's exit status, 128 + N when signal N ended it; 2 for 0 when the sessions cannot be written.
        sessions: in the order they began.
        added_ms: what each relay added to the way of a message, by side: ``median`` and ``p99``, of how many
            ``messages`` on how many ``connections``.
        unread: what could not be read or written, with why.
    """

    folder: Path
    status: int
    sessions: tuple[WatchedSession, ...]
    added_ms: Mapping[str, Mapping[str, Any]]
    unread: tuple[str, ...]


def capture(
    command: Sequence[str],
    *,
    host: str | None = None,
    upstream: str | None = None,
    out: Path | None = None,
    allow_origins: Sequence[str] = (),
    listening: Callable[[Mapping[str, str]], None] = lambda _: None,
    refused: Callable[[str], None] = lambda _: None,
) -> Captured:
    """Run a command, with relays on one or both sides of the proxy that it uses.

    Args:
        command: program and arguments. It finds the relays in VOICERACE_HOST_URL and VOICERACE_UPSTREAM_URL.
        host, upstream: ``LISTEN=TARGET`` of the relay between component and proxy, and between proxy and upstream.
        out: the folder; without one a new one in ``runs``, and ``runs/latest`` points to it.
        allow_origins: web pages that may connect beside those of this machine.
        listening: called with {side: URL} before the command starts.
        refused: called with the reason when a web page or a host name is refused.

    Raises:
        InputError: a relay that cannot be, no such program, or a folder that is taken.
    """
    specs = [TapSpec.of("host", host)] if host is not None else []
    specs += [TapSpec.of("upstream", upstream)] if upstream is not None else []
    if not specs:
        raise InputError("host, upstream", "neither is given", "--host LISTEN=TARGET, --upstream LISTEN=TARGET, or both")
    check_command(command)
    origins = Origins.of(allow_origins)
    info = _info(specs, command)
    with _folder(out, info) as folder:
        origin = {"engine": "relay", "command": Path(command[0]).name}
        origin |= {"proxy" if each.side == "host" else "upstream": each.target for each in specs}
        info["status"] = clock.run(_watch(folder, specs, command, origin, origins, listening, refused))
        try:
            done = _finish(folder, info)
        except OSError as error:  # a full disk: a command that failed has failed all the same
            status = info["status"] or _NOT_WRITTEN
            done = Captured(folder, status, (), {}, (f"the sessions cannot be written: {error.strerror}",))
        if out is None:
            point_latest(folder)
    return done


def _info(specs: Sequence[TapSpec], command: Sequence[str]) -> dict[str, Any]:
    """What `run.json` says before anything has happened. Addresses have no path, and a command no arguments."""
    at = {each.side: {"listen": f"{each.host}:{each.port}", "target": each.target} for each in specs}
    target = {"proxy" if each.side == "host" else "upstream": [{"name": each.target}] for each in specs}
    return {
        "voicerace_run": _SCHEMA,
        "kind": "capture",
        "parameters": {"command": Path(command[0]).name, "host": at.get("host"), "upstream": at.get("upstream")},
        "versions": {**versions(), "websockets": version("websockets")},
        "commit": commit(),
        "seed": None,
        "clock": "monotonic",
        "targets": target,
        "start": utc_now(),
        "end": None,
        "complete": False,
        "status": None,
        "added_ms": {},
        "sessions": [],
        "unread": [],
    }


@contextmanager
def _folder(out: Path | None, info: Mapping[str, Any]) -> Iterator[Path]:
    """The run's folder; what could not even be started leaves none."""
    there = out is not None and out.exists()
    with new_folder(out, info["parameters"]) as folder:
        _write_info(folder, info)
        try:
            yield folder
        except InputError:
            if not any((folder / RECORDINGS).iterdir()):
                (folder / RUN).unlink()
                if not there:
                    shutil.rmtree(folder)
            raise


def _write_info(folder: Path, info: Mapping[str, Any]) -> None:
    write_text(folder / RUN, json.dumps(info, indent=2, ensure_ascii=False) + "\n")


# -- while the command runs ------------------------------------------------------------------------------------------


async def _watch(
    folder: Path,
    specs: Sequence[TapSpec],
    command: Sequence[str],
    origin: Mapping[str, Any],
    origins: Origins,
    listening: Callable[[Mapping[str, str]], None],
    refused: Callable[[str], None],
) -> int:
    """Run the command between its relays; gives its exit status."""
    number = itertools.count(1)
    begin_ns, scrub = time.monotonic_ns(), Scrubber.of_environment()
    async with AsyncExitStack() as stack:
        taps = [
            await stack.enter_async_context(
                Tap(each, folder / RECORDINGS, origin, number.__next__, begin_ns, scrub, origins, refused)
            )
            for each in specs
        ]
        listening({tap.spec.side: tap.url for tap in taps})
        with Signals() as signals:
            status = await signals.run(command, {f"VOICERACE_{tap.spec.side.upper()}_URL": tap.url for tap in taps})
            await _rest(taps, signals.unhandled)
            await asyncio.gather(*(tap.cut() for tap in taps))
    return status


async def _rest(taps: Sequence[Tap], hurry: asyncio.Event) -> None:
    """Wait until every connection has ended, not too long, and not when somebody asks us to stop."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GRACE_S):
            asked: asyncio.Future[Any] = asyncio.ensure_future(hurry.wait())
            try:
                while (still := {relay.over for tap in taps for relay in tap.open}) and not asked.done():
                    await asyncio.wait([asked, *still], return_when=asyncio.FIRST_COMPLETED)
            finally:
                asked.cancel()


# -- when it is over -------------------------------------------------------------------------------------------------


def _finish(folder: Path, info: dict[str, Any]) -> Captured:
    """Join what was recorded into sessions, judge them, and write down what came out."""
    traces, unread = _traces(folder / RECORDINGS)
    added: dict[str, list[int]] = {side: [] for side in ("host", "upstream") if info["parameters"][side]}
    sessions = []
    for number, found in enumerate(pair(traces), start=1):
        recording = joined([Recording.read(each.path) for each in found.traces], number, found.note)
        file = folder / RECORDINGS / f"session-{number:03d}.jsonl"
        write_text(file, "".join(line + "\n" for line in recording.lines()))
        for each in found.traces:
            each.path.unlink()  # all of it is in the session's file now
        for side, times in added.items():
            party = "component" if side == "host" else "upstream"
            times += added_ns(replace(recording, events=tuple(e for e in recording.events if party in e.link)))
        sessions.append(_watched(number, file, recording, found, info))
        info["sessions"].append(_session_json(sessions[-1], recording))
    came = Counter(each.side for each in traces)
    info["added_ms"] = {side: {"connections": came[side], **_spread(times)} for side, times in added.items()}
    info |= {"end": utc_now(), "complete": all(each.complete for each in sessions) and not unread, "unread": unread}
    _write_info(folder, info)
    return Captured(folder, info["status"], tuple(sessions), info["added_ms"], tuple(unread))


def _traces(folder: Path) -> tuple[list[Trace], list[str]]:
    """What is known of every connection, and the files that cannot be read."""
    traces, unread = [], []
    for path in sorted(folder.glob("connection-*.jsonl")):
        try:
            traces.append(trace(path, Recording.read(path)))
        except InputError as error:
            unread.append(f"{path.name}: {error.found}")
    return traces, unread


def _watched(number: int, file: Path, recording: Recording, found: Traces, info: Mapping[str, Any]) -> WatchedSession:
    try:
        verdict = judge(recording)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Not our messages: a payload of a shape that no proxy sends must not end the judging of the others.
        why = f"the recording holds messages that cannot be judged ({type(error).__name__})"
        verdict = Verdict("unknown", None, None, (), why)
    notes = list(recording.notes)
    sides = {each.side for each in found.traces}
    if "upstream" not in sides and info["parameters"]["upstream"]:
        notes.append("no connection to the upstream relay belongs to this session")
    if "host" not in sides and info["parameters"]["host"]:
        notes.append("no connection to the host relay belongs to this session")
    faults = tuple(
        str(each.payload.get("reason"))
        for each in recording.events
        if each.kind == "fault" and isinstance(each.payload, Mapping)
    )
    return WatchedSession(number, file, verdict, len(recording.events), recording.complete, faults, tuple(notes))


def _session_json(session: WatchedSession, recording: Recording) -> dict[str, Any]:
    return {
        "number": session.number,
        "recording": session.file.name,
        "start": recording.provenance.get("start"),
        "connections": recording.provenance.get("connections"),
        "events": session.events,
        "complete": session.complete,
        "faults": list(session.faults),
        "notes": list(session.notes),
        "bad": session.verdict.bad,
        **summary(recording, session.verdict),
    }


def _spread(times: Sequence[int]) -> dict[str, Any]:
    """Count, median and 99th percentile (nearest rank) in ms."""
    ordered = sorted(times)
    if not ordered:
        return {"messages": 0, "median": None, "p99": None}
    p99 = ordered[math.ceil(0.99 * len(ordered)) - 1]
    return {"messages": len(ordered), "median": ms(round(median(ordered))), "p99": ms(p99)}
