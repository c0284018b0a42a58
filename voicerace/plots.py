"""Pictures: frames and recordings in, axes and their alternative texts out."""

from voicerace.report.plots import *  # noqa: F403  # the public name of that package
from voicerace.report.plots import __all__ as __all__
