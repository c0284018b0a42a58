"""Parties of one session at one place, on the real clock: what they say to each other is instant, the rest goes over lines.

A place does for its parties what the virtual engine does for all of them: it calls them, carries out their effects in
order, and writes down what passes. Timers count from the moment in which the party was called, so a late event delays
what follows from it and nothing else.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from voicerace.engines.recorder import Recorder
from voicerace.errors import InputError
from voicerace.parameters import Times
from voicerace.parties.party import Cancel, Close, Effects, Party, Send, SetTimer
from voicerace.recording import LINKS, Link, Payload

if TYPE_CHECKING:
    from voicerace.engines.line import Line

__all__ = ["Place"]

_LINK = {(each.sender, each.receiver): each for each in LINKS}


class Place:
    """Runs parties on the event loop.

    Args:
        parties: by name; messages between two of them stay here.
        times: a value for every named duration.
        seed: of the draws.
        recorder: takes down what passes.
        watch: called with (link, payload, number) when a message was handled here, and when one was sent from here.
    """

    def __init__(
        self,
        parties: Mapping[str, Party],
        times: Times,
        seed: int,
        recorder: Recorder,
        watch: Callable[[Link, Payload, int], None] | None = None,
    ) -> None:
        self.parties = dict(parties)
        self.times = times
        self.seed = seed
        self.recorder = recorder
        self.watch = watch
        self.lines: dict[tuple[str, str], Line] = {}
        self.broken: BaseException | None = None
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._waiting: deque[tuple[Callable[..., Effects], tuple[Any, ...], str, Callable[[], None] | None]] = deque()
        self._running = False
        self._closed: set[Link] = set()

    def start(self) -> None:
        """The connections are open."""
        for name, party in self.parties.items():
            self._call(name, party.start)

    def message(self, link: Link, payload: Payload, seq: int) -> None:
        """A message reached a party here."""
        party = self.parties[link.receiver]
        self._call(link.receiver, party.message, link.sender, payload, then=lambda: self.show(link, payload, seq))

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
        """Nobody is called any more."""
        for handle in self._timers.values():
            handle.cancel()
        self._timers.clear()
        self._waiting.clear()

    # -- calls, one at a time ----------------------------------------------------------------------------------------

    def _call(self, party: str, call: Callable[..., Effects], *arguments: Any, then: Callable[[], None] | None = None) -> None:
        self._waiting.append((call, arguments, party, then))
        if self._running:
            return
        self._running = True
        try:
            while self._waiting:
                call, arguments, party, then = self._waiting.popleft()
                self._apply(party, call(*arguments))
                if then is not None:
                    then()
        except InputError as error:
            self._break(party, error)
        except Exception as error:  # a party's own fault must end the session, not only this callback
            self.broken = error
            self._break(party, error)
        finally:
            self._running = False

    def _break(self, party: str, error: Exception) -> None:
        self.end()
        line = next(iter(self.lines.values()), None)
        self.recorder.fault(line.incoming if line is not None else Link("user", "app"), f"{party}: {error}")
        for line in self.lines.values():
            line.close(1011)

    def _apply(self, party: str, effects: Effects) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self._send(_LINK[party, effect.to], effect.payload)
            elif isinstance(effect, SetTimer):
                self._cancel(party, effect.name)
                after = self.times.ns(effect.after, effect.index, self.seed)
                due = (self.recorder.last_ns + after) / 1e9
                handle = asyncio.get_running_loop().call_at(due, self._ring, party, effect.name)
                self._timers[party, effect.name] = handle
            elif isinstance(effect, Cancel):
                self._cancel(party, effect.name)
            elif isinstance(effect, Close):
                self._close(_LINK[party, effect.to], effect.code)

    def _ring(self, party: str, name: str) -> None:
        del self._timers[party, name]
        self.recorder.now_ns()
        self._call(party, self.parties[party].timer, name)

    def _cancel(self, party: str, name: str) -> None:
        if handle := self._timers.pop((party, name), None):
            handle.cancel()

    def _send(self, link: Link, payload: Payload) -> None:
        if link in self._closed:
            return
        if line := self.lines.get(link):
            for number, each in line.send(payload):
                self.show(link, each, number)
        elif link.receiver in self.parties:
            seq = self.recorder.sent(link, "message", payload, "engine")
            self.recorder.received(link, "message")
            self.message(link, payload, seq)

    def _close(self, link: Link, code: int | None) -> None:
        if link not in self._closed:
            self._closed.add(link)
            if line := self.lines.get(link):
                line.close(code)

    def show(self, link: Link, payload: Payload, seq: int) -> None:
        """Let whoever watches see a message."""
        if self.watch is not None:
            self.watch(link, payload, seq)
