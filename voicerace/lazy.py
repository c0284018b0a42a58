"""Public names that are imported on first use, so that a command loads only what it uses."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

__all__ = ["load"]


def load(namespace: dict[str, Any], places: Mapping[str, str], name: str) -> Any:
    """Import and store a module's attribute `name`; for the module's ``__getattr__``.

    Args:
        namespace: the module's globals.
        places: public name -> ``module:attribute`` relative to voicerace, or ``module`` for the module itself.
        name: the attribute.

    Raises:
        AttributeError: `name` is not in `places`.
    """
    if name not in places:
        raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")
    module, _, attribute = places[name].partition(":")
    found = import_module(f"voicerace.{module}")
    namespace[name] = found = getattr(found, attribute) if attribute else found
    return found
