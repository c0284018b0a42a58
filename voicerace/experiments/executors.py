"""Who plays the chunks of a sweep: this process, all cores of the machine, or a cluster. Results come as they are done.

What is played does not depend on it, only when. A worker that dies takes no result with it: on this machine the sweep ends
with an error, and goes on with ``--resume``; dask gives the chunk to another worker, and a lost scheduler ends the sweep in the
same way. A process here begins its next chunk when the one before was handed over, and so was written: of a killed sweep no
process has more than one chunk to play again.
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
#: Chunks that a cluster has in hand for each of its threads: enough that none waits, few enough for its memory.
_AHEAD: Final = 4


@dataclass(frozen=True)
class Executor:
    """Where chunks are played.

    Attributes:
        jobs: processes on this machine; -1 for one per core. As with `multiprocessing`, a script that asks for more than one
            does so below ``if __name__ == "__main__":``.
        dask: the address of a dask scheduler, ``tcp://HOST:PORT``; it needs the extra ``cluster``, here and at its workers.

    Raises (on making one):
        InputError: no such number of processes.
    """

    jobs: int = 1
    dask: str | None = None

    def __post_init__(self) -> None:
        if self.jobs == 0 or self.jobs < -1:
            raise InputError("jobs", str(self.jobs), "1 or more, or -1 for one per core")

    def map(self, work: Callable[[int], _Result], numbers: Iterable[int]) -> Generator[_Result]:
        """`work` of every number, in whatever order they end.

        Raises:
            InputError: no scheduler at the address, it went away, or a process ended before its work was done.
        """
        if self.dask is not None:
            yield from self._on_cluster(work, list(numbers), self.dask)
        elif self.jobs == 1:
            yield from map(work, numbers)
        else:
            yield from self._on_cores(work, iter(numbers))

    def _on_cores(self, work: Callable[[int], _Result], waiting: Iterator[int]) -> Generator[_Result]:
        # No pool of a library: joblib's begins further chunks while finished ones wait for their reader, and one of
        # `concurrent.futures` waits forever for the rest of a result whose worker was killed while it sent it.
        count = cpu_count() if self.jobs == -1 else self.jobs
        with ExitStack() as workers:
            in_hand: list[Connection] = []
            for number in islice(waiting, count):
                in_hand.append(workers.enter_context(_worker(work)))
                with _alive():
                    in_hand[-1].send(number)
            while in_hand:
                for each in wait(in_hand):
                    connection = cast("Connection", each)
                    with _alive():
                        result = connection.recv()
                    if isinstance(result, Exception):
                        raise result
                    yield result
                    if (following := next(waiting, None)) is None:
                        in_hand.remove(connection)
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
                # Not pure: two sweeps of one name would be taken for one.
                return None if number is None else client.submit(work, number, pure=False, retries=3)

            ahead = max(_AHEAD, _AHEAD * sum(client.nthreads().values()))
            first = [each for _ in range(ahead) if (each := submit()) is not None]
            done = distributed.as_completed(first, loop=client.loop, with_results=True)
            for future, result in done:
                if future.cancelled():  # nothing here cancels; then `result` is the reason
                    raise InputError("dask", f"{address}: the connection to the scheduler is lost")
                future.release()
                if (following := submit()) is not None:
                    done.add(following)
                yield result


@contextmanager
def _worker(work: Callable[[int], Any]) -> Iterator[Connection]:
    """A process that plays the chunks whose numbers it gets; it is killed at the end."""
    # Not forked: threads of this process (a notebook's, a progress bar's) may hold locks.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, work), daemon=True)
    with _interrupts_blocked():
        process.start()
    theirs.close()  # only the worker holds it: its end is the end of the connection
    try:
        yield ours
    finally:
        process.kill()
        process.join()
        ours.close()


def _serve(numbers: Connection, work: Callable[[int], Any]) -> None:
    """In a worker."""
    threading.Thread(target=_end_with_parent, name="end with the parent", daemon=True).start()
    with suppress(EOFError, ConnectionError):  # until the other end is closed
        while True:
            number = numbers.recv()
            try:
                result = work(number)
            except Exception as error:  # raised by the process that waits for the result
                result = error
            numbers.send(result)


def _end_with_parent() -> None:
    """End this process at once when the one that it works for was killed, whatever it does."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101  # this is a child
    parent.join()
    os._exit(1)


@contextmanager
def _alive() -> Iterator[None]:
    """Around what is sent to a worker or received from one.

    Raises:
        InputError: the worker is gone.
    """
    try:
        yield
    except (EOFError, ConnectionError):
        raise InputError("jobs", "a worker process ended before its work was done: killed, or out of memory") from None


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Processes that are started here never get the terminal's Ctrl-C: it is this process that ends them, in order."""
    resource_tracker.ensure_running()  # what the first process would start, and unblock the signal with it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _silent(*names: str) -> Iterator[None]:
    """Without what a library logs of a failure that ends in an error of ours."""
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
