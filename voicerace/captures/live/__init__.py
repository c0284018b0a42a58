"""Capture live traffic: run a command with relays on one or both sides of its proxy, and judge each recorded session."""

from voicerace.captures.live.record import Captured, WatchedSession, capture

__all__ = ["Captured", "WatchedSession", "capture"]
