"""Run a command with relays that record its connections, join the recordings into sessions, and judge each session.

While the command runs, the folder contains one recording per connection. Afterwards it contains one recording per session.
If the capture is killed, the recordings of the connections remain readable.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import math
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Final

from voicerace.analysis.summary import summary
from voicerace.analysis.verdict import Verdict, judge
from voicerace.captures.live.mock_thread import MockThread
from voicerace.captures.live.pairing import PairedSession, Trace, joined, pair, trace
from voicerace.engine.live import clock
from voicerace.engine.live.backend import PLACEHOLDER_KEY
from voicerace.engine.live.command import Signals, check_command
from voicerace.engine.live.direct import PATH
from voicerace.engine.live.forwarder_program import ForwarderProgram, ForwarderTarget
from voicerace.engine.live.origins import Origins
from voicerace.engine.live.relay import added_ns
from voicerace.engine.live.serving import mock_provenance, mock_session, served_provenance
from voicerace.engine.live.tap import Tap, TapSpec
from voicerace.engine.live.targets import address
from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError
from voicerace.experiments.sweep.folder import RECORDINGS, RUN, commit, new_folder, point_latest, utc_now, versions
from voicerace.files import write_text
from voicerace.scrubber import Scrubber
from voicerace.trace.recording import Recording
from voicerace.units import ms

__all__ = ["Captured", "WatchedSession", "capture"]

_SCHEMA: Final = 1
#: Target of the relay that stands for the mock.
_MOCK: Final = "mock"
#: Maximum time in s that connections have to close after the command ends.
_GRACE_S: Final = 2.0
#: Exit status if the command succeeds but its sessions cannot be written.
_NOT_WRITTEN: Final = 2


@dataclass(frozen=True)
class WatchedSession:
    """One session of a capture.

    Attributes:
        number: number of the session, from 1, in order of the sessions' start.
        file: file of the session's recording.
        verdict: verdict of the session.
        events: number of recorded events.
        complete: whether every connection was recorded up to its close.
        faults: reasons of the recorded faults.
        notes: limitations of the recording, one sentence each.
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
    """A finished capture.

    Attributes:
        folder: folder of the capture.
        status: exit status of the command; 128 + N if signal N ended the command; 2 instead of 0 if the sessions cannot be
            written.
        sessions: sessions in order of their start.
        added_ms: side -> ``median`` and ``p99`` of the latency in ms that the relay added, and the numbers of ``messages``
            and ``connections``.
        unread: reason for each file that could not be read or written, one text per file.
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
    mock: SessionConfig | None = None,
    direct: bool = False,
    out: Path | None = None,
    forwarder: Path | None = None,
    allow_origins: Sequence[str] = (),
    listening: Callable[[Mapping[str, str]], None] = lambda _: None,
    refused: Callable[[str], None] = lambda _: None,
) -> Captured:
    """Run a command with relays on one or both sides of its proxy, and return the finished capture.

    Args:
        command: program and arguments; its environment has the relays' URLs in VOICERACE_HOST_URL and VOICERACE_UPSTREAM_URL.
            With the mock it also has VOICERACE_URL, the URL for a client, and OPENAI_API_KEY, a placeholder unless it is set.
        host: ``LISTEN=TARGET`` of the relay between component and proxy; None for no relay.
        upstream: ``LISTEN=TARGET`` of the relay between proxy and upstream; None for no relay. The target ``mock`` is a mock
            that this function starts; ``mock`` alone is ``0=mock``.
        mock: configuration of the mock; None for the default. Only with the target ``mock``.
        direct: whether the command is connected to the API without a proxy. With the mock and without a host relay it is.
        out: folder of the capture; None creates a folder in ``runs`` and points ``runs/latest`` to it.
        forwarder: checkout whose forwarder is started in front of the host's relay, mounted at ``/openai``. Its address is
            in VOICERACE_FORWARDER_URL, its output in ``forwarder.log`` in the folder. None for none.
        allow_origins: origins of web pages that may connect, in addition to origins on this machine.
        listening: function that is called with {side: URL} before the command starts.
        refused: function that is called with the reason when a relay refuses a web page or a host name.

    Raises:
        InputError: a relay is invalid, the program is unknown, or the folder is in use.
    """
    if host is None and upstream is None:
        raise InputError("host, upstream", "neither is given", "--host LISTEN=TARGET, --upstream LISTEN=TARGET, or both")
    if forwarder is not None and host is None:
        raise InputError("forwarder", "given without --host", "add --host LISTEN=TARGET, to which the forwarder connects")
    listen, _, target = f"0={_MOCK}".partition("=") if upstream == _MOCK else (upstream or "").partition("=")
    mocked = target.strip() == _MOCK
    if mock is not None and not mocked:
        raise InputError("upstream", "is not the mock, whose options are given", "--upstream mock")
    if direct and (host is not None or upstream is None):
        raise InputError("direct", "given with a relay to a proxy", "only --upstream")
    direct = direct or (mocked and host is None)
    check_command(command)
    origins = Origins.of(allow_origins)
    config = mock or mock_session()
    with MockThread(config) if mocked else nullcontext() as served:
        specs = [TapSpec.of("host", host)] if host is not None else []
        specs += [TapSpec.of("upstream", f"{listen}={served.url}" if served else upstream)] if upstream is not None else []
        names = {str(each.side): _MOCK if served and each.side == "upstream" else each.target for each in specs}
        origin = served_provenance(config, upstream=_MOCK) if mocked else {}
        origin |= {"engine": "relay", "command": Path(command[0]).name, **mock_provenance(config, direct=direct)}
        origin |= {"proxy" if side == "host" else "upstream": name for side, name in names.items()}
        info = _info(specs, names, command)
        if forwarder is not None:
            info["targets"]["forwarder"] = ForwarderTarget.of(forwarder).to_json()
        return _captured(out, info, specs, command, origin, origins, listening, refused, forwarder)


def _captured(
    out: Path | None,
    info: dict[str, Any],
    specs: Sequence[TapSpec],
    command: Sequence[str],
    origin: Mapping[str, Any],
    origins: Origins,
    listening: Callable[[Mapping[str, str]], None],
    refused: Callable[[str], None],
    forwarder: Path | None,
) -> Captured:
    """Run the command with its relays, and write its sessions to the folder."""
    with _folder(out, info) as folder:
        info["status"] = clock.run(_watch(folder, specs, command, origin, origins, listening, refused, forwarder))
        try:
            done = _finish(folder, info)
        except OSError as error:  # for example, the disk is full
            status = info["status"] or _NOT_WRITTEN
            done = Captured(folder, status, (), {}, (f"the sessions cannot be written: {error.strerror}",))
        if out is None:
            point_latest(folder)
    return done


def _info(specs: Sequence[TapSpec], names: Mapping[str, str], command: Sequence[str]) -> dict[str, Any]:
    """Return the initial content of `run.json` without the paths of URLs and the command's arguments.

    `names` has the name of each relay's target.
    """
    at = {each.side: {"listen": f"{each.host}:{each.port}", "target": names[each.side]} for each in specs}
    target = {"proxy" if side == "host" else "upstream": [{"name": name}] for side, name in names.items()}
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
    """Create the capture's folder and yield its path. Remove the folder if the capture cannot start."""
    existed = out is not None and out.exists()
    with new_folder(out, info["parameters"]) as folder:
        _write_info(folder, info)
        try:
            yield folder
        except InputError:
            if not any((folder / RECORDINGS).iterdir()):
                (folder / RUN).unlink()
                if not existed:
                    shutil.rmtree(folder)
            raise


def _write_info(folder: Path, info: Mapping[str, Any]) -> None:
    write_text(folder / RUN, json.dumps(info, indent=2, ensure_ascii=False) + "\n")


# -- while the command runs --------------------------------------------------------------------------------------------


async def _watch(
    folder: Path,
    specs: Sequence[TapSpec],
    command: Sequence[str],
    origin: Mapping[str, Any],
    origins: Origins,
    listening: Callable[[Mapping[str, str]], None],
    refused: Callable[[str], None],
    forwarder: Path | None,
) -> int:
    """Run the command with its relays, and with the forwarder of a checkout or without, and return its exit status."""
    number = itertools.count(1)
    begin_ns, scrub = time.monotonic_ns(), Scrubber.of_environment()
    async with AsyncExitStack() as stack:
        taps = [
            await stack.enter_async_context(
                Tap(each, folder / RECORDINGS, origin, number.__next__, begin_ns, scrub, origins, refused)
            )
            for each in specs
        ]
        urls: dict[str, str] = {tap.spec.side: tap.url for tap in taps}
        if forwarder is not None:
            program = ForwarderProgram(forwarder, f"{urls['host']}/openai", log=folder / "forwarder.log")
            stack.push_async_callback(program.end)
            await program.begin()
            urls["forwarder"] = address(program.url)
        listening(urls)
        variables = {f"VOICERACE_{side.upper()}_URL": url for side, url in urls.items()}
        if origin.get("upstream") == _MOCK:
            key = os.environ.get("OPENAI_API_KEY") or PLACEHOLDER_KEY
            variables |= {"VOICERACE_URL": taps[-1].url + PATH, "OPENAI_API_KEY": key}
        with Signals() as signals:
            status = await signals.run(command, variables)
            await _rest(taps, signals.unhandled)
            await asyncio.gather(*(tap.cut() for tap in taps))
    return status


async def _rest(taps: Sequence[Tap], hurry: asyncio.Event) -> None:
    """Wait until all connections have ended, `hurry` is set, or `_GRACE_S` has passed."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GRACE_S):
            stopped: asyncio.Future[Any] = asyncio.ensure_future(hurry.wait())
            try:
                while (still := {relay.over for tap in taps for relay in tap.open}) and not stopped.done():
                    await asyncio.wait([stopped, *still], return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopped.cancel()


# -- after the command -------------------------------------------------------------------------------------------------


def _finish(folder: Path, info: dict[str, Any]) -> Captured:
    """Join the recordings into sessions, write and judge them, and return the finished capture."""
    traces, unread = _traces(folder / RECORDINGS)
    added: dict[str, list[int]] = {side: [] for side in ("host", "upstream") if info["parameters"][side]}
    sessions = []
    for number, found in enumerate(pair(traces), start=1):
        recording = joined([Recording.read(each.path) for each in found.traces], number, found.note)
        file = folder / RECORDINGS / f"session-{number:03d}.jsonl"
        write_text(file, "".join(line + "\n" for line in recording.lines()))
        for each in found.traces:
            each.path.unlink()  # the session's file contains this connection's events
        for side, times in added.items():
            actor = "component" if side == "host" else "upstream"
            times += added_ns(replace(recording, events=tuple(e for e in recording.events if actor in e.link)))
        sessions.append(_watched(number, file, recording, found, info))
        info["sessions"].append(_session_json(sessions[-1], recording))
    connections = Counter(each.side for each in traces)
    info["added_ms"] = {side: {"connections": connections[side], **_spread(times)} for side, times in added.items()}
    info |= {"end": utc_now(), "complete": all(each.complete for each in sessions) and not unread, "unread": unread}
    _write_info(folder, info)
    return Captured(folder, info["status"], tuple(sessions), info["added_ms"], tuple(unread))


def _traces(folder: Path) -> tuple[list[Trace], list[str]]:
    """Return (traces of the connections, one text per file that cannot be read)."""
    traces, unread = [], []
    for path in sorted(folder.glob("connection-*.jsonl")):
        try:
            traces.append(trace(path, Recording.read(path)))
        except InputError as error:
            unread.append(f"{path.name}: {error.found}")
    return traces, unread


def _watched(number: int, file: Path, recording: Recording, found: PairedSession, info: Mapping[str, Any]) -> WatchedSession:
    try:
        verdict = judge(recording)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Untrusted payloads can have any structure. An error must not prevent the verdicts of the other sessions.
        why = f"the recording has messages that cannot be judged ({type(error).__name__})"
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
    """Return the number of `times` (ns), their median in ms, and their 99th percentile (nearest rank) in ms."""
    ordered = sorted(times)
    if not ordered:
        return {"messages": 0, "median": None, "p99": None}
    p99 = ordered[math.ceil(0.99 * len(ordered)) - 1]
    return {"messages": len(ordered), "median": ms(round(median(ordered))), "p99": ms(p99)}
