"""The loop of live sessions, and when garbage is collected: do they do what an ordinary loop does, and what only they do?"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from support.played import session

from voicerace.engine.live import clock
from voicerace.engine.live.clock import Collecting, new_loop
from voicerace.engine.live.play import Live
from voicerace.engine.live.recorder import Recorder
from voicerace.engine.live.targets import ProxyTarget

# -- the loop --------------------------------------------------------------------------------------------------------


def run(work: Any) -> Any:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(work)


def test_timers_ring_in_order_and_not_before_their_time() -> None:
    async def ring() -> list[tuple[float, float]]:
        loop = asyncio.get_running_loop()
        rung: list[tuple[float, float]] = []
        due = [loop.time() + each for each in (0.02, 0.0004, 0.0051)]
        for each in due:
            loop.call_at(each, lambda each=each: rung.append((each, loop.time())))
        await asyncio.sleep(0.03)
        return rung

    rung = run(ring())
    assert [due for due, _ in rung] == sorted(due for due, _ in rung)
    assert len(rung) == 3
    # asyncio itself takes what is due within its clock's resolution.
    assert all(now >= due - 1e-6 for due, now in rung)


def test_what_comes_in_does_not_wait_for_a_timer() -> None:
    async def read() -> bytes:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            loop = asyncio.get_running_loop()
            late = loop.call_later(60, lambda: None)
            loop.call_later(0.01, theirs.send, b"now")
            try:
                async with asyncio.timeout(30):
                    return await loop.sock_recv(ours, 10)
            finally:
                late.cancel()

    assert run(read()) == b"now"


def test_a_descriptor_too_high_for_select_gets_an_ordinary_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_FD_SETSIZE", 0)
    assert run(asyncio.sleep(0.001, "slept")) == "slept"


# -- garbage ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def collections(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is asked of the collector, in order; nothing is frozen in a process of tests."""
    asked: list[str] = []
    for name in ("collect", "freeze", "unfreeze"):
        monkeypatch.setattr(gc, name, lambda name=name: asked.append(name))
    yield asked
    gc.enable()


def sessions(collecting: Collecting, count: int) -> None:
    for _ in range(count):
        with collecting.session():
            pass


def test_the_collector_is_off_while_it_is_open_and_as_before_behind_it(collections: list[str]) -> None:
    with Collecting():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert collections == ["freeze", "unfreeze"]


def test_a_collector_that_was_off_stays_off(collections: list[str]) -> None:
    gc.disable()
    with Collecting():
        pass
    assert not gc.isenabled()


def test_one_inside_another_leaves_it_in_force(collections: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with Collecting():
        monkeypatch.setattr(gc, "get_freeze_count", lambda: 1)
        with Collecting():
            pass
        assert not gc.isenabled()
    assert collections == ["freeze", "unfreeze"]


def test_between_sessions_a_few_are_enough_and_what_is_kept_is_not_looked_at_again(collections: list[str]) -> None:
    with Collecting() as collecting:
        sessions(collecting, clock._MIN_ENDED)
        assert collections == ["freeze"]
        sessions(collecting, 1)
        assert collections == ["freeze", "collect", "freeze"]


def test_sessions_that_run_are_held_up_only_when_many_have_ended(collections: list[str]) -> None:
    with Collecting() as collecting, collecting.session():
        sessions(collecting, clock._MAX_ENDED)
        assert collections == ["freeze"]
        sessions(collecting, clock._MAX_ENDED)
        # What runs is not frozen: it becomes garbage too.
        assert collections == ["freeze", "collect"]


def test_a_session_that_fails_has_ended_too(collections: list[str]) -> None:
    with Collecting() as collecting:
        for _ in range(clock._MIN_ENDED):
            with contextlib.suppress(ValueError), collecting.session():
                raise ValueError
        sessions(collecting, 1)
    assert "collect" in collections


def test_what_a_session_leaves_is_freed_without_a_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    recorders: list[weakref.ref[Recorder]] = []

    def watched(*arguments: Any, **options: Any) -> Recorder:
        recorder = Recorder(*arguments, **options)
        recorders.append(weakref.ref(recorder))
        return recorder

    monkeypatch.setattr("voicerace.engine.live.play.Recorder", watched)

    async def play() -> None:
        async with Live(ProxyTarget.of("model:0.9.1")) as engine:
            played = await engine.play(session(tool_ms=20, gap_ms=5, reply_ms=5))
            assert played.complete
            assert not gc.isenabled()
            await asyncio.sleep(0.05)
            assert [each() for each in recorders] == [None]

    run(play())
    assert gc.isenabled()
