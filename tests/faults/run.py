"""Play inputs of one target within limits of time and memory, and count the results."""

from __future__ import annotations

import contextlib
import resource
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType
from typing import Final

from tests.faults import actors, readers
from tests.faults.frames import SERVERS

__all__ = ["SERVERS", "TARGETS", "Found", "Result", "play"]

TARGETS: Final[dict[str, Callable[[Random, Path], str]]] = {
    "log": readers.log,
    "collected": readers.collected,
    "har": readers.har,
    "jsonl": readers.jsonl,
    "cassette": readers.cassette,
    "upstream": actors.upstream,
    "proxy": actors.proxy,
}
#: Maximum CPU time in s of an input of a few hundred kB. CPU time does not depend on the machine's load.
LONGEST_S: Final = 20
#: Maximum wall-clock time in s of an input, for inputs that hang without using CPU time.
PATIENCE_S: Final = 300
#: Maximum growth in MiB of the process's memory over all inputs of a target.
MOST_MIB: Final = 400


@dataclass(frozen=True)
class Found:
    """An input that made its target fail. `where` is the location in the code, or empty for a hang."""

    number: int
    what: str
    where: str


@dataclass
class Result:
    """The results of a target's inputs.

    Attributes:
        counts: result of an input -> number of inputs.
        found: inputs that crashed or hung.
        slowest_s: longest time of one input.
        grown_mib: growth of the process's memory peak.
        seconds: total time.
    """

    target: str
    counts: Counter[str] = field(default_factory=Counter)
    found: list[Found] = field(default_factory=list)
    slowest_s: float = 0.0
    grown_mib: float = 0.0
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return not self.found and self.grown_mib <= MOST_MIB


class HungError(BaseException):
    """An input took too long. The class is a BaseException, so that no handler in the target catches it."""


@contextmanager
def within(seconds: int) -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise HungError

    timers = ((signal.ITIMER_PROF, signal.SIGPROF, seconds), (signal.ITIMER_REAL, signal.SIGALRM, PATIENCE_S))
    before = {number: signal.signal(number, ring) for _, number, _ in timers}
    for timer, _, after in timers:
        signal.setitimer(timer, after)
    try:
        yield
    finally:
        for timer, number, _ in timers:
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])


def play(target: str, inputs: int, seed: int, first: int = 0) -> Result:
    """Play `inputs` inputs of a target, from number `first` on, and return the results. The seed determines the inputs."""
    result = Result(target)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        servers = stack.enter_context(SERVERS[target](Path(folder))) if target in SERVERS else None
        one = TARGETS[target] if servers is None else servers.input
        if servers is None:
            _warm(one, Path(folder))
        before = _peak_mib()
        for number in range(first, first + inputs):
            start = time.monotonic()
            with noted(number, result.found), within(LONGEST_S):
                result.counts[one(Random(f"{target} {seed} {number}"), Path(folder))] += 1
            result.slowest_s = max(result.slowest_s, time.monotonic() - start)
        if servers is None:
            result.grown_mib = _peak_mib() - before
        else:
            with noted(first + inputs - 1, result.found):
                servers.stop()
            result.grown_mib = servers.grown_mib
    result.seconds = time.monotonic() - began
    return result


@contextmanager
def noted(number: int, found: list[Found]) -> Iterator[None]:
    """Suppress an exception in the context and append it to `found`, so that the next input can run."""
    try:
        yield
    except HungError:
        found.append(Found(number, f"hangs: more than {LONGEST_S} s", ""))
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{type(error).__name__}: {error}"[:200]
        found.append(Found(number, said, f"{Path(last.filename).name}:{last.lineno} {last.name}"))


def _warm(one: Callable[[Random, Path], str], folder: Path) -> None:
    """Run a few inputs, so that the memory of one-time reads and imports does not count for the inputs that follow."""
    for number in range(3):
        with contextlib.suppress(Exception):
            one(Random(f"warm {number}"), folder)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
