"""The one picture that explains the race at a glance: the README's. `python -m voicerace.report.race FILE` draws it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from voicerace.analysis.verdict import judge
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.model.catalog.profiles import FIXED_NETWORK
from voicerace.report.parts import GAP_MS
from voicerace.report.phrasing import HEARS
from voicerace.report.plots.overview import Glance, alt_glance, plot_glance
from voicerace.report.plots.style import to_image

__all__ = ["race_alt", "race_lines", "race_svg"]

#: Release, handler, tool time, title.
_LINES: Final = (
    ("0.9.1", "return", 100, "0.9.1, one result, before the API is done with the call"),
    ("0.9.1", "return", 350, "0.9.1, one result, after it"),
    ("0.9.1", "async_ref", 350, "0.9.1, result through the ref: the component adds an error of its own"),
    ("0.9.4", "return", 350, "0.9.4, one result, after the API is done with the call"),
    ("0.11.1", "return", 50, "0.11.1, one result, before the API is done with the call"),
)


def race_lines() -> list[Glance]:
    """Its sessions, played now: what each comes to is read off the recording."""
    found = []
    for release, handler, tool_ms, title in _LINES:
        times: dict[str, object] = {**FIXED_NETWORK, "gap_ms": str(GAP_MS), "tool_ms": str(tool_ms)}
        recording = simulate(SessionConfig.of(release=release, handler=handler, times=times))
        found.append(Glance(title, recording, HEARS[judge(recording).outcome]))
    return found


def race_alt() -> str:
    """What it shows, in words and numbers."""
    return alt_glance(race_lines())


def race_svg() -> bytes:
    """The picture as an SVG file."""
    lines = race_lines()
    kind, image = to_image(plot_glance(lines), alt_glance(lines))
    if kind != "image/svg+xml":
        raise ValueError("the picture is too large for an SVG")
    return image + b"\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(race_svg())
