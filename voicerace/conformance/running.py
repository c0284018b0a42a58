"""A checkout's proxy and the socket of its upstream, for one exchange after the other: one of them may end the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from voicerace.engine.live.backend import Backend
from voicerace.engine.live.lockstep import UpstreamSocket

__all__ = ["Running", "running"]


class Running(NamedTuple):
    """A proxy that is always there.

    Attributes:
        upstream: what the proxy finds as its Realtime API.
        backend: gives the proxy's process; a new one when the last has ended, on another port.
    """

    upstream: UpstreamSocket
    backend: Callable[[], Backend]


@contextmanager
def running(directory: Path | str, log: Path | None) -> Iterator[Running]:
    """Run a checkout's proxy while the context is open; every process that was started ends with it.

    Args:
        directory: the checkout, its dependencies installed.
        log: takes the output of all of them.

    Raises:
        InputError: no proxy there, or it did not come up: on entering, and from `Running.backend`.
    """
    with UpstreamSocket() as upstream, ExitStack() as started:

        def start() -> Backend:
            return started.enter_context(Backend(directory, upstream.url, log))

        newest = start()

        def backend() -> Backend:
            nonlocal newest
            if not newest.alive:
                newest = start()
            return newest

        yield Running(upstream, backend)
