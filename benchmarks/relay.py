"""Measure the time per message of a relay that records, relative to a relay that only forwards, in the same run.

The benchmark compares voicerace's relay, which records in memory (as in a live session) or in a file (as in `capture`), with a
bare relay that has the same settings. Each relay runs in its own process, alternately and under the same load. "cpu" is the
relay's CPU time per message in a burst. "wall" is the burst's time per message. "trip" is the time of a single message and its
echo through an otherwise idle relay.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import itertools
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request

from voicerace.engine.live.clock import Collecting, new_loop
from voicerace.engine.live.connection import MAX_FRAME
from voicerace.engine.live.recorder import Recorder
from voicerace.engine.live.relay import Relay
from voicerace.engine.live.server import SessionServer

AT_ONCE = (1, 50, 200)
ROUNDS = 7
GOAL = 1.3
PER_MESSAGE = ("cpu", "wall", "trip p50", "trip p99")


def at(quantile: float, values: Sequence[float]) -> float:
    """Return the value that a share `quantile` of the values does not exceed."""
    return sorted(values)[max(0, math.ceil(quantile * len(values)) - 1)]


# -- the relays ------------------------------------------------------------------------------------------------------


async def ours(port: int, folder: Path | None = None) -> None:
    """Run voicerace's relay with a recording per connection, in memory or in a file, until standard input ends."""
    target = f"ws://127.0.0.1:{port}"
    files = (None if folder is None else folder / f"{number}.jsonl" for number in itertools.count())

    def handler(_: Request) -> Relay:
        return Relay("proxy", "upstream", target, Recorder({}, sink=next(files)))

    async with SessionServer(otherwise=handler) as listener:
        await _tell(listener.port)


async def to_file(port: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        await ours(port, Path(folder))


async def bare(port: int) -> None:
    """Run a relay that has the same settings and only forwards, until standard input ends."""
    settings: dict[str, Any] = {"compression": None, "ping_interval": None, "max_size": MAX_FRAME, "max_queue": None}

    async def pump(source: Connection, sink: Connection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await sink.send(await source.recv())
        sink.transport.abort()

    async def serve_one(near: ServerConnection) -> None:
        async with connect(f"ws://127.0.0.1:{port}", proxy=None, **settings) as far:
            await asyncio.gather(pump(near, far), pump(far, near))

    async with serve(serve_one, "127.0.0.1", 0, **settings) as server:
        await _tell(server.sockets[0].getsockname()[1])


async def _tell(port: int) -> None:
    """Print the port. Then print the CPU time of the process in s for every line on standard input."""
    print(port, flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(time.process_time(), flush=True)


#: Name of a relay -> function that runs it. "bare" is the baseline.
RELAYS = {"ours": ours, "to a file": to_file, "bare": bare}


@contextlib.contextmanager
def relay(kind: str, port: int) -> Iterator[tuple[int, Callable[[], float]]]:
    """Run a relay in its own process during the context. Yield (port, function that returns the relay's CPU time in s)."""
    command = [sys.executable, __file__, kind, str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as child:
        assert child.stdin is not None
        assert child.stdout is not None

        def used(child: Any = child) -> float:
            child.stdin.write("\n")
            return float(child.stdout.readline())

        yield int(child.stdout.readline()), used
        child.stdin.close()


# -- the load, which uses little time so that the relay dominates ------------------------------------------------------

PAYLOAD = json.dumps(
    {
        "type": "response.output_text.delta", "event_id": "event_0042", "response_id": "resp_0002", "item_id": "item_0007",
        "output_index": 0, "content_index": 0, "delta": "In Lisbon it is 21 degrees and the sky is clear all day long.",
    }
).encode()  # fmt: skip
_LENGTH = len(PAYLOAD).to_bytes(2, "big")
#: A text frame of a client, with a mask of zeros.
UP = b"\x81" + bytes([128 + 126]) + _LENGTH + bytes(4) + PAYLOAD
#: A text frame of a server.
DOWN = b"\x81" + bytes([126]) + _LENGTH + PAYLOAD


class Echo(asyncio.Protocol):
    """The server that the relays connect to. It answers every frame with a frame of the same payload."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.open = False
        self.kept = b""

    def data_received(self, data: bytes) -> None:
        self.kept += data
        if not self.open:
            head, _, self.kept = self.kept.partition(b"\r\n\r\n")
            key = next(line[18:].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
            accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
            self.transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            self.open = True
            return
        frames = len(self.kept) // len(UP)
        self.kept = self.kept[frames * len(UP) :]
        self.transport.write(DOWN * frames)


class Sender(asyncio.Protocol):
    """A client that sends frames and waits for the same number of answers."""

    def __init__(self) -> None:
        self.opened = asyncio.get_running_loop().create_future()
        self.back: asyncio.Future[None] = self.opened
        self.left = 1

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + base64.b64encode(bytes(16)) + b"\r\n\r\n"
        )

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            self.opened.set_result(data)
            return
        self.left -= len(data)
        if self.left == 0:
            self.back.set_result(None)

    async def there_and_back(self, frames: int) -> None:
        self.left = frames * len(DOWN)
        self.back = asyncio.get_running_loop().create_future()
        self.transport.write(UP * frames)
        await self.back


async def burst(senders: Sequence[Sender], used: Callable[[], float], messages: int) -> dict[str, float]:
    """Send all messages at once, wait for the echoes, and return the ms per message of the relay's CPU and the wall clock."""
    each = max(1, messages // len(senders))
    cpu, wall = used(), time.perf_counter()
    await asyncio.gather(*(sender.there_and_back(each) for sender in senders))
    wall, cpu = time.perf_counter() - wall, used() - cpu
    passed = 2 * each * len(senders)
    return {"cpu": cpu * 1e3 / passed, "wall": wall * 1e3 / passed, "messages": passed}


async def lone(senders: Sequence[Sender], messages: int) -> dict[str, float]:
    """Send one message at a time, each over another connection, and return the ms until the echo."""
    trips = []
    for number in range(messages):
        before = time.perf_counter()
        await senders[number % len(senders)].there_and_back(1)
        trips.append((time.perf_counter() - before) * 1e3)
    return {"trip p50": at(0.5, trips), "trip p99": at(0.99, trips), "trips": messages}


async def relays(at_once: Sequence[int] = AT_ONCE, rounds: int = ROUNDS, messages: int = 2500) -> list[dict[str, Any]]:
    """Return one row per number of connections, with times in ms and ratios as medians over the rounds."""
    loop = asyncio.get_running_loop()
    target = await loop.create_server(Echo, "127.0.0.1", 0)
    port = target.sockets[0].getsockname()[1]
    rows = []
    with contextlib.ExitStack() as stack:
        running = {kind: stack.enter_context(relay(kind, port)) for kind in RELAYS}
        for count in at_once:
            senders: dict[str, list[Sender]] = {kind: [] for kind in running}
            for kind, (relay_port, _) in running.items():
                for _ in range(count):
                    sender = (await loop.create_connection(Sender, "127.0.0.1", relay_port))[1]
                    await sender.opened
                    senders[kind].append(sender)
            found: dict[str, list[dict[str, float]]] = {kind: [] for kind in running}
            for _ in range(rounds):
                for kind, (_, used) in running.items():
                    burst_times = await burst(senders[kind], used, messages)
                    found[kind].append(burst_times | await lone(senders[kind], messages // 10))
            for sender in itertools.chain(*senders.values()):
                sender.transport.abort()
            await asyncio.sleep(0.2)  # the relays handle the closes, because at its end a relay waits for its connections
            rows.append({"connections": count} | _medians(found))
    target.close()
    return rows


def _medians(found: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    row: dict[str, dict[str, float]] = {}
    for kind, rounds in found.items():
        row[kind] = {name: sum(each[name] for each in rounds) for name in ("messages", "trips")}
        row[kind] |= {name: statistics.median(each[name] for each in rounds) for name in PER_MESSAGE}
        pairs = [*zip(rounds, found["bare"], strict=True)]
        row[f"{kind} / bare"] = {name: statistics.median(own[name] / its[name] for own, its in pairs) for name in PER_MESSAGE}
    return row


# -- the table ---------------------------------------------------------------------------------------------------------


def table(rows: Sequence[dict[str, Any]]) -> str:
    heads = "".join(f"{name + ' µs':>13}" for name in PER_MESSAGE)
    lines = [f"{'connections':>11}  {'':<17}{'messages':>9}{'trips':>7}{heads}"]
    for row in rows:
        for kind in RELAYS:
            cell = row[kind]
            times = "".join(f"{cell[name] * 1e3:>13.1f}" for name in PER_MESSAGE)
            count = row["connections"] if kind == "ours" else ""
            lines.append(f"{count:>11}  {kind:<17}{cell['messages']:>9}{cell['trips']:>7}{times}")
        for kind in ("ours / bare", "to a file / bare"):
            lines.append(f"{'':>11}  {kind:<33}" + "".join(f"{row[kind][name]:>13.2f}" for name in PER_MESSAGE))
    return "\n".join(lines)


def main(words: Sequence[str]) -> None:
    match words:
        case [kind, port]:
            # The bare relay has the same garbage collection and event loop as a long-running voicerace process.
            with Collecting(), asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(RELAYS[kind](int(port)))
        case _:
            print(f"time per message through a relay; medians of {ROUNDS} rounds; goal {GOAL:g} x the bare relay's")
            print(table(asyncio.run(relays())))


if __name__ == "__main__":
    main(sys.argv[1:])
