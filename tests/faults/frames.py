"""Send raw bytes and damaged frames to running servers: `voicerace serve upstream`, alone or with a `serve proxy`.

The servers are processes of the command line. An input is one connection to a server. Between the inputs and at the end, a
regular session is played to the servers. The session must have its usual outcome and a complete recording.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from tests.faults.actors import damaged, sessions
from tests.faults.mutate import deep, mutated_bytes, nested
from tests.support.played import session as played
from voicerace.analysis.verdict import judge
from voicerace.engine.live.connection import MAX_FRAME
from voicerace.engine.live.play import Live
from voicerace.engine.live.targets import ProxyTarget, UpstreamTarget
from voicerace.model.protocol.frames import frame_of
from voicerace.trace.recording import Recording

__all__ = ["SERVERS", "Servers", "frame"]

#: Number of inputs between two checks of the servers.
LOOK_EVERY: Final = 250
#: Maximum time until a server ends a connection whose client has disconnected.
PATIENCE_S: Final = 20.0
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x1, 0x2, 0x8, 0x9, 0xA
_HANDSHAKE: Final = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
)


def frame(
    data: bytes, opcode: int = _TEXT, *, end: bool = True, reserved: int = 0, mask: bool = True, length: int | None = None,
    wide: int = 0,
) -> bytes:  # fmt: skip
    """Return a valid or invalid frame of RFC 6455, section 5.2.

    Args:
        end: the FIN bit.
        reserved: the bits RSV1 to RSV3.
        length: length in the header; by default the length of the data.
        wide: size of the extended length in bytes, if larger than necessary (2 or 8).
    """
    said = len(data) if length is None else length
    first = bytes([(end << 7) | (reserved << 4) | opcode])
    bit = mask << 7
    if said < 126 and not wide:
        head = bytes([bit | said])
    elif said < 2**16 and wide != 8:
        head = bytes([bit | 126]) + struct.pack(">H", said)
    else:
        head = bytes([bit | 127]) + struct.pack(">Q", said)
    if not mask:
        return first + head + data
    return first + head + b"\0\0\0\0" + data  # a mask of zeros leaves the bytes unchanged


def _whole(payload: object) -> bytes:
    said = frame_of(payload)  # type: ignore[arg-type]
    return frame(said, _BINARY) if isinstance(said, bytes) else frame(said.encode("utf-8", "surrogatepass"))


#: Functions that return the bytes of frames, most of them invalid or invalid at this point of the stream.
_FRAMES: Final[tuple[Callable[[random.Random], bytes], ...]] = (
    lambda rng: frame(b"x", rng.choice((3, 4, 5, 6, 7, 11, 12, 13, 14, 15))),
    lambda rng: frame(b"{}", reserved=rng.randint(1, 7)),
    lambda rng: frame(b"{}", mask=False),
    lambda rng: frame(b"{}", length=rng.choice((3, 126, 65_536, MAX_FRAME, MAX_FRAME + 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1))),
    lambda rng: frame(b"{}", wide=rng.choice((2, 8))),
    # Fragments of a message without an end, and fragments without a start.
    lambda rng: frame(b'{"type":', end=False) + frame(b"1", 0, end=False) * rng.choice((0, 1, 50, 2_000)),
    lambda rng: frame(b"1" * 60_000, end=False) + frame(b"1" * 60_000, 0, end=False) * rng.choice((1, 20)),
    lambda rng: frame(b"", end=False) + frame(b"", 0, end=False) * rng.choice((1, 5_000)),
    lambda rng: frame(b"1", 0, end=rng.random() < 0.5),
    lambda rng: frame(b"{", end=False) + frame(b"{}"),
    # A valid fragmented message with a ping between the fragments.
    lambda rng: frame(b'{"type":', end=False) + frame(b"", _PING) + frame(b'"x"}', 0),
    # Control frames.
    lambda rng: frame(b"x" * rng.choice((0, 125, 126, 70_000)), rng.choice((_PING, _PONG, _CLOSE))),
    lambda rng: frame(b"x", _PING, end=False),
    lambda rng: frame(b"ping", _PING) * rng.choice((1, 3_000)),
    lambda rng: frame(b"nobody asked", _PONG) * rng.choice((1, 500)),
    lambda rng: frame(rng.choice((b"", b"\x03", b"\x03\xe8\xff\xfe", struct.pack(">H", rng.randrange(2**16)))), _CLOSE),
    lambda rng: frame(struct.pack(">H", 1000) + b"bye", _CLOSE) + frame(b"{}"),
    # Messages that are invalid UTF-8, too deep, too long, or not objects.
    lambda rng: frame(rng.choice((b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"ok\x80"))),
    lambda rng: frame(b"\xe2", end=False) + frame(b"\x82\xac", 0),
    lambda rng: frame(deep(rng).encode()),
    lambda rng: frame(json.dumps({"type": "Settings", "agent": nested(rng.choice((90, 400, 800)))}).encode()),
    lambda rng: frame(rng.choice((b"", b"[]", b"null", b"7", b"NaN", b'"x"', b'{"type":NaN}'))),
    lambda rng: frame(b'{"type":"' + b"x" * 99_999 + b'"}'),
    lambda rng: frame(rng.randbytes(rng.choice((0, 1, 7, 4_800, 70_000))), _BINARY),
    lambda rng: rng.randbytes(rng.choice((1, 2, 14, 300, 9_000))),
)  # fmt: skip


def _greeting(rng: random.Random) -> bytes:
    """Return a valid or invalid opening handshake."""
    whole = _HANDSHAKE.format(path=rng.choice(("/", "/v1/realtime?model=gpt-realtime", "/openai")), more="").encode()
    turn = rng.randrange(100)
    if turn < 80:
        return whole
    if turn < 84:
        return whole[: rng.randrange(len(whole))]
    if turn < 92:
        return mutated_bytes(whole, rng)
    more = rng.choice((
        "X: y\r\n" * 5_000, "X: " + "y" * 90_000 + "\r\n", "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        "Sec-WebSocket-Protocol: realtime, \x01\r\n", "Content-Length: 99999999999\r\n", "Transfer-Encoding: chunked\r\n",
        "Sec-WebSocket-Version: 7\r\n", "Sec-WebSocket-Key: !\r\n", "Authorization: \x00\r\n",
    ))  # fmt: skip
    return _HANDSHAKE.format(path=rng.choice(("/", "*", "/" + "a" * 9_000, "/%00%ff", "http://x/y")), more=more).encode()


def _said(rng: random.Random, receiver: str) -> bytes:
    """Return the bytes after the handshake: a part of a recorded session with damaged messages and with `_FRAMES`."""
    real = [payload for _, to, payload in rng.choice(sessions()) if to == receiver][: rng.choice((0, 1, 3, 12))]
    frames = [_whole(each) for payload in real for each in damaged(payload, rng)]
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        frames.insert(rng.randrange(len(frames) + 1), rng.choice(_FRAMES)(rng))
    stream = b"".join(frames)
    return mutated_bytes(stream, rng) if rng.random() < 0.1 else stream


class _Serve:
    """A `voicerace serve` process.

    Args:
        words: arguments of `voicerace serve`.
        folder: folder for the recordings.
    """

    def __init__(self, words: list[str], folder: Path) -> None:
        self.folder = folder
        self.errors = folder.with_suffix(".stderr")
        self.lines = folder.with_suffix(".stdout")
        command = [sys.executable, "-m", "voicerace", "serve", *words, "--listen", "127.0.0.1:0", "--out", str(folder)]
        with self.errors.open("wb") as errors, self.lines.open("wb") as lines:
            self.process = subprocess.Popen(command, stdout=lines, stderr=errors)
        deadline = time.monotonic() + 180  # the start can take long on a busy machine
        while "listening on" not in (said := self.lines.read_text()):
            assert self.process.poll() is None, self.errors.read_text()
            assert time.monotonic() < deadline, "does not begin to listen"
            time.sleep(0.05)
        self.url = said.split()[2]
        host, _, port = self.url.removeprefix("ws://").partition("/")[0].partition(":")
        self.address = (host, int(port))

    @property
    def recordings(self) -> list[Path]:
        return sorted((self.folder / "recordings").glob("*.jsonl"))

    @property
    def ended(self) -> int:
        """Number of sessions for which the server has printed a verdict."""
        return self.lines.read_bytes().count(b"\n") - 1

    def memory_mib(self) -> float:
        """Return the process's peak memory in MiB, or 0 if the system does not report it."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
        return 0.0

    def stop(self) -> str:
        """End the process as Ctrl-C does. Return a description of an abnormal end, or an empty text."""
        self.process.send_signal(signal.SIGINT)
        try:
            status = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return "does not end"
        errors = self.errors.read_text(errors="replace")
        return f"status {status}, {errors[-300:]!r}" if status or errors else ""


def _talk(address: tuple[str, int], greeting: bytes, said: bytes, rng: random.Random) -> str:
    """Open a connection, send the bytes, disconnect, and return a description of the server's answer.

    Raises:
        AssertionError: the server did not end the connection after the client disconnected.
    """
    leaving = rng.choice(("goes", "goes", "closes", "is lost"))
    answered = bytearray()
    with socket.create_connection(address, PATIENCE_S) as client, contextlib.suppress(OSError):
        client.sendall(greeting)
        if rng.random() < 0.8:
            answered += _until_quiet(client)  # the remaining bytes are then sent on an open connection
        # Sometimes the bytes are split at a random position, as a network can split them.
        cut = rng.randrange(len(said) + 1) if rng.random() < 0.3 else len(said)
        client.sendall(said[:cut])
        client.sendall(said[cut:])
        if rng.random() < 0.5:
            answered += _until_quiet(client)
        if leaving == "closes":
            client.sendall(frame(struct.pack(">H", 1000), _CLOSE))
        elif leaving == "is lost":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return "lost by the client"
        client.shutdown(socket.SHUT_WR)
        try:
            while piece := client.recv(65_536):
                answered += piece
        except TimeoutError:  # a subclass of OSError, which is suppressed
            raise AssertionError(f"the server holds on to a client that has gone, {PATIENCE_S:g} s long") from None
        return _ending(bytes(answered))
    return "lost by the server"


def _until_quiet(client: socket.socket) -> bytes:
    """Return the received bytes. The end is the first interval of 10 ms without bytes."""
    came = bytearray()
    client.settimeout(0.01)
    with contextlib.suppress(TimeoutError):
        while piece := client.recv(65_536):
            came += piece
    client.settimeout(PATIENCE_S)
    return bytes(came)


def _ending(answered: bytes) -> str:
    """Return a short description of a server's response."""
    head, _, rest = answered.partition(b"\r\n\r\n")
    if not head:
        return "no answer"
    if head[0] == 0x80 | _PONG:
        return (
            "a ping answered before the handshake"  # the websockets library answers such a ping, and then ends the connection
        )
    assert head.startswith(b"HTTP/1.1 "), f"no answer of HTTP: {head[:60]!r}"
    status = head.split(b" ", 2)[1].decode("ascii", "replace")
    if status != "101":
        return f"HTTP {status}"
    while len(rest) >= 2:
        opcode, size, at = rest[0] & 0xF, rest[1] & 0x7F, 2
        if size >= 126:
            wide = 2 if size == 126 else 8
            size, at = int.from_bytes(rest[2 : 2 + wide], "big"), 2 + wide
        if opcode == _CLOSE:
            return f"closed {int.from_bytes(rest[at : at + 2], 'big')}" if size else "closed"
        rest = rest[at + size :]
    return "open to the end"


class Servers:
    """The servers under test for one target.

    Args:
        folder: folder for the recordings of the servers.
        proxy: whether the target is `serve proxy` with a `serve upstream`. If False, the target is `serve upstream`.
    """

    def __init__(self, folder: Path, *, proxy: bool) -> None:
        self.receiver = "proxy" if proxy else "upstream"
        self.api = _Serve(["upstream", "--gap-ms", "400", "--reply-ms", "20"], folder / "api")
        self.all = [self.api]
        self.grown_mib = 0.0
        self._inputs = 0
        self._before = 0.0
        if proxy:
            self.all.append(_Serve(["proxy", "--upstream", self.api.url, "--release", "0.9.1"], folder / "proxy"))
        self.target = self.all[-1]

    def __enter__(self) -> Self:
        self.look()  # the first session imports modules, whose memory must not count for an input
        self._before = self._memory_mib()
        return self

    def __exit__(self, *_: object) -> None:
        for each in reversed(self.all):
            if each.process.poll() is None:
                each.process.kill()
                each.process.wait()

    def _memory_mib(self) -> float:
        return sum(each.memory_mib() for each in self.all)

    def input(self, rng: random.Random, folder: Path) -> str:
        """Play one input and return a description of the server's answer. Check the servers after every `LOOK_EVERY` inputs."""
        self._inputs += 1
        found = _talk(self.target.address, _greeting(rng), _said(rng, self.receiver), rng)
        if self._inputs % LOOK_EVERY == 0:
            self.look()
        return found

    def look(self) -> None:
        """Play a regular session and check that it is recorded, every connection has ended, and every recording is readable."""
        asyncio.run(_session(self.target.url, proxy=self.receiver == "proxy"))
        for each in self.all:
            files = each.recordings
            deadline = time.monotonic() + PATIENCE_S
            while each.ended < (begun := int(files[-1].stem)):
                assert each.process.poll() is None, f"the server has gone: {each.errors.read_text()[-500:]}"
                assert time.monotonic() < deadline, f"{begun - each.ended} connections have not ended"
                time.sleep(0.05)
            for file in files:
                judge(Recording.read(file))
                if file != files[-1]:
                    file.unlink()  # one check per recording is enough, and the disk must not fill up
        good = Recording.read(self.target.recordings[-1])
        assert good.complete, f"the good session is not recorded whole: {judge(good).fault}"
        # Every turn at the served upstream has a call, including the last turn.
        refused = sum(event.type == "error" for event in good.events)
        assert refused in (1, 2), f"the good session is refused {refused} times"
        self.grown_mib = max(0.0, self._memory_mib() - self._before)

    def stop(self) -> None:
        """Check the servers after the last input, end them as Ctrl-C does, and check how they end."""
        self.look()
        for each in reversed(self.all):
            wrong = each.stop()
            assert not wrong, f"serve {each.folder.name} ended with {wrong}"
            info = json.loads((each.folder / "run.json").read_text())
            assert info["complete"]
            assert sum(info["sessions"].values()) == each.ended, "not every session is counted"


async def _session(url: str, *, proxy: bool) -> None:
    """Play the regular session. Its result arrives in the gap, so the API refuses the request."""
    session = played(tool_ms=10, gap_ms=400, reply_ms=20, deadline_ms=1_500)
    target = ProxyTarget.of(url if proxy else "model:0.9.1")
    async with Live(target, None if proxy else UpstreamTarget.of(url), silence_s=2.0) as live:
        await live.play(session)


#: Name of a target -> function that returns its servers, with a folder for the recordings.
SERVERS: Final[dict[str, Callable[[Path], Servers]]] = {
    "serve-upstream": lambda folder: Servers(folder, proxy=False),
    "serve-proxy": lambda folder: Servers(folder, proxy=True),
}
