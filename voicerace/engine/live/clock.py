"""What keeps the delays of live sessions close to what was asked: a loop with fine timers, and garbage collected by plan.

Two things make an ordinary event loop late. It waits in whole milliseconds, always rounded up, so each delay ends half a
millisecond late on average and up to one. And Python's collector looks at every object of the process whenever enough
new ones have come: 50 to 250 ms here in which no session moves.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import select
import selectors
import sys
from collections.abc import Coroutine, Iterator
from typing import Any, Final, Self, TypeVar

__all__ = ["Collecting", "new_loop", "run", "side_by_side"]

_Result = TypeVar("_Result")

#: Sessions that may leave their cycles behind (some 100 kB each) before a collection holds up those that run.
_MOST_ENDED: Final = 256
#: So many are worth a collection that holds up nobody.
_SOME_ENDED: Final = 16
#: `select` takes file descriptors below this only.
_FD_SETSIZE: Final = 1024
#: A wait whose thousandth would be felt.
_LONG_S: Final = 0.1


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop whose timers end within some 0.1 ms where the platform allows; `asyncio.Runner(loop_factory=...)`."""
    if sys.platform == "linux":
        selector = _FineSelector()
        if selector.fileno() < _FD_SETSIZE:
            return asyncio.SelectorEventLoop(selector)
        selector.close()
    return asyncio.new_event_loop()


def run(main: Coroutine[Any, Any, _Result]) -> _Result:
    """`asyncio.run` on such a loop."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)


async def side_by_side(*work: Coroutine[Any, Any, None]) -> None:
    """Run coroutines until all have ended. The first that fails ends the others; its exception is raised, and no group."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


if sys.platform == "linux":

    class _FineSelector(selectors.EpollSelector):
        """Waits in microseconds: `epoll_wait` counts milliseconds, but its descriptor can be waited for by `select`."""

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if timeout is not None and timeout > 0:
                # Linux lets `select` end late by a thousandth of its time: the end of a long wait is waited for anew.
                if not select.select([self.fileno()], (), (), timeout if timeout < _LONG_S else 0.9 * timeout)[0]:
                    return []
                timeout = 0
            return super().select(timeout)


class Collecting:
    """While this is open, garbage is collected between sessions, or when many have ended, and never otherwise.

    What was there before is not looked at again until this closes. Applies to the whole process.
    """

    def __init__(self) -> None:
        self._running = self._ended = 0
        self._was_on = self._freezes = False

    def __enter__(self) -> Self:
        self._was_on, self._freezes = gc.isenabled(), gc.get_freeze_count() == 0
        gc.disable()
        if self._freezes:
            gc.freeze()
        return self

    def __exit__(self, *_: object) -> None:
        if self._freezes:
            gc.unfreeze()
        if self._was_on:
            gc.enable()

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """Around a session. What has to be collected before it, or beside those that run, is collected at its start."""
        if self._ended >= (_MOST_ENDED if self._running else _SOME_ENDED):
            self._collect()
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            self._ended += 1

    def _collect(self) -> None:
        self._ended = 0
        gc.collect()
        if self._freezes and not self._running:
            # What is kept of the sessions so far, their recordings, need not be looked at again.
            gc.freeze()
