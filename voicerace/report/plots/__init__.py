"""Draw pictures of DataFrames and recordings, with alternative texts. Each kind of picture has its own module."""

from __future__ import annotations

from voicerace.report.plots.aligned import alt_aligned, plot_aligned
from voicerace.report.plots.finding_space import alt_space, plot_space
from voicerace.report.plots.gap_map import alt_map, plot_map
from voicerace.report.plots.gap_sensitivity import alt_gap_sensitivity, plot_gap_sensitivity
from voicerace.report.plots.outcome import alt_outcome, plot_outcome
from voicerace.report.plots.release_table import release_table
from voicerace.report.plots.slot import alt_slot, plot_slot
from voicerace.report.plots.style import STYLES, glyph, to_image
from voicerace.report.plots.swimlane import alt_swimlane, plot_swimlane, svg_swimlane

__all__ = [
    "STYLES",
    "alt_aligned",
    "alt_gap_sensitivity",
    "alt_map",
    "alt_outcome",
    "alt_slot",
    "alt_space",
    "alt_swimlane",
    "glyph",
    "plot_aligned",
    "plot_gap_sensitivity",
    "plot_map",
    "plot_outcome",
    "plot_slot",
    "plot_space",
    "plot_swimlane",
    "release_table",
    "svg_swimlane",
    "to_image",
]
