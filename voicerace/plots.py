"""Plots of data frames and recordings. Each function returns Matplotlib axes with an alternative text."""

from voicerace.report.plots import *  # noqa: F403
from voicerace.report.plots import __all__ as __all__
