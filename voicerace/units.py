"""Converts between milliseconds (input, output) and integer nanoseconds (internal)."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

__all__ = ["iso_utc", "ms", "ns"]


def ns(milliseconds: float | Decimal) -> int:
    """Convert milliseconds to integer nanoseconds, rounded to the nearest."""
    return round(Decimal(str(milliseconds)) * 1_000_000)


def ms(nanoseconds: int) -> float:
    """Convert nanoseconds to milliseconds."""
    return nanoseconds / 1_000_000


def iso_utc(unix_s: float, timespec: str = "milliseconds") -> str:
    """Format seconds since 1970 as ISO 8601 in UTC; `timespec` as in `datetime.isoformat`."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
