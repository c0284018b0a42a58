"""What others recorded -> `Recording`: the proxy's log, a browser's HAR, and recordings of our own."""

from voicerace.captures.console import Unread
from voicerace.captures.facts import CapturedSession
from voicerace.captures.reader import Capture, read_capture
from voicerace.captures.seen import Count
from voicerace.captures.show import inspect_json, inspect_lines
from voicerace.captures.times import TimeProfile

__all__ = [
    "Capture",
    "CapturedSession",
    "Count",
    "TimeProfile",
    "Unread",
    "inspect_json",
    "inspect_lines",
    "read_capture",
]
