"""Adapts a running proxy to an actor of the virtual engine: real sockets in virtual time.

The adapter sends each input to the proxy over a WebSocket, and then a ping. The proxy's library `ws` answers a ping after it
has handled the earlier messages, so the proxy has reacted to the input when the pong arrives. A ping on the other socket then
ensures that the proxy's messages on that socket have arrived. A session of 30 virtual seconds takes milliseconds.

The proxy's own timers run in real time. `await_message` waits for such a timer. A session in which no timer may expire must be
played without delays. Use the live engine to observe the proxy's behaviour in real time.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Sequence
from http import HTTPStatus
from socket import SHUT_RDWR
from types import TracebackType
from typing import Self

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.sync.client import ClientConnection, connect
from websockets.sync.connection import Connection
from websockets.sync.server import Server, ServerConnection, serve

from voicerace.errors import InputError
from voicerace.model.actors.actor import ABNORMAL, Close, Effect, Effects, Send
from voicerace.model.protocol.frames import frame_of, payload_of
from voicerace.trace.recording import Payload

__all__ = ["RunningProxy", "UpstreamSocket"]

#: Maximum time in seconds to wait for a connection or an answer from the proxy.
_PATIENCE_S = 10.0
#: Time in seconds between two polls.
_POLL_S = 0.02


class UpstreamSocket:
    """WebSocket server that takes the place of the Realtime API for a proxy. `connections` queues the proxy's connections."""

    def __init__(self) -> None:
        self.refuse_next = False
        self.connections: queue.Queue[ServerConnection] = queue.Queue()
        self._done: dict[int, threading.Event] = {}
        self._server: Server | None = None

    def __enter__(self) -> Self:
        self._server = serve(
            self._hand_over,
            "127.0.0.1",
            0,
            process_request=self._request,
            compression=None,
            ping_interval=None,
            max_size=None,
            max_queue=None,
        )
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for done in self._done.values():
            done.set()
        if self._server is not None:
            self._server.shutdown()

    @property
    def url(self) -> str:
        if self._server is None:
            raise RuntimeError("the server is not running")
        return f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/v1/realtime"

    def _request(self, connection: ServerConnection, request: Request) -> Response | None:
        if not self.refuse_next:
            return None
        self.refuse_next = False
        return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "not now\n")

    def _hand_over(self, connection: ServerConnection) -> None:
        done = self._done.setdefault(id(connection), threading.Event())
        self.connections.put(connection)
        done.wait()
        del self._done[id(connection)]

    def release(self, connection: ServerConnection) -> None:
        """End the server's thread for a connection whose session has ended."""
        if done := self._done.get(id(connection)):
            done.set()


class RunningProxy:
    """Actor for one session with a running proxy.

    Args:
        url: URL of the proxy.
        upstream: server that the proxy uses as its Realtime API.
        reachable: whether the upstream accepts the proxy's connection.

    Raises:
        InputError: the proxy did not connect to the upstream in time.
    """

    def __init__(self, url: str, upstream: UpstreamSocket, *, reachable: bool = True) -> None:
        self._url = url
        self._upstream_socket = upstream
        upstream.refuse_next = not reachable
        self._open = contextlib.ExitStack()
        self._host: ClientConnection = self._open.enter_context(
            connect(
                url, proxy=None, compression=None, ping_interval=None, max_size=None, max_queue=None, close_timeout=_PATIENCE_S
            )
        )
        self._upstream: ServerConnection | None = None
        if reachable:
            try:
                self._upstream = upstream.connections.get(timeout=_PATIENCE_S)
            except queue.Empty:
                raise InputError("proxy", f"no connection to its upstream within {_PATIENCE_S:g} s") from None
            _barrier(self._upstream)
        self._closed: set[str] = set()

    def renew(self) -> Self:
        """Close this session, and return an actor for the same proxy with a new host connection."""
        self.end()
        return type(self)(self._url, self._upstream_socket)

    def start(self) -> Effects:
        return ()

    def message(self, sender: str, payload: Payload) -> Effects:
        near = self._socket(sender)
        if near is None or sender in self._closed:
            return ()
        with contextlib.suppress(ConnectionClosed):
            near.send(frame_of(payload))
            _barrier(near)
        return self._collect()

    def closed(self, sender: str, code: int | None) -> Effects:
        near = self._socket(sender)
        self._closed.add(sender)
        if near is not None and code == ABNORMAL:
            near.socket.shutdown(SHUT_RDWR)
        elif near is not None:
            near.close(code if code is not None else 1000)
        return self._collect(await_close=True)

    def timer(self, name: str) -> Effects:
        return ()

    def await_message(self, seconds: float) -> Effects:
        """Wait in real time until the proxy sends a message, at most `seconds`, and return its effects."""
        deadline = time.monotonic() + seconds
        while True:
            if effects := self._collect():
                return effects
            left = deadline - time.monotonic()
            if left <= 0:
                return ()
            time.sleep(min(left, _POLL_S))

    def end(self) -> None:
        """Close the open connections."""
        self._open.close()
        if self._upstream is not None:
            self._upstream.close()
            self._upstream_socket.release(self._upstream)

    def _socket(self, actor: str) -> Connection | None:
        return self._host if actor == "component" else self._upstream

    def _collect(self, *, await_close: bool = False) -> list[Effect]:
        """Return the effects of the proxy since the last call: messages to the upstream, then messages to the host."""
        effects: list[Effect] = []
        for actor in ("upstream", "component"):
            socket = self._socket(actor)
            if socket is None or actor in self._closed:
                continue
            if not await_close:
                with contextlib.suppress(ConnectionClosed):
                    _barrier(socket)
            effects += self._drain(actor, socket, _PATIENCE_S if await_close else 0)
        return effects

    def _drain(self, actor: str, socket: Connection, timeout: float) -> Sequence[Effect]:
        effects: list[Effect] = []
        while True:
            try:
                raw = socket.recv(timeout=timeout)
            except TimeoutError:
                return effects
            except ConnectionClosed as closed:
                self._closed.add(actor)
                code = closed.rcvd.code if closed.rcvd else ABNORMAL
                return [*effects, Close(actor, None if code == 1005 else code)]
            effects.append(Send(actor, payload_of(raw)))


def _barrier(socket: Connection) -> None:
    """Wait until the peer has handled all earlier messages and its answers have arrived, or the connection is closed.

    Raises:
        InputError: the peer did not answer the ping in time.
    """
    answered = socket.ping()
    deadline = time.monotonic() + _PATIENCE_S
    while not answered.wait(_POLL_S):
        if socket.protocol.state is State.CLOSED:
            return
        if time.monotonic() > deadline:
            raise InputError("proxy", f"no answer to a ping within {_PATIENCE_S:g} s")
