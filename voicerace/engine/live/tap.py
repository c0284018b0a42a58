"""A place to listen in: every connection that comes is relayed to one target and recorded in a file of its own.

A file is written as the frames pass, so a killed process leaves what it saw. Which connections belong to one session is
not known here: a connection on one side says nothing of the other side.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from websockets.http11 import Request

from voicerace.engine.live.client import client_of
from voicerace.engine.live.origins import Origins
from voicerace.engine.live.recorder import Recorder
from voicerace.engine.live.relay import Relay
from voicerace.engine.live.server import ConnectionHandler, SessionServer
from voicerace.engine.live.targets import address, is_loopback, web_socket_url
from voicerace.errors import InputError
from voicerace.scrubber import Scrubber
from voicerace.trace.recording import Link

__all__ = ["Side", "Tap", "TapSpec"]

Side: TypeAlias = Literal["host", "upstream"]
#: Who comes to a relay of each side, and whom it connects them to.
_ACTORS: Final[dict[Side, tuple[str, str]]] = {"host": ("component", "proxy"), "upstream": ("proxy", "upstream")}
_ALLOWED: Final = "LISTEN=TARGET: PORT, HOST:PORT or ws://HOST:PORT = ws(s)://HOST:PORT"


@dataclass(frozen=True)
class TapSpec:
    """Where a tap listens, and where it passes things on to.

    Attributes:
        side: of the proxy.
        host, port: where it listens; port 0 takes a free one.
        target: ``ws(s)://host:port``, without a path.
    """

    side: Side
    host: str
    port: int
    target: str

    @classmethod
    def of(cls, side: Side, word: str) -> Self:
        """The spec of a word ``LISTEN=TARGET``.

        Raises:
            InputError: it is none, the target has a path (path and query are those that the client asks for), or what
                is passed on would come back.
        """
        listen, equals, target = word.partition("=")
        if not equals:
            found = repr(listen) if not set("/@?") & set(listen) else "what was given"  # it may hold what is private
            raise InputError(side, f"{found} has no =", _ALLOWED)
        host, port = _listen(side, listen.strip())
        parts = urlsplit(web_socket_url(side, target.strip()))
        target = address(target.strip())
        if parts.path not in ("", "/") or parts.query:
            raise InputError(side, f"{target} with a path or a query", "ws(s)://HOST:PORT: path and query are the client's")
        if port and port == (parts.port or (443 if parts.scheme == "wss" else 80)) and _same_host(host, target):
            raise InputError(side, f"port {port} on both sides of the =", "LISTEN on another port than TARGET's")
        return cls(side, host, port, target)


@dataclass(eq=False)
class Tap:
    """One listening place.

    Attributes:
        spec: where it listens, and its target.
        folder: takes a recording per connection.
        provenance: of every recording.
        number: gives the next connection's number.
        origin_ns: when the capture began, on the monotonic clock; every recording says how long after that it did.
        scrub: removes secrets from what is recorded.
        origins: which web pages and host names are accepted.
        refused: called with the reason of a handshake that `origins` refuses.
        open: connections that have not ended, in the order they came.
    """

    spec: TapSpec
    folder: Path
    provenance: Mapping[str, Any]
    number: Callable[[], int]
    origin_ns: int
    scrub: Scrubber
    origins: Origins = field(default_factory=Origins)
    refused: Callable[[str], None] | None = None
    open: list[Relay] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        about = f"a relay of `voicerace capture` to {self.spec.target}"
        self.door = SessionServer(
            self.spec.host, self.spec.port, self._visitor, origins=self.origins, about=about, refused=self.refused
        )

    async def __aenter__(self) -> Self:
        try:
            await self.door.__aenter__()
        except InputError as error:
            raise InputError(self.spec.side, error.found, error.allowed) from None
        return self

    async def __aexit__(self, *raised: Any) -> None:
        await self.door.__aexit__(*raised)

    @property
    def url(self) -> str:
        """Where a client of this machine connects."""
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  # read, not bound
        host = everywhere.get(self.spec.host, self.spec.host)
        return f"ws://{f'[{host}]' if ':' in host else host}:{self.door.port}"

    async def cut(self) -> None:
        """End what is still open; its recordings say that they were cut."""
        for relay in self.open:
            relay.recorder.stopped = True
            relay.recorder.finish()
        await asyncio.gather(*(relay.leave() for relay in self.open))

    def _recorder(self, number: int, request: Request) -> Recorder:
        side = self.spec.side
        now = time.monotonic_ns()
        origin = {
            **self.provenance,
            "connection": f"connection {number} ({side})",
            "side": side,
            "opened_ns": now - self.origin_ns,
            "start": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "client": client_of(request, self.scrub),
        }
        near, far = _ACTORS[side]
        links = (Link(near, far), Link(far, near))
        recorder = Recorder(origin, links, self.scrub, self.folder / f"connection-{number:03d}-{side}.jsonl")
        recorder.origin_ns = now
        return recorder

    def _visitor(self, request: Request) -> ConnectionHandler:
        number = self.number()
        near, far = _ACTORS[self.spec.side]
        relay = Relay(near, far, self.spec.target, self._recorder(number, request), drop_closes=True)
        self.open.append(relay)
        relay.over.add_done_callback(lambda _: self._ended(relay))
        return relay

    def _ended(self, relay: Relay) -> None:
        relay.recorder.finish()
        self.open.remove(relay)


def _listen(side: Side, text: str) -> tuple[str, int]:
    """Host and port of ``PORT``, ``HOST:PORT`` or ``ws://HOST:PORT``."""
    if text.isascii() and text.isdigit():
        text = f"127.0.0.1:{text}"
    try:
        parts = urlsplit(text if "://" in text else f"ws://{text}")
        port = parts.port
    except ValueError as error:
        raise InputError(side, f"LISTEN: {error}", _ALLOWED) from None
    plain = parts.path in ("", "/") and not parts.query and not parts.fragment and parts.username is None
    if parts.scheme != "ws" or not parts.hostname or port is None or not plain:
        raise InputError(side, "LISTEN is no host and port", _ALLOWED)
    # A name may stand for two addresses: with a free port, each would get another one.
    return ("127.0.0.1" if parts.hostname == "localhost" and port == 0 else parts.hostname), port


def _same_host(host: str, target: str) -> bool:
    """Whether what listens at `host` would answer at the target's address."""
    here = host in ("0.0.0.0", "::") or is_loopback(f"ws://{f'[{host}]' if ':' in host else host}")  # noqa: S104  # read
    return host == urlsplit(target).hostname or (here and is_loopback(target))
