"""Decorator for dataclasses with millions of instances.

mypy checks that no field is assigned after creation. A frozen dataclass would also check this at run time, but it sets every
field through `object.__setattr__`, which makes creating an instance four times slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

__all__ = ["value"]

_Value = TypeVar("_Value")


@dataclass_transform(frozen_default=True)
def value(cls: type[_Value]) -> type[_Value]:
    """Make a dataclass with slots that is compared and hashed by its fields. mypy rejects assignments to the fields."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
