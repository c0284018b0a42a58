"""The contract: every fact of REALTIME that the models rest on, with what tries it or why nothing does.

A statement says what the mock does while no knob is turned. Whoever turns a knob of the mock, or adds a fact there,
adds its row here: the tests hold each knob against the answers that it must change.
"""

from __future__ import annotations

from typing import Final

from voicerace.contract import endings, items, orders, slot
from voicerace.contract.facts import Fact

__all__ = ["DONE_BEFORE_RESULT", "FACTS", "TOOL_MS"]

#: The tool that the two claims about G are weighed by: the faster end of the 300-500 ms of which one of them speaks.
TOOL_MS: Final = 300
#: Computed from every G that was measured, not tried by an experiment of its own.
DONE_BEFORE_RESULT: Final = "done_before_result"

_SLOT = "The slot"
_ACTIVE = "While a response is active"
_ORDER = "Order of events"
_VAD = "needs server VAD and somebody's speech; the mock has neither"

FACTS: Final[tuple[Fact, ...]] = (
    Fact("session_opens", "session.created at once, session.updated behind the update", "doc", _ORDER, items.session_opens),
    Fact("item_confirmed", "a user item: conversation.item.added, then .done", "doc", _ORDER, items.item_confirmed),
    Fact("create_free", "a create in a free slot begins a response", "trace", _SLOT, slot.create_free),
    Fact("create_active", "a create while active is refused, and that is all", "trace", _SLOT, slot.create_active),
    Fact("refusal_event_id", "the refusal repeats the client's event_id", "trace", _SLOT, slot.refusal_event_id),
    Fact("slot_at_text_done", "not free yet at response.output_text.done", "doc", _SLOT, slot.slot_at_text_done),
    Fact("slot_at_arguments_done", "not free yet at ...function_call_arguments.done", "doc", _SLOT,
         slot.slot_at_arguments_done),
    Fact("slot_at_response_done", "free at response.done", "open", _SLOT, slot.slot_at_response_done),
    Fact("out_of_band", "a create with conversation none runs beside", "doc", _ACTIVE, slot.out_of_band),
    Fact("session_update_active", "session.update is accepted while active", "open", _ACTIVE, slot.session_update_active),
    Fact("item_active", "a user item is accepted while active", "doc", _ACTIVE, items.item_active),
    Fact("output_at_arguments_done", "a result is accepted at arguments.done already", "claim", _ACTIVE,
         items.output_at_arguments_done),
    Fact("output_starts_nothing", "a result, confirmed, begins no response", "trace", _ORDER, items.output_starts_nothing),
    Fact("cancel_active", "a cancel ends it: cancelled, client_cancelled", "doc", _ACTIVE, endings.cancel_active),
    Fact("cancel_idle", "a cancel with nothing active errs, harms nothing", "doc", _ACTIVE, endings.cancel_idle),
    Fact("cut_off_text_done", "a text cut off has response.output_text.done", "doc", _SLOT, endings.cut_off_text_done),
    Fact("reply_completed", "a reply that nobody ends is completed", "doc", _SLOT, endings.reply_completed),
    Fact("item_before_output", "conversation.item.done, then response.output_item.done", "open", _ORDER,
         orders.item_before_output),
    Fact("call_order", "the events of a function call, in order", "trace", _ORDER, orders.call_order),
    Fact("text_order", "the events of a text, in order", "doc", _ORDER, orders.text_order),
    Fact("audio_no_text_done", "a spoken reply has no response.output_text.done", "doc", _ORDER, orders.audio_no_text_done),
    Fact("voice_after_audio", "the voice cannot change behind audio", "doc", _ACTIVE, endings.voice_after_audio),
    Fact("binary_frames", "JSON in a binary frame is read", "open", "RELEASES, what the host sees", items.binary_frames),
    Fact("empty_commit", "a commit of no audio is an error", "doc", _ACTIVE, items.empty_commit),
    Fact("commit_no_response", "a commit of audio begins no response", "doc", _ACTIVE, items.commit_no_response),
    Fact(DONE_BEFORE_RESULT, f"response.done is there before a {TOOL_MS} ms tool's result", "claim", "Times"),
    Fact("server_vad_response", "server VAD begins a response of its own", "doc", _SLOT, untried=_VAD),
    Fact("vad_commit", "a commit under server VAD meets an empty buffer", "doc", _ACTIVE, untried=_VAD),
    Fact("barge_in", "speech ends the response: cancelled, turn_detected", "doc", _ACTIVE, untried=_VAD),
    Fact("idle_timeout", "the server's idle timeout takes the slot", "doc", _SLOT, untried=_VAD),
    Fact("speed_and_model", "session.update of model, or of speed mid-response, errs", "doc", _ACTIVE,
         untried="no code is documented, and nothing here rests on it"),
    Fact("session_expires", "after 60 minutes: session_expired, then closed", "doc", _ORDER, untried="takes an hour"),
)  # fmt: skip
