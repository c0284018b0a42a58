"""A client that connects to the API without a proxy, with its own tool. It has the place of the proxy in a session.

Its rules are a row of `model.catalog.clients`. The neighbour `user` sends the user's texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from voicerace.model.actors.actor import Cancel, Close, Effects, Send, SetTimer
from voicerace.model.actors.stateful import StatefulActor
from voicerace.model.catalog.clients import ClientRelease
from voicerace.model.protocol import input_audio, realtime
from voicerace.trace.recording import Payload

__all__ = ["Client", "ClientState"]

#: Result of each tool, as in the programs in `clients/`.
_OUTPUT: Final = '{"sky": "clear"}'
_CANCELLED: Final = "CANCELLED"
_NORMAL: Final = 1000
_TOOL: Final = {
    "type": "function", "name": "get_weather", "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}  # fmt: skip


@dataclass
class ClientState:
    """Attributes:
    started: number of tools that were started.
    tools: response of each call without a sent result, by call id.
    ended: ids of these calls whose tool has ended.
    asks: ids of the responses whose calls have no request yet, and of these, the responses that are done.
    active: id of the active response, or empty.
    pending: number of waiting requests that the pending request stands for, or 0.
    event_id: event id of the pending request, or empty.
    overtaken: as `pending`, of a request that was sent before the server began a response itself.
    waiting: number of requests that wait.
    queue: texts that are held; None for a request after results.
    unconfirmed: ids of sent items whose confirmation precedes a request.
    asking: whether a request follows the last of these confirmations.
    silent: ids of the calls whose results need no request.
    sent: number of items and requests sent.
    texts: number of texts sent.
    left: whether the connection is closed.
    """

    started: int = 0
    tools: dict[str, str] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)
    asks: dict[str, bool] = field(default_factory=dict)
    active: str = ""
    pending: int = 0
    event_id: str = ""
    overtaken: int = 0
    waiting: int = 0
    queue: list[str | None] = field(default_factory=list)
    unconfirmed: list[str] = field(default_factory=list)
    asking: str = ""
    silent: list[str] = field(default_factory=list)
    sent: int = 0
    texts: int = 0
    left: bool = False


class Client(StatefulActor[ClientState]):
    """A client with the rules of `release`."""

    def __init__(self, release: ClientRelease) -> None:
        super().__init__(ClientState())
        self.release = release

    def start(self) -> Effects:
        update = realtime.update_session({"type": "realtime", "tools": [_TOOL]})
        return [Send("upstream", update) for _ in range(self.release.updates)]

    def message(self, sender: str, payload: Payload) -> Effects:
        if self.state.left or not isinstance(payload, Mapping):
            return ()
        if sender == "user":
            self._user(payload)
        else:
            self._event(payload)
        return self._effects()

    def closed(self, sender: str, code: int | None) -> Effects:
        self.state.left = True
        return ()

    def timer(self, name: str) -> Effects:
        if self.state.left:
            return ()
        kind, _, rest = name.partition(":")
        if kind == "tool":
            self._tool_ended(rest.partition(":")[0])
        elif kind == "retry":
            self._want()
        else:
            self._free(0)
        return self._effects()

    def _user(self, payload: Mapping[str, Any]) -> None:
        state = self.state
        if payload["type"] == "leave":
            state.left = True
            self._out.append(Close("upstream", _NORMAL))
        elif payload["type"] == "say" and not (self.release.text == "dropped" and state.texts):
            state.texts += 1
            if self.release.text == "held":
                state.queue.append(str(payload["text"]))
                self._advance()
            else:
                self._item(realtime.user_item(str(payload["text"])))
                self._want()

    def _event(self, payload: Mapping[str, Any]) -> None:
        state, kind = self.state, payload.get("type")
        item = realtime.item_of(payload)
        if kind == realtime.ARGUMENTS_DONE and self.release.tool_starts == "arguments":
            self._call(payload, str(payload["call_id"]))
        elif kind == "response.output_item.done" and item.get("type") == "function_call":
            if self.release.tool_starts == "item":
                self._call(payload, str(item["call_id"]))
        elif kind == realtime.RESPONSE_CREATED:
            self._created(realtime.response_of(payload))
        elif kind == realtime.RESPONSE_DONE:
            self._done(str(realtime.response_of(payload).get("id")))
        elif kind == realtime.ITEM_ADDED and item.get("id") in state.unconfirmed:
            state.unconfirmed.remove(str(item.get("id")))
            if not state.unconfirmed:
                self._confirmed()
        elif kind == realtime.ERROR and realtime.is_refusal(payload):
            self._refused(str(realtime.error_of(payload).get("event_id") or ""))
        elif kind == input_audio.SPEECH_STARTED:
            if self.release.at_speech == "cancels":
                state.waiting = 0
                for call_id in state.tools:
                    self._out.append(Cancel(f"tool:{call_id}:0"))
                    self._item(realtime.output_item(call_id, _CANCELLED))
                state.tools = {}
            elif self.release.at_speech == "unasks":
                state.silent += [each for each in state.tools if each not in state.silent]

    # -- tools -------------------------------------------------------------------------------------------------------

    def _call(self, payload: Mapping[str, Any], call_id: str) -> None:
        state = self.state
        response = str(payload["response_id"])
        state.tools[call_id] = response
        if self.release.asks == "last" and self.release.results == "each":
            state.asks[response] = False
        self._out.append(SetTimer(f"tool:{call_id}:0", "tool_ms", state.started))
        state.started += 1

    def _tool_ended(self, call_id: str) -> None:
        state = self.state
        if self.release.results == "together":
            state.ended.append(call_id)
            self._advance()
            return
        response = state.tools.pop(call_id)
        self._item(realtime.output_item(call_id, _OUTPUT))
        if self.release.asks == "each":
            self._want()
        else:
            self._batch(response)

    def _batch(self, response: str) -> None:
        """Want a request for the results of a response, if it is done and all results were sent."""
        if self.state.asks.get(response) and response not in self.state.tools.values():
            del self.state.asks[response]
            self._want()

    # -- requests ----------------------------------------------------------------------------------------------------

    def _item(self, item: Mapping[str, Any]) -> str:
        """Send an item and return its id."""
        self.state.sent += 1
        item_id = f"client_item_{self.state.sent}"
        self._out.append(Send("upstream", realtime.create_item({"id": item_id, **item})))
        return item_id

    def _want(self) -> None:
        self.state.waiting += 1
        self._advance()

    def _request(self, count: int) -> None:
        """Send a request that stands for `count` waiting requests."""
        state = self.state
        state.sent += 1
        name = f"client_create_{state.sent}" if self.release.named else None
        tag = {"metadata": {"request": name}} if self.release.tagged else None
        self._out.append(Send("upstream", realtime.create_response(name, tag)))
        if self.release.waits_for:
            state.pending, state.event_id = count, name or ""
        if self.release.gives_up:
            self._out.append(SetTimer("give up", "client_timeout_ms"))

    def _advance(self) -> None:
        """Send what waits, if nothing delays it."""
        state, waits_for = self.state, self.release.waits_for
        if waits_for and (state.pending or state.active or state.asking):
            return
        if self.release.text == "held":
            self._next_of_queue()
        elif state.waiting and not ("calls" in waits_for and state.tools):
            waiting, state.waiting = state.waiting, 0
            self._request(waiting)

    def _next_of_queue(self) -> None:
        """Send the next text, or the request after results, or the results of a response whose tools have all ended."""
        state = self.state
        if state.queue:
            text = state.queue.pop(0)
            if text is None:
                self._request(1)
            else:
                state.unconfirmed, state.asking = [self._item(realtime.user_item(text))], "text"
            return
        for response in dict.fromkeys(state.tools.values()):
            calls = [call for call in state.ended if state.tools[call] == response]
            if len(calls) == sum(of == response for of in state.tools.values()):
                state.unconfirmed = [self._item(realtime.output_item(call, _OUTPUT)) for call in calls]
                state.asking = "nothing" if any(call in state.silent for call in calls) else "results"
                for call in calls:
                    del state.tools[call]
                    state.ended.remove(call)
                return

    def _confirmed(self) -> None:
        """Send the request after the confirmation of its items."""
        state = self.state
        asking, state.asking = state.asking, ""
        if asking == "text":
            self._request(1)
            return
        if state.active:
            self._out.append(Send("upstream", {"type": realtime.RESPONSE_CANCEL}))
        if asking == "results":
            state.queue.append(None)
        self._advance()

    # -- answers -----------------------------------------------------------------------------------------------------

    def _created(self, response: Mapping[str, Any]) -> None:
        state = self.state
        state.active = str(response.get("id"))
        if self.release.created_takes:
            state.waiting = 0
        tag = (response.get("metadata") or {}).get("request")
        if self.release.tagged and state.pending and state.event_id and tag != state.event_id:
            if self.release.refused == "waits":
                state.overtaken, state.pending = state.pending, 0
            return
        state.pending = 0
        if self.release.gives_up:
            self._out.append(Cancel("give up"))

    def _done(self, response: str) -> None:
        state = self.state
        if state.active not in ("", response):
            return
        state.active = ""
        if not self.release.tagged and self.release.refused != "retried":
            state.pending = 0
        self._advance()
        if response in state.asks:
            state.asks[response] = True
            self._batch(response)

    def _refused(self, event_id: str) -> None:
        state, rule = self.state, self.release.refused
        if rule == "retried":
            state.pending = 0
            self._out.append(SetTimer("retry", "client_retry_ms"))
        if rule in ("none", "retried") or (self.release.named and event_id != state.event_id):
            return
        if not (state.pending or state.overtaken):
            return
        if rule == "waits":
            # Without `overtaken` the request stays pending, and nothing is sent until another response ends.
            state.waiting += state.overtaken or state.pending
            state.overtaken, state.event_id = 0, ""
            self._advance()
        else:
            self._free(state.pending - 1 if rule == "rest" else 0)

    def _free(self, again: int) -> None:
        """Give the pending request up, and want `again` requests."""
        self.state.pending = 0
        self.state.waiting += again
        if self.release.gives_up:
            self._out.append(Cancel("give up"))
        self._advance()
