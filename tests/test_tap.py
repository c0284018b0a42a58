"""Is every connection to a listening place relayed and written down as it passes, and nothing else taken for one?"""

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
def test_where_a_relay_listens_can_be_said_in_three_ways(word: str, found: tuple[str, int, str]) -> None:
    spec = TapSpec.of("host", word)
    assert (spec.host, spec.port, spec.target) == found
    with pytest.raises(InputError, match=r"^upstream: "):
        TapSpec.of("upstream", word.partition("=")[0])


def tap(target: str, folder: Path, host: str = "127.0.0.1") -> Tap:
    return Tap(TapSpec("host", host, 0, target), folder, {"engine": "relay"}, iter(range(1, 100)).__next__, 0, Scrubber(()))


def test_what_is_open_when_the_command_has_ended_is_cut_and_says_so(tmp_path: Path) -> None:
    async def story() -> None:
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

    asyncio.run(story())
    (recording,) = recordings_in(tmp_path)
    assert not recording.complete
    assert [event.kind for event in recording.events] == ["message"]


def recordings_in(folder: Path) -> list[Recording]:
    return [read_recordings(path)[0] for path in sorted(folder.glob("*.jsonl"))]


def test_a_probe_is_no_session_and_the_target_never_hears_of_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with tap("ws://127.0.0.1:1", tmp_path) as there:
            for request in (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b""):
                reader, writer = await asyncio.open_connection("127.0.0.1", there.server.port)
                writer.write(request)
                if request:
                    assert b"426" in await reader.readline()
                writer.close()
                await writer.wait_closed()

    asyncio.run(story())
    assert list(tmp_path.iterdir()) == []


def test_a_relay_that_listens_everywhere_is_reached_here(tmp_path: Path) -> None:
    async def story() -> None:
        async with tap("ws://127.0.0.1:1", tmp_path, "0.0.0.0") as there:
            assert there.url == f"ws://127.0.0.1:{there.server.port}"

    asyncio.run(story())


# -- what is written as it goes --------------------------------------------------------------------------------------


def test_an_event_is_on_the_disk_when_nothing_more_is_to_be_learned_of_it(tmp_path: Path) -> None:
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
    # In the end its events stand in order.
    recording = recorder.close()
    assert [event.type for event in recording.events] == ["slow", "quick", "never"]
    assert read_recordings(file) == [recording]


def test_a_full_disk_does_not_end_the_session() -> None:
    recorder = Recorder({}, HOST, sink=Path("/dev/full"))
    recorder.arrived(recorder.seen(HOST[0], "message", "x", "relay"))
    recorder.flush()
    assert recorder.faults == ["the recording cannot be written: No space left on device"]
    assert len(recorder.close().events) == 1
