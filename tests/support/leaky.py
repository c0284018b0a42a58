"""Serve an API that repeats the received key in every part of its responses, and search all written files for the key.

The search does not depend on how voicerace hides a key. It looks for the key itself, for its escaped, quoted and base64
forms, and for every piece of 16 characters.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote, quote_plus

from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.support.rogue import api
from voicerace.engine.live.connecting import QUIET
from voicerace.engine.session import SessionConfig

__all__ = ["Leaky", "leaks", "spellings", "written"]

How = Literal["refuse", "redirect", "say", "close", "drop", "garble"]


def spellings(key: str) -> Iterator[str]:
    """Yield the forms of the key that other programs can write."""
    once = json.dumps(key)[1:-1]
    twice = json.dumps(once)[1:-1]
    yield from (key, once, twice, json.dumps(twice)[1:-1], once.replace("/", "\\/"), twice.replace("/", "\\\\\\/"))
    yield from (quote(key), quote(key, safe=""), quote_plus(key), quote(quote(key, safe=""), safe=""), quote(once, safe=""))
    yield once.replace('\\"', "\\u0022").replace("+", "\\u002B").replace("/", "\\u002F").replace("&", "\\u0026")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in ("", ":", "me:", "Bearer ", "Authorization: Bearer "):
            yield encode(f"{before}{key}".encode()).decode()
            yield encode(f"{before}{key}, you said".encode()).decode().rstrip("=")


def _needles(key: str) -> set[str]:
    """Return the strings that must not occur in any output."""
    found = {key, *(key[at : at + 16] for at in range(len(key) - 15))}
    found |= {json.dumps(key)[1:-1], quote(key, safe=""), quote_plus(key), json.dumps(key)[1:-1].replace("/", "\\/")}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            # Base64 encodes groups of three bytes, and the key can begin at any offset in a group.
            body = key.encode()[(3 - shift) % 3 :]
            found.add(encode(body[: len(body) // 3 * 3]).decode())
    return found


def leaks(key: str, contents: Iterable[tuple[str, bytes]]) -> list[str]:
    """Return each occurrence of the key, or of a piece of the key, as ``name: piece``."""
    needles = sorted(_needles(key))
    return [f"{name}: {needle}" for name, content in contents for needle in needles if needle.encode() in content]


def written(*folders: Path) -> Iterator[tuple[str, bytes]]:
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                yield str(path), path.read_bytes()


class Leaky:
    """A context manager that runs the mock API in a thread, with a relay that adds the key to its responses.

    Args:
        played: the session of the mock.
        how: how the key is repeated.
            refuse: in the status line, headers and body of a refused handshake.
            redirect: in the same parts of a redirect.
            say: in every event and in additional events.
            close: in the reason of a close.
            garble: in an incomplete message.
            drop: in an incomplete message, after which the connection is aborted.

    Attributes:
        keys: the received bearer tokens.
    """

    def __init__(self, played: SessionConfig, how: How) -> None:
        self.played = played
        self.how = how
        self.keys: list[str] = []
        self.url = ""
        self._said = 0
        self._ready = threading.Event()
        self._stop: Any = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="leaky API")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()
        self._thread.join(5)

    async def _main(self) -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        self._stop = lambda: loop.call_soon_threadsafe(stop.set)
        plain: Any = {"compression": None, "ping_interval": None, "logger": QUIET, "close_timeout": 0.3}
        async with (
            api(self.played) as self._mock,
            serve(self._serve, "127.0.0.1", 0, process_request=self._admit, **plain) as server,
        ):
            self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/realtime?model=m"
            self._ready.set()
            await stop.wait()
        await asyncio.sleep(0.02)

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.keys.append(key)
        if self.how not in ("refuse", "redirect"):
            return None
        body = "\n".join(["Incorrect API key provided:", *spellings(key)]).encode()
        head = [("X-Your-Key", key), ("WWW-Authenticate", f'Bearer realm="{quote(key)}"'), ("Content-Length", str(len(body)))]
        if self.how == "redirect":
            return Response(307, key, Headers([*head, ("Location", f"{self.url}&key={quote(key, safe='')}")]), body)
        return Response(401, f"Unknown key {key}", Headers(head), body)

    async def _serve(self, near: ServerConnection) -> None:
        key = self.keys[-1]
        async with connect(self._mock, compression=None, ping_interval=None, logger=QUIET, close_timeout=0.3) as far:
            up = asyncio.ensure_future(self._up(near, far))
            with contextlib.suppress(ConnectionClosed):
                async for frame in far:
                    if not await self._answer(near, key, json.loads(frame)):
                        break
            up.cancel()
            await asyncio.wait({up})

    async def _up(self, near: Connection, far: Connection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for frame in near:
                await far.send(frame)
            await far.close()

    async def _answer(self, near: ServerConnection, key: str, event: dict[str, Any]) -> bool:
        """Send an event, with the key according to `how`; return False if the connection was ended."""
        self._said += 1
        begun = self._said == 3
        if self.how == "close" and begun:
            await near.close(1008, f"bad key: {key}"[:120])
            return False
        if self.how in ("drop", "garble") and begun:
            text = json.dumps({"type": "error", "error": {"message": f"Incorrect API key provided: {key}"}})
            await near.send(text[: text.index(json.dumps(key)[1:-1]) + len(key) * 2 // 3])
            if self.how == "drop":
                await asyncio.sleep(0.05)
                near.transport.abort()
                return False
        if self.how == "say":
            await self._say(near, key, event)
        await near.send(json.dumps(event))
        return True

    async def _say(self, near: ServerConnection, key: str, event: dict[str, Any]) -> None:
        spelt = [*spellings(key)]
        half = len(key) // 2
        nested = json.dumps({"headers": json.dumps({"authorization": f"Bearer {key}", "parts": [key[:half], key[half:]]})})
        event["echo"] = {"of": spelt, key: nested, "deep": {"deeper": [{"deepest": nested}]}}
        if event["type"].endswith("arguments.done"):
            event["arguments"] = json.dumps({"city": "Lisbon", "auth": nested})
        for name in ("text", "delta"):
            if isinstance(event.get(name), str):
                event[name] += f" Your key is {key}."
        if event["type"] == "session.updated":
            error = {"code": key, "message": f"Incorrect API key: {key}", "param": nested}
            await near.send(json.dumps({"type": "error", "event_id": key, "error": error}))
            await near.send(json.dumps({"type": f"unheard.{key}", "event_id": nested}))
            await near.send("no JSON: " + nested)
            await near.send("\n".join(spelt).encode())
