"""A capture's sessions in tables, and what their times would mean on every release of the proxy.

The expected shares are computed by drawing a delay and a gap, each from all that were measured, and playing a session of
the models with them: `ASSUMPTIONS` says what that takes for granted.
"""

from __future__ import annotations

import csv
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from voicerace.captures import Capture
from voicerace.captures.show import times_of
from voicerace.errors import InputError
from voicerace.measures import measured
from voicerace.statistics import summarise
from voicerace.sweep import trials_of
from voicerace.tables.releases import PROXIES

__all__ = ["ASSUMPTIONS", "answer_rows", "capture_map", "evidence_rows", "expected", "write_times"]

ASSUMPTIONS: Final = (
    "Delay and gap are drawn independently of each other, each from all that the capture has.",
    "Both are as seen at the proxy, so the delay contains the host's round trip: that is 0 in these sessions.",
    "The quickest confirmation of an item is taken to be the upstream's round trip, and all of it network; "
    "without one, the round trip is taken to be 0.",
    "One call and one result per session, sent once: a second submission is not in these shares.",
    "The intervals (Wilson, 95 %) are those of the draws; that the capture stands for all sessions is not in them.",
)


def evidence_rows(capture: Capture) -> pd.DataFrame:
    """Per session: which releases fit, and the lines that say so, or that contradict."""
    rows = []
    for number, of in enumerate(capture.sessions, start=1):
        said = of.told
        rows.append(
            {
                "session": number,
                "release": ", ".join(said.candidates) if said is not None else of.release or "unknown",
                "given": of.release_given,
                "evidence": "; ".join(f"line {e.line}: {e.what}" for e in (said.evidence if said else ()) if e.line),
                "contradictions": "; ".join(f"line {e.line}: {e.what}" for e in (said.contradictions if said else ())),
            }
        )
    return pd.DataFrame(rows, columns=["session", "release", "given", "evidence", "contradictions"])


def answer_rows(capture: Capture) -> pd.DataFrame:
    """The brief's questions, a row per session, each number with the lines of the file that it rests on."""
    rows = []
    for number, of in enumerate(capture.sessions, start=1):
        found = of.answers
        twice = [f"call {s.call}: {_with_lines(s.results, s.lines)}, by {s.by}" for s in found.submissions]
        cleared = [f"by {c.by} (line {c.line}), {c.updates} session.update before the end" for c in found.cleared or ()]
        rows.append(
            {
                "session": number,
                "session.update": _with_lines(of.session_updates.value, found.update_lines),
                "response.create from the first result on, per turn": "; ".join(
                    _with_lines(turn.response_creates, turn.lines) for turn in found.turns
                ),
                "submitted twice": "; ".join(twice) or "none seen",
                "flag cleared before response.done": "unknown" if found.cleared is None else "; ".join(cleared) or "no",
            }
        )
    return pd.DataFrame(rows)


def write_times(capture: Capture, folder: Path) -> dict[str, str]:
    """Write the measured times as CSV files, for a sweep or a session: time name -> ``@file.csv`` of the grammar.

    Raises:
        InputError: the capture has no delay or no gap.
    """
    found: dict[str, str] = {}
    for name, values in (("tool_ms", times_of(capture, "result_delay_ms")), ("gap_ms", times_of(capture, "gap_ms"))):
        if not values:
            raise InputError("capture", f"has no {name.removesuffix('_ms')} of a session", "one with a call and its result")
        path = folder / f"{name}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([[name], *([max(0.0, each)] for each in values)])
        found[name] = f"@{path}"
    return found


def expected(capture: Capture, trials: int = 100, seed: int = 0, releases: Sequence[str] = ()) -> pd.DataFrame:
    """How often each outcome is to be expected on every release with the capture's times.

    Returns:
        As `statistics.summarise`, one row per release and outcome: ``count`` of ``judged``, ``share``, ``low``, ``high``.

    Raises:
        InputError: the capture has no delay or no gap.
    """
    with tempfile.TemporaryDirectory() as folder:
        times: dict[str, object] = {**write_times(capture, Path(folder)), "host_rtt_ms": "0", "ack_ms": "0"}
        times["upstream_rtt_ms"] = f"{_upstream_rtt_ms(capture):g}"
        tags = tuple(releases) or tuple({row.source: tag for tag, row in reversed(PROXIES.items())}.values())[::-1]
        spec = {"releases": tags, "times": times, "trials": trials, "seed": seed, "ties": False}
        return summarise(trials_of(spec))


def capture_map(capture: Capture, steps: int = 20) -> pd.DataFrame:
    """The trials of the map for the capture's release, reaching beyond its delays and gaps; `steps` cells a side."""
    named = [of.release or (of.told.candidates[0] if of.told and of.told.candidates else None) for of in capture.sessions]
    grids = {}
    for name, values in (("tool_ms", times_of(capture, "result_delay_ms")), ("gap_ms", times_of(capture, "gap_ms"))):
        step = math.ceil(max([50.0, *values]) * 1.2 / steps)
        grids[name] = f"0:{step * steps}:{step}"
    release = next((tag for tag in named if tag is not None), "0.9.1")
    return trials_of({"releases": (release,), "times": grids, "ties": False})


def _upstream_rtt_ms(capture: Capture) -> float:
    found = [each for of in capture.sessions for each in measured(of.completed).get("ack_ms", ()) if each >= 0]
    return min(found, default=0.0)


def _with_lines(value: int | None, lines: Sequence[int]) -> str:
    shown = "unknown" if value is None else str(value)
    known = [str(line) for line in lines if line]
    return f"{shown} (lines {', '.join(known)})" if known else shown
