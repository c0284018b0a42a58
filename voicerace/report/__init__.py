"""The report: a notebook that ran through, as one HTML file that a customer opens."""

from voicerace.report.build import Report, build
from voicerace.report.check import faults

__all__ = ["Report", "build", "faults"]
