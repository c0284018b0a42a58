"""Test that a tap relays and records every connection to its listening address, and ignores other requests."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from voicerace.engine.live.recorder import Recorder
from voicerace.engine.live.tap import Tap, TapSpec
from voicerace.errors import InputError
from voicerace.scrubber import Scrubber
from voicerace.trace.recording import Link, Recording, read_recordings

HOST = (Link("component", "proxy"), Link("proxy", "component"))


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("9000=ws://h:1", ("127.0.0.1", 9000, "ws://h:1")),
        ("0=wss://api.example.com", ("127.0.0.1", 0, "wss://api.example.com")),
        ("localhost:9000=ws://h:1/", ("localhost", 9000, "ws://h:1")),
        ("ws://0.0.0.0:9000=ws://h:9000", ("0.0.0.0", 9000, "ws://h:9000")),
        ("ws://[::1]:9000/=ws://[::1]:1", ("::1", 9000, "ws://[::1]:1")),
    ],
)
def test_a_listening_address_has_three_forms(word: str, found: tuple[str, int, str]) -> None:
    spec = TapSpec.of("host", word)
    assert (spec.host, spec.port, spec.target) == found
    with pytest.raises(InputError, match=r"^upstream: "):
        TapSpec.of("upstream", word.partition("=")[0])


def tap(target: str, folder: Path, host: str = "127.0.0.1") -> Tap:
    return Tap(TapSpec("host", host, 0, target), folder, {"engine": "relay"}, iter(range(1, 100)).__next__, 0, Scrubber(()))


def test_a_connection_open_at_the_end_is_cut_and_marked_incomplete(tmp_path: Path) -> None:
    async def main() -> None:
        codes = []

        async def stay(connection: ServerConnection) -> None:
            await connection.send("hello")
            await connection.wait_closed()
            codes.append(connection.close_code)

        server = await serve(stay, "127.0.0.1", 0)
        async with server, tap(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", tmp_path) as there:
            client = await connect(there.url, proxy=None)
            assert await client.recv() == "hello"
            await there.cut()
            assert there.open == []
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert client.close_code == 1001
        assert codes == [1001]

    asyncio.run(main())
    (recording,) = recordings_in(tmp_path)
    assert not recording.complete
    assert [event.kind for event in recording.events] == ["message"]


def recordings_in(folder: Path) -> list[Recording]:
    return [read_recordings(path)[0] for path in sorted(folder.glob("*.jsonl"))]


def test_a_probe_makes_no_session_and_does_not_reach_the_target(tmp_path: Path) -> None:
    async def main() -> None:
        async with tap("ws://127.0.0.1:1", tmp_path) as there:
            for request in (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b""):
                reader, writer = await asyncio.open_connection("127.0.0.1", there.server.port)
                writer.write(request)
                if request:
                    assert b"426" in await reader.readline()
                writer.close()
                await writer.wait_closed()

    asyncio.run(main())
    assert list(tmp_path.iterdir()) == []


def test_a_relay_on_all_interfaces_is_reached_locally(tmp_path: Path) -> None:
    async def main() -> None:
        async with tap("ws://127.0.0.1:1", tmp_path, "0.0.0.0") as there:
            assert there.url == f"ws://127.0.0.1:{there.server.port}"

    asyncio.run(main())


# -- streaming to disk -----------------------------------------------------------------------------------------------


def test_an_event_is_written_once_it_is_final(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    recorder = Recorder({}, HOST, sink=file)
    slow = recorder.seen(HOST[0], "message", '{"type":"slow"}', "relay")
    quick = recorder.seen(HOST[1], "message", '{"type":"quick"}', "relay")
    recorder.arrived(quick)
    recorder.flush()
    assert [event.type for event in read_recordings(file)[0].events] == ["quick"]
    never = recorder.seen(HOST[1], "message", '{"type":"never"}', "relay")
    recorder.lost(never)
    recorder.arrived(slow)
    recorder.flush()
    killed = read_recordings(file)[0]
    assert sorted(event.type for event in killed.events) == ["never", "quick", "slow"]
    assert all((event.received_ns is None) == (event.type == "never") for event in killed.events)
    assert not killed.complete
    # `close` sorts the events.
    recording = recorder.close()
    assert [event.type for event in recording.events] == ["slow", "quick", "never"]
    assert read_recordings(file) == [recording]


def test_a_full_disk_does_not_end_the_session() -> None:
    recorder = Recorder({}, HOST, sink=Path("/dev/full"))
    recorder.arrived(recorder.seen(HOST[0], "message", "x", "relay"))
    recorder.flush()
    assert recorder.faults == ["the recording cannot be written: No space left on device"]
    assert len(recorder.close().events) == 1
