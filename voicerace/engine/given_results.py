"""A session in virtual time whose host sends given results at given times, for results that no handler style sends.

The app answers the first call with each of the results through the ref, and its handler's promise never resolves. So the
component adds no result, and the proxy gets exactly the given ones.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import VirtualEngine
from voicerace.errors import InputError
from voicerace.model.actors.actor import Effects, Send, SetTimer
from voicerace.model.actors.app import App
from voicerace.model.actors.user import User
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.parameters import MAX_CALLS, Times
from voicerace.model.protocol.agent import DEFAULT_ERROR
from voicerace.trace.recording import WIRES, Recording

__all__ = ["GivenResult", "with_results"]


@dataclass(frozen=True)
class GivenResult:
    """One result of the first call.

    Attributes:
        after_ms: time in ms from the request at the host until it sends the result.
        default_error: whether it is the component's default error instead of the tool's result.
    """

    after_ms: float
    default_error: bool = False


class _App(App):
    """An app that sends given results for the first call, and none for others."""

    def __init__(self, results: Sequence[GivenResult]) -> None:
        super().__init__(HANDLERS["async_ref"])
        self.results = tuple(results)

    def _called(self, call: dict[str, Any]) -> Effects:
        first = not self.state.calls
        self.state.calls[call["id"]] = (call["name"], call["arguments"])
        returned = Send("component", {"type": "returned", "id": call["id"], "value": "promise"})
        timers = [SetTimer(f"tool:{call['id']}:{n}", "tool_ms", n) for n in range(len(self.results))]
        return (returned, *(timers if first else ()))

    def timer(self, name: str) -> Effects:
        _, call_id, number = name.split(":")
        default = self.results[int(number)].default_error
        content = {"error": DEFAULT_ERROR} if default else {"temperature_c": 21}
        sent = {"type": "sendFunctionCallResponse", "id": call_id, "name": self.state.calls[call_id][0]}
        return (Send("component", sent | {"content": json.dumps(content, separators=(",", ":"))}),)


def with_results(session: SessionConfig, results: Sequence[GivenResult]) -> Recording:
    """Play a session in which the host sends these results for the first call, and return the recording of the proxy's links.

    The app's links are left out, because the app sends the default errors in place of the component.

    Args:
        session: release, scenario and times; its handler and `tool_ms` are not used.
        results: 1 to 8 results.

    Raises:
        InputError: there is no result, or there are more than 8.
    """
    if not 1 <= len(results) <= MAX_CALLS:
        raise InputError("results", f"{len(results)} given", f"1 to {MAX_CALLS}")
    times = Times.of({**session.times.to_json(), "tool_ms": [each.after_ms for each in results]}, session.profile)
    played = replace(session, times=times)
    actors = played.actors() | {"app": _App(results), "user": User(session.scenario.inputs, len(results))}
    recording = VirtualEngine(played, actors=actors).run()
    return replace(recording, events=recording.on(*WIRES), observed=WIRES)
