"""The state of a mock Realtime session, and the settings for undocumented API behaviour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from voicerace.model.actors.response_plan import ResponsePlan, Stage, Status
from voicerace.model.catalog.slot import SlotState

__all__ = ["PHASES", "Knobs", "MockResponse", "UpstreamState"]

#: Phases of a call, in order. The API accepts a call's output from the phase `Knobs.function_output` on.
PHASES: Final = ("unknown", "at_once", "open", "item_done", "response_done")


@dataclass(frozen=True)
class Knobs:
    """Settings for undocumented API behaviour. Each default is recorded or has the most evidence (docs/open-facts/README.md).

    docs/protocol-facts.md#evidence-marks explains the marks in parentheses.

    Attributes:
        function_output: when the API accepts a call's output: ``at_once``, after the call's output_item.done
            (``item_done``), or after ``response_done``. It refuses an earlier output with ``invalid_tool_call_id`` (claim).
        session_update_active: whether the API accepts session.update during a response (``accept``, reference) or refuses
            it with the active-response code (``refuse``, no evidence).
        item_before_output: whether the API sends conversation.item.done before response.output_item.done (recorded in
            8 of 8 cases) or after it.
        binary_frames: whether the API reads JSON in a binary frame or refuses the frame with ``invalid_request`` (open).
        reply_status: final status of replies.
        server_turn_taken: what happens to the server's response if server VAD ends a turn while another response has
            the slot: it is ``dropped``, or it ``waits`` for response.done and then starts (open).
        items_close: whether each item of a response ends when it is complete (``singly``), or all items end in order when
            the last item is complete (``together``). ``provider`` uses the provider's setting (`model.catalog.providers`).
        cancel_before_created: whether response.cancel between an accepted request and its response.created only causes
            an error (``nothing``, reported by a client's authors), or ``ends`` the response.
        refusal_event_id: whether a refusal has the client event id of the refused request.
        error_after_create: error code with which a request is answered while the slot is free; empty: with a response.
    """

    function_output: Literal["at_once", "item_done", "response_done"] = "at_once"
    session_update_active: Literal["accept", "refuse"] = "accept"
    item_before_output: Literal["yes", "no"] = "yes"
    binary_frames: Literal["read", "refuse"] = "read"
    reply_status: Status = "completed"
    server_turn_taken: Literal["dropped", "waits"] = "dropped"
    items_close: Literal["provider", "together", "singly"] = "provider"
    cancel_before_created: Literal["nothing", "ends"] = "nothing"
    error_after_create: str = ""
    refusal_event_id: Literal["yes", "no"] = "yes"


@dataclass
class MockResponse:
    """A response in progress.

    Attributes:
        line: stages of the response, in order.
        next: index in `line` of the next stage whose timer is not set yet.
        metadata: metadata of the request. response.created and response.done repeat it.
        items: items of the response, as last sent.
        before: id of the item before each item in the conversation, or None.
        streamed: indices of the items whose deltas are complete.
        finished: indices of the items whose content is complete.
        done_items: indices of the confirmed items.
    """

    id: str
    number: int
    plan: ResponsePlan
    line: Sequence[Stage]
    modality: Literal["text", "audio"]
    in_band: bool = True
    metadata: Any = None
    next: int = 0
    created: bool = False
    items: list[dict[str, Any]] = field(default_factory=list)
    before: list[str | None] = field(default_factory=list)
    streamed: set[int] = field(default_factory=set)
    finished: set[int] = field(default_factory=set)
    done_items: set[int] = field(default_factory=set)


@dataclass
class UpstreamState:
    """The state of one session.

    Attributes:
        slot: state of the slot, as in the table `model.catalog.slot`.
        responses: responses in progress, by id. At most one of them is in band.
        holder: id of the response that holds the slot.
        calls: phase of each call, by call id: one of `PHASES`.
        outputs: accepted results of each call in order, by call id.
        acks: accepted items that are not confirmed yet, by id.
        after: ``previous_item_id`` of the requests for such items, by id of the item, if the request has one.
        items: confirmed items, by id.
        inputs: number of user inputs in this session.
        earlier: number of user inputs in earlier sessions of the same actor.
        steps_taken: number of plan steps taken since the newest input.
        counts: number of ids issued, by kind.
        last_item: id of the newest item.
        first_item: id of the first item.
        session: the session object.
        spoke: whether audio was sent. The voice cannot change afterwards.
        audio: number of bytes in the input audio buffer.
        appended: number of audio bytes appended in the session.
        speech: item id of the user's current speech, or empty if the user does not speak.
        pausing: whether the newest audio of the current speech is silent.
        server_waits: whether the server starts a response when the slot becomes free.
        server_turned: whether the timer of the server's own turn (`server_turn_ms`) was started.
        ended: whether the connection is closed.
    """

    slot: SlotState = "free"
    responses: dict[str, MockResponse] = field(default_factory=dict)
    holder: str = ""
    calls: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, list[str]] = field(default_factory=dict)
    acks: dict[str, dict[str, Any]] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    inputs: int = 0
    earlier: int = 0
    steps_taken: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    last_item: str | None = None
    first_item: str | None = None
    session: dict[str, Any] = field(default_factory=dict)
    spoke: bool = False
    audio: int = 0
    appended: int = 0
    speech: str = ""
    pausing: bool = False
    server_waits: bool = False
    server_turned: bool = False
    ended: bool = False
