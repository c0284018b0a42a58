"""Read captures as `Recording` objects: proxy logs, HAR files, WebSocket cassettes, and voicerace recordings."""

from voicerace.captures.api import api_recordings
from voicerace.captures.api_times import ApiTime, api_times, api_times_frame, api_times_summary
from voicerace.captures.event_index import Count
from voicerace.captures.log_scanner import Unread
from voicerace.captures.reader import Capture, read_capture
from voicerace.captures.session_summary import CapturedSession
from voicerace.captures.show import inspect_json, inspect_lines
from voicerace.captures.times import TimeProfile

__all__ = [
    "ApiTime", "Capture", "CapturedSession", "Count", "TimeProfile", "Unread", "api_recordings", "api_times",
    "api_times_frame", "api_times_summary", "inspect_json", "inspect_lines", "read_capture",
]  # fmt: skip
