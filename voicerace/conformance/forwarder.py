"""Compares a checkout's running forwarder with its model: scripted exchanges, and openings of its connection to the proxy.

An opening runs the checkout's forwarder and proxy and the mock API. The proxy's side of the forwarder's connection opens
after a delay; the browser sends Settings 50 ms after its own connection opened, as the component does, and a user text later.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

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

#: Delays of the opening in ms. Those near 50 ms, when Settings are sent, depend on the machine and are not compared.
DELAYS_MS: Final = (0, 20, 49, 51, 100, 500)
_SETTINGS_MS: Final = COMPONENT_TIMES_MS["settings_open_ms"]
_NEAR_MS: Final = 25
#: Time in ms before Settings at which the connection of a compared session is open.
_MARGIN_MS: Final = 15
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
    total = len(CASES) + (len(DELAYS_MS) if release is not None else 0)
    rows: list[dict[str, str]] = []
    for number, name in enumerate(CASES, start=1):
        rows += _exchange(name, row, directory, log)
        if progress is not None:
            progress(number, total)
    if release is not None:
        for number, delay_ms in enumerate(DELAYS_MS, start=len(CASES) + 1):
            rows.append(_opening_row(directory, release, row, delay_ms, repeats, log))
            if progress is not None:
                progress(number, total)
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
        await asyncio.to_thread(forwarder.__enter__)
        try:
            return await played(forwarder.url, proxy if up else None, CASES[name], lambda: forwarder.alive)
        finally:
            await forwarder.end()


# -- openings --------------------------------------------------------------------------------------------------------


def modelled_opening(release: ProxyRelease, row: ForwarderRelease, delay_ms: float) -> Opening:
    """Return what a session of the models shows."""
    times = {"forwarder_open_ms": delay_ms}
    recording = simulate(SessionConfig.of(release=release.tag, forwarder=row.generation, times=times))
    return _shown([event.type for event in recording.on("forwarder>component")], recording)


def _shown(to_host: Sequence[str], recording: Recording) -> Opening:
    updates = sum(event.type == realtime.SESSION_UPDATE for event in recording.on("proxy>upstream"))
    return Opening("SettingsApplied" in to_host, updates, "FunctionCallRequest" in to_host)


def _opening_row(
    directory: Path, release: ProxyRelease, row: ForwarderRelease, delay_ms: int, repeats: int, log: Path | None
) -> dict[str, str]:
    played = asyncio.run(_openings(directory, release, delay_ms, repeats, log))
    # A busy machine can delay an opening past the Settings. Such a session belongs to another row.
    late = [ms > _SETTINGS_MS - _MARGIN_MS and delay_ms < _SETTINGS_MS for _, ms in played]
    found = [each for (each, _), is_late in zip(played, late, strict=True) if not is_late]
    counts = {str(each): found.count(each) for each in found}
    near = not found or abs(delay_ms - _SETTINGS_MS) < _NEAR_MS
    running = (
        next(iter(counts), "every opening was late")
        if len(counts) < 2
        else "; ".join(f"{text} ({count})" for text, count in counts.items())
    )
    return {
        "case": "opening",
        "step": f"after {delay_ms} ms, {repeats} sessions",
        "model": str(modelled_opening(release, row, delay_ms)),
        "running": running,
        "compared": "no" if near else "yes",
    }


async def _openings(
    directory: Path, release: ProxyRelease, delay_ms: float, repeats: int, log: Path | None
) -> list[tuple[Opening, float]]:
    """Play sessions with the running forwarder and proxy, one after another.

    Returns:
        For each session what it shows, and the measured time of the opening in ms after the browser's connection.
    """
    session = SessionConfig.of(release=release.tag)
    found: list[tuple[Opening, float]] = []
    with TemporaryDirectory() as folder:
        recordings: asyncio.Queue[Recording] = asyncio.Queue()
        async with SessionServer() as upstream:
            server = Server(upstream, upstream_handlers(session), Path(folder), lambda _, each: recordings.put_nowait(each))
            serving = asyncio.ensure_future(server.run())
            proxy = Backend(directory, upstream.address + "/v1/realtime", log)
            await asyncio.to_thread(proxy.__enter__)
            try:
                async with _Delaying(proxy.url, delay_ms) as between:
                    forwarder = ForwarderProgram(directory, between.url, log=log)
                    await asyncio.to_thread(forwarder.__enter__)
                    try:
                        for _ in range(repeats):
                            begun_s, to_host = await _browser(forwarder.url)
                            shown = _shown(to_host, await asyncio.wait_for(recordings.get(), 10))
                            found.append((shown, (between.opened_s - begun_s) * 1000))
                    finally:
                        await forwarder.end()
            finally:
                await proxy.end()
                server.stop.set()
                await serving
    return found


async def _browser(url: str) -> tuple[float, list[str]]:
    """Connect, and send Settings and a user text as the component does.

    Returns:
        The time in seconds at which the connection was open, and the types of the received messages.
    """
    types: list[str] = []

    async def read(connection: Any) -> None:
        async for frame in connection:
            types.append(str(json.loads(frame).get("type")) if isinstance(frame, str) else "(binary)")

    async with connect(url, proxy=None, compression=None, ping_interval=None) as connection:
        begun_s = asyncio.get_running_loop().time()
        reading = asyncio.ensure_future(read(connection))
        await asyncio.sleep(_SETTINGS_MS / 1000)
        settings = agent.settings(prompt="You help.", model="gpt-realtime", functions=[WEATHER], greeting=None, context=())
        await connection.send(json.dumps(settings))
        await asyncio.sleep(_TEXT_S)
        await connection.send(json.dumps(agent.inject_user_message("What is the weather in Lisbon?")))
        await asyncio.sleep(_END_S)
    await asyncio.wait({reading})
    return begun_s, types


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
