"""The state of a mock Realtime session, and its settings for undocumented API behaviour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from voicerace.model.actors.response_plan import ResponsePlan, Stage, Status
from voicerace.model.catalog.slot import SlotState

__all__ = ["PHASES", "Knobs", "MockResponse", "UpstreamState"]

#: Phases of a call, in order. An output is accepted from the phase of `Knobs.function_output`.
PHASES: Final = ("unknown", "at_once", "open", "item_done", "response_done")


@dataclass(frozen=True)
class Knobs:
    """Undocumented behaviour of the API. The defaults are recorded, or have the most evidence (pages in docs/open-facts).

    Attributes:
        function_output: when the output of a call is accepted: ``at_once``, after its ``item_done``, or after
            ``response_done``. Before that it is refused with ``invalid_tool_call_id`` (claim).
        session_update_active: session.update during a response: ``accept`` (doc) or ``refuse`` with the
            active-response code (no evidence).
        item_before_output: conversation.item.done comes before response.output_item.done (recorded, 8 of 8), or
            after it.
        binary_frames: JSON in a binary frame is read, or refused with ``invalid_request`` (open).
        reply_status: status of replies.
        server_turn_taken: server VAD ends a turn while a client's response has the slot: the server's response is
            ``dropped``, or ``waits`` for response.done (open).
        items_close: each item of a response ends when it is complete (``singly``), or all ``together``, in order, when
            the last one is complete; ``provider``: as the row of `model.catalog.providers`.
        cancel_before_created: response.cancel between an accepted create and its response.created does ``nothing`` but
            an error (reported by a client's authors), or ``ends`` the response.
        error_after_create: a create in a free slot is answered with this error code instead of a response.
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


@dataclass
class MockResponse:
    """A response in progress.

    Attributes:
        line, next: its stages, and the index of the next.
        metadata: of its response.create; response.created and response.done repeat it.
        items, before: its items as last sent, and the id of the item before each.
        streamed, finished, done_items: items whose deltas are complete, whose content is complete, that are confirmed.
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
        slot: state in the table `model.catalog.slot`.
        responses: responses in progress, by id; at most one is in band.
        holder: id of the response that holds the slot.
        calls: call id -> its phase, one of `PHASES`.
        outputs: call id -> its accepted results, in order.
        acks, items: accepted items that wait for confirmation, and confirmed items, by id.
        inputs, earlier: number of user inputs of this session, and of earlier ones.
        steps_taken: number of responses begun since the newest input.
        counts: number of ids issued, by kind.
        last_item, first_item: ids of the newest and the first item.
        session: the session object.
        spoke: audio was sent, so the voice cannot change.
        audio, appended: bytes in the input audio buffer, and bytes appended in the session.
        speech, pausing: id of the item of the current speech, or empty; silence has begun in it.
        server_waits: the server begins a response when the slot is free.
        ended: the connection is closed.
    """

    slot: SlotState = "free"
    responses: dict[str, MockResponse] = field(default_factory=dict)
    holder: str = ""
    calls: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, list[str]] = field(default_factory=dict)
    acks: dict[str, dict[str, Any]] = field(default_factory=dict)
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
    ended: bool = False
