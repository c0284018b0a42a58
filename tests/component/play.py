"""Plays a script to the model: the actors `App` and `Component` of a session, and a clock.

The comparison covers the order and times of the component's messages to the proxy and, separately, of the app's callbacks. The
order between a message and a callback at the same time is not compared. The real component calls the handler synchronously and
reports changed states after React has committed them, about a millisecond of Jest's clock later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.component.cases import Case
from voicerace.captures.timers import TimerTable
from voicerace.model.actors.actor import Actor, SetTimer
from voicerace.model.actors.app import App
from voicerace.model.actors.component import Component
from voicerace.model.actors.effects import Interpreter
from voicerace.model.catalog.components import component
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.profiles import COMPONENT_TIMES_MS
from voicerace.trace.recording import Payload

__all__ = ["NOT_COMPARED", "SETTINGS_MS", "differences", "play"]

Observed = dict[str, Any]

#: Delay in ms of the real component before Settings. The model has no delay.
SETTINGS_MS: Final = 50
#: Delay in ms of the real component between `stop()` and the close of the connection. The model has no delay.
STOP_MS: Final = 1000
#: Callbacks that the model omits, because they do not concern the conversation.
NOT_COMPARED: Final = frozenset({"onReady", "onIdleTimeoutActiveChange", "onAgentOptionsUsedForSettings"})


class _Player(Interpreter):
    def __init__(self, tag: str, case: Case) -> None:
        self.case = case
        context = case.options.get("context", {}).get("messages", ())
        self.component = Component(component(tag), case.options.get("greeting"), context, idle_timeout=True)
        self.actors: dict[str, Actor] = {
            "app": App(HANDLERS[case.handler], case.tool_end, case.repeats),  # type: ignore[arg-type]  # of a case
            "component": self.component,
        }
        self.now = 0
        self.seen: list[Observed] = []
        self.timers = TimerTable()

    def run(self) -> list[Observed]:
        self.now = SETTINGS_MS
        self.apply("component", self.component.start())
        for step in self.case.steps:
            at = step["at"] + (STOP_MS if step["do"] == "stop" else 0)
            self.until(at)
            self.step(step)
        self.until(self.case.until)
        return self.seen

    def until(self, at: int) -> None:
        while (ended := self.timers.pop(at)) is not None:
            self.now, actor, name = ended
            self.apply(actor, self.actors[actor].timer(name))
        self.now = max(self.now, at)

    def step(self, step: Mapping[str, Any]) -> None:
        component = self.component
        match step["do"]:
            case "proxy":
                self.apply("component", component.message("proxy", step["message"]))
            case "proxy_text":
                self.apply("component", component.message("proxy", step["text"]))
            case "proxy_binary":
                self.apply("component", component.message("proxy", bytes(step["bytes"])))
            case "proxy_close":
                self.apply("component", component.closed("proxy", step["code"]))
            case "played":
                self.apply("component", component.timer("playback"))
            case "inject":
                self.apply("component", component.message("app", {"type": "injectUserMessage", "content": step["text"]}))
            case "ref":
                answer = {"type": "sendFunctionCallResponse", **{name: step[name] for name in ("id", "name", "content")}}
                self.apply("component", component.message("app", answer))
            case "microphone":
                self.apply("component", component.message("app", {"type": "microphone", "pcm": bytes(step["bytes"])}))
            case "stop":
                self.apply("component", component.message("app", {"type": "stop"}))
            case "start" | "options":
                pass  # the component sends Settings once per connection
            case other:
                raise ValueError(f"no model of {other}")

    def send(self, actor: str, to: str, payload: Payload) -> None:
        if actor == "component":
            what = {"bytes": len(payload)} if isinstance(payload, bytes) else dict(payload)  # type: ignore[arg-type]
            self.seen.append({"at": self.now, "to": to, **what})
        if to in self.actors:
            self.apply(to, self.actors[to].message(actor, payload))

    def close(self, actor: str, to: str, code: int | None) -> None:
        self.seen.append({"at": self.now, "to": to, "type": "(close)", "code": code})

    def set_timer(self, actor: str, timer: SetTimer) -> None:
        if timer.after != "playback_ms":  # the script ends the audio
            self.timers.set(actor, timer.name, self.now + self.lasts(timer.after, timer.index))

    def cancel_timer(self, actor: str, name: str) -> None:
        self.timers.cancel(actor, name)

    def lasts(self, after: str, index: int) -> int:
        if after == "tool_ms":
            return self.case.tool_ms[min(index, len(self.case.tool_ms) - 1)]
        return self.case.repeat_ms if after == "repeat_ms" else COMPONENT_TIMES_MS[after]


def play(tag: str, case: Case) -> list[Observed]:
    """Return the model's messages and callbacks in a case as ``{"at", "to", "type", …}``, in order."""
    return _Player(tag, case).run()


def differences(real: list[Observed], model: list[Observed]) -> list[str]:
    """Return the differences between two runs of a case as text, for messages to the proxy and then for callbacks."""
    found = []
    for side in ("proxy", "app"):
        ours, theirs = ([each for each in seen if each["to"] == side and _counts(each)] for seen in (model, real))
        for index in range(max(len(ours), len(theirs))):
            one = theirs[index] if index < len(theirs) else None
            two = ours[index] if index < len(ours) else None
            if one is None or two is None or _bare(one) != _bare(two) or abs(one["at"] - two["at"]) > 1:
                found.append(f"to the {side}: real {_line(one)}, model {_line(two)}")
    return found


def _counts(seen: Observed) -> bool:
    opening = seen.get("type") == "onConnectionStateChange" and seen["state"] in ("connecting", "connected")
    return seen.get("type") not in NOT_COMPARED and not opening


def _bare(seen: Observed) -> Observed:
    return {name: value for name, value in seen.items() if name not in ("at", "to")}


def _line(seen: Observed | None) -> str:
    if seen is None:
        return "nothing"
    return f"{seen['at']} ms {seen.get('type', 'audio')} " + " ".join(
        f"{v!r:.60}" for k, v in _bare(seen).items() if k != "type"
    )
