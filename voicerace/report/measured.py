"""Compute the tables of a letter at the gap and the network times of a capture.

Times are measured at the proxy. The tool's time includes the host's round trip, which is therefore set to 0 (`captures.times`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from voicerace.captures import Capture
from voicerace.captures.show import quantiles, times_of
from voicerace.experiments.sweep.spec import SweepSpec
from voicerace.experiments.sweep.sweep import trials_of
from voicerace.report.capture_view import times_at_proxy
from voicerace.report.parts import cures, delay_spec, specs_of

if TYPE_CHECKING:
    from voicerace.report.context import ReportContext

__all__ = ["at_capture", "gap_range_ms"]

#: Minimum of the upper limit of the delay sweep in ms. The limit is at least twice the gap.
_LEAST_MS: Final = 500
_STEPS: Final = 50


def gap_range_ms(capture: Capture | None) -> tuple[int, float, float, float] | None:
    """Return (count, minimum, median, maximum) of the gaps of a capture in ms; None without gaps."""
    if capture is None:
        return None
    found = quantiles(times_of(capture, "gap_ms"))
    if not found["count"]:
        return None
    least, median, most = (max(0.0, float(found[name] or 0)) for name in ("min", "median", "max"))
    return int(found["count"]), least, median, most


def at_capture(context: ReportContext) -> ReportContext:
    """Return the context at the gaps of its capture, or the same context if no gap is known.

    The delay sweep and the handler styles use the median gap. The workarounds use the shortest, median and longest gap.
    """
    gaps = gap_range_ms(context.capture)
    if gaps is None or context.capture is None:
        return context
    _, least, median, most = gaps
    parameters = context.parameters.model_copy(update={"release": (), "releases": context.releases})
    at_gap = {"gap_ms": f"{median:g}", **times_at_proxy(context.capture)}
    reach_ms = max(_LEAST_MS, 2 * median)
    step_ms = max(int(parameters.step_ms), math.ceil(reach_ms / _STEPS))
    tools = {"tool_ms": f"0:{math.ceil(reach_ms / step_ms) * step_ms}:{step_ms}"}
    delay = SweepSpec(**{**delay_spec(parameters), "times": {**tools, **at_gap}})
    (own,) = specs_of(parameters)["styles"]
    styles = SweepSpec(**{**own, "times": {**own["times"], **at_gap}})
    parts = {
        **context.parts,
        "styles": trials_of(styles, cached=True),
        "cures": cures(context.releases, tuple(dict.fromkeys((least, median, most))), at_gap),
    }
    played = {**context.record.get("parts", {}), "delay": [delay.to_json()], "styles": [styles.to_json()]}
    return replace(context, delay=trials_of(delay, cached=True), parts=parts, record={**context.record, "parts": played})
