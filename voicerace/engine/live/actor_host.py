"""Runs one or more actors of a session on the real clock.

The host calls its actors, carries out their effects in order, and records their messages. A message between two actors of
the host arrives at once. Other messages are sent over connections. A timer's duration starts at the time of the event that
set it, so that a processing delay does not lengthen later timers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

from voicerace.engine.live.recorder import Recorder
from voicerace.engine.reader import Reader
from voicerace.engine.schedule import ScheduleCursor
from voicerace.errors import InputError
from voicerace.model.actors.actor import Actor, Effect, Effects, SetTimer
from voicerace.model.actors.effects import Interpreter
from voicerace.model.parameters import Times
from voicerace.trace.recording import COMPONENT_TO_FORWARDER, LINKS, USER_TO_APP, Link, Payload

if TYPE_CHECKING:
    from voicerace.engine.live.connection import FramedConnection

__all__ = ["ActorHost"]

_LINK = {(each.sender, each.receiver): each for each in LINKS}
_AT_FORWARDER = {("component", "proxy"): COMPONENT_TO_FORWARDER}


def _neighbour(link: Link) -> str:
    """Return the name by which the receiver of a link knows its sender."""
    return "proxy" if link.sender == "forwarder" else link.sender


class _Call(NamedTuple):
    """A pending call of an actor.

    Attributes:
        actor: name of the actor.
        call: method to call.
        arguments: arguments of the method.
        then: function to call after the effects are carried out, or None.
        program: name of the running program that sent the message of this call, or None.
    """

    actor: str
    call: Callable[..., Effects]
    arguments: tuple[Any, ...]
    then: Callable[[], None] | None
    program: str | None


class ActorHost(Interpreter):
    """Runs actors on the event loop.

    Args:
        actors: the actors by name.
        times: value of each named duration.
        seed: seed for random times.
        recorder: records the messages.
        watch: called with (link, payload, number) after an actor of this host has handled or sent a message.
        connect: called when an actor reopens a closed connection.
        forwarded: whether the component's neighbour is a forwarder, which the component knows by the proxy's name.
        cursor: position in a schedule, whose durations and delays take precedence over `times`, except for proxy timers.
    """

    def __init__(
        self,
        actors: Mapping[str, Actor],
        times: Times,
        seed: int,
        recorder: Recorder,
        watch: Callable[[Link, Payload, int], None] | None = None,
        connect: Callable[[], None] | None = None,
        cursor: ScheduleCursor | None = None,
        *,
        forwarded: bool = False,
    ) -> None:
        self._links = _LINK | _AT_FORWARDER if forwarded else _LINK
        self.actors = dict(actors)
        self.times = times
        self.seed = seed
        self.recorder = recorder
        self.watch = watch
        self.connect = connect
        self.cursor = cursor
        #: Delays the component's reading of messages from the proxy. None: the component reads a message when it arrives.
        self.reader = Reader.of(times, seed) if "component" in actors else None
        #: Messages to send once the connection for their link is open.
        self._early: dict[Link, list[Payload]] = {}
        self.connections: dict[tuple[str, str], FramedConnection] = {}
        self.broken: BaseException | None = None
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._waiting: deque[_Call] = deque()
        self._running = False
        self._ended = False
        self._closed: set[Link] = set()

    def start(self) -> None:
        """Start the actors. The connections must be open."""
        for name, actor in self.actors.items():
            self._call(name, actor.start)

    def connected(self, connection: FramedConnection) -> None:
        """Add an open connection, and send the messages that are queued for it."""
        self.connections[connection.outgoing] = connection
        for payload in self._early.pop(connection.outgoing, ()):
            self._send(connection.outgoing, payload)

    def message(self, link: Link, payload: Payload, seq: int, *, foreign: bool = False) -> None:
        """Pass an arrived message to its actor. A foreign message is from a running program and can have any content."""
        actor = self.actors[link.receiver]
        program = link.sender if foreign else None
        then = None if foreign and link.receiver == "upstream" else lambda: self.show(link, payload, seq)
        self._call(link.receiver, actor.message, _neighbour(link), payload, then=then, program=program)

    def leaves(self, link: Link, payload: Payload, seq: int) -> None:
        """Show a running proxy's message to the user when the proxy sends it, before it arrives at the upstream."""
        self._call(link.receiver, tuple, then=lambda: self.show(link, payload, seq), program=link.sender)

    def closed(self, link: Link, code: int | None) -> None:
        """Notify an actor that the neighbour `link.sender` closed the connection or was never reached."""
        back = Link(link.receiver, link.sender)
        if back not in self._closed:
            self._closed.add(back)
            self._call(link.receiver, self.actors[link.receiver].closed, _neighbour(link), code)

    def act(self, actor: str, effects: Effects) -> None:
        """Carry out the effects of `User.observe`, which this host does not call itself."""
        self._call(actor, lambda: effects)

    def end(self) -> None:
        """Stop this host: it calls no further actor and sends no further message."""
        self._ended = True
        for handle in self._timers.values():
            handle.cancel()
        self._timers.clear()
        self._waiting.clear()
        # Breaking the reference cycles frees the objects without a garbage collection.
        self.connections.clear()
        self.watch = self.connect = None

    def fail(self, error: Exception, actor: str | None = None) -> None:
        """End the session because of an unexpected error, and store the error in `broken` for the caller."""
        self.broken = self.broken or error
        self._break(actor or next(iter(self.actors)), f"{type(error).__name__}: {error}")

    # -- calls, one at a time ----------------------------------------------------------------------------------------

    def _call(
        self,
        actor: str,
        call: Callable[..., Effects],
        *arguments: Any,
        then: Callable[[], None] | None = None,
        program: str | None = None,
    ) -> None:
        if self._ended:
            return
        self._waiting.append(_Call(actor, call, arguments, then, program))
        if self._running:
            return
        self._running = True
        try:
            while self._waiting:
                each = self._waiting.popleft()
                try:
                    self.apply(each.actor, each.call(*each.arguments))
                    if each.then is not None:
                        each.then()
                except InputError as error:
                    self._break(each.actor, str(error))
                except Exception as error:  # Any error must end the session, not only this callback.
                    if each.program is None:
                        self.fail(error, each.actor)
                    else:
                        # An unexpected message from a running program ends the session but not the sweep.
                        why = f"what {each.program} said cannot be read ({type(error).__name__}: {error})"
                        self._break(each.actor, why)
        finally:
            self._running = False

    def _break(self, actor: str, why: str) -> None:
        connections = [*self.connections.values()]
        self.end()
        self.recorder.fault(connections[0].incoming if connections else USER_TO_APP, f"{actor}: {why}")
        for connection in connections:
            connection.close(1011)

    def apply(self, actor: str, effects: Iterable[Effect]) -> None:
        # If an effect ends the session, the effects after it are dropped.
        super().apply(actor, takewhile(lambda _: not self._ended, effects))

    def send(self, actor: str, to: str, payload: Payload) -> None:
        self._send(self._links[actor, to], payload)

    def set_timer(self, actor: str, timer: SetTimer) -> None:
        self.cancel_timer(actor, timer.name)
        after = self.times.ns(timer.after, timer.index, self.seed)
        if self.cursor is not None and actor != "proxy":
            after = self.cursor.timer_ns(actor, timer.name, after, self.recorder.last_ns)
        due = (self.recorder.last_ns + after) / 1e9
        self._timers[actor, timer.name] = asyncio.get_running_loop().call_at(due, self._ring, actor, timer.name)

    def cancel_timer(self, actor: str, name: str) -> None:
        if handle := self._timers.pop((actor, name), None):
            handle.cancel()

    def close(self, actor: str, to: str, code: int | None) -> None:
        link = self._links[actor, to]
        if link not in self._closed:
            self._closed.add(link)
            if connection := self.connections.get(link):
                connection.close(code)

    def open(self, actor: str, to: str) -> None:
        link = self._links[actor, to]
        if self.connect is not None:
            self._closed -= {link, Link(link.receiver, link.sender)}
            if (replaced := self.connections.pop(link, None)) is not None:
                replaced.replaced = True
            self._early[link] = []
            self.recorder.opened(link)
            self.connect()

    def _ring(self, actor: str, name: str) -> None:
        del self._timers[actor, name]
        self.recorder.now_ns()
        self._call(actor, self.actors[actor].timer, name)

    def _send(self, link: Link, payload: Payload) -> None:
        if link in self._closed:
            return
        if link in self._early:
            self._early[link].append(payload)
        elif connection := self.connections.get(link):
            for number, each in connection.send(payload):
                self.show(link, each, number)
        elif link.receiver in self.actors:
            seq = self.recorder.sent(link, "message", payload, "engine")
            self.recorder.received(link, "message")
            self.message(link, payload, seq)

    def show(self, link: Link, payload: Payload, seq: int) -> None:
        """Call `watch` with a message."""
        if self.watch is not None:
            self.watch(link, payload, seq)
