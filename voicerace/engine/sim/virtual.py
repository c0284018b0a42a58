"""Virtual engine: runs a session in virtual time, exactly and reproducibly.

Events in the same nanosecond are processed in causal rounds: an effect without a delay belongs to the next round. Within a
round, the order of actors is upstream, proxy, component, app, user. For one actor, timers come before messages, messages from
actors nearer to the upstream come before others, and each link keeps its order. Therefore a `response.create` that arrives when
the slot becomes free is accepted, and a result that arrives together with `response.done` is processed after `response.done`.

Event-loop scheduling, TCP bursts and clock drift are not modelled. The delay of a link is drawn once per session.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from voicerace.engine.reader import Reader
from voicerace.engine.schedule import Schedule, ScheduleCursor
from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError
from voicerace.model.actors.actor import RANK_WITH_FORWARDER, RENEWED, Actor, Effects, SetTimer
from voicerace.model.actors.effects import Interpreter
from voicerace.model.actors.user import User
from voicerace.trace.recording import (
    COMPONENT_TO_APP,
    COMPONENT_TO_FORWARDER,
    COMPONENT_TO_PROXY,
    FORWARDER_LINKS,
    FORWARDER_TO_COMPONENT,
    PROXY_TO_COMPONENT,
    PROXY_TO_UPSTREAM,
    UPSTREAM_TO_PROXY,
    WIRES,
    Event,
    Link,
    Payload,
    Recording,
)

__all__ = ["Tie", "VirtualEngine", "simulate", "ties"]

_WITHOUT_FORWARDER = {COMPONENT_TO_FORWARDER: COMPONENT_TO_PROXY, FORWARDER_TO_COMPONENT: PROXY_TO_COMPONENT}
#: Links whose messages the user observes: when they are sent, or when they arrive.
_SEEN_LEAVING = frozenset({COMPONENT_TO_PROXY, PROXY_TO_UPSTREAM})
_SEEN_LEAVING_WITH_FORWARDER = frozenset({COMPONENT_TO_FORWARDER, PROXY_TO_UPSTREAM})
_SEEN_ARRIVING = frozenset({COMPONENT_TO_APP, UPSTREAM_TO_PROXY})
#: Maximum number of steps of a session, more than any scenario needs. Stops models that loop.
_MAX_STEPS = 200_000


@dataclass(slots=True)
class _Channel:
    """Link of a running session.

    Attributes:
        link, sender, receiver: its name and its ends. `sender` is the receiver's name for the sender.
        delay_ns: delay of a message.
        wire: a schedule can set the delay of each message.
        priority: see `_priority`.
        deliver: the receiver's method for a message.
        seen_leaving: whether the user observes messages when they are sent.
        seen_arriving: whether the user observes messages when they arrive.
    """

    link: Link
    sender: str
    receiver: str
    delay_ns: int
    wire: bool
    priority: int
    deliver: Callable[[str, Payload], Effects]
    seen_leaving: bool
    seen_arriving: bool
    open: bool = True


#: (time_ns, round, priority, number, cause, channel, what), in the order of processing. Numbers are unique, so the fields after
#: the number are never compared. `what` is an event of the channel or, without a channel, a timer as (actor, name).
_Due: TypeAlias = tuple[int, int, int, int, int, "_Channel | None", Any]


def _priority(receiver: str, sender: str | None) -> int:
    """Position within a round: by receiver; then its timers (no sender), then messages by sender."""
    rank = RANK_WITH_FORWARDER
    return 100 * rank[receiver] + (0 if sender is None else 10 + rank[sender])


_TIMER_PRIORITY = {name: _priority(name, None) for name in RANK_WITH_FORWARDER}


@dataclass(frozen=True)
class Tie:
    """Two steps of one actor in the same nanosecond, as numbers from `VirtualEngine.steps`."""

    first: int
    second: int


class VirtualEngine(Interpreter):
    """Runs one session to its end.

    Args:
        session: configuration of the session. A session from `begun` keeps the minimum spacing of messages on sockets.
        actors: unused actors by name (models, or adapters of running programs); by default the models of the session.
        swap: tie whose first step is processed after its second step, or None.
        schedule: durations of single timers and messages, in place of the session's schedule and times.
    """

    def __init__(
        self,
        session: SessionConfig,
        actors: Mapping[str, Actor] | None = None,
        swap: Tie | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        self.session = session
        self.actors = dict(actors or session.actors())
        self.user = self.actors["user"]
        self._observe = self.user.observe if isinstance(self.user, User) else None
        self.swap = swap
        self.now_ns = 0
        self._round = 0
        self._heap: list[_Due] = []
        self._number = 0
        self._cause = -1
        #: Whether the forwarder's present connection to the proxy was opened.
        self._connected = False
        self._timers: dict[tuple[str, str], int] = {}
        #: Number of the first message of each link on the current connection. Earlier messages are dropped when they arrive.
        self._since: dict[Link, int] = {}
        #: Events in the order in which they were sent. An event that has arrived has both times.
        self._log: list[Event] = []
        self._done: list[_Due] = []
        self._held: list[_Due] = []
        self._seen: set[int] = set()
        self._forwarder = "forwarder" in self.actors
        self._channels = self._all_channels()
        self._reader = Reader.of(session.times, session.seed)
        self._to_host = self._channels["forwarder" if self._forwarder else "proxy"].get("component")
        if schedule is None and session.cursor is not None:
            self._cursor: ScheduleCursor | None = session.cursor
        else:
            schedule = schedule or session.schedule
            self._cursor = ScheduleCursor(schedule) if schedule is not None else None

    def _all_channels(self) -> dict[str, dict[str, _Channel]]:
        """Return the channel of every link, by sender and receiver."""
        times, seed = self.session.times, self.session.seed
        host, upstream = times.ns("host_rtt_ms", 0, seed), times.ns("upstream_rtt_ms", 0, seed)
        delays_ns = {
            COMPONENT_TO_PROXY: host // 2,
            PROXY_TO_COMPONENT: host - host // 2,
            PROXY_TO_UPSTREAM: upstream // 2,
            UPSTREAM_TO_PROXY: upstream - upstream // 2,
        }
        if self._forwarder:
            # The forwarder runs beside the proxy, so the network is between component and forwarder.
            delays_ns[COMPONENT_TO_FORWARDER] = delays_ns.pop(COMPONENT_TO_PROXY)
            delays_ns[FORWARDER_TO_COMPONENT] = delays_ns.pop(PROXY_TO_COMPONENT)
        channels: dict[str, dict[str, _Channel]] = {name: {} for name in RANK_WITH_FORWARDER}
        watched = self._observe is not None
        leaving = _SEEN_LEAVING_WITH_FORWARDER if self._forwarder else _SEEN_LEAVING
        for link in self.session.links:
            ends = self.session.ends.get(link)
            sender, receiver, name, to = ends or (*link, *link)
            channels[sender][to] = _Channel(
                link, name, receiver, delays_ns.get(link, 0), link in delays_ns, _priority(receiver, sender),
                self.actors[receiver].message, watched and link in leaving, watched and link in _SEEN_ARRIVING,
            )  # fmt: skip
        return channels

    def run(self) -> Recording:
        """Run the session to its end and return its recording."""
        for name in RANK_WITH_FORWARDER:
            # With a forwarder, proxy and upstream start when its connection to the proxy opens.
            if name in self.actors and not (self._forwarder and name in RENEWED):
                self.apply(name, self.actors[name].start())
        heap, done = self._heap, self._done
        while heap or self._held:
            if not heap:
                self._release_held()
            due = heapq.heappop(heap)
            if self._reader is not None and due[5] is self._to_host and due[0] < self._reader.until_ns:
                heapq.heappush(heap, (self._reader.until_ns, 0, *due[2:]))
                continue
            if self.swap is not None and self._hold(due):
                continue
            self._process(due)
            if len(done) > _MAX_STEPS:
                raise RuntimeError(f"session does not end: {_MAX_STEPS} steps at {self.now_ns} ns")
        return Recording(tuple(self._log), self.session.provenance(), clock="virtual", observed=self.session.links)

    @property
    def steps(self) -> list[tuple[int, int, str, str, int]]:
        """Processed steps in order, as (number, time_ns, actor, link or timer, number of the causing step)."""
        found = []
        for time, _, _, number, cause, channel, what in self._done:
            if channel is not None:
                found.append((number, time, channel.receiver, str(channel.link), cause))
            else:
                found.append((number, time, what[0], f"timer {what[1].partition(':')[0]}", cause))
        return found

    # -- one step ----------------------------------------------------------------------------------------------------

    def _process(self, due: _Due) -> None:
        now, self._round, _, number, _, channel, what = due
        self.now_ns = now
        if channel is None:
            if self._timers.get(what) != number:
                return
            del self._timers[what]
            actor, name = what
            self._done.append(due)
            self._cause = number
            self.apply(actor, self.actors[actor].timer(name))
        else:
            if self._since and what.seq < self._since.get(channel.link, 0):
                return
            what.received_ns = now
            self._done.append(due)
            self._cause = number
            if what.kind == "close":
                self._channels[channel.receiver][channel.sender].open = False
                self.apply(channel.receiver, self.actors[channel.receiver].closed(channel.sender, what.payload["code"]))
            else:
                effects = channel.deliver(channel.sender, what.payload)
                if effects:
                    self.apply(channel.receiver, effects)
                if channel.seen_arriving:
                    self._show(channel, what)
                if self._reader is not None and channel is self._to_host:
                    self._reader.read(what.payload, now)
        if self.swap is not None:
            self._seen.add(number)
            if self._held and self.swap.second == number:
                self._release_held()

    def _show(self, channel: _Channel, event: Event) -> None:
        """Show the user a message between other actors."""
        if self._observe is not None:
            effects = self._observe(channel.sender, channel.receiver, event.payload, event.seq)
            if effects:
                self.apply("user", effects)

    # -- effects -----------------------------------------------------------------------------------------------------

    def send(self, actor: str, to: str, payload: Payload) -> None:
        channel = self._channels[actor][to]
        if channel.open:
            self._put(channel, "message", payload)

    def set_timer(self, actor: str, timer: SetTimer) -> None:
        after = self.session.times.ns(timer.after, timer.index, self.session.seed)
        if self._cursor is not None:
            after = self._cursor.timer_ns(actor, timer.name, after, self.now_ns)
        key = (actor, timer.name)
        self._timers[key] = number = self._number
        self._number = number + 1
        round_ = 0 if after else self._round + 1
        heapq.heappush(self._heap, (self.now_ns + after, round_, _TIMER_PRIORITY[actor], number, self._cause, None, key))

    def cancel_timer(self, actor: str, name: str) -> None:
        self._timers.pop((actor, name), None)

    def close(self, actor: str, to: str, code: int | None) -> None:
        channel = self._channels[actor][to]
        if channel.open:
            self._put(channel, "close", {"code": code})
        channel.open = False

    def open(self, actor: str, to: str) -> None:
        """Renew the proxy and the upstream. The connection opens at once, unlike a real one.

        With a forwarder, the component's connection renews the forwarder. The forwarder's own connection starts the others.
        """
        if self._reader is not None and actor == "component":
            self._reader.reconnected()
        if actor == "forwarder" and not self._connected:
            self._connected = True
            self._log.append(Event(len(self._log), COMPONENT_TO_PROXY, "open", self.now_ns, self.now_ns, {}))
            for name in RENEWED:
                self.apply(name, self.actors[name].start())
            return
        link = self._channels[actor][to].link
        self._log.append(Event(len(self._log), link, "open", self.now_ns, self.now_ns, {}))
        wires = (*WIRES, *FORWARDER_LINKS) if self._forwarder else WIRES
        renewed = (*RENEWED, "forwarder") if self._forwarder else RENEWED
        self._since |= dict.fromkeys(wires, len(self._log))
        self._timers = {key: number for key, number in self._timers.items() if key[0] not in renewed}
        for name in renewed:
            self.actors[name] = self.actors[name].renew()
        for channel in (each for sender in self._channels.values() for each in sender.values()):
            if channel.link in wires:
                channel.open, channel.deliver = True, self.actors[channel.receiver].message
        self._connected = False
        for name in renewed if not self._forwarder else ("forwarder",):
            self.apply(name, self.actors[name].start())

    def _put(self, channel: _Channel, kind: Literal["message", "close"], payload: Payload) -> None:
        """Send a message, or the close of the connection, on a link."""
        now, log, delay = self.now_ns, self._log, channel.delay_ns
        if self._cursor is not None and channel.wire:
            # A schedule names the network by the links of a session without a forwarder.
            delay = self._cursor.travel_ns(_WITHOUT_FORWARDER.get(channel.link, channel.link), now)
        number = self._number
        self._number = number + 1
        event = Event(len(log), channel.link, kind, now, None, payload)
        log.append(event)
        round_ = 0 if delay else self._round + 1
        heapq.heappush(self._heap, (now + delay, round_, channel.priority, number, self._cause, channel, event))
        if channel.seen_leaving and kind == "message":
            self._show(channel, event)

    # -- ties --------------------------------------------------------------------------------------------------------

    def _hold(self, due: _Due) -> bool:
        """Hold the tie's first step, and later messages of its link, until the second step. Return whether `due` is held."""
        if self.swap is None or self.swap.second in self._seen:
            return False
        if due[3] == self.swap.first and not self._held:
            self._held.append(due)
            return True
        if self._held:
            first, channel, first_channel = self._held[0], due[5], self._held[0][5]
            if due[0] > first[0]:
                heapq.heappush(self._heap, due)
                self._release_held()
                return True
            if channel is not None and channel is first_channel:
                self._held.append(due)
                return True
        return False

    def _release_held(self) -> None:
        """Release the held steps before all other steps in this nanosecond."""
        self._seen.add(self.swap.second if self.swap else -1)
        for time, _, priority, *rest in self._held:
            # Keeps their order, before all other steps of the round.
            heapq.heappush(self._heap, (time, self._round, priority % 100 - 100, *rest))
        self._held.clear()


def simulate(session: SessionConfig) -> Recording:
    """Run one session of the models in virtual time.

    Raises:
        InputError: `session` is not a session.
    """
    if not isinstance(session, SessionConfig):
        raise InputError("session", f"{session!r:.60} is a {type(session).__name__}", "a session from SessionConfig.of")
    return VirtualEngine(session).run()


def ties(session: SessionConfig, judge: Callable[[Recording], str]) -> tuple[Recording, str | None]:
    """Run a session, and find two simultaneous events whose order changes the outcome.

    Such a tie is a pair of events of one actor in the same nanosecond, from different sources, neither caused by the other.

    Returns:
        (recording, outcome after the first tie is swapped), with None as the outcome if there is no tie.
    """
    engine = VirtualEngine(session)
    recording = engine.run()
    usual = judge(recording)
    for tie in _candidates(engine.steps):
        other = judge(VirtualEngine(session, swap=tie).run())
        if other != usual:
            return recording, other
    return recording, None


def _candidates(steps: list[tuple[int, int, str, str, int]]) -> list[Tie]:
    """Return pairs of steps of one actor in one nanosecond, from different sources, neither caused by the other.

    Each step is paired with every earlier step, not only with the last step of a source, because the step could come before any
    message of a batch (for example item, `response.done`, rate limits).
    """
    causes = {number: cause for number, _, _, _, cause in steps}
    together: dict[tuple[int, str], list[tuple[str, int]]] = {}
    pairs: list[Tie] = []
    for number, time, actor, source, _ in steps:
        if actor in ("app", "user"):
            continue
        earlier = together.setdefault((time, actor), [])
        pairs += [Tie(other, number) for name, other in earlier if name != source and not _caused(number, other, causes)]
        earlier.append((source, number))
    return pairs


def _caused(number: int, ancestor: int, causes: Mapping[int, int]) -> bool:
    while number > ancestor:
        number = causes.get(number, -1)
    return number == ancestor
