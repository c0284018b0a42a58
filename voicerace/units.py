"""Milliseconds at the edges, integer nanoseconds inside."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

__all__ = ["iso_utc", "ms", "ns"]


def ns(milliseconds: float | Decimal) -> int:
    """Milliseconds as integer nanoseconds, rounded to the nearest."""
    return round(Decimal(str(milliseconds)) * 1_000_000)


def ms(nanoseconds: int) -> float:
    """Nanoseconds as milliseconds."""
    return nanoseconds / 1_000_000


def iso_utc(unix_s: float, timespec: str = "milliseconds") -> str:
    """Seconds since 1970 as ISO 8601, UTC; `timespec` as of `datetime.isoformat`."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
