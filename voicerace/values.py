"""A dataclass for values that are created by the million: mypy checks that it is frozen, the interpreter does not.

A frozen dataclass sets every field through `object.__setattr__`, which makes its creation four times slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

__all__ = ["value"]

_Value = TypeVar("_Value")


@dataclass_transform(frozen_default=True)
def value(cls: type[_Value]) -> type[_Value]:
    """Make a dataclass with slots, equal and hashed by its fields; mypy rejects assignments to the fields."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
