"""Index the messages of a capture by link, and compute the delays of results and the gaps of responses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from voicerace.analysis.verdict import Kind
from voicerace.captures.imputation import NOT_LOGGED
from voicerace.model.protocol import realtime
from voicerace.trace.recording import Event, Recording
from voicerace.units import ms

__all__ = ["Count", "EventIndex", "call_ids", "content_of", "fields_of", "result_of", "text_of"]

_OUTPUT: Final = "function_call_output"


@dataclass(frozen=True, slots=True)
class Count:
    """A number (None if unknown) and its certainty."""

    value: int | None
    kind: Kind


class EventIndex:
    """The messages of a recording, grouped by link, and the times between them at the proxy in ms."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording = recording.without_forwarder
        self.from_host = self._on("component", "proxy")
        self.to_host = self._on("proxy", "component")
        self.to_upstream = self._on("proxy", "upstream")
        self.from_upstream = self._on("upstream", "proxy")
        self.calls = [event for event in self.from_upstream if event.type == realtime.ARGUMENTS_DONE]
        self.results = [event for event in self.from_host if event.type == "FunctionCallResponse"]
        self.errors = [event for event in self.from_upstream if event.type == realtime.ERROR]
        self.refusals = [event for event in self.errors if realtime.is_refusal(fields_of(event))]
        # If only the link to the API was captured, the sender is a proxy, or a client that uses no proxy.
        watched = recording.observes("component", "proxy") or recording.observes("proxy", "component")
        alone = "release" not in recording.provenance
        self.api_only = alone and not watched and not self.from_host and not self.to_host and bool(self.to_upstream)
        if not self.results and not recording.observes("component", "proxy"):
            self.results = [event for event in self.to_upstream if realtime.item_of(fields_of(event)).get("type") == _OUTPUT]
        self.host_only = not self.from_upstream and bool(self.to_host)
        if self.host_only:
            # In a browser, only the calls and refusals that the proxy forwarded are visible.
            self.calls = [event for event in self.to_host if event.type == "FunctionCallRequest"]
            self.errors = [event for event in self.to_host if event.type == "Error"]
            self.refusals = [event for event in self.errors if realtime.is_refusal_code(fields_of(event).get("code"))]

    @property
    def renamed(self) -> int:
        """Number of refusals whose code is the name that a sanitizing app writes instead of the API's."""
        codes = [fields_of(e).get("code") for e in self.to_host if e.type == "Error"]
        codes += [realtime.error_of(fields_of(e)).get("code") for e in self.from_upstream if e.type == realtime.ERROR]
        return codes.count(realtime.RENAMED_ACTIVE_RESPONSE)

    def _on(self, sender: str, receiver: str) -> list[Event]:
        return [
            event for event in self.recording.events
            if event.link == (sender, receiver) and event.kind == "message" and event.arrived
        ]  # fmt: skip

    def certainty(self, sender: str, receiver: str) -> Kind:
        """Return the certainty of the number of messages on a link."""
        if not (self.recording.observes(sender, receiver) and self.recording.complete):
            return "at least"
        return "derived" if any(event.observed_at == "derived" for event in self.recording.events) else "observed"

    @staticmethod
    def at(event: Event) -> int | None:
        return event.at_ns("proxy")

    def between(self, first: Event, last: Event) -> float | None:
        """Return the time in ms at the proxy from one event to another; None if a time is missing."""
        since, until = self.at(first), self.at(last)
        return None if since is None or until is None else ms(until - since)

    def delays(self) -> list[float | None]:
        """Return the delay of each result in ms, counted from the complete arguments of its call; None if the call is
        ambiguous.

        A result is matched to its call by id if both ids were captured. Otherwise it is matched to the preceding call if the
        last response had one call and every earlier call has a result.
        """
        delays: list[float | None] = []
        by_id: dict[str, Event] = {}
        open_calls: list[Event] = []
        given = fresh = 0
        for event in self.recording.ordered("proxy", [*self.calls, *self.results, *self.dones()]):
            if event.type == realtime.RESPONSE_DONE:
                fresh = 0
            elif event.type in (realtime.ARGUMENTS_DONE, "FunctionCallRequest"):
                if fresh == 0 and given >= len(open_calls):
                    open_calls, given = [], 0
                open_calls.append(event)
                fresh += 1
                by_id |= dict.fromkeys(call_ids(event), event)
            else:
                given += 1
                call_id = result_of(event)
                only = open_calls[0] if len(open_calls) == 1 else None
                call = only if call_id is None else by_id.get(call_id)
                delays.append(None if call is None else self.between(call, event))
        return delays

    def gaps(self) -> list[float]:
        """Return the time in ms from the last call to response.done for each response with calls.

        Both messages are matched by response id if the id was captured. Otherwise a response.done is matched to the preceding
        call, unless a response.created lies between them. A response without response.done or times is omitted.
        """
        gaps: list[float] = []
        last: dict[str, Event] = {}
        begun = [event for event in self.from_upstream if event.type == realtime.RESPONSE_CREATED]
        for event in self.recording.ordered("proxy", [*self.calls, *self.dones(), *begun]):
            fields = fields_of(event)
            if event.type == realtime.RESPONSE_CREATED:
                last.pop("", None)
            elif event.type in (realtime.ARGUMENTS_DONE, "FunctionCallRequest"):
                last[text_of(fields.get("response_id"))] = event
            else:
                call = last.pop(text_of(realtime.response_of(fields).get("id")), None) or last.pop("", None)
                gap = None if call is None else self.between(call, event)
                if gap is not None:
                    gaps.append(gap)
        return gaps

    def dones(self) -> list[Event]:
        """Return every response.done; in a browser's capture, only those that the proxy forwarded (releases before 0.10.0)."""
        return [
            event for event in (self.to_host if self.host_only else self.from_upstream) if event.type == realtime.RESPONSE_DONE
        ]

    def outputs(self) -> list[Mapping[str, object]] | None:
        """Return the results as objects with ``call_id`` and ``output``; None if one was not captured. The source is the host's
        messages, or else the items in the API's confirmations.
        """
        sent = [{"call_id": of, "output": content_of(e)} for e in self.results if (of := result_of(e)) is not None]
        if len(sent) == len(self.results) and sent:
            return list(sent)
        items: dict[str, Mapping[str, object]] = {}
        for event in self.from_upstream:
            item = realtime.item_of(fields_of(event))
            if event.type in (realtime.ITEM_ADDED, realtime.ITEM_DONE, realtime.ITEM_CREATED):
                if not item:
                    return None
                if item.get("type") == _OUTPUT and isinstance(item.get("id"), str):
                    items[str(item["id"])] = item
        return list(items.values()) if len(items) == len(self.results) else None


def call_ids(call: Event) -> list[str]:
    """Return the call ids in a message of the API or in a FunctionCallRequest to the host."""
    fields = fields_of(call)
    functions = fields.get("functions")
    each = [call.get("id") for call in functions if isinstance(call, Mapping)] if isinstance(functions, list) else []
    return [call_id for call_id in (fields.get("call_id"), *each) if isinstance(call_id, str)]


def result_of(result: Event) -> str | None:
    """Return the call id in a result that the host or the proxy sent; None if the id was not captured."""
    fields = fields_of(result)
    call_id = fields["id"] if "id" in fields else realtime.item_of(fields).get("call_id")
    return call_id if isinstance(call_id, str) else None


def content_of(result: Event) -> object:
    """Return the content of a result that the host or the proxy sent; `NOT_LOGGED` if the content was not captured."""
    fields = fields_of(result)
    return fields["content"] if "content" in fields else realtime.item_of(fields).get("output", NOT_LOGGED)


def fields_of(event: Event) -> Mapping[str, object]:
    return event.payload if isinstance(event.payload, Mapping) else {}


def text_of(value: object) -> str:
    return value if isinstance(value, str) else ""
