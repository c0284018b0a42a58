"""The virtual engine: carries the messages of a session in virtual time, exactly and repeatably.

Events of one nanosecond run in causal rounds: an effect without a delay belongs to the next round. Within a round the
order is upstream, proxy, component, app, user; for one party its timers come before messages, messages of the party
nearer to the upstream before others, and each link keeps its order. So a create that arrives at the very moment in
which the slot becomes free is accepted, and a result that arrives together with response.done comes after it.

What this cannot show: scheduling of a real event loop, TCP's bursts, and clocks that run apart. Delays of a link are
drawn once per session, so messages of a link never overtake each other.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from voicerace.engines.schedule import Playing, Schedule
from voicerace.engines.session import Session
from voicerace.parties.party import Cancel, Close, Effects, Open, Party, Renewable, Send, SetTimer
from voicerace.parties.user import User
from voicerace.recording import LINKS, Event, Link, Payload, Recording

__all__ = ["Tie", "VirtualEngine", "simulate", "ties"]

_RANK = {"upstream": 0, "proxy": 1, "component": 2, "app": 3, "user": 4}
_LINK = {(each.sender, each.receiver): each for each in LINKS}
_NAME = {each: str(each) for each in LINKS}
#: What the user sees as it is sent, at its sender.
_SEEN_LEAVING = frozenset({Link("component", "proxy"), Link("proxy", "upstream")})
#: More than any session of these scenarios needs; a model that loops ends here instead of running for ever.
_MAX_STEPS = 200_000

#: (time_ns, round, receiver rank, timer before message, sender rank, number): the order of processing; and what happens.
#: No two have one number, so that nothing behind it is ever compared.
_Due = tuple[int, int, int, int, int, int, tuple[Any, ...]]


@dataclass(frozen=True)
class Tie:
    """Two things that happened to one party in the same nanosecond, by the numbers the engine gave them."""

    first: int
    second: int


class VirtualEngine:
    """Runs one session to its end.

    Args:
        session: what is played; its `Times` give every named duration. One that has `begun` keeps the distances of sockets.
        parties: fresh parties by name; any can be replaced by an adapter of a real one.
        provenance: what the recording says of itself.
        swap: process the first of a tie after the second instead of before.
        schedule: a duration for single timers and messages, instead of the session's own, and of its times.
    """

    def __init__(
        self,
        session: Session,
        parties: Mapping[str, Party] | None = None,
        provenance: Mapping[str, Any] | None = None,
        swap: Tie | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        self.session = session
        self.parties = dict(parties or session.parties())
        self.user = self.parties["user"]
        self._observe = self.user.observe if isinstance(self.user, User) else None
        self.provenance = dict(provenance or session.provenance())
        self.swap = swap
        self.now_ns = 0
        self.steps: list[tuple[int, int, str, str, int]] = []
        self._round = 0
        self._heap: list[_Due] = []
        self._number = 0
        self._cause = -1
        self._timers: dict[tuple[str, str], int] = {}
        self._closed: set[Link] = set()
        #: Messages of a link with lower numbers belong to a connection that is gone.
        self._since: dict[Link, int] = {}
        self._log: list[list[Any]] = []
        self._held: list[_Due] = []
        self._seen: set[int] = set()
        self._delay_ns = self._link_delays()
        if schedule is None and session.playing is not None:
            self._playing: Playing | None = session.playing
        else:
            schedule = schedule or session.schedule
            self._playing = Playing(schedule) if schedule is not None else None

    def _link_delays(self) -> dict[tuple[str, str], int]:
        times, seed = self.session.times, self.session.seed
        host, upstream = times.ns("host_rtt_ms", 0, seed), times.ns("upstream_rtt_ms", 0, seed)
        return {
            ("component", "proxy"): host // 2,
            ("proxy", "component"): host - host // 2,
            ("proxy", "upstream"): upstream // 2,
            ("upstream", "proxy"): upstream - upstream // 2,
        }

    def run(self) -> Recording:
        """Play the session and give back what passed."""
        for name in ("upstream", "proxy", "component", "app", "user"):
            self._apply(name, self.parties[name].start())
        while self._heap or self._held:
            if not self._heap:
                self._release_held()
            due = heapq.heappop(self._heap)
            if self.swap is not None and self._hold(due):
                continue
            self._process(due)
            if len(self.steps) > _MAX_STEPS:
                raise RuntimeError(f"session does not end: {_MAX_STEPS} steps at {self.now_ns} ns")
        return Recording(
            events=tuple([Event(seq, *entry) for seq, entry in enumerate(self._log)]),
            provenance=self.provenance,
            clock="virtual",
            observed=LINKS,
            complete=True,
        )

    # -- one step ----------------------------------------------------------------------------------------------------

    def _process(self, due: _Due) -> None:
        self.now_ns, self._round, _, _, _, number, (kind, what, which, cause) = due
        if kind == "timer":
            party, name = what, which
            if self._timers.get((party, name)) != number:
                return
            del self._timers[party, name]
            self.steps.append((number, self.now_ns, party, f"timer {name.partition(':')[0]}", cause))
            self._cause = number
            self._apply(party, self.parties[party].timer(name))
        else:
            link, seq = what, which
            if self._since and seq < self._since.get(link, 0):
                return
            entry = self._log[seq]
            entry[3] = self.now_ns
            sender, receiver = link
            self.steps.append((number, self.now_ns, receiver, _NAME[link], cause))
            self._cause = number
            if entry[1] == "close":
                self._closed.add(Link(receiver, sender))
                self._apply(receiver, self.parties[receiver].closed(sender, entry[4]["code"]))
            else:
                effects = self.parties[receiver].message(sender, entry[4])
                if effects:
                    self._apply(receiver, effects)
                if sender == "upstream" or receiver == "app":
                    self._show(link, seq)
        if self.swap is not None:
            self._seen.add(number)
            if self._held and self.swap.second == number:
                self._release_held()

    def _show(self, link: Link, seq: int) -> None:
        """Let the user see what passed between others."""
        if self._observe is not None:
            effects = self._observe(link.sender, link.receiver, self._log[seq][4], seq)
            if effects:
                self._apply("user", effects)

    def _apply(self, party: str, effects: Effects) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self._send(party, effect.to, "message", effect.payload)
            elif isinstance(effect, SetTimer):
                after = self.session.times.ns(effect.after, effect.index, self.session.seed)
                if self._playing is not None:
                    after = self._playing.timer_ns(party, effect.name, after)
                self._timers[party, effect.name] = self._number
                self._push(after, party, 0, _RANK[party], ("timer", party, effect.name, self._cause))
            elif isinstance(effect, Cancel):
                self._timers.pop((party, effect.name), None)
            elif isinstance(effect, Close):
                self._send(party, effect.to, "close", {"code": effect.code})
                self._closed.add(_LINK[party, effect.to])
            elif isinstance(effect, Open):
                self._open_again(_LINK[party, effect.to])

    def _open_again(self, link: Link) -> None:
        """The proxy and the upstream begin anew; the connection opens in no time (the real one takes a round trip)."""
        self._log.append([link, "open", self.now_ns, self.now_ns, {}])
        renewed = {name: party for name in ("upstream", "proxy") if isinstance(party := self.parties[name], Renewable)}
        links = {each for each in LINKS if "proxy" in each}
        self._closed -= links
        self._since |= dict.fromkeys(links, len(self._log))
        self._timers = {key: number for key, number in self._timers.items() if key[0] not in renewed}
        for name, party in renewed.items():
            self.parties[name] = party.again()
        for name in renewed:
            self._apply(name, self.parties[name].start())

    def _send(self, sender: str, receiver: str, kind: str, payload: Payload) -> None:
        link = _LINK[sender, receiver]
        if self._closed and link in self._closed:
            return
        seq = len(self._log)
        self._log.append([link, kind, self.now_ns, None, payload])
        delay = self._delay_ns.get((sender, receiver), 0)
        if self._playing is not None and (sender, receiver) in self._delay_ns:
            delay = self._playing.travel_ns(link, self.now_ns)
        # As `_push` does: one call less for every message.
        number = self._number
        self._number = number + 1
        round_, item = 0 if delay else self._round + 1, ("message", link, seq, self._cause)
        heapq.heappush(self._heap, (self.now_ns + delay, round_, _RANK[receiver], 1, _RANK[sender], number, item))
        if kind == "message" and link in _SEEN_LEAVING:
            self._show(link, seq)

    def _push(self, delay_ns: int, receiver: str, order: int, sender_rank: int, item: tuple[Any, ...]) -> None:
        number = self._number
        self._number = number + 1
        round_ = 0 if delay_ns else self._round + 1
        heapq.heappush(self._heap, (self.now_ns + delay_ns, round_, _RANK[receiver], order, sender_rank, number, item))

    # -- ties --------------------------------------------------------------------------------------------------------

    def _hold(self, due: _Due) -> bool:
        """Keep back the first of the tie, and what its link sends behind it, until the second was processed."""
        if self.swap is None or self.swap.second in self._seen:
            return False
        if due[5] == self.swap.first and not self._held:
            self._held.append(due)
            return True
        if self._held:
            first, item, first_item = self._held[0], due[6], self._held[0][6]
            if due[0] > first[0]:
                heapq.heappush(self._heap, due)
                self._release_held()
                return True
            if item[0] == "message" and first_item[0] == "message" and item[1] == first_item[1]:
                self._held.append(due)
                return True
        return False

    def _release_held(self) -> None:
        """Let go what was kept back, ahead of everything else of this nanosecond."""
        self._seen.add(self.swap.second if self.swap else -1)
        for time, _, _, order, sender_rank, number, item in self._held:
            heapq.heappush(self._heap, (time, self._round, -1, order, sender_rank, number, item))
        self._held.clear()


def simulate(session: Session) -> Recording:
    """One session of the models, in virtual time."""
    return VirtualEngine(session).run()


def ties(session: Session, judge: Callable[[Recording], str]) -> tuple[Recording, str | None]:
    """The session's recording, and the outcome that the swap of one pair of simultaneous events would give.

    A tie is a pair of events that one party meets in the same nanosecond, from different sources, neither caused by
    the other, whose swap changes what `judge` says. The first such pair in time decides; without one, None.
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
    """Steps of one party in one nanosecond from different sources, neither the other's cause.

    Every earlier step is a candidate, not only the newest of its source: of a batch (the call's item, response.done,
    rate limits) any one may be what the second comes before.
    """
    causes = {number: cause for number, _, _, _, cause in steps}
    together: dict[tuple[int, str], list[tuple[str, int]]] = {}
    pairs: list[Tie] = []
    for number, time, party, source, _ in steps:
        if party in ("app", "user"):
            continue
        earlier = together.setdefault((time, party), [])
        pairs += [Tie(other, number) for name, other in earlier if name != source and not _caused(number, other, causes)]
        earlier.append((source, number))
    return pairs


def _caused(number: int, ancestor: int, causes: Mapping[int, int]) -> bool:
    while number > ancestor:
        number = causes.get(number, -1)
    return number == ancestor
