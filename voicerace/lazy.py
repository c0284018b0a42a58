"""Import public names on first use, so that a command loads only the modules that it uses."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

__all__ = ["load"]


def load(namespace: dict[str, Any], places: Mapping[str, str], name: str) -> Any:
    """Import the attribute with a public name, store it in `namespace`, and return it.

    A module calls this in its ``__getattr__``.

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
