"""Facts that the models assume, each with its experiment or the reason why there is no experiment.

The order is open, bounded, settled. A fact is `settled` if two or more recordings of the API in GA names (``data/api``)
show it and no recording contradicts it. It is `bounded` if one recording shows it, or if recordings or published logs leave
few possibilities. It is `open` if it is documented, reported or assumed, but no recording decides it. Each fact that is not
settled and has an experiment has a page in docs/open-facts.

A statement describes the mock's behaviour with default knobs. A new knob or fact of the mock needs a new row, because the
tests compare each knob with the answers that it must change.
"""

from __future__ import annotations

from typing import Final

from voicerace.conformance.contract import early, endings, items, orders, slot
from voicerace.conformance.contract.facts import Fact

__all__ = ["DONE_BEFORE_RESULT", "FACTS", "TOOL_MS"]

#: Shortest tool time in ms that an integrator claims to end before response.done. Source: docs/open-facts/gap.md.
TOOL_MS: Final = 300
#: Name of the fact that is computed from all measured gaps, without an experiment of its own.
DONE_BEFORE_RESULT: Final = "done_before_result"

_SLOT = "The slot"
_ACTIVE = "While a response is active"
_ORDER = "Order of events"
_TIMES = "Times"
_VAD = "needs server VAD and speech; the experiments have neither"

FACTS: Final[tuple[Fact, ...]] = (
    Fact("two_calls", "two calls of one response end together, in order", "open", _ORDER, orders.two_calls),
    Fact("result_and_create", "response.done decides over a create sent early", "open", _SLOT, early.result_and_create),
    Fact("slot_at_arguments_done", "not free yet at ...function_call_arguments.done", "open", _SLOT,
         slot.slot_at_arguments_done),
    Fact("slot_at_text_done", "not free yet at response.output_text.done", "open", _SLOT, slot.slot_at_text_done),
    Fact("cancel_active", "a cancel ends it: cancelled, client_cancelled", "open", _ACTIVE, endings.cancel_active),
    Fact("cancel_then_create", "a create right after a cancel is accepted", "open", _ACTIVE, early.cancel_then_create),
    Fact("cancel_before_created", "a cancel before response.created ends nothing", "open", _ACTIVE,
         early.cancel_before_created),
    Fact("cut_off_text_done", "a text cut off has response.output_text.done", "open", _SLOT, endings.cut_off_text_done),
    Fact("session_update_active", "session.update is accepted while active", "open", _ACTIVE, slot.session_update_active),
    Fact("voice_after_audio", "the voice cannot change after audio", "open", _ACTIVE, endings.voice_after_audio),
    Fact("commit_no_response", "a commit of audio begins no response", "open", _ACTIVE, items.commit_no_response),
    Fact("binary_frames", "JSON in a binary frame is read", "open", "Frames", items.binary_frames),
    Fact("barge_in", "speech ends the response: cancelled, turn_detected", "open", _ACTIVE, untried=_VAD),
    Fact("speed_and_model", "session.update of model, or of speed mid-response, errs", "open", _ACTIVE,
         untried="no code is documented, and nothing here rests on it"),
    Fact("session_expires", "after 60 minutes: session_expired, then closed", "open", _ORDER, untried="takes an hour"),
    Fact(DONE_BEFORE_RESULT, f"response.done is there before a {TOOL_MS} ms tool's result", "bounded", _TIMES),
    Fact("create_active", "a create while active is refused, and that is all", "bounded", _SLOT, slot.create_active),
    Fact("refusal_event_id", "the refusal repeats the client's event_id", "bounded", _SLOT, slot.refusal_event_id),
    Fact("slot_at_response_done", "free at response.done", "bounded", _SLOT, slot.slot_at_response_done),
    Fact("output_at_arguments_done", "a result is accepted at arguments.done already", "bounded", _ACTIVE,
         items.output_at_arguments_done),
    Fact("item_active", "a user item is accepted while active", "bounded", _ACTIVE, items.item_active),
    Fact("out_of_band", "a create with conversation none runs beside", "bounded", _ACTIVE, slot.out_of_band),
    Fact("output_starts_nothing", "a result, confirmed, begins no response", "bounded", _ORDER, items.output_starts_nothing),
    Fact("cancel_idle", "a cancel with nothing active errs, harms nothing", "bounded", _ACTIVE, endings.cancel_idle),
    Fact("empty_commit", "a commit of no audio is an error", "bounded", _ACTIVE, items.empty_commit),
    Fact("vad_commit", "a commit under server VAD meets an empty buffer", "bounded", _ACTIVE, untried=_VAD),
    Fact("idle_timeout", "the server's idle timeout takes the slot", "bounded", _SLOT, untried=_VAD),
    Fact("session_opens", "session.created at once, session.updated after the update", "settled", _ORDER, items.session_opens),
    Fact("item_confirmed", "a user item: conversation.item.added, then .done", "settled", _ORDER, items.item_confirmed),
    Fact("create_free", "a create in a free slot begins a response", "settled", _SLOT, slot.create_free),
    Fact("reply_completed", "a reply that is not cancelled is completed", "settled", _SLOT, endings.reply_completed),
    Fact("item_before_output", "conversation.item.done, then response.output_item.done", "settled", _ORDER,
         orders.item_before_output),
    Fact("call_order", "the events of a function call, in order", "settled", _ORDER, orders.call_order),
    Fact("text_order", "the events of a text, in order", "settled", _ORDER, orders.text_order),
    Fact("audio_no_text_done", "a spoken reply has no response.output_text.done", "settled", _ORDER, orders.audio_no_text_done),
    Fact("server_vad_response", "server VAD begins a response of its own", "settled", _SLOT, untried=_VAD),
)  # fmt: skip
