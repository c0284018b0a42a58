"""Draw the README's overview picture of the race. `python -m voicerace.report.race FILE` writes the picture."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from voicerace.analysis.verdict import judge
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.model.catalog.profiles import FIXED_NETWORK
from voicerace.report.phrasing import HEARS
from voicerace.report.plots.gap_map import observed_gap_ms
from voicerace.report.plots.overview import OverviewLine, alt_overview, plot_overview
from voicerace.report.plots.style import to_image

__all__ = ["TIMES_TEXT", "race_alt", "race_lines", "race_svg"]

_TOOL_MS: Final = 250
#: (Release, handler, title) of each row of the picture.
_LINES: Final = (
    ("0.9.1", "return", "0.9.1, the handler returns the result"),
    ("0.9.1", "async_ref", "0.9.1, it sends the result through the ref and awaits it: the component adds an error"),
    ("0.9.1", "void_ref", "0.9.1, it returns at once and sends the result later: the component's error comes first"),
    ("0.9.4", "return", "0.9.4, the handler returns the result"),
    ("0.11.1", "return", "0.11.1, the handler returns the result"),
    ("0.11.1", "void_ref", "0.11.1, it returns at once and sends the result later"),
)

#: The times of the picture as text.
TIMES_TEXT: Final = (
    f"a gap of {observed_gap_ms():g} ms as recorded; a tool of {_TOOL_MS} ms and round trips of "
    f"{FIXED_NETWORK['host_rtt_ms']} ms (browser to proxy) and {FIXED_NETWORK['upstream_rtt_ms']} ms (proxy to API) are assumed"
)


def race_lines(lines: Sequence[tuple[str, str, str]] = _LINES) -> list[OverviewLine]:
    """Simulate sessions with the published gap, and return one row per session.

    Args:
        lines: (release, handler, title) of each row.
    """
    found = []
    times: dict[str, object] = {**FIXED_NETWORK, "gap_ms": f"{observed_gap_ms():g}", "tool_ms": str(_TOOL_MS)}
    for release, handler, title in lines:
        recording = simulate(SessionConfig.of(release=release, handler=handler, times=times))
        found.append(OverviewLine(title, recording, HEARS[judge(recording).outcome]))
    return found


def race_alt() -> str:
    """Return the alternative text of the picture, with its numbers."""
    return alt_overview(race_lines())


def race_svg() -> bytes:
    """Return the picture as an SVG file's bytes."""
    lines = race_lines()
    kind, image = to_image(plot_overview(lines), alt_overview(lines))
    if kind != "image/svg+xml":
        raise ValueError("the picture is too large for an SVG")
    return image + b"\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(race_svg())
