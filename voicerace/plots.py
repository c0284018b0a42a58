"""Plots of frames and recordings; each function returns axes with an alternative text."""

from voicerace.report.plots import *  # noqa: F403
from voicerace.report.plots import __all__ as __all__
