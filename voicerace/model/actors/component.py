"""The component, voice-agent-react, between app and proxy. It answers calls that the handler does not answer.

If the handler returns nothing before it has called the passed `sendResponse`, or if its promise resolves to nothing, the
component sends its default error as the result at once. `sendFunctionCallResponse` of its ref does not count as an answer.
`model.catalog.callbacks` lists the callbacks, and `model.catalog.components` the differences between releases.
`tests/component` compares both with the running component.

Simplifications: without a forwarder, Settings is sent when the first connection opens, not 50 ms later. `stop()` closes the
connection at once, not after a second. `start()`, which reopens a closed connection, is not modelled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from voicerace.model.actors.actor import ABNORMAL, Cancel, Close, Effect, Effects, Open, Send, SetTimer
from voicerace.model.actors.component_idle import Idle, IdleState
from voicerace.model.actors.component_values import content_of, json_of, named, values
from voicerace.model.actors.stateful import StatefulActor
from voicerace.model.catalog import callbacks, components
from voicerace.model.protocol import agent
from voicerace.trace.recording import Payload

__all__ = ["Component", "ComponentState"]

WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}

#: Types of the proxy's messages that count as activity for the idle timeout.
_ACTIVITY = frozenset({"AgentThinking", "AgentStartedSpeaking", "AgentDone", "AgentAudioDone"})
_TIMERS = (
    "settings", "first settings", "settings again", "opened", "microphone", "playback", "text_done", "text_counts", "idle",
    "awaits", "text",
)  # fmt: skip


@dataclass
class _Shown:
    """States that callbacks report to the app. `Component` changes them at once and reports changes after each message."""

    agent: str = "idle"
    playing: bool = False
    user_speaks: bool = False

    def copied(self) -> _Shown:
        """Return a copy, faster than `copy.copy`."""
        return _Shown(self.agent, self.playing, self.user_speaks)


@dataclass
class ComponentState:
    """Attributes:
    calls: name of each call that was passed to the app, by call id.
    answered: ids of the calls that count as answered.
    shown: states that callbacks report to the app.
    voice: agent state derived from the user's voice: first idle, then listening, then thinking.
    sounds: whether the device plays audio.
    announced: whether "speaking" was reported for the current playback.
    hears: whether microphone audio is forwarded to the proxy. It is false until `settings_wait_ms` after Settings.
    closed: whether the connection is closed.
    text: user text that reopened the connection and is not sent yet, or None.
    idle: state of the idle timeout.
    """

    calls: dict[str, str] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    shown: _Shown = field(default_factory=_Shown)
    voice: str = "idle"
    sounds: bool = False
    announced: bool = False
    hears: bool = False
    closed: bool = False
    text: str | None = None
    idle: IdleState = field(default_factory=IdleState)


class Component(StatefulActor[ComponentState]):
    """One instance of voice-agent-react, connected to the OpenAI proxy.

    Args:
        release: settings of the component's release.
        greeting: value of `agentOptions.greeting`.
        context: messages of earlier conversation, each ``{"role", "content"}``.
        idle_timeout: whether to close the connection after `component_idle_ms` without activity.
        late_settings: whether to send Settings `settings_ms` late, and again `settings_ms` later. No release of the
            component does this (data/README.md), but another host can.
        settings_after_open: whether to send the first Settings only `settings_open_ms` later, as the running component does.
    """

    def __init__(
        self,
        release: components.ComponentRelease,
        greeting: str | None = None,
        context: Sequence[Mapping[str, str]] = (),
        *,
        idle_timeout: bool = False,
        late_settings: bool = False,
        settings_after_open: bool = False,
    ) -> None:
        super().__init__(ComponentState())
        self.release = release
        self.greeting = greeting
        self.context = tuple(context)
        self.late_settings = late_settings
        self.settings_after_open = settings_after_open
        self.idle = Idle(release, self.state.idle) if idle_timeout else None
        self._rows = callbacks.rows_of(release.tag)
        self._noticed = callbacks.noticed_types(release.tag)

    def with_state(self, state: ComponentState) -> Self:
        other = super().with_state(state)
        other.idle = Idle(self.release, state.idle) if self.idle else None
        return other

    # -- the actor ---------------------------------------------------------------------------------------------------

    def start(self) -> Effects:
        if self.late_settings or self.settings_after_open:
            timer = ("settings", "settings_ms") if self.late_settings else ("first settings", "settings_open_ms")
            return (SetTimer(*timer),)
        return (self._settings(), SetTimer("microphone", "settings_wait_ms"))

    def _settings(self) -> Send:
        settings = agent.settings(
            prompt="You are a helpful voice assistant.",
            model="gpt-realtime",
            functions=[WEATHER],
            greeting=self.greeting,
            context=self.context,
        )
        return Send("proxy", settings)

    def message(self, sender: str, payload: Payload) -> Effects:
        if self.state.closed:
            return self._while_closed(payload) if sender == "app" and isinstance(payload, dict) else ()
        if sender == "proxy" and self.idle is None and isinstance(payload, dict):
            kind = payload.get("type")
            if isinstance(kind, str) and kind not in self._noticed:
                return ()  # Fast path: most messages neither cause a callback nor change the state.
        before = self.state.shown.copied()
        if sender == "app":
            if isinstance(payload, bytes):
                self._from_app({"type": "microphone", "pcm": payload})
            elif isinstance(payload, dict):
                self._from_app(payload)
        else:
            self._from_proxy(payload)
        return self._reported(before)

    def closed(self, sender: str, code: int | None) -> Effects:
        if self.state.closed:
            return ()
        self.state.closed = True
        self._steps(self._rows["(close)"], {"service": "agent", "state": "closed"})
        return (*self._all_effects(), *map(Cancel, _TIMERS))

    def timer(self, name: str) -> Effects:
        if self.state.closed:
            return ()
        before = self.state.shown.copied()
        match name:
            case "settings":
                again = SetTimer("settings again", "settings_ms")
                return (self._settings(), again, SetTimer("microphone", "settings_wait_ms"))
            case "first settings" | "settings again":
                wait = SetTimer("microphone", "settings_wait_ms")
                return (self._settings(), wait) if name == "first settings" else (self._settings(),)
            case "microphone":
                self.state.hears = True
            case "playback":
                self._steps(self._rows["(played)"], {})
            case "opened":
                self._opened()
            case "text" if self.state.text is not None:
                text, self.state.text = self.state.text, None
                self._inject(text)
            case "text_done":
                self._text_done()
            case "text_counts" if self.idle:
                self.idle.activity(rests=self._rests())
            case "awaits" if self.idle:
                self.idle.waited(rests=self._rests())
            case "idle":
                return (Close("proxy", 1000), *self.closed("proxy", 1000))
        return self._reported(before)

    # -- messages of the proxy ---------------------------------------------------------------------------------------

    def _from_proxy(self, payload: Payload) -> None:
        if isinstance(payload, bytes):
            self._steps(self._rows["(binary)"], {"bytes": len(payload)})
            return
        if not isinstance(payload, (dict, Mapping)):
            self._no_object(payload)
            return
        kind = str(payload.get("type"))
        if self.idle:
            # AgentDone counts as activity only in releases that have a callback for it.
            if kind in _ACTIVITY and (kind != "AgentDone" or self._rows["AgentDone"].steps):
                self.idle.activity(rests=self._rests())
            self.idle.message(rests=self._rests())
        if kind == "FunctionCallRequest":
            self._calls(payload)
        elif (row := self._rows.get(named(kind, payload))) is not None and row.steps:
            self._steps(row, values(kind, payload))
        if kind == "SettingsApplied" and self.release.microphone_opens == "applied":
            self.state.hears = True

    def _no_object(self, text: str | None) -> None:
        """Report a parse error if `text` is invalid JSON or `null`. Ignore other JSON that is not an object."""
        try:
            nothing = json.loads(text or "") is None
        except ValueError:
            nothing = True
        if nothing:
            error = {"service": "agent", "code": "parse_error", "message": "Failed to parse WebSocket message"}
            self._steps(self._rows["(no JSON)"], error)

    def _calls(self, request: Mapping[str, Any]) -> None:
        for call in request.get("functions") or ():
            if call.get("client_side"):
                self.state.calls[call["id"]] = call["name"]
                if self.idle:
                    self.idle.call_started(call["id"])
                self._steps(self._rows["FunctionCallRequest"], call)

    def _text_done(self) -> None:
        if self.state.shown.agent != "speaking":
            self._steps(self._rows["(text done)"], {})
            if self.idle:
                self._out.append(SetTimer("text_counts", "text_counts_ms"))

    # -- rows of the callback table ----------------------------------------------------------------------------------

    def _steps(self, row: callbacks.CallbackRow, values: Mapping[str, Any]) -> None:
        for step in row.steps:
            self._step(step, values)

    def _step(self, step: callbacks.CallbackStep, values: Mapping[str, Any]) -> None:
        shown = self.state.shown
        match step:
            case callbacks.Tell():
                self._out.append(Send("app", {"type": step.callback, **{name: values.get(name) for name in step.values}}))
            case callbacks.Agent():
                playing = step.unless_playing and shown.agent == "speaking" and self.state.sounds
                if not playing and (not step.only_from or shown.agent in step.only_from):
                    if step.playback_ends and shown.agent != "idle":
                        shown.playing = False
                    self._agent(step.state)
            case callbacks.UserCallbacks():
                self._user(step)
            case callbacks.Sound():
                self._sound(plays=step.plays)
            case callbacks.TextEnd(expected=True):
                self._out.append(SetTimer("text_done", "text_done_ms"))
            case callbacks.TextEnd():
                self._out.append(Cancel("text_done"))

    def _agent(self, state: str) -> None:
        self.state.shown.agent = state
        if state == "thinking" and self.state.voice != "thinking":
            self.state.voice = "thinking"

    def _user(self, step: callbacks.UserCallbacks) -> None:
        shown, voice = self.state.shown, self.state.voice
        if shown.user_speaks and not step.speaks:
            self._call_back("onUserStoppedSpeaking")
        shown.user_speaks = step.speaks
        if step.by_voice:
            if self.idle:
                self.idle.user_spoke()
            if step.speaks and voice == "idle":
                self.state.voice = shown.agent = "listening"
            elif not step.speaks and voice == "listening":
                self.state.voice = shown.agent = "thinking"

    def _sound(self, *, plays: bool) -> None:
        state, shown = self.state, self.state.shown
        if plays:
            self._out.append(SetTimer("playback", "playback_ms"))
        elif state.sounds:
            self._out.append(Cancel("playback"))
        if plays == state.sounds:
            return
        state.sounds = shown.playing = plays
        if not plays:
            state.announced = False
            if shown.agent == "speaking":
                shown.agent = "idle"
            return
        if not state.announced:
            state.announced = True
            self._call_back("onAgentStateChange", state="speaking")
        shown.agent = "speaking"

    # -- calls of the app --------------------------------------------------------------------------------------------

    def _from_app(self, call: dict[str, Any]) -> None:
        match call["type"]:
            case "injectUserMessage":
                self._inject(call["content"])
            case "microphone" if self.state.hears:
                self._out.append(Send("proxy", bytes(call["pcm"])))
            case "sendFunctionCallResponse":
                self._out.append(Send("proxy", agent.function_call_response(call["id"], call["name"], call["content"])))
            case "sendResponse":
                response = call["response"]
                self._answer(call["id"], content_of(response) if "result" in response or response.get("error") else None)
            case "returned" if call["value"] == "nothing":
                self._settle(call["id"], agent.DEFAULT_ERROR_CONTENT, default=True)
            case "resolved":
                value = call["value"]
                if isinstance(value, Mapping) and "id" in value:
                    self._settle(call["id"], content_of(value))
                else:
                    self._settle(call["id"], agent.DEFAULT_ERROR_CONTENT, default=True)
            case "rejected":
                self._settle(call["id"], json_of({"error": call["message"] or "Unknown error"}))
            case "stop":
                self._out = [Close("proxy", 1000), *self.closed("proxy", 1000)]
            case "offline":
                # The app does not call `offline`. This case represents a browser that has lost its network connection.
                self._out = [Close("proxy", ABNORMAL), *self.closed("proxy", ABNORMAL)]

    def _inject(self, text: str) -> None:
        self._out.append(Send("proxy", agent.inject_user_message(text)))
        if self.idle:
            self.idle.activity(rests=self._rests())
        self._agent("thinking")

    # -- without a connection ----------------------------------------------------------------------------------------

    def _while_closed(self, call: dict[str, Any]) -> Effects:
        """Reopen the connection for a user text. Drop other messages to the proxy, like the component's `sendJSON`."""
        before = self.state.shown.copied()
        if call["type"] != "injectUserMessage":
            self._from_app(call)
            return [effect for effect in self._reported(before) if getattr(effect, "to", "") != "proxy"]
        self.state.closed = False
        self.state.text = call["content"]
        for state in ("connecting", "connected"):
            self._call_back("onConnectionStateChange", service="agent", state=state)
        timers = SetTimer("opened", "settings_open_ms"), SetTimer("text", "settings_poll_ms")
        return [Open("proxy"), *self._all_effects(), *timers]

    def _opened(self) -> None:
        """Send the app's Settings on a reopened connection. The component does not add the earlier conversation to them."""
        if self.release.warns_of_context and not self.context:
            self._call_back("onContextWarning")
        self._out += (self._settings(), SetTimer("microphone", "settings_wait_ms"))

    def _settle(self, call_id: str, content: str, *, default: bool = False) -> None:
        """Answer a call that has no answer yet. Skip the default error if the release does not send one."""
        if call_id not in self.state.answered and (not default or self.release.default_error):
            self._answer(call_id, content)

    def _answer(self, call_id: str, content: str | None) -> None:
        """Send a result. Omit the field `content` if it is None: the app gave neither a result nor an error."""
        self.state.answered.add(call_id)
        result = agent.function_call_response(call_id, self.state.calls[call_id], content or "")
        self._out.append(Send("proxy", result if content is not None else {k: v for k, v in result.items() if k != "content"}))
        if self.idle:
            self.idle.call_answered(call_id, rests=self._rests())

    # -- callbacks to the app ----------------------------------------------------------------------------------------

    def _call_back(self, callback: str, **values: Any) -> None:
        self._out.append(Send("app", {"type": callback, **values}))

    def _rests(self) -> bool:
        shown = self.state.shown
        return shown.agent in ("idle", "listening") and not shown.playing and not shown.user_speaks

    def _reported(self, before: _Shown) -> list[Effect]:
        """Report the states that differ from `before` to the app. Return all collected effects in order."""
        shown = self.state.shown
        if shown.agent != before.agent:
            self._call_back("onAgentStateChange", state=shown.agent)
            if shown.agent == "speaking":
                self.state.announced = True
        if shown.playing != before.playing:
            self._call_back("onPlaybackStateChange", playing=shown.playing)
        if self.idle and shown != before:
            if shown.user_speaks != before.user_speaks:
                self.idle.user_spoke()
            self.idle.changed(
                agent_rests=shown.agent in ("idle", "listening"),
                silent=not shown.playing and not shown.user_speaks,
                agent_acts=shown.agent != before.agent and shown.agent in ("thinking", "speaking"),
            )
        return self._all_effects()

    def _all_effects(self) -> list[Effect]:
        return [*self._effects(), *self.idle.effects()] if self.idle else self._effects()
