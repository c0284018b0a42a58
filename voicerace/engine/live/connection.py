"""Emulates the network at one end of an actor's WebSocket connection: delays messages, and keeps their order.

If the sender is an actor of this process, a message is delayed before it is written to the socket. If only the receiver is an
actor of this process, a message is delayed after it is read. The delay therefore always lies between the two recorded times. A
link has one delay per session, or one delay per message if the session has a schedule.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from voicerace.engine.live.actor_host import ActorHost
from voicerace.engine.live.limits import POLICY
from voicerace.model.actors.actor import ABNORMAL
from voicerace.model.protocol.frames import frame_of, payload_of
from voicerace.trace.recording import Link, Payload

__all__ = ["CLOSE_TIMEOUT_S", "MAX_FRAME", "FramedConnection", "Tamper", "drop", "why_closed"]

#: Maximum size of a WebSocket message in bytes. The API accepts events of up to 15 MiB (API reference).
MAX_FRAME: Final = 16 * 2**20
CLOSE_TIMEOUT_S: Final = 2.0
_Item = tuple[float, int, Payload, bool]


class Tamper(Protocol):
    """Injects faults into messages (`serve --fault`)."""

    def __call__(self, payload: Payload) -> Sequence[tuple[float, Payload]] | None:
        """Return (additional delay in seconds, message) for each message to send instead, or None to drop the connection."""


class FramedConnection:
    """Connection of an actor to one neighbour.

    Args:
        actor_host: runs the actor.
        outgoing: link to the neighbour.
        connection: open WebSocket connection.
        out_ns: delay of sent messages in ns. A schedule takes precedence.
        in_ns: delay of received messages in ns. A schedule takes precedence.
        both_ours: whether the neighbour is an actor of this process, which records its own end.
        tamper: injects faults into sent messages.
    """

    def __init__(
        self,
        actor_host: ActorHost,
        outgoing: Link,
        connection: Connection,
        *,
        out_ns: int = 0,
        in_ns: int = 0,
        both_ours: bool = False,
        tamper: Tamper | None = None,
    ) -> None:
        self.actor_host = actor_host
        self.outgoing = outgoing
        self.incoming = Link(outgoing.receiver, outgoing.sender)
        self.connection = connection
        self.both_ours = both_ours
        #: Whether messages are shown at the time at which they leave or reach the neighbour. The virtual engine, too, shows the
        #: messages between a proxy and the mock upstream at the proxy.
        self._shown_there = not both_ours and outgoing.sender == "upstream"
        self._out_s = out_ns / 1e9
        self._in_s = in_ns / 1e9
        self._tamper = tamper
        self._reader = actor_host.reader if outgoing.sender == "component" else None
        if self._reader is not None:
            self._reader.reconnected()
        #: Time, in seconds of the loop's clock, at which the reader's pause ends; 0 without a pause.
        self._blocked_s = 0.0
        #: (payload, number) of each message that arrived during the pause.
        self._unread: deque[tuple[Payload, int | None]] = deque()
        self._queue: asyncio.Queue[_Item | asyncio.Event | None] = asyncio.Queue()
        self._last_sent_s = 0.0
        self._timers: set[asyncio.TimerHandle] = set()
        self._closing = False
        #: Whether a newer connection has replaced this connection.
        self.replaced = False
        actor_host.connected(self)

    # -- out ---------------------------------------------------------------------------------------------------------

    def send(self, payload: Payload) -> Iterable[tuple[int, Payload]]:
        """Send a message. Return (number in the recording, payload) of each message to show now."""
        replaced = self._tamper(payload) if self._tamper is not None else ((0.0, payload),)
        if replaced is None:
            self._drop()
            return ()
        sent = []
        for further_s, each in replaced:
            # A message that a fault delays is recorded after that delay.
            if further_s:
                self._timers.add(asyncio.get_running_loop().call_later(further_s, self._send_late, each))
            else:
                sent.append((self._put(each, "message"), each))
        return () if self._shown_there else sent

    def close(self, code: int | None) -> None:
        """Close the connection once the messages in flight have been delivered."""
        if not self._closing:
            self._put({"code": code}, "close")
            self._closing = True

    async def barrier(self, patience_s: float = 1.0) -> None:
        """Wait until the neighbour has handled all sent messages, at most `patience_s` seconds.

        The neighbour's library `ws` answers a ping after it has handled the messages before the ping.
        """
        reached = asyncio.Event()
        self._queue.put_nowait(reached)
        with contextlib.suppress(TimeoutError, ConnectionClosed):
            async with asyncio.timeout(patience_s):
                await reached.wait()
                await (await self.connection.ping())

    def _due(self, link: Link, delay_s: float) -> float | None:
        """Return when a message sent now arrives, in seconds of the loop's clock, or None if it arrives at once."""
        now_ns = time.monotonic_ns()
        if self.actor_host.cursor is not None:
            return (now_ns + self.actor_host.cursor.travel_ns(link, now_ns)) / 1e9
        return now_ns / 1e9 + delay_s if delay_s else None

    def _send_late(self, payload: Payload) -> None:
        seq = self._put(payload, "message")
        if not self._shown_there:
            self.actor_host.show(self.outgoing, payload, seq)

    def _put(self, payload: Payload, kind: Any) -> int:
        seq = self.actor_host.recorder.sent(self.outgoing, kind, payload, "engine" if self.both_ours else "socket")
        if not self._closing:
            due = self._due(self.outgoing, self._out_s) or 0.0
            self._queue.put_nowait((due, seq, payload, kind == "close"))
        return seq

    def _drop(self) -> None:
        """Record the fault, end the actor, and drop the connection once the messages in flight have been delivered."""
        self._closing = True
        self.actor_host.recorder.fault(self.outgoing, f"{self.outgoing.sender} dropped the connection on purpose (--fault)")
        self.actor_host.end()
        self._queue.put_nowait(None)

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                item = await self._queue.get()
                if item is None:
                    # All earlier messages have been written, so a session with this fault is reproducible.
                    self.connection.transport.close()
                    return
                if isinstance(item, asyncio.Event):
                    item.set()
                    continue
                due, seq, payload, closes = item
                if self.actor_host.cursor is not None:
                    # The minimum spacing also applies after a message that was sent late.
                    due = max(due, self._last_sent_s + self.actor_host.cursor.min_spacing_ns / 1e9)
                if due > (now := time.monotonic()):
                    await asyncio.sleep(due - now)
                if closes:
                    code = payload["code"] if isinstance(payload, dict) else None
                    if not self.both_ours:
                        self.actor_host.recorder.arrived(seq)
                    if code == ABNORMAL:
                        self.connection.transport.close()
                        return
                    # With None, the library sends a close frame without a code.
                    await self.connection.close(code)  # type: ignore[arg-type]
                    return
                await self.connection.send(frame_of(payload))
                self._last_sent_s = time.monotonic()
                if not self.both_ours:
                    self.actor_host.recorder.arrived(seq)
                if self._shown_there:
                    self.actor_host.show(self.outgoing, payload, seq)

    # -- in ----------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Send and receive messages until the connection is closed, then notify the actor. Cancelling drops the connection."""
        writer = asyncio.ensure_future(self._write())
        cancelled = False
        try:
            while True:
                raw = await self.connection.recv()
                due = None if self.both_ours else self._due(self.incoming, self._in_s)
                payload = payload_of(raw)
                seq = self._seen(payload)
                if due is not None:
                    asyncio.get_running_loop().call_at(due, self._take, payload, seq)
                else:
                    self._take(payload, seq)
        except ConnectionClosed as closed:
            due = None if self.both_ours or self._closing else self._due(self.incoming, self._in_s)
            if due is not None:
                await asyncio.sleep(due - time.monotonic())
            while self._blocked_s and not self._closing:
                await asyncio.sleep(max(0.0, self._blocked_s - time.monotonic()))
            self._over(closed)
        except BaseException:
            cancelled = True
            raise
        finally:
            for handle in self._timers:
                handle.cancel()
            if cancelled or not self._closing:
                writer.cancel()
            with contextlib.suppress(asyncio.CancelledError, TimeoutError):
                await asyncio.wait_for(writer, CLOSE_TIMEOUT_S)
            drop(self.connection)
            await self.connection.wait_closed()

    def _seen(self, payload: Payload) -> int | None:
        """Record a running program's message as read from the socket. Return its number, or None if it is not recorded."""
        if self.both_ours or self.replaced:
            return None
        seq = self.actor_host.recorder.seen(self.incoming, "message", payload, "socket")
        if self._shown_there:
            self.actor_host.leaves(self.incoming, payload, seq)
        return seq

    def _take(self, payload: Payload, seq: int | None) -> None:
        """Pass on an arrived message, now or at the end of the reader's pause."""
        self._unread.append((payload, seq))
        if not self._blocked_s:
            self._read_on()

    def _read_on(self) -> None:
        self._blocked_s = 0.0
        while self._unread and not self._blocked_s:
            payload, seq = self._unread.popleft()
            self._read(payload, seq)
            if self._reader is not None and self._reader.read(payload, self.actor_host.recorder.last_ns):
                self._blocked_s = self._reader.until_ns / 1e9
                self._timers.add(asyncio.get_running_loop().call_at(self._blocked_s, self._read_on))

    def _read(self, payload: Payload, seq: int | None) -> None:
        if self.replaced:
            return
        recorder = self.actor_host.recorder
        if seq is not None:
            recorder.arrived(seq)
        elif (seq := recorder.received(self.incoming, "message")) is None:
            raise RuntimeError(f"a message on {self.incoming} that nobody sent")
        self.actor_host.message(self.incoming, payload, seq, foreign=not self.both_ours)

    def _over(self, closed: ConnectionClosed) -> None:
        """Record how the connection ended, and notify the actor."""
        recorder = self.actor_host.recorder
        if self._closing:
            return
        if closed.rcvd is None or (closed.sent is not None and not closed.rcvd_then_sent):
            # If both ends are actors of this process, the sender has recorded an intended loss as a close.
            intended = self.both_ours and recorder.received(self.incoming, "close") is not None
            if not (intended or recorder.stopped):  # A stopped recorder means that this process ended the session.
                recorder.fault(self.incoming, why_closed(closed, self.incoming.sender))
            self.actor_host.closed(self.incoming, ABNORMAL)
            return
        code = None if closed.rcvd.code == 1005 else int(closed.rcvd.code)
        if not self.both_ours or recorder.received(self.incoming, "close") is None:
            recorder.arrived(recorder.seen(self.incoming, "close", {"code": code}, "socket"))
        self.actor_host.closed(self.incoming, code)


def drop(connection: Connection) -> None:
    """End an open connection without a close frame. Aborting a closed transport would fail in CPython 3.11."""
    if connection.state is not State.CLOSED:
        connection.transport.abort()


def why_closed(closed: ConnectionClosed, neighbour: str) -> str:
    """Return a one-line reason why a connection ended without a close handshake."""
    sent = closed.sent
    if sent is not None and sent.code == POLICY:
        return f"the connection of {neighbour} was ended here: {sent.reason}"
    if sent is not None and sent.code == 1009:
        return f"{neighbour} sent a frame of more than {MAX_FRAME // 2**20} MiB"
    if sent is not None and sent.code in (1002, 1007):
        return f"{neighbour} broke the WebSocket protocol: {sent.reason}"
    return f"{neighbour} dropped the connection without closing it (1006)"
