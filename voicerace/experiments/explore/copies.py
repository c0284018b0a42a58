"""Copies of parties' states: as deep as the parties write into them, and no deeper.

Parties change their dataclasses, and the lists, sets, dicts and dataclasses that a field of them was made with (its
`default_factory`); a message inside of one is replaced, never changed (tests/test_explore_keys.py holds them to it). So
messages, plans and all that is frozen are shared.
"""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar

__all__ = ["clone"]

_State = TypeVar("_State")
_fields: dict[type, tuple[str, ...] | None] = {}


def _written(kind: type) -> tuple[str, ...] | None:
    """The fields of a dataclass that hold what is written into; None for what is shared as it is."""
    try:
        return _fields[kind]
    except KeyError:
        parameters = getattr(kind, "__dataclass_params__", None)
        # A value (`values.value`) is not written into either, and has slots.
        if not is_dataclass(kind) or parameters is None or parameters.frozen or hasattr(kind, "__slots__"):
            _fields[kind] = None
        else:
            _fields[kind] = tuple(each.name for each in fields(kind) if each.default_factory is not MISSING)
        return _fields[kind]


def clone(state: _State) -> _State:
    """A copy that a party may change while the original stays as it is."""
    copied = object.__new__(type(state))
    values = copied.__dict__
    values.update(state.__dict__)
    for name in _written(type(state)) or ():
        value = values[name]
        kind = type(value)
        if kind is dict:
            values[name] = {key: _inner(each) for key, each in value.items()} if value else {}
        elif kind is list:
            values[name] = [_inner(each) for each in value]
        elif kind is set:
            values[name] = set(value)
        elif _written(kind) is not None:
            values[name] = clone(value)
    return copied


def _inner(value: Any) -> Any:
    """What a list or a dict holds: a record, a list of results, or a message, which is shared."""
    kind = type(value)
    if kind is str or kind is int or kind is dict:
        return value
    if kind is list:
        return list(value)
    return clone(value) if _written(kind) is not None else value
