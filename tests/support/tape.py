"""Write recordings by hand: the messages of each actor and their times in ms. Links have no delay by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voicerace.model.protocol import agent, realtime
from voicerace.trace.recording import LINKS, Event, Link, Payload, Recording, link
from voicerace.units import ns

__all__ = ["Tape"]

_CALL = ("call_1", "get_weather", '{"city":"Lisbon"}')


class Tape:
    """A recording under construction. Every method that adds events returns the tape."""

    def __init__(self, host_ms: float = 0, upstream_ms: float = 0) -> None:
        self.events: list[Event] = []
        self.one_way = {"component": ns(host_ms), "upstream": ns(upstream_ms)}
        self._count = 0

    # -- any message -------------------------------------------------------------------------------------------------

    def put(self, name: str, at_ms: float, payload: Payload, kind: str = "message") -> Tape:
        """Add a message sent on the link `name` at `at_ms`."""
        on = link(name)
        delay = next((self.one_way[end] for end in on if end in self.one_way and "app" not in on), 0)
        sent = ns(at_ms)
        self.events.append(Event(len(self.events), on, kind, sent, sent + delay, payload))  # type: ignore[arg-type]
        return self

    def client(self, at_ms: float, message: Payload) -> Tape:
        return self.put("proxy>upstream", at_ms, message)

    def server(self, at_ms: float, message: Payload) -> Tape:
        return self.put("upstream>proxy", at_ms, message)

    def close(self, at_ms: float, name: str = "component>proxy") -> Tape:
        return self.put(name, at_ms, {"code": 1000}, "close")

    # -- events of a tool turn -----------------------------------------------------------------------------------------

    def asks(self, at_ms: float, text: str = "What is the weather in Lisbon?") -> Tape:
        """Add the user's text on the links to the proxy and to the upstream, without a response.create."""
        self.put("component>proxy", at_ms, agent.inject_user_message(text))
        return self.client(at_ms, realtime.create_item(realtime.user_item(text)))

    def creates(self, at_ms: float) -> Tape:
        return self.client(at_ms, realtime.create_response())

    def calls(self, at_ms: float, response: str = "resp_1", call: str = "call_1", *, begin: bool = True) -> Tape:
        """Announce a response and complete the arguments of its call at the same time."""
        if begin:
            self.created(at_ms, response)
        item = realtime.call_item(f"item_{call}", call, _CALL[1], _CALL[2], "completed")
        self.server(at_ms, realtime.output_event("response.output_item.added", self._event(), response, 0, item))
        self.server(at_ms, realtime.arguments_event(realtime.ARGUMENTS_DONE, self._event(), response, item, 0, _CALL[2]))
        return self.put("proxy>component", at_ms, agent.function_call_request(call, _CALL[1], _CALL[2]))

    def created(self, at_ms: float, response: str) -> Tape:
        body = realtime.response_object(response, "conv_1", "text", "in_progress")
        return self.server(at_ms, realtime.response_event(realtime.RESPONSE_CREATED, self._event(), body))

    def result(
        self, at_ms: float, call: str = "call_1", content: str = '{"temperature_c":21}', *, confirm: bool = True
    ) -> Tape:
        """Add a result on the links to the proxy and to the upstream. By default the upstream confirms it at once."""
        self.put("component>proxy", at_ms, agent.function_call_response(call, _CALL[1], content))
        self.client(at_ms, realtime.create_item(realtime.output_item(call, content)))
        return self.confirmed(at_ms, call, content) if confirm else self

    def default_error(self, at_ms: float, call: str = "call_1") -> Tape:
        return self.result(at_ms, call, agent.DEFAULT_ERROR_CONTENT)

    def confirmed(self, at_ms: float, call: str = "call_1", content: str = "{}") -> Tape:
        item = {"id": f"item_{self._event()}", "object": "realtime.item", **realtime.output_item(call, content)}
        return self.server(at_ms, realtime.conversation_item(realtime.ITEM_DONE, self._event(), None, item))

    def says(self, at_ms: float, response: str = "resp_2", text: str = "It is 21 degrees.", *, begin: bool = True) -> Tape:
        """Announce a reply and send its text to the proxy and to the host."""
        if begin:
            self.created(at_ms, response)
        item = realtime.reply_item(f"item_{response}", "in_progress", [])
        self.server(at_ms, realtime.output_event("response.output_item.added", self._event(), response, 0, item))
        done = realtime.content_event(realtime.TEXT_DONE, self._event(), response, item["id"], 0, text=text)
        self.server(at_ms, done)
        return self.put("proxy>component", at_ms, agent.conversation_text("assistant", text))

    def done(self, at_ms: float, response: str, status: str = "completed") -> Tape:
        body = realtime.response_object(response, "conv_1", "text", status)
        return self.server(at_ms, realtime.response_event(realtime.RESPONSE_DONE, self._event(), body))

    def refuses(self, at_ms: float, in_the_way: str = "resp_1", *, told: bool = False) -> Tape:
        """Refuse a response.create. With `told`, the proxy forwards the error to the host."""
        refusal = realtime.refusal(self._event(), in_the_way, None)
        self.server(at_ms, refusal)
        if told:
            self.put("proxy>component", at_ms, agent.error(refusal["error"]["message"], realtime.ACTIVE_RESPONSE))
        return self

    def fails(self, at_ms: float, code: str = "server_error") -> Tape:
        return self.server(at_ms, realtime.error_event(self._event(), code, "It failed.", kind="server_error"))

    # -- the end -----------------------------------------------------------------------------------------------------

    def recording(
        self,
        *,
        complete: bool = True,
        observed: tuple[Link, ...] = LINKS,
        provenance: Mapping[str, Any] | None = None,
    ) -> Recording:
        events = tuple(event for event in self.events if event.link in observed)
        return Recording(events, dict(provenance or {}), "virtual", observed, complete)

    def _event(self) -> str:
        self._count += 1
        return f"event_{self._count}"


def asked(call_done_ms: float = 0) -> Tape:
    """Return a tape with the user's request and the model's call.

    The call is complete at `call_done_ms`, and its response is still active.
    """
    return Tape().asks(call_done_ms - 20).creates(call_done_ms - 20).calls(call_done_ms)
