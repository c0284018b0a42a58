"""Somebody's own run, recorded from relays on one or both sides of their proxy, and judged session by session."""

from voicerace.captures.live.record import Captured, WatchedSession, capture

__all__ = ["Captured", "WatchedSession", "capture"]
