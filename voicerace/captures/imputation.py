"""Use the order of messages to impute payload fields that a log lacks: ids of responses and calls, and types of items.

A proxy's log contains the type of each message and few other fields. The imputation uses the order: events between
`response.created` and `response.done` belong to that response, the arguments of a call follow its item, and results answer
calls. Logged values stay unchanged. Imputed values are ids ``derived_…`` or placeholders. An `Interpretation` sets values that
the order does not determine. A caller can compare several interpretations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from voicerace.model.protocol import agent, input_audio, realtime
from voicerace.trace.recording import Event, Recording

__all__ = ["NOT_LOGGED", "SIMPLEST", "ImputedTrace", "Interpretation", "impute", "interpretations"]

#: Placeholder of a text that was not logged.
NOT_LOGGED: Final = "(not logged)"
#: Placeholder of audio that was not logged: one sample of silence in base64.
_PCM: Final = "AAA="
_ITEMS: Final = (realtime.ITEM_CREATED, realtime.ITEM_ADDED, realtime.ITEM_DONE)
_DELTAS: Final = (realtime.TEXT_DELTA, realtime.TRANSCRIPT_DELTA, realtime.ARGUMENTS_DELTA)


@dataclass(frozen=True, slots=True)
class Interpretation:
    """Choice of values that the order of messages does not determine.

    Attributes:
        default_error: which of several results of one call is the component's own error, if their contents are not logged.
        cut_off: whether a response is cancelled when the user starts to speak during it.
    """

    default_error: Literal["none", "first", "last"] = "none"
    cut_off: bool = False


SIMPLEST: Final = Interpretation()


@dataclass(frozen=True)
class ImputedTrace:
    """A recording with imputed fields.

    Attributes:
        recording: the given events with imputed payload fields.
        assumed: assumptions, one sentence each.
        repeated: whether a call has several results without logged contents.
        spoken_into: whether the user started to speak while a response was active.
    """

    recording: Recording
    assumed: tuple[str, ...]
    repeated: bool
    spoken_into: bool


def interpretations(imputed: ImputedTrace) -> list[Interpretation]:
    """Return all interpretations of a log, the simplest first."""
    errors: tuple[Literal["none", "first", "last"], ...] = ("none", "first", "last") if imputed.repeated else ("none",)
    return [Interpretation(error, cut) for cut in ((False, True) if imputed.spoken_into else (False,)) for error in errors]


def impute(recording: Recording, interpretation: Interpretation = SIMPLEST) -> ImputedTrace:
    """Impute the missing payload fields of a log's recording under one interpretation."""
    imputer = _Imputer(recording, interpretation)
    imputer.responses()
    imputer.results()
    imputer.items()
    return imputer.done()


@dataclass
class _InferredResponse:
    """One response while its events are collected; `created`, `done` and `events` are indices into the recording."""

    number: int
    created: int | None
    name: str | None = None
    done: int | None = None
    events: list[int] = field(default_factory=list)
    spoken_into: bool = False


class _Imputer:
    def __init__(self, recording: Recording, interpretation: Interpretation) -> None:
        self.recording = recording
        self.interpretation = interpretation
        self.payloads: list[Any] = [
            realtime.with_original_code(e.payload) if isinstance(e.payload, Mapping) and e.kind == "message" else None
            for e in recording.events
        ]
        self.assumed: dict[str, None] = {}
        self.found: list[_InferredResponse] = []
        self.calls: list[tuple[int, str]] = []
        self.repeated = False

    def done(self) -> ImputedTrace:
        events = tuple(
            event if payload is None or payload == event.payload else replace(event, payload=payload)
            for event, payload in zip(self.recording.events, self.payloads, strict=True)
        )
        spoken = any(each.spoken_into for each in self.found)
        return ImputedTrace(replace(self.recording, events=events), tuple(self.assumed), self.repeated, spoken)

    def _came(self) -> list[tuple[int, Event, dict[str, Any]]]:
        return [
            (at, event, payload)
            for at, (event, payload) in enumerate(zip(self.recording.events, self.payloads, strict=True))
            if event.link.sender == "upstream" and payload is not None
        ]

    # -- responses -----------------------------------------------------------------------------------------------------

    def responses(self) -> None:
        """Impute the response id in every event of a response, and the id of every call."""
        open_now: list[_InferredResponse] = []
        for at, event, payload in self._came():
            kind = event.type
            named = payload.get("response_id") or realtime.response_of(payload).get("id")
            if kind == realtime.RESPONSE_CREATED:
                open_now.append(_InferredResponse(len(self.found) + 1, at))
                self.found.append(open_now[-1])
                if len(open_now) > 1:
                    self.assumed["two responses were active at once: their events are distinguished by their order only"] = None
            if kind == input_audio.SPEECH_STARTED:
                for each in open_now:
                    each.spoken_into = True
            if realtime.is_refusal(payload) and len(open_now) == 1:
                self._name_active(open_now[0], realtime.response_named_by(payload))
            if not kind.startswith("response."):
                continue
            own = next((each for each in self.found if named is not None and each.name == named), None)
            if own is None:
                own = open_now[0] if kind == realtime.RESPONSE_DONE and open_now else open_now[-1] if open_now else None
            if own is None:
                # The log lacks the response.created.
                own = _InferredResponse(len(self.found) + 1, None)
                self.found.append(own)
                open_now.append(own)
            own.name = own.name or (str(named) if named is not None else None)
            own.events.append(at)
            if kind == realtime.RESPONSE_DONE:
                own.done = at
                open_now = [each for each in open_now if each is not own]
        for each in self.found:
            self._response(each)

    def _name_active(self, of: _InferredResponse, name: str | None) -> None:
        """Set the id of the only active response to the id in a refusal, unless another response has that id."""
        if of.name is None and name is not None and all(each.name != name for each in self.found):
            of.name = name

    def _response(self, of: _InferredResponse) -> None:
        name = of.name or f"derived_resp_{of.number}"
        known = self._call_items(of)
        for index, at in enumerate(of.events):
            payload = self.payloads[at]
            kind = payload["type"]
            if kind in (realtime.RESPONSE_CREATED, realtime.RESPONSE_DONE):
                body = {"id": name, **realtime.response_of(payload)}
                if kind == realtime.RESPONSE_DONE and "status" not in body:
                    body |= self._status(of)
                payload["response"] = body
                continue
            payload.setdefault("response_id", name)
            if kind == "response.output_item.added" and not realtime.item_of(payload):
                payload["item"] = {"type": self._kind_of_item(of.events[index + 1 :])}
            elif kind == realtime.ARGUMENTS_DONE:
                item = known.pop(0) if known else {}
                call_id = payload.setdefault("call_id", item.get("call_id") or f"derived_call_{len(self.calls) + 1}")
                payload.setdefault("name", item.get("name") or "function")
                payload.setdefault("arguments", item.get("arguments") or NOT_LOGGED)
                self.calls.append((at, str(call_id)))
            elif kind == realtime.AUDIO_DELTA:
                payload.setdefault("delta", _PCM)
            elif kind in _DELTAS:
                payload.setdefault("delta", NOT_LOGGED)
            elif kind == realtime.TEXT_DONE:
                payload.setdefault("text", NOT_LOGGED)
            elif kind == realtime.TRANSCRIPT_DONE:
                payload.setdefault("transcript", NOT_LOGGED)
        self._name_call_items(of)

    def _status(self, of: _InferredResponse) -> dict[str, Any]:
        if of.spoken_into and self.interpretation.cut_off:
            return {"status": "cancelled", "status_details": {"reason": "turn_detected"}}
        self.assumed["the status of a response is not logged: it is assumed to be completed"] = None
        return {"status": "completed"}

    def _kind_of_item(self, following: list[int]) -> str | None:
        """Return the type of an item, inferred from the following events of its response; None if the type is ambiguous."""
        for at in following:
            kind = self.payloads[at]["type"]
            if kind == "response.output_item.added":
                return None
            if kind.startswith("response.function_call_arguments"):
                return "function_call"
            if kind.startswith(("response.content_part", "response.output_text", "response.output_audio")):
                return "message"
        return None

    def _call_items(self, of: _InferredResponse) -> list[Mapping[str, Any]]:
        """Return the function_call items that were logged during a response, one per call id."""
        first = of.created if of.created is not None else of.events[0]
        last = of.done if of.done is not None else len(self.payloads)
        items: dict[str, Mapping[str, Any]] = {}
        for at in range(first, last):
            item = realtime.item_of(self.payloads[at] or {})
            if item.get("type") == "function_call" and isinstance(item.get("call_id"), str):
                items[str(item["call_id"])] = {**items.get(str(item["call_id"]), {}), **item}
        return list(items.values())

    def _name_call_items(self, of: _InferredResponse) -> None:
        """Set the call id of each function_call item to that of the next arguments."""
        waiting: dict[str, Any] | None = None
        for at in of.events:
            payload = self.payloads[at]
            if payload["type"] == "response.output_item.added":
                item = realtime.item_of(payload)
                waiting = payload if item.get("type") == "function_call" and "call_id" not in item else None
            elif payload["type"] == realtime.ARGUMENTS_DONE and waiting is not None:
                # Copy the item, since the logged object belongs to the caller's recording.
                waiting["item"] = {**realtime.item_of(waiting), "call_id": payload["call_id"]}
                waiting = None

    # -- results -------------------------------------------------------------------------------------------------------

    def results(self) -> None:
        """Impute the call id and content of every result, from the item that confirms the result if the item was logged."""
        outputs: dict[str, Mapping[str, Any]] = {}
        for _, event, payload in self._came():
            item = realtime.item_of(payload)
            if event.type in _ITEMS and item.get("type") == "function_call_output" and isinstance(item.get("call_id"), str):
                outputs.setdefault(str(item.get("id")), item)
        given = list(outputs.values())
        waiting = list(self.calls)
        groups: dict[str, list[int]] = {}
        for at, event in enumerate(self.recording.events):
            payload = self.payloads[at]
            if payload is None or event.link.sender != "component" or payload.get("type") != "FunctionCallResponse":
                continue
            if "id" in payload:
                waiting = [each for each in waiting if each[1] != payload["id"]]
                continue
            if given:
                item = given.pop(0)
                call_id, content = str(item["call_id"]), item.get("output", NOT_LOGGED)
            else:
                call_id, content = self._answered(waiting, at), NOT_LOGGED
                groups.setdefault(call_id, []).append(at)
            payload |= {"id": call_id, "content": content}
            waiting = [each for each in waiting if each[1] != call_id]
        for indices in groups.values():
            self._contents(indices)

    def _answered(self, waiting: list[tuple[int, str]], at: int) -> str:
        """Return the id of the call that a result answers: the oldest in `waiting`, or else the last call before the result."""
        before = [call_id for index, call_id in waiting if index < at]
        if len(before) > 1:
            self.assumed["the call that a result answers is not logged: it is assumed to be the oldest without a result"] = None
        if before:
            return before[0]
        return next((call_id for index, call_id in reversed(self.calls) if index < at), "derived_call_0")

    def _contents(self, indices: list[int]) -> None:
        if len(indices) == 1:
            self.assumed["contents of results are not logged: a call's only result is assumed to be the app's"] = None
            return
        self.repeated = True
        if self.interpretation.default_error != "none":
            at = indices[0 if self.interpretation.default_error == "first" else -1]
            self.payloads[at]["content"] = agent.DEFAULT_ERROR_CONTENT

    # -- items ---------------------------------------------------------------------------------------------------------

    def items(self) -> None:
        """Impute missing items in the API's confirmations, in the order in which the client sent the items."""
        announced = 0
        waiting: list[dict[str, Any]] = []
        added: list[dict[str, Any]] = []
        number = 0
        for event, payload in zip(self.recording.events, self.payloads, strict=True):
            if payload is None:
                continue
            kind = event.type
            if event.link.sender == "component":
                number += 1
                name = f"derived_item_{number}"
                if kind == "FunctionCallResponse":
                    waiting.append({"id": name, "type": "function_call_output", "call_id": payload.get("id")})
                elif kind == "InjectUserMessage":
                    waiting.append({"id": name, "type": "message", "role": "user"})
            elif kind == "response.output_item.added":
                announced += 1
            elif kind in _ITEMS:
                self._item(kind, payload, announced > 0, waiting, added)
                announced -= kind != realtime.ITEM_DONE and announced > 0

    def _item(
        self, kind: str, payload: dict[str, Any], of_response: bool, waiting: list[dict[str, Any]], added: list[dict[str, Any]]
    ) -> None:
        item = realtime.item_of(payload)
        if item:
            own = [each for each in (*waiting, *added) if _alike(each, item)]
            if own:
                waiting[:] = [each for each in waiting if each is not own[0]]
                added[:] = [each for each in added if each is not own[0]]
                if kind != realtime.ITEM_DONE:
                    added.append(own[0])
            return
        if kind != realtime.ITEM_DONE:
            if not of_response and waiting:
                added.append(waiting.pop(0))
                payload["item"] = dict(added[-1])
        elif added:
            payload["item"] = dict(added.pop(0))


def _alike(own: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    """Return whether a logged item matches an item that the client sent, by type, call id and role."""
    return own["type"] == item.get("type") and own.get("call_id") == item.get("call_id") and own.get("role") == item.get("role")
