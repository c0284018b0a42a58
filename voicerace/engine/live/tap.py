"""Tap: relays every connection to one target, and records each connection in its own file.

Files are written while the session runs, so they remain if the process is killed. A tap cannot determine which connections on
the two sides of a proxy belong to the same session.
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
#: Names of the client and of the target of a relay, for each side of the proxy.
_ACTORS: Final[dict[Side, tuple[str, str]]] = {"host": ("component", "proxy"), "upstream": ("proxy", "upstream")}
_ALLOWED: Final = "LISTEN=TARGET: PORT, HOST:PORT or ws://HOST:PORT = ws(s)://HOST:PORT"


@dataclass(frozen=True)
class TapSpec:
    """Address and target of a tap.

    Attributes:
        side: side of the proxy that is recorded.
        host: host on which the tap listens.
        port: port on which the tap listens. 0 selects a free port.
        target: target as ``ws(s)://host:port``, without a URL path.
    """

    side: Side
    host: str
    port: int
    target: str

    @classmethod
    def of(cls, side: Side, word: str) -> Self:
        """Parse ``LISTEN=TARGET``.

        Raises:
            InputError: `word` has another form, the target is the tap itself, or the target has a URL path or a query. Clients
                send these.
        """
        listen, equals, target = word.partition("=")
        if not equals:
            found = repr(listen) if not set("/@?") & set(listen) else "what was given"  # A URL or a path may contain a secret.
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
    """Tap that listens while the context is open.

    Attributes:
        spec: address and target of the tap.
        folder: folder for the recordings, one per connection.
        provenance: provenance of every recording.
        number: returns the number of the next connection.
        origin_ns: start of the capture in ns of the monotonic clock. Recordings contain their start relative to this time.
        scrub: removes secrets from recordings.
        origins: accepted web pages and host names.
        refused: called with the reason for which `origins` refuses a handshake.
        open: open connections, oldest first.
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
        self.server = SessionServer(
            self.spec.host, self.spec.port, self._handler, origins=self.origins, about=about, refused=self.refused
        )

    async def __aenter__(self) -> Self:
        try:
            await self.server.__aenter__()
        except InputError as error:
            raise InputError(self.spec.side, error.found, error.allowed) from None
        return self

    async def __aexit__(self, *raised: Any) -> None:
        await self.server.__aexit__(*raised)

    @property
    def url(self) -> str:
        """URL at which clients on this machine connect to the tap."""
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  # read, not bound
        host = everywhere.get(self.spec.host, self.spec.host)
        return f"ws://{f'[{host}]' if ':' in host else host}:{self.server.port}"

    async def cut(self) -> None:
        """Close the open connections and mark their recordings as incomplete."""
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

    def _handler(self, request: Request) -> ConnectionHandler:
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
    """Parse ``PORT``, ``HOST:PORT`` or ``ws://HOST:PORT`` into (host, port)."""
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
    # `localhost` can have two addresses. With port 0, each would get a different port.
    return ("127.0.0.1" if parts.hostname == "localhost" and port == 0 else parts.hostname), port


def _same_host(host: str, target: str) -> bool:
    """Return whether a server that listens on `host` would also get connections to the target's host."""
    here = host in ("0.0.0.0", "::") or is_loopback(f"ws://{f'[{host}]' if ':' in host else host}")  # noqa: S104  # read
    return host == urlsplit(target).hostname or (here and is_loopback(target))
