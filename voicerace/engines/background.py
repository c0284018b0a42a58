"""Live sessions from ordinary code: an event loop in a thread of its own plays them, and each is handed over as it ends.

The thread keeps the clock of the sessions that still run while the caller judges and writes those that ended; it also
makes the live engine usable where a loop runs already, as in a notebook.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from voicerace.engines.live import Live
from voicerace.engines.session import Session
from voicerace.recording import Recording

__all__ = ["play", "play_all"]

_Key = TypeVar("_Key")
#: Seconds for which Python lets one thread keep the interpreter: the default, 5 ms, is a delay one could measure.
_SWITCH_S: Final = 0.0005
#: Sessions that start together would send their messages together; the starts are this far apart.
_APART_S: Final = 0.005


def play(live: Callable[[], Live], session: Session) -> Recording:
    """One session; see `play_all`."""
    return next(iter(play_all(live, [(0, session)])))[1]


def play_all(
    live: Callable[[], Live], sessions: Iterable[tuple[_Key, Session]], at_once: int = 1
) -> Iterator[tuple[_Key, Recording]]:
    """Play sessions, up to `at_once` of them side by side; yields (key, recording) in the order in which they end.

    Closing the generator, or an exception in the caller (Ctrl-C), ends what still runs; those are not yielded.

    Args:
        live: makes the engine; called in the thread that runs it.
        sessions: what is played, each with a key of the caller's.

    Raises:
        InputError: the engine could not start, or go on.
    """
    found: queue.Queue[tuple[_Key, Recording] | BaseException | None] = queue.Queue()
    loop = asyncio.new_event_loop()
    work = loop.create_task(_work(live, list(sessions), at_once, found.put))
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
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(work.cancel)
        thread.join()
        sys.setswitchinterval(before)


def _run(loop: asyncio.AbstractEventLoop, work: asyncio.Task[None], put: Callable[[BaseException | None], None]) -> None:
    try:
        loop.run_until_complete(work)
    except asyncio.CancelledError:
        put(None)
    except BaseExceptionGroup as group:
        put(group.exceptions[0])  # of the session that failed first; the others were ended for it
    except BaseException as error:  # handed to the caller, who is in another thread
        put(error)
    else:
        put(None)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def _work(
    live: Callable[[], Live],
    sessions: list[tuple[_Key, Session]],
    at_once: int,
    put: Callable[[tuple[_Key, Recording]], None],
) -> None:
    async with live() as engine:
        waiting = iter(sessions)

        async def one_after_another(number: int) -> None:
            await asyncio.sleep(number * _APART_S)
            for key, session in waiting:
                put((key, await engine.play(session)))

        async with asyncio.TaskGroup() as group:
            for number in range(min(at_once, len(sessions))):
                group.create_task(one_after_another(number))
