"""Plays sessions of a client program that connects to the mock API without a proxy.

The program is started once per session. It gets a URL and the tool's times in its environment, and the user's texts on its
standard input, one per line (docs/clients.md). The model of the user follows the session at the mock and decides when the
next text is due, as in the other engines.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final, Self

from websockets.http11 import Request

from voicerace.analysis.trace_index import DIRECT
from voicerace.engine.live.actor_host import ActorHost
from voicerace.engine.live.backend import PLACEHOLDER_KEY
from voicerace.engine.live.client import client_of
from voicerace.engine.live.command import check_command
from voicerace.engine.live.endpoints import UpstreamEndpoint
from voicerace.engine.live.recorder import Recorder
from voicerace.engine.live.server import ConnectionHandler, SessionServer
from voicerace.engine.live.serving import served_provenance
from voicerace.engine.live.targets import scrubber
from voicerace.engine.session import SessionConfig
from voicerace.model.actors.actor import Actor, Effects
from voicerace.model.actors.user import User
from voicerace.model.parameters import MAX_CALLS
from voicerace.trace.recording import DIRECT_LINKS, PROXY_TO_UPSTREAM, Link, Payload, Recording

__all__ = ["PATH", "DirectClient"]

#: Path and query of the URL for the client.
PATH: Final = "/v1/realtime?model=gpt-realtime"
#: Close code of a server that goes away.
_GOING_AWAY: Final = 1001
#: Maximum time in seconds until the client has connected. A framework in Python takes seconds to start.
_START_S: Final = 60.0
#: Time in seconds that is added to the longest regular silence of a session.
_SILENCE_MARGIN_S: Final = 5.0
#: Maximum time in seconds until the client has ended after its input was closed.
_END_S: Final = 5.0


class DirectClient:
    """Plays sessions with a client program, while the context is open.

    Args:
        command: the program with its arguments.
        log: file for the output of all runs of the program. None discards it.

    Raises:
        InputError: the program does not exist.
    """

    def __init__(self, command: Sequence[str], log: Path | None = None) -> None:
        check_command(command)
        self.command = tuple(command)
        self.log = log
        self._file: IO[bytes] | int = asyncio.subprocess.DEVNULL

    async def __aenter__(self) -> Self:
        self._file = self.log.open("ab") if self.log is not None else asyncio.subprocess.DEVNULL
        return self

    async def __aexit__(self, *_: object) -> None:
        if not isinstance(self._file, int):
            self._file.close()

    async def play(self, session: SessionConfig, unfinished: Callable[[Recording], None] | None = None) -> Recording:
        """Play one session and return its recording. If it is cancelled, `unfinished` is called with the recording."""
        play = _Play(self.command, session.begun(), self._file)
        try:
            return await play.run()
        except asyncio.CancelledError:
            play.recorder.stopped = True
            if unfinished is not None:
                unfinished(play.recorder.close())
            raise


class _Keyboard(Actor):
    """Passes the user's texts to the client."""

    def __init__(self, write: Callable[[str | None], None], lose: Callable[[], None]) -> None:
        self.write = write
        self.lose = lose

    def start(self) -> Effects:
        return ()

    def message(self, sender: str, payload: Payload) -> Effects:
        match payload:
            case {"type": "say", "text": str(text)}:
                self.write(text)
            case {"type": "leave"}:
                self.write(None)
            case {"type": "lose"}:
                self.lose()
        return ()

    def closed(self, sender: str, code: int | None) -> Effects:
        return ()

    def timer(self, name: str) -> Effects:
        return ()

    def renew(self) -> Actor:
        return self


class _Play:
    """One session with the process of the client, its connections to the mock, and the user."""

    def __init__(self, command: Sequence[str], session: SessionConfig, log: IO[bytes] | int) -> None:
        self.command = command
        self.session = session
        self.log = log
        self.scrub = scrubber(None, None)
        found = {
            **({"release": session.release.tag} if session.client else {}),
            "scenario": session.scenario.name,
            **served_provenance(session, upstream="mock"),
        }
        found |= {"topology": DIRECT, "engine": "live"}
        self.recorder = Recorder(found, DIRECT_LINKS, self.scrub)
        self.user = session.user() if session.client else User(session.scenario.inputs, 0)
        actors: dict[str, Actor] = {"user": self.user, "app": _Keyboard(self._write, self._lose)}
        self.host = ActorHost(actors, session.times, session.seed, self.recorder, cursor=session.cursor)
        self.endpoints: list[UpstreamEndpoint] = []
        self._mock: Actor | None = None
        self._input: asyncio.StreamWriter | None = None
        self._left = False

    async def run(self) -> Recording:
        server = SessionServer(otherwise=self._handler)
        async with server:
            process = await asyncio.create_subprocess_exec(
                *self.command,
                env={**os.environ, **self._variables(server.address + PATH)},
                stdin=asyncio.subprocess.PIPE,
                stdout=self.log,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
            self._input = process.stdin
            try:
                await self._until_over(process)
            finally:
                await self._end(process)
        for endpoint in self.endpoints:
            if endpoint.actor_host is not None and endpoint.actor_host.broken is not None:
                raise endpoint.actor_host.broken
        if self.host.broken is not None:
            raise self.host.broken
        return self.recorder.close()

    def _variables(self, url: str) -> Mapping[str, str]:
        session = self.session
        planned = {name: each for (_, name), each in session.schedule.timers.items()} if session.schedule else {}
        # The mock numbers the calls of a session from 1. A client without a schedule uses the last time for all later calls.
        scheduled = [planned[name][0] for number in range(1, MAX_CALLS) if (name := f"tool:call_{number:04}:0") in planned]
        drawn = [session.times.ns("tool_ms", index, session.seed) for index in range(session.calls)]
        tools = [(after or 0) / 1e6 for after in scheduled or drawn]
        return {
            "VOICERACE_URL": url,
            "VOICERACE_TOOL_MS": ",".join(f"{each:g}" for each in tools),
            "OPENAI_API_KEY": PLACEHOLDER_KEY,
            # Frameworks send telemetry by default.
            "OPENAI_AGENTS_DISABLE_TRACING": "1",
        }

    # -- the mock ----------------------------------------------------------------------------------------------------

    def _handler(self, request: Request) -> ConnectionHandler:
        self.recorder.provenance["client"] = client_of(request, self.scrub)
        self._mock = self._mock.renew() if self._mock is not None else self.session.actors()["upstream"]
        endpoint = _Upstream(self.session, self.recorder, watch=self._passed, actor=self._mock)
        endpoint.opened = self._begin if not self.endpoints else None
        if self.endpoints:
            self.recorder.opened(PROXY_TO_UPSTREAM)
        self.endpoints.append(endpoint)
        return endpoint

    def _begin(self) -> None:
        """Let the user begin when the client is connected."""
        self.host.start()
        if self.user.state.said == 0:
            self._act(self.user.observe("component", "app", {"type": "onSettingsApplied"}, 0))

    def _passed(self, link: Link, payload: Payload, seq: int) -> None:
        self._act(self.user.observe(link.sender, link.receiver, payload, seq))

    def _act(self, effects: Effects) -> None:
        if effects:
            self.host.act("user", effects)

    # -- the client --------------------------------------------------------------------------------------------------

    def _write(self, text: str | None) -> None:
        if self._input is None or self._input.is_closing():
            return
        if text is None:
            self._left = True
            self._input.close()
        else:
            self._input.write(f"{text}\n".encode())

    def _lose(self) -> None:
        """Close the client's connection, as a server that goes away does."""
        if self.endpoints and (framed := self.endpoints[-1].framed) is not None:
            framed.close(_GOING_AWAY)
        self._act(self.user.observe("component", "app", {"type": "onConnectionStateChange", "state": "closed"}, 0))

    async def _until_over(self, process: asyncio.subprocess.Process) -> None:
        """Wait until the client has ended. Record a fault if it ends too early, does not connect, or is silent too long."""
        ended = asyncio.ensure_future(process.wait())
        allowed = self.session.longest_ns() / 1e9 + _SILENCE_MARGIN_S
        try:
            while not ended.done():
                limit = _END_S if self._left else allowed if self.endpoints else _START_S
                now_ns = int(asyncio.get_running_loop().time() * 1e9)
                left = limit - (now_ns - self.recorder.last_ns) / 1e9
                if left <= 0:
                    why = "did not end" if self._left else "no message passed" if self.endpoints else "did not connect"
                    self._fault(f"the client: {why} for {limit:g} s")
                    return
                await asyncio.wait({ended}, timeout=min(left, 0.2) if not self._left else left)
        finally:
            ended.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ended
        if not self._left:
            self._fault(f"the client ended with status {process.returncode} before the session was over")

    def _fault(self, why: str) -> None:
        if not self.recorder.faults:
            self.recorder.fault(PROXY_TO_UPSTREAM, why)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """End the process group of the client, the user, and the connections."""
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        self.host.end()
        over = [endpoint.over for endpoint in self.endpoints if not endpoint.over.done()]
        if over:
            await asyncio.wait(over, timeout=1.0)
        for endpoint in self.endpoints:
            if not endpoint.over.done():
                endpoint.hang_up()


class _Upstream(UpstreamEndpoint):
    """The mock for one connection of a client. `opened` is called when the connection is open."""

    opened: Callable[[], None] | None = None

    async def handle(self, connection: Any) -> None:
        if self.opened is not None:
            asyncio.get_running_loop().call_soon(self.opened)
        await super().handle(connection)
