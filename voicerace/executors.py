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
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeVar

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
        # joblib's own `Parallel` would begin further chunks while finished ones wait for their reader.
        count = cpu_count() if self.jobs == -1 else self.jobs
        others = {each.pid for each in multiprocessing.active_children()}
        # Not forked: threads of this process (a notebook's, a progress bar's) may hold locks.
        pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=_end_with_parent)

        def begun(most: int) -> set[Future[_Result]]:
            with _interrupts_blocked():
                return {pool.submit(work, each) for each in islice(waiting, most)}

        try:
            in_hand = begun(count)
            while in_hand:
                done, in_hand = wait(in_hand, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
                    in_hand |= begun(1)
        except BrokenProcessPool:
            raise InputError("jobs", "a worker process ended before its work was done: killed, or out of memory") from None
        finally:
            for each in multiprocessing.active_children():
                if each.pid not in others:
                    each.kill()
            pool.shutdown(cancel_futures=True)

    def _on_cluster(self, work: Callable[[int], _Result], numbers: list[int], address: str) -> Generator[_Result]:
        distributed = _distributed()
        try:
            client = distributed.Client(address, timeout=10, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError("dask", f"{address}: {error}", "the address of a scheduler, tcp://HOST:PORT") from None
        with client, _silent("distributed.client"):
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


def _end_with_parent() -> None:
    """In a worker: end at once when the process that it works for has, which may have been killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101  # this is a child

    def wait_for_its_end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait_for_its_end, name="end with the parent", daemon=True).start()


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Processes that are started here never get the terminal's Ctrl-C: it is this process that ends them, in order."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _silent(name: str) -> Iterator[None]:
    """Without what a library logs of a failure that ends in an error of ours."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def _distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ModuleNotFoundError:
        raise InputError("dask", "dask.distributed is not installed", "the project with its extra `cluster`") from None
