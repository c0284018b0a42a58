"""A decorator for dataclasses with millions of instances.

mypy checks that no field is assigned after creation. The interpreter does not check it: a frozen dataclass sets every field
through `object.__setattr__`, which makes the creation of an instance four times slower.
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
