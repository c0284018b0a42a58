"""Milliseconds at the edges, integer nanoseconds inside."""

from __future__ import annotations

from decimal import Decimal

__all__ = ["ms", "ns"]


def ns(milliseconds: float | Decimal) -> int:
    """Milliseconds as integer nanoseconds, rounded to the nearest."""
    return round(Decimal(str(milliseconds)) * 1_000_000)


def ms(nanoseconds: int) -> float:
    """Nanoseconds as milliseconds."""
    return nanoseconds / 1_000_000
