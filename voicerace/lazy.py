"""Public names that are imported when they are first asked for: a command or a notebook waits only for what it uses."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

__all__ = ["load"]


def load(namespace: dict[str, Any], places: Mapping[str, str], name: str) -> Any:
    """The value of a module's attribute `name`, which stays there; for the module's ``__getattr__``.

    Args:
        namespace: the module's globals.
        places: public name -> ``module:attribute`` below voicerace, or ``module`` for the module itself.
        name: the attribute.

    Raises:
        AttributeError: it is no public name.
    """
    if name not in places:
        raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")
    module, _, attribute = places[name].partition(":")
    found = import_module(f"voicerace.{module}")
    namespace[name] = found = getattr(found, attribute) if attribute else found
    return found
