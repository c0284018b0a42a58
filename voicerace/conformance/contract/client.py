"""The client of an experiment: one connection to a Realtime API, its events, and functions that wait for events.

Times are measured at the client's socket. Received events are never removed. Functions that wait search all received
events, so they also find an event that arrived earlier. `ReceivedEvent.seq` gives the order of events.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from voicerace.engine.live.connection import why_closed
from voicerace.engine.live.recorder import Recorder
from voicerace.model.protocol import realtime
from voicerace.model.protocol.frames import frame_of, payload_of
from voicerace.trace.recording import PROXY_TO_UPSTREAM, UPSTREAM_TO_PROXY, Payload

__all__ = [
    "Client", "ConnectionGoneError", "InconclusiveError", "Matcher", "Patience", "ReceivedEvent", "ReplyTimeoutError",
    "named",
]  # fmt: skip


class InconclusiveError(Exception):
    """An experiment has no answer. The message gives the reason."""


class ReplyTimeoutError(InconclusiveError):
    """An awaited event did not arrive in time."""


class ConnectionGoneError(InconclusiveError):
    """The connection has ended.

    Attributes:
        code: close code of the API; None if the connection was lost without a close.
    """

    def __init__(self, reason: str, code: int | None) -> None:
        super().__init__(reason)
        self.code = code


class Patience(NamedTuple):
    """Timeouts in seconds: `answer_s` for an event that should arrive, `quiet_s` for an event that should not."""

    answer_s: float
    quiet_s: float


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """A message that the client sent or received.

    Attributes:
        seq: number in the recording.
        at_ns: time at the client's socket since the start of the session.
        payload: the message.
    """

    seq: int
    at_ns: int
    payload: Payload

    @property
    def message(self) -> Mapping[str, Any]:
        """The payload if it is a JSON object, else an empty object."""
        return self.payload if isinstance(self.payload, Mapping) else {}

    @property
    def kind(self) -> str:
        return str(self.message.get("type"))

    @property
    def response_id(self) -> str:
        """Id of the response in the message; empty if the message has none."""
        return str(self.message.get("response_id") or realtime.response_of(self.message).get("id") or "")

    @property
    def item_id(self) -> str:
        """Id of the item in the message; empty if the message has none."""
        return str(self.message.get("item_id") or realtime.item_of(self.message).get("id") or "")


@dataclass(frozen=True)
class Matcher:
    """Matches events of some types, optionally of one response and of one item.

    Attributes:
        kinds: types of the matching events.
        response: id of the response; None matches any.
        item: id of the item; None matches any.
    """

    kinds: tuple[str, ...]
    response: str | None = None
    item: str | None = None

    def __call__(self, passed: ReceivedEvent) -> bool:
        return passed.kind in self.kinds and self.response in (None, passed.response_id) and self.item in (None, passed.item_id)

    def __str__(self) -> str:
        return " or ".join(self.kinds)


def named(*kinds: str, response: str | None = None, item: str | None = None) -> Matcher:
    """Return a `Matcher` for events of the types `kinds`."""
    return Matcher(kinds, response, item)


class Client:
    """Sends and receives events on one connection while the context is open.

    Args:
        connection: an open connection.
        recorder: recorder of all messages.
        patience: timeouts for expected and unexpected events.

    Attributes:
        heard: messages of the API, in order.
    """

    def __init__(self, connection: ClientConnection, recorder: Recorder, patience: Patience) -> None:
        self.connection = connection
        self.recorder = recorder
        self.patience = patience
        self.heard: list[ReceivedEvent] = []
        self._changed = asyncio.Event()
        self._gone: ConnectionGoneError | None = None
        self._last_id = 0
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._gone is None:
            # the client closes the connection and ignores later messages
            self._gone = ConnectionGoneError("the experiment is over", None)
            self.recorder.arrived(self.recorder.sent(PROXY_TO_UPSTREAM, "close", {"code": 1000}, "socket"))
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        await self.connection.close()

    # -- out ---------------------------------------------------------------------------------------------------------

    def new_id(self, kind: str) -> str:
        """Return a new id that is unique in this session."""
        self._last_id += 1
        return f"contract_{kind}_{self._last_id}"

    async def send(self, event: Mapping[str, Any] | bytes) -> ReceivedEvent:
        """Send an event and return the sent message. An object without an `event_id` gets a new one.

        Raises:
            ConnectionGoneError: the connection has ended.
        """
        payload: Mapping[str, Any] | bytes = event
        if not isinstance(event, bytes):
            payload = {"event_id": self.new_id("event"), **event}
        if self._gone is not None:
            raise self._gone
        seq = self.recorder.sent(PROXY_TO_UPSTREAM, "message", payload, "socket")
        at_ns = self.recorder.last_ns - self.recorder.origin_ns
        try:
            await self.connection.send(frame_of(payload))
        except ConnectionClosed as closed:
            raise self._over(closed) from None
        self.recorder.arrived(seq)
        return ReceivedEvent(seq, at_ns, payload)

    # -- in ----------------------------------------------------------------------------------------------------------

    def find(self, want: Callable[[ReceivedEvent], bool], since: ReceivedEvent | None = None) -> ReceivedEvent | None:
        """Return the first received event that matches, or None. If `since` is given, search only later events."""
        first = -1 if since is None else since.seq
        return next((each for each in self.heard if each.seq > first and want(each)), None)

    async def until(self, want: Matcher | str, since: ReceivedEvent | None = None) -> ReceivedEvent:
        """Wait for a matching event after `since` and return this event. An event that was already received counts.

        Raises:
            ReplyTimeoutError: the event did not arrive in time.
            ConnectionGoneError: the connection ended before the event.
        """
        wanted = named(want) if isinstance(want, str) else want
        return await self._wait(wanted, str(wanted), since)

    async def answer(self, sent: ReceivedEvent, *wants: Matcher) -> ReceivedEvent:
        """Wait for the answer to a sent event, and return the answer: a matching event or an error.

        Only one sent event is unanswered at a time, so any error is the answer to this event.

        Raises: as `until`.
        """

        def answers(passed: ReceivedEvent) -> bool:
            return passed.kind == realtime.ERROR or any(want(passed) for want in wants)

        return await self._wait(answers, " or ".join([*map(str, wants), realtime.ERROR]), sent)

    async def _wait(self, want: Callable[[ReceivedEvent], bool], what: str, since: ReceivedEvent | None) -> ReceivedEvent:
        found = await self._wait_for(want, since, self.patience.answer_s)
        if found is None:
            raise ReplyTimeoutError(f"no {what} within {self.patience.answer_s:g} s")
        return found

    async def quiet(self, want: Matcher, since: ReceivedEvent) -> ReceivedEvent | None:
        """Wait for an event that should not arrive. Return the event, or None if it did not arrive.

        Raises:
            ConnectionGoneError: the connection ended.
        """
        return await self._wait_for(want, since, self.patience.quiet_s)

    async def _wait_for(
        self, want: Callable[[ReceivedEvent], bool], since: ReceivedEvent | None, seconds: float
    ) -> ReceivedEvent | None:
        """Return the first matching event, or None after the timeout."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (found := self.find(want, since)) is None:
                    if self._gone is not None:
                        raise self._gone
                    self._changed.clear()
                    await self._changed.wait()
                return found
        return None

    async def _read(self) -> None:
        try:
            while True:
                raw = await self.connection.recv()
                at_ns = self.recorder.now_ns()
                payload = payload_of(raw)
                seq = self.recorder.seen(UPSTREAM_TO_PROXY, "message", payload, "socket", at_ns)
                self.recorder.arrived(seq)
                self.heard.append(ReceivedEvent(seq, at_ns, payload))
                self._changed.set()
        except ConnectionClosed as closed:
            self._over(closed)

    def _over(self, closed: ConnectionClosed) -> ConnectionGoneError:
        """Record the end of the connection, unless it is recorded already. Return the error to raise."""
        if self._gone is None:
            if closed.rcvd is None or (closed.sent is not None and not closed.rcvd_then_sent):
                reason = why_closed(closed, "the API")
                self.recorder.fault(UPSTREAM_TO_PROXY, reason)
                self._gone = ConnectionGoneError(reason, None)
            else:
                code = int(closed.rcvd.code)
                payload = {"code": None if code == 1005 else code}
                self.recorder.arrived(self.recorder.seen(UPSTREAM_TO_PROXY, "close", payload, "socket"))
                self._gone = ConnectionGoneError(f"the API closed the connection with {code}", code)
            self._changed.set()
        return self._gone
