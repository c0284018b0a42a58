"""Runs the responses of the mock upstream stage by stage, and tracks the slot.

Sources: docs/protocol-facts.md, `model.catalog.slot`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from voicerace.model.actors.actor import Cancel, Send, SetTimer
from voicerace.model.actors.response_plan import OutputPlan, ResponsePlan, call_of, stages
from voicerace.model.actors.stateful import StatefulActor
from voicerace.model.actors.upstream_state import PHASES, Knobs, MockResponse, UpstreamState
from voicerace.model.catalog.providers import DEFAULT_PROVIDER, PROVIDERS
from voicerace.model.catalog.scenarios import Step
from voicerace.model.catalog.slot import SLOT, Occurrence
from voicerace.model.protocol import realtime

__all__ = ["NO_RESULT", "Responses"]

#: Base64 audio of each delta: 2 ms of silence (24 kHz, 16 bits, mono). It is short to keep recordings small.
_PCM = base64.b64encode(bytes(96)).decode("ascii")
#: Maximum number of calls whose results a reply's text contains. Results of older calls are omitted.
_MAX_CALLS = 8
#: Text in a reply about several calls for a call without a result.
NO_RESULT = "(no result yet)"
#: Id of the first function call, from which `session_end_ms` runs.
_FIRST_CALL = "call_0001"
_CITIES = ("Lisbon", "Porto", "Faro", "Coimbra", "Braga", "Evora", "Aveiro", "Sintra")


class Responses(StatefulActor[UpstreamState]):
    """The responses of one Realtime session.

    Args:
        plan: steps for each user input, one step per response. The last step of an input and the last input repeat.
        calls: number of function calls in a response with calls.
        modality: modality of every response. If None, `response.create` sets it, else the session, else it is audio.
        preamble: whether a response with calls has a message before the calls.
        knobs: settings for undocumented API behaviour.
        item_done_early: whether call items are confirmed inside the gap (`item_done_ms` is set) instead of at its end.
        slot_lags: whether the slot becomes free later than response.done (`slot_lag_ms` is not 0).
        limits_lag: whether rate_limits.updated is sent later than response.done (`rate_limits_ms` is not 0).
        idles: whether the server starts a response after silence (`idle_timeout_ms` is set), if the session requests this.
        server_turns: whether the server starts a response after the first response with calls (`server_turn_ms` is set).
        expires: whether the server ends the session after the first function call (`session_end_ms` is set).
        provider: name of a row of `model.catalog.providers`.
    """

    def __init__(
        self,
        plan: Sequence[Sequence[Step]],
        *,
        calls: int = 1,
        modality: Literal["text", "audio"] | None = None,
        preamble: bool = False,
        knobs: Knobs | None = None,
        item_done_early: bool = False,
        slot_lags: bool = False,
        limits_lag: bool = False,
        idles: bool = False,
        server_turns: bool = False,
        expires: bool = False,
        provider: str = DEFAULT_PROVIDER,
    ) -> None:
        super().__init__(UpstreamState())
        self.plan = tuple(tuple(steps) for steps in plan)
        self.calls = calls
        self.modality = modality
        self.preamble = preamble
        self.knobs = knobs or Knobs()
        self.item_done_early = item_done_early
        self.slot_lags = slot_lags
        self.limits_lag = limits_lag
        self.idles = idles
        self.server_turns = server_turns
        self.expires = expires
        self.provider = PROVIDERS[provider]

    def _send(self, message: realtime.Message) -> None:
        """Send an event under the provider's name for its type."""
        kind = str(message["type"])
        name = self.provider.names.get(kind, kind)
        if name is not None:
            self._out.append(Send("proxy", message if name == kind else {**message, "type": name}))

    def _id(self, kind: str) -> str:
        counts = self.state.counts
        counts[kind] = number = counts.get(kind, 0) + 1
        return f"{kind}_{number:04d}"

    def _slot(self, event: Occurrence) -> bool:
        """Apply the transition for `event` in the slot table. Return whether the table accepts the event."""
        row = SLOT[self.state.slot, event]
        self.state.slot = row.next
        return not row.refused

    # -- responses ---------------------------------------------------------------------------------------------------

    # `asked` below is the field `response` of the client's response.create. It is empty if the server starts the response.

    def _step(self, asked: Mapping[str, Any]) -> Step:
        """Advance the plan by one step. Return the step, or `reply` if the request or the session allows no tool."""
        step = self._planned()
        self.state.steps_taken += 1
        choice = asked.get("tool_choice") or self.state.session.get("tool_choice")
        return step if self._tools(asked) and choice != "none" else "reply"

    def _tools(self, asked: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Return the tools of a response: those of the request, else those of the session."""
        own = asked.get("tools")
        return (own if own is not None else self.state.session.get("tools")) or ()

    def _planned(self) -> Step:
        """Return the next step of the plan."""
        inputs = self.state.earlier + self.state.inputs
        steps = self.plan[min(inputs, len(self.plan)) - 1] if self.state.inputs else ("reply",)
        return steps[min(self.state.steps_taken, len(steps) - 1)]

    def _call_count(self, asked: Mapping[str, Any]) -> int:
        """Return the number of calls in a response with calls."""
        return self.calls

    def _next_plan(self, asked: Mapping[str, Any]) -> ResponsePlan:
        """Advance the plan by one step. Return its response: calls, or a reply with the results accepted so far."""
        step = self._step(asked)
        if step == "calls":
            preamble = (OutputPlan("message", "One moment, I am looking it up.", preamble=True),) if self.preamble else ()
            cities = (_CITIES[index % len(_CITIES)] for index in range(self._call_count(asked)))
            tools = self._tools(asked)
            return ResponsePlan((*preamble, *(call_of(tools, city) for city in cities)))
        status = step if step in ("failed", "incomplete") else self.knobs.reply_status
        return ResponsePlan((OutputPlan("message", self._reply_text()),), status)

    def _reply_text(self) -> str:
        """Return a text with the accepted results of the newest calls, or a text without results if there are none."""
        polite = "You are welcome." if self.state.earlier + self.state.inputs > 1 else ""
        calls = [call for call, phase in self.state.calls.items() if phase != PHASES[0]][-_MAX_CALLS:]
        results = [", then ".join(self.state.outputs.get(call, ())) for call in calls]
        if not calls:
            return polite or "You are welcome."
        known = " and ".join(each or NO_RESULT for each in results)
        return f"{polite} {f'The tool says: {known}' if any(results) else 'I have no result yet.'}".lstrip()

    def _begin(self, plan: ResponsePlan, asked: Mapping[str, Any] | None = None, *, in_band: bool = True) -> None:
        """Start a response. If it is in band, it holds the slot from now on. `response.created` is sent later."""
        response_id = self._id("resp")
        number = self.state.counts["resp"] - 1
        line = stages(plan, number, self.state.counts.get("call", 0), item_done_early=self.item_done_early)
        for output in plan.outputs:
            if output.kind == "call":
                self._id("call")
        asked = asked or {}
        response = MockResponse(response_id, number, plan, line, self._modality(asked), in_band, asked.get("metadata"))
        self.state.responses[response_id] = response
        if in_band:
            self.state.holder = response_id
        self._arm(response)

    def _modality(self, asked: Mapping[str, Any]) -> Literal["text", "audio"]:
        key = self.provider.modalities
        wanted = asked.get(key, self.state.session.get(key))
        spoken = not isinstance(wanted, list) or "audio" in wanted
        return self.modality or ("audio" if spoken else "text")

    def _arm(self, response: MockResponse) -> None:
        """Start the timers of the next stage and of the stages alongside it."""
        position = response.next
        while position < len(response.line) and (position == response.next or response.line[position].alongside):
            stage = response.line[position]
            self._out.append(SetTimer(f"stage:{response.id}:{position}", stage.after, stage.number))
            position += 1
        response.next = position

    def _stage(self, response: MockResponse, position: int) -> None:
        stage = response.line[position]
        match stage.what:
            case "created":
                self._announce(response)
            case "open":
                self._open(response, stage.output)
            case "finish":
                self._finish(response, stage.output)
            case "items_done":
                self._items_done(response)
            case "done":
                self._done(response, response.plan.status)
                return
        if position == response.next - 1:
            self._arm(response)

    def _announce(self, response: MockResponse) -> None:
        response.created = True
        if response.in_band:
            self._slot("created")
        body = self._response_object(response, "in_progress")
        self._send(realtime.response_event(realtime.RESPONSE_CREATED, self._id("event"), body))

    def _response_object(self, response: MockResponse, status: str, reason: str | None = None) -> realtime.Message:
        details: dict[str, Any] | None = None
        if status not in ("in_progress", "completed"):
            details = {"type": status}
            if status == "failed":
                details["error"] = {"type": "server_error", "code": "server_error"}
            else:
                details["reason"] = reason or "max_output_tokens"
        conversation = "conv_0001" if response.in_band else None
        return realtime.response_object(
            response.id, conversation, response.modality, status, details, response.items, response.metadata
        )

    def _open(self, response: MockResponse, position: int) -> None:
        """Add an item and, for a message, send its first delta."""
        output = response.plan.outputs[position]
        item_id = self._id("item")
        if output.kind == "call":
            call_id = f"call_{len(self.state.calls) + 1:04d}"
            self.state.calls[call_id] = "open"
            item = realtime.call_item(item_id, call_id, output.name, "", "in_progress")
        else:
            item = realtime.reply_item(item_id, "in_progress", [])
        response.items.append(item)
        response.before.append(self.state.last_item)
        self._send(realtime.output_event("response.output_item.added", self._id("event"), response.id, position, item))
        if response.in_band:
            self._send(realtime.conversation_item(realtime.ITEM_ADDED, self._id("event"), self.state.last_item, item))
            self._append(item_id)
        if output.kind == "message":
            self._part("response.content_part.added", response, position, "")
            self._delta(response, position, output.text[: len(output.text) // 2])

    def _append(self, item_id: str) -> None:
        """Record an item as the newest item of the conversation."""
        self.state.last_item = item_id
        if self.state.first_item is None:
            self.state.first_item = item_id

    def _content(self, kind: str, response: MockResponse, position: int, own: Mapping[str, Any]) -> None:
        item_id = response.items[position]["id"]
        self._send(realtime.content_event(kind, self._id("event"), response.id, item_id, position, **own))

    def _part(self, kind: str, response: MockResponse, position: int, text: str) -> None:
        part = realtime.part_content(response.modality, text)
        own = {"part": part, "content": part} if self.provider.content_copied else {"part": part}
        self._content(kind, response, position, own)

    def _delta(self, response: MockResponse, position: int, text: str) -> None:
        written = {"delta": text, "obfuscation": realtime.OBFUSCATION}
        if response.modality == "audio":
            self.state.spoke = True
            # In recordings OpenAI and Azure send the first transcript deltas before the first audio delta.
            pieces = [(realtime.TRANSCRIPT_DELTA, written), (realtime.AUDIO_DELTA, {"delta": _PCM})]
            for kind, piece in reversed(pieces) if self.provider.audio_around else pieces:
                self._content(kind, response, position, piece)
        else:
            self._content(realtime.TEXT_DELTA, response, position, written)

    def _finish(self, response: MockResponse, position: int) -> None:
        """Send an item's last delta. Close the item now, or all items with the last item (`Knobs.items_close`)."""
        output = response.plan.outputs[position]
        response.streamed.add(position)
        if output.kind == "call":
            self._arguments(realtime.ARGUMENTS_DELTA, response, position, output.text)
        else:
            self._delta(response, position, output.text[len(output.text) // 2 :])
        items_close = self.provider.items_close if self.knobs.items_close == "provider" else self.knobs.items_close
        if items_close == "singly":
            self._close(response, position)
        elif position == len(response.plan.outputs) - 1:
            for each in range(position + 1):
                self._close(response, each)

    def _close(self, response: MockResponse, position: int) -> None:
        """End an item's content. Confirm the item if it is a message. Calls are confirmed inside the gap or at its end."""
        output = response.plan.outputs[position]
        self._content_done(response, position, output.text)
        if output.kind == "message":
            self._item_done(response, position, output.text, "completed")

    def _arguments(self, kind: str, response: MockResponse, position: int, text: str) -> None:
        item = response.items[position]
        self._send(realtime.arguments_event(kind, self._id("event"), response.id, item, position, text))

    def _content_done(self, response: MockResponse, position: int, text: str) -> None:
        """Send the events that end an item's content. The API reference specifies them for a cut-off response too."""
        response.finished.add(position)
        if response.plan.outputs[position].kind == "call":
            self._arguments(realtime.ARGUMENTS_DONE, response, position, text)
            if self.expires and response.items[position]["call_id"] == _FIRST_CALL:
                self._out.append(SetTimer("end", "session_end_ms"))
            return
        spoken, last = response.modality == "audio", self.provider.audio_around
        if spoken and not last:
            self._content(realtime.AUDIO_DONE, response, position, {})
        if spoken:
            self._content(realtime.TRANSCRIPT_DONE, response, position, {"transcript": text})
        else:
            self._content(realtime.TEXT_DONE, response, position, {"text": text})
        self._part("response.content_part.done", response, position, text)
        if spoken and last:
            self._content(realtime.AUDIO_DONE, response, position, {})

    def _item_done(self, response: MockResponse, position: int, text: str, status: str) -> None:
        response.done_items.add(position)
        item = response.items[position] = {**response.items[position], "status": status}
        if item["type"] == "function_call":
            item["arguments"] = text
            self.state.calls[item["call_id"]] = "item_done"
        else:
            item["content"] = [realtime.item_content(response.modality, text)]
        before = response.before[position]
        # In recordings previous_item_id of the second item is null in this event, but not in conversation.item.added.
        named = None if before == self.state.first_item else before
        conversation = realtime.conversation_item(realtime.ITEM_DONE, self._id("event"), named, item)
        output = realtime.output_event("response.output_item.done", self._id("event"), response.id, position, item)
        if response.in_band:
            self.state.items[item["id"]] = item
        events = [conversation, output] if response.in_band else [output]
        for event in events if self.knobs.item_before_output == "yes" else reversed(events):
            self._send(event)

    def _items_done(self, response: MockResponse) -> None:
        """Confirm the complete items that are not confirmed yet. These are the calls."""
        for position in sorted(response.finished - response.done_items):
            self._item_done(response, position, response.plan.outputs[position].text, "completed")

    def _cut_off(self, response: MockResponse, status: str, reason: str) -> None:
        """End a response early. Announce it first if response.created was not sent."""
        for position in range(len(response.line)):
            self._out.append(Cancel(f"stage:{response.id}:{position}"))
        if not response.created:
            self._announce(response)
        self._done(response, status, reason)

    def _done(self, response: MockResponse, status: str, reason: str | None = None) -> None:
        """End the open items and the response. Only `response.done` frees the slot."""
        for position in range(len(response.items)):
            if position not in response.finished:
                output = response.plan.outputs[position]
                begun = "" if output.kind == "call" else output.text[: len(output.text) // 2]
                so_far = output.text if position in response.streamed else begun
                self._content_done(response, position, so_far)
                self._item_done(response, position, so_far, "incomplete")
        self._items_done(response)
        for item in response.items:
            if item["type"] == "function_call":
                self.state.calls[item["call_id"]] = "response_done"
        del self.state.responses[response.id]
        body = self._response_object(response, status, reason)
        self._send(realtime.response_event(realtime.RESPONSE_DONE, self._id("event"), body))
        if self.provider.rate_limits:
            if self.limits_lag:
                self._out.append(SetTimer(f"limits:{response.id}", "rate_limits_ms", response.number))
            else:
                self._rate_limits()
        for position in range(len(response.line)):
            if response.line[position].alongside or response.line[position].what == "items_done":
                self._out.append(Cancel(f"stage:{response.id}:{position}"))
        if response.in_band:
            self._slot("done_lagging" if self.slot_lags else "done")
            if self.slot_lags:
                self._out.append(SetTimer("slot", "slot_lag_ms", response.number))
            else:
                self.state.holder = ""

    def _rate_limits(self) -> None:
        self._send(realtime.rate_limits(self._id("event")))
