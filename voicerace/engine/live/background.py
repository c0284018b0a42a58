"""Plays live sessions for synchronous code: an event loop in another thread runs them, and generators yield the recordings.

While the caller processes an ended session, the other thread continues the other sessions without a delay. Because of the
separate loop, the live engine also works in a notebook, where a loop runs already.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Final, Protocol, TypeAlias, TypeVar

from voicerace.engine.live.clock import new_loop, side_by_side
from voicerace.engine.session import SessionConfig
from voicerace.trace.recording import Recording

__all__ = ["Engine", "Share", "play", "play_all", "play_shares"]

_Key = TypeVar("_Key")


class Engine(Protocol):
    """An engine that plays sessions while its context is open."""

    async def __aenter__(self) -> Engine: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def play(self, session: SessionConfig, unfinished: Callable[[Recording], None] | None = None) -> Recording: ...


#: (function that makes an engine, sessions for that engine), with each session as (key chosen by the caller, configuration).
Share: TypeAlias = tuple[Callable[[], Engine], Sequence[tuple[_Key, SessionConfig]]]
#: Thread switch interval of Python in seconds. The default of 5 ms would be a measurable delay.
_SWITCH_S: Final = 0.0005
#: Time in seconds between the starts of sessions. A start takes about 10 ms of processor time, so simultaneous starts would
#: delay each other.
_START_SPACING_S: Final = 0.02


def play(
    live: Callable[[], Engine], session: SessionConfig, unfinished: Callable[[Recording], None] | None = None
) -> Recording:
    """Play one session and return its recording. See `play_all` for the arguments."""
    with contextlib.closing(play_all(live, [(0, session)], unfinished=unfinished)) as played:
        return next(played)[1]


def play_all(
    live: Callable[[], Engine],
    sessions: Iterable[tuple[_Key, SessionConfig]],
    at_once: int = 1,
    unfinished: Callable[[Recording], None] | None = None,
) -> Generator[tuple[_Key, Recording]]:
    """Play sessions, up to `at_once` at a time, and yield (key, recording) in the order in which they end.

    Closing the generator, or an exception in the caller (Ctrl-C), stops the running sessions. They are not yielded.

    Args:
        live: makes the engine.
        sessions: the sessions, each with a key chosen by the caller.
        at_once: maximum number of sessions that run at the same time.
        unfinished: called with the recording of each stopped session, in the engine's thread.

    Raises:
        InputError: the engine could not start or continue.
    """
    yield from play_shares([(live, list(sessions))], at_once=at_once, unfinished=unfinished)


def play_shares(
    shares: Sequence[Share[_Key]],
    engines: int = 1,
    at_once: int = 1,
    unfinished: Callable[[Recording], None] | None = None,
) -> Generator[tuple[_Key, Recording]]:
    """Play shares on one event loop, and yield (key, recording) in the order in which sessions end.

    Up to `engines` shares are played at a time, each with up to `at_once` sessions at a time.
    """
    found: queue.Queue[tuple[_Key, Recording] | BaseException | None] = queue.Queue()
    loop = new_loop()
    work = loop.create_task(_shares(shares, engines, at_once, found.put, unfinished))
    thread = threading.Thread(target=_run, args=(loop, work, found.put), name="live sessions", daemon=True)
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    thread.start()
    try:
        while (each := found.get()) is not None:
            if isinstance(each, BaseException):
                raise each
            yield each
    finally:
        with contextlib.suppress(RuntimeError):  # The loop can be closed already.
            loop.call_soon_threadsafe(work.cancel)
        thread.join()
        sys.setswitchinterval(before)


def _run(loop: asyncio.AbstractEventLoop, work: asyncio.Task[None], put: Callable[[BaseException | None], None]) -> None:
    try:
        loop.run_until_complete(work)
    except asyncio.CancelledError:
        put(None)
    except BaseException as error:  # The caller's thread raises this exception.
        put(error)
    else:
        put(None)
    finally:
        _end_tasks(loop)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel the remaining tasks of the loop, as `asyncio.run` does, and wait for them."""
    if left := asyncio.all_tasks(loop):
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.wait(left))


async def _shares(
    shares: Sequence[Share[_Key]],
    engines: int,
    at_once: int,
    put: Callable[[tuple[_Key, Recording]], None],
    unfinished: Callable[[Recording], None] | None,
) -> None:
    waiting = iter(shares)

    async def one_after_another() -> None:
        for live, sessions in waiting:
            await _work(live, sessions, at_once, put, unfinished)

    await side_by_side(*(one_after_another() for _ in range(min(engines, len(shares)))))


async def _work(
    live: Callable[[], Engine],
    sessions: Sequence[tuple[_Key, SessionConfig]],
    at_once: int,
    put: Callable[[tuple[_Key, Recording]], None],
    unfinished: Callable[[Recording], None] | None,
) -> None:
    async with live() as engine:
        waiting = iter(sessions)

        async def one_after_another(number: int) -> None:
            await asyncio.sleep(number * _START_SPACING_S)
            for key, session in waiting:
                put((key, await engine.play(session, unfinished)))

        await side_by_side(*(one_after_another(number) for number in range(min(at_once, len(sessions)))))
