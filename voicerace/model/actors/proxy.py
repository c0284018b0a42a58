"""The proxy, voice-agent-backend: one actor for all releases, configured by a `ProxyRelease` of `model.catalog.releases`.

The actor has one method per event and one branch per setting. It does not depend on the name of a release.
`voicerace conformance` compares the actor with the running proxy message by message, in the order of each link.
`proxy_audio` handles user audio. `proxy_sender` sends the messages to the host and the requests to the API.

Sources: docs/release-facts.md; `server.ts` and `translator.ts` of each tag.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from voicerace.model.actors import javascript, proxy_audio, translate, translate_session
from voicerace.model.actors.actor import ABNORMAL, Cancel, Close, Effects, Send, SetTimer
from voicerace.model.actors.javascript import UNDEFINED, ThrownError, at, or_else, trim
from voicerace.model.actors.proxy_sender import ProxySender
from voicerace.model.actors.proxy_state import ProxyState
from voicerace.model.catalog.releases import A, I, ProxyRelease, R, T
from voicerace.model.protocol import agent, input_audio, realtime, speech
from voicerace.model.protocol.frames import frame_of, payload_of
from voicerace.trace.recording import Payload

__all__ = ["Proxy", "ProxyState"]


class Proxy(ProxySender):
    """Model of one host connection and its upstream connection, for the proxy release `release`."""

    def __init__(self, release: ProxyRelease) -> None:
        super().__init__(release)
        self._passes_unknown = release.unknown_event == "raw" and release.gate is None

    # -- the actor ---------------------------------------------------------------------------------------------------

    def message(self, sender: str, payload: Payload) -> Effects:
        if sender == "upstream":
            if self.state.host_open:
                if self._passes_unknown and isinstance(payload, dict):
                    kind = payload.get("type")
                    if isinstance(kind, str) and kind not in self._handled:
                        # Fast path for the most frequent events. `_event` would have the same effect.
                        return (Send("component", payload),)
                self._from_upstream(payload)
        elif self.state.upstream_open:
            self._from_host(payload)
        return self._effects()

    def closed(self, sender: str, code: int | None) -> Effects:
        state = self.state
        if sender == "component":
            state.host_open = False
            if state.upstream_open:
                self._out += proxy_audio.close(state.audio, self.release, flag=state.flag)
                if "close" in self.release.commit_on:
                    self._commit_audio()
                self._stop_waiting()
                self._out.append(Close("upstream", None))
            state.upstream_open = False
        elif state.upstream_open:
            state.upstream_open = False
            self._stop_waiting()
            if code is not None:
                self._flush_waiting_error()
                if not state.ready:
                    self._host(agent.error(translate.closed_early(code), "upstream_closed_before_session_ready"))
            if state.host_open:
                self._out.append(Close("component", None))
        return self._effects()

    def timer(self, name: str) -> Effects:
        state = self.state
        if name == "gate":
            state.gate_waits = False
            if state.upstream_open:
                self._gated(lambda gate: gate.resume())
        elif name == "recovery":
            # No release event arrived within 20 s after the last result.
            if state.mark and state.upstream_open:
                self._release_create()
        elif state.upstream_open:
            proxy_audio.timer_expired(state.audio, name)
            self._commit_audio()
        return self._effects()

    def _stop_waiting(self) -> None:
        self._out += [Cancel("recovery"), Cancel("gate"), *proxy_audio.stop(self.state.audio)]

    def _process_ends(self) -> None:
        """Drop both connections, because an error has ended the proxy's process."""
        self.state.host_open = self.state.upstream_open = False
        self._stop_waiting()
        self._out += [Close("upstream", ABNORMAL), Close("component", ABNORMAL)]

    # -- messages of the host ----------------------------------------------------------------------------------------

    def _from_host(self, payload: Payload) -> None:
        try:
            message = payload if isinstance(payload, Mapping) else javascript.parse(_raw(payload))
            self._host_message(javascript.field(message, "type"), message if isinstance(message, Mapping) else {}, payload)
        except ThrownError:
            # If the handler throws, the proxy treats the message as audio, even if the handler has already sent messages.
            self._user_audio(_raw(payload))

    def _host_message(self, kind: Any, fields: Mapping[str, Any], payload: Payload) -> None:
        match kind:
            case "Settings":
                self._settings(fields)
            case "FunctionCallResponse":
                self._result(fields)
            case "InjectUserMessage":
                self._user_text(fields)
            case _ if self.release.other_json_raw:
                # The proxy passes the message to `ws` as a Buffer, and `ws` sends a Buffer as a binary frame.
                self._upstream(_raw(payload))
            case "KeepAlive":
                pass
            case _:
                self._host(agent.error(translate.disallowed(kind), "disallowed_client_message_type"))

    def _settings(self, settings: Mapping[str, Any]) -> None:
        """Send session.update for the first Settings. Only confirm later Settings.

        With `settings_wait`, also only confirm Settings that arrive while the flag or the mark is set.
        """
        state = self.state
        if state.configured or (self.release.settings_wait and (state.flag or state.mark)):
            self._host(agent.settings_applied())
            return
        state.configured = True
        session = translate_session.session(settings, self.release)
        state.audio.vad = translate_session.server_vad(settings, self.release)
        self._upstream(realtime.update_session(session))
        if self.release.context_in == "items":
            for each in translate_session.context_items(settings):
                state.context_items += (each,)
        elif translate_session.has_context(settings):
            state.had_context = True
        state.greeting = translate_session.greeting(settings)

    def _result(self, response: Mapping[str, Any]) -> None:
        """Send the result's item. Then request a response, or set the mark if the release defers the request."""
        self._upstream(realtime.create_item(translate.output_item(response, self.release)))
        if self.release.gate is not None:
            self._gated(lambda gate: gate.result(str(response.get("id"))))
        elif self.release.defers:
            self.state.mark = True
            if self.release.recovery:
                self._out.append(SetTimer("recovery", "recovery_ms"))
        else:
            self._create("result")
        if self.release.agent not in ("none", "some"):
            self._host(agent.agent_thinking())

    def _user_text(self, message: Mapping[str, Any]) -> None:
        """Send the user item and an echo. `_item` requests the response at the next event of any item."""
        state = self.state
        if self.release.text_queued and not state.ready:
            state.queued_text += (message,)
            return
        text = or_else(at(message, "content"), "")
        self._upstream(realtime.create_item(realtime.user_item(text)))
        state.text_waits = self.release.gate is None
        self._host(agent.conversation_text("user", text))
        if self.release.gate is not None:
            self._create("text")

    def _user_audio(self, frame: bytes) -> None:
        """Append a frame as audio, or queue it until session.updated."""
        audio = self.state.audio
        if frame and not self.state.ready:
            audio.kept += (frame,)
        elif frame:
            try:
                self._out += proxy_audio.receive(audio, self.release, frame, flag=self.state.flag)
            except proxy_audio.CannotAppendError:
                self._process_ends()

    def committed(self) -> Effects:
        """Apply an observed commit and its request to the state. `captures.derive` needs this: logs do not contain audio."""
        self.state.audio.pending = 0
        self.state.audio.committed = True
        self._response_started("audio")
        return [*self._effects(), *proxy_audio.stop(self.state.audio)]

    # -- events of the upstream --------------------------------------------------------------------------------------

    def _from_upstream(self, payload: Payload) -> None:
        try:
            if isinstance(payload, dict):
                fields: Mapping[str, Any] = payload
                kind = payload.get("type", UNDEFINED)
            else:
                event = payload if isinstance(payload, Mapping) else javascript.parse(_raw(payload))
                fields = event if isinstance(event, Mapping) else {}
                kind = javascript.field(event, "type")
            self._event(kind, fields, payload)
            if self.release.gate is not None:
                if kind == realtime.RESPONSE_DONE:
                    # No other event clears the flag after a response without text and audio, for example a cancelled one.
                    self.state.flag = False
                    self._out += proxy_audio.response_done(self.state.audio, self.release)
                self._gated(lambda gate: gate.event(fields))
        except ThrownError:
            # The event is not JSON, or its handler threw. Effects before the throw remain.
            self._unparsed(payload)

    def _event(self, kind: Any, event: Mapping[str, Any], payload: Payload) -> None:
        if kind == realtime.SESSION_CREATED:
            return
        handler = self._upstream_events.get(kind) if isinstance(kind, str) else None
        handler = None if kind == realtime.RESPONSE_DONE and self.release.done_raw else handler
        if handler:
            handler(self, event)
        if self.release.unknown_event == "raw":
            if handler is None or handler is self._upstream_events[realtime.ITEM_ADDED]:
                self._pass_on(payload)
        elif handler is None:
            self._unhandled(kind, event)

    def _unhandled(self, kind: Any, event: Mapping[str, Any]) -> None:
        """Handle an event without a handler in releases that drop known events and report or log unknown events."""
        if kind == realtime.RESPONSE_CREATED:
            if "server" in self.release.flag_set_by and self.state.audio.vad and not self.state.flag:
                self._response_started("server")
        elif kind == realtime.TEXT_DELTA and self.release.text_delta_known:
            self.state.deltas += translate.text_of_delta(event)
        elif not isinstance(kind, str) or kind not in translate.KNOWN_EVENTS:
            description = translate.unmapped(or_else(kind, "(unknown)"))
            if self.release.unknown_event == "error":
                self._host(agent.error(description, "unmapped_upstream_event"))

    def _pass_on(self, payload: Payload) -> None:
        """Forward an event to the host unchanged, always as a text frame."""
        self._host(payload if isinstance(payload, (dict, Mapping)) else payload_of(_raw(payload).decode("utf-8", "replace")))

    def _unparsed(self, payload: Payload) -> None:
        if self.release.unknown_event == "raw":
            self._pass_on(payload)
        else:
            self._host(agent.error(translate.UNPARSED, "unmapped_upstream_event"))

    def _session_updated(self, event: Mapping[str, Any]) -> None:
        state = self.state
        state.ready = True
        for item in state.context_items:
            self._upstream(item)
        state.context_items = ()
        self._host(agent.settings_applied())
        if state.greeting is not None and not state.had_context:
            self._host(agent.conversation_text("assistant", state.greeting))
            if self.release.agent not in ("none", "some"):
                self._agent_done()
        state.greeting = None
        state.had_context = False
        queued, state.queued_text = state.queued_text, ()
        for message in queued:
            self._user_text(message)
        try:
            # Effects are added one at a time to keep those of the frames before a frame that cannot be appended.
            for effect in proxy_audio.flush(state.audio, self.release, flag=state.flag):
                self._out.append(effect)
        except proxy_audio.CannotAppendError as error:
            raise ThrownError("the proxy takes this for an error of the event") from error

    def _text_done(self, event: Mapping[str, Any]) -> None:
        """Handle release event T. With `reply_text` ``any``, the text is reported before the flag is cleared."""
        state = self.state
        if self.release.reply_text == "any":
            self._agent_started()
            text = translate.text_of_done(event) or trim(state.deltas) or None
            state.deltas = ""
            self._reply_text(text)
        if T in self.release.flag_cleared_by:
            self._response_ended()
        self._release_event(T)
        done_text = self._text_in_log(event, "text") if self.release.reply_text == "done" else None
        if self.release.reply_text != "any":
            self._agent_started()
        if done_text is not None:
            self._host(agent.conversation_text("assistant", done_text))
        if self.release.agent == "some":
            self._host({"type": "AgentAudioDone"})
        elif self.release.agent == "all" or not state.audio_came:
            self._agent_done()
        self._flush_waiting_error()

    def _transcript_done(self, event: Mapping[str, Any]) -> None:
        if self.release.reply_text == "done":
            self._host(agent.conversation_text("assistant", self._text_in_log(event, "transcript")))
        elif self.release.reply_text == "any":
            text = or_else(at(event, "transcript"), "")
            if javascript.trimmed(text) and not self.state.text_went:
                self._agent_started()
                self._reply_text(text)

    def _text_in_log(self, event: Mapping[str, Any], name: str) -> str:
        """Return the text field `name`. Raise ThrownError if it is not text, because the proxy's log call then throws."""
        return javascript.text(or_else(at(event, name), ""))

    def _arguments_done(self, event: Mapping[str, Any]) -> None:
        name, arguments = or_else(at(event, "name"), "function"), or_else(at(event, "arguments"), "")
        self._agent_started()
        self._host(agent.function_call_request(or_else(at(event, "call_id"), ""), name, arguments))
        if self.release.reply_text == "done":
            self._host(agent.conversation_text("assistant", translate.call_text(name, arguments)))

    def _audio_delta(self, event: Mapping[str, Any]) -> None:
        delta = at(event, "delta")
        pcm = javascript.base64_bytes(delta) if isinstance(delta, str) else b""
        if not pcm:
            return
        self.state.audio_came = True
        self._agent_started()
        self._host(pcm)

    def _audio_done(self, event: Mapping[str, Any]) -> None:
        """Handle release event A."""
        if A in self.release.flag_cleared_by:
            self.state.flag = False
        if self.release.agent == "some":
            self._host({"type": "AgentAudioDone"})
        else:
            self._agent_done()

    def _response_done(self, event: Mapping[str, Any]) -> None:
        """Handle release event R."""
        if self.release.reply_text == "any":
            text = trim(self.state.deltas) or translate.text_of_output(event)
            self.state.deltas = ""
            if text and not self.state.text_went:
                self._agent_started()
                self._reply_text(text)
        if self.release.agent not in ("none", "some"):
            self._agent_done()
        if R in self.release.flag_cleared_by:
            self._response_ended()
        self._release_event(R)

    def _error(self, event: Mapping[str, Any]) -> None:
        """Send an error to the host. Some releases hide a refusal, or delay an idle timeout while the flag is set."""
        error = translate.host_error(event, self.release.error_code_from)
        idle = translate.is_idle_timeout(event, self.release.error_code_from)
        if idle and self.release.idle_timeout_waits and self.state.flag:
            self.state.waiting_error = error
        elif not (self.release.refusal_hidden and error["code"] == realtime.ACTIVE_RESPONSE):
            self._host(error)

    def _user_speech(self, event: Mapping[str, Any]) -> None:
        started = event["type"] == input_audio.SPEECH_STARTED
        self._host(speech.user_started_speaking() if started else translate.utterance_end(event, self.release))

    def _user_transcript(self, event: Mapping[str, Any]) -> None:
        text = proxy_audio.transcript(self.state.audio, self.release, event)
        self._host(translate.transcript(event, text, self.release, final=event["type"] == speech.TRANSCRIBED))

    def _item(self, event: Mapping[str, Any]) -> None:
        """Handle an added or confirmed item: apply release event I, request a response to user text, report assistant text."""
        item = at(event, "item")
        if self.release.unknown_event != "raw":
            javascript.string(at(item, "id"))  # The proxy converts the id to text for its log, which can throw.
        if event["type"] == realtime.ITEM_DONE and at(item, "type") == "function_call_output":
            self._release_event(I)
        if self.state.text_waits and not self.state.mark:
            self.state.text_waits = False
            self._create("text")
        if self.release.unknown_event != "raw" and (text := translate.text_of_item(item)):
            self._item_text(at(item, "id"), text)

    #: Handlers of upstream events, by type. `_event` also forwards some of the events to the host.
    _upstream_events: ClassVar[Mapping[str, Callable[[Proxy, Mapping[str, Any]], None]]] = {
        realtime.SESSION_UPDATED: _session_updated,
        realtime.TEXT_DONE: _text_done,
        realtime.TRANSCRIPT_DONE: _transcript_done,
        realtime.ARGUMENTS_DONE: _arguments_done,
        realtime.AUDIO_DELTA: _audio_delta,
        realtime.AUDIO_DONE: _audio_done,
        realtime.RESPONSE_DONE: _response_done,
        realtime.ERROR: _error,
        realtime.ITEM_CREATED: _item,
        realtime.ITEM_ADDED: _item,
        realtime.ITEM_DONE: _item,
        input_audio.SPEECH_STARTED: _user_speech,
        input_audio.SPEECH_STOPPED: _user_speech,
        speech.PIECE: _user_transcript,
        speech.TRANSCRIBED: _user_transcript,
    }
    #: Event types that are not treated as unknown.
    _handled: ClassVar[frozenset[str]] = frozenset({realtime.SESSION_CREATED, *_upstream_events})


def _raw(payload: Payload) -> bytes:
    """Return the bytes of a message's WebSocket frame. The proxy does not distinguish text and binary frames."""
    frame = frame_of(payload)
    return frame if isinstance(frame, bytes) else frame.encode()
