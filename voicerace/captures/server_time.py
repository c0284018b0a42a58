"""Compute the server time of a session from the API's ids, for captures without times or with a wrong clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from voicerace.captures.id_clock import read_ids
from voicerace.trace.recording import Recording
from voicerace.units import iso_utc

__all__ = ["BASIS", "ServerTime", "server_time"]

#: Source and accuracy of the values, as printed for users.
BASIS: Final = "from ids, ±1 s"
#: Maximum clock offset of a capture in s that is not reported. Ids contain whole seconds, and the network adds a delay.
_AGREES_S: Final = 2.0

_iso: Final = partial(iso_utc, timespec="seconds")


@dataclass(frozen=True)
class ServerTime:
    """Times in the ids of a session, each accurate to one second.

    Attributes:
        start: earliest Unix time in an id, in seconds.
        end: latest Unix time in an id, in seconds.
        ids: number of decoded ids.
        clock_offset_s: the capture's clock minus the time in the ids in seconds; None if the capture has no absolute time.
        refused: (line number, age of the active response in seconds) of each refusal that contains the response's id.
    """

    start: int
    end: int
    ids: int
    clock_offset_s: float | None
    refused: tuple[tuple[int, int], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that `inspect --json` prints."""
        return {
            "basis": BASIS,
            "start": _iso(self.start),
            "end": _iso(self.end),
            "ids": self.ids,
            "clock_offset_s": self.clock_offset_s,
            "refused": [{"line": line, "response_age_s": age} for line, age in self.refused],
        }

    def lines(self, *, timed: bool) -> Iterator[str]:
        """Yield the lines of text that `inspect` prints; `timed` tells whether the capture has absolute times."""
        if not timed:
            took = f"{self.end - self.start} s" if self.end > self.start else "within one second"
            yield f"server time: {_iso(self.start)} to {_iso(self.end)}, {took} ({BASIS}; {self.ids} ids agree)"
        if self.clock_offset_s is not None and not -1 <= self.clock_offset_s <= _AGREES_S:
            side = "ahead of" if self.clock_offset_s > 0 else "behind"
            yield f"the capture's clock is {abs(self.clock_offset_s):.0f} s {side} the server's ({BASIS}; {self.ids} ids agree)"
        for line, age in self.refused:
            yield f"refusal at line {line}: the active response was {age} s old ({BASIS})"


def server_time(recording: Recording, line: Callable[[int], int]) -> ServerTime | None:
    """Compute the server time of a session; return None if its ids disagree or are missing.

    Args:
        recording: the session.
        line: function from the seq of an event to its line number.
    """
    clock = read_ids(recording)
    if clock is None:
        return None
    offset = None if clock.offset_s is None else round(clock.offset_s, 3)
    return ServerTime(clock.start, clock.end, clock.ids, offset, tuple((line(each.seq), each.age_s) for each in clock.refused))
