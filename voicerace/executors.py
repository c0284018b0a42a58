"""Who plays the chunks of a sweep: this process, all cores of the machine, or a cluster. Results come as they are done.

What is played does not depend on it, only when. A worker that dies takes no result with it: on this machine the sweep ends
with an error, and goes on with ``--resume``; dask gives the chunk to another worker. A process here begins its next chunk when
the one before was handed over, and so was written: of a killed sweep no process has more than one chunk to play again.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, Final, TypeVar

from joblib import cpu_count
from joblib.externals.loky import ProcessPoolExecutor

from voicerace.errors import InputError

__all__ = ["Executor"]

_Result = TypeVar("_Result")
#: Chunks that a cluster has in hand for each of its threads: enough that none waits, few enough for its memory.
_AHEAD: Final = 4
#: How often a worker looks whether the process that it works for is still there.
_LOOK_S: Final = 0.5


@dataclass(frozen=True)
class Executor:
    """Where chunks are played.

    Attributes:
        jobs: processes on this machine; -1 for one per core.
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
            InputError: no scheduler at the address.
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
        pool = ProcessPoolExecutor(count)

        def begun(most: int) -> set[Future[_Result]]:
            return {pool.submit(_on_behalf, os.getpid(), work, each) for each in islice(waiting, most)}

        try:
            in_hand = begun(count)
            while in_hand:
                done, in_hand = wait(in_hand, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
                    in_hand |= begun(1)
        finally:
            pool.shutdown(kill_workers=True)

    def _on_cluster(self, work: Callable[[int], _Result], numbers: list[int], address: str) -> Generator[_Result]:
        distributed = _distributed()
        try:
            client = distributed.Client(address, timeout=10, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError("dask", f"{address}: {error}", "the address of a scheduler, tcp://HOST:PORT") from None
        with client:
            waiting = iter(numbers)

            def submit() -> Any:
                number = next(waiting, None)
                # Not pure: two sweeps of one name would be taken for one.
                return None if number is None else client.submit(work, number, pure=False, retries=3)

            ahead = max(_AHEAD, _AHEAD * sum(client.nthreads().values()))
            first = [each for _ in range(ahead) if (each := submit()) is not None]
            done = distributed.as_completed(first, loop=client.loop, with_results=True)
            for future, result in done:
                future.release()
                if (following := submit()) is not None:
                    done.add(following)
                yield result


def _on_behalf(parent: int, work: Callable[[int], _Result], number: int) -> _Result:
    """In one of joblib's workers: `work` of `number`, and no more than that when `parent` is gone."""
    _ends_with(parent)
    return work(number)


@cache
def _ends_with(parent: int) -> None:
    """End this process when its parent has: joblib's workers wait for minutes for one that was killed."""

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_S)
        os._exit(1)

    threading.Thread(target=look, name="end with the parent", daemon=True).start()


def _distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ModuleNotFoundError:
        raise InputError("dask", "dask.distributed is not installed", "the project with its extra `cluster`") from None
