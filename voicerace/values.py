"""A decorator for dataclasses with millions of instances, and the import of public names on first use.

mypy checks that no field is assigned after creation. A frozen dataclass would also check this at run time, but it sets every
field through `object.__setattr__`, which makes creating an instance four times slower.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar, dataclass_transform

__all__ = ["load", "value"]

_Value = TypeVar("_Value")


@dataclass_transform(frozen_default=True)
def value(cls: type[_Value]) -> type[_Value]:
    """Make a dataclass with slots that is compared and hashed by its fields. mypy rejects assignments to the fields."""
    return dataclass(slots=True, unsafe_hash=True)(cls)


def load(namespace: dict[str, Any], places: Mapping[str, str], name: str) -> Any:
    """Import the attribute with a public name, store it in `namespace`, and return it.

    A module calls this in its ``__getattr__``, so that a command imports only the modules that it uses.

    Args:
        namespace: the module's globals.
        places: ``module:attribute`` relative to voicerace, or ``module`` for the module itself, by public name.
        name: the public name.

    Raises:
        AttributeError: `name` is not in `places`.
    """
    if name not in places:
        raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")
    module, _, attribute = places[name].partition(":")
    found = import_module(f"voicerace.{module}")
    namespace[name] = found = getattr(found, attribute) if attribute else found
    return found
