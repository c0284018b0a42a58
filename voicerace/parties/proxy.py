"""The proxy, voice-agent-backend: every release of it, as one machine that reads a row of `tables.releases`.

The machine follows the running proxy, in the order of its sends on each link: `voicerace conformance` compares them
message by message. One method per event, one branch per knob; nothing here knows a release by name. What it does with
the user's audio is in `proxy_audio`, what it tells the host of the agent's words in `proxy_voice`.

Facts: RELEASES knobs 1-9; `server.ts` and `translator.ts` of each tag.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from voicerace.parties import proxy_audio, translate
from voicerace.parties.party import ABNORMAL, Cancel, Close, Effects, SetTimer
from voicerace.parties.proxy_state import ProxyState
from voicerace.parties.proxy_voice import Voice
from voicerace.recording import Payload
from voicerace.tables.releases import A, I, ProxyRelease, R, T
from voicerace.wire import agent, input_audio, realtime, speech
from voicerace.wire.frames import frame_of

__all__ = ["Proxy", "ProxyState"]


class Proxy(Voice):
    """One host connection with its one upstream connection, in the release of `release`."""

    def __init__(self, release: ProxyRelease) -> None:
        super().__init__(release)
        self._upstream_events: dict[str, Callable[[Mapping[str, Any]], None]] = {
            realtime.SESSION_UPDATED: self._session_updated,
            realtime.TEXT_DONE: self._text_done,
            realtime.TRANSCRIPT_DONE: self._transcript_done,
            realtime.ARGUMENTS_DONE: self._arguments_done,
            realtime.AUDIO_DELTA: self._audio_delta,
            realtime.AUDIO_DONE: self._audio_done,
            realtime.RESPONSE_DONE: self._response_done,
            realtime.ERROR: self._error,
            realtime.ITEM_CREATED: self._item,
            realtime.ITEM_ADDED: self._item,
            realtime.ITEM_DONE: self._item,
            input_audio.SPEECH_STARTED: self._speech,
            input_audio.SPEECH_STOPPED: self._speech,
            speech.PIECE: self._words,
            speech.TRANSCRIBED: self._words,
        }

    # -- the party ---------------------------------------------------------------------------------------------------

    def start(self) -> Effects:
        return ()

    def message(self, sender: str, payload: Payload) -> Effects:
        if sender == "upstream":
            if self.state.host_open:
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
        if name == "recovery":
            # 20 s after the last result without an event that releases the create.
            if state.mark and state.upstream_open:
                self._release_create()
        elif state.upstream_open:
            proxy_audio.rang(state.audio, name)
            self._commit_audio()
        return self._effects()

    def _stop_waiting(self) -> None:
        self._out += [Cancel("recovery"), *proxy_audio.stop(self.state.audio)]

    def _process_ends(self) -> None:
        """Nothing catches a throw here: the proxy's process ends, and with it every other session that it serves."""
        self.state.host_open = self.state.upstream_open = False
        self._stop_waiting()
        self._out += [Close("upstream", ABNORMAL), Close("component", ABNORMAL)]

    # -- creates and the flag ----------------------------------------------------------------------------------------

    def _create(self, writer: str) -> None:
        """Send `response.create` for `writer`; the flag follows where the release sets it by that writer."""
        self._upstream(realtime.create_response())
        self._response_started(writer)

    def _response_started(self, writer: str) -> None:
        state = self.state
        if writer in self.release.flag_set_by:
            state.flag = True
        state.started = state.done = state.audio_came = state.text_went = False
        state.last_text = None
        state.deltas = ""

    def _response_ended(self) -> None:
        state = self.state
        state.flag = state.started = state.done = False
        self._out += proxy_audio.freed(state.audio, self.release)

    def _release_create(self) -> None:
        """The event that the create behind a result waited for has come."""
        if self.release.recovery:
            self._out.append(Cancel("recovery"))
        self.state.mark = False
        self._create("result")

    def _release_event(self, event: str) -> None:
        if self.state.mark and event in self.release.create_on:
            self._release_create()

    # -- from the host -----------------------------------------------------------------------------------------------

    def _from_host(self, payload: Payload) -> None:
        message = payload if isinstance(payload, Mapping) else translate.json_of(_raw(payload))
        if message is None:
            self._user_audio(_raw(payload))
            return
        fields = message if isinstance(message, Mapping) else {}
        match fields.get("type"):
            case "Settings":
                self._settings(fields)
            case "FunctionCallResponse":
                self._result(fields)
            case "InjectUserMessage":
                self._user_text(fields)
            case _ if self.release.other_json_raw:
                # As a binary frame: the proxy hands its Buffer to `ws`.
                self._upstream(_raw(payload))
            case "KeepAlive":
                pass
            case kind:
                self._host(agent.error(translate.disallowed(kind), "disallowed_client_message_type"))

    def _settings(self, settings: Mapping[str, Any]) -> None:
        """Knob 4: the first becomes session.update; a later one, or one that meets the flag, only looks applied."""
        state = self.state
        if state.configured or (self.release.settings_wait and (state.flag or state.mark)):
            self._host(agent.settings_applied())
            return
        state.configured = True
        state.audio.vad = translate.server_vad(settings, self.release)
        self._upstream(realtime.update_session(translate.session(settings, self.release)))
        messages = translate.context_messages(settings)
        if self.release.context_in == "items":
            state.context_items = tuple(realtime.create_item(translate.context_item(each)) for each in messages)
        elif messages:
            state.had_context = True
        greeting = settings.get("agent", {}).get("greeting")
        state.greeting = greeting if isinstance(greeting, str) and greeting.strip() else None

    def _result(self, response: Mapping[str, Any]) -> None:
        """Knob 1: the output item at once; its create at once, or behind one mark for however many results."""
        self._upstream(realtime.create_item(translate.output_item(response, self.release)))
        if self.release.defers:
            self.state.mark = True
            if self.release.recovery:
                self._out.append(SetTimer("recovery", "recovery_ms"))
        else:
            self._create("result")
        if self.release.agent not in ("none", "some"):
            self._host(agent.agent_thinking())

    def _user_text(self, message: Mapping[str, Any]) -> None:
        """Knob 5: the item, an echo, and a create at the next event of any item."""
        state = self.state
        if self.release.text_queued and not state.ready:
            state.queued_text = (*state.queued_text, message)
            return
        text = message.get("content") or ""
        self._upstream(realtime.create_item(realtime.user_item(text)))
        state.text_waits = True
        self._host(agent.conversation_text("user", text))

    def _user_audio(self, frame: bytes) -> None:
        """Knob 6: every frame that is no JSON, in whatever kind of frame it comes."""
        state = self.state
        if not frame:
            return
        if not state.ready:
            state.audio.kept += (frame,)
        else:
            try:
                self._out += proxy_audio.receive(state.audio, self.release, frame, flag=state.flag)
            except proxy_audio.CannotAppendError:
                self._process_ends()

    def committed(self) -> Effects:
        """The audio was committed, as somebody saw who has no audio to give: the create behind it is out."""
        self.state.audio.pending = 0
        self.state.audio.committed = True
        self._response_started("audio")
        return [*self._effects(), *proxy_audio.stop(self.state.audio)]

    def _commit_audio(self) -> None:
        """Commit what is pending, if it is enough and the flag is not set: the mark is not looked at."""
        if proxy_audio.due(self.state.audio, self.release, flag=self.state.flag):
            self._out += proxy_audio.commit(self.state.audio)
            self._create("audio")

    # -- from the upstream -------------------------------------------------------------------------------------------

    def _from_upstream(self, payload: Payload) -> None:
        event = payload if isinstance(payload, Mapping) else translate.json_of(_raw(payload))
        if event is None or (self.release.unknown_event == "raw" and not isinstance(event, Mapping)):
            self._no_json(payload)
            return
        payload = event if isinstance(event, Mapping) else {}
        kind = str(payload.get("type"))
        if kind == realtime.SESSION_CREATED:
            return
        if handler := self._upstream_events.get(kind):
            handler(payload)
        elif self.release.unknown_event == "raw":
            self._host(payload)
        else:
            self._known_or_not(kind, payload)

    def _known_or_not(self, kind: str, event: Mapping[str, Any]) -> None:
        """Releases that drop what they know: is this event one of those?"""
        if kind == realtime.RESPONSE_CREATED:
            if "server" in self.release.flag_set_by and self.state.audio.vad and not self.state.flag:
                self._response_started("server")
        elif kind == realtime.TEXT_DELTA and self.release.text_delta_known:
            delta = event.get("delta")
            self.state.deltas += delta if isinstance(delta, str) else ""
        elif kind not in translate.KNOWN_EVENTS and self.release.unknown_event == "error":
            self._host(agent.error(translate.unmapped(kind), "unmapped_upstream_event"))

    def _no_json(self, payload: Payload) -> None:
        if self.release.unknown_event == "raw":
            self._host(payload.decode("utf-8", "replace") if isinstance(payload, bytes) else payload)
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
            # One by one: what went out before a frame that cannot is sent.
            for effect in proxy_audio.flush(state.audio, self.release, flag=state.flag):
                self._out.append(effect)
        except proxy_audio.CannotAppendError:
            # Thrown while this event is handled, and taken for a fault of it.
            self._no_json(event)

    def _text_done(self, event: Mapping[str, Any]) -> None:
        """T. In the releases that take text from it, that happens before the flag is cleared."""
        state = self.state
        if self.release.reply_text == "any":
            self._agent_started()
            text = translate.text_of_done(event) or state.deltas.strip() or None
            state.deltas = ""
            self._reply_text(text, trimmed=text)
        if T in self.release.flag_cleared_by:
            self._response_ended()
        self._release_event(T)
        if self.release.reply_text != "any":
            self._agent_started()
        if self.release.reply_text == "done":
            self._host(agent.conversation_text("assistant", event.get("text") or ""))
        if self.release.agent == "some":
            self._host({"type": "AgentAudioDone"})
        elif self.release.agent == "all" or not state.audio_came:
            self._agent_done()
        self._flush_waiting_error()

    def _transcript_done(self, event: Mapping[str, Any]) -> None:
        """S."""
        text = event.get("transcript") or ""
        if self.release.reply_text == "done":
            self._agent_started()
            self._host(agent.conversation_text("assistant", text))
        elif self.release.reply_text == "any" and text.strip() and not self.state.text_went:
            self._agent_started()
            self._reply_text(text, trimmed=text.strip())

    def _arguments_done(self, event: Mapping[str, Any]) -> None:
        name, arguments = event.get("name") or "function", event.get("arguments") or ""
        self._agent_started()
        self._host(agent.function_call_request(event.get("call_id") or "", name, arguments))
        if self.release.reply_text == "done":
            self._host(agent.conversation_text("assistant", agent.call_text(name, arguments)))

    def _audio_delta(self, event: Mapping[str, Any]) -> None:
        pcm = realtime.pcm_of(event)
        if not pcm:
            return
        self.state.audio_came = True
        self._agent_started()
        self._host(pcm)

    def _audio_done(self, event: Mapping[str, Any]) -> None:
        """A."""
        if A in self.release.flag_cleared_by:
            self.state.flag = False
        if self.release.agent == "some":
            self._host({"type": "AgentAudioDone"})
        else:
            self._agent_done()

    def _response_done(self, event: Mapping[str, Any]) -> None:
        """R."""
        if self.release.done_raw:
            self._host(event)
            return
        if self.release.reply_text == "any":
            text = self.state.deltas.strip() or translate.text_of_output(realtime.response_of(event))
            self.state.deltas = ""
            if text and not self.state.text_went:
                self._agent_started()
                self._reply_text(text, trimmed=text.strip())
        if self.release.agent not in ("none", "some"):
            self._agent_done()
        if R in self.release.flag_cleared_by:
            self._response_ended()
        self._release_event(R)

    def _error(self, event: Mapping[str, Any]) -> None:
        """Knob 7 and 8: which code the host sees, which error it never sees, which one waits."""
        error = translate.host_error(event, self.release.error_code_from)
        idle = translate.is_idle_timeout(event, self.release.error_code_from)
        if idle and self.release.idle_timeout_waits and self.state.flag:
            self.state.waiting_error = error
        elif not (self.release.refusal_hidden and error["code"] == realtime.ACTIVE_RESPONSE):
            self._host(error)

    def _speech(self, event: Mapping[str, Any]) -> None:
        """The user's, as server VAD hears it."""
        started = event["type"] == input_audio.SPEECH_STARTED
        self._host(speech.user_started_speaking() if started else translate.utterance_end(event, self.release))

    def _words(self, event: Mapping[str, Any]) -> None:
        """The user's, as the API transcribes them."""
        text = proxy_audio.words(self.state.audio, self.release, event)
        self._host(translate.transcript(event, text, self.release, final=event["type"] == speech.TRANSCRIBED))

    def _item(self, event: Mapping[str, Any]) -> None:
        """An item was added or confirmed: I, the event that user text waits for, and text of the assistant's."""
        item = realtime.item_of(event)
        if event["type"] == realtime.ITEM_DONE and item.get("type") == "function_call_output":
            self._release_event(I)
        if self.state.text_waits and not self.state.mark:
            self.state.text_waits = False
            self._create("text")
        if self.release.unknown_event == "raw":
            self._host(event)
        elif text := translate.text_of_item(item):
            self._item_text(str(item.get("id") or ""), text)


def _raw(payload: Payload) -> bytes:
    """A message as the bytes that came in, which is all that the proxy looks at."""
    frame = frame_of(payload)
    return frame if isinstance(frame, bytes) else frame.encode()
