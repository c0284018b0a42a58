"""Live capture: relays on one or both sides of a proxy record a command's traffic, and each session is judged."""

from voicerace.captures.live.record import Captured, WatchedSession, capture

__all__ = ["Captured", "WatchedSession", "capture"]
