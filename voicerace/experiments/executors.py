"""Plays the chunks of a sweep in this process, in several processes, or on a dask cluster.

The choice does not affect the results. If a process on this machine dies, or the scheduler of a cluster is lost, the sweep
ends with an error and can be resumed. Dask plays the chunk of a lost worker on another worker. A process starts a chunk only
after its previous chunk is written, so a resumed sweep replays at most one chunk per process.
"""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, Final, TypeVar, cast

from joblib import cpu_count

from voicerace.errors import InputError

__all__ = ["Executor"]

_Result = TypeVar("_Result")
#: Number of submitted chunks per thread of a cluster: enough to keep the thread busy, few enough to limit memory.
_AHEAD: Final = 4


@dataclass(frozen=True)
class Executor:
    """Plays chunks in processes or on a cluster.

    Attributes:
        jobs: number of processes; -1 for one per core. With several processes, a script needs ``if __name__ == "__main__":``.
        dask: address of a dask scheduler (``tcp://HOST:PORT``), or None. This process and the workers need the extra
            ``cluster``.

    Raises (on creation):
        InputError: the number of processes is invalid.
    """

    jobs: int = 1
    dask: str | None = None

    def __post_init__(self) -> None:
        if self.jobs == 0 or self.jobs < -1:
            raise InputError("jobs", str(self.jobs), "1 or more, or -1 for one per core")

    def map(self, work: Callable[[int], _Result], numbers: Iterable[int]) -> Generator[_Result]:
        """Yield the result of `work` for every number, in the order of completion.

        Raises:
            InputError: the scheduler cannot be reached or is lost, or a process ended before its work was done.
        """
        if self.dask is not None:
            yield from self._on_cluster(work, list(numbers), self.dask)
        elif self.jobs == 1:
            yield from map(work, numbers)
        else:
            yield from self._on_cores(work, iter(numbers))

    def _on_cores(self, work: Callable[[int], _Result], waiting: Iterator[int]) -> Generator[_Result]:
        # joblib would start chunks before earlier results are read. `concurrent.futures` would block forever if a worker is
        # killed while it sends a result.
        count = cpu_count() if self.jobs == -1 else self.jobs
        with ExitStack() as workers:
            busy: list[Connection] = []
            for number in islice(waiting, count):
                busy.append(workers.enter_context(_worker(work)))
                with _alive():
                    busy[-1].send(number)
            while busy:
                for each in wait(busy):
                    connection = cast("Connection", each)
                    with _alive():
                        result = connection.recv()
                    if isinstance(result, Exception):
                        raise result
                    yield result
                    if (following := next(waiting, None)) is None:
                        busy.remove(connection)
                    else:
                        with _alive():
                            connection.send(following)

    def _on_cluster(self, work: Callable[[int], _Result], numbers: list[int], address: str) -> Generator[_Result]:
        distributed = _distributed()
        try:
            client = distributed.Client(address, timeout=10, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError("dask", f"{address}: {error}", "the address of a scheduler, tcp://HOST:PORT") from None
        with _silent("distributed", "distributed.client"), client:
            waiting = iter(numbers)

            def submit() -> Any:
                number = next(waiting, None)
                # With `pure=True`, dask could return the result of an equal call in another sweep.
                return None if number is None else client.submit(work, number, pure=False, retries=3)

            ahead = max(_AHEAD, _AHEAD * sum(client.nthreads().values()))
            first = [each for _ in range(ahead) if (each := submit()) is not None]
            done = distributed.as_completed(first, loop=client.loop, with_results=True)
            for future, result in done:
                if future.cancelled():  # A future is cancelled only if the scheduler is lost.
                    raise InputError("dask", f"{address}: the connection to the scheduler is lost")
                future.release()
                if (following := submit()) is not None:
                    done.add(following)
                yield result


@contextmanager
def _worker(work: Callable[[int], Any]) -> Iterator[Connection]:
    """Start a worker process and yield the connection to it. The process is killed at the end."""
    # `fork` is not safe, because threads of this process (for example, of a notebook or a progress bar) can hold locks.
    context = multiprocessing.get_context("spawn")
    connection, worker_end = context.Pipe()
    process = context.Process(target=_serve, args=(worker_end, work), daemon=True)
    with _interrupts_blocked():
        process.start()
    worker_end.close()  # so that the connection is closed when the worker ends
    try:
        yield connection
    finally:
        process.kill()
        process.join()
        connection.close()


def _serve(numbers: Connection, work: Callable[[int], Any]) -> None:
    """Receive numbers of chunks, and send the results. Runs in a worker process."""
    threading.Thread(target=_end_with_parent, name="end with the parent", daemon=True).start()
    with suppress(EOFError, ConnectionError):  # until the other end is closed
        while True:
            number = numbers.recv()
            try:
                result = work(number)
            except Exception as error:  # The receiving process raises this exception.
                result = error
            numbers.send(result)


def _end_with_parent() -> None:
    """Wait until the parent process ends, then exit this process."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101  # this is a child process
    parent.join()
    os._exit(1)


@contextmanager
def _alive() -> Iterator[None]:
    """Convert errors of a worker's connection into an InputError.

    Raises:
        InputError: the worker process has ended.
    """
    try:
        yield
    except (EOFError, ConnectionError):
        raise InputError("jobs", "a worker process ended before its work was done: killed, or out of memory") from None


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block SIGINT in the context, so that processes started in the context ignore Ctrl-C in the terminal."""
    resource_tracker.ensure_running()  # otherwise `Process.start` starts the tracker, which unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _silent(*names: str) -> Iterator[None]:
    """Suppress the log messages of libraries in the context. Their failures raise an InputError instead."""
    before = {logger: logger.level for logger in map(logging.getLogger, names)}
    for logger in before:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in before.items():
            logger.setLevel(level)


def _distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ModuleNotFoundError:
        raise InputError("dask", "dask.distributed is not installed", "the project with its extra `cluster`") from None
