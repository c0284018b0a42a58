"""Test the state keys of the exploration: omitted parts have no effect on the wires, and state copies are independent."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import VirtualEngine
from voicerace.experiments.explore.keys import KEYS, SHOWN_TIMERS, Base
from voicerace.experiments.explore.stories import STORIES, session_of
from voicerace.model.actors.actor import Actor, Effects, SetTimer
from voicerace.model.actors.stateful import copied
from voicerace.model.catalog.releases import PROXIES
from voicerace.trace.recording import Link, Payload, Recording

WHICH = st.tuples(st.sampled_from(sorted(STORIES)), st.sampled_from(sorted(PROXIES)), st.sampled_from(["return", "void_ref"]))


class Watched:
    """An actor wrapper that copies the state before each call and asserts that the call does not change the copy."""

    def __init__(self, actor: object, name: str) -> None:
        self.actor = actor
        self.name = name

    def _called(self, method: str, *arguments: object) -> Effects:
        state = self.actor.state  # type: ignore[attr-defined]
        copy, before = copied(state), deepcopy(state)
        key = KEYS[self.name](copy, Base())
        effects: Effects = getattr(self.actor, method)(*arguments)
        assert copy == before, f"{self.name}.{method} writes into a copy of its state"
        assert KEYS[self.name](copy, Base()) == key
        return effects

    def start(self) -> Effects:
        return self._called("start")

    def message(self, sender: str, payload: Payload) -> Effects:
        return self._called("message", sender, payload)

    def closed(self, sender: str, code: int | None) -> Effects:
        return self._called("closed", sender, code)

    def timer(self, name: str) -> Effects:
        return self._called("timer", name)

    def renew(self) -> Actor:
        return Watched(self.actor.renew(), self.name)  # type: ignore[attr-defined]


@settings(max_examples=25, deadline=None)
@given(WHICH)
def test_a_copied_state_does_not_change_with_the_original(which: tuple[str, str, str]) -> None:
    story, release, handler = which
    session = session_of(story, handler, release)
    actors = {name: actor if name == "user" else Watched(actor, name) for name, actor in session.actors().items()}
    VirtualEngine(session, actors).run()  # type: ignore[arg-type]  # they are actors


class Unshown:
    """A component wrapper that drops the timers whose only effect is a callback of the app."""

    def __init__(self, component: object) -> None:
        self.component = component

    def _kept(self, effects: Effects) -> Effects:
        return [each for each in effects if not (isinstance(each, SetTimer) and each.name in SHOWN_TIMERS)]

    def start(self) -> Effects:
        return self._kept(self.component.start())  # type: ignore[attr-defined]

    def message(self, sender: str, payload: Payload) -> Effects:
        return self._kept(self.component.message(sender, payload))  # type: ignore[attr-defined]

    def closed(self, sender: str, code: int | None) -> Effects:
        return self._kept(self.component.closed(sender, code))  # type: ignore[attr-defined]

    def timer(self, name: str) -> Effects:
        return self._kept(self.component.timer(name))  # type: ignore[attr-defined]


def wires(recording: Recording) -> list[tuple[object, ...]]:
    """Return (link, sending time, receiving time, payload) of each message between component, proxy and upstream."""
    two = (Link("component", "proxy"), Link("proxy", "component"), Link("proxy", "upstream"), Link("upstream", "proxy"))
    return [(e.link, e.sent_ns, e.received_ns, e.payload) for e in recording.on(*two)]


@settings(max_examples=25, deadline=None)
@given(WHICH)
def test_delayed_callbacks_of_the_app_do_not_change_the_wires(which: tuple[str, str, str]) -> None:
    story, release, handler = which
    session = session_of(story, handler, release)
    actors = session.actors()
    without = VirtualEngine(session, {**actors, "component": Unshown(actors["component"])})  # type: ignore[dict-item]
    assert wires(without.run()) == wires(VirtualEngine(session).run())


@pytest.mark.parametrize("flag", ["flag", "mark", "text_waits", "configured", "ready"])
def test_the_flags_of_a_proxy_are_in_its_key(flag: str) -> None:
    state = SessionConfig.of().actors()["proxy"].state  # type: ignore[attr-defined]
    other = replace(state, **{flag: not getattr(state, flag)})
    assert KEYS["proxy"](other, Base()) != KEYS["proxy"](state, Base())
