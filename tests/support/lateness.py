"""Measure the lateness of the machine during a test.

A late machine can be the cause of a failure on the real clock.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType

__all__ = ["Lateness"]

_SLEEP_S = 0.005


class Lateness:
    """A context manager that measures consecutive sleeps of 5 ms in a thread.

    Attributes:
        most_ms: maximum time in ms by which a sleep exceeded 5 ms.
    """

    def __init__(self) -> None:
        self.most_ms = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._measure, name="lateness", daemon=True)

    def __enter__(self) -> Lateness:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _measure(self) -> None:
        ended = False
        while not ended:
            begin = time.monotonic()
            ended = self._ended.wait(_SLEEP_S)
            self.most_ms = max(self.most_ms, (time.monotonic() - begin - _SLEEP_S) * 1000)
