"""Copies of parties' states: as deep as the parties write into them, and no deeper.

Parties change their dataclasses, and the lists, sets and dicts directly in them; a message inside of one is replaced, never
changed (a property test holds them to it). So messages, plans and all that is frozen are shared.
"""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Any, TypeVar

__all__ = ["clone"]

_State = TypeVar("_State")
_mutable: dict[type, bool] = {}


def _changes(kind: type) -> bool:
    """Whether objects of this kind are dataclasses that a party changes."""
    known = _mutable.get(kind)
    if known is None:
        parameters = getattr(kind, "__dataclass_params__", None)
        known = _mutable[kind] = is_dataclass(kind) and not (parameters is not None and parameters.frozen)
    return known


def clone(state: _State) -> _State:
    """A copy that a party may change while the original stays as it is."""
    copied = object.__new__(type(state))
    fields = copied.__dict__
    for name, value in state.__dict__.items():
        kind = type(value)
        if kind is str or kind is int or kind is bool:
            fields[name] = value
        elif kind is dict:
            fields[name] = {key: _inner(each) for key, each in value.items()}
        elif kind is list:
            fields[name] = [_inner(each) for each in value]
        elif kind is set:
            fields[name] = set(value)
        elif _changes(kind):
            fields[name] = clone(value)
        else:
            fields[name] = value
    return copied


def _inner(value: Any) -> Any:
    kind = type(value)
    if kind is str or kind is int or kind is dict:
        return value
    if kind is list:
        return list(value)
    if kind is set:
        return set(value)
    return clone(value) if _changes(kind) else value
