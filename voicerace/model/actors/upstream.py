"""The mock upstream: a model of the Realtime API, with a setting in `Knobs` for each undocumented behaviour.

The mock applies the slot table, confirms items, and produces the scenario's responses with all events in the order of the
GA API. It refuses the client events that the API refuses. Sources: docs/protocol-facts.md, `model.catalog.slot`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from voicerace.model.actors.actor import Cancel, Close, Effects
from voicerace.model.actors.audio_input import ROOT, InputAudio
from voicerace.model.actors.response_plan import OutputPlan, ResponsePlan
from voicerace.model.actors.upstream_state import PHASES, Knobs, UpstreamState
from voicerace.model.catalog.providers import SESSION
from voicerace.model.protocol import realtime
from voicerace.model.protocol.kinds import misplaced
from voicerace.trace.recording import Payload

__all__ = ["Knobs", "Upstream", "UpstreamState"]

#: Text of the error after 60 minutes, as the proxy recognizes it, and close code after it (1001, going away: chosen).
_TOO_LONG: Final = "Your session hit the maximum duration of 60 minutes."
_ENDS: Final = 1001
_NOT_SERVED: Final = "The request could not be served."


class Upstream(InputAudio):
    """One Realtime session that handles the client's events. It has the arguments of `Responses`."""

    def renewed_state(self) -> UpstreamState:
        """Return the state of a new session. Calls of earlier sessions are unknown to it, and it does not reuse their ids."""
        old, calls = self.state, dict.fromkeys(self.state.calls, PHASES[0])
        return UpstreamState(counts=dict(old.counts), earlier=old.earlier + old.inputs, calls=calls)

    def start(self) -> Effects:
        self.state.session = dict(SESSION)
        if self.modality is not None:
            self.state.session["output_modalities"] = [self.modality]
        self._send(realtime.session_event(realtime.SESSION_CREATED, self._id("event"), self.state.session))
        return self._effects()

    def message(self, sender: str, payload: Payload) -> Effects:
        if isinstance(payload, (bytes, str)):
            if isinstance(payload, bytes) and self.knobs.binary_frames == "refuse":
                self._error("invalid_request", "Binary frames are not supported.", {})
                return self._effects()
            try:
                payload = json.loads(payload)
            except (ValueError, RecursionError):
                payload = None
        if not isinstance(payload, Mapping):
            self._error("invalid_json", "The event is no JSON object.", {})
            return self._effects()
        if (wrong := misplaced(payload)) is not None:
            event_id = payload.get("event_id")
            self._error("invalid_type", wrong, {"event_id": event_id} if isinstance(event_id, str) else {})
            return self._effects()
        match payload.get("type"):
            case realtime.SESSION_UPDATE:
                self._update_session(payload)
            case realtime.ITEM_CREATE:
                self._create_item(payload)
            case realtime.ITEM_RETRIEVE | realtime.ITEM_TRUNCATE | realtime.ITEM_DELETE as kind:
                self._item(kind.rsplit(".", 1)[-1], payload)
            case realtime.RESPONSE_CREATE:
                self._create_response(payload)
            case realtime.RESPONSE_CANCEL:
                self._cancel(payload)
            case str(kind) if kind.startswith("input_audio_buffer."):
                self._input_audio(payload)
            case kind:
                self._error("invalid_value", f"Invalid value: '{kind}'.", payload)
        return self._effects()

    def closed(self, sender: str, code: int | None) -> Effects:
        """End the session. Timers that expire later have no effect."""
        self.state.ended = True
        return ()

    def timer(self, name: str) -> Effects:
        if self.state.ended:
            return ()
        kind, _, rest = name.partition(":")
        if kind == "stage":
            response_id, _, position = rest.partition(":")
            self._stage(self.state.responses[response_id], int(position))
        elif kind == "ack":
            self._confirm(rest)
        elif kind == "slot":
            self._slot("lag_over")
            self._slot_is_free()
        elif kind == "limits":
            self._rate_limits()
        elif kind == "vad":
            self._speech_over()
        elif kind == "idle":
            self._idle()
        elif kind == "turn":
            self._server_turn()
        elif kind == "end":
            self._error("session_expired", _TOO_LONG, {})
            self._out.append(Close("proxy", _ENDS))
            self.state.ended = True
        return self._effects()

    def _update_session(self, event: Mapping[str, Any]) -> None:
        if self.knobs.session_update_active == "refuse" and self.state.slot != "free":
            self._send(realtime.refusal(self._id("event"), self.state.holder, event.get("event_id")))
            return
        session = event.get("session") or {}
        voice, current = _voice(session), _voice(self.state.session)
        if self.state.spoke and voice is not None and voice != current:
            self._error("cannot_update_voice", "Cannot update a conversation's voice if assistant audio is present.", event)
            return
        self.state.session = _merged(self.state.session, session)
        self._send(realtime.session_event(realtime.SESSION_UPDATED, self._id("event"), self.state.session))

    def _item(self, what: str, event: Mapping[str, Any]) -> None:
        """Retrieve, truncate or delete an item. Accept any `audio_end_ms`. docs/limits.md lists the sources of the errors."""
        item_id = event.get("item_id")
        item = self.state.items.get(item_id) if isinstance(item_id, str) else None
        spoken = item is not None and (item.get("content") or [{}])[0].get("type") == "output_audio"
        if item is None:
            text = f"Error {what.rstrip('e')}ing item: the item with id '{item_id}' does not exist."
            self._error(f"item_{what}_invalid_item_id", text, event)
            return
        if what == "truncate" and not spoken:
            self._error("unsupported_content_type", "Only model output audio messages can be truncated", event)
            return
        answer: realtime.Message = {"type": f"conversation.item.{what.rstrip('e')}ed", "event_id": self._id("event")}
        if what == "retrieve":
            answer["item"] = item
        else:
            answer["item_id"] = item_id
        if what == "truncate":
            answer |= {key: event.get(key, 0) for key in ("content_index", "audio_end_ms")}
        elif what == "delete":
            del self.state.items[item["id"]]
        self._send(answer)

    def _create_item(self, event: Mapping[str, Any]) -> None:
        item = dict(event.get("item") or {})
        after = event.get("previous_item_id")
        if after is not None and after != ROOT and not self._has_item(after):
            text = f"Error adding item: the previous item with id '{after}' does not exist."
            self._error("item_create_invalid_previous_item_id", text, event)
            return
        if item.get("role") == "assistant":
            for index, part in enumerate(item.get("content") or ()):
                if (kind := part.get("type")) not in ("output_text", "output_audio"):
                    # In recordings the API sends this error before it confirms items that it accepted earlier.
                    text = f"Invalid value: '{kind}'. Value must be 'output_text'."
                    self._error("invalid_value", text, event, param=f"item.content[{index}].type")
                    return
        if item.get("type") == "function_call_output":
            call_id = str(item.get("call_id"))
            reached = PHASES.index(self.state.calls.get(call_id, "unknown"))
            if reached < max(PHASES.index("open"), PHASES.index(self.knobs.function_output)):
                self._error("invalid_tool_call_id", f"Tool call ID '{call_id}' not found in conversation.", event)
                return
            self.state.outputs.setdefault(call_id, []).append(str(item.get("output")))
        item_id = item.get("id") or self._id("item")
        if after is not None:
            self.state.after[item_id] = after
        self._accept(item_id, item)

    def _has_item(self, item_id: str) -> bool:
        """Return whether an item is in the conversation, or will be when it is confirmed."""
        streamed = (item for each in self.state.responses.values() if each.in_band for item in each.items)
        return item_id in self.state.items or item_id in self.state.acks or any(item["id"] == item_id for item in streamed)

    def _create_response(self, event: Mapping[str, Any]) -> None:
        asked = event.get("response") or {}
        if asked.get("conversation") == "none":
            self._begin(ResponsePlan((OutputPlan("message", "Out of band."),)), asked, in_band=False)
            return
        if self.state.slot == "free" and self.knobs.error_after_create:
            self._error(self.knobs.error_after_create, _NOT_SERVED, event)
            return
        if self.state.slot == "free" and self._planned() == "error":
            self.state.steps_taken += 1
            self._error("server_error", _NOT_SERVED, event)
            return
        self._out.append(Cancel("idle"))
        if not self._slot("create"):
            cause = event.get("event_id") if self.knobs.refusal_event_id == "yes" else None
            self._send(realtime.refusal(self._id("event"), self.state.holder, cause))
            return
        self._begin(self._next_plan(asked), asked)

    def _cancel(self, event: Mapping[str, Any]) -> None:
        wanted = event.get("response_id") or self.state.holder
        response = self.state.responses.get(wanted)
        ignored = not event.get("response_id") and self.knobs.cancel_before_created == "nothing"
        if response is None or (ignored and not response.created):
            self._error("response_cancel_not_active", "Cancellation failed: no active response found.", event)
            return
        self._cut_off(response, "cancelled", "client_cancelled")


def _voice(session: Mapping[str, Any]) -> Any:
    return ((session.get("audio") or {}).get("output") or {}).get("voice")


#: Default field values, by setting name. They apply when an update turns the setting on and omits a field.
_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "transcription": {"model": None, "language": None, "prompt": None},
    "turn_detection": SESSION["audio"]["input"]["turn_detection"],
}


def _merged(current: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """Return `current` with `update` applied. Objects are merged recursively. Other values, including null, are replaced."""
    merged = dict(current)
    for name, value in update.items():
        before = current.get(name)
        if isinstance(value, Mapping):
            merged[name] = _merged(before if isinstance(before, Mapping) else _DEFAULTS.get(name, {}), value)
        else:
            merged[name] = value
    return merged
