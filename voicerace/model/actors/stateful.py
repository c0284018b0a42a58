"""The base class of the models, and copies of their states."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Generic, Self, TypeVar

from voicerace.model.actors.actor import Effect, Effects

__all__ = ["StatefulActor", "copied"]

_State = TypeVar("_State")


class StatefulActor(Generic[_State]):
    """An actor made of settings, which never change, and one state, which holds all that a session changes.

    `_out` collects the effects of the call in progress. It is empty between calls.
    """

    def __init__(self, state: _State) -> None:
        self.state = state
        self._out: list[Effect] = []

    def with_state(self, state: _State) -> Self:
        """An actor with the same settings and another state, which it may change."""
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        other.state, other._out = state, []
        return other

    def renewed_state(self) -> _State:
        """The state with which the actor starts on the next connection; by default it remembers nothing."""
        return type(self.state)()

    def renew(self) -> Self:
        """See `Actor.renew`."""
        return self.with_state(self.renewed_state())

    def start(self) -> Effects:
        return ()

    def closed(self, sender: str, code: int | None) -> Effects:
        return ()

    def _effects(self) -> list[Effect]:
        out, self._out = self._out, []
        return out


# -- copies ----------------------------------------------------------------------------------------------------------

_changing_fields: dict[type, tuple[str, ...] | None] = {}


def copied(state: _State) -> _State:
    """A copy of a state that can change while the original stays the same.

    The copy is as deep as actors write: they change dataclasses, and the lists, sets, dicts and dataclasses that a field
    was made with (its `default_factory`). They replace a message inside one of these and never change it, so messages,
    plans and frozen dataclasses are shared (tests/test_explore_keys.py checks this).

    Args:
        state: an instance of a dataclass without slots.
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
    """A copy of an element of a list or a dict: a record, a list of results, or a message, which is shared."""
    kind = type(value)
    if kind is str or kind is int or kind is dict:
        return value
    if kind is list:
        return list(value)
    return copied(value) if _changing(kind) is not None else value


def _changing(kind: type) -> tuple[str, ...] | None:
    """The fields of a dataclass whose values actors change; None for a class whose instances are shared."""
    try:
        return _changing_fields[kind]
    except KeyError:
        parameters = getattr(kind, "__dataclass_params__", None)
        # A class made by `values.value` has slots and does not change.
        if not is_dataclass(kind) or parameters is None or parameters.frozen or hasattr(kind, "__slots__"):
            _changing_fields[kind] = None
        else:
            _changing_fields[kind] = tuple(each.name for each in fields(kind) if each.default_factory is not MISSING)
        return _changing_fields[kind]
