"""Values that are made by the million: frozen to the type checker, plain to the interpreter.

A frozen dataclass sets every field through `object.__setattr__`, which makes an event of a recording four times as dear as
it has to be; that nobody assigns to one is what `mypy --strict` is there for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

__all__ = ["value"]

_Value = TypeVar("_Value")


@dataclass_transform(frozen_default=True)
def value(cls: type[_Value]) -> type[_Value]:
    """A dataclass with slots, equal and hashed by its fields, whose fields are not to be assigned to."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
