"""Test the limits of the servers: a client that exceeds a limit is disconnected with a reason, and others are served."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.relayed import echo, target, url_of
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.rogue import CLEAN, session
from voicerace.cli import main
from voicerace.engine.live.connecting import QUIET
from voicerace.engine.live.connection import MAX_FRAME
from voicerace.engine.live.limits import Limits
from voicerace.engine.live.recorder import Recorder
from voicerace.engine.live.relay import Relay
from voicerace.engine.live.server import SessionServer
from voicerace.engine.live.serving import Server, upstream_handlers
from voicerace.model.protocol import realtime
from voicerace.trace.recording import Link, Recording, read_recordings

UP, DOWN = Link("component", "proxy"), Link("proxy", "component")


@contextlib.asynccontextmanager
async def serving(folder: Path, **limits: Any) -> AsyncIterator[tuple[str, list[Recording]]]:
    """Serve the mock upstream with limits; yield its address and the list of ended sessions."""
    ended: list[Recording] = []
    async with SessionServer(limits=Limits(**limits)) as listener:
        server = Server(listener, upstream_handlers(session()), folder, lambda _, recording: ended.append(recording))
        running = asyncio.ensure_future(server.run())
        yield listener.address, ended
        server.stop.set()
        await running


def dial(url: str) -> connect:
    return connect(url, proxy=None, compression=None, logger=QUIET, max_size=None)


async def works(url: str) -> None:
    """Assert that a new client receives session.created and the confirmation of its session.update."""
    async with dial(url) as client:
        await client.recv()
        await client.send(json.dumps(realtime.update_session({"type": "realtime"})))
        assert json.loads(await client.recv())["type"] == "session.updated"


async def ended_with(client: ClientConnection) -> tuple[int | None, str]:
    """Return the (code, reason) with which the server closes a connection."""
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await client.recv()
    return client.close_code, client.close_reason or ""


async def gone(ended: list[Recording], count: int) -> None:
    async with asyncio.timeout(10):
        while len(ended) < count:
            await asyncio.sleep(0.01)


def faults(recording: Recording) -> list[str]:
    return [str(each.payload["reason"]) for each in recording.events if each.kind == "fault" and isinstance(each.payload, dict)]


def test_concurrent_sessions_are_limited(tmp_path: Path) -> None:
    async def crowded() -> None:
        async with serving(tmp_path, at_once=2) as (url, _):
            async with dial(url) as one, dial(url):
                with pytest.raises(InvalidStatus, match="503"):
                    await dial(url)
                await one.close()
                await asyncio.sleep(0.05)
                await works(url)  # a closed session no longer counts
            # Only two of ten simultaneous connections are accepted.
            came = await asyncio.gather(*(dial(url).__aenter__() for _ in range(10)), return_exceptions=True)
            inside = [each for each in came if isinstance(each, ClientConnection)]
            assert len(inside) == 2
            await asyncio.gather(*(each.close() for each in inside))

    CLEAN(crowded())


def test_a_session_ends_after_its_lifetime(tmp_path: Path) -> None:
    async def long() -> list[Recording]:
        async with serving(tmp_path, lifetime_s=0.2) as (url, ended):
            async with dial(url) as client:
                assert await ended_with(client) == (1008, "open for more than 0.2 s")
            await gone(ended, 1)
            await works(url)
            return ended

    assert faults(CLEAN(long())[0]) == ["the connection of proxy was ended here: open for more than 0.2 s"]


def test_a_session_that_sends_too_much_is_ended_and_its_events_kept(tmp_path: Path) -> None:
    async def flood() -> list[Recording]:
        async with serving(tmp_path, session_mib=0.1) as (url, ended):
            async with dial(url) as client:
                with contextlib.suppress(ConnectionClosed):
                    for _ in range(200):
                        await client.send(json.dumps({"type": "x", "padding": "y" * 1_000}))
                assert (await ended_with(client))[0] in (1008, 1006)
            await gone(ended, 1)
            await works(url)
            return ended

    first = CLEAN(flood())[0]
    assert faults(first) == ["the connection of proxy was ended here: more than 0.1 MiB in one session"]
    assert 0 < sum(event.link.sender == "proxy" for event in first.events) < 110


def test_a_frame_above_the_limit_is_refused(tmp_path: Path) -> None:
    async def big() -> list[Recording]:
        async with serving(tmp_path) as (url, ended):
            async with dial(url) as client:
                # The header alone causes the refusal.
                client.transport.write(b"\x81\xff" + (MAX_FRAME + 1).to_bytes(8, "big") + b"mask")
                assert (await ended_with(client))[0] == 1009
            await gone(ended, 1)
            await works(url)
            return ended

    assert faults(CLEAN(big())[0]) == ["proxy sent a frame of more than 16 MiB"]


def test_invalid_handshakes_do_not_block_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The server adds its own 5 s, so the timeout is 0.3 s.
    monkeypatch.setattr("voicerace.engine.live.server.OPEN_TIMEOUT_S", -4.7)

    async def invalid() -> None:
        async with serving(tmp_path) as (url, ended):
            host, port = url.removeprefix("ws://").split(":")
            handshakes = [
                b"", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n", b"\x00" * 70_000, b"GET /" + b"a" * 100_000,
                b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 5_000, b"POST / HTTP/1.1\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
            ]  # fmt: skip
            for each in handshakes:
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(each)
                async with asyncio.timeout(5):  # the server closes it
                    with contextlib.suppress(ConnectionError):
                        await reader.read()
                writer.close()
            await works(url)
            await gone(ended, 1)

    CLEAN(invalid())


def flood(client: ClientConnection, opcode: int, seconds: float) -> threading.Thread:
    """Start and return a thread that sends empty masked frames as fast as possible for `seconds`, and reads nothing."""
    client.transport.pause_reading()
    plain = socket.socket(fileno=os.dup(client.transport.get_extra_info("socket").fileno()))

    def send() -> None:
        block, until = bytes([0x80 | opcode, 0x80, 0, 0, 0, 0]) * 10_000, time.monotonic() + seconds
        with plain, contextlib.suppress(OSError):
            plain.settimeout(0.2)
            while time.monotonic() < until:
                with contextlib.suppress(TimeoutError):
                    plain.send(block)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


async def longest_turn(url: str, opcode: int, seconds: float) -> float:
    """Return the longest time in seconds that `works` takes for another client while one client floods the server."""
    client = await dial(url)
    thread = flood(client, opcode, seconds)
    took = []
    while thread.is_alive() or len(took) < 3:
        began = time.monotonic()
        await works(url)
        took.append(time.monotonic() - began)
    thread.join()
    client.transport.abort()
    await client.wait_closed()
    return max(took)


@contextlib.contextmanager
def server_apart(folder: Path) -> Iterator[str]:
    """Run a server in a separate process, so that it does not share the client's processor time; yield its address."""
    arguments = ["serve", "upstream", "--listen", "0", "--out", str(folder / "run")]
    command = [sys.executable, "-m", "voicerace", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[2].rstrip(",")
        finally:
            process.kill()


@pytest.mark.parametrize("opcode", [0x9, 0x1], ids=["pings", "empty messages"])
def test_a_flooding_client_does_not_starve_other_clients(opcode: int, tmp_path: Path) -> None:
    """Without a limit, another client needs 4 to 25 s for `works`."""
    with server_apart(tmp_path) as url:
        assert asyncio.run(longest_turn(url, opcode, 4.0)) < 2.0
        if opcode == 0x9:
            asyncio.run(asyncio.sleep(2.5))
    if opcode == 0x9:
        recording = read_recordings(tmp_path / "run" / "recordings" / "000001.jsonl")[0]
        assert faults(recording) == ["the connection of proxy was ended here: more than 1,000 pings in a second"]


def test_ordinary_pings_are_answered_and_messages_keep_their_order() -> None:
    async def exchange() -> None:
        relays: list[Relay] = []

        def visitor(_: Any) -> Relay:
            relays.append(Relay("component", "proxy", url_of(server), Recorder({}, (UP, DOWN))))
            return relays[-1]

        async with target(echo) as server, SessionServer(otherwise=visitor) as listener, dial(listener.address) as client:
            for _ in range(200):
                await (await client.ping())
            texts = [str(number) * (1 + 40_000 * (number % 100 == 0)) for number in range(3_000)]
            sending = asyncio.ensure_future(_all(client, texts))
            assert [await client.recv() for _ in texts] == texts
            await sending

    asyncio.run(exchange())


async def _all(client: ClientConnection, texts: list[str]) -> None:
    for each in texts:
        await client.send(each)


@pytest.mark.parametrize("ends", ["its time is over", "the server stops", "the capture is cut"])
def test_a_connection_ends_in_time_if_its_client_does_not_read(ends: str) -> None:
    """The close frame is queued after unread output. The connection is dropped after the close timeout."""

    async def connection() -> None:
        relays: list[Relay] = []

        def visitor(_: Any) -> Relay:
            relays.append(Relay("component", "proxy", url_of(server), Recorder({}, (UP, DOWN))))
            return relays[-1]

        limits = Limits(lifetime_s=0.5 if ends == "its time is over" else 60.0)
        async with target(echo) as server:
            listener = SessionServer(otherwise=visitor, limits=limits)
            await listener.__aenter__()
            client = await dial(listener.address)
            client.transport.pause_reading()
            await client.send("x" * (MAX_FRAME - 1))
            await asyncio.sleep(0.6)
            async with asyncio.timeout(8):
                if ends == "the capture is cut":
                    await relays[0].leave()
                elif ends == "the server stops":
                    await listener.__aexit__(None, None, None)
                await relays[0].over
            client.transport.abort()
            await client.wait_closed()
            await listener.__aexit__(None, None, None)

    asyncio.run(connection())


def test_the_relay_has_the_same_limits() -> None:
    async def relayed() -> list[Recording]:
        relays: list[Relay] = []

        def visitor(_: Any) -> Relay:
            relays.append(Relay("component", "proxy", url_of(server), Recorder({}, (UP, DOWN))))
            return relays[-1]

        async with target(echo) as server, SessionServer(otherwise=visitor, limits=Limits(1, 0.3)) as listener:
            async with dial(listener.address) as client:
                await client.send("one")
                assert await client.recv() == "one"
                with pytest.raises(InvalidStatus, match="503"):
                    await dial(listener.address)
                assert (await ended_with(client))[0] == 1008
            await asyncio.wait_for(relays[0].over, 5)
        return [each.recorder.close() for each in relays]

    (recording,) = asyncio.run(relayed())
    assert [event.payload for event in recording.events if event.kind == "message"] == ["one", "one"]
    assert "the connection of component was ended here: open for more than 0.3 s" in faults(recording)


def listening(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the addresses that a command binds."""
    bound: set[str] = set()
    real = socket.socket.bind

    def bind(self: socket.socket, address: Any) -> None:
        if self.type == socket.SOCK_STREAM and not isinstance(address, str):
            bound.add(address[0])
        real(self, address)

    monkeypatch.setattr(socket.socket, "bind", bind)
    main(arguments)
    return bound


def test_a_relay_binds_to_loopback_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["capture", "--host", "0=ws://127.0.0.1:9", "--upstream", "0=ws://127.0.0.1:9", "--out", str(tmp_path / "run")]
    assert listening([*arguments, "--", "true"], monkeypatch) == {"127.0.0.1"}


@pytest.mark.parametrize("verb", ["upstream", "proxy"])
def test_a_server_documents_that_it_listens_on_loopback(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", verb, "--help"]) == 0
    assert re.search(r"127\.0\.0\.1:818\d", capsys.readouterr().out)
    assert SessionServer().host == "127.0.0.1"
