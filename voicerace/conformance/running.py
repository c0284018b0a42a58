"""Runs a checkout's proxy, and the socket of its upstream, for several exchanges. An exchange can end the proxy's process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from voicerace.engine.live.backend import Backend
from voicerace.engine.live.lockstep import UpstreamSocket

__all__ = ["Running", "running"]


class Running(NamedTuple):
    """A running proxy. If the proxy's process has ended, the next use starts a new process.

    Attributes:
        upstream: the socket that the proxy uses as its Realtime API.
        backend: returns the proxy's process. If the last process has ended, `backend` starts a new process on another port.
    """

    upstream: UpstreamSocket
    backend: Callable[[], Backend]


@contextmanager
def running(directory: Path | str, log: Path | None) -> Iterator[Running]:
    """Run a checkout's proxy while the context is open. On exit, all processes of the proxy are ended.

    Args:
        directory: the checkout, with its dependencies installed.
        log: file for the output of all processes.

    Raises:
        InputError: the checkout has no proxy, or the proxy did not start. `Running.backend` raises the same error.
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
