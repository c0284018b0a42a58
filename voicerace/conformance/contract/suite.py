"""Runs the contract: opens one connection per experiment, and some to measure times. Returns one answer per fact.

If a connection fails, the answer of its experiment is unknown, and the run continues. If the first connection does not open,
the run ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from voicerace.conformance.contract.apis import AddressApi, MockApi
from voicerace.conformance.contract.client import Client, InconclusiveError, Patience
from voicerace.conformance.contract.facts import Experiment, Fact, FactAnswer, held, unknown
from voicerace.conformance.contract.result import Contract, FactResult, keep
from voicerace.conformance.contract.steps import CALL, begin, finish, first_call, reply, send_result, set_up
from voicerace.conformance.contract.table import DONE_BEFORE_RESULT, FACTS
from voicerace.conformance.contract.times import done_before_result, spreads
from voicerace.engine.live import clock
from voicerace.engine.live.connecting import NotConnectedError
from voicerace.engine.live.recorder import Recorder
from voicerace.engine.live.targets import UpstreamTarget
from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError, one_of
from voicerace.scrubber import Scrubber
from voicerace.trace.recording import UPSTREAM_LINKS, UPSTREAM_TO_PROXY, Recording

__all__ = ["CALLS_ELSEWHERE", "check_contract", "sessions_needed"]

#: Kind of target -> default number of extra function calls for the times.
_REPEATS: Final = {"mock": 5}
CALLS_ELSEWHERE: Final = 3
_AT_ONCE: Final = {"mock": 8}
#: Number of messages in the trace of an experiment without an answer. The trace contains the last messages.
_LAST: Final = 6


def sessions_needed(repeats: int, facts: Sequence[Fact] = FACTS) -> int:
    """Return the number of sessions that a run opens."""
    return sum(fact.experiment is not None for fact in facts) + repeats


def _chosen(names: Sequence[str]) -> tuple[Fact, ...]:
    """Return the facts with these names in the table's order. If there are no names, return all facts.

    Raises:
        InputError: a name is unknown.
    """
    known = [fact.name for fact in FACTS]
    for name in names:
        one_of("fact", name, known)
    return tuple(fact for fact in FACTS if not names or fact.name in names)


def check_contract(
    target: UpstreamTarget,
    session: SessionConfig | None = None,
    *,
    facts: Sequence[str] = (),
    repeats: int | None = None,
    max_sessions: int | None = None,
    at_once: int | None = None,
    patience: Patience | None = None,
    folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Contract:
    """Test facts on an API and return the result.

    In a notebook, where an event loop is running, call this function in a thread.

    Args:
        target: the mock, or an API at an address.
        session: configuration with the mock's knobs and times.
        facts: names of the facts to test; by default all.
        repeats: number of function calls only for measuring times; by default 5 with the mock and 3 with an API.
        max_sessions: maximum number of sessions; required for an API that costs money.
        at_once: number of concurrent sessions; by default 8 with the mock. With an API the default is 1, so that sessions
            do not disturb each other's times or exceed rate limits.
        patience: timeouts; by default derived from the mock's times, and 15 s with an API.
        folder: folder for the recordings. Each recording is written when its session ends, so an interrupted run keeps the
            finished recordings.
        progress: called with the numbers of finished sessions and of all sessions.

    Raises:
        InputError: a fact is unknown, `max_sessions` is missing, or the run needs more sessions than it allows.
    """
    chosen = _chosen(facts)
    count = _REPEATS.get(target.kind, CALLS_ELSEWHERE) if repeats is None else repeats
    needed = sessions_needed(count, chosen)
    if target.costs and max_sessions is None:
        raise InputError("max_sessions", f"is missing for {target.name}, which may cost money", f"{needed} sessions are needed")
    if max_sessions is not None and max_sessions < needed:
        alone = needed - count
        raise InputError("max_sessions", f"{max_sessions}, but {needed} are needed", f"{alone}, and one for each of --repeats")
    run = _Run(target, session or SessionConfig.of(), chosen, count, at_once or _AT_ONCE.get(target.kind, 1), patience)
    run.folder, run.progress = folder, progress
    return clock.run(run.all())


class _Run:
    """One run of the contract; see `check_contract`."""

    def __init__(
        self,
        target: UpstreamTarget,
        session: SessionConfig,
        facts: tuple[Fact, ...],
        repeats: int,
        at_once: int,
        patience: Patience | None,
    ) -> None:
        self.target = target
        self.facts = facts
        self.api: MockApi | AddressApi = MockApi(session) if target.kind == "mock" else AddressApi(target)
        self.patience = patience or self.api.patience
        self.scrub = Scrubber.of_environment(names=[target.key_from] if target.key_from else [])
        self.provenance: dict[str, Any] = {
            "engine": "contract",
            "upstream": target.name,
            "start": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        if target.kind == "mock":
            settings = session.provenance()
            self.provenance |= {name: settings[name] for name in ("profile", "times", "knobs", "seed")}
        self.experiments: dict[str, Experiment] = {fact.name: fact.experiment for fact in facts if fact.experiment}
        self.experiments |= {f"call_{number + 1}": _one_call for number in range(repeats)}
        self.folder: Path | None = None
        self.progress: Callable[[int, int], None] | None = None
        self.recordings: dict[str, Recording] = {}
        self.opened = 0
        self._turns = asyncio.Semaphore(at_once)

    async def all(self) -> Contract:
        async with self.api:
            names = [*self.experiments]
            found = [await self._one(name) for name in names[:1]]
            if self.opened:
                found += await asyncio.gather(*(self._one(name) for name in names[1:]))
            answers = dict(zip(names, found if self.opened else found * len(names), strict=True))
        recordings = {name: self.recordings[name] for name in self.experiments if name in self.recordings}
        times = spreads(recordings.values())
        answers[DONE_BEFORE_RESULT] = done_before_result(times["gap_ms"])
        rows = tuple(self._row(fact, answers.get(fact.name)) for fact in self.facts)
        return Contract(self.target.name, self.provenance, self.opened, rows, times, recordings)

    def _row(self, fact: Fact, answer: FactAnswer | None) -> FactResult:
        if answer is None:
            return FactResult(fact, "unknown", fact.untried)
        recording = self.recordings.get(fact.name)
        decisive = sorted(passed.seq for passed in answer.trace)
        trace = tuple(recording.events[seq] for seq in decisive) if recording is not None else ()
        if recording is not None and answer.state == "unknown" and not trace:
            trace = tuple(event for event in recording.events if not event.type.endswith(".delta"))[-_LAST:]
        return FactResult(fact, answer.state, self.scrub.text(answer.seen), trace)

    async def _one(self, name: str) -> FactAnswer:
        """Run one experiment on its own connection, keep its recording, and return the answer."""
        async with self._turns:
            recorder = Recorder({**self.provenance, "experiment": name}, UPSTREAM_LINKS, self.scrub)
            try:
                connection = await self.api.dial()
            except NotConnectedError as error:
                recorder.fault(UPSTREAM_TO_PROXY, f"upstream: {error.reason}")
                answer = unknown(error.reason)
            else:
                self.opened += 1
                try:
                    async with Client(connection, recorder, self.patience) as client:
                        answer = await self.experiments[name](client)
                except InconclusiveError as why:
                    answer = unknown(str(why))
            self.recordings[name] = recorder.close()
            if self.folder is not None:
                keep(self.folder, name, self.recordings[name])
            if self.progress is not None:
                self.progress(len(self.recordings), len(self.experiments))
            return answer


async def _one_call(client: Client) -> FactAnswer:
    """Request a function call, send its result, and request the reply. Times are measured in the recording."""
    await set_up(client)
    created = await begin(client, CALL)
    arguments = await first_call(client, created)
    done = await finish(client, created)
    await send_result(client, arguments)
    return held("a call and its reply", done, await finish(client, await reply(client)))
