"""A base class for actor models, and a function that copies their state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, Final, Generic, Self, TypeVar

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


def copied(state: _State) -> _State:
    """Return an independent copy of a state, which is an instance of a dataclass without slots.

    Actors mutate only fields with a `default_factory`: lists, sets, dicts and dataclasses. Only these are copied. The copy
    shares messages, plans and frozen dataclasses, which never change (checked by tests/test_explore_keys.py).
    """
    copy: _State = _copiers[type(state)](state)
    return copy


class _Copiers(dict[type, Callable[[Any], Any]]):
    """The function that copies the instances of each type. They are made at the first use, because copying is frequent."""

    def __missing__(self, kind: type) -> Callable[[Any], Any]:
        found = self[kind] = self._made(kind)
        return found

    def _made(self, kind: type) -> Callable[[Any], Any]:
        parameters = getattr(kind, "__dataclass_params__", None)
        # Classes made by `values.value` have slots, and their instances do not change.
        if parameters is None or parameters.frozen or hasattr(kind, "__slots__"):
            return list if kind is list else _same
        names = tuple(each.name for each in fields(kind) if each.default_factory is not MISSING)
        make = object.__new__

        def copy(state: Any) -> Any:
            other: Any = make(kind)
            other.__dict__ = values = state.__dict__.copy()
            for name in names:
                value = values[name]
                if (container := type(value)) is list:
                    values[name] = [self[type(each)](each) for each in value]
                elif container is dict:
                    values[name] = {key: self[type(each)](each) for key, each in value.items()} if value else {}
                else:
                    values[name] = set(value) if container is set else self[container](value)
            return other

        return copy


_copiers: Final = _Copiers()


def _same(value: Any) -> Any:
    return value
