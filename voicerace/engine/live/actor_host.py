"""Parties of one session at one place, on the real clock: what they say to each other is instant, the rest goes over lines.

A place does for its parties what the virtual engine does for all of them: it calls them, carries out their effects in
order, and writes down what passes. Timers count from the moment in which the party was called, so a late event delays
what follows from it and nothing else.
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
from voicerace.trace.recording import LINKS, USER_TO_APP, Link, Payload

if TYPE_CHECKING:
    from voicerace.engine.live.connection import FramedConnection

__all__ = ["ActorHost"]

_LINK = {(each.sender, each.receiver): each for each in LINKS}


class _Call(NamedTuple):
    """A call of a party that waits for its turn; `said` is the foreign program whose message it is."""

    party: str
    call: Callable[..., Effects]
    arguments: tuple[Any, ...]
    then: Callable[[], None] | None
    said: str | None


class ActorHost(Interpreter):
    """Runs parties on the event loop.

    Args:
        parties: by name; messages between two of them stay here.
        times: a value for every named duration.
        seed: of the draws.
        recorder: takes down what passes.
        watch: called with (link, payload, number) when a message was handled here, and when one was sent from here.
        connect: called when a party opens a connection again that was closed.
        playing: the schedule that gives timers and messages their durations before `times` does. A proxy has its own.
    """

    def __init__(
        self,
        parties: Mapping[str, Actor],
        times: Times,
        seed: int,
        recorder: Recorder,
        watch: Callable[[Link, Payload, int], None] | None = None,
        connect: Callable[[], None] | None = None,
        playing: ScheduleCursor | None = None,
    ) -> None:
        self.parties = dict(parties)
        self.times = times
        self.seed = seed
        self.recorder = recorder
        self.watch = watch
        self.connect = connect
        self.playing = playing
        #: Says when the component here reads what the proxy sent; None: as it arrives.
        self.reader = Reader.of(times, seed) if "component" in parties else None
        #: What was said on a connection that is being opened.
        self._early: dict[Link, list[Payload]] = {}
        self.lines: dict[tuple[str, str], FramedConnection] = {}
        self.broken: BaseException | None = None
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._waiting: deque[_Call] = deque()
        self._running = False
        self._ended = False
        self._closed: set[Link] = set()

    def start(self) -> None:
        """The connections are open."""
        for name, party in self.parties.items():
            self._call(name, party.start)

    def connected(self, line: FramedConnection) -> None:
        """The connection that `line` is an end of is there."""
        self.lines[line.outgoing] = line
        for payload in self._early.pop(line.outgoing, ()):
            self._send(line.outgoing, payload)

    def message(self, link: Link, payload: Payload, seq: int, *, foreign: bool = False) -> None:
        """A message reached a party here; a foreign one is from a program that is none of ours, and may say anything."""
        party = self.parties[link.receiver]
        said = link.sender if foreign else None
        then = None if foreign and link.receiver == "upstream" else lambda: self.show(link, payload, seq)
        self._call(link.receiver, party.message, link.sender, payload, then=then, said=said)

    def leaves(self, link: Link, payload: Payload, seq: int) -> None:
        """A running proxy has said something to the upstream here, and it is on its way: seen where the proxy is."""
        self._call(link.receiver, tuple, then=lambda: self.show(link, payload, seq), said=link.sender)

    def closed(self, link: Link, code: int | None) -> None:
        """The neighbour `link.sender` has closed, or was never there."""
        back = Link(link.receiver, link.sender)
        if back not in self._closed:
            self._closed.add(back)
            self._call(link.receiver, self.parties[link.receiver].closed, link.sender, code)

    def act(self, party: str, effects: Effects) -> None:
        """Carry out what a party here decided outside of a call (the user, who watches others)."""
        self._call(party, lambda: effects)

    def end(self) -> None:
        """Nobody is called any more, and nothing more is sent."""
        self._ended = True
        for handle in self._timers.values():
            handle.cancel()
        self._timers.clear()
        self._waiting.clear()
        # Cut loose from what knows it, so that no collection is needed to free it.
        self.lines.clear()
        self.watch = self.connect = None

    def fail(self, error: Exception, party: str | None = None) -> None:
        """What nobody expected: it ends the session, and surfaces behind it."""
        self.broken = self.broken or error
        self._break(party or next(iter(self.parties)), f"{type(error).__name__}: {error}")

    # -- calls, one at a time ----------------------------------------------------------------------------------------

    def _call(
        self,
        party: str,
        call: Callable[..., Effects],
        *arguments: Any,
        then: Callable[[], None] | None = None,
        said: str | None = None,
    ) -> None:
        if self._ended:
            return
        self._waiting.append(_Call(party, call, arguments, then, said))
        if self._running:
            return
        self._running = True
        try:
            while self._waiting:
                each = self._waiting.popleft()
                try:
                    self.apply(each.party, each.call(*each.arguments))
                    if each.then is not None:
                        each.then()
                except InputError as error:
                    self._break(each.party, str(error))
                except Exception as error:  # it must end the session, not only this callback
                    if each.said is None:
                        self.fail(error, each.party)
                    else:
                        # Somebody else's message of a shape that no release sends ends its own session, not a sweep.
                        self._break(each.party, f"what {each.said} said cannot be read ({type(error).__name__}: {error})")
        finally:
            self._running = False

    def _break(self, party: str, why: str) -> None:
        lines = [*self.lines.values()]
        self.end()
        self.recorder.fault(lines[0].incoming if lines else USER_TO_APP, f"{party}: {why}")
        for line in lines:
            line.close(1011)

    def apply(self, actor: str, effects: Iterable[Effect]) -> None:
        # An effect can end the session: those after it are dropped.
        super().apply(actor, takewhile(lambda _: not self._ended, effects))

    def send(self, actor: str, to: str, payload: Payload) -> None:
        self._send(_LINK[actor, to], payload)

    def set_timer(self, actor: str, timer: SetTimer) -> None:
        self.cancel_timer(actor, timer.name)
        after = self.times.ns(timer.after, timer.index, self.seed)
        if self.playing is not None and actor != "proxy":
            after = self.playing.timer_ns(actor, timer.name, after, self.recorder.last_ns)
        due = (self.recorder.last_ns + after) / 1e9
        self._timers[actor, timer.name] = asyncio.get_running_loop().call_at(due, self._ring, actor, timer.name)

    def cancel_timer(self, actor: str, name: str) -> None:
        if handle := self._timers.pop((actor, name), None):
            handle.cancel()

    def close(self, actor: str, to: str, code: int | None) -> None:
        link = _LINK[actor, to]
        if link not in self._closed:
            self._closed.add(link)
            if line := self.lines.get(link):
                line.close(code)

    def open(self, actor: str, to: str) -> None:
        link = _LINK[actor, to]
        if self.connect is not None:
            self._closed -= {link, Link(link.receiver, link.sender)}
            if (line := self.lines.pop(link, None)) is not None:
                line.gone = True
            self._early[link] = []
            self.recorder.opened(link)
            self.connect()

    def _ring(self, party: str, name: str) -> None:
        del self._timers[party, name]
        self.recorder.now_ns()
        self._call(party, self.parties[party].timer, name)

    def _send(self, link: Link, payload: Payload) -> None:
        if link in self._closed:
            return
        if link in self._early:
            self._early[link].append(payload)
        elif line := self.lines.get(link):
            for number, each in line.send(payload):
                self.show(link, each, number)
        elif link.receiver in self.parties:
            seq = self.recorder.sent(link, "message", payload, "engine")
            self.recorder.received(link, "message")
            self.message(link, payload, seq)

    def show(self, link: Link, payload: Payload, seq: int) -> None:
        """Let whoever watches see a message."""
        if self.watch is not None:
            self.watch(link, payload, seq)
