"""How much of a session's time is the engine's? Messages per second of whole sessions, against a bare heap relay.

Both run in this process, one after the other, several times; the medians' ratio is what counts. The bare relay moves as
many messages through the same priority queue and does nothing else: no protocol, no recording, no verdict.
"""

from __future__ import annotations

import heapq
import statistics
import time
from collections.abc import Callable

from voicerace import Session, judge, simulate

ROUNDS = 7
SESSIONS = 100


def bare_relay(messages: int) -> None:
    """Move messages one hop each through a heap."""
    heap: list[tuple[int, int]] = []
    for number in range(messages):
        heapq.heappush(heap, (number, number))
        heapq.heappop(heap)


def seconds(work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def main() -> None:
    session = Session.of(release="0.9.1", times={"tool_ms": 300})
    recording = simulate(session)
    messages = len(recording.events) * SESSIONS
    rows: dict[str, Callable[[], object]] = {
        "bare heap relay": lambda: bare_relay(messages),
        "sessions": lambda: [simulate(session) for _ in range(SESSIONS)],
        "sessions and verdicts": lambda: [judge(simulate(session)) for _ in range(SESSIONS)],
    }
    times = {name: [] for name in rows}  # type: dict[str, list[float]]
    for _ in range(ROUNDS):
        for name, work in rows.items():
            times[name].append(seconds(work))
    base = statistics.median(times["bare heap relay"])
    print(f"{messages} messages in {SESSIONS} sessions, median of {ROUNDS} rounds, time per message against the bare relay")
    for name, found in times.items():
        print(f"{name:<24}{statistics.median(found) / base:8.1f} x")


if __name__ == "__main__":
    main()
