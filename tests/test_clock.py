"""Test the event loop of live sessions and its control of garbage collection."""

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

# -- event loop ------------------------------------------------------------------------------------------------------


def run(work: Any) -> Any:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(work)


def test_timers_fire_in_order_and_not_early() -> None:
    async def fire() -> list[tuple[float, float]]:
        loop = asyncio.get_running_loop()
        fired: list[tuple[float, float]] = []
        due = [loop.time() + each for each in (0.02, 0.0004, 0.0051)]
        for each in due:
            loop.call_at(each, lambda each=each: fired.append((each, loop.time())))
        await asyncio.sleep(0.03)
        return fired

    fired = run(fire())
    assert [due for due, _ in fired] == sorted(due for due, _ in fired)
    assert len(fired) == 3
    # asyncio also runs timers that are due within the resolution of its clock.
    assert all(now >= due - 1e-6 for due, now in fired)


def test_input_does_not_wait_for_a_timer() -> None:
    async def read() -> bytes:
        reader, writer = socket.socketpair()
        with reader, writer:
            reader.setblocking(False)
            loop = asyncio.get_running_loop()
            late = loop.call_later(60, lambda: None)
            loop.call_later(0.01, writer.send, b"now")
            try:
                async with asyncio.timeout(30):
                    return await loop.sock_recv(reader, 10)
            finally:
                late.cancel()

    assert run(read()) == b"now"


def test_a_descriptor_too_high_for_select_gets_an_ordinary_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_FD_SETSIZE", 0)
    assert run(asyncio.sleep(0.001, "slept")) == "slept"


# -- garbage collection ----------------------------------------------------------------------------------------------


@pytest.fixture
def collections(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Replace the garbage collector's functions; yield the list of their calls in order."""
    calls: list[str] = []
    for name in ("collect", "freeze", "unfreeze"):
        monkeypatch.setattr(gc, name, lambda name=name: calls.append(name))
    yield calls
    gc.enable()


def sessions(collecting: Collecting, count: int) -> None:
    for _ in range(count):
        with collecting.session():
            pass


def test_the_collector_is_disabled_inside_and_restored_after(collections: list[str]) -> None:
    with Collecting():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert collections == ["freeze", "unfreeze"]


def test_a_disabled_collector_stays_disabled(collections: list[str]) -> None:
    gc.disable()
    with Collecting():
        pass
    assert not gc.isenabled()


def test_a_nested_context_changes_nothing(collections: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with Collecting():
        monkeypatch.setattr(gc, "get_freeze_count", lambda: 1)
        with Collecting():
            pass
        assert not gc.isenabled()
    assert collections == ["freeze", "unfreeze"]


def test_garbage_is_collected_between_sessions_after_a_few(collections: list[str]) -> None:
    with Collecting() as collecting:
        sessions(collecting, clock._MIN_ENDED)
        assert collections == ["freeze"]
        sessions(collecting, 1)
        assert collections == ["freeze", "collect", "freeze"]


def test_garbage_is_collected_during_sessions_only_after_many(collections: list[str]) -> None:
    with Collecting() as collecting, collecting.session():
        sessions(collecting, clock._MAX_ENDED)
        assert collections == ["freeze"]
        sessions(collecting, clock._MAX_ENDED)
        # Objects of running sessions are not frozen, since they become garbage later.
        assert collections == ["freeze", "collect"]


def test_a_failed_session_counts_as_ended(collections: list[str]) -> None:
    with Collecting() as collecting:
        for _ in range(clock._MIN_ENDED):
            with contextlib.suppress(ValueError), collecting.session():
                raise ValueError
        sessions(collecting, 1)
    assert "collect" in collections


def test_objects_of_a_session_are_freed_without_a_collection(monkeypatch: pytest.MonkeyPatch) -> None:
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
