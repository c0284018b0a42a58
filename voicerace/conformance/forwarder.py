"""Compares a checkout's running forwarder with its model: scripted exchanges, and openings of its connection to the proxy.

An opening runs the checkout's forwarder and proxy and the mock API. The proxy's side of the forwarder's connection opens
after a delay; the browser sends Settings 50 ms after its own connection opened, as the component does, and a user text later.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request

from voicerace.conformance.forwarder_cases import CASES
from voicerace.conformance.forwarder_play import ScriptedProxy, modelled, played
from voicerace.engine.live.backend import Backend, free_port
from voicerace.engine.live.forwarder_program import ForwarderProgram, forwarder_hash
from voicerace.engine.live.server import SessionServer
from voicerace.engine.live.serving import Server, upstream_handlers
from voicerace.engine.live.source import backend_version, source_hash
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.errors import InputError, one_of
from voicerace.files import write_bytes
from voicerace.model.actors.component import WEATHER
from voicerace.model.catalog.forwarders import FORWARDERS, ForwarderRelease, forwarder_of_source
from voicerace.model.catalog.profiles import COMPONENT_TIMES_MS
from voicerace.model.catalog.releases import ProxyRelease, proxy_of_source
from voicerace.model.protocol import agent, realtime
from voicerace.trace.recording import Recording

__all__ = ["DELAYS_MS", "ForwarderResult", "Opening", "conform_forwarder", "modelled_opening"]

#: Delays of the opening in ms. Settings are sent after 50 ms.
DELAYS_MS: Final = (0, 20, 49, 51, 100, 500)
_SETTINGS_MS: Final = COMPONENT_TIMES_MS["settings_open_ms"]
#: Difference in ms between opening and Settings below which their order at the forwarder is not known. In 108 sessions with
#: openings after 44 to 54 ms, each session with an opening at least 0.34 ms before or 0.5 ms after Settings is as modelled.
_UNSURE_MS: Final = 0.3
_LATE_SETTINGS_MS: Final = 500
_TEXT_S, _END_S = COMPONENT_TIMES_MS["unapplied_ms"] / 1000, 2.0
_NO_PROXY: Final = "proxy is not up"


@dataclass(frozen=True)
class Opening:
    """What a session shows whose forwarder opened its connection to the proxy after a delay.

    Attributes:
        applied: the host got SettingsApplied.
        updates: number of session.update messages.
        called: the host got a function call after the user's text.
    """

    applied: bool
    updates: int
    called: bool

    def __str__(self) -> str:
        configured = "SettingsApplied" if self.applied else "no SettingsApplied"
        return f"{configured}, {self.updates} session.update, {'function call' if self.called else 'no function call'}"


@dataclass(frozen=True)
class ForwarderResult:
    """The comparison of a running forwarder with the model of its generation.

    Attributes:
        row: the generation.
        release: release of the checkout's proxy, or None if it is unknown.
        source: hash of the forwarder's source.
        rows: one row per step of an exchange and per opening: case, step, model, running.
        differences: number of compared rows whose model and program differ.
    """

    row: ForwarderRelease
    release: ProxyRelease | None
    source: str
    rows: tuple[dict[str, str], ...]

    @property
    def differences(self) -> int:
        return sum(row["compared"] == "yes" and row["model"] != row["running"] for row in self.rows)

    def write(self, folder: Path) -> list[Path]:
        """Write the table as ``forwarder-RELEASE.csv`` to a folder, and return the file."""
        text = io.StringIO()
        writer = csv.DictWriter(text, ("case", "step", "model", "running", "compared"), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"forwarder-{self.release.tag if self.release else self.source}.csv"
        write_bytes(file, text.getvalue().encode())
        return [file]


def conform_forwarder(
    directory: Path,
    log: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    repeats: int = 3,
    generation: str | None = None,
) -> ForwarderResult:
    """Compare the forwarder of a checkout with its model.

    Args:
        directory: the checkout, with its dependencies installed.
        log: file for the output of the programs.
        progress: called with the numbers of finished and of all cases.
        repeats: number of sessions per delay of the opening.
        generation: generation to compare with; by default that of the program's hash.

    Raises:
        InputError: the checkout has no forwarder, its program has no row, or a program did not start.
    """
    source = forwarder_hash(directory)
    if generation is not None:
        one_of("release", generation, FORWARDERS)
    row = FORWARDERS[generation] if generation is not None else forwarder_of_source(source)
    if row is None:
        raise InputError("forwarder", f"program {source} has no row", f"known are {', '.join(FORWARDERS)}")
    release = proxy_of_source(source_hash(directory), backend_version(directory))
    total = len(CASES) + (len(DELAYS_MS) + 1 if release is not None else 0)
    rows: list[dict[str, str]] = []
    for number, name in enumerate(CASES, start=1):
        rows += _exchange(name, row, directory, log)
        if progress is not None:
            progress(number, total)
    if release is not None:
        for number, delay_ms in enumerate(DELAYS_MS, start=len(CASES) + 1):
            rows += _opening_rows(directory, release, row, delay_ms, repeats, log)
            if progress is not None:
                progress(number, total)
        found = asyncio.run(_with_own_proxy(directory, release, repeats, log))
        step = f"with its own proxy: {len(found)} opened before Settings"
        rows.append(_row(step, modelled_opening(release, row, 0), found))
        if progress is not None:
            progress(total, total)
    return ForwarderResult(row, release, source, tuple(rows))


def _exchange(name: str, row: ForwarderRelease, directory: Path, log: Path | None) -> Iterator[dict[str, str]]:
    steps, reachable = CASES[name], name != _NO_PROXY
    expected = modelled(row, steps, reachable=reachable)
    found = asyncio.run(_run_exchange(name, directory, log))
    for step, model, running in zip(steps, expected, found, strict=True):
        value = "" if step.value is None else f" {step.value}"
        words = f"{step.act}{value}" + (f", browser {step.browser}" if name == "two browsers" else "")
        yield {"case": name, "step": words, "model": "; ".join(model), "running": "; ".join(running), "compared": "yes"}


async def _run_exchange(name: str, directory: Path, log: Path | None) -> list[list[str]]:
    async with ScriptedProxy() as proxy:
        up = name != _NO_PROXY
        url = proxy.url if up else f"ws://127.0.0.1:{free_port()}/openai"
        forwarder = ForwarderProgram(directory, url, log=log)
        async with _running(forwarder):
            return await played(forwarder.url, proxy if up else None, CASES[name], lambda: forwarder.alive)


# -- openings --------------------------------------------------------------------------------------------------------


def modelled_opening(release: ProxyRelease, row: ForwarderRelease, delay_ms: float) -> Opening:
    """Return what a session of the models shows."""
    times = {"forwarder_open_ms": delay_ms}
    recording = simulate(SessionConfig.of(release=release.tag, forwarder=row.generation, times=times))
    return _shown([event.type for event in recording.on("forwarder>component")], recording)


def _shown(to_host: Sequence[str], recording: Recording) -> Opening:
    updates = sum(event.type == realtime.SESSION_UPDATE for event in recording.on("proxy>upstream"))
    return Opening("SettingsApplied" in to_host, updates, "FunctionCallRequest" in to_host)


def _opening_rows(
    directory: Path, release: ProxyRelease, row: ForwarderRelease, delay_ms: int, repeats: int, log: Path | None
) -> Iterator[dict[str, str]]:
    """Yield a row for the sessions that opened before Settings were sent, and one for those that opened after.

    A session belongs to a row by its measured times, because a busy machine can delay its opening past Settings.
    """
    played = asyncio.run(_openings(directory, release, delay_ms, repeats, log))
    for relation, modelled_ms in (("before", 0), ("after", 2 * _SETTINGS_MS)):
        found = [shown for shown, after_ms in played if abs(after_ms) >= _UNSURE_MS and (after_ms > 0) is (relation == "after")]
        if found:
            step = f"after {delay_ms} ms: {len(found)} opened {relation} Settings"
            yield _row(step, modelled_opening(release, row, modelled_ms), found)
    if unsure := [shown for shown, after_ms in played if abs(after_ms) < _UNSURE_MS]:
        step = f"after {delay_ms} ms: {len(unsure)} opened within {_UNSURE_MS} ms of Settings"
        yield _row(step, modelled_opening(release, row, _SETTINGS_MS), unsure) | {"compared": "no"}


def _row(step: str, model: Opening, found: Sequence[Opening]) -> dict[str, str]:
    counts = {str(each): found.count(each) for each in found}
    running = next(iter(counts)) if len(counts) == 1 else "; ".join(f"{text} ({count})" for text, count in counts.items())
    return {"case": "opening", "step": step, "model": str(model), "running": running, "compared": "yes"}


async def _openings(
    directory: Path, release: ProxyRelease, delay_ms: float, repeats: int, log: Path | None
) -> list[tuple[Opening, float]]:
    """Play sessions with the running forwarder and proxy, one after another.

    Returns:
        For each session what it shows, and how many ms after Settings were sent the forwarder's connection was open.
    """
    found: list[tuple[Opening, float]] = []
    async with (
        _upstream(release) as (url, recordings),
        _running(Backend(directory, url, log)) as proxy,
        _Delaying(proxy.url, delay_ms) as between,
        _running(ForwarderProgram(directory, between.url, log=log)) as program,
    ):
        for _ in range(repeats):
            settings_s, to_host = await _browser(program.url)
            shown = _shown(to_host, await asyncio.wait_for(recordings.get(), 10))
            found.append((shown, (between.opened_s - settings_s) * 1000))
    return found


async def _with_own_proxy(directory: Path, release: ProxyRelease, repeats: int, log: Path | None) -> list[Opening]:
    """Play sessions with the running forwarder, which starts the checkout's proxy as its child process."""
    found = []
    async with _upstream(release) as (url, recordings), _running(ForwarderProgram(directory, None, url, log)) as program:
        for _ in range(repeats):
            # The opening is not measured, so Settings are sent much later.
            _, to_host = await _browser(program.url, _LATE_SETTINGS_MS)
            found.append(_shown(to_host, await asyncio.wait_for(recordings.get(), 10)))
    return found


@contextlib.asynccontextmanager
async def _upstream(release: ProxyRelease) -> AsyncIterator[tuple[str, asyncio.Queue[Recording]]]:
    """Run the mock API. Yield its URL and the queue of its recordings."""
    recordings: asyncio.Queue[Recording] = asyncio.Queue()
    with TemporaryDirectory() as folder:
        async with SessionServer() as upstream:
            handlers = upstream_handlers(SessionConfig.of(release=release.tag))
            server = Server(upstream, handlers, Path(folder), lambda _, each: recordings.put_nowait(each))
            serving = asyncio.ensure_future(server.run())
            try:
                yield upstream.address + "/v1/realtime", recordings
            finally:
                server.stop.set()
                await serving


_Program = TypeVar("_Program", bound=Backend)


@contextlib.asynccontextmanager
async def _running(program: _Program) -> AsyncIterator[_Program]:
    await program.begin()
    try:
        yield program
    finally:
        await program.end()


async def _browser(url: str, settings_ms: float = _SETTINGS_MS) -> tuple[float, list[str]]:
    """Connect, and send Settings and a user text as the component does.

    Returns:
        The time in seconds at which Settings were sent, and the types of the received messages.
    """
    types: list[str] = []

    async def read(connection: Any) -> None:
        async for frame in connection:
            types.append(str(json.loads(frame).get("type")) if isinstance(frame, str) else "(binary)")

    async with connect(url, proxy=None, compression=None, ping_interval=None) as connection:
        reading = asyncio.ensure_future(read(connection))
        await asyncio.sleep(settings_ms / 1000)
        settings = agent.settings(prompt="You help.", model="gpt-realtime", functions=[WEATHER], greeting=None, context=())
        settings_s = asyncio.get_running_loop().time()
        await connection.send(json.dumps(settings))
        await asyncio.sleep(_TEXT_S)
        await connection.send(json.dumps(agent.inject_user_message("What is the weather in Lisbon?")))
        await asyncio.sleep(_END_S)
    await asyncio.wait({reading})
    return settings_s, types


class _Delaying:
    """A relay in front of a proxy, which answers each handshake after a delay. It listens while the context is open."""

    def __init__(self, target: str, delay_ms: float) -> None:
        self.target = target
        self.delay_ms = delay_ms
        self.url = ""
        #: Time in seconds at which the newest connection was open.
        self.opened_s = 0.0

    async def __aenter__(self) -> _Delaying:
        self._server = await serve(
            self._handle, "127.0.0.1", 0, process_request=self._wait, compression=None, ping_interval=None, max_size=None
        )
        self.url = f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}/openai"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _wait(self, connection: ServerConnection, request: Request) -> None:
        await asyncio.sleep(self.delay_ms / 1000)

    async def _handle(self, near: ServerConnection) -> None:
        self.opened_s = asyncio.get_running_loop().time()

        async def pump(source: Any, sink: Any) -> None:
            try:
                async for frame in source:
                    await sink.send(frame)
            except ConnectionClosed:
                pass
            await sink.close()

        async with connect(self.target, proxy=None, compression=None, ping_interval=None, max_size=None) as far:
            await asyncio.gather(pump(near, far), pump(far, near))
