"""A base class for actor models, and a function that copies their state."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Generic, Self, TypeVar

from voicerace.model.actors.actor import Effect, Effects

__all__ = ["StatefulActor", "copied"]

_State = TypeVar("_State")


class StatefulActor(Generic[_State]):
    """An actor with constant settings and a mutable `state`. `_out` collects the effects of the current method call."""

    def __init__(self, state: _State) -> None:
        self.state = state
        self._out: list[Effect] = []

    def with_state(self, state: _State) -> Self:
        """Return an actor with the same settings and the given state."""
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        other.state, other._out = state, []
        return other

    def renewed_state(self) -> _State:
        """Return the state for the next connection, by default a state with default values."""
        return type(self.state)()

    def renew(self) -> Self:
        return self.with_state(self.renewed_state())

    def start(self) -> Effects:
        return ()

    def closed(self, sender: str, code: int | None) -> Effects:
        return ()

    def _effects(self) -> list[Effect]:
        out, self._out = self._out, []
        return out


_changing_fields: dict[type, tuple[str, ...] | None] = {}


def copied(state: _State) -> _State:
    """Return an independent copy of a state, which is an instance of a dataclass without slots.

    Actors mutate only fields with a `default_factory`: lists, sets, dicts and dataclasses. Only these are copied. The copy
    shares messages, plans and frozen dataclasses, which never change (checked by tests/test_explore_keys.py).
    """
    copy = object.__new__(type(state))
    values = copy.__dict__
    values.update(state.__dict__)
    for name in _changing(type(state)) or ():
        value = values[name]
        kind = type(value)
        if kind is dict:
            values[name] = {key: _element(each) for key, each in value.items()} if value else {}
        elif kind is list:
            values[name] = [_element(each) for each in value]
        elif kind is set:
            values[name] = set(value)
        elif _changing(kind) is not None:
            values[name] = copied(value)
    return copy


def _element(value: Any) -> Any:
    """Return a copy of a list or dict element if the element is a list or a mutable dataclass, else the element itself."""
    kind = type(value)
    if kind is str or kind is int or kind is dict:
        return value
    if kind is list:
        return list(value)
    return copied(value) if _changing(kind) is not None else value


def _changing(kind: type) -> tuple[str, ...] | None:
    """Return the names of the fields that `copied` copies, or None if copies share the instances of `kind`."""
    try:
        return _changing_fields[kind]
    except KeyError:
        parameters = getattr(kind, "__dataclass_params__", None)
        # Classes made by `values.value` have slots, and their instances do not change.
        if not is_dataclass(kind) or parameters is None or parameters.frozen or hasattr(kind, "__slots__"):
            _changing_fields[kind] = None
        else:
            _changing_fields[kind] = tuple(each.name for each in fields(kind) if each.default_factory is not MISSING)
        return _changing_fields[kind]
