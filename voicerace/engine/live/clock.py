"""An event loop with accurate timers, and garbage collection between live sessions.

The default event loop rounds delays up to milliseconds, so each delay ends up to 1 ms late. A full garbage collection during
a live sweep would stop all sessions for 50 to 250 ms.
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

#: Number of ended sessions, each with about 100 kB of garbage, after which a collection delays running sessions.
_MAX_ENDED: Final = 256
#: Number of ended sessions after which garbage is collected if no session runs.
_MIN_ENDED: Final = 16
#: Upper limit (exclusive) of the file descriptors that `select` accepts.
_FD_SETSIZE: Final = 1024
#: Minimum wait in seconds that `select` splits in two.
_LONG_S: Final = 0.1


def new_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop for `asyncio.Runner(loop_factory=...)`. On Linux its timers are accurate to about 0.1 ms."""
    if sys.platform == "linux":
        selector = _FineSelector()
        if selector.fileno() < _FD_SETSIZE:
            return asyncio.SelectorEventLoop(selector)
        selector.close()
    return asyncio.new_event_loop()


def run(main: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine like `asyncio.run`, but on a loop that `new_loop` returns."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)


async def side_by_side(*work: Coroutine[Any, Any, None]) -> None:
    """Run coroutines until all have ended. If a coroutine fails, cancel the others and raise its exception without a group."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


if sys.platform == "linux":

    class _FineSelector(selectors.EpollSelector):
        """Waits with microsecond resolution: calls `select` on the epoll descriptor, because `epoll_wait` counts in ms."""

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if timeout is not None and timeout > 0:
                # Linux can end `select` late by a thousandth of the timeout, so a long wait is split in two.
                if not select.select([self.fileno()], (), (), timeout if timeout < _LONG_S else 0.9 * timeout)[0]:
                    return []
                timeout = 0
            return super().select(timeout)


class Collecting:
    """Restricts garbage collection while the context is open: it runs between sessions, or after many ended sessions.

    Objects that exist when the context opens are excluded from collection until it closes.
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
        """Count a session as running while the context is open. Collect garbage first if enough sessions have ended."""
        if self._ended >= (_MAX_ENDED if self._running else _MIN_ENDED):
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
            # Later collections skip the recordings of ended sessions.
            gc.freeze()
